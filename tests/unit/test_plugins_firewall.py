"""The packet filter that a compiled gateway renders to: nft takes it, and it lets through the flows and no more."""

from __future__ import annotations

import json
import os
import subprocess
from ipaddress import ip_network
from typing import Any

import jinja2
import pytest

from tests.unit.plugins_support import ROOT, gateway, load

filters = load("filter", "wardnet").FilterModule().filters()
GATEWAYS = ("buoi-gw", "tay-ho-gw", "tay-ho-hub", "buoi-building-gw")


def render(record: dict[str, Any]) -> str:
    folder = ROOT / "roles" / "zone_firewall" / "templates" / "etc"
    environment = jinja2.Environment(  # noqa: S701 - the output is nftables' language
        loader=jinja2.FileSystemLoader(folder), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(filters)
    return environment.get_template("nftables.conf.j2").render(zone_firewall_gateway=record) + "\n"


def in_scratch_namespace(script: str, given: str) -> str:
    """Output of a shell script in a network namespace of its own. Without root the hub's large ruleset would not
    fit into the socket buffer that the kernel grants."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    result = subprocess.run(
        ["unshare", *root, "--net", "sh", "-c", script],
        input=given, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def loaded(text: str) -> list[dict[str, Any]]:
    """What the kernel makes of a ruleset."""
    listing: list[dict[str, Any]] = json.loads(in_scratch_namespace("nft -f - && nft -j list ruleset", text))[
        "nftables"
    ]
    return listing


@pytest.fixture(scope="module", params=GATEWAYS)
def record(request: pytest.FixtureRequest) -> dict[str, Any]:
    return gateway(request.param)


def test_what_carries_tagged_ports_or_a_session_lets_nothing_through_itself() -> None:
    """First of all rules: what has no tag would pass for an answer to a flow."""
    record = gateway("buoi-gw")
    ports = {port["name"]: port for port in record["ports"]}
    ports["clerks0"].update(parent="eth1", tag=10)
    ports["citizen0"].update(parent="eth1", tag=20)
    ports["inet0"].update(parent="eth2", tag=35, dialled={"user": "u", "password": "vault:x"})
    rules = [item["rule"] for item in loaded(render(record)) if "rule" in item and item["rule"]["chain"] == "forward"]
    found = []
    for rule in rules[:3]:
        match, _, end = rule["expr"]
        assert (match["match"]["left"], end) == ({"meta": {"key": "iifname"}}, {"drop": None})
        found.append(match["match"]["right"])
    assert found == ["eth1", "eth2", "inet0-line"]
    assert not any("carries ports" in rule.get("comment", "") for rule in rules[3:])
    assert "carries ports" not in render(gateway("buoi-gw"))


def test_base_chains_drop_and_only_wardnet_is_there(record: dict[str, Any]) -> None:
    listing = loaded(render(record))
    assert [item["table"]["name"] for item in listing if "table" in item] == ["wardnet"]
    policies = {item["chain"]["name"]: item["chain"]["policy"] for item in listing if "chain" in item}
    assert {name: policies[name] for name in ("forward", "input", "output")} == dict.fromkeys(
        ("forward", "input", "output"), "drop"
    )


def test_every_flow_has_its_rules_and_every_accept_is_a_flows(record: dict[str, Any]) -> None:
    rules = [item["rule"] for item in loaded(render(record)) if "rule" in item]
    for hook in ("forward", "input", "output"):
        wanted = {
            f"{flow['id']} {flow['source']}"
            for flow in record["flows"]
            if flow["hook"] == hook
            and any(
                filters["wardnet_of_family"](flow["sender"]["prefixes"], family)
                and filters["wardnet_of_family"](flow["receiver"]["prefixes"], family)
                for family in (4, 6)
            )
        }
        accepting = {
            rule.get("comment", "loopback")
            for rule in rules
            if rule["chain"] == hook and {"accept": None} in rule["expr"]
        }
        own = {"answers", "neighbours", "neighbours' groups", "loopback"}
        errors = {f"about {flow['id']} {flow['source']}" for flow in record["flows"] if flow["crosses"]}
        assert accepting - own - errors == wanted
        assert all(any("counter" in part for part in rule["expr"]) for rule in rules if rule.get("comment") in wanted)


def names_of(value: Any) -> list[str]:
    return [] if value is None else value["set"] if isinstance(value, dict) else [value]


def test_errors_cross_for_connections_of_exceptions_alone(record: dict[str, Any]) -> None:
    """Before answers are let through; and nothing else that is related crosses, in whatever direction."""
    text = render(record)
    forward = text[: text.index("chain input")]
    dropped = [line for line in forward.splitlines() if "about a connection of the other channel" in line]
    channels = {port["channel"] for port in record["ports"]}
    assert len(dropped) == (len(channels) if len(channels) > 1 else 0)
    passing = [line for line in forward.splitlines() if 'accept comment "about ' in line]
    assert len(passing) == 4 * len([flow for flow in record["flows"] if flow["crosses"]])
    assert all("ct state related ct original ip" in line for line in passing)
    answers = forward.index('comment "answers"')
    assert all(forward.index(line) < forward.index(dropped[0]) < answers for line in passing)


def test_nothing_crosses_the_channels_but_exceptions(record: dict[str, Any]) -> None:
    channel = {port["name"]: port["channel"] for port in record["ports"]}
    crossing = set()
    for item in loaded(render(record)):
        rule = item.get("rule", {})
        ports = {
            part["match"]["left"]["meta"]["key"]: part["match"]["right"]
            for part in rule.get("expr", [])
            if "meta" in part.get("match", {}).get("left", {}) and "name" in part["match"]["left"]["meta"]["key"]
        }
        accepts = rule.get("chain") == "forward" and {"accept": None} in rule["expr"]
        incoming, outgoing = (names_of(ports.get(key)) for key in ("iifname", "oifname"))
        if accepts and any(channel[one] != channel[other] for one in incoming for other in outgoing):
            crossing.add(rule["comment"].removeprefix("about ").split()[0])
    assert crossing == {flow["id"] for flow in record["flows"] if flow["crosses"]}


def test_rendering_twice_gives_the_same_rules(record: dict[str, Any]) -> None:
    """What is printed, loaded and printed again is the same, or every run would find drift."""
    kernel = load("module_utils", "wardnet_kernel")
    text = render(record)
    printed = in_scratch_namespace("nft -f - && nft -s list ruleset", text)

    def comparable(ruleset: str) -> list[str]:
        lines: list[str] = kernel.parse_ruleset(json.dumps({"nftables": loaded(ruleset)}))
        return lines

    assert comparable(text) == comparable(printed)


def test_believable_senders_follow_the_routing_table() -> None:
    found = {(item["port"], item["family"]): item for item in filters["wardnet_sources"](gateway("buoi-gw"))}
    assert found["clerks0", 4] == {
        "port": "clerks0", "family": 4, "allowed": ["10.20.1.0/24"], "denied": [], "beside": [],
    }  # fmt: skip
    assert found["wan0", 4]["allowed"] == ["10.16.0.0/12"]
    assert set(found["wan0", 4]["denied"]) == {"10.20.1.0/24", "10.30.1.0/24"}
    assert found["inet0", 4]["allowed"] == []
    assert {"10.16.0.0/12", "172.20.1.0/24", "172.21.1.0/24"} <= set(found["inet0", 4]["denied"])
    assert "fd20::/16" in found["inet0", 6]["denied"]
    assert found["inet0", 4]["beside"] == ["172.20.1.0/24", "172.21.1.0/24"], "of the channel's own ports"
    assert "2001:db8:ff:1::2" in filters["wardnet_own_addresses"](gateway("buoi-gw"))


def test_an_exceptions_sender_is_believed_at_its_own_port_alone() -> None:
    """The WAN's table knows a way to the resident's PC; that makes it no sender of the WAN."""
    for item in filters["wardnet_sources"](gateway("buoi-gw")):
        networks = [ip_network(prefix) for prefix in item["allowed"]]
        citizen = ip_network("172.20.1.11/32")
        if item["port"] != "inet0":
            assert any(n.version == 4 and citizen.subnet_of(n) for n in networks) == (  # type: ignore[arg-type]
                item["port"] == "citizen0" and item["family"] == 4
            )


def test_families_are_kept_apart_and_overlaps_merged() -> None:
    prefixes = ["10.16.0.0/12", "10.31.1.0/30", "10.9.0.1/32", "fd20::/16", "fd20:1::1/128", "2001:db8::1/128"]
    assert filters["wardnet_of_family"](prefixes, 4) == ["10.9.0.1", "10.16.0.0/12"]
    assert filters["wardnet_of_family"](prefixes, 6) == ["2001:db8::1", "fd20::/16"]
