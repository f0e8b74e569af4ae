"""Gateways that Ansible provisioned: proved as they are, each leak found and its packet sent, proved when healed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab import Lab
from lab.faults import FAULTS
from lab.replay import replay
from tests.lab.lab_support import CHECKOUT, ansible, lab_command
from wardnet.compile import compile_plan
from wardnet.compile.policy import compile_policy
from wardnet.inventory import read_district

pytestmark = pytest.mark.lab

WARDNET = str(Path(sys.executable).with_name("wardnet"))
WARD = "buoi"
LEAKS = [name for name, fault in FAULTS.items() if fault.verdict.startswith("audit: violated")]


@pytest.fixture(scope="module", name="audited")
def with_audit_accounts(routed: Lab) -> Lab:
    done = ansible(routed, "audit.yml")
    assert done.returncode == 0, done.stdout.decode()[-4000:]
    routed.heal()
    return routed


def audit(lab: Lab, folder: Path) -> tuple[int, dict[str, Any]]:
    """Collected from the auditor's station over SSH, with pinned keys and the read-only account."""
    collected = lab.run(
        "auditor",
        [WARDNET, "collect", "-i", str(lab.state / "inventory"), "-o", str(folder), "--key",
         str(lab.state / "ssh" / "auditor"), "--known-hosts", str(lab.state / "known_hosts")],
        timeout=120,
    )  # fmt: skip
    assert collected.returncode == 0, collected.stderr.decode()
    done = subprocess.run([WARDNET, "audit", str(folder), "--json"], capture_output=True, check=False)
    assert done.stdout, done.stderr.decode()
    report: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, report


def replayed(lab: Lab, folder: Path, expected: int) -> dict[str, Any]:
    """What `wardnet audit --replay` records of a ward's snapshot, with the lab's prober; it ends as expected."""
    name = ("--name", lab.layout.name)
    places = lab_command("replay", "--places", *name)
    assert places.returncode == 0, places.stderr
    (folder.parent / "places.json").write_text(places.stdout)
    prober = shlex.join([sys.executable, "-m", "lab", "replay", "--plan", *name])
    argv = [WARDNET, "audit", str(folder), "--ward", WARD, "--json", "--replay", "--replay-with", prober]
    argv += ["--places", str(folder.parent / "places.json"), "--replay-most", "200", "--replay-seconds", "300"]
    done = subprocess.run(argv, capture_output=True, check=False, cwd=CHECKOUT)
    assert done.returncode == expected, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)["replay"]
    return found


def shown(report: dict[str, Any]) -> str:
    """Why a verdict is not what it should be."""
    return json.dumps([(d["problems"], d["crossings"]) for d in report["devices"]], indent=1)[:4000]


def test_provisioned_gateways_are_proved_and_wholly_understood(audited: Lab, tmp_path: Path) -> None:
    status, report = audit(audited, tmp_path / "snapshot")
    assert (status, report["verdict"]) == (0, "proved"), shown(report)
    for device in report["devices"]:
        assert device["collected"]
        assert [c for c in device["coverage"] if c["unknown"]] == []


@pytest.mark.parametrize("fault", LEAKS)
def test_a_leak_is_found_its_packet_crosses_and_healing_stops_both(audited: Lab, tmp_path: Path, fault: str) -> None:
    made = audited.break_(fault, WARD)
    try:
        status, report = audit(audited, tmp_path / "broken")
        assert (status, report["verdict"]) == (1, "violated")
        found = [c for device in report["devices"] for c in device["crossings"]]
        assert {c["ward"] for c in found} == {WARD}
        # A rule that is wide enough opens ways between zones of one channel too.
        crossings = [c for c in found if c["crosses"] == "channels"]
        assert {c["ward"] for c in crossings} == {WARD}
        families = {f"ipv{c['family']}" for c in crossings}
        assert families == {word for word in ("ipv4", "ipv6") if word in made.verdict}
        assert {c["verdict"] for c in crossings} == {"violated"}
        assert {c["rule"]["comment"] for c in crossings if c["packet"]["state"] == "new"} == {f"lab {fault}"}
        first = next(c for c in crossings if c["packet"]["state"] == "new" and c["from_channel"] == "internet")
        assert replay(audited, first).crossed
        sent = replayed(audited, tmp_path / "broken", 1)["packets"]
        assert "crossed" in {packet["outcome"] for packet in sent if packet["planned"]["kind"] == "counterexample"}
        assert "fault" not in {packet["outcome"] for packet in sent}
    finally:
        audited.heal()
    assert replay(audited, first).stopped
    status, report = audit(audited, tmp_path / "healed")
    assert (status, report["verdict"]) == (0, "proved"), shown(report)


