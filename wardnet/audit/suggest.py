"""What to change, in words. English, since it stands in evidence too; the commands are the same in any language."""

from __future__ import annotations

from wardnet.audit.records import Crossing
from wardnet.model.span import Span


def suggestion(crossing: Crossing) -> str:
    """What closes a crossing: the rule that lets its flow start, the route that leads it across, or both."""
    parts = []
    starting = crossing.rule if crossing.needs is None else crossing.needs_rule
    if starting is not None and starting.span is not None:
        words = starting.span.place.split()
        if "handle" in words:
            verb = "remove or narrow rule" if crossing.needs is None else "let no such flow start: look at rule"
            parts.append(f"{verb} {starting.span.place} (`nft delete rule {' '.join(words)}`)")
        else:
            parts.append(f"give chain {starting.span.place} the policy drop, with rules for what is meant to pass")
    elif crossing.needs is None:
        parts.append("filter what is forwarded: no chain of the forward hook does")
    if crossing.route is not None and crossing.route.span is not None:
        parts.append(f"or lead it nowhere: {crossing.route.text}")
    if crossing.failed:
        are, ways = ("is", "the one that goes") if len(crossing.failed) == 1 else ("are", "those that go")
        parts.append(
            f"it opens when {' and '.join(crossing.failed)} {are} down: keep an unreachable route behind {ways}"
        )
    if crossing.gone:
        parts.append(
            f"the addresses of {', '.join(crossing.gone)} have to be gone too: let no route lead on what is for them"
        )
    return "; ".join(parts)


def unbridge(bridge: str, port: str) -> str:
    return f"take {port} out of bridge {bridge} (`ip link set {port} nomaster`)"


def unswitch(port: str, vlan: int) -> str:
    return f"take port {port} out of VLAN {vlan} (role access_switch, or `ovs-vsctl set port {port} tag=` its own)"


def settle(span: Span) -> str:
    """What would make an unknown known."""
    if span.artefact == "nft-ruleset.json":
        return f"write {span.place} with conditions that are modelled (see docs/audit.md), or remove it"
    if span.artefact == "sysctl.txt":
        return f"collect again with {span.place} readable"
    return f"look at {span.artefact} {span.place}, and collect again"
