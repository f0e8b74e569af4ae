"""wardnet-runs-exporter: at the controller, what runs of the playbooks did, from their journals.

It only reads; every scrape looks for journals that are new or have grown since the one before.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as Family

from exporters import VERSION, metrics
from exporters.agent import notify_systemd
from exporters.exposition import CONTENT_TYPE, Labels, number_family
from exporters.httpwire import RequestHead
from exporters.server import Address, Response, Server
from wardnet.runs.drift import HostHistory, histories
from wardnet.runs.errors import JournalError
from wardnet.runs.journal import find_journals, read_run
from wardnet.runs.places import SHARED
from wardnet.runs.records import HostState, Run

log = logging.getLogger(__name__)

PORT = 9809
MOST_JOURNALS = 1000  # the newest; older ones tell nothing that a newer one does not


class Journals:
    """Runs of the folders, each read again only when its file has changed."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._known: dict[Path, tuple[tuple[int, int], Run | None]] = {}

    def read(self) -> tuple[list[Run], int]:
        """The runs, and how many journals are not readable, or not in whole."""
        known: dict[Path, tuple[tuple[int, int], Run | None]] = {}
        for path in find_journals(self._folders)[:MOST_JOURNALS]:
            try:
                state = path.stat()
            except OSError:
                continue  # taken away since it was listed
            mark = (state.st_size, state.st_mtime_ns)
            before = self._known.get(path)
            if before is not None and before[0] == mark and (before[1] is None or before[1].ended is not None):
                known[path] = before
                continue
            try:
                run: Run | None = read_run(path)
            except JournalError as error:
                run = None
                if before is None:
                    log.error("%s", error)  # noqa: TRY400 - the message is whole
            # Single events are told by `wardnet runs show`; here they would only fill the memory.
            known[path] = (mark, replace(run, events=()) if run is not None else None)
        self._known = known
        runs = [run for _mark, run in known.values() if run is not None]
        return runs, len(known) - len(runs) + sum(run.unread_lines > 0 for run in runs)


class RunsCollector:
    """The registry's question for the figures of all runs."""

    def __init__(self, journals: Journals) -> None:
        self._journals = journals

    def collect(self) -> Iterable[Family]:
        runs, unreadable = self._journals.read()
        yield from host_families(histories(runs))
        yield from run_families(runs)
        yield number_family(metrics.RUN_JOURNALS, {(): float(len(runs))})
        yield number_family(metrics.RUN_UNREADABLE, {(): float(unreadable)})


def host_families(known: Sequence[HostHistory]) -> Iterable[Family]:
    """What is known of each host and ward."""
    success: dict[Labels, float] = {}
    status: dict[Labels, float] = {}
    drift: dict[Labels, float] = {}
    rolled_back: dict[Labels, float] = {}
    updates: dict[Labels, float] = {}
    unreachable: Counter[Labels] = Counter()
    for one in known:
        host = (one.ward, one.host)
        success[host] = one.last_success.timestamp() if one.last_success is not None else 0.0
        status[*host, one.last_state.value] = 1.0
        rolled_back[host] = float(one.rollbacks)
        if one.updates_at is not None:
            updates[host] = float(one.updates_at)
        unreachable[one.ward,] += one.last_state is HostState.UNREACHABLE
        if one.read_at is not None or one.drift:
            # Also where there is none: an alert must end when the drift does.
            drift[*host, "all"] = float(sum(map(len, one.drift.values())))
            drift |= {(*host, part): float(len(lines)) for part, lines in one.drift.items()}
    yield number_family(metrics.RUN_LAST_SUCCESS, success)
    yield number_family(metrics.RUN_LAST_STATUS, status)
    yield number_family(metrics.RUN_DRIFT, drift)
    yield number_family(metrics.RUN_UPDATES, updates)
    yield number_family(metrics.RUN_ROLLED_BACK, rolled_back)
    yield number_family(metrics.RUN_UNREACHABLE, {ward: float(count) for ward, count in unreachable.items()})


def run_families(runs: Sequence[Run]) -> Iterable[Family]:
    """The newest run of each playbook, in earnest and in check mode."""
    newest: dict[Labels, Run] = {}
    for run in sorted(runs, key=lambda run: run.started):
        newest[Path(run.playbook).stem, "check" if run.check else "earnest"] = run
    yield number_family(metrics.RUN_STATE, {(*key, run.state.value): 1.0 for key, run in newest.items()})
    yield number_family(metrics.RUN_STARTED, {key: run.started.timestamp() for key, run in newest.items()})


class Pages:
    """What is answered: /metrics, and /-/healthy."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(RunsCollector(Journals(folders)))
        self._reading = asyncio.Lock()

    async def handle(self, request: RequestHead) -> Response:
        path = request.target.partition("?")[0]
        if request.method not in ("GET", "HEAD"):
            return Response(HTTPStatus.METHOD_NOT_ALLOWED, "use GET\n", headers=(("Allow", "GET"),))
        if path == "/-/healthy":
            return Response(HTTPStatus.OK, "well\n")
        if path != "/metrics":
            return Response(HTTPStatus.NOT_FOUND, "there are only: /metrics, /-/healthy\n")
        async with self._reading:
            body = await asyncio.to_thread(generate_latest, self._registry)
        return Response(HTTPStatus.OK, body.decode("utf-8"), CONTENT_TYPE)


def parse_address(text: str) -> Address:
    """ADDRESS:PORT, with an IPv6 address in brackets. ValueError where it is neither."""
    host, _colon, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError(f"{text} is not ADDRESS:PORT")
    return ip_address(host.removeprefix("[").removesuffix("]")), int(port)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Tells Prometheus what runs of the playbooks did.")
    parser.add_argument("--listen", action="append", metavar="ADDRESS:PORT", help="where to listen; may be repeated")
    parser.add_argument("--folder", type=Path, action="append", metavar="DIR",
                        help=f"folder of journals; may be repeated (default: {SHARED})")  # fmt: skip
    parser.add_argument("--log.level", dest="level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    options = parser.parse_args(arguments)
    try:
        addresses = [parse_address(text) for text in options.listen or [f"127.0.0.1:{PORT}"]]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    logging.basicConfig(level=options.level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(addresses, options.folder or [Path(os.environ.get("WARDNET_RUNS") or SHARED)]))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        return 1
    return 0


async def _serve(addresses: Sequence[Address], folders: Sequence[Path]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(Pages(folders).handle)
    await server.listen(addresses)
    log.info("runs of %s, on port %s", ", ".join(map(str, folders)), ", ".join(map(str, server.ports)))
    notify_systemd("READY=1")
    try:
        await stop.wait()
    finally:
        notify_systemd("STOPPING=1")
        await server.close()


if __name__ == "__main__":
    raise SystemExit(main())
