"""wardnet audit on whole snapshots: exit codes, what it prints, hashes, and that the same bytes come out again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from collectors.collect import Reading, now, write_snapshot
from tests.unit.audit_support import UNKNOWN_MATCH, gateway, iif, oif, with_rule
from tests.unit.gateway_support import ROOT
from tests.unit.test_audit_gateway import forwarding_leak
from wardnet.audit.errors import AuditError
from wardnet.audit.policyfile import parse_policy
from wardnet.cli.main import build
from wardnet.inventory import read_district
from wardnet.model.intent import Channel, Platform

INVENTORY = ROOT / "inventory" / "tay-ho"
DAY = date(2026, 11, 24)


def snapshot(folder: Path, artefacts: dict[str, bytes] | None = None) -> Path:
    """Of buoi-gw alone; nhat-tan-gw could not be reached."""
    files = {
        path.relative_to(INVENTORY).as_posix(): path.read_bytes()
        for path in [INVENTORY / "district.yml", *(INVENTORY / "wards").glob("*.yml")]
    }
    readings = [
        Reading("buoi-gw", Platform.LINUX, now(), artefacts or gateway(), ""),
        Reading("nhat-tan-gw", Platform.LINUX, now(), {}, "timeout: 10.30.2.1:22 did not answer within 15 s"),
    ]
    write_snapshot(folder / "snap", readings, files, read_district(INVENTORY).sha256, "a test")
    return folder / "snap"


def audit(*arguments: object) -> Result:
    words = ["audit", *map(str, arguments)]
    return CliRunner().invoke(build(words), words, env={"COLUMNS": "200", "WARDNET_LANG": "en"})


def test_proved_ends_with_0_and_shows_the_matrix_exceptions_and_assumptions(tmp_path: Path) -> None:
    result = audit(snapshot(tmp_path), "--ward", "buoi")
    assert result.exit_code == 0, result.output
    assert result.output.count("● proved") == 5
    assert "only of: buoi" in result.output
    assert "buoi-resident-scan: 172.20.1.11/32 -> 10.20.1.20/32 tcp 80 at buoi-gw; 12/QD-UBND" in result.output
    assert "until 2027-12-31" in result.output
    assert "assumed to keep the channels apart" in result.output
    assert "buoi-building-gw" in result.output


def test_violated_ends_with_1_and_shows_packet_path_rule_and_suggestion(tmp_path: Path) -> None:
    result = audit(snapshot(tmp_path, forwarding_leak()), "--ward", "buoi")
    assert result.exit_code == 1
    assert "packet: tcp 172.20.1.10:40000 -> 10.20.1.10:443, new, in through citizen0" in result.output
    assert "route: table 100: 10.20.1.0/24 dev clerks0" in result.output
    assert "[nft-ruleset.json inet wardnet forward handle 900]" in result.output
    assert "nft delete rule inet wardnet forward handle 900" in result.output
    assert "follows from buoi-gw-1" in result.output


def test_unknown_ends_with_3_and_names_what_would_settle_it(tmp_path: Path) -> None:
    edited = with_rule(gateway(), [iif("citizen0"), oif("clerks0"), UNKNOWN_MATCH, {"accept": None}])
    result = audit(snapshot(tmp_path, edited), "--ward", "buoi")
    assert result.exit_code == 3
    assert (
        "unknown: buoi-gw nft-ruleset.json inet wardnet forward handle 900: meta cgroup; to settle it:" in result.output
    )


def test_a_device_that_is_missing_makes_the_whole_unknown_by_name(tmp_path: Path) -> None:
    result = audit(snapshot(tmp_path))
    assert result.exit_code == 3
    assert "nhat-tan-gw could not be collected: timeout: 10.30.2.1:22" in result.output
    assert "quang-an-gw is not in the snapshot" in result.output


def test_violated_wins_over_unknown(tmp_path: Path) -> None:
    assert audit(snapshot(tmp_path, forwarding_leak())).exit_code == 1


def test_the_same_snapshot_gives_the_same_bytes(tmp_path: Path) -> None:
    """In JSON on the terminal, in a file, and again from a copy made elsewhere."""
    where = snapshot(tmp_path, forwarding_leak())
    first = audit(where, "--json", "-o", tmp_path / "first.json")
    again = audit(where, "--json")
    assert first.stdout == again.stdout == (tmp_path / "first.json").read_text()
    assert not list(tmp_path.glob(".*.part"))
    moved = where.rename(tmp_path / "elsewhere")
    assert audit(moved, "--json").stdout == first.stdout


def test_the_json_has_matrix_hashes_coverage_and_packets_to_replay(tmp_path: Path) -> None:
    where = snapshot(tmp_path, forwarding_leak())
    record = json.loads(audit(where, "--json", "--ward", "buoi").stdout)
    assert record["verdict"] == "violated"
    assert record["snapshot_sha256"] == hashlib.sha256((where / "manifest.json").read_bytes()).hexdigest()
    assert {"ward": "buoi", "from": "internet", "to": "wan", "family": "ipv4", "verdict": "violated"} in record[
        "matrix"
    ]
    assert {"ward": "buoi", "from": "wan", "to": "internet", "family": "ipv6", "verdict": "proved"} in record["matrix"]
    assert {
        "ward": "buoi", "device": "buoi-gw", "from": "visitors", "to": "citizens", "family": "ipv6",
        "verdict": "proved",
    } in record["zones"]  # fmt: skip
    assert (record["statements"]["channels"], record["statements"]["network"]) == ("violated", None)
    (device,) = record["devices"]
    covered = device["coverage"][0]
    assert (covered["artefact"], covered["unknown"]) == ("nft-ruleset.json", 0)
    assert covered["modelled"] > covered["irrelevant"] > 0
    assert device["crossings"][0]["replay"] == {
        "device": "buoi-gw", "incoming": "citizen0", "outgoing": "clerks0", "family": 4, "state": "new", "down": [],
        "gone": [], "source": "172.20.1.10", "destination": "10.20.1.10", "protocol": "tcp", "source_port": 40000,
        "destination_port": 443,
    }  # fmt: skip
    artefact = record["artefacts"]["buoi-gw"]["sysctl.txt"]
    assert artefact == hashlib.sha256(gateway()["sysctl.txt"]).hexdigest()


# --- input that can't be used: exit 2, and the file by name


def spoil(path: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def apply(where: Path) -> None:
        (where / path).write_bytes(change((where / path).read_bytes()))

    return apply


def edit_manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def apply(where: Path) -> None:
        record = json.loads((where / "manifest.json").read_text())
        change(record)
        (where / "manifest.json").write_text(json.dumps(record))

    return apply


def first_artefact(record: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = record["devices"][0]["artefacts"][1]
    return found


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (spoil("devices/buoi-gw/nft-ruleset.json", lambda b: b.replace(b"drop", b"DROP", 1)),
         "devices/buoi-gw/nft-ruleset.json: changed since it was collected"),
        (spoil("devices/buoi-gw/sysctl.txt", lambda b: b[:-1]), "sysctl.txt: changed since it was collected"),
        (lambda where: (where / "devices/buoi-gw/ip-rule.json").unlink(), "ip-rule.json: No such file"),
        (lambda where: (where / "devices/buoi-gw/extra").write_text("x"), "extra: is not in the manifest"),
        (spoil("inventory/district.yml", lambda b: b + b"\n# later\n"), "inventory: changed since it was collected"),
        (spoil("inventory/wards/buoi.yml", lambda b: b"[\n" + b), "inventory: changed since it was collected"),
        (lambda where: (where / "inventory/wards/buoi.yml").unlink(), "inventory: changed since it was collected"),
        (lambda where: (where / "inventory/wards/more.yml").write_text("[x"), "inventory: changed since it was"),
        (spoil("manifest.json", lambda b: b[:100]), "manifest.json: damaged or truncated JSON"),
        (lambda where: (where / "manifest.json").unlink(), "manifest.json: No such file"),
        (edit_manifest(lambda r: r.update(format=9)), "not a snapshot of format 1"),
        (edit_manifest(lambda r: r.update(collected_at="2026-11-24T07:00:00")), "'collected_at' has no time zone"),
        (edit_manifest(lambda r: r["devices"].append(r["devices"][0])), "a device stands twice"),
        (edit_manifest(lambda r: r["devices"][0].update(device="../x")), "'../x' is no device's id"),
        (edit_manifest(lambda r: r["devices"][0].update(status="guessed")), "status 'guessed'"),
        (edit_manifest(lambda r: first_artefact(r).update(sha256="5")), "an artefact needs name, sha256 and bytes"),
    ],
)  # fmt: skip
def test_a_snapshot_that_was_changed_is_refused_by_name(
    tmp_path: Path, damage: Callable[[Path], object], said: str
) -> None:
    where = snapshot(tmp_path)
    damage(where)
    result = audit(where, "--ward", "buoi", "-o", tmp_path / "out.json")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("nft-ruleset.json", gateway()["nft-ruleset.json"][:9000], "buoi-gw: nft-ruleset.json: offset"),
        ("ip6-route.json", b"[]x", "buoi-gw: ip6-route.json: offset 2"),
        ("ip-rule.json", b"[]", "buoi-gw: ip-rule.json: offset 0: no rule at all"),
        ("sysctl.txt", b"nothing\n", "buoi-gw: sysctl.txt: line 1"),
    ],
)
def test_an_artefact_that_was_collected_damaged_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    result = audit(snapshot(tmp_path, {**gateway(), name: content}), "--ward", "buoi")
    assert result.exit_code == 2
    assert said in result.stderr


def test_questions_that_make_no_sense_end_with_2(tmp_path: Path) -> None:
    where = snapshot(tmp_path)
    assert audit(where, "--ward", "nowhere").exit_code == 2
    assert audit(where, "--policy", tmp_path / "none.yml").exit_code == 2
    assert audit(where, "--policy", tmp_path / "a", "--inventory", tmp_path).exit_code == 2
    assert audit(where, "-o", tmp_path / "no" / "such" / "folder").exit_code == 2
    assert audit(where, "-i", tmp_path / "no-inventory").exit_code == 2


# --- a policy file


POLICY = """
name: two rooms
devices:
  - id: buoi-gw
    ports:
      - {interface: wan0, channel: wan, label: leased line}
      - {interface: inet0, channel: internet}
      - {interface: clerks0, channel: wan, prefixes: [10.20.1.0/24, "fd20:20:1::/64"]}
      - {interface: mgmt0, channel: wan, prefixes: [10.30.1.0/24]}
      - {interface: citizen0, channel: internet, prefixes: [172.20.1.0/24]}
      - {interface: wifi0, channel: internet, prefixes: [172.21.1.0/24]}
    grants:
      - id: scan
        from: citizen0
        to: clerks0
        sender: 172.20.1.11/32
        receiver: 10.20.1.20/32
        allow: [{protocol: tcp, ports: [80]}]
        owner: the office
        document: 12/QD
        expires: 2027-12-31
      - {id: scan, from: citizen0, to: clerks0, sender: "2001:db8:20:1::11/128", receiver: "fd20:20:1::20/128",
         allow: [{protocol: tcp, ports: [80]}], owner: the office, document: 12/QD, expires: 2027-12-31}
