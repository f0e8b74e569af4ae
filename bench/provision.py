"""How long a converge and a no-op converge take as shipped, beside a plain baseline that reaches the same state
(bench/plain: one task a file, Ansible's own settings), on booted hosts, in one run.

For each size (--first smallest: that one, --first none: none) a lab is made for the baseline's first converge; there
the shipped playbooks are asked in check mode what they would still change, which has to be nothing. Then for each size
a lab is made and converged as shipped. Just before one of the shipped no-ops a rule is added to a gateway's running
filter by hand; that run has to report it. Then the baseline has its no-op on the very same hosts, which an honest
baseline finds as it wants them. The module runs that either starts on hosts are counted where Ansible starts them
(bench/callback).

Access switches are left out of both: the baseline has none.

    python -m bench.provision [--wards 2 --wards 8] [--first none]      # as root; QUICK=1: 2 wards, one run of each
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.record import keep
from lab import Lab, LabError, open_lab

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "provision.json"
SHIPPED = (ROOT / "ansible.cfg", ROOT / "playbooks" / "site.yml")
PLAIN = (ROOT / "bench" / "plain" / "ansible.cfg", ROOT / "bench" / "plain" / "site.yml")
SIZES = (2, 8)
RUNS = 3
BUDGET = 0.2  # of the baseline's time, for a no-op
COMMAND = "make bench-provision"
PATIENCE = 7200  # seconds for one run of a playbook
MARK = "added by hand"
TASK = re.compile(r"^(?:TASK|RUNNING HANDLER) \[(.*)\]")
RECAP = re.compile(r"^(\S+) +: ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE)


class BenchError(Exception):
    """The figures would say nothing: a run failed, or a no-op changed something."""


@dataclass(frozen=True)
class Record:
    """One line of the result: `ours` and `peer` in `unit`, `ratio` of the two against `budget`. Without a peer `ours`
    is held against `budget` itself."""

    what: str
    ours: float
    peer: float | None
    ratio: float | None
    budget: float | None
    met: bool | None
    unit: str
    runs: int
    command: str


@dataclass(frozen=True)
class Run:
    seconds: float
    cpu: float  # of the controller's processes, user and system
    modules: Counter[str]  # runs by host
    changed: frozenset[str]
    output: str


def play(lab: Lab, which: tuple[Path, Path], *more: str) -> Run:
    """One run of a playbook from the lab's controller; BenchError where it fails."""
    config, playbook = which
    with tempfile.TemporaryDirectory(prefix="wardnet-bench-") as scratch:
        count = Path(scratch) / "modules"
        count.touch()
        argv = [
            "env",
            f"--chdir={ROOT}",
            f"ANSIBLE_CONFIG={config}",
            f"BENCH_COUNT={count}",
            f"WARDNET_RUNS={scratch}/runs",
            *callbacks(config),
            str(Path(sys.executable).with_name("ansible-playbook")),
            f"--inventory={lab.state / 'inventory' / 'wardnet.yml'}",
            f"--extra-vars=@{lab.state / 'ansible-vars.yml'}",
            str(playbook),
            "--limit=!switches",
            *more,
        ]
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = lab.run("controller", argv, stdin=b"", timeout=PATIENCE)
        seconds, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
        modules = Counter(json.loads(line)["host"] for line in count.read_text().splitlines())
    output = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode:
        raise BenchError(f"{playbook.relative_to(ROOT)} failed:\n{output[-4000:]}")
    changed = frozenset(row[0] for row in RECAP.findall(output) if int(row[2]))
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu, modules, changed, output)


def callbacks(config: Path) -> list[str]:
    """The environment that adds the counting callback to those which the configuration names."""
    parser = ConfigParser(interpolation=None)
    parser.read(config)
    own = parser.get("defaults", "callback_plugins", fallback="")
    folders = [str(config.parent / folder) for folder in own.split(":") if folder]
    enabled = [name.strip() for name in parser.get("defaults", "callbacks_enabled", fallback="").split(",") if name]
    return [
        f"ANSIBLE_CALLBACK_PLUGINS={':'.join([*folders, str(ROOT / 'bench' / 'callback')])}",
        f"ANSIBLE_CALLBACKS_ENABLED={','.join([*enabled, 'bench_count'])}",
    ]


