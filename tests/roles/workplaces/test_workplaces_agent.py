"""The agent on a clerk's PC as it runs: what it measures, whom it answers, what it may do, and that it comes back."""

from __future__ import annotations

import json
import re
import time

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, answered, inside
from tests.roles.workplaces.workplaces_support import PC, as_root, converge

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(3600)]

UNIT = "wardnet-pc-exporter.service"
ADDRESS, ADDRESS6, PORT = "10.20.1.11", "fd20:20:1::11", 9811
ASKER = "monitoring"
MEASURED_WITHIN = 180.0  # a run a minute and family, the first some time within the first minute
CONFIG = "/etc/wardnet/pc-agent.json"


def ask(lab: Lab, path: str, host: str = ASKER) -> tuple[int, str]:
    """Status and body of the agent's answer, asked from a host of the lab; 0 where there is none."""
    url = f"http://{ADDRESS}:{PORT}{path}"
    done = lab.run(host, ["curl", "-sS", "-g", "-m", "20", "-w", "\n%{http_code}", url])
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status or 0), body


def samples(lab: Lab) -> dict[str, float]:
    status, text = ask(lab, "/metrics")
    assert status == 200, text
    rows = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {series: float(value) for series, _, value in rows}


def wait_until_measured(lab: Lab) -> dict[str, float]:
    """The samples once the portal was fetched in both families."""
    wanted = [
        f'wardnet_pc_service_up{{channel="wan",family="{family}",service="portal"}}' for family in ("ipv4", "ipv6")
    ]
    deadline = time.monotonic() + MEASURED_WITHIN
    while True:
        found = samples(lab)
        if all(found.get(series) == 1 for series in wanted):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(2)


def test_it_measures_the_portal_over_the_pcs_port_in_both_families(pc: Lab) -> None:
    found = wait_until_measured(pc)
    for family, source in (("ipv4", ADDRESS), ("ipv6", ADDRESS6)):
        labels = f'channel="wan",family="{family}",service="portal"'
        phased = f'channel="wan",family="{family}",phase="%s",service="portal"'
        phases = [found[f"wardnet_pc_service_phase_seconds{{{phased % phase}}}"]
                  for phase in ("dns", "connect", "tls", "first_byte", "transfer")]  # fmt: skip
        assert all(0 <= seconds < 10 for seconds in phases), phases
        assert found[f"wardnet_pc_service_tcp_round_trip_seconds{{{labels}}}"] > 0
        egress = f'channel="wan",family="{family}",interface="eth0",source="{source}"'
        assert found[f"wardnet_pc_egress_info{{{egress}}}"] == 1
    assert found["wardnet_pc_day_bytes"] > 0
    assert len(found) <= 40, "PCs are many"
    written = json.loads(inside(pc, PC, "cat", CONFIG))
    assert [each["id"] for each in written["services"]] == ["portal"]


def test_it_answers_the_monitoring_server_and_nobody_else(pc: Lab) -> None:
    probe = Probe("tcp", ADDRESS, PORT)
    assert answered(pc, ASKER, [probe]) == {str(probe): True}
    # Management's other hosts, the servers, the gateway it stands behind, the desk beside it, the other channel.
    for host in ("controller", "auditor", "portal", "buoi-gw", "buoi-pc-2", "buoi-citizen-1"):
        assert answered(pc, host, [probe]) == {str(probe): False}, host
    six = Probe("tcp", ADDRESS6, PORT)
    assert answered(pc, ASKER, [six]) == {str(six): False}, "Prometheus asks over IPv4"
    assert as_root(pc, f"ss -Hltn 'sport = :{PORT}'").split()[3] == f"{ADDRESS}:{PORT}"
    assert as_root(pc, f"ss -Hltn 'sport = :{PORT}' | wc -l") == "1"


def test_a_probe_is_of_what_the_inventory_names_and_of_nothing_else(pc: Lab) -> None:
    for family in ("ipv4", "ipv6"):
        status, text = ask(pc, f"/probe?module=http&target=portal&family={family}")
        assert (status, "probe_success 1" in text) == (200, True), text
    for target in ("10.20.200.10", "203.0.113.80", "portal-public", "hub", "https%3A%2F%2Fwww.congcong.example%2F", ""):
        assert ask(pc, f"/probe?module=http&target={target}")[0] == 403, target
    assert ask(pc, "/probe?module=icmp&target=portal")[0] == 400, "it has no raw socket"


def test_it_has_a_user_of_its_own_no_capability_and_its_limits(pc: Lab) -> None:
    asked = "MainPID,ActiveState,UnitFileState,Nice,MemoryMax,CPUQuotaPerSecUSec"
    shown = inside(pc, PC, "systemctl", "show", UNIT, "-p", asked)
    facts = dict(line.split("=", 1) for line in shown.splitlines())
    assert (facts["ActiveState"], facts["UnitFileState"]) == ("active", "enabled")
    assert (facts["Nice"], facts["MemoryMax"], facts["CPUQuotaPerSecUSec"]) == ("10", str(96 << 20), "100ms")
    status = as_root(pc, f"cat /proc/{facts['MainPID']}/status")
    assert re.search(r"^Uid:\t(\d+)", status, re.MULTILINE)[1] != "0"  # type: ignore[index]
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE), status
    assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE), status


def test_what_somebody_changes_of_it_is_found_and_healed(pc: Lab) -> None:
    wait_until_measured(pc)
    drop_in = f"/etc/systemd/system/{UNIT}.d"
    as_root(
        pc,
        f'sed -i \'s/"interval_seconds": 60/"interval_seconds": 10/\' {CONFIG}; '
        f"mkdir -p {drop_in}; printf '[Service]\\nAmbientCapabilities=CAP_NET_ADMIN\\n' > {drop_in}/more.conf; "
        f"systemctl daemon-reload; systemctl disable --now {UNIT}; "
        f"nft add rule inet wardnet input tcp dport {PORT} accept",
    )
    found = converge(pc, "--check", "--diff")
    assert found.status == 0, found.tail
    for what in (CONFIG, "more.conf", UNIT, str(PORT)):
        assert what in found.said, what
    healed = converge(pc)
    assert healed.status == 0, healed.tail
    assert json.loads(inside(pc, PC, "cat", CONFIG))["interval_seconds"] == 60
    assert as_root(pc, f"ls {drop_in} 2>/dev/null; true") == ""
    assert inside(pc, PC, "systemctl", "is-active", UNIT) == "active"
    probe = Probe("tcp", ADDRESS, PORT)
    assert answered(pc, "buoi-pc-2", [probe]) == {str(probe): False}
    wait_until_measured(pc)
    assert converge(pc).changed == {}