assumptions:
  - {subject: the cables, reason: nobody looked}
"""


def test_a_policy_file_gives_the_same_verdict_without_an_inventory(tmp_path: Path) -> None:
    (tmp_path / "policy.yml").write_text(POLICY)
    result = audit(snapshot(tmp_path), "--policy", tmp_path / "policy.yml")
    assert result.exit_code == 0, result.output
    assert "nobody looked: the cables" in result.output


def zoned(*conduits: str) -> str:
    """The file with zones at two ports of one channel, and conduits."""
    text = POLICY.replace(
        "interface: citizen0, channel: internet", "interface: citizen0, channel: internet, zone: hall"
    )
    text = text.replace("interface: wifi0, channel: internet", "interface: wifi0, channel: internet, zone: wifi")
    return text.replace(
        "    grants:", "".join(["    conduits:\n", *conduits, "    grants:"]) if conduits else "    grants:"
    )


WEB = (
    "      - {{id: web, from: {port}, to: inet0, sender: {any}, receiver: {any}, allow: "
    "[{{protocol: tcp}}, {{protocol: udp}}, {{protocol: icmp}}]}}\n"
)


def test_a_policy_file_with_zones_needs_the_conduits(tmp_path: Path) -> None:
    (tmp_path / "policy.yml").write_text(zoned())
    refused = audit(snapshot(tmp_path), "--policy", tmp_path / "policy.yml")
    assert refused.exit_code == 1
    assert "within channel internet, from citizen0 (zone hall) to inet0 (zone internet), IPv4" in refused.output
    every = [WEB.format(port=port, any=a) for port in ("citizen0", "wifi0") for a in ("0.0.0.0/0", '"::/0"')]
    (tmp_path / "policy.yml").write_text(zoned(*every))
    result = audit(tmp_path / "snap", "--policy", tmp_path / "policy.yml")
    assert result.exit_code == 0, result.output
    assert "Between zones of one channel, at each device: 12 of 12 directions proved" in result.output


def test_an_expired_grant_of_a_policy_file_grants_nothing(tmp_path: Path) -> None:
    (tmp_path / "policy.yml").write_text(POLICY.replace("2027-12-31", "2020-12-31"))
    assert audit(snapshot(tmp_path), "--policy", tmp_path / "policy.yml").exit_code == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "p.yml:1: not valid YAML"),
        ("- a", "p.yml:1: a mapping of keys is expected"),
        ("", "p.yml:1: the file is empty"),
        ("a: \ud800".encode("utf-8", "surrogatepass"), "p.yml: not UTF-8"),
        (POLICY.replace("channel: internet}", "channel: internet, channel: wan}", 1),
         "p.yml:7: key 'channel' is given twice"),
        (POLICY + "devices: []\n", "p.yml:26: key 'devices' is given twice"),
        ("{name: x, device: []}", "p.yml: unknown key 'device'"),
        ("{name: x, devices: [{id: a}]}", "p.yml: devices[0]: a device needs ports"),
        ("{name: x, devices: [{id: a, ports: [{interface: b, channel: c}]}]}",
         "p.yml: devices[0] ports[0]: channel is one of wan, internet, not 'c'"),
        ("{name: x, devices: [{id: a, ports: [{interface: b, channel: wan, prefixes: [10.0.0.1/8]}]}]}",
         "ports[0]: prefixes: 10.0.0.1/8 has host bits set"),
        ("{name: x, devices: [{id: a, ports: [{interface: b, channel: wan, tag: 5}]}]}",
         "tag and dialled need a parent"),
        ("{name: x, devices: [{id: a, ports: [{interface: b, channel: wan, parent: c}]}]}", "parent needs a tag, or"),
        ("{name: x, devices: [{id: a, ports: [{interface: b, channel: wan, parent: c, tag: 4095}]}]}",
         "tag must be a number from 1 to 4094"),
        ("{name: x, devices: [{id: a, ports: [{interface: b, channel: wan, parent: c, dialled: 1}]}]}",
         "dialled is true or false"),
        (POLICY.replace("from: citizen0", "from: lan7"), "grants[0]: from is one of wan0"),
        (POLICY.replace("protocol: tcp", "protocol: tpc"), "allow[0]: protocol is one of tcp, udp, icmp"),
        (POLICY.replace("receiver: 10.20.1.20/32", "receiver: 'fd00::1'"), "sender and receiver are of two families"),
        (POLICY.replace("expires: 2027-12-31", "expires: soon"), "expires must be a date"),
        (POLICY.replace("ports: [80]", "ports: [http]"), "ports must be a list of ports"),
        (zoned(WEB.format(port="clerks0", any="0.0.0.0/0")), "conduits[0]: a conduit stays in one channel"),
        (zoned("      - {id: a, from: wifi0, to: inet0, sender: 10.0.0.0/8, receiver: 0.0.0.0/0}\n"),
         "a conduit needs allow"),
    ],
)  # fmt: skip
def test_a_wrong_policy_file_is_refused_with_its_place(text: str | bytes, said: str) -> None:
    with pytest.raises(AuditError) as raised:
        parse_policy("p.yml", text if isinstance(text, bytes) else text.encode(), DAY)
    assert said in str(raised.value)


SWITCH = """switches:
  - id: sw1
    bridge: br0
    vlans:
      - {id: 10, channel: wan, prefixes: [10.20.1.0/24]}
      - {id: 30, channel: internet}
    ports:
      - {name: up, trunk: [10, 30]}
      - {name: desk, vlan: 10}
      - {name: hall, vlan: 30}
      - {name: spare}
