"""`wardnet audit --replay`: the plan, the prober, and what came of it, for people."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wardnet.audit.errors import AuditError
from wardnet.audit.records import AuditResult
from wardnet.audit.replay.judge import not_replayed, replayed, with_replay
from wardnet.audit.replay.places import read_places
from wardnet.audit.replay.plan import make_plan
from wardnet.audit.replay.records import Kind, LeftOut, Outcome, Replay, Replayed
from wardnet.audit.replay.wire import parse_answers, plan_json
from wardnet.cli.console import out
from wardnet.live.errors import LiveError
from wardnet.live.prober import ask_prober
from wardnet.locale import _
from wardnet.model.policy import AuditPolicy

_GOOD = frozenset({Outcome.PASSED, Outcome.STOPPED})
_SHOWN = 12  # of those that are all alike; the JSON has all


@dataclass(frozen=True, slots=True)
class Wanted:
    """What --replay is to do. `command` is what was given to --replay-with."""

    places: Path
    command: str
    most: int
    seconds: int


def send(result: AuditResult, policy: AuditPolicy, wanted: Wanted) -> AuditResult:
    """The result with its replay. Raises AuditError for places or a command that can't be used; what the prober does
    wrong is in the result."""
    command, places = _words(wanted.command), read_places(wanted.places, policy)
    plan = make_plan(result, places, policy, nonce=secrets.token_hex(16), most=wanted.most, seconds=wanted.seconds)
    if not plan.packets:
        return with_replay(result, replayed(result, plan, (), policy, wanted.command))
    try:
        answers = parse_answers(ask_prober(command, plan_json(plan), wanted.seconds), plan)
    except (LiveError, AuditError) as error:
        return with_replay(result, not_replayed(plan, wanted.command, str(error)))
    return with_replay(result, replayed(result, plan, answers, policy, wanted.command))


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise AuditError(f"--replay-with: {error}") from error
    if not words:
        raise AuditError("--replay-with: no command")
    return words


def print_replay(replay: Replay) -> None:
    out.print()
    _line(_("Replay, by: {command}").format(command=replay.prober))
    for outcome in Outcome:
        _packets([one for one in replay.packets if one.outcome is outcome], outcome)
    _left_out(replay.left_out)
    if replay.conclusive:
        _line("  " + _("conclusive: what must pass was heard, and what must not was not, between ends that work"))
    for reason in replay.reasons:
        _line("  " + _("not conclusive: {reason}").format(reason=reason))


def _word(outcome: Outcome) -> str:
    return {
        Outcome.CROSSED: _("crossed, as the audit says"),
        Outcome.PASSED: _("passed, as it must"),
        Outcome.STOPPED: _("stopped, as proved"),
        Outcome.SILENT: _("not heard, which says nothing"),
        Outcome.FAILED: _("NOT HEARD, and must pass"),
        Outcome.FAULT: _("CROSSED, and was not to: the audit, or the snapshot, is wrong"),
        Outcome.NOT_SENT: _("not sent"),
    }[outcome]


def _kind(kind: Kind) -> str:
    return {
        Kind.COUNTEREXAMPLE: _("counterexample"),
        Kind.CONTROL: _("positive control"),
        Kind.FORBIDDEN: _("forbidden packet"),
    }[kind]


def _packets(packets: Sequence[Replayed], outcome: Outcome) -> None:
    if not packets:
        return
    _line("  " + _("{outcome}: {count}").format(outcome=_word(outcome), count=len(packets)))
    shown = packets[:_SHOWN] if outcome in _GOOD else packets
    for one in shown:
        _line(f"    {_described(one)}")
    if len(packets) > len(shown):
        _line("    " + _("and {count} more, see --json").format(count=len(packets) - len(shown)))


def _described(one: Replayed) -> str:
    packet = one.planned.packet
    text = _("{kind} {about} at {device}: {source} -> {destination}, sent {sent} from {place}").format(
        kind=_kind(one.planned.kind),
        about=one.planned.about,
        device=one.planned.device,
        source=packet.source,
        destination=packet.destination,
        sent=one.sent,
        place=packet.place,
    )
    for heard in one.heard:
        text += "; " + _("heard {times} at {place}, behind {port} of {device} ({channel})").format(
            times=heard.times, place=heard.place, port=heard.port, device=heard.device, channel=heard.channel
        )
    return f"{text}; {one.reason}" if one.reason else text


def _left_out(left_out: Sequence[LeftOut]) -> None:
    """By their reasons; a crossing of the report each by itself."""
    reasons: dict[tuple[str, str], int] = {}
    for one in left_out:
        about = f"{_kind(one.kind)} {one.about}" if one.kind is Kind.COUNTEREXAMPLE else _kind(one.kind)
        key = f"{about}, {one.device}", one.reason
        reasons[key] = reasons.get(key, 0) + 1
    for (about, reason), count in reasons.items():
        _line("  " + _("not sent ({count}): {about}: {reason}").format(count=count, about=about, reason=reason))


def _line(text: str) -> None:
    out.print(text, markup=False, soft_wrap=True)
