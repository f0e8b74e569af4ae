"""How hard a host is, by tools that are none of wardnet: Lynis, and ssh-audit against its SSH server, on hosts of a lab
that is up. What they find is either mended or waived, with a reason, in bench/hardening-waivers.yml.

    python -m bench.hardening --name LAB [HOST ...]        # the sample's first gateway and PC, unless told otherwise
    python -m bench.hardening --name LAB --save before     # keeps scores and findings in bench/results/hardening.json

Exits 1 where something is neither. Both tools come from the pool of the lab's mirror into a folder of /run; nothing is
installed, and nothing stays.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from lab import Lab, open_lab

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results" / "hardening.json"
WAIVERS = ROOT / "bench" / "hardening-waivers.yml"
HOSTS = ("buoi-gw", "buoi-pc-1")
ASIDE = "/run/wardnet-measure"

# Both are scripts, so that they need no place to be installed in.
UNPACK = f'mkdir -p {ASIDE} && cd {ASIDE} && cat > "$1.deb" && dpkg-deb -x "$1.deb" "$1"'
LYNIS = f"""cd {ASIDE}/lynis/usr/share/lynis || exit 1
export LANG=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
rm -f /run/lynis.pid
sh ../../sbin/lynis audit system --cronjob --quick --profile ../../../etc/lynis/default.prf \\
  --plugindir ../../../etc/lynis/plugins --report-file {ASIDE}/report.dat --logfile {ASIDE}/lynis.log >/dev/null 2>&1
cat {ASIDE}/report.dat
"""
# Its status says what it thinks of the server.
SSH_AUDIT = f"""export PYTHONPATH={ASIDE}/ssh-audit/usr/lib/python3/dist-packages
python3 {ASIDE}/ssh-audit/usr/bin/ssh-audit --no-colors 127.0.0.1 || true
"""
AWAY = f"rm -rf {ASIDE}"


class BenchError(Exception):
    """Nothing can be measured here."""


@dataclass(frozen=True, order=True)
class Finding:
    """`id` is the tool's own name of its test, `detail` what it complains of there."""

    id: str
    detail: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.id} {self.detail}".strip() + (f": {self.text}" if self.text else "")


@dataclass(frozen=True)
class Report:
    """What one tool says of one host; `score` is Lynis' hardening index, of 100, and None for ssh-audit."""

    tool: str
    host: str
    score: int | None
    tests: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Waiver:
    """A finding that stays, and why. `detail` and `hosts` are patterns; `lab` where only the lab's hosts have it."""

    id: str
    why: str
    detail: str = "*"
    hosts: str = "*"
    lab: bool = False

    def covers(self, host: str, finding: Finding) -> bool:
        return (
            self.id == finding.id
            and fnmatch.fnmatchcase(finding.detail, self.detail)
            and fnmatch.fnmatchcase(host, self.hosts)
        )


def parse_lynis(host: str, text: str) -> Report:
    """A report of Lynis (lynis-report.dat). Where a test tells its parts in lines of its own, each is a finding."""
    values: dict[str, str] = {}
    lines: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.endswith("[]"):
            lines.append((key.removesuffix("[]"), value.split("|")))
        else:
            values[key] = value
    if not values.get("hardening_index", "").isdigit():
        raise BenchError(f"{host}: Lynis wrote no report:\n{text[-500:]}")
    parts = {Finding(fields[0], _field(fields[2])) for kind, fields in lines if kind == "details" and _prefers(fields)}
    told = {finding.id for finding in parts if finding.id == "KRNL-6000"}
    whole = {
        Finding(fields[0], re.sub(r" \(set .*", "", fields[2]).strip("-"), fields[1])
        for kind, fields in lines
        if kind in ("warning", "suggestion") and fields[0] not in told
    }
    found = whole | {finding for finding in parts if finding.id in told}
    tests = len([one for one in values.get("tests_executed", "").split("|") if one])
    return Report("lynis", host, int(values["hardening_index"]), tests, tuple(sorted(found)))


