"""Whose time each gateway's own clock follows, and that its packet filter lets it ask."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.compile_support import DAY, sample, sample_plan
from tests.unit.gateway_support import ruleset
from wardnet.compile import compile_plan
from wardnet.model.intent import Channel
from wardnet.model.plan import GatewayPlan, Hook, Plan


def without_sources(*channels: Channel) -> Plan:
    plans = tuple(replace(plan, time_sources=()) if plan.id in channels else plan for plan in sample().channels)
    return compile_plan(replace(sample(), channels=plans), DAY)


def clock_rules(gateway: GatewayPlan) -> list[str]:
    return [line.strip() for line in ruleset(gateway).splitlines() if f"{gateway.id}-clock" in line]


@pytest.mark.parametrize("gateway", sample_plan().gateways, ids=lambda gateway: gateway.id)
def test_every_gateway_has_a_time_source_of_its_own_channel(gateway: GatewayPlan) -> None:
    follows = gateway.clock
    assert follows is not None
    assert follows.channel is gateway.channels[0]  # the WAN, where it has both
    assert [gateway.port(name).channel for name in follows.ports] == [follows.channel]
    assert len(follows.sources) == 2
    # Conduits of the sample let it ask already: no rule says so twice.
    assert not any(flow.id.endswith("-clock") for flow in gateway.flows)
    for source in follows.sources:
        assert any(
            flow.hook is Hook.OUTPUT
            and flow.receiver.port == follows.ports[0]
            and any(source in prefix for prefix in flow.receiver.prefixes)
            and any(123 in allow.ports for allow in flow.allow)
            for flow in gateway.flows
        )


def test_what_no_conduit_lets_out_the_clock_may_ask_all_the_same() -> None:
    conduits = tuple(
        replace(conduit, allow=tuple(replace(a, ports=tuple(p for p in a.ports if p != 123)) for a in conduit.allow))
        for conduit in sample().conduits
    )
    plan = compile_plan(replace(sample(), conduits=conduits), DAY)
    for name, port in (("phu-thuong-gw", "wan0"), ("tay-ho-hub", "servers0")):
        rules = clock_rules(plan.gateway(name))
        assert len(rules) == 2
        assert all(f'oifname "{port}"' in rule and " udp dport 123 counter accept " in rule for rule in rules)
        assert [rule.split("daddr ")[1].split()[0] for rule in rules] == ["10.20.200.53", "fd20:20:200::53"]
        assert all("district.yml:" in rule for rule in rules)


def test_without_sources_on_the_wan_the_internets_are_followed() -> None:
    plan = without_sources(Channel.WAN)
    follows = plan.gateway("phu-thuong-gw").clock
    assert follows is not None
    assert (follows.channel, follows.ports) == (Channel.INTERNET, ("inet0",))
    assert plan.gateway("tay-ho-hub").clock is None


def test_without_any_source_there_is_no_clock() -> None:
    assert without_sources(*Channel).gateway("phu-thuong-gw").clock is None
