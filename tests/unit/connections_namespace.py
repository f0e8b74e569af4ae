"""What happens to connections through a gateway whose packet filter is changed, in network namespaces. Run as a
program: the name of a function as argument; an AssertionError is the test's failure.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.unit.namespaces import PATIENCE, apart, inside
from tests.unit.plugins_namespace import STARTED, candidate, host_module, packet_filter, run

RULES = """flush ruleset
table inet wardnet {
  chain forward {
    type filter hook forward priority filter; policy drop;
    iifname "client0" ip saddr != { 10.20.8.0/24, 10.20.9.0/24 } counter drop comment "not from client0"
    iifname "server0" ip saddr { 10.20.8.0/24 } counter drop comment "elsewhere than server0"
    ct state invalid counter drop
    ct state established,related counter accept comment "answers"
    FLOWS
    counter comment "no flow"
  }
}
"""
PORTAL = 'iifname "client0" oifname "server0" ip saddr 10.20.8.11 tcp dport 443 counter accept comment "portal a.yml:1"'
DESK = 'iifname "client0" oifname "server0" ip saddr 10.20.8.11 tcp dport 8443 counter accept comment "desk a.yml:9"'
FOLDER = tempfile.TemporaryDirectory(prefix="wardnet-test-")


@contextmanager
def neighbours() -> Iterator[tuple[int, int]]:
    """This namespace is a gateway between two others, a client and a server; a process of each."""
    with ExitStack() as stack:
        pids = []
        for name, own, far in (("client", "10.20.8.1", "10.20.8.11"), ("server", "10.31.8.2", "10.31.8.1")):
            pid = apart(stack)
            run("ip", "link", "add", f"{name}0", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
            run("ip", "address", "add", f"{own}/24", "dev", f"{name}0")
            run("ip", "link", "set", f"{name}0", "up")
            inside = ("nsenter", f"--target={pid}", "--net", "ip")
            run(*inside, "address", "add", f"{far}/24", "dev", "eth0")
            run(*inside, "link", "set", "eth0", "up")
            run(*inside, "route", "add", "default", "via", own)
            pids.append(pid)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        yield pids[0], pids[1]


def change(ruleset: str) -> None:
    """As the two runs of a commit do it."""
    step = {"role": "r", "part": "filter", "files": [{"path": "/etc/nftables.conf", "content": ruleset}]}
    for confirmed in (False, True):
        host = host_module.Host(shown=STARTED, lock=Path(FOLDER.name) / "lock")
        part = packet_filter.Filter(candidate.read_steps([step]), host)
        if confirmed:
            part.confirmed()
            assert host.warnings == []
        else:
            part.read()
            part.apply()
            part.verify()


def connect(pids: tuple[int, int], port: int) -> tuple[socket.socket, socket.socket]:
    server = inside(pids[1], lambda: socket.create_server(("10.31.8.1", port)))
    client = inside(pids[0], lambda: socket.create_connection(("10.31.8.1", port), PATIENCE))
    far, _ = server.accept()
    server.close()
    far.settimeout(PATIENCE)
    client.sendall(b"request")
    assert far.recv(100) == b"request"
    return client, far


def is_answered(pair: tuple[socket.socket, socket.socket], patience: float = PATIENCE) -> bool:
    """Whether the server's next word reaches the client, who says nothing meanwhile."""
    client, far = pair
    client.settimeout(patience)
    far.sendall(b"answer")
    try:
        return client.recv(100) == b"answer"
    except TimeoutError:
        return False


def requests_in_flight_are_answered() -> None:
    with neighbours() as pids:
        run("nft", "-f", "-", given=RULES.replace("FLOWS", f"{PORTAL}\n{DESK}"))
        for flows in (
            f"{PORTAL}\n{DESK}".replace("a.yml:", "b.yml:7"),  # comments alone
            f"{DESK}\n{PORTAL}",
            PORTAL,  # another flow goes
            PORTAL.replace("10.20.8.11 ", "{ 10.20.8.11, 10.20.8.12 } "),
            PORTAL.replace(" 443 ", " { 443, 8443 } meta time < 4102444800 "),
        ):
            waits = connect(pids, 443)
            change(RULES.replace("FLOWS", flows))
            assert is_answered(waits), flows
        waits = connect(pids, 443)
        change(RULES.replace("FLOWS", PORTAL).replace("10.20.8.0/24", "10.20.8.0/24, 10.20.10.0/24"))
        assert is_answered(waits), "drops that judge every packet"


def what_only_the_former_rules_let_begin_ends() -> None:
    with neighbours() as pids:
        for flows, port in (
            (PORTAL, 8443),
            (f"{PORTAL}\n{DESK}".replace("10.20.8.11 tcp dport 8443", "10.20.8.12 tcp dport 8443"), 8443),
            (f"{PORTAL}\n{DESK}".replace("dport 8443", "dport 8443 meta time < 1500000000"), 8443),
            (f"{PORTAL}\n tcp dport 8443 counter drop\n{DESK}", 8443),
        ):
            run("nft", "-f", "-", given=RULES.replace("FLOWS", f"{PORTAL}\n{DESK}"))
            ends, waits = connect(pids, port), connect(pids, 443)
            change(RULES.replace("FLOWS", flows))
            assert is_answered(waits), flows
            assert not is_answered(ends, 1), flows
        run("nft", "-f", "-", given=RULES.replace("FLOWS", f"{PORTAL}\naccept"))
        ends = connect(pids, 9000)
        change(RULES.replace("FLOWS", PORTAL))
        assert not is_answered(ends, 1)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
