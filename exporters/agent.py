"""What agents are: a command, a configuration, a plane of scheduled measurements, and a server."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import Metric as MetricFamily

from exporters import VERSION, metrics
from exporters.config import AgentConfig, ConfigError, IPAddress, read_config
from exporters.endpoints import Endpoints, Targets
from exporters.errors import ExporterError
from exporters.exposition import number_family
from exporters.metrics import Metric
from exporters.probes import MODULES
from exporters.probing import Probe
from exporters.scheduler import Job, Scheduler
from exporters.server import Server
from exporters.stream import open_trust

log = logging.getLogger(__name__)

CONFIG_FILE = Path("/etc/wardnet/agent.json")
TRUST_FOLDER = Path("/etc/wardnet/ca.d")


class Config(Targets, Protocol):
    """What every agent's configuration says. `who` stands in each line of the journal, `summary` is for people."""

    @property
    def model_sha256(self) -> str: ...

    @property
    def listen(self) -> tuple[IPAddress, ...]: ...

    @property
    def who(self) -> str: ...

    @property
    def summary(self) -> str: ...


C = TypeVar("C", bound=Config)
C_contra = TypeVar("C_contra", bound=Config, contravariant=True)


class Plane(Protocol[C_contra]):
    """Scheduled measurements and their figures. `name` labels its lateness."""

    name: str

    def port(self, config: C_contra) -> int: ...

    def configure(self, config: C_contra, trust: ssl.SSLContext) -> Mapping[Hashable, Job]:
        """The jobs of a configuration. Figures of targets that are no longer in it are forgotten."""
        ...

    def collect(self) -> Iterable[MetricFamily]:
        """The families of /metrics, from what is known now; nothing is measured here."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Kind(Generic[C]):
    """Where an agent runs: how it is configured, what /probe can measure there, and the metrics that tell of itself
    (its version, its lateness, its runs left out); `process`: those of the process as well."""

    file: Path
    read: Callable[[Path], C]
    modules: Mapping[str, Probe]
    own: tuple[Metric, Metric, Metric]
    process: bool


GATEWAY = Kind(
    file=CONFIG_FILE,
    read=read_config,
    modules=MODULES,
    own=(metrics.AGENT_INFO, metrics.AGENT_LATENESS, metrics.AGENT_SKIPPED),
    process=True,
)


class Agent(Generic[C]):
    def __init__(self, kind: Kind[C], plane: Plane[C], config_file: Path, trust_folder: Path) -> None:
        self._kind = kind
        self._plane = plane
        self._config_file = config_file
        self._trust_folder = trust_folder
        self._config, self._trust = self._read()
        self._scheduler = Scheduler()
        self._registry = CollectorRegistry(auto_describe=False)
        if kind.process:
            ProcessCollector(registry=self._registry)
        self._registry.register(self)
        endpoints = Endpoints(lambda: self._config, lambda: self._trust, self._expose, self.reload, kind.modules)
        self._server = Server(endpoints.handle)
        self._listening: asyncio.Task[None] | None = None

    async def serve(self, stop: asyncio.Event) -> None:
        """Measures and answers until `stop` is set. Raises OSError where an address cannot be had."""
        await self._listen(self._config)
        self._scheduler.reconcile(self._plane.configure(self._config, self._trust))
        log.info("%s listens on %s", self._plane.name, self._addresses(self._config))
        notify_systemd("READY=1")
        try:
            await stop.wait()
        finally:
            notify_systemd("STOPPING=1")
            if self._listening is not None:
                self._listening.cancel()
            await self._server.close()
            await self._scheduler.close()
            self._plane.close()

    def reload(self) -> None:
        """Reads the configuration again. Raises ExporterError and keeps the old one if it cannot be used."""
        config, trust = self._read()
        self._config, self._trust = config, trust
        self._scheduler.reconcile(self._plane.configure(config, trust))
        self._listening = asyncio.get_running_loop().create_task(self._listen_again(config))
        log.info("reloaded %s", self._config_file)

    def collect(self) -> Iterable[MetricFamily]:
        """The registry's question for everything that is ours."""
        info, lateness, skipped = self._kind.own
        yield number_family(info, {(VERSION, self._config.model_sha256): 1.0})
        yield number_family(lateness, {(self._plane.name,): self._scheduler.lateness})
        yield number_family(skipped, {(self._plane.name,): float(self._scheduler.skipped)})
        yield from self._plane.collect()

    def _expose(self) -> str:
        return generate_latest(self._registry).decode("utf-8")

    def _read(self) -> tuple[C, ssl.SSLContext]:
        return self._kind.read(self._config_file), open_trust(self._trust_folder)

    def _addresses(self, config: C) -> str:
        port = self._plane.port(config)
        return ", ".join(f"[{a}]:{port}" if a.version == 6 else f"{a}:{port}" for a in config.listen)

    async def _listen(self, config: C) -> None:
        await self._server.listen((address, self._plane.port(config)) for address in config.listen)

    async def _listen_again(self, config: C) -> None:
        try:
            await self._listen(config)
        except OSError as error:
            log.error("still listening where it did before the reload: %s", error)  # noqa: TRY400 - says it all


