"""Lines of every kind, in a lab of their own: the district's office with a leased internet line and BGP on its WAN.

Kernels of test machines have no VLAN, VRF or PPP: those are refused by name before anything is touched, and pppd itself
judges what would be dialled.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from lab import Lab, open_lab
from tests.lab.lab_support import CHECKOUT, LABS, lab_command
from tests.roles.roles_support import Probe, Run, answered, counters, inside, play, running, said, tell
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

pytestmark = pytest.mark.lab

NAME = f"{LABS}-channels"
LINES = Path(__file__).with_name("lines.py")
GATEWAY, HUB, CLERK, CITIZEN = "tay-ho-gw", "tay-ho-hub", "tay-ho-pc-1", "tay-ho-citizen-1"
CONTRACTED = 8_000_000  # bits a second, both ways: little enough for a flood that the machine does not feel
PORTAL = Probe("tcp", "10.20.200.10", 443)
PORTAL6 = Probe("tcp", "fd20:20:200::10", 443)
WEB = Probe("tcp", "203.0.113.80", 443)
WEB6 = Probe("tcp", "2001:db8:cafe::80", 443)
CROSSING = Probe("tcp", "10.20.0.12", 8080)
PATIENCE = 180  # seconds for what comes by itself


def inventory(folder: Path) -> Path:
    """The sample district, whose office has other lines, and an exception of its own."""
    copy = folder / "inventory"
    shutil.copytree(CHECKOUT / "inventory" / "tay-ho", copy)
    lines: list[str] = []
    circuit = ""
    for line in (copy / "district.yml").read_text().splitlines():
        if found := re.fullmatch(r" +- id: (\S+)", line):
            circuit = found[1]
        if circuit == "tay-ho-internet" and re.match(r" +ipv[46](_peer)?:", line):
            continue
        if circuit == "tay-ho-wan" and re.match(r" +- \{down:", line):
            line = f"          - {{down: {CONTRACTED // 1000}, up: {CONTRACTED // 1000}, valid_from: 2024-01-01}}"
        lines.append(line)
        if circuit == "tay-ho-internet" and line.strip() == "channel: internet":
            lines.append("        addressing: dhcp")
        if circuit == "tay-ho-wan" and line.strip() == "channel: wan":
            lines += ["        routing: bgp", "        bgp: {local_as: 64601, peer_as: 64600}"]
        if line == "exceptions:":
            lines += EXCEPTION.splitlines()
    (copy / "district.yml").write_text("\n".join([*lines, ""]))
    return copy


EXCEPTION = """  - id: tay-ho-trial
    from_host: tay-ho-citizen-1
    to_host: tay-ho-pc-2
    allow: [tcp/8080]
    owner: One-stop office
    approver: Head of the district's IT unit
    document: 13/QD-UBND (sample)
    reason: a trial
    valid_from: 2026-01-01
    expires: 2099-12-31"""


@pytest.fixture(scope="module")
def converged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Run]]:
    if os.geteuid() != 0:
        pytest.fail("tests of the roles need root: run them with sudo, or leave them out with -m 'not lab'")
    made = inventory(tmp_path_factory.mktemp("channels"))
    lab_command("down", "--name", NAME)
    done = lab_command("up", "--name", NAME, "--wards", "0", "--inventory", str(made))
    if done.returncode != 0:
        pytest.fail(f"the lab did not come up:\n{done.stdout}\n{done.stderr}")
    lab = open_lab(NAME)
    yield lab, play(lab, "channels.yml")
    if not os.environ.get("WARDNET_LAB_KEEP"):
        lab_command("down", "--name", NAME)


@pytest.fixture
def lab(converged: tuple[Lab, Run]) -> Lab:
    if converged[1].status != 0:
        pytest.fail(f"channels.yml failed:\n{converged[1].tail}")
    return converged[0]


def plain(lab: Lab) -> dict[str, Any]:
    district = read_district(lab.state / "inventory")
    today = datetime.now(ZoneInfo(district.timezone)).date()
    record: dict[str, Any] = to_plain(compile_plan(district, today).gateway(GATEWAY))
    return record


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s"
        time.sleep(0.5)


def reached(lab: Lab, host: str, *probes: Probe) -> bool:
    return all(answered(lab, host, probes).values())


def routes(lab: Lab, table: int, *words: str) -> list[str]:
    """Destinations in a table of the gateway, both families."""
    listed = [
        json.loads(inside(lab, GATEWAY, "ip", "-j", family, "route", "show", "table", str(table), *words) or "[]")
        for family in ("-4", "-6")
    ]
    return [route["dst"] for each in listed for route in each]


def vtysh(lab: Lab, host: str, *commands: str) -> str:
    return inside(lab, host, "vtysh", *(word for command in commands for word in ("-c", command)))


def nothing_differs(lab: Lab) -> None:
    run = play(lab, "channels.yml", "--check", "--diff")
    assert (run.status, run.changed) == (0, {}), run.tail


def test_both_channels_work(lab: Lab) -> None:
    until(lambda: reached(lab, CITIZEN, WEB, WEB6), "the internet over a lease")
    until(lambda: reached(lab, CLERK, PORTAL, PORTAL6), "the portal over routes by BGP")


def test_a_lease_is_in_the_channels_table_and_in_no_other(lab: Lab) -> None:
    until(lambda: routes(lab, 200, "dev", "inet0", "proto", "ra").count("default") == 1, "a way by advertisement")
    assert "default" in routes(lab, 200, "dev", "inet0", "proto", "dhcp")
    assert inside(lab, GATEWAY, "ip", "-4", "route", "show", "table", "main") == ""
    main = inside(lab, GATEWAY, "ip", "-6", "route", "show", "table", "main").splitlines()
    assert not [line for line in main if not line.startswith("fe80::/64")]
    # The provider also hands out a route to 10.0.0.0/8, and a domain.
    assert "10.0.0.0/8" not in routes(lab, 200) + routes(lab, 100)
    assert "provider.example" not in inside(lab, GATEWAY, "cat", "/etc/resolv.conf")


def test_what_bgp_brings_is_in_the_channels_table(lab: Lab) -> None:
    assert routes(lab, 100, "proto", "bgp") == ["10.16.0.0/12", "fd20::/16"]
    assert "bgp" not in inside(lab, GATEWAY, "ip", "route", "show", "table", "main")


def test_a_second_run_has_nothing_to_do(lab: Lab) -> None:
    nothing_differs(lab)


def test_what_stands_beside_a_lease_and_a_session_is_drift(lab: Lab) -> None:
    """All of it in one run of each: found, named, healed."""
    drift = {
        "-address 198.51.100.250/32 on inet0": "ip address add 198.51.100.250/32 dev inet0",
        "-route 192.0.2.0/24 dev inet0 metric 0 table 200": "ip route add 192.0.2.0/24 dev inet0 table 200",
        "+route 0.0.0.0/0 dev inet0 metric 100 table 200": "ip route del default dev inet0 table 200 proto dhcp",
        "-router bgp 64601 / neighbor 192.0.2.9 remote-as 64999": (
            "vtysh -c 'configure terminal' -c 'router bgp 64601' -c 'neighbor 192.0.2.9 remote-as 64999'"
        ),
        "-ingress ffff: on citizen0": "tc qdisc add dev citizen0 handle ffff: ingress",
        "+8000 kbit/s out of wan0": "tc qdisc del dev wan0 root",
    }
    for command in drift.values():
        inside(lab, GATEWAY, "sh", "-c", command)
    found = play(lab, "channels.yml", "--limit", GATEWAY, "--check", "--diff")
    assert found.status == 0, found.tail
    assert [said for said in drift if said not in found.output] == [], found.tail
    healed = play(lab, "channels.yml", "--limit", GATEWAY)
    assert healed.status == 0, healed.tail
    until(lambda: reached(lab, CITIZEN, WEB), "the internet over the lease again")
    until(lambda: reached(lab, CLERK, PORTAL), "the portal over routes by BGP again")
    nothing_differs(lab)


def test_a_withdrawn_route_leaves_the_channel_unreachable(lab: Lab) -> None:
    """Nothing falls over to the other line, and management still comes in."""
    hub = ("configure terminal", "router bgp 64600")
    for family, prefix in (("ipv4", "10.16.0.0/12"), ("ipv6", "fd20::/16")):
        vtysh(lab, HUB, *hub, f"address-family {family} unicast", f"no network {prefix}")
    try:
        until(lambda: routes(lab, 100, "proto", "bgp") == [], "the withdrawal")
        for address in ("10.20.200.10", "fd20:20:200::10"):
            way = lab.shell(GATEWAY, ["ip", "route", "get", address, "iif", "clerks0", "from", own(address)])
            assert b"unreachable" in (way.stdout + way.stderr).lower() or b"No route to host" in way.stderr
        assert not any(answered(lab, CLERK, [PORTAL, PORTAL6]).values())
        assert reached(lab, CITIZEN, WEB)
        healed = play(lab, "channels.yml", "--limit", HUB)
        assert healed.changed == {HUB: 1}, healed.tail
    finally:
        for family, prefix in (("ipv4", "10.16.0.0/12"), ("ipv6", "fd20::/16")):
            vtysh(lab, HUB, *hub, f"address-family {family} unicast", f"network {prefix}")
    until(lambda: reached(lab, CLERK, PORTAL, PORTAL6), "the portal when it is announced again")


def own(address: str) -> str:
    return "fd20:20::11" if ":" in address else "10.20.0.11"


def test_a_foreign_prefix_from_a_neighbour_is_refused(lab: Lab) -> None:
    """The hub announces the default, a network of the internet, and a part of the clerks' own LAN."""
    foreign = ("0.0.0.0/0", "203.0.113.0/24", "10.20.0.0/25")
    hub = ("configure terminal", "router bgp 64600", "address-family ipv4 unicast")
    announced = [f"network {prefix}" for prefix in foreign]
    vtysh(lab, HUB, *hub, *announced, "no neighbor 10.31.0.2 route-map tay-ho-wan-out4 out")
    vtysh(lab, HUB, "configure terminal", "router bgp 64600", "no bgp ebgp-requires-policy")
    try:
        vtysh(lab, HUB, "clear bgp ipv4 unicast 10.31.0.2 soft out")

        def sent() -> bool:
            listed = vtysh(lab, HUB, "show bgp ipv4 unicast neighbors 10.31.0.2 advertised-routes")
            return all(prefix in listed for prefix in foreign)

        until(sent, "the announcement")
        # Said after the foreign ones: once it is here, they have been looked at.
        vtysh(lab, HUB, *hub, "network 10.17.0.0/16")
        until(lambda: "10.17.0.0/16" in routes(lab, 100, "proto", "bgp"), "an announcement that is believed")
        assert sorted(routes(lab, 100, "proto", "bgp")) == ["10.16.0.0/12", "10.17.0.0/16", "fd20::/16"]
        assert "10.20.0.0/25" not in routes(lab, 254)
    finally:
        healed = play(lab, "channels.yml", "--limit", HUB)
    assert healed.changed == {HUB: 1}, healed.tail
    until(lambda: routes(lab, 100, "proto", "bgp") == ["10.16.0.0/12", "fd20::/16"], "the announcements as planned")


