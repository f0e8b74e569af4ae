"""What exporters that read files at the controller share: their command line, their pages, and how they serve."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from ipaddress import ip_address

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from exporters import VERSION
from exporters.agent import notify_systemd
from exporters.exposition import CONTENT_TYPE
from exporters.httpwire import RequestHead
from exporters.server import Address, Response, Server

log = logging.getLogger(__name__)

Meanwhile = Callable[[], Coroutine[object, object, None]]


class Pages:
    """What is answered: /metrics, and /-/healthy."""

    def __init__(self, collector: Collector) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(collector)
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


def options_of(description: str) -> argparse.ArgumentParser:
    """The options that all have; those of its own an exporter adds."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--listen", action="append", metavar="ADDRESS:PORT", help="where to listen; may be repeated")
    parser.add_argument("--log.level", dest="level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    return parser


def serve(
    options: argparse.Namespace,
    port: int,
    collector: Collector,
    about: str,
    meanwhile: Meanwhile | None = None,
) -> int:
    """Serves until SIGTERM; at `port` of this machine alone where no --listen says otherwise. `meanwhile` goes on
    beside it; what it raises ends the exporter. The exit status is 1, with the reason on standard error, where it can't
    listen."""
    try:
        addresses = [parse_address(text) for text in options.listen or [f"127.0.0.1:{port}"]]
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    logging.basicConfig(level=options.level.upper(), format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_serve(addresses, collector, about, meanwhile))
    except OSError as error:
        print(error.strerror or error, file=sys.stderr)
        return 1
    return 0


async def _serve(addresses: Sequence[Address], collector: Collector, about: str, meanwhile: Meanwhile | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = Server(Pages(collector).handle)
    stopping = asyncio.create_task(stop.wait())
    beside = [asyncio.create_task(meanwhile())] if meanwhile is not None else []
    try:
        await server.listen(addresses)
        log.info("%s, on port %s", about, ", ".join(map(str, server.ports)))
        notify_systemd("READY=1")
        done, _others = await asyncio.wait([stopping, *beside], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        notify_systemd("STOPPING=1")
        for task in beside:
            task.cancel()
        await server.close()
