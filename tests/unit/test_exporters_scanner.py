"""What scanners say of themselves, by eSCL and by SANE, and what the agent makes of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporters import escl, metrics
from exporters.config import ConfigError, Family, Scanner
from exporters.probes import scanner as module
from exporters.probing import Result, Run, UnsuitableTargetError, execute
from exporters.software import SoftwarePlane
from lab.services.escl import Scanner as LabScanner
from lab.services.serving import make_server
from tests.unit.exporters_support import configuration, parsed

TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
STATUS = '<?xml version="1.0"?><scan:ScannerStatus xmlns:scan="s" xmlns:pwg="p">{}</scan:ScannerStatus>'


@pytest.mark.parametrize(
    ("code", "inside", "state"),
    [
        (200, "<pwg:State>Idle</pwg:State>", escl.READY),
        (200, "<State> Idle </State><scan:AdfState>ScannerAdfEmpty</scan:AdfState>", escl.READY),
        (200, "<pwg:JobState>Aborted</pwg:JobState><pwg:State>Processing</pwg:State>", escl.BUSY),
        (200, '<pwg:State x="1">Testing</pwg:State>', escl.BUSY),
        (200, "<pwg:State>Stopped</pwg:State>", escl.STOPPED),
        (200, "<pwg:State>Stopped</pwg:State><scan:AdfState>ScannerAdfJam</scan:AdfState>", escl.JAM),
        (200, "<pwg:State>Idle</pwg:State><scan:AdfState>ScannerAdfMispick</scan:AdfState>", escl.JAM),
        (200, "<pwg:State>Idle</pwg:State><scan:AdfState>ScannerAdfHatchOpen</scan:AdfState>", escl.OPEN),
        (200, "<pwg:State>Dancing</pwg:State>", escl.GARBAGE),
        (200, "", escl.GARBAGE),
        (404, "<pwg:State>Idle</pwg:State>", escl.GARBAGE),
        (403, "", escl.DENIED),
        (503, "", escl.BUSY),
        (500, "", escl.REFUSING),
    ],
)
def test_a_status_is_one_state(code: int, inside: str, state: str) -> None:
    assert escl.status_state(code, STATUS.format(inside).encode()) == state


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"", b"\xff\xfe\0", b"State>Idle<"])
def test_what_is_no_status_is_garbage(body: bytes) -> None:
    assert escl.status_state(200, body) == escl.GARBAGE


def text(value: str) -> bytes:
    return struct.pack(">I", len(value) + 1) + value.encode() + b"\0"


def listing(*names: str) -> bytes:
    each = b"".join(
        struct.pack(">I", 0) + text(name) + text("Vendor") + text("Model") + text("sheet") for name in names
    )
    return struct.pack(">2I", 0, len(names) + 1) + each + struct.pack(">I", 1)


GREETING = struct.pack(">2I", 0, 0x01000003)


@pytest.mark.parametrize("piece", [1, 3, 4096])
def test_a_talk_with_saned_ends_with_its_list_however_it_comes_in(piece: int) -> None:
    talk = escl.SaneTalk()
    assert talk.question == struct.pack(">3I", 0, 0x01000003, 8) + b"wardnet\0"
    said = GREETING + listing("test:0", "fujitsu:libusb:001:002")
    sent = b"".join(talk.feed(said[at : at + piece]) for at in range(0, len(GREETING), piece))
    # The list comes after it was asked for.
    rest = said[-(-len(GREETING) // piece) * piece :] if piece < 4096 else b""
    sent += b"".join(talk.feed(rest[at : at + piece]) for at in range(0, len(rest), piece))
    if piece == 4096:
        sent += talk.feed(b"")
    assert (talk.state, talk.devices) == (escl.READY, ("test:0", "fujitsu:libusb:001:002"))
    assert sent == struct.pack(">2I", 1, 10)


def test_a_box_without_a_scanner_and_one_that_lets_nobody_in() -> None:
    talk = escl.SaneTalk()
    talk.feed(GREETING)
    talk.feed(listing())
    assert (talk.state, talk.devices) == (escl.UNPLUGGED, ())
    talk = escl.SaneTalk()
    assert talk.feed(struct.pack(">2I", 11, 0x01000003)) == b""
    assert talk.state == escl.DENIED


def talked(said: bytes) -> None:
    talk = escl.SaneTalk()
    talk.feed(said[:8])
    talk.feed(said[8:])


@pytest.mark.parametrize(
    "said",
    [b"HTTP/1.1", struct.pack(">2I", 0, 0x02000000), GREETING + struct.pack(">2I", 4, 0),
     GREETING + struct.pack(">2I", 0, 100_000), GREETING + struct.pack(">4I", 0, 2, 0, 1 << 30)],
)  # fmt: skip
def test_what_is_no_saned_is_refused(said: bytes) -> None:
    with pytest.raises(escl.SaneError):
        talked(said)


@contextmanager
def lab_scanner(control: Path) -> Iterator[int]:
    server = make_server(LabScanner(control).answer, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()


@contextmanager
def box(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server for one connection on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)


def target(port: int, kind: str = "escl") -> Scanner:
    entry = {"id": "scanner-1", "channel": "wan", "kind": kind, "interface": "lo", "source": "127.0.0.1"}
    return parsed(configuration(scanners=[{**entry, "ipv4": "127.0.0.1", "port": port}])).scanners[0]


def asked(port: int, kind: str = "escl", budget: float = 60) -> tuple[str, Result]:
    result = asyncio.run(execute(module.probe, Run(target(port, kind), Family.IPV4, TRUST), budget))
    states = [labels[0] for metric, labels in result.run.samples if metric is metrics.PROBE_SCANNER_STATE]
    assert len(states) == 1
    return states[0], result


@pytest.mark.parametrize(
    ("control", "state"),
    [("{}", escl.READY), ('{"fault": "busy"}', escl.BUSY), ('{"fault": "jam"}', escl.JAM),
     ('{"fault": "open"}', escl.OPEN), ('{"fault": "stopped"}', escl.STOPPED), ('{"fault": "garbage"}', escl.GARBAGE),
     ('{"fault": "refusing"}', escl.REFUSING), ('{"fault": "off"}', escl.SILENT)],
)  # fmt: skip
def test_the_probe_tells_what_ails_a_scanner(tmp_path: Path, control: str, state: str) -> None:
    path = tmp_path / "control.json"
    path.write_text(control)
    with lab_scanner(path) as port:
        found, result = asked(port)
    assert found == state
    assert (result.failure is None) is (state in escl.WORKING)
    assert result.run.egress is not None
    assert (result.run.egress.interface, result.run.egress.source) == ("lo", "127.0.0.1")


def test_a_scanner_that_is_not_there_or_says_nothing_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
        found, result = asked(port, budget=1)  # takes the connection, and never answers
        assert (found, result.failure is not None and result.failure.phase) == (escl.SILENT, "answer")
    found, result = asked(port)
    assert (found, result.failure is not None and result.failure.phase) == (escl.SILENT, "connect")


def test_a_box_is_asked_for_its_list() -> None:
    def saned(connection: socket.socket) -> None:
        assert connection.recv(20, socket.MSG_WAITALL) == escl.SaneTalk().question
        connection.sendall(GREETING)
        assert connection.recv(4, socket.MSG_WAITALL) == struct.pack(">I", 1)
        connection.sendall(listing("test:0"))
        assert connection.recv(4, socket.MSG_WAITALL) == struct.pack(">I", 10)

    with box(saned) as port:
        assert asked(port, "sane")[0] == escl.READY


@pytest.mark.parametrize(
    ("said", "state"),
    [(b"", escl.DENIED), (b"SSH-2.0-OpenSSH\r\n", escl.GARBAGE)],
)
def test_a_box_that_is_none_or_ends_the_talk(said: bytes, state: str) -> None:
    def other(connection: socket.socket) -> None:
        connection.recv(20, socket.MSG_WAITALL)
        connection.sendall(said)

    with box(other) as port:
        assert asked(port, "sane")[0] == state


def test_only_scanners_are_asked_and_over_ipv4() -> None:
    reflector = parsed(configuration()).reflectors[0]
    with pytest.raises(UnsuitableTargetError, match="is no scanner"):
        asyncio.run(execute(module.probe, Run(reflector, Family.IPV4, TRUST), 5))
    with pytest.raises(UnsuitableTargetError, match="ipv4 alone"):
        asyncio.run(execute(module.probe, Run(target(80), Family.IPV6, TRUST), 5))


def test_the_exporter_shows_each_scanners_state(tmp_path: Path) -> None:
    path = tmp_path / "control.json"

    def shown(plane: SoftwarePlane) -> dict[tuple[str, ...], float]:
        return {
            (sample.name.removeprefix("wardnet_scanner_"), *sample.labels.values()): sample.value
            for family in plane.collect()
            for sample in family.samples
            if sample.name.startswith("wardnet_scanner_") and "timestamp" not in sample.name
        }

    with lab_scanner(path) as port:
        plane = SoftwarePlane()
        entry = {"id": "scanner-1", "channel": "wan", "kind": "escl", "interface": "lo", "source": "127.0.0.1"}
        config = parsed(configuration(scanners=[{**entry, "ipv4": "127.0.0.1", "port": port}]))
        jobs = plane.configure(config, TRUST)
        assert shown(plane) == {}
        job = jobs[config.scanners[0]]
        asyncio.run(job.run())  # type: ignore[arg-type] # a coroutine
        assert shown(plane) == {("up", "wan", "scanner-1"): 1.0, ("state_info", "wan", "scanner-1", "ready"): 1.0}
        path.write_text('{"fault": "jam"}')
        asyncio.run(job.run())  # type: ignore[arg-type]
        assert shown(plane) == {("up", "wan", "scanner-1"): 0.0, ("state_info", "wan", "scanner-1", "jam"): 1.0}
        plane.configure(parsed(configuration(scanners=[])), TRUST)
        assert shown(plane) == {}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [("kind", "twain", "scanners[0].kind: 'twain' is none of: escl"), ("port", 0, "scanners[0].port: must be from 1"),
     ("interface", "a b", "scanners[0].interface"), ("channel", "fax", "scanners[0].channel: 'fax' is none of"),
     ("id", "hub", "scanners: the id 'hub' is used twice")],
)  # fmt: skip
def test_a_wrong_scanner_is_named(key: str, value: object, said: str) -> None:
    document = configuration()
    document["scanners"][0][key] = value
    with pytest.raises(ConfigError) as error:
        parsed(document)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("status", "state"), [(3, escl.BUSY), (6, escl.JAM), (8, escl.OPEN), (9, escl.REFUSING), (11, escl.DENIED)]
)
def test_a_box_that_says_why_it_has_no_list(status: int, state: str) -> None:
    talk = escl.SaneTalk()
    talk.feed(GREETING)
    talk.feed(struct.pack(">2I", status, 0))
    assert talk.state == state