def test_the_software_goes_first_and_the_line_is_not_exceeded(lab: Lab) -> None:
    """While the clerks' line is flooded with twice what it carries, a connection to the portal does not wait in the
    queue that everything else waits in."""
    with in_network(lab, "tay-ho-pc-3", "flood", "10.20.200.53", "53", str(2 * CONTRACTED), str(2 * PATIENCE)):
        goes_first(lab, GATEWAY, "wan0")


def test_the_software_goes_first_on_the_way_down_too(lab: Lab) -> None:
    """What clerks feel: the hub holds the way down to the site. The flood is answers to a PC, from a port of the
    portal's host that is not its service's."""
    flood = ["answer", "53", str(2 * CONTRACTED), str(2 * PATIENCE)]
    with (
        in_network(lab, "portal", *flood),
        in_network(lab, "tay-ho-pc-3", "draw", "10.20.200.10", "53", str(2 * PATIENCE)),
    ):
        goes_first(lab, HUB, "tay-ho-wan")


@contextmanager
def in_network(lab: Lab, host: str, *words: str) -> Iterator[None]:
    """lines.py in the host's network for the time of the block."""
    argv = ["nsenter", f"--net={lab.layout.netns_path(host)}", sys.executable, str(LINES), *words]
    with subprocess.Popen(argv) as process:
        try:
            yield
        finally:
            process.kill()


