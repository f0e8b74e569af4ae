"""Faults planted in the engine of sets, each a mistake that one could make there."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from wardnet.audit.sets import chains, conditions, grants, kernel, pipeline, routing, tracking
from wardnet.audit.sets.space import Space
from wardnet.model.device import Decide, RouteType, RuleAction, Verdict
from wardnet.model.packet import Field, InRanges, OfFamily, OutPort, State

Patch = pytest.MonkeyPatch


def swap(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """A fault that puts another function there, made of the right one."""
    return lambda patch: patch.setattr(owner, name, make(getattr(owner, name)))


def routes(change: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """Tables read with some routes other than they are."""
    return swap(routing.Routing, "_by_prefix", lambda right: lambda self, found, *rest: right(
        self, [kept for route in found if (kept := change(route)) is not None], *rest))  # fmt: skip


def rules(change: Callable[[Any], Any]) -> Callable[[Patch], None]:
    def made(right: Any) -> Any:
        def wrong(self: Any, *rest: Any) -> None:
            right(self, *rest)
            self._rules = tuple(change(rule) for rule in self._rules)

        return wrong

    return swap(routing.Routing, "__init__", made)


def conditions_of(kind: type, change: Callable[[Any, Any], Any]) -> Callable[[Patch], None]:
    """Conditions of one kind that hold for other packets."""
    return swap(conditions.Conditions, "_packets", lambda right: lambda self, predicate: (
        change(self, predicate) if isinstance(predicate, kind) else right(self, predicate)))  # fmt: skip


def decisions(change: Callable[[Decide], Decide]) -> Callable[[Patch], None]:
    def planted(patch: Patch) -> None:
        folded, walked = chains.Chains._decided, chains._Step._decide
        patch.setattr(chains.Chains, "_decided", lambda self, decide, *rest: folded(self, change(decide), *rest))
        patch.setattr(chains._Step, "_decide", lambda self, decide, here: walked(self, change(decide), here))

    return planted


def instead(right: Verdict, wrong: Verdict) -> Callable[[Patch], None]:
    return decisions(lambda decide: dataclasses.replace(decide, verdict=wrong) if decide.verdict is right else decide)


def guessed(kind: str, *, holds: bool) -> Callable[[Patch], None]:
    def made(right: Any) -> Any:
        def wrong(self: Any, asked: str, *rest: Any) -> Any:
            return right(self, asked, *rest) if asked != kind else self.true if holds else self.false

        return wrong

    return swap(Space, "guess", made)


def first_range(space: Any, condition: Any) -> Any:
    return space.any_of(space.between(condition.field, low, high) for low, high in condition.ranges[:1])


def no_link_states(patch: Patch) -> None:
    patch.setattr(pipeline, "failing", lambda *_: ())


def metric_forgotten(route: Any) -> Any:
    return dataclasses.replace(route, metric=0)


def of_type(wrong: dict[RouteType, RouteType]) -> Callable[[Any], Any]:
    return lambda route: dataclasses.replace(route, type=wrong.get(route.type, route.type))


def true(self: Any, *_: Any, **__: Any) -> Any:
    return self.space.true if hasattr(self, "space") else self._space.true


def false(self: Any, *_: Any, **__: Any) -> Any:
    return self.space.false if hasattr(self, "space") else self._space.false


def plain_prefix(route: Any) -> Any:
    return route if route.destination.prefixlen else None


FAULTS: dict[str, Callable[[Patch], None]] = {
    "a goto is passed over": rules(
        lambda r: dataclasses.replace(r, action=RuleAction.NOTHING) if r.action is RuleAction.GOTO else r
    ),
    "nothing is suppressed": lambda patch: patch.setattr(routing, "_suppressed", lambda *_: False),
    "all that is suppressed is one bit longer": swap(
        routing, "_suppressed", lambda right: lambda route, bits: right(route, bits if bits is None else bits + 8)
    ),
    "rp_filter is forgotten": lambda patch: patch.setattr(kernel.Kernel, "source_valid", true),
    "rp_filter is always loose": swap(
        kernel.Kernel, "_reverse_mode", lambda right: lambda self, port: right(self, port) and 2
    ),
    "elements of a set are ignored": lambda patch: patch.setattr(Space, "in_ranges", first_range),
    "a jump does not come back": instead(Verdict.JUMP, Verdict.GOTO),
    "a goto comes back": instead(Verdict.GOTO, Verdict.JUMP),
    "return accepts": instead(Verdict.RETURN, Verdict.ACCEPT),
    "a drop is passed over": instead(Verdict.DROP, Verdict.CONTINUE),
    "metrics don't count": routes(metric_forgotten),
    "the default route is forgotten": routes(plain_prefix),
    "throw refuses": routes(of_type({RouteType.THROW: RouteType.UNREACHABLE})),
    "a blackhole is no route": routes(lambda r: None if r.type is RouteType.BLACKHOLE else r),
    "unreachable goes on": routes(of_type({RouteType.UNREACHABLE: RouteType.THROW})),
    "policy rules that refuse are passed over": rules(
        lambda r: dataclasses.replace(r, action=RuleAction.NOTHING) if r.action is RuleAction.UNREACHABLE else r
    ),
    "links never fail": no_link_states,
    "answers are forgotten": lambda patch: patch.setattr(tracking.Tracking, "later", false),
    "errors are forgotten": lambda patch: patch.setattr(tracking.Tracking, "_errors", false),
    "nothing turns round": lambda patch: patch.setattr(Space, "reversed", lambda self, _: self.false),
    "forwarding is always on": lambda patch: patch.setattr(kernel.Kernel, "forwarding", true),
    "any address is sane": lambda patch: patch.setattr(kernel.Kernel, "sane", true),
    "marks are not set": lambda patch: patch.setattr(Space, "set_mark", lambda _, packets, *__: packets),
    "the other family's rules count": conditions_of(OfFamily, lambda self, _: self._space.true),
    "outgoing ports match nothing": conditions_of(OutPort, lambda self, _: self._space.false),
    "destinations are never rewritten": lambda patch: patch.setattr(chains, "translated", lambda *args: args[2]),
    "an unknown never holds": guessed("unknown", holds=False),
    "an unknown always holds": guessed("unknown", holds=True),
    "a chance never comes": guessed("chance", holds=False),
    "a grant's ports are forgotten": lambda patch: patch.setattr(
        grants.Services, "_ports", lambda self, *_, **__: self._space.true
    ),
    "masks are forgotten": swap(
        Space, "masked", lambda right: lambda self, wanted: right(self, dataclasses.replace(wanted, mask=wanted.value))
    ),
    "the device owns no address": swap(routing.Routing, "local", lambda _: false),
    "there is always a way back": swap(routing.Routing, "reverse_path", lambda _: true),
    "invalid packets are forgotten": conditions_of(
        InRanges,
        lambda self, wanted: self._space.in_ranges(wanted)
        & (~self._space.value(Field.STATE, State.INVALID) if wanted.field is Field.STATE else self._space.true),
    ),
    "chains run in the order of the listing": swap(
        pipeline.Pipeline, "bases", lambda right: lambda self, hook: list(reversed(right(self, hook)))
    ),
}  # fmt: skip
