"""What one probe through /probe costs, beside Debian's blackbox_exporter in the same run.

Both exporters fetch the same page of 1 KiB from the same server on loopback; a round asks each of them the same
number of probes, one after the other, over one connection, in turns. The figure is the processor time of the
exporter's whole process; servers and client run in processes of their own.

    python -m bench.probes            # QUICK=1 for fewer probes
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "probes.json"
TOOLS = ROOT / "build" / "bench-tools"
PEER = "prometheus-blackbox-exporter"
PAGE_BYTES = 1024
ROUNDS = 3
PROBES, QUICK_PROBES = 2000, 300
WARM_UP = 50
CPU_BUDGETS = {"http": 0.4, "tcp": 0.4, "https": 0.8}
MEMORY_BUDGET = 40.0


class BenchError(Exception):
    """The benchmark cannot be run here."""


@dataclass(frozen=True)
class Record:
    """One line of the result: `ours` and `peer` in `unit`, `ratio` of the two, or `ours` alone, against `budget`."""

    what: str
    ours: float
    peer: float
    ratio: float
    budget: float
    met: bool
    unit: str
    runs: int
    command: str


@dataclass(frozen=True)
class Exporter:
    pid: int
    port: int
    paths: dict[str, str]  # by what is measured

    def probe(self, connection: http.client.HTTPConnection, what: str) -> None:
        connection.request("GET", self.paths[what])
        response = connection.getresponse()
        body = response.read()
        if response.status != 200 or b"\nprobe_success 1" not in body:
            raise BenchError(f"a probe failed: {self.paths[what]}: {response.status}\n{body.decode()}")

    def cpu_seconds(self) -> float:
        """Processor time of all threads of the process so far (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def peak_megabytes(self) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve))
        return 0
    quick = os.environ.get("QUICK", "") not in ("", "0")
    try:
        find_peer()
        enter_own_network()
        records = measure(QUICK_PROBES if quick else PROBES)
    except (BenchError, OSError, subprocess.SubprocessError) as error:
        print(f"cannot measure: {error}", file=sys.stderr)
        return 1
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n", encoding="utf-8")
    for record in records:
        print(json.dumps(asdict(record)))
    return 0


def enter_own_network() -> None:
    """Starts this command again in a network of its own, as root: tens of thousands of connections leave as many
    ports in TIME_WAIT, which would trouble everybody else's loopback."""
    if os.geteuid() != 0 or os.environ.get("WARDNET_BENCH_NETWORK"):
        return
    os.environ["WARDNET_BENCH_NETWORK"] = "own"
    script = 'ip link set lo up && exec "$@"'
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-m", "bench.probes"])  # noqa: S606


def measure(probes: int) -> list[Record]:
    """All records, from `ROUNDS` rounds of `probes` probes of each kind by each exporter."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wardnet-bench-")))
        make_certificate(folder)
        ports = stack.enter_context(servers(folder))
        ours = stack.enter_context(our_exporter(folder, ports))
        peer = stack.enter_context(peer_exporter(folder, ports))
        taken: dict[tuple[str, int], list[float]] = {}
        for what in CPU_BUDGETS:
            for _ in range(ROUNDS):
                for exporter in (ours, peer):
                    taken.setdefault((what, exporter.pid), []).append(milliseconds_a_probe(exporter, what, probes))
        command = "QUICK=1 make bench-probes" if probes == QUICK_PROBES else "make bench-probes"
        records = []
        for what, budget in CPU_BUDGETS.items():
            own, other = (round(statistics.median(taken[what, exporter.pid]), 4) for exporter in (ours, peer))
            ratio = round(own / other, 3)
            label = f"processor time of one {what} probe through /probe"
            runs = ROUNDS * probes
            records.append(Record(label, own, other, ratio, budget, ratio <= budget, "ms", runs, command))
        own, other = (round(exporter.peak_megabytes(), 1) for exporter in (ours, peer))
        label = "peak resident memory of the exporter after these probes"
        met = own <= MEMORY_BUDGET
        records.append(Record(label, own, other, round(own / other, 3), MEMORY_BUDGET, met, "MB", 1, command))
        return records


def milliseconds_a_probe(exporter: Exporter, what: str, probes: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", exporter.port, timeout=20)
    with contextlib.closing(connection):
        for _ in range(WARM_UP):
            exporter.probe(connection, what)
        before = exporter.cpu_seconds()
        for _ in range(probes):
            exporter.probe(connection, what)
        return (exporter.cpu_seconds() - before) * 1000 / probes


def make_certificate(folder: Path) -> None:
    """A self-signed RSA-2048 certificate for 127.0.0.1, which both exporters trust and verify."""
    (folder / "ca.d").mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "key.pem")),
            *("-out", str(folder / "ca.d" / "bench.pem")),
        ],
        check=True,
        capture_output=True,
    )


@contextmanager
def process(command: list[str], port: int | None = None, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A process until the end of the block; with `port`, once it listens there."""
    started = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        if port is not None:
            _wait_for_port(port, started)
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(10)


