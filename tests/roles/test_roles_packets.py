"""What must be reached is reached, and nothing else, with real packets in both families.

Every target that must not be reached is shown to be there: somebody who may reach it does so in the same test.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable

import pytest

from lab import Lab
from tests.roles.roles_support import (
    PACKETS,
    Probe,
    answered,
    counters,
    eventually,
    inside,
    running,
    said,
    tell,
    wait_until,
)

pytestmark = pytest.mark.lab

BOTH = ("ipv4", "ipv6")
ADDRESS = {
    "portal": ("10.20.200.10", "fd20:20:200::10"),
    "resolver": ("10.20.200.53", "fd20:20:200::53"),
    "mirror": ("10.20.200.80", "fd20:20:200::80"),
    "hub, servers": ("10.20.200.1", "fd20:20:200::1"),
    "hub, management": ("10.30.200.1", "fd20:30:200::1"),
    "controller": ("10.30.200.10", "fd20:30:200::10"),
    "monitoring": ("10.30.200.30", "fd20:30:200::30"),
    "clerk": ("10.20.1.11", "fd20:20:1::11"),
    "other clerk": ("10.20.0.11", "fd20:20:0::11"),
    "scanner": ("10.20.1.20", "fd20:20:1::20"),
    "citizen": ("172.20.1.11", "2001:db8:20:1::11"),
    "other citizen": ("172.20.0.11", "2001:db8:20:0::11"),
    "visitor": ("172.21.1.2", "2001:db8:21:1::2"),
    "gateway, clerks": ("10.20.1.1", "fd20:20:1::1"),
    "gateway, management": ("10.30.1.1", "fd20:30:1::1"),
    "gateway, line": ("10.31.1.2", "fd20:31:1::2"),
    "gateway, citizens": ("172.20.1.1", "2001:db8:20:1::1"),
    "gateway, internet": ("198.51.100.6", "2001:db8:ff:1::2"),
    "isp": ("203.0.113.1", "2001:db8:cafe::1"),
    "isp resolver": ("203.0.113.53", "2001:db8:cafe::53"),
    "public face": ("203.0.113.10", "2001:db8:cafe::10"),
    "public web": ("203.0.113.80", "2001:db8:cafe::80"),
}
CONTROLLER, CLERK, CITIZEN, VISITOR = "controller", "buoi-pc-1", "buoi-citizen-1", "buoi-wifi-1"


@pytest.fixture(params=BOTH)
def family(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def probes(family: str, wanted: Iterable[str]) -> dict[str, Probe]:
    """'tcp/443 portal' -> the probe of that target in the family."""
    found = {}
    for text in wanted:
        what, _, target = text.partition(" ")
        kind, _, port = what.partition("/")
        found[text] = Probe(kind, ADDRESS[target][BOTH.index(family)], int(port) if port else None)
    return found


def reached(lab: Lab, host: str, family: str, wanted: Iterable[str]) -> set[str]:
    sent = probes(family, wanted)
    results = answered(lab, host, list(sent.values()))
    return {text for text, probe in sent.items() if results[str(probe)]}


def must_reach(lab: Lab, host: str, family: str, wanted: Iterable[str]) -> None:
    """Asks again for what is not answered at once: a busy machine loses packets, a filter loses all of them."""
    left = set(wanted)
    deadline = time.monotonic() + 90
    while left and time.monotonic() < deadline:
        left -= reached(lab, host, family, left)
    assert not left, f"{host} does not reach in {family}: {sorted(left)}"


MAY = {
    CLERK: ["tcp/443 portal", "tcp/80 mirror", "tcp/53 resolver", "udp/53 resolver", "ping portal", "ping resolver",
            "ping gateway, clerks"],
    "buoi-touch-1": ["tcp/443 portal", "udp/53 resolver"],
    CITIZEN: ["tcp/443 public web", "tcp/80 public web", "tcp/443 public face", "udp/53 isp resolver", "ping isp",
              "ping gateway, citizens", "tcp/80 scanner"],
    VISITOR: ["tcp/443 public web", "tcp/443 public face", "udp/53 isp resolver", "ping isp"],
    CONTROLLER: ["tcp/22 gateway, management", "tcp/22 clerk", "tcp/22 other clerk", "ping gateway, management",
                 "tcp/22 portal", "tcp/9807 gateway, management", "tcp/9808 gateway, management"],
    "buoi-gw": ["tcp/443 portal", "tcp/80 mirror", "udp/53 resolver", "ping hub, servers"],
}  # fmt: skip

# Each with a host that may reach it, so that silence means something.
MAY_NOT = {
    CLERK: {
        "tcp/443 public web": CITIZEN, "tcp/443 public face": CITIZEN, "udp/53 isp resolver": CITIZEN,
        "ping isp": CITIZEN,
        "tcp/22 other clerk": CONTROLLER, "ping other clerk": CONTROLLER,
        "tcp/22 portal": CONTROLLER, "tcp/22 gateway, management": CONTROLLER,
        "tcp/9807 gateway, management": CONTROLLER,
        "tcp/22 hub, management": CONTROLLER, "tcp/22 controller": "monitoring", "tcp/9090 monitoring": CONTROLLER,

    },
    CITIZEN: {
        "tcp/443 portal": CLERK, "udp/53 resolver": CLERK, "tcp/80 mirror": CLERK, "ping portal": CLERK,
        "tcp/22 clerk": CONTROLLER, "ping clerk": CONTROLLER, "tcp/22 other clerk": CONTROLLER,
        "tcp/22 gateway, management": CONTROLLER, "tcp/22 controller": "monitoring",
        "tcp/443 scanner": "buoi-pc-2", "tcp/22 scanner": "buoi-pc-2", "tcp/8080 scanner": "buoi-pc-2",
        "ping scanner": "buoi-pc-2",
    },
    VISITOR: {
        "tcp/80 scanner": CITIZEN, "tcp/443 portal": CLERK, "tcp/22 clerk": CONTROLLER,
        "tcp/22 gateway, management": CONTROLLER,
    },
    CONTROLLER: {"tcp/80 scanner": CITIZEN, "tcp/443 public web": CITIZEN, "ping isp": CITIZEN},
    "public-web": {"tcp/443 portal": CLERK, "tcp/22 clerk": CONTROLLER, "tcp/22 gateway, management": CONTROLLER},
    "portal": {"tcp/22 clerk": CONTROLLER, "tcp/22 gateway, management": CONTROLLER, "tcp/443 public web": CITIZEN},
}  # fmt: skip
# Of a gateway's own addresses on its LANs and lines nobody may open more than a ping; of the LANs nothing else answers.
CLOSED = {
    CLERK: [
        "ping citizen",
        "ping visitor",
        "tcp/22 citizen",
        "tcp/22 gateway, clerks",
        "tcp/22 gateway, line",
        "tcp/22 gateway, citizens",
        "tcp/9807 gateway, clerks",
    ],
    CITIZEN: ["tcp/22 gateway, citizens", "tcp/22 gateway, clerks", "tcp/22 gateway, internet", "tcp/22 other citizen"],
    VISITOR: ["tcp/22 gateway, citizens", "tcp/22 citizen", "ping citizen"],
    "public-web": ["tcp/22 gateway, internet", "ping gateway, internet", "tcp/22 citizen", "ping citizen"],
    CONTROLLER: ["tcp/22 gateway, clerks", "tcp/22 gateway, line", "tcp/443 clerk"],
}


@pytest.mark.parametrize("host", MAY)
def test_what_must_be_reached_is_reached(converged: Lab, family: str, host: str) -> None:
    must_reach(converged, host, family, MAY[host])


@pytest.mark.parametrize("host", MAY_NOT)
def test_what_others_reach_is_not_reached(converged: Lab, family: str, host: str) -> None:
    wanted = MAY_NOT[host]
    controls = {by: [text for text, may in wanted.items() if may == by] for by in set(wanted.values())}
    for by, texts in controls.items():
        must_reach(converged, by, family, texts)  # or the test proves nothing
    assert reached(converged, host, family, wanted) == set()


@pytest.mark.parametrize("host", CLOSED)
def test_gateways_and_lans_are_closed_to_the_rest(converged: Lab, family: str, host: str) -> None:
    assert reached(converged, host, family, CLOSED[host]) == set()


def seen_by(lab: Lab, server: str, address: str, port: int, client: str) -> str:
    """The address that a server sees when the client connects."""
    with running(lab, server, "listen", address, str(port)) as listener:
        assert said(listener) == "listening"
        assert wait_until(lab, client, Probe("tcp", address, port))
        return said(listener)


def test_ipv4_leaves_with_the_lines_address_and_ipv6_with_its_own(converged: Lab) -> None:
    assert seen_by(converged, "public-web", "203.0.113.80", 53, CITIZEN) == "198.51.100.6"
    assert seen_by(converged, "public-web", "2001:db8:cafe::80", 53, CITIZEN) == "2001:db8:20:1::11"


def test_the_wan_is_not_translated(converged: Lab) -> None:
    assert seen_by(converged, "portal", "10.20.200.10", 53, CLERK) == "10.20.1.11"


@pytest.mark.parametrize("address", ["10.20.1.77/24", "fd20:20:1::77/64"])
def test_a_citizen_with_a_clerks_address_is_not_believed(converged: Lab, address: str) -> None:
    """The way to the public web is open at this port, but not to this address."""
    source, _, _ = address.partition("/")
    target = ADDRESS["public web"][1 if ":" in source else 0]
    before = counters(converged, "buoi-gw", "not from citizen0")
    inside(converged, CITIZEN, "ip", "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in source else []))
    try:
        own, false = Probe("tcp", target, 443), Probe("tcp", target, 80, source)
        assert wait_until(converged, CITIZEN, own)
        assert answered(converged, CITIZEN, [false]) == {str(false): False}
    finally:
        inside(converged, CITIZEN, "ip", "address", "del", address, "dev", "eth0")
    assert counters(converged, "buoi-gw", "not from citizen0") > before


UDP, TCP = 17, 6
SCANNER = "buoi-scanner-1"


def complain(lab: Lab, host: str, to: str, about: tuple[str, str, int, int, int]) -> None:
    """The host sends an error message that quotes a packet of these addresses, protocol and ports."""
    done = lab.run(host, [sys.executable, str(PACKETS), "complain", to, *map(str, about)])
    assert done.returncode == 0, done.stderr.decode()


def test_no_error_message_of_the_other_channel_reaches_a_connection_of_this_one(converged: Lab, family: str) -> None:
    """The scanner has an exception with a citizen, so that packets of the internet channel find the way to it. An error
    message of theirs that quotes its connection to a resolver of the WAN belongs to that one."""
    scanner, resolver = (ADDRESS[name][BOTH.index(family)] for name in ("scanner", "resolver"))
    comment = "about a connection of the other channel"
    with running(converged, SCANNER, "watch", resolver, "53", "40053", "8") as watching:
        assert said(watching) == "asked"
        for host in (CITIZEN, VISITOR):
            before = counters(converged, "buoi-gw", comment)

            def dropped(host: str = host, before: int = before) -> bool:
                complain(converged, host, scanner, (scanner, resolver, UDP, 40053, 53))
                return counters(converged, "buoi-gw", comment) > before

            assert eventually(dropped), host
        tell(watching)
        assert said(watching) == "silent"


def test_error_messages_about_an_exceptions_connection_pass(converged: Lab, family: str) -> None:
    """From both channels, to its two hosts."""
    scanner, citizen = (ADDRESS[name][BOTH.index(family)] for name in ("scanner", "citizen"))
    listed = inside(converged, "buoi-gw", "nft", "list", "ruleset")
    comment = re.findall(r'comment "(about buoi-resident-scan [^"]+)"', listed)[0]

    def passed() -> bool:
        before = counters(converged, "buoi-gw", comment)
        with running(converged, CITIZEN, "connect", scanner, "80") as connecting:
            port = int(said(connecting) or 0)
            complain(converged, CITIZEN, scanner, (scanner, citizen, TCP, 80, port))
            complain(converged, SCANNER, citizen, (citizen, scanner, TCP, port, 80))
            return counters(converged, "buoi-gw", comment) >= before + 2

    assert eventually(passed)


UNREACHABLE = {"EHOSTUNREACH", "ENETUNREACH"}


def told(lab: Lab, host: str, address: str, port: int, size: int) -> str:
    """What the host is told of datagrams of this size by whoever is on the way, in the words of errno."""
    with running(lab, host, "told", address, str(port), str(size), "90") as asking:
        return said(asking)


def test_whoever_sends_too_much_at_once_is_told_by_the_gateway(converged: Lab, family: str) -> None:
    """A line with a smaller MTU, as one by PPPoE has: without the ICMP error all that is large would be lost."""
    address, version = ADDRESS["isp resolver"][BOTH.index(family)], "46"[BOTH.index(family)]
    inside(converged, CITIZEN, "ip", f"-{version}", "route", "flush", "cache")
    inside(converged, "buoi-gw", "ip", "link", "set", "inet0", "mtu", "1400")
    try:
        assert told(converged, CITIZEN, address, 53, 1440) == "EMSGSIZE"
    finally:
        inside(converged, "buoi-gw", "ip", "link", "set", "inet0", "mtu", "1500")
        inside(converged, CITIZEN, "ip", f"-{version}", "route", "flush", "cache")
    must_reach(converged, CITIZEN, family, ["udp/53 isp resolver"])


LINES = {
    # port: who uses it, what it then does not reach, from where to where the kernel is asked, and what still works
    "inet0": (CITIZEN, "tcp/443 public web", ("citizen", "public web", "citizen0"), (CLERK, "tcp/443 portal")),
    "wan0": (CLERK, "tcp/443 portal", ("clerk", "portal", "clerks0"), (CITIZEN, "tcp/443 public web")),
}


@pytest.mark.parametrize("line", LINES)
def test_a_dead_line_is_no_reason_to_take_the_other(converged: Lab, line: str) -> None:
    """Its users are told, the kernel knows no other way for them, and all comes back by itself."""
    host, dead, (sender, target, lan), (other, alive) = LINES[line]
    inside(converged, "buoi-gw", "ip", "link", "set", line, "down")
    try:
        for family in BOTH:
            index = BOTH.index(family)
            asked = ["ip", f"-{'46'[index]}", "route", "get", ADDRESS[target][index], "from", ADDRESS[sender][index],
                     "iif", lan]  # fmt: skip
            answer = converged.shell("buoi-gw", asked)
            assert answer.returncode != 0, answer.stdout
            assert b"No route to host" in answer.stderr or b"unreachable" in answer.stderr
            assert reached(converged, host, family, [dead]) == set()
            assert told(converged, host, ADDRESS[target][index], 53, 64) in UNREACHABLE
            must_reach(converged, other, family, [alive])
    finally:
        inside(converged, "buoi-gw", "ip", "link", "set", line, "up")
    for family in BOTH:
        must_reach(converged, host, family, [dead])
