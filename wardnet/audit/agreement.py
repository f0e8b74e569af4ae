"""Two engines, one verdict. Proved is what both prove; where they say different things one of them is wrong, and nobody
knows which: the pair is unknown, and the run is told to have failed there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

from wardnet.audit.question import Answer, Ends, Question
from wardnet.audit.records import Crossing, Disagreement, OpenPoint, Pair, Verdict
from wardnet.model.span import Span

SEND = (
    "keep the snapshot and this version of wardnet, and report it as a fault of wardnet, with the device's artefacts "
    "(or the rules and routes between these two ports) and this line"
)
_DIFFER = "the audit's two engines disagree: {first} says {one}, {second} says {other}"
_GAVE_UP = "the second engine ({second}) came to no verdict: {reason}"

Opinion = Callable[[Question], Answer]


@contextmanager
def asked(opinion: Opinion | None, questions: Sequence[Question]) -> Iterator[Mapping[int, Future[Answer]]]:
    """The answers to come, by family. z3 works while Python waits for it, so that it costs little beside the sets.
    Without an opinion there are none."""
    if opinion is None:
        yield {}
        return
    pool = ThreadPoolExecutor(max(1, len(questions)), thread_name_prefix="second opinion")
    try:
        yield {question.family: pool.submit(opinion, question) for question in questions}
    finally:
        pool.shutdown(cancel_futures=True)


def agree(pair: Pair, one: Answer, other: Answer) -> tuple[Pair, Disagreement | None]:
    """The pair with the verdict that holds. `pair` has the first engine's, and is unknown where a problem of the whole
    device keeps it from being proved; what the engines themselves say is compared."""
    ends: Ends = (pair.from_port, pair.to_port)
    first, second = one.verdicts[ends], other.verdicts[ends]
    pair = replace(pair, second=second)
    if first is second:
        return pair, None
    verdict = Verdict.UNKNOWN
    if second is None:
        reason = _GAVE_UP.format(second=other.engine, reason=other.gave_up.get(ends, "no reason given"))
        settle = "look at what is named; or " + SEND
        if pair.verdict is Verdict.VIOLATED:
            verdict = Verdict.VIOLATED  # shown by its packet, which was followed step by step
    else:
        reason = _DIFFER.format(first=one.engine, one=first, second=other.engine, other=second)
        settle = SEND
    found = Disagreement(
        pair.from_port, pair.to_port, pair.family, {one.engine: first, other.engine: second}, reason, settle
    )
    return replace(pair, verdict=verdict), found


def doubted(crossing: Crossing, found: Sequence[Disagreement]) -> Crossing:
    """A crossing on which the engines don't agree is none that is certain."""
    for disagreement in found:
        where = (disagreement.from_port, disagreement.to_port, disagreement.family)
        if where != (crossing.from_port, crossing.to_port, crossing.family) or None in disagreement.verdicts.values():
            continue
        point = OpenPoint(Span(crossing.device, "", ""), disagreement.reason, disagreement.settle)
        return replace(crossing, verdict=Verdict.UNKNOWN, open_points=(*crossing.open_points, point))
    return crossing
