"""What the tests of the guarded parts do in a network namespace of their own. Run as a program: the name of a function
as argument; an AssertionError is the test's failure.
"""

from __future__ import annotations

import atexit
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.namespaces import apart
from tests.unit.plugins_support import going_back, load

candidate = load("module_utils", "wardnet_candidate")
host_module = load("module_utils", "wardnet_host")
kernel = load("module_utils", "wardnet_kernel")
network = load("module_utils", "wardnet_part_network")
parts = load("module_utils", "wardnet_part")
packet_filter = load("module_utils", "wardnet_part_filter")
probe = load("module_utils", "wardnet_probe")
settings = load("module_utils", "wardnet_part_settings")
way_back = load("module_utils", "wardnet_way_back")

RULESET = """flush ruleset
table inet wardnet {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    tcp dport 22 counter accept comment "ssh"
  }
}
"""
STARTED = {"nftables.service": {"ActiveState": "active", "UnitFileState": "enabled"}}


def run(*argv: str, given: str | None = None) -> str:
    done = subprocess.run(argv, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


def library() -> Path:
    """As install() lays it there."""
    folder = Path(tempfile.mkdtemp(prefix="wardnet-test-"))
    atexit.register(shutil.rmtree, folder)
    for name, module in way_back.SCRIPTS.items():
        (folder / name).write_text(way_back.source(module))
    return folder


def filter_part(ruleset: str = RULESET) -> Any:
    host = host_module.Host(shown=STARTED, library=library())
    step = {"role": "r", "part": "filter", "files": [{"path": "/etc/nftables.conf", "content": ruleset}]}
    part = packet_filter.Filter(candidate.read_steps([step]), host)
    part.read()
    return part


def go_back(part: Any, back: list[Any] | None = None) -> list[str]:
    """By the way back as it was before the change, where that is given."""
    entries = [way_back.plain(part.name, entry) for entry in back or part.undo()]
    failed: list[str] = going_back(entries, "timer")
    return failed


def filter_comes_and_goes() -> None:
    run("nft", "-f", "-", given="table inet before { chain c { counter accept; }; }")
    before = run("nft", "-s", "list", "ruleset")
    part = filter_part()
    difference = part.difference()
    assert 'table inet wardnet, chain input: tcp dport 22 counter accept comment "ssh"' in difference.missing
    assert difference.foreign[0] == "table inet before"
    assert difference.facts["foreign_tables"] == ["inet before"]
    part.judge(Path("/"))
    part.apply()
    part.verify()
    assert not filter_part().difference()
    for _ in range(2):  # each entry is harmless when it is run twice
        assert go_back(part) == []
    assert run("nft", "-s", "list", "ruleset") == before


def filter_finds_tables_with_flags() -> None:
    """nft 1.0.6 says no more of them in JSON than how it begins."""
    run("nft", "-f", "-", given="table inet zz { flags dormant; chain c { accept; }; }")
    part = filter_part()
    assert part.difference().facts["foreign_tables"] == ["inet zz"]
    assert "table inet zz: flags dormant" in part.difference().foreign
    before = run("nft", "-s", "list", "ruleset")
    part.judge(Path("/"))
    part.apply()
    part.verify()
    assert not filter_part().difference()
    assert go_back(part) == []
    assert run("nft", "-s", "list", "ruleset") == before
    # Our own, which then filters nothing.
    run("nft", "-f", "-", given=RULESET)
    run("nft", "add", "table", "inet", "wardnet", "{ flags dormant; }")
    part = filter_part()
    assert part.difference().foreign == ("table inet wardnet: flags dormant",)
    part.judge(Path("/"))
    part.apply()
    part.verify()


def filter_names_a_table_that_a_program_holds() -> None:
    holder = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert holder.stdin
    try:
        holder.stdin.write(b"add table inet held { flags owner; }\n")
        holder.stdin.flush()
        deadline = time.monotonic() + 60
        while "held" not in run("nft", "list", "tables"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        part = filter_part()
        assert part.difference().facts["foreign_tables"] == ["inet held"]
        assert "table inet held: flags owner" in part.difference().foreign
        with pytest.raises(parts.RefusedError, match=r"holds the table inet held .*nothing was touched"):
            part.judge(Path("/"))
    finally:
        holder.stdin.close()
        holder.wait(60)
    assert "held" not in run("nft", "list", "tables")
    part = filter_part()
    part.judge(Path("/"))


def connections_of_rules_that_are_taken_back_end() -> None:
    """The candidate lets a connection begin that the former rules do not."""
    run("ip", "link", "set", "lo", "up")
    former = (
        "flush ruleset; table inet wardnet { chain input { type filter hook input priority 0; policy drop; %s }; }\n"
    )
    run("nft", "-f", "-", given=former % "ct state established,related accept; ct state invalid drop;")
    part = filter_part(former % "accept; ct state established accept;")
    part.judge(Path("/"))
    back = [way_back.plain(part.name, entry) for entry in part.undo()]
    part.apply()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 60) as far:
        near, _ = server.accept()
        with near:
            far.sendall(b"while armed")
            assert near.recv(100) == b"while armed"
            assert going_back(back, "timer") == []
            # In the middle of a connection nothing is new: without a record it is none of the former rules' own.
            near.settimeout(1)
            far.sendall(b"after it")
            with pytest.raises(TimeoutError):
                near.recv(100)


def filter_finds_what_was_moved() -> None:
    loopback, ssh = ('iifname "lo" accept', 'tcp dport 22 counter accept comment "ssh"')
    other_order = RULESET.replace(loopback, "X").replace(ssh, loopback).replace("X", ssh)
    run("nft", "-f", "-", given=other_order)
    assert filter_part().difference().missing == ("the order of the rules",)


def filter_refuses_a_way_back_that_nft_does_not_take() -> None:
    # Another tool may name its table as nft itself would not read it again.
    command = '{"nftables": [{"add": {"table": {"family": "inet", "name": "not ours"}}}]}'
    run("nft", "-j", "-f", "-", given=command)
    part = filter_part()
    with pytest.raises(parts.RefusedError, match="not of wardnet: inet not ours"):
        part.judge(Path("/"))
    assert "wardnet" not in run("nft", "list", "ruleset")


def settings_come_and_go() -> None:
    def read(values: dict[str, str], optional: list[str] | None = None) -> Any:
        step = {"role": "r", "part": "settings", "settings": {"values": values, "optional": optional or []}}
        part = settings.Settings(candidate.read_steps([step]), host_module.Host())
        part.read()
        return part

    values = {"net/ipv4/conf/all/accept_redirects": "0", "net/ipv4/ip_forward": "1"}
    for name, value in (("net/ipv4/ip_forward", "0"), ("net/ipv4/conf/all/accept_redirects", "1")):
        (Path("/proc/sys") / name).write_text(value)
    part = read({**values, "net/ipv4/conf/absent0/rp_filter": "0"}, ["net/ipv4/conf/absent0/"])
    assert set(part.difference().foreign) == {
        "net/ipv4/ip_forward = 0", "net/ipv4/conf/all/accept_redirects = 1",
    }  # fmt: skip
    part.apply()
    part.verify()
    assert not read(values).difference()
    at_boot = [way_back.plain(part.name, entry) for entry in part.undo()]
    assert going_back(at_boot, "boot") == []
    assert read(values).difference().foreign == ("net/ipv4/conf/all/accept_redirects = 1",), "no filter is loaded then"
    for _ in range(2):
        assert go_back(part) == []
    assert set(read(values).difference().foreign) == set(part.difference().foreign)
    (Path("/proc/sys/net/ipv4/conf/all/accept_redirects")).write_text("0")
    wrong = parts.UndoCommand((*settings.WRITE, "net/ipv4/conf/absent0/proxy_arp=1", "net/ipv4/ip_forward=nonsense"))
    assert going_back([way_back.plain(part.name, wrong)], "timer") != [], "an absent port hides no other error"


def network_is_read_and_goes_back() -> None:
    run("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "far0")
    run("ip", "link", "set", "far0", "up")
    run("ip", "link", "set", "wan0", "up")
    run("ip", "address", "add", "10.31.1.2/30", "dev", "wan0", "noprefixroute")
    run("ip", "-6", "address", "add", "fd20:31:1::2/64", "dev", "wan0", "nodad", "noprefixroute")
    for destination, via in (("0.0.0.0/0", "10.31.1.1"), ("::/0", "fd20:31:1::1")):
        family = "-6" if ":" in via else "-4"
        run(
            "ip",
            family,
            "route",
            "add",
            destination,
            "via",
            via,
            "dev",
            "wan0",
            "onlink",
            "table",
            "100",
            "metric",
            "100",
        )
    run("ip", "rule", "add", "priority", "1900", "iif", "lo", "table", "100")
    gateway = {
        "ports": [
            {"name": "wan0", "channel": "wan", "ipv4": "10.31.9.2/30", "ipv6": "fd20:31:1::2/64"},
        ],
        "tables": [{"number": 100, "channel": "wan", "routes": []}],
        "rules": [],
    }  # fmt: skip
    step = {"role": "r", "part": "network", "network": {"gateway": gateway, "channel": "wan"}}
    shown = {network.NETWORKD: {"ActiveState": "active", "UnitFileState": "enabled"}}

    def read() -> Any:
        part = network.Network(candidate.read_steps([step]), host_module.Host(shown=shown, library=library()))
        part.read()
        return part

    part = read()
    difference = part.difference()
    assert difference.missing == ("address 10.31.9.2/30 on wan0",), difference
    assert set(difference.foreign) == {
        "address 10.31.1.2/30 on wan0",
        "route 0.0.0.0/0 via 10.31.1.1 dev wan0 metric 100 table 100",
        "route ::/0 via fd20:31:1::1 dev wan0 metric 100 table 100",
        "rule 1900 IPv4: iif lo lookup 100",
    }, difference
    back = part.undo()
    # Whatever was there is gone and whatever was to come has come, as half way through the change.
    run("ip", "address", "flush", "dev", "wan0", "scope", "global")
    run("ip", "address", "add", "10.31.9.2/30", "dev", "wan0", "noprefixroute")
    run("ip", "-6", "address", "add", "fd20:31:1::2/64", "dev", "wan0", "nodad", "noprefixroute")
    run("ip", "rule", "delete", "priority", "1900")
    for _ in range(2):
        failed = [said for said in go_back(part, back) if "networkctl" not in said]
        assert failed == [], failed
    assert run("ip", "rule").count("1900:") == 1
    again = read().difference()
    assert (set(again.missing), set(again.foreign)) == (set(difference.missing), set(difference.foreign)), again


UNUSUAL = (
    "rule add priority 500 not from 10.0.0.0/8 fwmark 0x5/0xff lookup main",
    "rule add priority 501 lookup main suppress_prefixlength 0",
    "rule add priority 502 ipproto tcp dport 22-30 sport 5 lookup 100",
    "rule add priority 503 uidrange 100-200 tos 0x10 lookup 100 protocol 77",
    "rule add priority 504 fwmark 7 blackhole",
    "rule add priority 1010 fwmark 1 iif wan0 lookup 100",
    "rule add priority 1010 lookup 100",
    "-6 rule add priority 500 fwmark 7 lookup 100",
    "route add blackhole 10.0.0.0/8 table 100",
    "route add 10.2.0.0/16 table 100 nexthop via 10.31.1.1 dev wan0 nexthop via 10.31.1.3 dev wan0 weight 3",
    "route add 10.3.0.0/16 via 10.31.1.1 mtu 1300 src 10.31.1.2 table 100",
    "route add 10.4.0.0/16 dev wan0 table 100 tos 0x10 advmss 1000",
    "route add 10.5.0.0/16 via 10.31.1.1 table local",
    "-6 route add 2001:db8:1::/48 via fd20:31:1::1 table 100 mtu 1400",
    "-6 route add blackhole 2001:db8:2::/48 table 100",
)


def network_brings_back_what_is_unusual_just_as_it_was() -> None:
    """And takes no rule of ours away with a foreign one that is less particular."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "far0")
    run("ip", "link", "set", "far0", "up")
    run("ip", "link", "set", "wan0", "up")
    run("ip", "address", "add", "10.31.1.2/24", "dev", "wan0")
    run("ip", "-6", "address", "add", "fd20:31:1::2/64", "dev", "wan0", "nodad")
    run("ip", "rule", "add", "priority", "1010", "iif", "wan0", "table", "100", "protocol", "static")
    rule = {"family": 4, "priority": 1010, "table": 100, "incoming": "wan0", "outgoing": None, "source": None}
    gateway = {
        "ports": [{"name": "wan0", "channel": "wan", "ipv4": "10.31.1.2/24", "ipv6": "fd20:31:1::2/64"}],
        "tables": [{"number": 100, "channel": "wan", "routes": []}],
        "rules": [{**rule, "destination": None}],
    }
    step = {"role": "r", "part": "network", "network": {"gateway": gateway, "channel": "wan", "hold_main": True}}
    shown = {network.NETWORKD: {"ActiveState": "active", "UnitFileState": "enabled"}}

    def listing() -> list[str]:
        shows = [
            run("ip", family, *what.split()) for family in ("-4", "-6") for what in ("rule", "route show table all")
        ]
        of_kernel = ("fe80::", "ff00::", "table local proto kernel")  # which come a little later
        return sorted(line for line in "".join(shows).splitlines() if not any(one in line for one in of_kernel))

    def read() -> Any:
        part = network.Network(candidate.read_steps([step]), host_module.Host(shown=shown, library=library()))
        part.read()
        return part

    ours = listing()
    for words in UNUSUAL:
        run("ip", *words.split())
    before = listing()
    part = read()
    foreign = [item for item in part._difference.foreign if not isinstance(item, kernel.Address)]
    routes = [item for item in foreign if isinstance(item, kernel.Route) and item.table != 254]
    rules = [item for item in foreign if isinstance(item, kernel.Rule)]
    assert len(routes) + len(rules) == len(UNUSUAL), foreign
    part.judge(Path("/"))
    back = part.undo()
    for item in [*routes, *rules]:
        part._delete(item)
    assert listing() == ours
    for _ in range(2):
        failed = [said for said in go_back(part, back) if "networkctl" not in said]
        assert failed == [], failed

    def plain(lines: list[str]) -> set[str]:
        return {line.replace(" proto static", "").replace(" onlink", "") for line in lines}

    assert plain(listing()) == plain(before), plain(listing()) ^ plain(before)


def network_leaves_what_neighbours_bring_to_the_end() -> None:
    """Routes of a session that ends are in nobody's way: part routing ends it, and what is left then goes."""
    run("ip", "link", "add", "wan0", "type", "veth", "peer", "name", "far0")
    run("ip", "link", "set", "far0", "up")
    run("ip", "link", "set", "wan0", "up")
    run("ip", "address", "add", "10.31.1.2/30", "dev", "wan0", "noprefixroute")
    learned = "10.16.0.0/12 via 10.31.1.1 dev wan0 onlink table 100 metric 20"
    run("ip", "route", "add", *learned.split(), "proto", "bgp")
    gateway = {
        "ports": [{"name": "wan0", "channel": "wan", "ipv4": "10.31.1.2/30", "ipv6": None}],
        "tables": [{"number": 100, "channel": "wan", "routes": []}],
        "rules": [],
    }
    step = {"role": "r", "part": "network", "network": {"gateway": gateway, "channel": "wan"}}
    shown = {network.NETWORKD: {"ActiveState": "active", "UnitFileState": "enabled"}}

    class Host(host_module.Host):  # type: ignore[misc, name-defined]
        def run(self, argv: Any, stdin: str | None = None) -> str:
            return "" if "networkctl" in argv[0] else str(super().run(argv, stdin))

    part = network.Network(candidate.read_steps([step]), Host(shown=shown))
    part.read()
    assert part.difference().foreign == ("route 10.16.0.0/12 via 10.31.1.1 dev wan0 metric 20 table 100",)
    part.judge(Path("/"))
    assert not [entry for entry in part.undo() if "10.16.0.0/12" in entry.argv]
    part.apply()
    assert "proto bgp" in run("ip", "route", "show", "table", "100")
    part.verify()
    assert "bgp" not in run("ip", "route", "show", "table", "all")


def network_refuses_what_it_could_not_bring_back() -> None:
    strange = kernel.Route(4, 254, "10.0.0.0/8", 0, "wan0", "", False, other='{"encap": "mpls"}')
    part = network.Network((), host_module.Host())
    part._difference, part._stray = SimpleNamespace(foreign=(strange,)), {}
    with pytest.raises(parts.RefusedError, match=r"the way back is refused.*route 10\.0\.0\.0/8 dev wan0 .*mpls"):
        part.judge(Path("/"))


@contextmanager
def neighbour() -> Iterator[None]:
    """Another namespace at the far end of port line0, with addresses that answer."""
    run("ip", "link", "set", "lo", "up")
    with ExitStack() as stack:
        far = apart(stack)
        run("ip", "link", "add", "line0", "type", "veth", "peer", "name", "far0", "netns", str(far))
        inside = ("nsenter", f"--target={far}", "--net", "ip")
        for where, port, four, six in (
            (("ip",), "line0", "192.0.2.1", "2001:db8::1"),
            (inside, "far0", "192.0.2.2", "2001:db8::2"),
        ):
            run(*where, "link", "set", port, "up")
            run(*where, "address", "add", f"{four}/24", "dev", port)
            run(*where, "address", "add", f"{six}/64", "dev", port, "nodad")
        yield


def lines_are_asked_out_of_their_port() -> None:
    with neighbour():
        asked = probe.questions(
            [
                {
                    "port": "line0",
                    "channel": "wan",
                    "targets": ["192.0.2.2", "2001:db8::2"],
                    "peers": ["192.0.2.2", "2001:db8::2"],
                },
                {"port": "line0", "channel": "dead", "targets": ["192.0.2.9", "2001:db8::9"], "peers": ["192.0.2.9"]},
                {"port": "absent0", "channel": "absent", "targets": ["192.0.2.2"]},
                {"port": "lo", "channel": "elsewhere", "targets": ["192.0.2.2"], "peers": ["192.0.2.2"]},
            ]
        )
        answered: frozenset[Any] = frozenset()
        deadline = time.monotonic() + 60
        while len(answered) < 4 and time.monotonic() < deadline:
            answered = probe.ask(asked)
        assert {(q.line, q.address, q.neighbour) for q in answered} == {
            ("wan at line0", address, neighbour)
            for address in ("192.0.2.2", "2001:db8::2")
            for neighbour in (False, True)
        }, answered
        demands = probe.demanded(answered)
        assert {(q.address, q.neighbour) for q in demands} == {("192.0.2.2", False), ("2001:db8::2", False)}
        assert probe.wait_for(demands, time.monotonic() + 60) == []
        run("ip", "link", "set", "line0", "down")
        assert probe.wait_for(demands, time.monotonic()) == [
            "192.0.2.2 over wan at line0",
            "2001:db8::2 over wan at line0",
        ]


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"
    globals()[sys.argv[1]]()
