"""scanner: asks a scanner of the gateway's own site how it is; by eSCL, or by SANE where a box shares it."""

from __future__ import annotations

import socket

from exporters import VERSION, escl, metrics
from exporters.config import ScannerKind, Url
from exporters.dial import connect
from exporters.httpwire import HttpError, ResponseParser, encode_get
from exporters.probing import ProbeFailure, Run
from exporters.stream import PlainStream


async def probe(run: Run) -> None:
    state = await _state(run)
    run.record(metrics.PROBE_SCANNER_STATE, 1.0, state)
    if state not in escl.WORKING:
        raise ProbeFailure("status", f"the scanner is {state}")


async def _state(run: Run) -> str:
    scanner = run.scanner
    try:
        sock = await connect(run, (str(scanner.ipv4),), scanner.port)
    except ProbeFailure:
        run.record(metrics.PROBE_SCANNER_STATE, 1.0, escl.SILENT)
        raise
    # Whatever is not done within the probe's time has said nothing.
    run.record(metrics.PROBE_SCANNER_STATE, 1.0, escl.SILENT)
    with sock, run.phase("answer"):
        try:
            state = await (_by_escl(run, sock) if scanner.kind is ScannerKind.ESCL else _by_sane(sock))
        except (HttpError, escl.SaneError) as error:
            run.note(str(error))
            state = escl.GARBAGE
    run.samples.pop((metrics.PROBE_SCANNER_STATE, (escl.SILENT,)))
    return state


async def _by_escl(run: Run, sock: socket.socket) -> str:
    stream, parser = PlainStream(sock), ResponseParser(escl.MAX_STATUS, keep=True)
    url = Url("http", str(run.scanner.ipv4), run.scanner.port, escl.STATUS_PATH)
    await stream.send(encode_get(url.authority, url.path, f"wardnet/{VERSION}"))
    said = False
    while not parser.complete:
        data = await stream.receive()
        if not data and not said:
            return escl.SILENT
        said = True
        if data:
            parser.feed(data)
        else:
            parser.end()
    assert parser.status is not None
    run.note(f"status {parser.status}, {parser.body_bytes} bytes")
    return escl.status_state(parser.status, bytes(parser.body))


async def _by_sane(sock: socket.socket) -> str:
    stream, talk = PlainStream(sock), escl.SaneTalk()
    await stream.send(talk.question)
    while talk.state is None:
        data = await stream.receive()
        if not data:
            # saned ends a connection of somebody whom it does not let in.
            return escl.DENIED
        answer = talk.feed(data)
        if answer:
            await stream.send(answer)
    return talk.state
