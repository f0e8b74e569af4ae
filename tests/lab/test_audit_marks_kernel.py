"""What the audit takes a connection's mark to be is what the kernel has it be, and for which packets there is one."""

from __future__ import annotations

import os
import re

import pytest

from tests.lab.kernel_support import Router, Sent, router

pytestmark = pytest.mark.lab

UDP, ICMP = 17, 1
CONFIGURED = """
ip addr add 10.0.1.1/24 dev p0; ip addr add 10.0.2.1/24 dev p1
sysctl -qw net.ipv4.ip_forward=1
nft -f - <<'END'
table ip t {
  chain raw {
    type filter hook prerouting priority raw
    udp dport 99 notrack
    ct mark != 7 counter comment "before-tracking"
  }
  chain pre {
    type filter hook prerouting priority mangle
    udp dport 99 ct mark != 7 counter comment "untracked-compared"
    udp dport 99 ct mark set 5 counter comment "untracked-set"
    udp dport 99 meta mark set ct mark counter comment "untracked-restored"
    udp dport 53 ct state new ct mark 0 counter comment "first"
    udp dport 53 ct state new ct mark 9 counter comment "again"
    udp dport 53 ct mark 0 ct mark set 9
    udp sport 53 ct state established ct mark 9 counter comment "answer"
  }
  chain out {
    type filter hook output priority filter
    ct mark 9 counter comment "rejected"
  }
  chain f {
    type filter hook forward priority filter
    udp dport 53 udp sport 777 reject
  }
}
END
"""


def packet(source: str, destination: str, source_port: int, port: int, incoming: str, number: int) -> Sent:
    return Sent(4, incoming, source, destination, UDP, source_port, port, 0, 0, f"marks{number:03}".encode())


def counted(here: Router) -> dict[str, int]:
    found = re.findall(r'counter packets (\d+) bytes \d+ comment "(.*)"', here.shell("nft list ruleset"))
    return {name: int(packets) for packets, name in found}


def test_a_connections_mark_is_what_the_audit_takes_it_to_be() -> None:
    """Before tracking and untracked there is none to read, so that != does not hold either; setting one then goes on
    with the rule, reading one ends it. A first packet finds 0; more like it, before any answer, are new and find what
    it left, as answers do, and as what a rule rejects with."""
    one, other = "10.0.1.7", "10.0.2.7"
    with router(f"wm{os.getpid()}") as here:
        here.shell(CONFIGURED)
        here.send([packet(one, other, 1234, 53, "p0", 1)])
        here.send([packet(one, other, 1234, 53, "p0", 2)])
        here.send([packet(other, one, 53, 1234, "p1", 3)])
        here.send([packet(one, other, 1, 99, "p0", 4)])
        here.send([packet(one, other, 777, 53, "p0", 5)])
        assert counted(here) == {
            "before-tracking": 0,
            "untracked-compared": 0,
            "untracked-set": 1,
            "untracked-restored": 0,
            "first": 2,
            "again": 1,
            "answer": 1,
            "rejected": 1,
        }