def notify_systemd(state: str) -> None:
    """Tells systemd how the service is, if it is one (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect("\0" + path[1:] if path.startswith("@") else path)
            sock.send(state.encode())
        except OSError as error:
            log.warning("cannot notify systemd: %s", error)


def run(make_plane: Callable[[], Plane[AgentConfig]], description: str, arguments: list[str] | None) -> int:
    """The command line of an exporter of a gateway. Returns the exit code, as `run_kind`."""
    return run_kind(GATEWAY, make_plane, description, arguments)


def run_kind(kind: Kind[C], make_plane: Callable[[], Plane[C]], description: str, arguments: list[str] | None) -> int:
    """An agent's command line. Returns the exit code: 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config.file", dest="file", type=Path, default=kind.file, metavar="FILE",
                        help="compiled configuration (default: %(default)s)")  # fmt: skip
    parser.add_argument("--config.check", dest="check", action="store_true",
                        help="check the configuration and exit")  # fmt: skip
    parser.add_argument("--config.ca-dir", dest="trust", type=Path, default=TRUST_FOLDER, metavar="DIR",
                        help="folder of further certificate authorities (default: %(default)s)")  # fmt: skip
    parser.add_argument("--log.level", dest="level", default="info", choices=["debug", "info", "warning", "error"])
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    options = parser.parse_args(arguments)
    try:
        config = kind.read(options.file)
        open_trust(options.trust)
    except ExporterError as error:
        print(error, file=sys.stderr)
        return 1
    if options.check:
        print(f"{options.file}: good, {config.summary}")
        return 0
    # The journal adds the time. Ward and host stand in each line, for journals that are collected.
    logging.basicConfig(level=options.level.upper(), format=f"%(levelname)s {config.who} %(name)s: %(message)s")
    try:
        asyncio.run(_serve(kind, make_plane, options.file, options.trust))
    except (OSError, ExporterError) as error:
        print(error.strerror if isinstance(error, OSError) and error.strerror else error, file=sys.stderr)
        return 1
    return 0


async def _serve(kind: Kind[C], make_plane: Callable[[], Plane[C]], config_file: Path, trust_folder: Path) -> None:
    agent = Agent(kind, make_plane(), config_file, trust_folder)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, _reload, agent)
    await agent.serve(stop)


def _reload(agent: Agent[C]) -> None:
    notify_systemd("RELOADING=1")
    try:
        agent.reload()
    except ConfigError as error:
        for problem in error.problems:
            log.error("not reloaded: %s", problem)  # noqa: TRY400 - the message is whole
    except ExporterError as error:
        log.error("not reloaded: %s", error)  # noqa: TRY400 - the message is whole
    notify_systemd("READY=1")
