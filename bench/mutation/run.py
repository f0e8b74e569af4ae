"""Judges edited artefacts: whether each leak is found, and each harmless change left alone.

python -m bench.mutation.run leaks 500       # so many, spread over all kinds and devices; without a number all
python -m bench.mutation.run harmless
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from random import Random

from bench.mutation import tables
from bench.mutation.kinds import Kind, Place
from bench.mutation.subjects import Subject, subjects
from collectors.parsers.artefact import ParseError
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import policy
from wardnet.audit.judge import channel_networks, judge
from wardnet.audit.places import Places
from wardnet.audit.records import DeviceResult, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the audit said of one edit: a verdict, or that the artefacts were refused. `wrong` says why that is not what
    the kind demands, and is empty where it is."""

    subject: str
    kind: str
    at: str
    said: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Edited:
    """One edit by numbers: which table, kind, device and place. What makes it can't be sent to another process."""

    table: str
    kind: int
    subject: int
    place: int


@cache
def places_of_policy() -> Places:
    return channel_networks(policy().devices)


@cache
def _places(table: str, kind: int, subject: int) -> tuple[Place, ...]:
    return tuple(tables.TABLES[table][kind].places(subjects()[subject]))


def spread(table: str, count: int | None = None) -> list[Edited]:
    """So many edits of a table, or all: each kind comes once before any comes twice, on each device where it has a
    place before on any twice. The places are in a random order that is always the same."""
    kinds = [list(_turns(_on_devices(table, kind), kind)) for kind in range(len(tables.TABLES[table]))]
    return list(_turns(kinds))[:count]


def _on_devices(table: str, kind: int) -> list[list[Edited]]:
    found = []
    for subject in range(len(subjects())):
        here = [Edited(table, kind, subject, place) for place in range(len(_places(table, kind, subject)))]
        Random(f"{table} {kind} {subject}").shuffle(here)  # noqa: S311 - the same order each time
        found += [here] if here else []
    return found


def _turns(queues: Sequence[Sequence[Edited]], first: int = 0) -> Iterator[Edited]:
    """The first of each, the second of each, and so on, beginning with the queue `first`."""
    first = first % len(queues) if queues else 0
    for turn in zip_longest(*queues[first:], *queues[:first]):
        yield from (edited for edited in turn if edited is not None)


def judge_edited(edited: Edited) -> Outcome:
    """Never raises for what stands in the artefacts."""
    subject, kind = subjects()[edited.subject], tables.TABLES[edited.table][edited.kind]
    return judged(subject, kind, _places(edited.table, edited.kind, edited.subject)[edited.place])


def judged(subject: Subject, kind: Kind, place: Place) -> Outcome:
    try:
        result = judge(parse_device(subject.policy.device, place.edit()), subject.policy, places_of_policy())
    except ParseError as error:
        return Outcome(subject.name, kind.name, place.at, "refused", f"refused: {error}")
    return Outcome(subject.name, kind.name, place.at, str(result.verdict), _wrong(kind, place, result))


def _wrong(kind: Kind, place: Place, result: DeviceResult) -> str:
    """Why the result is not what the kind demands; empty where it is."""
    if result.disagreements:
        return f"the engines disagree: {result.disagreements[0]}"
    way = place.opens
    if result.verdict is not kind.demanded and not (way is not None and _by_its_route(kind, result)):
        told = [p.reason for p in result.problems] + [p.reason for c in result.crossings for p in c.open_points]
        return f"{result.verdict}, and not {kind.demanded}: {'; '.join(told)[:400]}"
    if way is None or kind.demanded is Verdict.PROVED:
        return ""
    ends = (way.source, way.destination, way.family)
    here = [c for c in result.crossings if (c.from_port, c.to_port, c.family) == ends]
    if not any(crossing.verdict is kind.demanded for crossing in here):
        return f"no crossing by the way that it opens: {way}"
    return ""


def _by_its_route(kind: Kind, result: DeviceResult) -> bool:
    """An edit that is never certain may lead across by a route that is: errors about flows that there are follow it
    (docs/audit.md, "What surprises"), and nothing else does."""
    certain = [crossing for crossing in result.crossings if crossing.verdict is Verdict.VIOLATED]
    return kind.demanded is Verdict.UNKNOWN and all(crossing.packet.state == "related" for crossing in certain)


def run(edits: Sequence[Edited], workers: int) -> Iterator[Outcome]:
    """What came of each, in order."""
    if workers == 1:
        for edited in edits:
            yield judge_edited(edited)
        return
    with ProcessPoolExecutor(workers) as pool:
        yield from pool.map(judge_edited, edits, chunksize=4)


def main(arguments: Sequence[str]) -> int:
    table, count = arguments[0], int(arguments[1]) if len(arguments) > 1 else None
    wrong = done = 0
    for outcome in run(spread(table, count), 1):
        done += 1
        if outcome.wrong:
            wrong += 1
            print(f"{outcome.subject} | {outcome.kind} | {outcome.at} | {outcome.wrong}", flush=True)
    print(f"{table}: {done} edits of {len(tables.TABLES[table])} kinds, {wrong} not as demanded")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