"""


def test_a_policy_file_says_what_a_switch_keeps_apart() -> None:
    (found,) = parse_policy("p.yml", (POLICY + SWITCH).encode(), DAY).switches
    assert [(port.name, port.vlans, port.tagged) for port in found.ports] == [
        ("up", (10, 30), True), ("desk", (10,), False), ("hall", (30,), False), ("spare", (), False),
    ]  # fmt: skip
    assert found.channels == {10: Channel.WAN, 30: Channel.INTERNET}
    assert (found.device, found.ward, found.bridge, str(found.networks[10][0])) == ("sw1", "sw1", "br0", "10.20.1.0/24")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SWITCH.replace("vlan: 10}", "vlan: 10, trunk: [30]}"), "switches[0] ports[1]: a port has a vlan, or a trunk"),
        (SWITCH.replace("id: 30", "id: 10"), "switches[0]: vlans: one stands twice"),
        (SWITCH.replace("id: 30", "id: 5000"), "vlans[1]: id must be a number from 1 to 4094"),
        (SWITCH.replace("[10, 30]", "10"), "ports[0]: trunk must be a list"),
        (SWITCH.replace("[10, 30]", "[10, true]"), "ports[0]: trunk must be a number from 1 to 4094"),
        (SWITCH.replace("sw1", "buoi-gw"), "devices and switches: an id stands twice"),
        (SWITCH.replace("name: spare", "interface: spare"), "ports[3]: unknown key 'interface'"),
        (SWITCH.partition("    ports:")[0], "switches[0]: a switch needs ports"),
    ],
)
def test_a_wrong_switch_of_a_policy_file_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(AuditError) as raised:
        parse_policy("p.yml", (POLICY + text).encode(), DAY)
    assert said in str(raised.value)


def test_a_switch_that_a_policy_file_names_and_nobody_read_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "policy.yml").write_text(POLICY + SWITCH)
    result = audit(snapshot(tmp_path), "--policy", tmp_path / "policy.yml")
    assert result.exit_code == 3, result.output
    assert "sw1 is not in the snapshot" in result.output


def test_a_policy_file_says_what_a_port_stands_on() -> None:
    text = """{name: x, devices: [{id: a, ports: [
      {interface: lan10, channel: wan, parent: trunk0, tag: 10},
      {interface: ppp0, channel: internet, parent: eth1, dialled: true}]}]}"""
    ports = parse_policy("p.yml", text.encode(), DAY).devices[0].ports
    assert [(port.parent, port.tag, port.dialled) for port in ports] == [("trunk0", 10, False), ("eth1", None, True)]


def test_an_audit_that_compared_nothing_is_unknown(tmp_path: Path) -> None:
    """All ports on one channel: there is nothing to prove, and so nothing is proved."""
    one_channel = POLICY.replace("channel: internet", "channel: wan").partition("    grants:")[0]
    (tmp_path / "policy.yml").write_text(one_channel)
    result = audit(snapshot(tmp_path), "--policy", tmp_path / "policy.yml")
    assert result.exit_code == 3, result.output
    assert "nothing was compared" in result.output
