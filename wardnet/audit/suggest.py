"""What to change, in words. English, since it stands in evidence too; the commands are the same in any language."""

from __future__ import annotations

from wardnet.audit.records import Crossing
from wardnet.model.span import Span


def suggestion(crossing: Crossing) -> str:
    """The rule and the route that together open a crossing, either of which closes it."""
    parts = []
    rule = crossing.rule
    if rule is not None and rule.span is not None:
        words = rule.span.place.split()
        if rule.text == "policy accept" or "handle" not in words:
            parts.append(f"give chain {rule.span.place} the policy drop, with rules for what is meant to pass")
        else:
            command = f"nft delete rule {' '.join(words)}"
            parts.append(f"remove or narrow rule {rule.span.place} (`{command}`)")
    elif rule is None:
        parts.append("filter what is forwarded: no chain of the forward hook does")
    if crossing.route is not None and crossing.route.span is not None:
        parts.append(f"and take the route out of the table ({crossing.route.text})")
    if crossing.down:
        parts.append(f"it opens when {', '.join(crossing.down)} is down: end the table in an unreachable default")
    return "; ".join(parts)


def unbridge(bridge: str, port: str) -> str:
    return f"take {port} out of bridge {bridge} (`ip link set {port} nomaster`)"


def settle(span: Span) -> str:
    """What would make an unknown known."""
    if span.artefact == "nft-ruleset.json":
        return f"write {span.place} with conditions that are modelled (see docs/audit.md), or remove it"
    if span.artefact == "sysctl.txt":
        return f"collect again with {span.place} readable"
    return f"look at {span.artefact} {span.place}, and collect again"
