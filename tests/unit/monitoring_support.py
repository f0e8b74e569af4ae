"""A fake transport: constructed exposition text of made-up gateways, served on loopback to a real Prometheus.

Nothing of wardnet is replaced: the rules, the consoles, the client and the command are the shipped ones.
Run as a program it keeps a small district going, to look at the pages:

    python tests/unit/monitoring_support.py --port 19390
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MONITORING = Path(__file__).parents[2] / "monitoring"
PARTS = ("dns", "connect", "tls", "first_byte", "transfer")
RUN_BOUNDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
LINK_BOUNDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(frozen=True)
class Line:
    """How a channel behaves. Seconds, bytes a second, and shares from 0 to 1."""

    base: float = 0.02
    added: float = 0.0
    loss: float = 0.0
    down: float = 80_000.0
    up: float = 30_000.0
    contracted: float = 2_500_000.0
    carrier: bool = True
    server: float = 0.012
    dns: float = 0.003
    service_up: bool = True


@dataclass
class Gateway:
    """A made-up gateway. `lines` may be changed while it is being scraped; `silent` planes answer nothing."""

    ward: str
    name: str
    lines: dict[str, Line]
    services: Mapping[str, tuple[str, ...]] = field(
        default_factory=lambda: {"wan": ("portal",), "internet": ("portal-public", "public-web")}
    )
    silent: set[str] = field(default_factory=set)
    scanners: dict[str, str] = field(default_factory=dict)  # id -> state
    pcs: dict[str, float] = field(default_factory=dict)  # id -> seconds that the LAN adds to each round trip
    model: str = "5f" * 32

    @property
    def id(self) -> str:
        return f"{self.ward}-gw"


class Exposition:
    """The text of one gateway, advanced by real time: counters grow, probes are lost, runs are made."""

    def __init__(self, gateway: Gateway, seed: int) -> None:
        self.gateway = gateway
        self._random = random.Random(seed)  # noqa: S311 - figures, not secrets
        self._totals: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._ran = 0.0
        self._time = time.time()
        self._lock = threading.Lock()

    def text(self, plane: str) -> str:
        with self._lock:
            self._advance()
            if plane.startswith("pc/"):
                return "\n".join(self._pc(plane.removeprefix("pc/"))) + "\n"
            lines = self._link() if plane == "link" else self._software()
        lines.append(f'wardnet_agent_info{{version="0.1.0",model_sha256="{self.gateway.model}"}} 1')
        lines.append(f'wardnet_agent_lateness_seconds{{plane="{plane}"}} 0.002')
        return "\n".join(lines) + "\n"

    def _add(self, key: str, value: float) -> None:
        self._totals[key] = self._totals.get(key, 0.0) + value

    def _advance(self) -> None:
        now = time.time()
        elapsed, self._time = now - self._time, now
        for channel, line in self.gateway.lines.items():
            wobble = self._random.uniform(0.7, 1.3) if line.down < line.contracted / 2 else 1
            self._add(f"receive {channel}", elapsed * line.down * wobble)
            self._add(f"transmit {channel}", elapsed * line.up * wobble)
            for family in ("ipv4", "ipv6"):
                for _probe in range(max(1, round(elapsed))):
                    self._echo(f"{channel} {family}", line)
        if now - self._ran >= 2:
            self._ran = now
            for channel, services in self.gateway.services.items():
                for service in services:
                    self._run(channel, service)

    def _round_trip(self, line: Line) -> float:
        return line.base + line.added * self._random.uniform(0.8, 1.2) + self._random.expovariate(1 / 0.0015)

    def _echo(self, key: str, line: Line) -> None:
        self._add(f"sent {key}", 1)
        if not line.carrier or self._random.random() < line.loss:
            self._add(f"lost {key}", 1)
            return
        seconds = self._round_trip(line)
        self._last[key] = seconds
        for bound in (*LINK_BOUNDS, float("inf")):
            self._add(f"bucket {key} {bound}", float(seconds <= bound))

    def _run(self, channel: str, service: str) -> None:
        line = self.gateway.lines[channel]
        for family in ("ipv4", "ipv6"):
            rtt = self._round_trip(line)
            self._last[f"run {channel} {service} {family} rtt"] = rtt
            figures = {
                "dns": rtt + line.dns * self._random.uniform(0.8, 1.3),
                "connect": rtt * 1.02,
                "tls": rtt * 1.05 + 0.004,
                "first_byte": rtt + line.server * self._random.uniform(0.8, 1.3),
                "transfer": 0.002 + line.added * 0.3,
            }
            for phase in PARTS:
                self._last[f"run {channel} {service} {family} {phase}"] = figures[phase]
            for bound in (*RUN_BOUNDS, float("inf")):
                self._add(f"bucket {channel} {service} {family} {bound}", float(sum(figures.values()) <= bound))

    def _link(self) -> list[str]:
        out = []
        for channel, line in self.gateway.lines.items():
            interface = "wan0" if channel == "wan" else "inet0"
            provider = "Nhà mạng Một" if channel == "wan" else "Nhà mạng Hai"
            reflector = "hub" if channel == "wan" else "isp"
            own = f'channel="{channel}"'
            circuit = f'circuit="{self.gateway.ward}-{channel}",provider="{provider}",interface="{interface}"'
            out += [
                f"wardnet_circuit_info{{{own},{circuit}}} 1",
                f"wardnet_circuit_up{{{own}}} {int(line.carrier)}",
                f'wardnet_circuit_contracted_bytes_per_second{{{own},direction="down"}} {line.contracted}',
                f'wardnet_circuit_contracted_bytes_per_second{{{own},direction="up"}} {line.contracted / 2}',
            ]
            for way in ("receive", "transmit"):
                out.append(f"wardnet_circuit_{way}_bytes_total{{{own}}} {self._totals.get(f'{way} {channel}', 0)}")
                out += [f"wardnet_circuit_{way}_{kind}_total{{{own}}} 0" for kind in ("packets", "errors", "drops")]
            for family in ("ipv4", "ipv6"):
                key = f"{channel} {family}"
                probe = f'{own},reflector="{reflector}",family="{family}"'
                out.append(f"wardnet_link_probes_sent_total{{{probe}}} {self._totals.get(f'sent {key}', 0)}")
                out.append(f"wardnet_link_probes_lost_total{{{probe}}} {self._totals.get(f'lost {key}', 0)}")
                for bound in LINK_BOUNDS:
                    count = self._totals.get(f"bucket {key} {bound}", 0)
                    out.append(f'wardnet_link_round_trip_seconds_bucket{{{probe},le="{bound}"}} {count}')
                count = self._totals.get(f"bucket {key} inf", 0)
                out.append(f'wardnet_link_round_trip_seconds_bucket{{{probe},le="+Inf"}} {count}')
                out.append(f"wardnet_link_round_trip_seconds_count{{{probe}}} {count}")
                if key in self._last:
                    out.append(f"wardnet_link_last_round_trip_seconds{{{probe}}} {self._last[key]}")
                out.append(
                    f'wardnet_link_egress_info{{{own},family="{family}",interface="{interface}",source="192.0.2.1"}} 1'
                )
        return out

    def _pc(self, pc: str) -> list[str]:
        """What an agent on a clerk's PC says: the WAN's services with the LAN on the way."""
        added, line = self.gateway.pcs[pc], self.gateway.lines["wan"]
        out = ['wardnet_pc_agent_lateness_seconds{plane="pc"} 0.002']
        for service in self.gateway.services["wan"]:
            for family in ("ipv4", "ipv6"):
                run = f'channel="wan",service="{service}",family="{family}"'
                rtt = self._round_trip(line) + added
                figures = (rtt + line.dns, rtt * 1.02, rtt + 0.004, rtt + line.server, 0.002)
                out += [f"wardnet_pc_service_up{{{run}}} 1"]
                out += [f"wardnet_pc_service_last_run_timestamp_seconds{{{run}}} {self._ran}"]
                out += [f"wardnet_pc_service_tcp_round_trip_seconds{{{run}}} {rtt}"]
                out += [
                    f'wardnet_pc_service_phase_seconds{{{run},phase="{phase}"}} {seconds}'
                    for phase, seconds in zip(PARTS, figures, strict=True)
                ]
        return out

    def _software(self) -> list[str]:
        out = [
            f'wardnet_scanner_state_info{{channel="wan",scanner="{scanner}",state="{state}"}} 1'
            for scanner, state in self.gateway.scanners.items()
        ]
        for channel, services in self.gateway.services.items():
            line = self.gateway.lines[channel]
            for service in services:
                for family in ("ipv4", "ipv6"):
                    run = f'channel="{channel}",service="{service}",family="{family}"'
                    up = line.service_up and line.carrier
                    out.append(f"wardnet_service_up{{{run}}} {int(up)}")
                    out.append(f"wardnet_service_last_run_timestamp_seconds{{{run}}} {self._ran}")
                    out.append(f"wardnet_service_runs_total{{{run}}} {self._totals.get(f'sent {channel} {family}', 0)}")
                    if not up:
                        continue
                    key = f"run {channel} {service} {family}"
                    out += [
                        f'wardnet_service_phase_seconds{{{run},phase="{phase}"}} {self._last[f"{key} {phase}"]}'
                        for phase in PARTS
                    ]
                    for bound in (*RUN_BOUNDS, float("inf")):
                        edge = "+Inf" if bound == float("inf") else bound
                        count = self._totals[f"bucket {channel} {service} {family} {bound}"]
                        out.append(f'wardnet_service_duration_seconds_bucket{{{run},le="{edge}"}} {count}')
                    out.append(f"wardnet_service_tcp_round_trip_seconds{{{run}}} {self._last[f'{key} rtt']}")
                    out.append(f"wardnet_service_tcp_min_round_trip_seconds{{{run}}} {line.base}")
        return out


@contextmanager
def served(gateways: list[Gateway]) -> Iterator[int]:
    """The gateways' text at http://127.0.0.1:PORT/GATEWAY/PLANE; yields the port."""
    pages = {g.id: Exposition(g, seed) for seed, g in enumerate(gateways)}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            gateway, _slash, plane = self.path.strip("/").partition("/")
            page = pages[gateway]
            gone = plane in page.gateway.silent
            body = b"" if gone else page.text(plane).encode()
            self.send_response(503 if gone else 200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def targets(gateways: list[Gateway], port: int, plane: str) -> str:
    """Discovery as `wardnet targets` makes it, with the fake transport's paths."""
    scraped = [(g, f"/{g.id}/pc/{pc}", {"pc": pc}) for g in gateways for pc in g.pcs]
    if plane != "pc":
        scraped = [(g, f"/{g.id}/{plane}", {"gateway": g.id}) for g in gateways]
    groups = [
        {
            "targets": [f"127.0.0.1:{port}"],
            "labels": {
                "__metrics_path__": path,
                "instance": path,
                "ward": g.ward,
                "ward_name": g.name,
                "site": f"{g.ward}-office",
                **own,
            },
        }
        for g, path, own in scraped
    ]
    return json.dumps(groups)


@contextmanager
def prometheus(
    gateways: list[Gateway],
    exporters_port: int,
    port: int,
    interval: int = 1,
    controller: Mapping[str, int] | None = None,
) -> Iterator[str]:
    """Debian's Prometheus with the shipped rules and consoles, scraping every `interval` seconds; yields its URL.
    `controller` has the ports of the controller's exporters by their jobs."""
    with tempfile.TemporaryDirectory(prefix="wardnet-prometheus-") as folder:
        home = Path(folder)
        jobs = ""
        for plane in ("link", "software", "pc"):
            (home / f"{plane}.json").write_text(targets(gateways, exporters_port, plane), encoding="utf-8")
            jobs += f"  - job_name: wardnet-{plane}\n    file_sd_configs: [{{files: ['{home}/{plane}.json']}}]\n"
        for job, its_port in (controller or {}).items():
            jobs += f"  - job_name: {job}\n    static_configs: [{{targets: ['127.0.0.1:{its_port}']}}]\n"
        (home / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, evaluation_interval: {interval}s}}\n"
            f"rule_files: ['{MONITORING}/rules/*.yml']\nscrape_configs:\n{jobs}",
            encoding="utf-8",
        )
        url = f"http://127.0.0.1:{port}"
        with (home / "log").open("w") as log:
            process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={home}/prometheus.yml",
                    f"--storage.tsdb.path={home}/data",
                    f"--web.listen-address=127.0.0.1:{port}",
                    f"--web.console.templates={MONITORING}/consoles",
                    f"--web.console.libraries={MONITORING}/console_libraries",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            wait_ready(port, process, home / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_ready(port: int, process: subprocess.Popen[bytes], log: Path, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            connection = HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not become ready:\n{log.read_text()}")


def sample_district() -> list[Gateway]:
    """Nine gateways, one of every state that a wall screen should show."""
    names = {
        "tay-ho": "UBND quận Tây Hồ", "buoi": "Bưởi", "nhat-tan": "Nhật Tân", "phu-thuong": "Phú Thượng",
        "quang-an": "Quảng An", "thuy-khue": "Thụy Khuê", "tu-lien": "Tứ Liên", "xuan-la": "Xuân La",
        "yen-phu": "Yên Phụ",
    }  # fmt: skip
    return [
        Gateway(ward, name, {"wan": Line(), "internet": Line(contracted=12_500_000)}) for ward, name in names.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="a made-up district behind a real Prometheus, until interrupted")
    parser.add_argument("--port", type=int, default=19390)
    parser.add_argument("--healthy", type=float, default=45, help="seconds before the faults begin")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that Prometheus is ended too
    gateways = {g.ward: g for g in sample_district()}
    with served(list(gateways.values())) as port, prometheus(list(gateways.values()), port, options.port, 5) as url:
        print(url, flush=True)
        time.sleep(options.healthy)
        gateways["buoi"].lines["wan"] = Line(added=0.18)
        gateways["nhat-tan"].lines["wan"] = Line(server=0.85)
        gateways["phu-thuong"].lines["internet"] = Line(contracted=12_500_000, carrier=False)
        gateways["quang-an"].lines["wan"] = Line(added=0.12, down=2_400_000)
        gateways["thuy-khue"].lines["wan"] = Line(loss=0.12)
        gateways["tu-lien"].silent = {"link", "software"}
        gateways["xuan-la"].silent = {"software"}
        gateways["yen-phu"].lines["internet"] = Line(contracted=12_500_000, dns=0.6)
        threading.Event().wait()


if __name__ == "__main__":
    main()
