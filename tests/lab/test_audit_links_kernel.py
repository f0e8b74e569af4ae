"""What the kernel takes away when a port is set down, is gone, or loses its carrier, is what the audit takes away."""

from __future__ import annotations

import os

import pytest

from collectors.parsers.linux import parse_device
from tests.lab.kernel_support import Router, router
from tests.unit.links_support import cut
from wardnet.audit.question import LinkState
from wardnet.model.device import Device, RouteType

pytestmark = pytest.mark.lab

DOWN, GONE = LinkState(frozenset({"p0"})), LinkState(frozenset({"p0"}), frozenset({"p0"}))
CONFIGURED = """
ip addr add 10.0.1.1/24 dev p0; ip addr add 10.0.2.1/24 dev p1
ip -6 addr add fd00:1::1/64 dev p0 nodad; ip -6 addr add fd00:2::1/64 dev p1 nodad
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
ip nexthop add id 1 dev p0; ip nexthop add id 2 dev p1; ip nexthop add id 3 group 1/2
for table in main 100; do
  ip route add 10.9.0.0/16 dev p1 src 10.0.1.1 table $table
  ip route add 10.8.0.0/16 dev p0 table $table
  ip route add unreachable 10.0.0.0/8 table $table metric 9000
  ip route add 10.7.0.0/16 table $table nexthop dev p0 nexthop dev p1
  ip route add 10.6.0.0/16 table $table nhid 3
  ip -6 route add fd09::/32 dev p1 src fd00:1::1 table $table
  ip -6 route add fd08::/32 dev p0 table $table
  ip -6 route add unreachable fd00::/8 table $table metric 9000
done
"""


FAILURES = {
    "down": ("ip link set p0 down", DOWN),
    "down, keeping addresses": ("sysctl -qw net.ipv6.conf.all.keep_addr_on_down=1; ip link set p0 down", DOWN),
    "gone": ("ip link delete p0", GONE),
}


def read(here: Router) -> Device:
    return parse_device("router", here.artefacts())


def listed(device: Device) -> set[tuple[object, ...]]:
    """Routes by what tells them apart, but for what is never forwarded, and what is listed as dead."""
    return {
        (family, route.table, route.type, route.destination, route.metric,
         tuple(sorted(hop.port for hop in route.next_hops)))
        for family in (4, 6)
        for route in device.routes[family]
        if not (route.destination.is_multicast or route.destination.is_link_local)
        if route.next_hops or route.type is RouteType.UNREACHABLE
    }  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_what_is_left_of_the_routes_is_what_the_audit_has(name: str) -> None:
    command, state = FAILURES[name]
    with router(f"wl{os.getpid()}") as here:
        here.shell(CONFIGURED)
        before = read(here)
        here.shell(command)
        assert listed(read(here)) == listed(cut(before, state))
        assert listed(before) != listed(cut(before, state))


def test_without_a_carrier_addresses_stay_and_ignored_routes_go() -> None:
    with router(f"wl{os.getpid()}") as here:
        here.shell(CONFIGURED + "sysctl -qw net.ipv4.conf.p0.ignore_routes_with_linkdown=1\n"
                   "sysctl -qw net.ipv6.conf.p0.ignore_routes_with_linkdown=1\n")  # fmt: skip
        before = read(here)
        here.lose_carrier("p0")
        assert listed(read(here)) == listed(cut(before, DOWN, carrier=True))


def test_without_a_carrier_routes_stay_where_they_are_not_ignored() -> None:
    """But for the ways of next hop objects."""
    with router(f"wl{os.getpid()}") as here:
        here.shell(CONFIGURED)
        before = read(here)
        here.lose_carrier("p0")
        assert {str(route[3]) for route in listed(read(here)) ^ listed(before)} == {"10.6.0.0/16"}
