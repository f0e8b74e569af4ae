"""The plan and the answers as JSON: what a prober reads and writes. docs/audit.md has the form."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.audit.replay.records import Answer, Place, ReplayPlan

FORMAT = 1


def plan_json(plan: ReplayPlan) -> bytes:
    """One line, with a newline."""
    record = {
        "format": FORMAT,
        "seconds": plan.seconds,
        "copies": plan.copies,
        "places": [place_record(place) for place in plan.places],
        "packets": [asdict(packet) for packet in plan.packets],
    }
    return (json.dumps(record, sort_keys=True, ensure_ascii=False) + "\n").encode()


def place_record(place: Place) -> dict[str, Any]:
    """As it stands in a file of places."""
    return {
        "id": place.id,
        "device": place.device,
        "port": place.port,
        "addresses": [str(address) for address in place.addresses],
        "stands_for": [str(network) for network in place.stands_for],
    }


def parse_answers(content: bytes, plan: ReplayPlan) -> tuple[Answer, ...]:
    """The answers to a plan, in its order. Strict: what is not whole, or not of this plan, is no answer. A packet of
    which nothing is said was not sent. Raises AuditError."""
    try:
        answers = [_answer(item, plan) for item in _items(json.loads(content))]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AuditError(f"the prober's answer can't be used: {error!r}") from None
    by_id = {answer.id: answer for answer in answers}
    if len(by_id) != len(answers):
        raise AuditError("the prober's answer names a packet twice")
    strange = sorted(by_id.keys() - {packet.id for packet in plan.packets})
    if strange:
        raise AuditError(f"the prober's answer names a packet that was not in the plan: {strange[0][:100]}")
    nothing = "the prober says nothing of it"
    return tuple(by_id.get(packet.id, Answer(packet.id, 0, (), nothing)) for packet in plan.packets)


def _items(data: Any) -> Any:
    if data.keys() != {"format", "answers"} or data["format"] != FORMAT:
        raise ValueError(f"it needs format {FORMAT} and answers, and nothing else")
    return data["answers"]


def _answer(item: Any, plan: ReplayPlan) -> Answer:
    if not item.keys() <= {"id", "sent", "heard", "error"}:
        raise ValueError("a key that is not known")
    sent, heard, error = _count(item["sent"]), item["heard"], item.get("error", "")
    places = {place.id for place in plan.places}
    if not isinstance(item["id"], str) or not isinstance(error, str):
        raise TypeError("id and error are texts")
    if not heard.keys() <= places:
        raise ValueError("it was heard at a place that is not in the plan")
    times = tuple((place, _count(count)) for place, count in sorted(heard.items()))
    times = tuple((place, count) for place, count in times if count)
    if times and not sent:
        raise ValueError("a packet was heard and never sent")
    return Answer(item["id"], sent, times, error)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no number of packets")
    return value
