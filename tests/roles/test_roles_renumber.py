"""A WAN line gets other addresses at both of its ends, though the gateway is reached over that line alone: together,
from the controller, or at the gateway's console with the lines that docs/how-to/it-staff.md says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab import Lab
from tests.lab.lab_support import CHECKOUT
from tests.roles.journals import PATIENCE, newest, states, wardnet
from tests.roles.roles_support import Probe, Run, answered, inside, play, wait_until

pytestmark = pytest.mark.lab

GATEWAY, HUB = "buoi-gw", "tay-ho-hub"
BOTH = ("--limit", f"hubs:{GATEWAY}")
SSH = Probe("tcp", "10.30.1.1", 22)
PORTAL, WEB = Probe("tcp", "10.20.200.10", 443), Probe("tcp", "203.0.113.80", 443)
# A change that must go back need not take long.
SOON = ("-e", json.dumps({"commit_confirm_within": 22}))
FORMER, OTHER = ("10.31.1.2/30", "fd20:31:1::2/64"), ("10.31.9.2/30", "fd20:31:9::2/64")


@contextmanager
def other_addresses(lab: Lab) -> Iterator[None]:
    """The lab's copy of the inventory says other addresses at both ends of the ward's WAN line."""
    path = lab.state / "inventory" / "wards" / "buoi.yml"
    former = path.read_text()
    path.write_text(former.replace("10.31.1.", "10.31.9.").replace("fd20:31:1:", "fd20:31:9:"))
    try:
        yield
    finally:
        path.write_text(former)


def held(lab: Lab, host: str, port: str) -> set[str]:
    """Addresses of a port, without those of the link."""
    [link] = json.loads(inside(lab, host, "ip", "-json", "address", "show", "dev", port))
    return {f"{each['local']}/{each['prefixlen']}" for each in link["addr_info"] if each["scope"] == "global"}


def assert_line(lab: Lab, own: tuple[str, str]) -> None:
    """Both ends have addresses of these networks and no others, and the ward works."""
    assert held(lab, GATEWAY, "wan0") == set(own)
    assert held(lab, HUB, "buoi-wan") == {address.replace("2/", "1/") for address in own}
    assert wait_until(lab, "buoi-pc-1", PORTAL)
    assert wait_until(lab, "buoi-citizen-1", WEB)
    assert not answered(lab, "buoi-citizen-1", [PORTAL])[str(PORTAL)]


def assert_renumbered(lab: Lab, run: Run, own: tuple[str, str]) -> None:
    assert run.status == 0, run.tail
    assert run.changed.keys() == {HUB, GATEWAY}
    assert_line(lab, own)


def assert_nothing_is_left(lab: Lab) -> None:
    after = play(lab, "site.yml", "--check", "--diff", *BOTH)
    assert (after.status, after.changed) == (0, {}), after.tail


def console_lines() -> list[str]:
    """What is typed at the gateway's console, word for word."""
    text = (CHECKOUT / "docs" / "how-to" / "it-staff.md").read_text()
    [block] = re.findall(r"^```\n((?:# ip .*\n)+)```$", text, re.MULTILINE)
    return [line.removeprefix("# ") for line in block.splitlines()]


def test_both_ends_get_other_addresses_together_and_their_former_ones_again(converged: Lab) -> None:
    with other_addresses(converged):
        assert_renumbered(converged, play(converged, "renumber.yml", *BOTH), OTHER)
    assert_renumbered(converged, play(converged, "renumber.yml", *BOTH), FORMER)
    assert_nothing_is_left(converged)


@pytest.mark.slow
def test_one_end_alone_is_not_changed(converged: Lab) -> None:
    with other_addresses(converged):
        alone = play(converged, "site.yml", *BOTH, *SOON)
        assert alone.failed == (HUB,), alone.tail
        said = "10.30.1.1 no longer answered through it: playbooks/renumber.yml changes both ends of its line"
        assert said in alone.said
        assert_line(converged, FORMER)

        hub = play(converged, "renumber.yml", "--limit", HUB)
        assert hub.failed == (HUB,), hub.tail
        assert "nothing was touched: 10.30.1.1 has not changed" in hub.said

        gateway = play(converged, "renumber.yml", "--limit", GATEWAY, *SOON)
        assert gateway.failed == (GATEWAY,), gateway.tail
        assert "rolled back" in gateway.said
        assert_line(converged, FORMER)
    assert_nothing_is_left(converged)


@pytest.mark.slow
def test_a_gateway_that_is_not_reached_is_renumbered_at_its_console(converged: Lab) -> None:
    with other_addresses(converged):
        inside(converged, GATEWAY, "systemctl", "stop", "ssh")
        converged.shell(GATEWAY, ["systemctl", "kill", "--kill-whom=all", "--signal=KILL", "ssh"])
        try:
            run = play(converged, "site.yml", "--limit", "hubs:ward_buoi")
        finally:
            inside(converged, GATEWAY, "systemctl", "start", "ssh")
        assert run.status != 0
        assert run.unreachable == (GATEWAY,), run.tail
        assert states(newest(converged))[HUB] == "changed"
        assert not answered(converged, "controller", [SSH])[str(SSH)]

        for line in console_lines():
            inside(converged, GATEWAY, *line.split())
        assert wait_until(converged, "controller", SSH, PATIENCE)
        resumed = wardnet(converged, "resume")
        assert resumed.returncode == 0, resumed.stdout.decode() + resumed.stderr.decode()
        assert states(newest(converged))[GATEWAY] == "changed"
        assert_line(converged, OTHER)
    assert_renumbered(converged, play(converged, "renumber.yml", *BOTH), FORMER)
