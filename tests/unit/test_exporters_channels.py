"""Two channels in network namespaces: each is measured over itself, whatever the routing table prefers.

The hub (behind wan0) and the ISP (behind inet0) hold the same addresses, so that only a probe's own binding
decides which of them answers.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest

from exporters.config import Family
from exporters.dns import TYPE_A, TYPE_AAAA
from exporters.echo import EchoSocket
from exporters.icmp import checksum
from tests.unit.exporters_support import (
    DnsServer,
    Page,
    WebServer,
    configuration,
    dns_server,
    loopback_channel,
    web_server,
)

pytestmark = pytest.mark.lab

SERVER = {Family.IPV4: "192.0.2.80", Family.IPV6: "2001:db8:80::1"}
GATEWAY = {
    "wan": {Family.IPV4: "10.31.1.2", Family.IPV6: "fd20:31:1::2"},
    "internet": {Family.IPV4: "198.51.100.6", Family.IPV6: "2001:db8:ff:1::2"},
}
PEER = {
    "wan": {Family.IPV4: "10.31.1.1", Family.IPV6: "fd20:31:1::1"},
    "internet": {Family.IPV4: "198.51.100.5", Family.IPV6: "2001:db8:ff:1::1"},
}
PORTS = {"wan": "wan0", "internet": "inet0"}
TABLES = {"wan": "100", "internet": "200"}
NAMES = {"wan": f"wardnet-hub-{os.getpid()}", "internet": f"wardnet-isp-{os.getpid()}"}
GATEWAY_NAME = f"wardnet-gw-{os.getpid()}"
CLONE_NEWNET = 0x40000000


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@contextmanager
def namespace(name: str) -> Iterator[None]:
    ip("netns", "add", name)
    try:
        ip("-n", name, "link", "set", "lo", "up")
        # Addresses are used at once: there is nobody to hold the same one.
        execute(name, "sysctl", "-qw", "net.ipv6.conf.all.accept_dad=0", "net.ipv6.conf.default.accept_dad=0")
        yield
    finally:
        ip("netns", "del", name)


def execute(name: str, *command: str) -> str:
    return subprocess.run(
        ["ip", "netns", "exec", name, *command], check=True, capture_output=True, text=True, timeout=30
    ).stdout


@contextmanager
def inside(name: str) -> Iterator[None]:
    """This thread in a namespace; sockets that are opened meanwhile stay there."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with Path("/proc/self/ns/net").open() as home, Path(f"/run/netns/{name}").open() as there:
        if setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            if setns(home.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")


@dataclass
class Side:
    """What stands behind one channel."""

    web: dict[Family, WebServer]
    dns: DnsServer


@pytest.fixture(scope="module")
def sides() -> Iterator[dict[str, Side]]:
    with ExitStack() as stack:
        for name in (GATEWAY_NAME, *NAMES.values()):
            stack.enter_context(namespace(name))
        found = {}
        for channel, name in NAMES.items():
            port, table = PORTS[channel], TABLES[channel]
            ip("link", "add", port, "netns", GATEWAY_NAME, "type", "veth", "peer", "name", "peer0", "netns", name)
            for family, bits in ((Family.IPV4, "30"), (Family.IPV6, "64")):
                flag = f"-{family.version}"
                ip("-n", GATEWAY_NAME, "address", "add", f"{GATEWAY[channel][family]}/{bits}", "dev", port)
                ip("-n", name, "address", "add", f"{PEER[channel][family]}/{bits}", "dev", "peer0")
                ip("-n", name, "address", "add", SERVER[family], "dev", "lo")
                ip("-n", GATEWAY_NAME, "link", "set", port, "up")
                ip("-n", name, "link", "set", "peer0", "up")
                via = ("default", "via", PEER[channel][family], "dev", port)
                ip("-n", GATEWAY_NAME, flag, "route", "add", *via, "table", table)
                ip("-n", GATEWAY_NAME, flag, "rule", "add", "oif", port, "lookup", table)
                if channel == "internet":  # what an unbound probe would take
                    ip("-n", GATEWAY_NAME, flag, "route", "add", *via)
            with inside(name):
                web = {
                    family: stack.enter_context(web_server(family, host=SERVER[family], port=80)) for family in Family
                }
                dns = stack.enter_context(dns_server(53, SERVER))
            for server in web.values():
                server.pages["/"] = Page(body=(b"x" * (1000 if channel == "wan" else 2000),))
            dns.addresses["portal.tayho.example", TYPE_A] = [SERVER[Family.IPV4]]
            dns.addresses["portal.tayho.example", TYPE_AAAA] = [SERVER[Family.IPV6]]
            found[channel] = Side(web, dns)
        yield found


def document() -> dict[str, Any]:
    channels = configuration()["channels"]
    for channel in channels:
        own = GATEWAY[channel["id"]]
        channel.update(
            interface=PORTS[channel["id"]],
            ipv4=own[Family.IPV4],
            ipv6=own[Family.IPV6],
            resolvers=[SERVER[Family.IPV4], SERVER[Family.IPV6]],
        )
    return configuration(
        listen=["127.0.0.1"],
        channels=channels,
        reflectors=[
            {"id": name, "channel": channel, "ipv4": SERVER[Family.IPV4], "ipv6": SERVER[Family.IPV6]}
            for name, channel in (("hub", "wan"), ("isp", "internet"))
        ],
        services=[
            {"id": f"portal-{channel}", "channel": channel, "url": "http://portal.tayho.example/"} for channel in PORTS
        ],
    )


PORT = {"link": 9807, "software": 9808}


def samples(plane: str) -> dict[str, float]:
    text = fetch(plane, "/metrics")
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, _, value in lines}


