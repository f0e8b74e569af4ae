"""What an access switch runs is compared with what is intended, and one transaction leads from the one to the other:
held against a real database of Open vSwitch, which needs no rights. The packets are in tests/roles."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import DAY, TAY_HO, going_back, load
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

switch = load("module_utils", "wardnet_switch")
switch_running = load("module_utils", "wardnet_switch_running")
switch_way_back = load("module_utils", "wardnet_switch_way_back")
part = load("module_utils", "wardnet_part_switch")
parts = load("module_utils", "wardnet_part")

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
Database = Callable[..., str]


def arguments(**others: Any) -> dict[str, Any]:
    plan = to_plain(compile_plan(read_district(TAY_HO), DAY).switch("buoi-sw"))
    return {"plan": plan, "flows": "/etc/openvswitch/wardnet.flows", "dead_vlan": 4094, "datapath": "", **others}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """ovs-vsctl of an empty database of its own, without a daemon that carries frames."""
    subprocess.run(["ovsdb-tool", "create", tmp_path / "conf.db", SCHEMA], check=True)
    address = f"unix:{tmp_path}/db.sock"
    server = subprocess.Popen(
        ["ovsdb-server", tmp_path / "conf.db", f"--remote=p{address}", f"--unixctl={tmp_path}/ctl", "-vconsole:off"]
    )

    def vsctl(*words: str) -> str:
        argv = ["ovs-vsctl", f"--db={address}", "--timeout=60", "--no-wait", *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "db.sock").exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        vsctl("init")
        yield vsctl
    finally:
        server.kill()
        server.wait()


def read(vsctl: Database) -> dict[str, list[dict[str, Any]]]:
    lists = [word for name in switch_running.TABLES for word in ("--", "list", name)]
    tables = switch_running.parse_tables(vsctl("--format=json", *lists))
    # What the daemon would fill in.
    for row in tables["Interface"]:
        row["ofport"] = row["ofport_request"]
    return dict(tables)


def gaps(vsctl: Database) -> list[str]:
    """What the database lacks or has too much, in words."""
    found = switch.compare(switch.read_intent(arguments()), switch_running.Running(read(vsctl)))
    return [gap.missing or f"foreign {gap.foreign}" for gap in found if gap.database]


def converge(vsctl: Database) -> None:
    vsctl(*switch.transaction(switch.read_intent(arguments()), read(vsctl)))


def test_one_transaction_leads_from_nothing_to_what_is_intended(database: Database) -> None:
    assert "bridge access" in gaps(database)
    converge(database)
    assert gaps(database) == []
    assert database("get", "port", "port6", "tag").strip() == "20"
    assert database("get", "port", "port8", "tag").strip() == "4094"
    assert database("get", "port", "port9", "trunks", "vlan_mode", "tag").split("\n")[:3] == ["[10, 20]", "trunk", "[]"]
    assert database("get", "bridge", "access", "fail_mode").strip() == "secure"
    before = read(database)
    converge(database)
    assert read(database) == before


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["set", "port", "port6", "tag=10"], "port port6: tag 20"),
        (["clear", "port", "port6", "tag"], "port port6: tag 20"),
        (["set", "port", "port6", "trunks=10"], "port port6: trunks none"),
        (["set", "port", "port9", "vlan_mode=native-untagged", "tag=10"], "port port9: vlan_mode trunk"),
        (["set", "port", "port9", "trunks=10,20,99"], "port port9: trunks 10,20"),
        (["clear", "port", "port8", "tag"], "port port8: tag 4094"),
        (["set", "port", "port1", "other_config:priority-tags=always"], "port port1: other_config none"),
        (["del-port", "port1"], "port port1: tag 10"),
        (["add-port", "access", "extra"], "foreign port extra"),
        (["add-br", "beside"], "foreign bridge beside"),
        (["set-manager", "ptcp:6640"], "foreign a manager of the database"),
        (["set-controller", "access", "tcp:192.0.2.1"], "bridge access: controller none"),
        (["del-fail-mode", "access"], "bridge access: fail_mode secure"),
        (
            ["--", "--id=@m", "create", "mirror", "name=m", "select-all=true", "output-vlan=20", "--", "set", "bridge",
             "access", "mirrors=@m"],
            "bridge access: mirrors none",
        ),
        (
            ["--", "--id=@s", "create", "sflow", 'targets="192.0.2.1"', "--", "set", "bridge", "access", "sflow=@s"],
            "bridge access: sflow none",
        ),
        (["set", "interface", "port1", "type=vxlan", "options:remote_ip=192.0.2.1"], "port port1: type none"),
        (["set", "bridge", "access", "other_config:forward-bpdu=true"], "bridge access: other_config none"),
        (["set", "bridge", "access", "mcast_snooping_enable=true"], "bridge access: mcast_snooping_enable false"),
        (["set", "open_vswitch", ".", "other_config:vlan-limit=1"], "foreign setting vlan-limit of Open vSwitch"),
        (
            ["--", "--id=@q", "create", "qos", "type=linux-htb", "--", "set", "port", "port1", "qos=@q"],
            "port port1: qos none",
        ),
        (["set", "interface", "port1", "ingress_policing_rate=10"], "port port1: ingress_policing_rate 0"),
        (["set", "interface", "port1", "mtu_request=1400"], "port port1: mtu_request none"),
        (["set", "interface", "port1", "ofport_request=77"], "port port1: number 5"),
        (["clear", "port", "access", "tag"], "port access: tag 4094"),
        (
            ["--", "del-port", "port1", "--", "--bond-iface=x", "add-bond", "access", "port1", "port1", "other"],
            "port port1: interfaces port1",
        ),
    ],
)  # fmt: skip
def test_what_somebody_changed_by_hand_is_found_and_brought_back(
    database: Database, words: list[str], found: str
) -> None:
    converge(database)
    database(*[word for word in words if word != "--bond-iface=x"])
    assert any(gap.startswith(found) for gap in gaps(database)), gaps(database)
    converge(database)
    assert gaps(database) == []


def test_on_which_hardware_it_works_is_not_taken_away(database: Database) -> None:
    converge(database)
    database("set", "open_vswitch", ".", "other_config:hw-offload=true", "other_config:dpdk-init=true")
    assert gaps(database) == []


def test_what_ovs_ofctl_sets_is_read_and_compared() -> None:
    shown = """OFPT_FEATURES_REPLY (xid=0x2): dpid:000046486764f444
