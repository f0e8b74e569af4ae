"""What the answers say, and what they do to the verdict: they can make it worse, never better.

A silence counts where its sender was heard in another packet of the same family, and its listener heard one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from wardnet.audit.records import AuditResult, DeviceResult, Disagreement, OpenPoint, Pair, Verdict, worst
from wardnet.audit.replay.borders import Borders
from wardnet.audit.replay.records import Answer, Heard, Kind, Outcome, Planned, Replay, Replayed, ReplayPlan
from wardnet.model.policy import AuditPolicy
from wardnet.model.span import Span

NOT_CONFIRMED = "it was not heard: the network is another than in the snapshot, or the replay did not work"
BY_REPORTED = "by a crossing that the report has"
NO_CONTROL = "no control shows that its sender and its listener work"
CROSSED = "a packet that must not cross was heard {where}, at {place} behind {port} of {device}"
PROVED = "; the audit proved that none can"
SETTLE = "compare the device with the snapshot; where they are the same, report a fault of wardnet"

End = tuple[str, int]  # a place, and a family
Key = tuple[str, str, int]  # from a port, to a port, and a family


def replayed(
    result: AuditResult, plan: ReplayPlan, answers: Sequence[Answer], policy: AuditPolicy, prober: str
) -> Replay:
    """The outcome of each packet, and whether the silent ones say something. `answers` are in the plan's order."""
    reported = frozenset(
        (device.device, pair.from_port, pair.to_port, pair.family)
        for device in result.devices
        for pair in device.pairs
        if pair.verdict is Verdict.VIOLATED
    )
    borders = Borders(policy)
    at = {place.id: place for place in plan.places}

    def heard_at(one: Planned, answer: Answer) -> tuple[Heard, ...]:
        found = []
        for name, times in answer.heard:
            device, behind = at[name].device, at[name].port
            port, crossed = borders.port(device, behind), borders.crossed(one, device, behind)
            found.append(Heard(name, device, behind, str(port.channel), port.area, times, crossed))
        return tuple(found)

    told = [(one, answer, heard_at(one, answer)) for one, answer in zip(plan.packets, answers, strict=True)]
    working = _working([(one, heard) for one, _answer, heard in told])
    packets = tuple(
        _outcome(one, answer, heard, str(borders.port(one.device, one.from_port).channel), working, reported)
        for one, answer, heard in told
    )
    reasons = _doubts(packets)
    return Replay(prober, not reasons, reasons, plan.places, packets, plan.left_out)


def not_replayed(plan: ReplayPlan, prober: str, reason: str) -> Replay:
    """Where the prober gave no answer that can be used: whatever it sent, nothing is known of it."""
    packets = tuple(Replayed(one, 0, (), Outcome.NOT_SENT, "the prober failed") for one in plan.packets)
    return Replay(prober, False, (f"the prober failed: {reason}",), plan.places, packets, plan.left_out, reason)


def _working(told: Sequence[tuple[Planned, tuple[Heard, ...]]]) -> tuple[frozenset[End], frozenset[End]]:
    """The places whose packets were heard somewhere else, and those that heard one."""
    senders: set[End] = set()
    listeners: set[End] = set()
    for one, heard in told:
        family = one.packet.family
        for place in heard:
            if place.place != one.packet.place:
                senders.add((one.packet.place, family))
                listeners.add((place.place, family))
    return frozenset(senders), frozenset(listeners)


def _outcome(
    one: Planned,
    answer: Answer,
    heard: tuple[Heard, ...],
    channel: str,
    working: tuple[frozenset[End], frozenset[End]],
    reported: frozenset[tuple[str, str, str, int]],
) -> Replayed:
    if not answer.sent:
        return Replayed(one, 0, (), Outcome.NOT_SENT, answer.error or "the prober did not send it")
    arrived = any(place.place == one.listener for place in heard)
    if one.kind is Kind.CONTROL:
        return Replayed(one, answer.sent, heard, Outcome.PASSED if arrived else Outcome.FAILED, answer.error)
    across = [place for place in heard if place.crossed]
    if one.kind is Kind.COUNTEREXAMPLE:
        if across:
            return Replayed(one, answer.sent, heard, Outcome.CROSSED, answer.error)
        return Replayed(one, answer.sent, heard, Outcome.SILENT, answer.error or NOT_CONFIRMED)
    family = one.packet.family
    for place in across:
        if place.device != one.device or (one.device, one.from_port, place.port, family) not in reported:
            return Replayed(one, answer.sent, heard, Outcome.FAULT, _crossed(place, channel))
    if across:
        return Replayed(one, answer.sent, heard, Outcome.CROSSED, BY_REPORTED)
    if (one.packet.place, family) in working[0] and (one.listener, family) in working[1] and not answer.error:
        return Replayed(one, answer.sent, heard, Outcome.STOPPED)
    return Replayed(one, answer.sent, heard, Outcome.SILENT, answer.error or NO_CONTROL)


