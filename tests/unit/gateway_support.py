"""A gateway of the sample district, really configured in a throw-away network namespace, and what it then prints.

Run as root to capture the fixtures again:  python -m tests.unit.gateway_support GATEWAY tests/unit/fixtures/FOLDER
For tests of a network, of the district with two wards:  ... --few GATEWAY tests/unit/fixtures/few/GATEWAY
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import jinja2

from wardnet.compile import compile_plan, compile_policy
from wardnet.compile.plain import to_plain
from wardnet.inventory import parse_district, read_district
from wardnet.model.plan import GatewayPlan, Plan, RouteKind
from wardnet.model.policy import AuditPolicy, DevicePolicy
from wardnet.model.snapshot import LINUX

ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parent / "fixtures"
AS_OF = date(2026, 11, 24)


def sample() -> tuple[Plan, AuditPolicy]:
    district = read_district(ROOT / "inventory" / "tay-ho")
    plan = compile_plan(district, AS_OF)
    return plan, compile_policy(district, plan)


FEW_WARDS = ("buoi", "nhat-tan")


def few_sample() -> tuple[Plan, AuditPolicy]:
    """The sample district with its server room, its office, and two of its wards."""
    root = ROOT / "inventory" / "tay-ho"
    names = ["district.yml", *(f"wards/{ward}.yml" for ward in FEW_WARDS)]
    district = parse_district({name: (root / name).read_bytes() for name in names})
    plan = compile_plan(district, AS_OF)
    return plan, compile_policy(district, plan)


def device_policy(policy: AuditPolicy, device: str) -> DevicePolicy:
    return next(entry for entry in policy.devices if entry.device == device)


def fixture(name: str) -> dict[str, bytes]:
    return {artefact.name: (FIXTURES / name / artefact.name).read_bytes() for artefact in LINUX}


def ruleset(gateway: GatewayPlan) -> str:
    """The role's own template, rendered as Ansible would."""
    found = importlib.util.spec_from_file_location("wardnet_filters", ROOT / "plugins/filter/wardnet.py")
    assert found is not None
    assert found.loader is not None
    filters = importlib.util.module_from_spec(found)
    found.loader.exec_module(filters)
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True, autoescape=False)  # noqa: S701
    environment.filters.update(filters.FilterModule().filters())
    template = ROOT / "roles/zone_firewall/templates/etc/nftables.conf.j2"
    return environment.from_string(template.read_text()).render(zone_firewall_gateway=to_plain(gateway))


def script(gateway: GatewayPlan, nftables: Path) -> str:
    """Shell commands that set the gateway up in a bare namespace: ports, addresses, tables, rules, filter."""
    lines = ["set -e", "ip link set lo up"]
    for number, port in enumerate(gateway.ports):  # names of the hub's ports leave no room for a longer one
        lines.append(f"ip link add name {port.name} type veth peer name far{number}")
        lines.append(f"ip link set far{number} netns $FAR; ip netns exec $FAR ip link set far{number} up")
        lines.append(f"ip link set {port.name} up")
        lines.append(f"ip addr add {port.ipv4} dev {port.name} noprefixroute")
        lines.append(f"ip addr add {port.ipv6} dev {port.name} noprefixroute nodad")
    for table in gateway.tables:
        for route in table.routes:
            words = ["ip", f"-{route.destination.version}", "route", "add"]
            if route.kind is RouteKind.UNREACHABLE:
                words += ["unreachable", str(route.destination)]
            else:
                words.append(str(route.destination))
                if route.via:
                    words += ["via", str(route.via)]
                words += ["dev", str(route.port)]
                if route.via:
                    words.append("onlink")
                elif route.destination.version == 4:
                    words += ["scope", "link"]
            words += ["table", str(table.number), "metric", str(route.metric)]
            lines.append(shlex.join(words))
    for rule in gateway.rules:
        for family in (4, 6) if rule.family == 0 else (rule.family,):
            words = ["ip", f"-{family}", "rule", "add", "pref", str(rule.priority)]
            words += [] if rule.incoming is None else ["iif", rule.incoming]
            words += [] if rule.outgoing is None else ["oif", rule.outgoing]
            words += [] if rule.source is None else ["from", str(rule.source)]
            words += [] if rule.destination is None else ["to", str(rule.destination)]
            lines.append(shlex.join([*words, "lookup", str(rule.table)]))
    lines += [
        f"nft -f {nftables}",
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
    ]
    return "\n".join(lines)


def captured(commands: str, artefacts: Path) -> None:
    """Runs the commands in a new namespace (far ends of its ports in another), and reads every artefact there."""
    reads = "\n".join(f"{shlex.join(a.command)} > {artefacts / a.name}" for a in LINUX)
    far = f"wardnet-far-{artefacts.stat().st_ino}"
    run = f"export FAR={far}\n{commands}\n{reads}"
    subprocess.run(["ip", "netns", "add", far], check=True)
    try:
        done = subprocess.run(["unshare", "-n", "bash", "-c", run], check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
    finally:
        subprocess.run(["ip", "netns", "delete", far], check=True)


def capture(gateway: GatewayPlan, folder: Path) -> Mapping[str, bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        nftables = Path(scratch) / "nftables.conf"
        nftables.write_text(ruleset(gateway))
        captured(script(gateway, nftables), folder)
    for path in folder.glob("*.json"):
        _slim(path)
    return {artefact.name: (folder / artefact.name).read_bytes() for artefact in LINUX}


def _slim(path: Path) -> None:
    """One record a line, so that a fixture can be read and its changes reviewed."""
    value: Any = json.loads(path.read_text() or "[]")
    records = value["nftables"] if isinstance(value, dict) else value
    body = ",\n".join(json.dumps(record) for record in records)
    path.write_text(f'{{"nftables": [\n{body}\n]}}\n' if isinstance(value, dict) else f"[\n{body}\n]\n")


if __name__ == "__main__":
    few = sys.argv[1] == "--few"
    plan, _ = few_sample() if few else sample()
    capture(plan.gateway(sys.argv[-2]), Path(sys.argv[-1]))