def goes_first(lab: Lab, device: str, port: str) -> None:
    """At this end of the flooded line: the portal's packets before all others, and no more than is contracted."""
    before = counters(lab, device, "goes first")
    dropped = bucket(lab, device, port)["drops"]
    until(lambda: bucket(lab, device, port)["drops"] > dropped, "a full queue")

    def first() -> bool:
        done = lab.run(CLERK, [sys.executable, str(LINES), "compare", "9", "10.20.200.10:443", "10.20.200.53:53"])
        assert done.returncode == 0, done.stderr.decode()
        quick, slow = json.loads(done.stdout)
        return bool(quick < slow / 2)

    until(first, "the portal answers sooner than what waits its turn")
    begun, sent = time.monotonic(), bucket(lab, device, port)["bytes"]
    time.sleep(5)  # a stretch to count over, not a wait
    sent = bucket(lab, device, port)["bytes"] - sent
    assert sent * 8 / (time.monotonic() - begun) <= CONTRACTED * 1.02
    assert counters(lab, device, "goes first") > before


def bucket(lab: Lab, device: str = GATEWAY, port: str = "wan0") -> dict[str, Any]:
    listed = json.loads(inside(lab, device, "tc", "-s", "-j", "qdisc", "show", "dev", port))
    found: dict[str, Any] = next(each for each in listed if each["kind"] == "tbf")
    return found


