"""What follows for each host from the plays that began and the results that came in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from wardnet.runs.records import Event, HostOutcome, HostState, Play, Rollback

COMMIT = "wardnet_commit"  # the module that ends a host's part of a play
PUBLISH = "wardnet_publish"  # in its place, where a host pulls
_BAD = ("failed", "unreachable")


def is_commit(event: Event) -> bool:
    return event.action.rsplit(".", 1)[-1] == COMMIT


def _is_whole(event: Event) -> bool:
    """Whether all that a host is made of went to it, or was published for it to fetch."""
    ends = is_commit(event) or event.action.rsplit(".", 1)[-1] == PUBLISH
    return ends and event.status in ("ok", "changed") and not event.partial


def finished(play: Play, index: int, events: Sequence[Event]) -> set[str]:
    """Hosts that need nothing more of this play: their batch came to its end, or their candidate was committed, which
    is the last that a play does with a host. Ansible drops a host that failed from all that follows."""
    bad = {event.host for event in events if event.play <= index and event.status in _BAD}
    stopping = {event.host for event in events if event.play == index and event.status in _BAD}
    committed = {event.host for event in events if event.play == index and is_commit(event)}
    whole = play.batches if play.ended else play.batches[:-1]
    # Where one failure stops the play, it stops the others of its batch where they are.
    done = {host for batch in whole if not (play.stops and stopping & set(batch)) for host in batch}
    return (done | committed) - bad


def outcomes(plays: Sequence[Play], events: Sequence[Event], wards: Mapping[str, str]) -> list[HostOutcome]:
    """One outcome a host, in the order of wards and hosts."""
    named = dict.fromkeys(host for play in plays for host in play.hosts or ())
    of_host: dict[str, list[Event]] = {host: [] for host in named}
    for event in events:
        of_host.setdefault(event.host, []).append(event)
    done = [finished(play, index, events) for index, play in enumerate(plays)]
    found = [_outcome(host, wards.get(host, ""), plays, done, of_host[host]) for host in of_host]
    return sorted(found, key=lambda one: (one.ward, one.host))


def _outcome(
    host: str, ward: str, plays: Sequence[Play], done: Sequence[set[str]], events: Sequence[Event]
) -> HostOutcome:
    bad = next((event for event in reversed(events) if event.status in _BAD), None)
    rolled = next((event.rolled_back for event in reversed(events) if event.rolled_back), None)
    earlier = next((event.earlier_rollback for event in reversed(events) if event.earlier_rollback), None)
    return HostOutcome(
        host=host,
        ward=ward,
        state=_state(host, plays, done, events, bad, rolled),
        last=_last(events),
        message=bad.message if bad is not None else "",
        parts=_joined_parts(events),
        drift=_joined_drift(events),
        changes=tuple(dict.fromkeys(change for event in events for change in event.changes)),
        rolled_back=rolled,
        earlier_rollback=earlier,
        read=any(is_commit(event) and _is_whole(event) for event in events),
        whole=any(map(_is_whole, events)),
        updates_at=max((event.updates_at for event in events if event.updates_at), default=None),
    )


def _state(
    host: str,
    plays: Sequence[Play],
    done: Sequence[set[str]],
    events: Sequence[Event],
    bad: Event | None,
    rolled: Rollback | None,
) -> HostState:
    if rolled is not None:
        return HostState.ROLLED_BACK
    if bad is not None:
        return HostState.UNREACHABLE if bad.status == "unreachable" else HostState.FAILED
    wanted = [index for index, play in enumerate(plays) if play.hosts is None or host in play.hosts]
    # A play whose hosts never became known is not held against a host that all its known plays are done with.
    left = [index for index in wanted if plays[index].hosts is not None and host not in done[index]]
    if left:
        begun = events or any(host in batch for index in left for batch in plays[index].batches)
        return HostState.UNFINISHED if begun else HostState.NOT_REACHED
    return HostState.CHANGED if any(event.status == "changed" for event in events) else HostState.OK


def _last(events: Sequence[Event]) -> datetime | None:
    return max((event.at for event in events), default=None)


def _joined_parts(events: Sequence[Event]) -> dict[str, dict[str, tuple[str, ...]]]:
    joined: dict[str, dict[str, tuple[str, ...]]] = {}
    for event in events:
        for part, lists in event.parts.items():
            into = joined.setdefault(part, {})
            for key, lines in lists.items():
                into[key] = tuple(dict.fromkeys((*into.get(key, ()), *lines)))
    return joined


def _joined_drift(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    joined: dict[str, tuple[str, ...]] = {}
    for event in events:
        for part, lines in event.drift.items():
            joined[part] = tuple(dict.fromkeys((*joined.get(part, ()), *lines)))
    return joined
