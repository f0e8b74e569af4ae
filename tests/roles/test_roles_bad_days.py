"""Nothing locks the controller out, nothing forwards without its filter, and every failure says what it is."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, answered, inside, play, running, said, serving, tell, wait_until
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

pytestmark = pytest.mark.lab

PORTAL = Probe("tcp", "10.20.200.10", 443)
SSH = Probe("tcp", "10.30.1.1", 22)


def compiled(lab: Lab) -> dict[str, Any]:
    district = read_district(lab.state / "inventory")
    today = datetime.now(ZoneInfo(district.timezone)).date()
    plain: dict[str, Any] = to_plain(compile_plan(district, today).gateway("buoi-gw"))
    return plain


def journal(lab: Lab) -> str:
    return " ".join(inside(lab, "buoi-gw", "journalctl", "--identifier", "wardnet", "--output", "cat").split())


def test_a_filter_that_locks_the_controller_out_is_taken_back(converged: Lab, tmp_path: Path) -> None:
    """The connection that loads the filter survives it: only a new one shows the harm."""
    gateway = compiled(converged)
    gateway["flows"] = [flow for flow in gateway["flows"] if flow["id"] != "management-gateways"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"wardnet_gateway": gateway, "commit_confirm_within": 30}))
    run = play(converged, "channels.yml", "--limit", "buoi-gw", "-e", f"@{wrong}")
    assert run.status != 0
    assert run.failed == ("buoi-gw",)
    assert wait_until(converged, "controller", SSH)
    assert "buoi-gw (ward buoi) was rolled back by itself after 20 s: no new connection came through" in run.said
    assert "nobody confirmed the change over a new connection within 20 s" in journal(converged)
    after = play(converged, "channels.yml", "--limit", "buoi-gw", "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def test_routes_that_lead_nowhere_are_taken_back(converged: Lab, tmp_path: Path) -> None:
    gateway = compiled(converged)
    for table in gateway["tables"]:
        for route in table["routes"]:
            if route["destination"] == "10.16.0.0/12" and route["kind"] == "via":
                route["via"] = "10.31.1.200"
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"wardnet_gateway": gateway, "commit_confirm_within": 30}))
    run = play(converged, "channels.yml", "--limit", "buoi-gw", "-e", f"@{wrong}")
    assert run.status != 0
    assert wait_until(converged, "controller", SSH)
    assert "buoi-gw (ward buoi) was rolled back" in run.said
    assert "is back (run " in journal(converged)
    after = play(converged, "channels.yml", "--limit", "buoi-gw", "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def test_a_ruleset_that_nft_refuses_is_never_loaded(converged: Lab, tmp_path: Path) -> None:
    gateway = compiled(converged)
    gateway["flows"][0]["allow"] = [{"protocol": "carrier-pigeon", "ports": [1]}]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({"wardnet_gateway": gateway}))
    before = inside(converged, "buoi-gw", "nft", "-s", "list", "ruleset")
    run = play(converged, "channels.yml", "--limit", "buoi-gw", "-e", f"@{wrong}")
    assert run.status != 0
    assert "the ruleset is refused" in run.said
    assert inside(converged, "buoi-gw", "nft", "-s", "list", "ruleset") == before
    assert answered(converged, "buoi-pc-1", [PORTAL])[str(PORTAL)]


def test_without_its_filter_a_gateway_forwards_nothing(converged: Lab) -> None:
    """A file that does not load leaves forwarding off, as at a boot, and the next run brings both back."""
    inside(converged, "buoi-gw", "sh", "-c", "echo 'nonsense {' >> /etc/nftables.conf")
    assert converged.shell("buoi-gw", ["systemctl", "restart", "nftables"]).returncode != 0
    forwarding = ["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
    assert inside(converged, "buoi-gw", *forwarding).split() == ["0", "0"]
    assert not answered(converged, "buoi-pc-1", [PORTAL])[str(PORTAL)]
    healed = play(converged, "channels.yml", "--limit", "buoi-gw")
    assert healed.status == 0, healed.tail
    assert inside(converged, "buoi-gw", *forwarding).split() == ["1", "1"]
    assert answered(converged, "buoi-pc-1", [PORTAL])[str(PORTAL)]


def test_a_stop_of_the_filters_unit_leaves_the_rules_and_forbids_forwarding(converged: Lab) -> None:
    before = inside(converged, "buoi-gw", "nft", "-s", "list", "ruleset")
    inside(converged, "buoi-gw", "systemctl", "stop", "nftables")
    try:
        assert inside(converged, "buoi-gw", "nft", "-s", "list", "ruleset") == before
        assert inside(converged, "buoi-gw", "cat", "/proc/sys/net/ipv4/ip_forward") == "0"
    finally:
        inside(converged, "buoi-gw", "systemctl", "start", "nftables")
    assert inside(converged, "buoi-gw", "cat", "/proc/sys/net/ipv4/ip_forward") == "1"


def test_a_host_whose_key_is_not_pinned_is_refused(converged: Lab, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.touch()
    run = play(converged, "wards.yml", "--limit", "portal", "-e", f"wardnet_known_hosts={known}")
    assert run.status != 0
    assert "Host key verification failed" in run.said
    assert known.read_text() == ""


def test_a_machine_under_another_name_is_not_touched(converged: Lab) -> None:
    run = play(converged, "wards.yml", "--limit", "buoi-pc-1", "-e", "ansible_host=10.20.1.12", "--check")
    assert run.status != 0
    assert "this machine calls itself buoi-pc-2, not buoi-pc-1: nothing was touched" in run.said


def test_a_gateway_that_vanishes_is_named_and_stops_the_play(converged: Lab) -> None:
    # sessions too: a connection that Ansible shares would outlive the server
    inside(converged, "buoi-gw", "systemctl", "stop", "ssh")
    converged.shell("buoi-gw", ["systemctl", "kill", "--kill-whom=all", "--signal=KILL", "ssh"])
    try:
        run = play(converged, "audit.yml", "--limit", "buoi-gw,tay-ho-gw")
        assert run.status != 0
        assert run.failed == ("buoi-gw",)
        assert "Connection refused" in run.said
        assert run.changed == {}
    finally:
        inside(converged, "buoi-gw", "systemctl", "start", "ssh")


PC = ("buoi-pc-2", "10.20.1.12", 7777)


def test_the_leaks_that_the_audit_must_prove_are_drift_to_ansible(converged: Lab) -> None:
    """A run that knows nothing of them undoes them all, and a connection that they let through ends with them."""
    for fault in ("forwarding-leak", "leaked-route", "ipv6-open"):
        converged.break_(fault, "buoi")
    with serving(converged, *PC), running(converged, "buoi-citizen-1", "hold", PC[1], str(PC[2]), "5") as leaking:
        assert said(leaking) == "connected"
        found = play(converged, "channels.yml", "--limit", "buoi-gw", "--check", "--diff")
        assert found.changed == {"buoi-gw": 1}, found.tail
        healed = play(converged, "channels.yml", "--limit", "buoi-gw")
        assert healed.status == 0, healed.tail
        tell(leaking)
        assert said(leaking) in ("silent", "reset")
    converged.heal()
    after = play(converged, "channels.yml", "--limit", "buoi-gw", "--check", "--diff")
    assert (after.status, after.changed) == (0, {}), after.tail


def test_a_change_of_the_filter_alone_ends_a_connection_that_it_forbids(converged: Lab) -> None:
    """The way is still there, and the old rules' connection would go on by it."""
    for gateway in ("buoi-gw", "tay-ho-hub"):  # the hub forbids it too
        inside(converged, gateway, "nft", "insert", "rule", "inet", "wardnet", "forward", "accept")
    with (
        serving(converged, *PC),
        serving(converged, "portal", "10.20.200.10", 53),
        running(converged, "buoi-pc-1", "hold", "10.20.200.10", "53", "90") as allowed,
        running(converged, "portal", "hold", PC[1], str(PC[2]), "5") as forbidden,
    ):
        assert said(allowed) == "connected"
        assert said(forbidden) == "connected"
        healed = play(converged, "channels.yml", "--limit", "buoi-gw")
        assert healed.changed == {"buoi-gw": 1}, healed.tail
        tell(allowed)
        assert said(allowed) == "answered"
        tell(forbidden)
        assert said(forbidden) in ("silent", "reset")
    assert play(converged, "channels.yml", "--limit", "tay-ho-hub").changed == {"tay-ho-hub": 1}