def _prefers(fields: Sequence[str]) -> bool:
    return len(fields) > 2 and "field:" in fields[2] and "prefval:" in fields[2]


def _field(text: str) -> str:
    match = re.search(r"field:([^;]*)", text)
    return match[1] if match else text


def parse_ssh_audit(host: str, text: str) -> Report:
    """What ssh-audit prints: an algorithm that it fails or warns of is a finding. Its JSON does not say which."""
    found: dict[tuple[str, str], list[str]] = {}
    asked = set()
    key = ("", "")
    for line in text.splitlines():
        algorithm = re.match(r"\((kex|key|enc|mac)\) (\S+)", line)
        if algorithm:
            key = (algorithm[1], algorithm[2])
            asked.add(key)
        note = re.search(r"(?:--|`-) \[(fail|warn)\] (.*)", line)
        if note and (algorithm or line.startswith(" ")):
            found.setdefault(key, []).append(note[2].strip())
    if not asked:
        raise BenchError(f"{host}: ssh-audit found no server:\n{text[-500:]}")
    findings = [Finding(f"ssh-audit/{kind}", name, "; ".join(words)) for (kind, name), words in found.items()]
    return Report("ssh-audit", host, None, len(asked), tuple(sorted(findings)))


def read_waivers(path: Path = WAIVERS) -> tuple[Waiver, ...]:
    return tuple(Waiver(**item) for item in yaml.safe_load(path.read_text()))


def open_findings(reports: Iterable[Report], waivers: Sequence[Waiver]) -> list[tuple[str, Finding]]:
    """What is neither mended nor waived, as (host, finding)."""
    return [
        (report.host, finding)
        for report in reports
        for finding in report.findings
        if not any(waiver.covers(report.host, finding) for waiver in waivers)
    ]


def unused(reports: Sequence[Report], waivers: Sequence[Waiver]) -> list[Waiver]:
    """Waivers of what nobody finds any more."""
    return [
        waiver
        for waiver in waivers
        if not any(waiver.covers(report.host, finding) for report in reports for finding in report.findings)
    ]


def measure(lab: Lab, host: str) -> list[Report]:
    """Runs both tools. BenchError where one cannot be had or says nothing."""
    try:
        for name in ("lynis", "ssh-audit"):
            found = sorted((lab.layout.mirror / "pool" / "main").glob(f"{name}_*.deb"))
            if not found:
                raise BenchError(f"the lab's mirror has no {name}")
            _sh(lab, host, UNPACK, name, stdin=found[-1].read_bytes())
        return [parse_lynis(host, _sh(lab, host, LYNIS)), parse_ssh_audit(host, _sh(lab, host, SSH_AUDIT))]
    finally:
        _sh(lab, host, AWAY)


def _sh(lab: Lab, host: str, script: str, *arguments: str, stdin: bytes | None = None) -> str:
    done = lab.shell(host, ["sh", "-c", script, "sh", *arguments], stdin=stdin, timeout=1200)
    if done.returncode != 0:
        raise BenchError(f"{host}: {done.stderr.decode(errors='replace').strip()}")
    return str(done.stdout.decode(errors="replace"))


def save(label: str, reports: Sequence[Report], path: Path = RESULTS) -> None:
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    kept[label] = [
        {**asdict(report), "findings": [asdict(finding) for finding in report.findings]} for report in reports
    ]
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("hosts", nargs="*", default=list(HOSTS), metavar="HOST")
    parser.add_argument("--name", required=True, help="the lab")
    parser.add_argument("--save", metavar="LABEL", help="keep it under this name")
    options = parser.parse_args(arguments)
    lab = open_lab(options.name)
    waivers = read_waivers()
    reports = [report for host in options.hosts for report in measure(lab, host)]
    if options.save:
        save(options.save, reports)
    for report in reports:
        score = f"hardening index {report.score}, " if report.score is not None else ""
        print(f"{report.host}: {report.tool}: {score}{report.tests} tests, {len(report.findings)} findings")
    left = open_findings(reports, waivers)
    for host, finding in left:
        print(f"{host}: {finding}")
    print(f"neither mended nor waived: {len(left)}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