def policy_file(lab: Lab, gateway: str) -> str:
    """What an auditor would write who is told the ports of the ward's gateway, and what its exceptions allow."""
    district = read_district(lab.layout.inventory)
    today = datetime.now(ZoneInfo(district.timezone)).date()
    compiled = compile_policy(district, compile_plan(district, today))
    found = next(device for device in compiled.devices if device.device == gateway)
    ports = [
        {
            "interface": port.interface,
            "channel": str(port.channel),
            "prefixes": [str(prefix) for prefix in port.prefixes],
        }
        for port in found.ports
    ]
    grants = [
        {
            "id": grant.id, "from": grant.from_interface, "to": grant.to_interface, "sender": str(grant.sender),
            "receiver": str(grant.receiver), "owner": grant.owner, "document": grant.document,
            "expires": grant.expires.isoformat(),
            "allow": [{"protocol": str(one.protocol), "ports": list(one.ports)} for one in grant.allow],
        }
        for grant in found.grants
    ]  # fmt: skip
    return json.dumps({"name": "by hand", "devices": [{"id": gateway, "ports": ports, "grants": grants}]})


def read_by_hand(lab: Lab, gateway: str, folder: Path) -> None:
    """The script that wardnet prints, run by somebody on the gateway, and the folder that it leaves brought here."""
    script = subprocess.run([WARDNET, "collect", "--script", "linux"], capture_output=True, check=True).stdout
    read = lab.shell(gateway, ["sh", "-c", f"rm -rf /run/{gateway} && cd /run && sh -s {gateway}"], stdin=script)
    assert read.returncode == 0, read.stderr.decode()
    brought = lab.shell(gateway, ["tar", "-C", "/run", "-c", gateway])
    folder.mkdir()
    subprocess.run(["tar", "-C", str(folder), "-x"], input=brought.stdout, check=True)


def test_without_inventory_and_account_the_verdict_is_the_same(audited: Lab, tmp_path: Path) -> None:
    gateway = f"{WARD}-gw"
    (tmp_path / "policy.yml").write_text(policy_file(audited, gateway))
    for name, fault, expected in (("as-it-is", "", 0), ("leaking", "forwarding-leak", 1)):
        if fault:
            audited.break_(fault, WARD)
        try:
            read_by_hand(audited, gateway, tmp_path / f"read-{name}")
        finally:
            audited.heal()
        snapshot = str(tmp_path / name)
        subprocess.run([WARDNET, "collect", "--from", str(tmp_path / f"read-{name}"), "-o", snapshot], check=True)
        argv = [WARDNET, "audit", snapshot, "--policy", str(tmp_path / "policy.yml")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == expected, done.stdout + done.stderr


def test_a_proved_ward_is_replayed_what_must_pass_passes_and_what_must_not_does_not(
    audited: Lab, tmp_path: Path
) -> None:
    status, report = audit(audited, tmp_path / "snapshot")
    assert (status, report["verdict"]) == (0, "proved"), shown(report)
    told = replayed(audited, tmp_path / "snapshot", 0)
    of_kind = {kind: [p for p in told["packets"] if p["planned"]["kind"] == kind] for kind in ("control", "forbidden")}
    not_heard = [packet for packet in of_kind["control"] if packet["outcome"] != "passed"]
    assert not not_heard, json.dumps(not_heard, indent=1)[:4000]
    assert {packet["planned"]["packet"]["family"] for packet in of_kind["control"]} == {4, 6}
    outcomes = {packet["outcome"] for packet in of_kind["forbidden"]}
    # Silent is what a place is that no conduit leads to or from; never a fault.
    assert "stopped" in outcomes <= {"stopped", "silent"}, told["reasons"]


def test_the_account_gives_artefacts_and_nothing_else(audited: Lab) -> None:
    """No shell, no other command, no forwarding: exit 2 with a word of why."""
    address = "10.30.1.1"
    login = ["ssh", "-i", str(audited.state / "ssh" / "auditor"), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
             "-o", f"UserKnownHostsFile={audited.state / 'known_hosts'}", f"wardnet-audit@{address}"]  # fmt: skip
    for asked in (["id"], ["nft-ruleset.json; id"], ["/usr/sbin/nft list ruleset"], []):
        done = audited.run("auditor", [*login, *asked], stdin=b"")
        assert done.returncode == 2, (asked, done.stdout)
        assert b"refused: name one artefact of the audit" in done.stderr
    done = audited.run("auditor", [*login, "ip-rule.json"], stdin=b"")
    assert done.returncode == 0
    assert json.loads(done.stdout)