def _crossed(heard: Heard, channel: str) -> str:
    """`channel`: the sender's."""
    where = f"on channel {heard.channel}" if heard.channel != channel else f"in zone {heard.zone}"
    return CROSSED.format(where=where, place=heard.place, port=heard.port, device=heard.device)


def _doubts(packets: Sequence[Replayed]) -> tuple[str, ...]:
    """Why the replay is not conclusive; empty where it is."""
    count = {outcome: sum(one.outcome is outcome for one in packets) for outcome in Outcome}
    silent = sum(one.outcome is Outcome.SILENT and one.planned.kind is Kind.FORBIDDEN for one in packets)
    unconfirmed = count[Outcome.SILENT] - silent
    doubts: list[str] = []
    if not any(count[outcome] for outcome in (Outcome.PASSED, Outcome.FAILED)):
        doubts.append("no positive control was sent")
    if count[Outcome.FAILED]:
        doubts.append(f"{count[Outcome.FAILED]} positive controls were not heard")
    if silent:
        doubts.append(f"the silence of {silent} packets says nothing")
    if unconfirmed:
        doubts.append(f"{unconfirmed} crossings of the report were not heard")
    unsent = count[Outcome.NOT_SENT]
    if unsent:
        doubts.append(f"{unsent} packets of the plan were not sent")
    return tuple(doubts)


def with_replay(result: AuditResult, replay: Replay) -> AuditResult:
    """The result with its replay. A packet that crossed where no crossing is reported makes its device violated, and
    what was put together from its proof unknown."""
    faults: dict[str, list[Replayed]] = {}
    for one in replay.packets:
        if one.outcome is Outcome.FAULT:
            faults.setdefault(one.planned.device, []).append(one)
    devices = tuple(_device(device, faults.get(device.device, ())) for device in result.devices)
    verdict = worst([result.verdict, *(device.verdict for device in devices)])
    network = result.network.doubted() if result.network is not None and faults else result.network
    return replace(result, verdict=verdict, devices=devices, network=network, replay=replay)


def _device(device: DeviceResult, faults: Sequence[Replayed]) -> DeviceResult:
    if not faults:
        return device
    pairs: dict[Key, Pair] = {(p.from_port, p.to_port, p.family): p for p in device.pairs}
    disagreements = list(device.disagreements)
    problems = list(device.problems)
    for fault in faults:
        found = _pair_of(fault, pairs)
        if found is None:
            problems.append(OpenPoint(Span(device.device, "replay", fault.planned.id), fault.reason, SETTLE))
            continue
        if pairs[found].verdict is Verdict.PROVED:
            disagreements.append(_disagreement(pairs[found], fault.reason))
        pairs[found] = replace(pairs[found], verdict=Verdict.VIOLATED)
    return replace(
        device, verdict=Verdict.VIOLATED, pairs=tuple(pairs.values()), problems=tuple(problems),
        disagreements=tuple(disagreements),
    )  # fmt: skip


def _pair_of(fault: Replayed, pairs: Mapping[Key, Pair]) -> Key | None:
    """The pair of ports of the sender's device that the packet went between; None where it came out elsewhere."""
    one = fault.planned
    for heard in fault.heard:
        key = one.from_port, heard.port, one.packet.family
        if heard.crossed and heard.device == one.device and key in pairs and pairs[key].verdict is not Verdict.VIOLATED:
            return key
    return None


def _disagreement(pair: Pair, reason: str) -> Disagreement:
    said: dict[str, Verdict | None] = {"BDD": pair.verdict, "z3": pair.second, "replay": Verdict.VIOLATED}
    return Disagreement(pair.from_port, pair.to_port, pair.family, said, reason + PROVED, SETTLE)
