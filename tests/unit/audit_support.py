"""The captured gateway, with edits to its raw artefacts, and the verdict on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from collectors.parsers.linux import parse_device
from tests.unit.gateway_support import device_policy, fixture, sample
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.records import Crossing, DeviceResult
from wardnet.model.policy import AuditPolicy, DevicePolicy

GATEWAY = "buoi-gw"
Artefacts = dict[str, bytes]


@cache
def policy() -> AuditPolicy:
    return sample()[1]


def zoned_policy() -> DevicePolicy:
    """All that the district says of the gateway."""
    return device_policy(policy(), GATEWAY)


def gateway_policy() -> DevicePolicy:
    """The channels alone: what passes within one is not asked."""
    whole = zoned_policy()
    return replace(whole, ports=tuple(replace(port, zone="") for port in whole.ports), conduits=())


def gateway() -> Artefacts:
    return fixture(GATEWAY)


def verdict(
    artefacts: Mapping[str, bytes], wanted: DevicePolicy | None = None, backend: str | None = None
) -> DeviceResult:
    """Of both engines, which must not disagree on any artefacts."""
    found = judge(
        parse_device(GATEWAY, artefacts), wanted or gateway_policy(), channel_networks(policy().devices), backend
    )
    assert found.disagreements == ()
    return found


def crossings(result: DeviceResult, source: str, destination: str, family: int) -> list[Crossing]:
    return [c for c in result.crossings if (c.from_port, c.to_port, c.family) == (source, destination, family)]


def directions(result: DeviceResult) -> set[tuple[str, str, int]]:
    """Which channel leaks into which, in which family."""
    return {(c.from_channel, c.to_channel, c.family) for c in result.crossings}


# --- edits of raw artefacts


def edit_json(artefacts: Artefacts, name: str, change: Callable[[Any], Any]) -> Artefacts:
    value = json.loads(artefacts[name])
    changed = change(value)
    return {**artefacts, name: json.dumps(value if changed is None else changed).encode()}


def with_rule(artefacts: Artefacts, expressions: list[Any], *, chain: str = "forward", comment: str = "by hand",
              last: bool = False) -> Artefacts:  # fmt: skip
    """A rule at the head (or end) of a chain of `inet wardnet`."""

    def change(listing: dict[str, list[dict[str, Any]]]) -> None:
        rule = {"family": "inet", "table": "wardnet", "chain": chain, "handle": 900, "comment": comment,
                "expr": expressions}  # fmt: skip
        objects = listing["nftables"]
        of_chain = [n for n, entry in enumerate(objects) if entry.get("rule", {}).get("chain") == chain]
        at = len(objects)
        if of_chain:
            at = of_chain[-1] + 1 if last else of_chain[0]
        objects.insert(at, {"rule": rule})

    return edit_json(artefacts, "nft-ruleset.json", change)


def with_objects(artefacts: Artefacts, *objects: dict[str, Any]) -> Artefacts:
    return edit_json(artefacts, "nft-ruleset.json", lambda listing: listing["nftables"].extend(objects))


def with_route(artefacts: Artefacts, family: int, destination: str, port: str, table: str, metric: int = 50,
               **more: Any) -> Artefacts:  # fmt: skip
    name = "ip-route.json" if family == 4 else "ip6-route.json"
    record = {"type": "unicast", "dst": destination, "dev": port, "table": table, "protocol": "static",
              "scope": "link", "metric": metric, "flags": [], **more}  # fmt: skip
    return edit_json(artefacts, name, lambda routes: routes.append(record))


def with_policy_rule(artefacts: Artefacts, family: int, **record: Any) -> Artefacts:
    name = "ip-rule.json" if family == 4 else "ip6-rule.json"

    def change(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted([*rules, {"src": "all", **record}], key=lambda rule: int(rule["priority"]))

    return edit_json(artefacts, name, change)


def with_setting(artefacts: Artefacts, name: str, value: str) -> Artefacts:
    lines = artefacts["sysctl.txt"].decode().splitlines()
    kept = [line for line in lines if not line.startswith(f"{name} ")]
    return {**artefacts, "sysctl.txt": "\n".join([*kept, f"{name} = {value}", ""]).encode()}


def iif(name: str) -> dict[str, Any]:
    return _match({"meta": {"key": "iifname"}}, name)


def oif(name: str) -> dict[str, Any]:
    return _match({"meta": {"key": "oifname"}}, name)


def payload(protocol: str, field: str, value: Any, op: str = "==") -> dict[str, Any]:
    return _match({"payload": {"protocol": protocol, "field": field}}, value, op)


def meta(key: str, value: Any, op: str = "==") -> dict[str, Any]:
    return _match({"meta": {"key": key}}, value, op)


def _match(left: Any, right: Any, op: str = "==") -> dict[str, Any]:
    return {"match": {"op": op, "left": left, "right": right}}


ACCEPT: dict[str, Any] = {"accept": None}
DROP: dict[str, Any] = {"drop": None}
UNKNOWN_MATCH = _match({"meta": {"key": "cgroup"}}, 5)
