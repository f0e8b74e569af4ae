"""One device against its policy: a verdict for each ordered pair of ports of different zones, in each family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from wardnet.audit.agreement import Opinion, agree, asked, doubted
from wardnet.audit.connections import connections_of
from wardnet.audit.examine import Examiner
from wardnet.audit.places import Places, channel_networks
from wardnet.audit.problems import problems_of
from wardnet.audit.programs import programs_of
from wardnet.audit.question import FAMILIES, Answer, Ends, Question, crossing_pairs, may_fail
from wardnet.audit.records import (
    CHANNELS,
    Crossing,
    DeviceResult,
    Disagreement,
    OpenPoint,
    Pair,
    Verdict,
    worst,
)
from wardnet.audit.sets.pipeline import Pipeline
from wardnet.audit.sets.scales import Scales, UncutError, scales
from wardnet.audit.smt.opinion import second_opinion
from wardnet.audit.smt.solver import load
from wardnet.model.device import Device
from wardnet.model.policy import DevicePolicy, PolicyPort
from wardnet.model.span import Span


def judge(
    device: Device,
    policy: DevicePolicy,
    places: Places,
    backend: str | None = None,
    opinion: Opinion | None = second_opinion,
) -> DeviceResult:
    """The verdict on a device that was read, of both engines; of the sets alone, for comparisons, without `opinion`.
    Never raises for what stands in the artefacts; raises AuditError where a package is missing."""
    problems = list(problems_of(device, policy))
    pairs: list[Pair] = []
    crossings: list[Crossing] = []
    disagreements: list[Disagreement] = []
    failing: tuple[str, ...] = ()
    if policy.divided:
        if opinion is second_opinion:
            load()
        failing = may_fail(device)
        questions = [Question(device, policy, family) for family in FAMILIES]
        with asked(opinion, questions) as answers:
            found = _by_sets(device, policy, places, backend, questions[0].pairs, problems)
            problems = found.problems
            crossings = [crossing for one in found.families for crossing in one.crossings]
            for family, one in zip(FAMILIES, found.families, strict=True):
                for pair in one.pairs:
                    disagreement = None
                    if family in answers:
                        pair, disagreement = agree(pair, one.answer, answers[family].result())
                    pairs.append(pair)
                    disagreements += [disagreement] if disagreement else []
    numbered = _in_order(policy.device, [doubted(crossing, disagreements) for crossing in crossings])
    verdict = worst([pair.verdict for pair in pairs] + ([Verdict.UNKNOWN] if problems else []))
    return DeviceResult(policy.device, policy.ward, policy.site, policy.platform, verdict, True, tuple(pairs),
                        numbered, tuple(problems), device.coverage, failing, tuple(disagreements))  # fmt: skip


def alike(device: Device, policy: DevicePolicy, places: Places, other: str) -> DeviceResult | None:
    """The verdict on a device of the same form as another one that was proved by both engines; None where something at
    this device is to be looked into."""
    if [*problems_of(device, policy), *connections_of(device, policy, places)]:
        return None
    pairs = tuple(
        replace(_pair(source, destination, family, Verdict.PROVED), second=Verdict.PROVED)
        for family in FAMILIES
        for source, destination in crossing_pairs(device, policy)
    )
    return DeviceResult(policy.device, policy.ward, policy.site, policy.platform, Verdict.PROVED, True, pairs, (), (),
                        device.coverage, may_fail(device), (), other)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Family:
    """What the sets say in one family: `answer` by themselves, `pairs` with what is unknown of the whole device."""

    pairs: list[Pair]
    crossings: list[Crossing]
    answer: Answer


@dataclass(frozen=True, slots=True)
class _Found:
    problems: list[OpenPoint]
    families: list[_Family]


def _by_sets(
    device: Device, policy: DevicePolicy, places: Places, backend: str | None, pairs: Sequence[Ends],
    known: Sequence[OpenPoint],
) -> _Found:  # fmt: skip
    """With scales, made of what is known to be asked; and whole, where something else is asked after all."""
    try:
        return _found(device, policy, places, backend, pairs, known, [scales(device, policy, f) for f in FAMILIES])
    except UncutError:
        return _found(device, policy, places, backend, pairs, known, [{} for _ in FAMILIES])


def _found(
    device: Device, policy: DevicePolicy, places: Places, backend: str | None, pairs: Sequence[Ends],
    known: Sequence[OpenPoint], scaled: Sequence[Scales],
) -> _Found:  # fmt: skip
    pipelines = [Pipeline(device, f, backend, pairs, scale) for f, scale in zip(FAMILIES, scaled, strict=True)]
    problems = [*known, *programs_of(device, policy, pipelines), *connections_of(device, policy, places)]
    return _Found(problems, [_family(pipeline, policy, places, problems) for pipeline in pipelines])


def _family(pipeline: Pipeline, policy: DevicePolicy, places: Places, problems: list[OpenPoint]) -> _Family:
    examiner = Examiner(pipeline, policy, places)
    disordered = pipeline.disordered()
    for span in disordered:
        reason = "runs before or after a chain of the same priority in another table, and one changes packets"
        problems.append(OpenPoint(span, reason, "give the two chains different priorities"))
    verdicts: dict[Ends, Verdict | None] = {}
    pairs: list[Pair] = []
    crossings: list[Crossing] = []
    for source, destination in crossing_pairs(pipeline.device, policy):
        found = examiner.examine(source, destination)
        crossings += found
        verdict = worst([crossing.verdict for crossing in found] + ([Verdict.UNKNOWN] if disordered else []))
        verdicts[source.interface, destination.interface] = verdict
        if verdict is Verdict.PROVED and problems:
            verdict = Verdict.UNKNOWN
        pairs.append(_pair(source, destination, pipeline.family, verdict))
    return _Family(pairs, crossings, Answer("BDD", verdicts))


def _pair(source: PolicyPort, destination: PolicyPort, family: int, verdict: Verdict) -> Pair:
    return Pair(
        source.interface, source.channel, source.area,
        destination.interface, destination.channel, destination.area, family, verdict,
    )  # fmt: skip


def _in_order(device: str, crossings: list[Crossing]) -> tuple[Crossing, ...]:
    """Numbered, those of channels before those of zones, for first packets before what follows from them, and what is
    certain before what is not."""
    ordered = sorted(
        crossings, key=lambda c: (c.crosses != CHANNELS, c.needs is not None, c.verdict is not Verdict.VIOLATED)
    )
    numbered = [replace(crossing, id=f"{device}-{number}") for number, crossing in enumerate(ordered, start=1)]
    opened: dict[tuple[Span, int], str] = {}
    for crossing in numbered:
        if crossing.needs is None and crossing.rule is not None and crossing.rule.span is not None:
            opened.setdefault((crossing.rule.span, crossing.family), crossing.id)

    def follows(crossing: Crossing) -> str:
        hop = crossing.needs_rule
        return opened.get((hop.span, crossing.family), "") if hop is not None and hop.span is not None else ""

    return tuple(replace(crossing, follows=follows(crossing)) for crossing in numbered)


__all__ = ["FAMILIES", "Places", "channel_networks", "judge"]
