"""A line that is dialled, with PPP in the kernel at both ends: a real session, its routes, and its end."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.qemu import Guest, find, take_over
from tests.qemu import provider
from tests.qemu.district import DIALLING, SECRET, USER
from tests.qemu.guests import PATIENCE, PORTAL, PUBLIC_WEB, converge, must_converge, must_not_reach, must_reach, running
from tests.roles.roles_support import eventually

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CLERK, CITIZEN = "tay-ho-pc-1", "tay-ho-citizen-1"
PASSWORD = 'a "password" with \\ and #'
GIVEN = ("-e", json.dumps({"wardnet_secrets": {SECRET: PASSWORD}}))
LINE = "line1"  # where the office's internet line ends at the isp
LAN = "2001:db8:20::/64"


@pytest.fixture(scope="module")
def far(lab: Lab) -> Iterator[Guest]:
    with running(find(lab.layout, provider.NAME) or provider.make_provider(lab, LINE, USER, PASSWORD, LAN)) as guest:
        yield guest


@pytest.fixture(scope="module")
def dialling(lab: Lab, far: Guest) -> Iterator[Guest]:
    with running(find(lab.layout, DIALLING) or take_over(lab.layout, DIALLING, print)) as guest:
        must_converge(lab, *GIVEN, gateway=DIALLING)
        yield guest


def in_session(guest: Guest) -> bool:
    """Whether the line has its address of each family and its ways out."""
    shown = guest.shell("ip address show dev inet0 2>/dev/null || true")
    ways = guest.shell("for f in -4 -6; do ip $f route show table 200 default; done")
    return provider.GIVEN in shown and provider.PREFIX.rstrip(":") in shown and ways.count("default dev inet0") == 2


def test_the_line_is_dialled_and_its_ways_are_the_channels_alone(lab: Lab, dialling: Guest) -> None:
    dialling.wait_for(lambda: in_session(dialling), "to dial", PATIENCE)
    main = dialling.shell("for f in -4 -6; do ip $f route show table main; done")
    assert [way for way in main.splitlines() if not way.startswith(("fe80::", "ff00::", "multicast"))] == []
    assert "inet0" not in dialling.shell("for f in -4 -6; do ip $f route show table 100; done")
    assert "203.0.113.66" not in dialling.shell("cat /etc/resolv.conf")
    assert PASSWORD not in dialling.shell("ps -e -o args; journalctl --boot --output=cat --unit='wardnet-dial-*'")
    must_reach(lab, CITIZEN, PUBLIC_WEB)
    must_reach(lab, CLERK, PORTAL)
    must_not_reach(lab, CLERK, PUBLIC_WEB)
    must_not_reach(lab, CITIZEN, PORTAL)


def test_the_second_run_changes_nothing(lab: Lab, dialling: Guest) -> None:
    dialling.wait_for(lambda: in_session(dialling), "to dial", PATIENCE)
    again = converge(lab, *GIVEN, gateway=DIALLING)
    assert (again.status, again.changed) == (0, {}), again.tail
    assert PASSWORD not in again.output


def test_without_a_session_nothing_leaves_by_the_other_line(lab: Lab, dialling: Guest) -> None:
    """Its cable is pulled: pppd notices, and the channel's table ends in what is unreachable."""
    dialling.wait_for(lambda: in_session(dialling), "to dial", PATIENCE)
    dialling.unplug("dsl0")
    try:
        ways = "for f in -4 -6; do ip $f route show table 200 default; done"
        dialling.wait_for(lambda: "inet0" not in dialling.shell(ways), "to notice", PATIENCE)
        assert [way.split()[:2] for way in dialling.shell(ways).splitlines()] == [["unreachable", "default"]] * 2
        must_not_reach(lab, CITIZEN, PUBLIC_WEB)
        must_reach(lab, CLERK, PORTAL)
        must_not_reach(lab, CITIZEN, PORTAL)
    finally:
        dialling.unplug("dsl0", plugged=True)
    dialling.wait_for(lambda: in_session(dialling), "to dial again", PATIENCE)
    must_reach(lab, CITIZEN, PUBLIC_WEB)
    assert eventually(lambda: not converge(lab, "--check", *GIVEN, gateway=DIALLING).changed, 300)