def test_an_exception_ends_at_its_expiry_with_what_it_let_through(lab: Lab) -> None:
    """The gateway's own file, loaded with an end that is half a minute away."""
    soon = (
        r"""end=$(($(date +%s) + 30)); sed -E "s/meta time (<|>=) [0-9]+/meta time \1 $end/" /etc/nftables.conf"""
        " > /run/soon.nft && nft -f /run/soon.nft"
    )
    with running(lab, "tay-ho-pc-2", "serve", CROSSING.host, str(CROSSING.port)) as serving:
        assert said(serving) == "listening"
        with running(lab, CITIZEN, "hold", CROSSING.host, str(CROSSING.port), "5") as holding:
            assert said(holding) == "connected"
            inside(lab, GATEWAY, "sh", "-c", soon)
            try:
                until(lambda: not answered(lab, CITIZEN, [CROSSING])[str(CROSSING)], "the end of the exception")
                tell(holding)
                assert said(holding) in ("silent", "reset")
                assert reached(lab, CLERK, PORTAL)
                assert reached(lab, CITIZEN, WEB)
            finally:
                inside(lab, GATEWAY, "nft", "-f", "/etc/nftables.conf")
        assert answered(lab, CITIZEN, [CROSSING])[str(CROSSING)]


def test_a_power_cut_leaves_rates_routes_and_leases_as_they_were(lab: Lab) -> None:
    lab.power(GATEWAY, "cycle")
    until(lambda: reached(lab, CITIZEN, WEB, WEB6), "the internet after the boot")
    until(lambda: reached(lab, CLERK, PORTAL, PORTAL6), "the portal after the boot")
    assert bucket(lab)["options"]["rate"] * 8 == CONTRACTED
    nothing_differs(lab)


