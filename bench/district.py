"""How long the audit of whole districts takes, from artefacts on disk to the verdict in a warm process, by both
engines: eight wards that all differ; the same after one of them was changed; and 3,321 wards, as many as a country has,
made from 50 templates with addresses of their own, with the memory that it takes."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.gateway import GATEWAY, artefacts, district, inventory_files, policy
from bench.record import AUDIT, BenchError, Record, timed
from bench.wards import Made, moved, template, wards
from collectors.collect import Reading, now, write_snapshot
from wardnet.audit.forms import Form
from wardnet.audit.records import Verdict
from wardnet.audit.run import audit
from wardnet.audit.snapshot import read_snapshot
from wardnet.model.intent import Platform
from wardnet.model.policy import AuditPolicy, DevicePolicy

FEW, MANY, TEMPLATES = 8, 3321, 50
_PEER = "the BDD package without C, one ward after the other"
_BY_ITSELF = "each ward by itself, from one of each template"


def records(runs: int, *, many: bool) -> list[Record]:
    base = next(one for one in policy().devices if one.device == GATEWAY)
    with tempfile.TemporaryDirectory() as scratch:
        found = _few(base, Path(scratch), runs)
        if many:
            found += _many(base, Path(scratch))
    return found


def _few(base: DevicePolicy, scratch: Path, runs: int) -> list[Record]:
    made = wards(base, artefacts(), FEW, FEW)
    folder, wanted = _stored(scratch / "few", made), _policy(made)
    fresh = min(_seconds(folder, wanted, {}) for _ in range(runs))
    peer = sum(_alone(folder, wanted, ward) for ward, _ in made)
    proved: dict[Form, str] = {}
    _seconds(folder, wanted, proved)
    changed = []
    for number in range(runs):
        # A ward that was not seen before in the place of the last one.
        another = [*made[:-1], moved(*template(base, artefacts(), FEW + 1 + number), FEW)]
        folder, wanted = _stored(scratch / f"changed-{number}", another), _policy(another)
        changed.append(_seconds(folder, wanted, dict(proved)))
    return [
        timed(f"audit of {FEW} wards beside {_PEER}", fresh, peer, 2, runs),
        timed(f"audit of {FEW} wards after one changed, beside all of them anew", min(changed), fresh, 1, runs),
    ]


def _many(base: DevicePolicy, scratch: Path) -> list[Record]:
    made = wards(base, artefacts(), MANY, TEMPLATES)
    sample = made[:TEMPLATES]
    one_of_each = _seconds(_stored(scratch / "sample", sample), _policy(sample), {})
    folder, wanted = _stored(scratch / "many", made), _policy(made)
    del made
    taken = _seconds(folder, wanted, {})
    memory = sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    what = f"audit of {MANY:,} wards from {TEMPLATES} templates"
    return [
        timed(f"{what} beside {_BY_ITSELF}", taken, one_of_each * MANY / TEMPLATES, 60, 1),
        Record(f"{what}: most memory of a process, and of one that it started", round(memory), round(memory), 1.0, None,
               None, "MiB", 1, AUDIT),
    ]  # fmt: skip


def _stored(folder: Path, made: Sequence[Made]) -> Path:
    readings = [Reading(ward.device, Platform.LINUX, now(), contents, "") for ward, contents in made]
    write_snapshot(folder, readings, inventory_files(), district().sha256, "bench")
    return folder


def _policy(made: Sequence[Made]) -> AuditPolicy:
    """Of these gateways, without the network between them."""
    return replace(policy(), devices=tuple(ward for ward, _ in made), switches=(), network=None)


def _seconds(folder: Path, wanted: AuditPolicy, proved: dict[Form, str]) -> float:
    start = time.perf_counter()
    result = audit(read_snapshot(folder), wanted, proved=proved)
    taken = time.perf_counter() - start
    if result.verdict is not Verdict.PROVED:
        raise BenchError(f"{folder.name} must be proved, and is {result.verdict}")
    return taken


def _alone(folder: Path, wanted: AuditPolicy, ward: DevicePolicy) -> float:
    start = time.process_time()
    audit(read_snapshot(folder), wanted, [ward.ward], "dd.autoref", None)
    return time.process_time() - start
