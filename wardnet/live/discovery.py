"""Serves Prometheus's http_sd from the inventory as it is at each request."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wardnet.inventory import InventoryErrors

log = logging.getLogger(__name__)


def serve(host: str, port: int, compiled: Callable[[], str]) -> None:
    """Answer GET /targets until interrupted. `compiled` gives the JSON, or raises InventoryErrors: then the
    answer is 500, and Prometheus keeps the targets that it has. Raises OSError when it cannot listen."""
    with discovery_server(host, port, compiled) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            log.info("stopped")


def discovery_server(host: str, port: int, compiled: Callable[[], str]) -> ThreadingHTTPServer:
    """The server, bound but not yet serving; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # a client that says nothing does not hold a thread for ever

        def do_GET(self) -> None:  # the name is http.server's
            if self.path != "/targets":
                self._answer(404, "text/plain; charset=utf-8", "the targets are at /targets\n")
                return
            try:
                self._answer(200, "application/json; charset=utf-8", compiled())
            except InventoryErrors as errors:
                log.error("the inventory is not right: %s", errors)  # noqa: TRY400 - no trace, it is not a bug
                self._answer(500, "text/plain; charset=utf-8", f"{errors}\n")

        def _answer(self, status: int, kind: str, text: str) -> None:
            body = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
            log.debug(format, *args)

    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    class Server(ThreadingHTTPServer):
        address_family = family
        daemon_threads = True

    return Server((host, port), Handler)