@pytest.mark.slow
def test_a_line_goes_from_bgp_to_static_routes_and_back(lab: Lab) -> None:
    """Each in one run of both ends, within the guarded change, and management comes in throughout."""
    written = lab.state / "inventory" / "district.yml"
    by_bgp = written.read_text()
    assert "routing: bgp" in by_bgp
    static = [line for line in by_bgp.splitlines() if line.strip() != "routing: bgp" and "local_as" not in line]
    written.write_text("\n".join([*static, ""]))
    try:
        changed = play(lab, "channels.yml")
        assert (changed.status, changed.failed) == (0, ()), changed.tail
        assert {GATEWAY, HUB} <= changed.changed.keys()
        for host in (GATEWAY, HUB):
            assert inside(lab, host, "sh", "-c", "systemctl is-active frr; systemctl is-enabled frr; true").split() == [
                "inactive", "disabled",
            ]  # fmt: skip
            assert "bgp" not in inside(lab, host, "ip", "route", "show", "table", "all")
        until(lambda: reached(lab, CLERK, PORTAL, PORTAL6), "the portal over static routes")
        nothing_differs(lab)
    finally:
        written.write_text(by_bgp)
        back = play(lab, "channels.yml")
    assert back.status == 0, back.tail
    until(lambda: routes(lab, 100, "proto", "bgp") == ["10.16.0.0/12", "fd20::/16"], "routes by BGP again")
    until(lambda: reached(lab, CLERK, PORTAL, PORTAL6), "the portal over routes by BGP again")
    nothing_differs(lab)


def without(gateway: dict[str, Any], channel: str) -> dict[str, Any]:
    """The gateway as it is when its site gives up a channel with all its networks."""
    gone = {port["name"] for port in gateway["ports"] if port["channel"] == channel}
    numbers = {table["number"] for table in gateway["tables"] if table["channel"] == channel}
    kept = {**gateway, "ports": [port for port in gateway["ports"] if port["name"] not in gone]}
    kept["tables"] = [
        {**table, "routes": [route for route in table["routes"] if route["port"] not in gone]}
        for table in gateway["tables"]
        if table["number"] not in numbers
    ]
    kept["rules"] = [rule for rule in gateway["rules"] if rule["table"] not in numbers]
    ends = {id(flow): {flow[end]["port"] for end in ("sender", "receiver")} for flow in gateway["flows"]}
    kept["flows"] = [flow for flow in gateway["flows"] if not ends[id(flow)] & gone]
    kept["masquerade"] = [port for port in gateway["masquerade"] if port not in gone]
    for name in ("shapes", "services", "line_probes", "bgp"):
        kept[name] = [each for each in gateway[name] if each["port"] not in gone]
    return kept


@pytest.mark.slow
def test_a_gateway_that_loses_a_channel_keeps_nothing_of_it(lab: Lab, tmp_path: Path) -> None:
    """Neither what runs, nor what the next boot would bring back."""
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"wardnet_gateway": without(plain(lab), "internet"), "commit_probes": []}))
    try:
        lost = play(lab, "channels.yml", "--limit", GATEWAY, "-e", f"@{given}")
        assert lost.status == 0, lost.tail
        files = inside(lab, GATEWAY, "find", "/etc/systemd/network", "-name", "*internet*")
        assert files == ""
        for family in ("-4", "-6"):
            assert "lookup 200" not in inside(lab, GATEWAY, "ip", family, "rule")
            assert routes_of(lab, family, "200") == []
            for port in ("inet0", "citizen0"):
                assert inside(lab, GATEWAY, "ip", family, "address", "show", "dev", port, "scope", "global") == ""
        assert reached(lab, CLERK, PORTAL, PORTAL6)
        again = play(lab, "channels.yml", "--limit", GATEWAY, "-e", f"@{given}")
        assert (again.status, again.changed) == (0, {}), again.tail
    finally:
        back = play(lab, "channels.yml", "--limit", GATEWAY)
    assert back.status == 0, back.tail
    until(lambda: reached(lab, CITIZEN, WEB, WEB6), "the internet again")
    until(lambda: reached(lab, CLERK, PORTAL, PORTAL6), "the portal over routes by BGP")
    nothing_differs(lab)


