"""The ways in which a drill cuts the manager off, one entry each. A kind spoils the compiled plan of one device, or
adds a step to what the roles ask for; some strike from outside while the change is being made. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Plan = dict[str, Any]  # a compiled gateway or switch, as the roles get it

UNANSWERED = ".254"  # ends an address on the line that nobody has
SPARE = ".77"  # ends an address of the management network that nobody has
STARVED_BPS = 1200  # a round trip of SSH's key exchange takes minutes


class Target(StrEnum):
    GATEWAY = "gateway"
    SWITCH = "switch"


class Strike(StrEnum):
    """What happens from outside, once the device has armed its way back."""

    NONE = "none"
    MANAGER = "manager"  # kill -9 of Ansible and of its connections
    POWER = "power"  # the device's power, cut and given again


@dataclass(frozen=True, slots=True)
class Harm:
    """What the roles are asked for: `plan` in the place of the compiled one, and perhaps one step more."""

    plan: Plan
    step: dict[str, Any] | None = None
    variables: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """`harm` gets a copy of the plan that it may change."""

    does: str
    harm: Callable[[Plan], Harm]
    target: Target = Target.GATEWAY
    strike: Strike = Strike.NONE


def drop_ssh(plan: Plan) -> Harm:
    """No flow lets the controller in any more."""
    plan["flows"] = [flow for flow in plan["flows"] if flow["hook"] != "input" or not _lets_in(flow, 22)]
    return Harm(plan)


def _lets_in(flow: dict[str, Any], port: int) -> bool:
    return any(allow["protocol"] == "tcp" and port in allow["ports"] for allow in flow["allow"])


def move_address(plan: Plan) -> Harm:
    """The port that the manager comes to gets another address of its network."""
    own = plan["management_ipv4"]
    for port in plan["ports"]:
        if port["ipv4"] and port["ipv4"].partition("/")[0] == own:
            port["ipv4"] = f"{own.rpartition('.')[0]}{SPARE}/{port['ipv4'].partition('/')[2]}"
    return Harm(plan)


def mislead_routes(plan: Plan) -> Harm:
    """All that leads to the WAN leads to a neighbour who is not there."""
    lines = {port["name"] for port in plan["ports"] if port["kind"] == "circuit" and port["channel"] == "wan"}
    for table in plan["tables"]:
        for route in table["routes"]:
            if route["port"] in lines and route["kind"] == "via" and ":" not in route["via"]:
                route["via"] = f"{route['via'].rpartition('.')[0]}{UNANSWERED}"
    return Harm(plan)


def shut_port(plan: Plan) -> Harm:
    """The line that the manager comes over is switched off, by a file beside that of the port."""
    line = _wan_line(plan)
    return Harm(
        plan,
        step={
            "part": "network",
            "network": {"gateway": plan, "channel": "wan", "hold_main": True},
            "files": [
                {
                    "path": f"/etc/systemd/network/10-wardnet-wan-{line}.network.d/drill.conf",
                    "content": "[Link]\nActivationPolicy=always-down\n",
                }
            ],
        },
    )


def _wan_line(plan: Plan) -> str:
    return str(next(port["name"] for port in plan["ports"] if port["kind"] == "circuit" and port["channel"] == "wan"))


def starve_line(plan: Plan) -> Harm:
    """The WAN line is shaped to a rate at which no new connection comes about in time."""
    line = _wan_line(plan)
    for shape in plan["shapes"]:
        if shape["port"] == line:
            shape["rate_bps"] = STARVED_BPS
    return Harm(plan)


def swap_vlan(plan: Plan) -> Harm:
    """The management network of the switch ends up in another VLAN at the port that leads to the gateway, so that
    nobody comes to the switch any more."""
    own = plan["management"]["vlan"]
    for port in plan["ports"]:
        if port["leads_to"] and port["mode"] == "access" and port["vlan"] == own:
            port["vlan"] = next(other["vlan"] for other in plan["ports"] if other["vlan"] not in (None, own))
        elif port["mode"] == "trunk" and own in port["trunks"]:
            port["trunks"] = [vlan for vlan in port["trunks"] if vlan != own]
    return Harm(plan)


KINDS: dict[str, Kind] = {
    "ssh-dropped": Kind("the packet filter lets no SSH in", drop_ssh),
    "wrong-address": Kind("the management port gets another address", move_address),
    "wrong-route": Kind("the WAN's routes lead to a neighbour who is not there", mislead_routes),
    "wrong-vlan": Kind("the switch's way to the gateway is in the wrong VLAN", swap_vlan, target=Target.SWITCH),
    "interface-down": Kind("the WAN line's port is switched off", shut_port),
    "low-rate": Kind("the WAN line is shaped so low that SSH times out", starve_line),
    "manager-killed": Kind("the manager is killed while it makes the change", drop_ssh, strike=Strike.MANAGER),
    "power-cut": Kind("the gateway loses its power while the change is made", move_address, strike=Strike.POWER),
}
