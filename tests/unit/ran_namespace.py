"""Runs within a network namespace of its own: addresses, routes and rules as they ran, brought back by ip(8) when
something else, as systemd-networkd by files that were edited, has set others. Called by test_plugins_ran.py."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack

from tests.unit.namespaces import apart
from tests.unit.plugins_support import PLUGINS, load

ran = load("module_utils", "wardnet_ran")

RAN = """\
address add 10.30.1.1/24 broadcast + dev mgmt0 noprefixroute
address add fd20::1/64 dev mgmt0 noprefixroute nodad
route add 10.30.1.0/24 dev mgmt0 table 100 proto static
route add 10.16.0.0/12 via 10.30.1.9 dev mgmt0 onlink table 100 proto static metric 20
route add 10.99.0.0/16 table 100 nexthop via 10.30.1.9 dev mgmt0 onlink nexthop via 10.30.1.8 dev mgmt0 onlink weight 3
route add unreachable default table 100 metric 4294967295 proto static
-6 route add unreachable default table 100 metric 4294967295 proto static
-6 route add default via fd20::9 dev mgmt0 table 100 proto static onlink
rule add priority 100 iif mgmt0 lookup 100 protocol static
-6 rule add priority 100 iif mgmt0 lookup 100 protocol static
rule add priority 101 not from 10.0.0.0/8 fwmark 0x1/0xff oif gone0 lookup 100
rule add priority 102 from 10.1.0.0/16 uidrange 0-99 ipproto tcp dport 22 unreachable
rule add priority 103 from all suppress_prefixlength 0 lookup main
"""
OTHERS = """\
address add 10.30.1.77/24 dev mgmt0
address delete 10.30.1.1/24 dev mgmt0
address delete fd20::1/64 dev mgmt0
address add fd20::1/64 dev mgmt0 nodad
route flush table 100
-6 route flush table 100
route add 10.16.0.0/12 via 10.30.1.55 dev mgmt0 onlink table 100 proto static metric 20
route add default via 10.30.1.77 dev mgmt0 onlink table 100
rule delete priority 100
rule add priority 5 from all lookup 7
-6 rule delete priority 100
"""
OF_DAEMONS = """\
route add 10.77.0.0/16 via 10.30.1.9 dev mgmt0 onlink table 100 proto bgp
route add 10.78.0.0/16 dev inet0 table 200 proto static
address add 192.0.2.9/24 dev inet0
"""


def ip(text: str) -> None:
    for line in text.splitlines():
        subprocess.run(["ip", *line.split()], check=True)


def links(stack: ExitStack) -> None:
    ip("link set lo up\n")
    for name in ("mgmt0", "inet0"):
        ip(f"link add {name} type veth peer name far netns {apart(stack)}\nlink set {name} up\n")


def go_back(then: object) -> subprocess.CompletedProcess[str]:
    """As the host does: the file alone."""
    return subprocess.run(
        [sys.executable, "-I", str(PLUGINS / "module_utils" / "wardnet_ran.py")],
        input=json.dumps({"ran": then, "without": ["inet0"]}), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def what_ran_is_back(stack: ExitStack) -> None:
    """Whatever stands in its place, and nothing of what a daemon or a provider has brought meanwhile is taken away."""
    links(stack)
    ip(RAN)
    without = frozenset({"inet0"})
    then = ran.look(without=without)
    assert sum(map(len, then.values())) == len(RAN.splitlines())
    assert (go_back(then).returncode, ran.look(without=without)) == (0, then)
    ip(OTHERS)
    ip(OF_DAEMONS)
    assert ran.look(without=without) != then
    done = go_back(then)
    assert done.returncode == 0, done.stderr
    assert ran.look(without=without) == then
    left = subprocess.run(["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    assert "10.77.0.0/16" in left
    assert "10.78.0.0/16" in left
    assert ran.look()["address"] != then["address"], "the provider's"


def what_cannot_be_brought_is_said(stack: ExitStack) -> None:
    links(stack)
    ip("address add 10.30.1.1/24 dev mgmt0 noprefixroute\nroute add 10.99.0.0/16 dev mgmt0 table 100 proto static\n")
    then = ran.look()
    ip("link set mgmt0 down\n")
    ran.PATIENCE = 0.5
    said = ran.bring(then, frozenset())
    assert said.startswith("-4 route 10.99.0.0/16 dev mgmt0 table 100 proto static"), said
    assert said.endswith("is not back"), said


if __name__ == "__main__":
    with ExitStack() as opened:
        globals()[sys.argv[1]](opened)