def routes_of(lab: Lab, family: str, table: str) -> list[str]:
    """Also of a table that nothing is in any more, which ip(8) calls an error."""
    listed = lab.shell(GATEWAY, ["ip", family, "route", "show", "table", table]).stdout.decode()
    return [line for line in listed.splitlines() if line]


@pytest.mark.parametrize(
    ("changes", "said_why"),
    [
        ({"parent": "eth7", "tag": 35}, "this kernel has no 802.1Q devices, which a tagged port needs"),
        (
            {"addressing": "pppoe", "parent": "eth7", "dialled": {"user": "u", "password": "vault:line"}},
            "this kernel has no PPP, which a dialled line needs",
        ),
        ({"vrf": "vrf-internet"}, "this kernel has no VRF devices, which the inventory wants for this gateway"),
    ],
    ids=["vlan", "pppoe", "vrf"],
)
def test_what_this_kernel_lacks_is_said_before_anything_is_touched(
    lab: Lab, tmp_path: Path, changes: dict[str, Any], said_why: str
) -> None:
    gateway = plain(lab)
    port = next(port for port in gateway["ports"] if port["name"] == "inet0")
    port.update(changes)
    given = tmp_path / "given.json"
    given.write_text(json.dumps({"wardnet_gateway": gateway, "wardnet_secrets": {"line": "geheim-93"}}))
    files = ("ls", "/etc/systemd/network", "/etc/ppp/peers")
    before = lab.shell(GATEWAY, files).stdout
    run = play(lab, "channels.yml", "--limit", GATEWAY, "--diff", "-e", f"@{given}")
    assert run.status != 0
    assert said_why in " ".join(run.output.split())
    assert "nothing was touched" in run.output
    assert "geheim-93" not in run.output
    if "dialled" not in changes:
        assert lab.shell(GATEWAY, files).stdout == before
    assert b"inet0.netdev" not in lab.shell(GATEWAY, files).stdout
    assert reached(lab, CITIZEN, WEB)


@pytest.mark.slow
def test_pppd_takes_what_would_be_dialled(lab: Lab, tmp_path: Path) -> None:
    """In place of the kernel's device pppd finds a file; with a dry run it goes no further than its options. A line
    over a port that is not there shows that it is asked."""
    install = "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ppp"
    inside(lab, GATEWAY, "sh", "-c", install)
    gateway = plain(lab)
    port = next(port for port in gateway["ports"] if port["name"] == "inet0")
    port.update(addressing="pppoe", dialled={"user": 'buoi "1"', "password": "vault:line"})
    given = tmp_path / "given.json"
    runs = {}
    inside(lab, GATEWAY, "touch", "/dev/ppp")
    try:
        for parent in ("citizen0", "nowhere0"):
            port.update(parent=parent)
            given.write_text(json.dumps({"wardnet_gateway": gateway, "wardnet_secrets": {"line": 'ge"heim\\93'}}))
            runs[parent] = play(lab, "channels.yml", "--limit", GATEWAY, "--check", "--diff", "-e", f"@{given}")
    finally:
        inside(lab, GATEWAY, "rm", "/dev/ppp")
    assert runs["citizen0"].status == 0, runs["citizen0"].tail
    assert "/etc/ppp/wardnet-inet0.secret" in runs["citizen0"].output
    assert runs["nowhere0"].status != 0
    assert "nic-nowhere0" in runs["nowhere0"].output
    assert not [run for run in runs.values() if "heim" in run.output]