actions: output enqueue
 1(port1): addr:5a:69:50:4b:fc:19
     config:     NO_FLOOD NO_FWD
     state:      0
     speed: 10000 Mbps now, 0 Mbps max
 13(port8): addr:5a:69:50:4b:fc:20
     config:     PORT_DOWN
     state:      LINK_DOWN
 LOCAL(access): addr:46:48:67:64:f4:44
     config:     PORT_DOWN
OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0
"""
    fragments, flags = switch_running.parse_description(shown)
    assert (fragments, flags) == ("normal", {("port1", "NO_FLOOD"), ("port1", "NO_FWD")})
    running = switch_running.Running({name: [] for name in switch_running.TABLES}, fragments=fragments, flags=flags)
    found = switch.compare(switch.read_intent(arguments()), running)
    assert {"port port1: flood", "port port1: forward", "fragments: nx-match"} <= {gap.missing for gap in found}
    assert not any(gap.database for gap in found if "port1: f" in gap.missing or "fragments" in gap.missing)


def test_the_way_to_the_manager_keeps_its_mac_address(database: Database) -> None:
    converge(database)
    mac = database("get", "interface", "mgmt0", "mac").strip()
    converge(database)
    assert database("get", "interface", "mgmt0", "mac").strip() == mac
    database("clear", "interface", "mgmt0", "mac")
    assert gaps(database) == ["port mgmt0: a MAC address that outlives a restart"]


def test_links_and_addresses_are_compared_too() -> None:
    intent = switch.read_intent(arguments())
    up = {port.name: port.up for port in intent.ports} | {"port8": True, "port1": False}
    addresses = frozenset({("mgmt0", "10.30.1.2/24"), ("mgmt0", "fd20:30:1::2/64"), ("port6", "172.20.1.9/24")})
    waiting = frozenset({("mgmt0", "fd20:30:1::2/64")})
    ways = frozenset({("mgmt0", "10.30.1.1"), ("port6", "172.20.1.1")})
    running = switch_running.Running({name: [] for name in switch_running.TABLES}, up, addresses, waiting, ways)
    found = [gap for gap in switch.compare(intent, running) if not gap.database]
    assert {gap.missing for gap in found} - {""} == {
        "port port8: off",
        "port port1: on",
        "address fd20:30:1::2/64 on mgmt0",
        "default route via fd20:30:1::1 on mgmt0",
    }
    assert {gap.foreign for gap in found if not gap.missing} == {
        "address 172.20.1.9/24 on port6",
        "default route via 172.20.1.1 on port6",
    }


class Fake:
    """A host whose programs say what is written here."""

    check_mode = False
    settle = 1.0

    def __init__(self, answers: dict[str, tuple[int, str, str]]) -> None:
        self._answers = answers

        self.at_boot = "enabled"
        self.library = Path("/usr/local/lib/wardnet")

    def unit(self, _name: str) -> dict[str, str]:
        return {"ActiveState": "inactive", "UnitFileState": self.at_boot}

    def attempt(self, argv: Any) -> tuple[int, str, str]:
        return self._answers.get(Path(argv[0]).name, (0, "", ""))

    def run(self, argv: Any) -> str:
        return self.attempt(argv)[1]


def made(answers: dict[str, tuple[int, str, str]], at_boot: str = "enabled", **others: Any) -> Any:
    step = load("module_utils", "wardnet_candidate").read_step(
        {
            "role": "access_switch",
            "part": "switch",
            "files": [{"path": "/etc/openvswitch/wardnet.flows", "content": "priority=0,actions=drop\n"}],
            "switch": arguments(**others),
        }
    )
    host = Fake(answers)
    host.at_boot = at_boot
    one = part.Switch((step,), host)
    one.read()
    return one


LINKS = json.dumps([{"ifname": name, "flags": [], "addr_info": []} for name in
                    [*(f"port{number}" for number in range(1, 10)),
                     *(f"gw-{name}" for name in ("clerks", "devices", "citizens", "wifi"))]])  # fmt: skip


def test_a_switch_without_the_port_that_the_inventory_names_is_refused(tmp_path: Path) -> None:
    links = json.dumps([one for one in json.loads(LINKS) if one["ifname"] != "port7"])
    one = made({"ip": (0, links, "")})
    with pytest.raises(parts.RefusedError, match="this switch has no port port7"):
        one.judge(tmp_path)


def test_the_vlan_of_unused_ports_can_be_no_networks(tmp_path: Path) -> None:
    one = made({"ip": (0, LINKS, "")}, dead_vlan=20)
    with pytest.raises(parts.RefusedError, match="VLAN 20 is that of ports which carry nothing"):
        one.judge(tmp_path)


def test_flows_that_would_not_be_taken_are_refused(tmp_path: Path) -> None:
    one = made({"ip": (0, LINKS, ""), "ovs-ofctl": (1, "", "unknown keyword")})
    with pytest.raises(parts.RefusedError, match="ovs-ofctl refuses the flows, nothing was touched: unknown keyword"):
        one.judge(tmp_path)


def test_open_vswitch_that_does_not_run_is_started_and_stopped_again_on_the_way_back(tmp_path: Path) -> None:
    one = made({"ip": (0, LINKS, "")})
    assert one.difference().needs == ("start openvswitch-switch.service",)
    one.judge(tmp_path)
    commands = [entry.argv for entry in one.undo() if hasattr(entry, "argv")]
    assert ("/usr/bin/systemctl", "stop", "openvswitch-switch.service") in commands
    assert commands[-1][-1] == "/usr/local/lib/wardnet/ran.py"


@pytest.mark.parametrize("mode", ["running", "boot"])
@pytest.mark.parametrize("there", [True, False])
def test_the_database_of_a_switch_that_did_not_run_comes_back_on_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, there: bool
) -> None:
    """Else the next boot would come up with what nobody has confirmed."""
    database = tmp_path / "conf.db"
    monkeypatch.setattr(switch_way_back, "DATABASE", database)
    monkeypatch.setattr(switch_way_back, "FORMER", tmp_path / "former.db")
    if there:
        database.write_bytes(b"OVSDB JSON as it was")
        database.chmod(0o640)
    back = [entry for entry in made({"ip": (0, LINKS, "")}).undo() if getattr(entry, "argv", ["sh"])[0] != part.IP]
    calls = [" ".join(entry.argv) for entry in back if hasattr(entry, "argv")]
    (put,) = [at for at, call in enumerate(calls) if str(database) in call]
    assert calls[put - 2 : put] == [
        "/usr/bin/systemctl stop openvswitch-switch.service",
        "/usr/bin/systemctl stop ovsdb-server.service ovs-vswitchd.service",
    ]
    ours = [
        entry for entry in back if not hasattr(entry, "argv") or entry.argv[0] == "/bin/sh"
    ]  # this machine's services are left alone
    log = [load("module_utils", "wardnet_way_back").plain("switch", entry) for entry in ours]
    for change in (True, False):
        if change:
            database.write_bytes(b"unconfirmed")
        assert going_back(log, mode) == []
        assert (database.read_bytes() if database.exists() else None) == (b"OVSDB JSON as it was" if there else None)
        assert not (tmp_path / "former.db").exists()
    assert not there or database.stat().st_mode & 0o777 == 0o640


def test_what_no_boot_starts_is_no_right_one_and_the_way_back_leaves_it_so() -> None:
    one = made({"ip": (0, LINKS, "")}, at_boot="disabled")
    assert one.difference().needs == ("start openvswitch-switch.service", "start systemd-networkd.service")
    back = {entry.argv: entry.when for entry in one.undo() if hasattr(entry, "argv")}
    assert back["/usr/bin/systemctl", "disable", "--quiet", "openvswitch-switch.service"] == "always"