def _wait_for_port(port: int, started: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and started.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise BenchError(f"nothing listens on port {port}: {started.args!r}")


@contextmanager
def servers(folder: Path) -> Iterator[dict[str, int]]:
    """The page over http and https; ports by scheme."""
    with process([sys.executable, "-m", "bench.probes", "--serve", str(folder)]) as started:
        assert started.stdout is not None
        line = started.stdout.readline()
        if not line:
            raise BenchError("the page's server did not start")
        yield dict(json.loads(line))


async def _serve(folder: Path) -> None:
    answer = (
        f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {PAGE_BYTES}\r\nConnection: close\r\n\r\n"
    ).encode() + b"x" * PAGE_BYTES

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
        writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "ca.d" / "bench.pem", folder / "key.pem")
    plain = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=128)
    tls = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=128, ssl=context)
    ports = {"http": plain.sockets[0].getsockname()[1], "https": tls.sockets[0].getsockname()[1]}
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


@contextmanager
def our_exporter(folder: Path, ports: dict[str, int]) -> Iterator[Exporter]:
    """The software exporter on loopback, its own schedule out of the way."""
    port = free_port()
    channel = {
        "id": "wan",
        "circuit": "bench",
        "provider": "bench",
        "interface": "lo",
        "ipv4": "127.0.0.1",
        "ipv6": "::1",
        "resolvers": ["127.0.0.1"],
        "contracted_down_bps": 10**9,
        "contracted_up_bps": 10**9,
    }
    configuration = {
        "model_sha256": "0" * 64,
        "ward": "bench",
        "site": "bench",
        "gateway": "bench",
        "domain": "bench.example",
        "listen": ["127.0.0.1"],
        "link_port": port + 1 if port < 65535 else 1,
        "software_port": port,
        "interval_seconds": 3600,
        "channels": [channel],
        "reflectors": [],
        "scanners": [],
        "services": [{"id": name, "channel": "wan", "url": f"{name}://127.0.0.1:{ports[name]}/"} for name in ports],
    }
    file = folder / "agent.json"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    launcher = "import sys; from exporters.software import main; sys.exit(main())"
    options = ["--config.file", str(file), "--config.ca-dir", str(folder / "ca.d"), "--log.level", "error"]
    with process([sys.executable, "-c", launcher, *options], port) as started:
        paths = {
            "http": "/probe?module=http&target=http",
            "tcp": "/probe?module=tcp&target=http",
            "https": "/probe?module=http&target=https",
        }
        yield Exporter(started.pid, port, paths)


@contextmanager
def peer_exporter(folder: Path, ports: dict[str, int]) -> Iterator[Exporter]:
    """blackbox_exporter with one thread, as on a small gateway."""
    port = free_port()
    http_module = {
        "prober": "http",
        "timeout": "5s",
        "http": {"preferred_ip_protocol": "ip4", "tls_config": {"ca_file": str(folder / "ca.d" / "bench.pem")}},
    }
    modules = {"http": http_module, "tcp": {"prober": "tcp", "timeout": "5s", "tcp": {"preferred_ip_protocol": "ip4"}}}
    file = folder / "blackbox.yml"
    file.write_text(json.dumps({"modules": modules}), encoding="utf-8")  # JSON is YAML too
    options = [f"--config.file={file}", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    with process([find_peer(), *options], port, GOMAXPROCS="1") as started:
        targets = {what: f"{what}://127.0.0.1:{ports[what]}/" for what in ("http", "https")}
        paths = {what: f"/probe?module=http&target={quote(url, safe='')}" for what, url in targets.items()}
        paths["tcp"] = f"/probe?module=tcp&target=127.0.0.1:{ports['http']}"
        yield Exporter(started.pid, port, paths)


def find_peer() -> str:
    """The peer's program: installed, or Debian's package unpacked beside the code."""
    installed = shutil.which(PEER)
    unpacked = TOOLS / "usr" / "bin" / PEER
    if installed or unpacked.exists():
        return installed or str(unpacked)
    TOOLS.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["apt-get", "-qq", "download", PEER], cwd=TOOLS, capture_output=True, text=True, check=False)
    packages = sorted(TOOLS.glob("*.deb"))
    if done.returncode != 0 or not packages:
        raise BenchError(f"{PEER} is not installed and cannot be downloaded: {done.stderr.strip()}")
    subprocess.run(["dpkg-deb", "-x", str(packages[-1]), str(TOOLS)], check=True)
    return str(unpacked)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    raise SystemExit(main())
