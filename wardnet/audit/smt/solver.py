"""z3: whether a script can come true, and whether it can for all values of what nobody knows.

Work is limited by z3's own count of steps, so that the same question gives the same answer on any machine; a clock limits
it too, far behind. Whoever gives up has shown nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.audit.smt.terms import Script, Term, disj

_ROUNDS = 200  # counterexamples looked at before giving up on a certain packet


class GaveUpError(Exception):
    """No answer, and why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`steps` as z3 counts them, for each check; `seconds` by the clock."""

    steps: int = 200_000_000
    seconds: float = 120


def load() -> Any:
    """The package. Raises AuditError where it is not installed."""
    try:
        return importlib.import_module("z3")
    except ImportError:
        raise AuditError(
            "the audit's second opinion needs the package z3-solver: pip install 'wardnet[audit]'"
        ) from None


class Solver:
    """Scripts read in one context of z3, which one thread uses."""

    def __init__(self, limits: Limits) -> None:
        self._z3 = load()
        self._limits = limits
        self._context = self._z3.Context()

    def which(self, script: Script, choices: Sequence[Term]) -> set[int]:
        """Of the choices, by their places, those that can be true. Raises GaveUpError."""
        if not self._any(script, choices):
            return set()
        names = [f"choice.{place}" for place in range(len(choices))]
        lines = [script.text()]
        lines += [f"(declare-const {name} Bool)" for name in names]
        lines += [f"(assert (= {name} {choice}))" for name, choice in zip(names, choices, strict=True)]
        solver = self._solver()
        self._guarded(lambda: solver.from_string("\n".join(lines)))
        left = {place: self._z3.Bool(name, self._context) for place, name in enumerate(names)}
        found: set[int] = set()
        while left:
            solver.add(self._z3.Or(*left.values(), self._z3.BoolVal(False, self._context)))
            if not self._check(solver):
                break
            model = solver.model()
            here = {place for place, name in left.items() if self._z3.is_true(model.eval(name))}
            if not here:
                raise GaveUpError("z3's model shows none of the choices")
            found |= here
            left = {place: name for place, name in left.items() if place not in here}
        return found

    def _any(self, script: Script, choices: Sequence[Term]) -> bool:
        """Mostly none can, and then this is the quickest way to show it."""
        z3, context = self._z3, self._context
        solver = self._limited(z3.Then("simplify", "bit-blast", "sat", ctx=context).solver())
        text = f"{script.text()}\n(assert {disj(choices)})"
        self._guarded(lambda: solver.from_string(text))
        return self._check(solver)

    def certain(self, script: Script, choice: Term) -> bool:
        """Whether one packet makes it true whatever the unknowns turn out to be. Packets are proposed against all values
        of the unknowns that refuted an earlier one, until none is left or one can't be refuted. Raises GaveUpError."""
        z3, context = self._z3, self._context
        text = f"{script.text()}\n(assert {choice})"
        whole = z3.And(*self._guarded(lambda: z3.parse_smt2_string(text, ctx=context)), z3.BoolVal(True, context))
        if not script.unknowns:
            return True
        unknowns = [z3.Bool(name, context) for name in script.unknowns]
        proposing = self._solver()
        values: list[list[Any]] = [[z3.BoolVal(value, context)] * len(unknowns) for value in (False, True)]
        hidden = {unknown.get_id() for unknown in unknowns}
        constants = [name for name in _constants(z3, whole) if name.get_id() not in hidden]
        for value in values:
            proposing.add(z3.substitute(whole, *zip(unknowns, value, strict=True)))
        for _ in range(_ROUNDS):
            if not self._check(proposing):
                return False
            model = proposing.model()
            refuting = self._solver()
            refuting.add(z3.Not(whole))
            refuting.add(*[name == model.eval(name, model_completion=True) for name in constants])
            if not self._check(refuting):
                return True
            against = refuting.model()
            value = [against.eval(name, model_completion=True) for name in unknowns]
            proposing.add(z3.substitute(whole, *zip(unknowns, value, strict=True)))
        raise GaveUpError(f"no end after {_ROUNDS} proposals")

    def _solver(self) -> Any:
        return self._limited(self._z3.SolverFor("QF_BV", ctx=self._context))

    def _limited(self, solver: Any) -> Any:
        solver.set("timeout", int(self._limits.seconds * 1000))
        solver.set("rlimit", self._limits.steps)
        return solver

    def _check(self, solver: Any) -> bool:
        result = self._guarded(solver.check)
        if result == self._z3.unknown:
            raise GaveUpError(f"z3 gave up: {solver.reason_unknown()}")
        return bool(result == self._z3.sat)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._z3.Z3Exception as error:
            raise GaveUpError(f"z3: {error}") from None


def _constants(z3: Any, term: Any) -> list[Any]:
    """The free constants of a term."""
    found, seen, waiting = [], set(), [term]
    while waiting:
        one = waiting.pop()
        if one.get_id() in seen:
            continue
        seen.add(one.get_id())
        if z3.is_const(one) and one.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            found.append(one)
        waiting.extend(one.children())
    return found
