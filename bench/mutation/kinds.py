"""What a table of mutations is made of: kinds, the places where each can sit, and the verdict that each demands."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import Artefacts
from wardnet.audit.records import Verdict

Edit = Callable[[Artefacts], Artefacts]
Made = Callable[[Subject, Way], Artefacts]
Places = Callable[[Subject], Iterable["Place"]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where an edit sits, as people read it; what it makes of the artefacts; and, of a leak that can be modelled, the
    way that it opens: a crossing has to be found there."""

    at: str
    edit: Callable[[], Artefacts]
    opens: Way | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of edit. `places` gives every one where it can sit on a device; none where it has no place there."""

    name: str
    does: str
    places: Callable[[Subject], Iterable[Place]]
    demanded: Verdict


def on_ways(edit: Callable[[Subject, Way], Artefacts], *, zones: bool = False) -> Callable[[Subject], Iterable[Place]]:
    """In each way of a device between the channels; also between `zones` of one."""

    def places(subject: Subject) -> Iterable[Place]:
        for way in (*subject.ways, *(subject.within if zones else ())):
            yield Place(str(way), lambda way=way: edit(subject, way), way)  # type: ignore[misc]

    return places


def at_ports(edit: Callable[[Subject, str], Artefacts]) -> Callable[[Subject], Iterable[Place]]:
    """At each port of a device that has ports of both channels."""

    def places(subject: Subject) -> Iterable[Place]:
        for port in subject.ports if subject.ways else ():
            yield Place(port, lambda port=port: edit(subject, port))  # type: ignore[misc]

    return places


def once(
    *edits: tuple[str, Callable[[Artefacts], Artefacts]], anywhere: bool = False
) -> Callable[[Subject], Iterable[Place]]:
    """Each edit once on a device; `anywhere`: on one with ports of a single channel too."""

    def places(subject: Subject) -> Iterable[Place]:
        for at, edit in edits if subject.ways or anywhere else ():
            yield Place(at, lambda edit=edit: edit(subject.artefacts))  # type: ignore[misc]

    return places


def in_each_pair(made: Callable[[Subject, Way], Artefacts]) -> Callable[[Subject], Iterable[Place]]:
    """Each ordered pair of ports once: it is no matter of a family."""

    def places(subject: Subject) -> Iterable[Place]:
        for way in subject.ways:
            if way.family == 4:
                yield Place(f"{way.source} and {way.destination}", lambda way=way: made(subject, way))  # type: ignore[misc]

    return places


def of_family_of(family: int, made: Made) -> Callable[[Subject], Iterable[Place]]:
    return lambda subject: (p for p in on_ways(made)(subject) if p.opens is not None and p.opens.family == family)


def between(wanted: Callable[[Subject, Way], bool], made: Made) -> Callable[[Subject], Iterable[Place]]:
    return lambda subject: (p for p in on_ways(made)(subject) if p.opens is not None and wanted(subject, p.opens))