def fetch(plane: str, path: str) -> str:
    """As a scraper in the gateway's namespace gets it."""
    with inside(GATEWAY_NAME), socket.create_connection(("127.0.0.1", PORT[plane]), timeout=20) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
        with sock.makefile("rb") as file:
            return file.read().partition(b"\r\n\r\n")[2].decode()


def wait_for(plane: str, condition: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    deadline = time.monotonic() + 30
    found: dict[str, float] = {}
    while time.monotonic() < deadline:
        try:
            found = samples(plane)
        except ConnectionRefusedError:  # still starting
            found = {}
        if found and condition(found):
            return found
        time.sleep(0.1)
    raise AssertionError(f"never came true; the last metrics: {found}")


@pytest.fixture(scope="module")
def exporters(sides: dict[str, Side], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("exporters")
    (folder / "agent.json").write_text(json.dumps(document()))
    running = []
    try:
        for plane in PORT:
            launcher = f"import sys; from exporters.{plane} import main; sys.exit(main())"
            command = ["ip", "netns", "exec", GATEWAY_NAME, sys.executable, "-c", launcher]
            options = ["--config.file", str(folder / "agent.json"), "--config.ca-dir", str(folder / "ca.d")]
            running.append(subprocess.Popen([*command, *options]))
        yield
    finally:
        for process in running:
            process.terminate()
        codes = [process.wait(10) for process in running]
    assert codes == [0, 0]


def service_labels(channel: str, family: Family) -> str:
    return f'channel="{channel}",family="{family.value}",service="portal-{channel}"'


def link_labels(channel: str, family: Family) -> str:
    return f'channel="{channel}",family="{family.value}",reflector="{"hub" if channel == "wan" else "isp"}"'


@pytest.mark.usefixtures("exporters")
@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("channel", list(PORTS))
def test_service_is_measured_over_its_own_channel(channel: str, family: Family, sides: dict[str, Side]) -> None:
    labels = service_labels(channel, family)
    found = wait_for("software", lambda now: now.get(f"wardnet_service_up{{{labels}}}") == 1)
    assert found[f"wardnet_service_received_bytes{{{labels}}}"] == (1000 if channel == "wan" else 2000)
    source = GATEWAY[channel][family]
    egress = f'channel="{channel}",family="{family.value}",interface="{PORTS[channel]}",source="{source}"'
    assert found[f"wardnet_service_egress_info{{{egress}}}"] == 1
    assert {client for client, _, _ in sides[channel].web[family].seen} == {source}
    assert {client for client, _ in sides[channel].dns.queries} <= set(GATEWAY[channel].values())
    assert (source, "udp") in sides[channel].dns.queries


@pytest.mark.usefixtures("exporters")
@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("channel", list(PORTS))
def test_round_trips_are_measured_over_their_own_channel(channel: str, family: Family) -> None:
    labels = link_labels(channel, family)
    found = wait_for("link", lambda now: now.get(f"wardnet_link_round_trip_seconds_count{{{labels}}}", 0) >= 2)
    assert found[f"wardnet_link_probes_lost_total{{{labels}}}"] == 0
    assert 0 < found[f"wardnet_link_last_round_trip_seconds{{{labels}}}"] < 0.1
    source = GATEWAY[channel][family]
    egress = f'channel="{channel}",family="{family.value}",interface="{PORTS[channel]}",source="{source}"'
    assert found[f"wardnet_link_egress_info{{{egress}}}"] == 1


@pytest.mark.usefixtures("exporters")
def test_counters_are_those_of_the_own_namespace() -> None:
    before = wait_for("link", lambda now: 'wardnet_circuit_up{channel="wan"}' in now)
    ends = [(GATEWAY_NAME, PORTS["wan"], PEER["wan"]), (NAMES["wan"], "peer0", GATEWAY["wan"])]
    for name, port, towards in ends:
        with inside(name), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, port.encode())
            for _ in range(50):
                sock.sendto(bytes(1000), (towards[Family.IPV4], 9))
    after = samples("link")

    def grown(metric: str, channel: str) -> float:
        series = f'wardnet_circuit_{metric}_total{{channel="{channel}"}}'
        return after[series] - before[series]

    assert after['wardnet_circuit_up{channel="wan"}'] == 1
    assert grown("receive_packets", "wan") >= 50
    assert grown("receive_bytes", "wan") >= 50 * 1042
    assert grown("transmit_bytes", "wan") >= 50 * 1042
    assert grown("receive_bytes", "internet") < 50 * 1042


@pytest.mark.usefixtures("exporters")
def test_probes_on_demand_leave_by_the_channel_too(sides: dict[str, Side]) -> None:
    for channel, size in (("wan", "1000"), ("internet", "2000")):
        for family in Family:
            text = fetch("link", f"/probe?module=http&target=portal-{channel}&family={family.value}")
            assert "probe_success 1.0\n" in text
            assert f"probe_received_bytes {size}.0\n" in text
            text = fetch("software", f"/probe?module=icmp&target=portal-{channel}&family={family.value}")
            assert "probe_success 1.0\n" in text
            assert f'interface="{PORTS[channel]}",source="{GATEWAY[channel][family]}"' in text
            round_trip = re.search(r"(?m)^probe_round_trip_seconds (\S+)$", text)
            assert round_trip is not None
            assert 0 < float(round_trip[1]) < 0.1


@pytest.mark.usefixtures("exporters")
def test_cut_line_is_seen_and_nothing_takes_the_other(sides: dict[str, Side]) -> None:
    wan, internet = service_labels("wan", Family.IPV4), service_labels("internet", Family.IPV4)
    lost = f"wardnet_link_probes_lost_total{{{link_labels('wan', Family.IPV6)}}}"
    wait_for("software", lambda now: now.get(f"wardnet_service_up{{{wan}}}") == 1)
    before = wait_for("link", lambda now: lost in now)
    seen = {family: len(sides["internet"].web[family].seen) for family in Family}
    ip("-n", NAMES["wan"], "link", "set", "peer0", "down")
    try:
        wait_for("link", lambda now: now['wardnet_circuit_up{channel="wan"}'] == 0 and now[lost] >= before[lost] + 2)
        found = wait_for("software", lambda now: now[f"wardnet_service_up{{{wan}}}"] == 0)
        in_dns = wan.replace(",service", ',phase="dns",service')
        assert found[f"wardnet_service_failures_total{{{in_dns}}}"] >= 1
        runs = f"wardnet_service_runs_total{{{internet}}}"
        after = wait_for("software", lambda now: now[runs] >= found[runs] + 2)
        assert after[f"wardnet_service_up{{{internet}}}"] == 1
        assert all(len(sides["internet"].web[family].seen) > seen[family] for family in Family)
        gateway = set(GATEWAY["internet"].values())
        assert {client for web in sides["internet"].web.values() for client, _, _ in web.seen} <= gateway
        assert samples("link")[f"wardnet_link_probes_lost_total{{{link_labels('internet', Family.IPV4)}}}"] == 0
    finally:
        ip("-n", NAMES["wan"], "link", "set", "peer0", "up")
        # A port that goes down loses its IPv6 address.
        address = f"{PEER['wan'][Family.IPV6]}/64"
        ip("-n", NAMES["wan"], "address", "replace", address, "dev", "peer0")
    wait_for("software", lambda now: now[f"wardnet_service_up{{{wan}}}"] == 1)
    answered = f"wardnet_link_round_trip_seconds_count{{{link_labels('wan', Family.IPV6)}}}"
    count = samples("link")[answered]
    wait_for("link", lambda now: now[answered] >= count + 2)


@contextmanager
def responder(family: Family, answer: Callable[[bytes], list[tuple[float, bytes]]]) -> Iterator[None]:
    """Answers echo requests on this namespace's loopback; `answer` gives (delay, reply without checksum)."""
    protocol = socket.IPPROTO_ICMP if family is Family.IPV4 else socket.IPPROTO_ICMPV6
    sock = socket.socket(family.socket_family, socket.SOCK_RAW, protocol)
    sock.settimeout(0.05)
    stop = threading.Event()
    request_type = 8 if family is Family.IPV4 else 128

    def serve() -> None:
        while not stop.is_set():
            try:
                packet, address = sock.recvfrom(2048)
            except TimeoutError:
                continue
            message = packet[20:] if family is Family.IPV4 else packet
            if message[0] != request_type:
                continue
            for delay, reply in answer(message):
                time.sleep(delay)
                if family is Family.IPV4:
                    reply = reply[:2] + bytes(2) + reply[4:]
                    reply = reply[:2] + struct.pack("!H", checksum(reply)) + reply[4:]
                sock.sendto(reply, (address[0], 0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sock.close()


@pytest.fixture
def quiet() -> Iterator[str]:
    """A namespace whose kernel answers no echo requests itself."""
    name = f"wardnet-quiet-{os.getpid()}"
    with namespace(name):
        execute(name, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1")
        yield name


def changed(message: bytes, offset: int) -> bytes:
    return message[:offset] + bytes([message[offset] ^ 1]) + message[offset + 1 :]


@pytest.mark.parametrize("family", list(Family))
def test_doubled_late_and_foreign_answers_count_as_nothing(family: Family, quiet: str) -> None:
    requests = 0

    def answer(request: bytes) -> list[tuple[float, bytes]]:
        nonlocal requests
        requests += 1
        reply = (b"\x00" if family is Family.IPV4 else b"\x81") + request[1:]
        foreign = [changed(reply, 5), changed(reply, 7), changed(reply, 8)]  # identifier, number, token
        return {
            1: [*((0.0, message) for message in foreign), (0.05, reply), (0.0, reply)],  # the third is real
            2: [(0.0, message) for message in foreign],
            3: [(0.4, reply)],  # after the time-out
        }.get(requests, [(0.0, reply)])

    async def main() -> list[tuple[int, float | None]]:
        results: list[tuple[int, float | None]] = []
        echo = EchoSocket(loopback_channel(), family)
        host = "127.0.0.1" if family is Family.IPV4 else "::1"
        for number in range(1, 5):
            echo.send(host, 0.2, lambda seconds, number=number: results.append((number, seconds)))  # type: ignore[misc]
            await asyncio.sleep(0.5)
        echo.close()
        return results

    with inside(quiet), responder(family, answer):
        results = asyncio.run(main())
    assert [number for number, _ in results] == [1, 2, 3, 4], "each request has one result"
    first, second, third, fourth = (seconds for _, seconds in results)
    assert first is not None
    assert 0.05 <= first < 0.2, "the real answer's time, not a foreign one's"
    assert (second, third) == (None, None)
    assert fourth is not None
    assert fourth < 0.05


def test_kernels_stamp_counts_not_when_it_was_read(quiet: str) -> None:
    """The event loop is kept busy while the answer waits: the round trip does not grow."""

    async def main() -> float | None:
        results: list[float | None] = []
        echo = EchoSocket(loopback_channel(), Family.IPV4)
        for _ in range(2):  # the first also switches the kernel's stamping on
            results.clear()
            echo.send("127.0.0.1", 5, results.append)
            time.sleep(0.3)
            await asyncio.sleep(0.1)
        echo.close()
        return results[0]

    with inside(quiet):
        execute(quiet, "sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=0")
        round_trip = asyncio.run(main())
    assert round_trip is not None
    assert round_trip < 0.1


def test_socket_comes_back_with_its_interface(quiet: str) -> None:
    channel = replace(loopback_channel(), interface="late0", ipv4=IPv4Address("192.0.2.1"))

    async def main() -> list[float | None]:
        results: list[float | None] = []
        echo = EchoSocket(channel, Family.IPV4)
        with pytest.raises(OSError, match="cannot bind to interface late0"):
            echo.send("192.0.2.2", 1, results.append)
        assert echo.egress is None
        for _ in range(2):
            ip("-n", quiet, "link", "add", "late0", "type", "veth", "peer", "name", "late1")
            with pytest.raises(OSError, match=r"cannot bind to 192\.0\.2\.1 on late0"):
                echo.send("192.0.2.2", 1, results.append)
            ip("-n", quiet, "address", "add", "192.0.2.1/30", "dev", "late0")
            ip("-n", quiet, "link", "set", "late0", "up")
            echo.send("192.0.2.2", 0.2, results.append)
            egress = echo.egress
            assert egress is not None
            assert (egress.interface, egress.source) == ("late0", "192.0.2.1")
            ip("-n", quiet, "link", "del", "late0")
            with pytest.raises(
                OSError, match=r"No such device|unreachable|Invalid argument"
            ):  # the open socket notices
                echo.send("192.0.2.2", 1, results.append)
            with pytest.raises(OSError, match="cannot bind to interface late0"):  # a new one is tried
                echo.send("192.0.2.2", 1, results.append)
        await asyncio.sleep(0.3)
        echo.close()
        return results

    with inside(quiet):
        assert asyncio.run(main()) == [None, None]