def fresh(name: str, wards: int) -> Lab:
    """A lab that nothing has configured yet."""
    for words in (["down"], ["up", f"--wards={wards}"]):
        argv = [sys.executable, "-m", "lab", *words, f"--name={name}"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise BenchError(f"the lab did not come {words[0]}:\n{done.stderr or done.stdout}")
    return open_lab(name)


@dataclass
class Measured:
    """What one side took: the first converge, and each no-op after it."""

    converge: Run | None
    again: list[Run]

    def middle(self, what: str) -> float:
        return float(statistics.median(getattr(run, what) for run in self.again))

    @property
    def modules(self) -> Counter[str]:
        """Module runs of a no-op, by host."""
        return self.again[-1].modules


def converge(lab: Lab, which: tuple[Path, Path]) -> Run:
    run = play(lab, which)
    say(f"converge: {run.seconds:.0f} s, {run.modules.total()} module runs")
    return run


def again(lab: Lab, which: tuple[Path, Path]) -> Run:
    """A run that has nothing to do; what it does all the same is said."""
    run = play(lab, which)
    say(f"nothing to do: {run.seconds:.1f} s, {run.modules.total()} module runs")
    for line in changes(run.output):
        say(f"changed all the same: {line}")
    return run


def changes(output: str) -> Iterator[str]:
    """What a run changed, as 'task: host'."""
    task = ""
    for line in output.splitlines():
        found = TASK.match(line)
        task = found[1] if found else task
        if line.startswith("changed: "):
            yield f"{task}: {line.removeprefix('changed: ')}"


def find_drift(lab: Lab, gateway: str) -> bool:
    """Whether a run reports the rule that somebody has just added to the running filter, and that host alone."""
    rule = ["nft", "add", "rule", "inet", "wardnet", "forward", "counter", "comment", f'"{MARK}"']
    done = lab.shell(gateway, rule)
    if done.returncode:
        raise BenchError(f"{gateway}: {done.stderr.decode()}")
    run = play(lab, SHIPPED, "--diff")
    say(f"with a rule added by hand: {run.seconds:.1f} s, changed: {', '.join(sorted(run.changed)) or 'nothing'}")
    return run.changed == {gateway} and MARK in run.output


def missed_by(lab: Lab, peer: Run) -> tuple[set[str], set[str]]:
    """The hosts that the shipped playbooks know, and those of them where they would still change something after the
    baseline, or that it did not come to."""
    left = play(lab, SHIPPED, "--check", "--diff")
    hosts = set(left.modules)
    missed = set(left.changed) | (hosts - set(peer.modules))
    if missed:
        say(f"the baseline does not reach what is shipped on {', '.join(sorted(missed))}:\n{left.output[-20000:]}")
    return hosts, missed


def size(name: str, wards: int, runs: int, full: bool) -> Iterator[list[Record]]:
    """The figures of one size, as they become known."""
    peer = Measured(None, [])
    if full:
        say(f"{wards} wards, plain baseline, from bare hosts")
        lab = fresh(name, wards)
        peer.converge = converge(lab, PLAIN)
        hosts, missed = missed_by(lab, peer.converge)
        yield [same("that the baseline brings to the shipped state", wards, hosts - missed, hosts)]
    say(f"{wards} wards, as shipped")
    lab = fresh(name, wards)
    first = converge(lab, SHIPPED)
    ours = Measured(first, [again(lab, SHIPPED) for _ in range(runs)])
    restless = {host for run in ours.again for host in run.changed}
    if restless:
        raise BenchError(f"a run with nothing to do changed {', '.join(sorted(restless))}")
    gateway = next(host for host in sorted(first.modules) if host.startswith(lab.record.wards[0] + "-gw"))
    found = find_drift(lab, gateway)
    drift = Record(f"drift planted just before a no-op and reported, {wards} wards", float(found), None, None, 1.0,
                   found, "of 1", 1, COMMAND)  # fmt: skip
    yield [*compared(wards, gateway, ours, peer), drift]
    say(f"{wards} wards, plain baseline, on the same hosts")
    peer.again.append(again(lab, PLAIN))
    hosts = set(ours.modules) | set(peer.modules)
    still = set(peer.modules) - peer.again[-1].changed
    idle = same("on which the baseline finds nothing to change", wards, still, hosts)
    yield [*compared(wards, gateway, ours, peer), drift, idle]


def same(what: str, wards: int, these: set[str], hosts: set[str]) -> Record:
    return Record(f"hosts {what}, {wards} wards", float(len(these)), None, None, float(len(hosts)), these == hosts,
                  f"of {len(hosts)} hosts", 1, COMMAND)  # fmt: skip


def compared(wards: int, gateway: str, ours: Measured, peer: Measured) -> list[Record]:
    """Both sides beside one another. `runs` of a record is how many of ours the median is of."""

    def pair(
        what: str, mine: float, theirs: float | None, unit: str, count: int, budget: float | None = None
    ) -> Record:
        ratio = None if theirs is None else mine / theirs
        met = None if budget is None or ratio is None else ratio <= budget
        return Record(
            f"{what}, {wards} wards", round(mine, 2), None if theirs is None else round(theirs, 2),
            None if ratio is None else round(ratio, 3), budget, met, unit, count, COMMAND,
        )  # fmt: skip

    count, known = len(ours.again), bool(peer.again)
    records = [
        pair("no-op converge", ours.middle("seconds"), peer.middle("seconds") if known else None, "s", count, BUDGET),
        pair("processor time of the controller, no-op converge", ours.middle("cpu"),
             peer.middle("cpu") if known else None, "s", count),
        pair("module runs on hosts, no-op converge", ours.modules.total(), peer.modules.total() if known else None,
             "module runs", count),
        pair("module runs on one gateway, no-op converge", ours.modules[gateway],
             peer.modules[gateway] if known else None, "module runs", count),
    ]  # fmt: skip
    mine, theirs = ours.converge, peer.converge
    figures: tuple[tuple[str, str, Callable[[Run], float]], ...] = (
        ("first converge", "s", lambda run: run.seconds),
        ("processor time of the controller, first converge", "s", lambda run: run.cpu),
        ("module runs on hosts, first converge", "module runs", lambda run: run.modules.total()),
    )
    for what, unit, figure in figures:
        if mine:
            records.append(pair(what, figure(mine), figure(theirs) if theirs else None, unit, 1))
    return records


def say(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


def save(found: list[Record]) -> None:
    """What has been measured so far, with what other sizes gave before."""
    earlier: list[dict[str, object]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    fresh_names = {record.what for record in found}
    kept = [record for record in earlier if record["what"] not in fresh_names]
    merged = [*kept, *(asdict(record) for record in found)]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    keep(RESULTS, merged)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0] if __doc__ else None)
    parser.add_argument("--wards", type=int, action="append", help="a size of the district; may be given again")
    parser.add_argument("--first", choices=("none", "smallest", "all"), default="all",
                        help="sizes at which the baseline's first converge is timed too")  # fmt: skip
    parser.add_argument("--name", default="bench", help="the lab's name")
    options = parser.parse_args()
    quick = os.environ.get("QUICK", "") not in ("", "0")
    firsts = {"none": (), "smallest": SIZES[:1], "all": options.wards or SIZES}[options.first]
    sizes = options.wards or (SIZES[:1] if quick else SIZES)
    words = [*(["QUICK=1"] if quick else []), "python -m bench.provision", *sys.argv[1:]]
    command = " ".join(words) if sys.argv[1:] else " ".join([*words[:-1], COMMAND])
    found: dict[str, Record] = {}
    try:
        for wards in sizes:
            for known in size(
                options.name, wards, 1 if quick else RUNS, wards in firsts
            ):  # saved each time: an aborted run leaves what it knew
                found |= {record.what: replace(record, command=command) for record in known}
                save(list(found.values()))
    except (BenchError, LabError, OSError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        argv = [sys.executable, "-m", "lab", "down", f"--name={options.name}"]
        subprocess.run(argv, capture_output=True, check=False, cwd=ROOT)
    for record in found.values():
        budget = "" if record.budget is None else f", budget {record.budget}: {'met' if record.met else 'MISSED'}"
        beside = "" if record.peer is None else f" (baseline {record.peer}, ratio {record.ratio})"
        print(f"{record.what}: {record.ours} {record.unit}{beside}{budget}")
    return int(any(record.met is False for record in found.values()))


if __name__ == "__main__":
    sys.exit(main())
