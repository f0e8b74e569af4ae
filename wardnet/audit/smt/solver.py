"""z3: which choices of a script can come true, and which can for all values of what nobody knows.

Work is limited by z3's own count of steps, so that the same question gives the same answer on any machine; a clock
limits it too, far behind. Whoever gives up has shown nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wardnet.audit.errors import AuditError
from wardnet.audit.smt.terms import Script, Term

# Measured on rulesets of some hundred rules (a third less time): most of them don't meet the packet that is looked for,
# and what simplifying between the first conflicts costs is more than it gains.
_TUNING = {"phase": "always_false", "simplify.delay": 5000}
_ROUNDS = 200  # counterexamples looked at before giving up on a certain packet


class GaveUpError(Exception):
    """No answer, and why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`steps` as z3 counts them, for each check; `seconds` by the clock."""

    steps: int = 500_000_000
    seconds: float = 300


def load() -> Any:
    """The package. Raises AuditError where it is not installed."""
    try:
        return importlib.import_module("z3")
    except ImportError:
        message = "the audit's second opinion needs the package z3-solver: pip install 'wardnet[audit]'"
        raise AuditError(message) from None


class Solver:
    """One script, read in a context of its own, which one thread uses. Raises GaveUpError, also later on."""

    def __init__(self, script: Script, choices: Sequence[Term], limits: Limits) -> None:
        self._z3 = z3 = load()
        self._limits = limits
        self._context = context = z3.Context()
        names = [f"choice.{place}" for place in range(len(choices))]
        lines = [script.text()]
        lines += [f"(declare-const {name} Bool)" for name in names]
        lines += [f"(assert (= {name} {choice}))" for name, choice in zip(names, choices, strict=True)]
        read = list(self._guarded(lambda: z3.parse_smt2_string("\n".join(lines), ctx=context)))
        cut = len(read) - len(names)
        self._choices = [equation.arg(1) for equation in read[cut:]]
        if any(equation.arg(0).decl().name() != name for equation, name in zip(read[cut:], names, strict=True)):
            raise GaveUpError("z3 read the choices in another order")
        self._demands = z3.And(*read[:cut], z3.BoolVal(True, context))
        self._unknowns = [z3.Bool(name, context) for name in script.unknowns]

    def possible(self) -> dict[int, bool]:
        """The choices that can be true, by their places; and whether one packet makes it true whatever the unknowns
        turn out to be."""
        left = dict(enumerate(self._choices))
        found: dict[int, bool] = {}
        while left:
            model = self._model(self._demands, self._any(list(left.values())))
            if model is None:
                break
            here = [place for place, choice in left.items() if self._z3.is_true(self._value(model, choice))]
            if not here:
                raise GaveUpError("z3's packet makes none of the choices true")
            for place in here:
                del left[place]
                found[place] = self._certain(place, model)
        return found

    def _certain(self, place: int, model: Any) -> bool:
        """Packets are proposed that pass for some values of the unknowns, the model's first; values that refute one are
        added to those that the next has to pass with; until none is left, or one can't be refuted."""
        z3 = self._z3
        whole = z3.And(self._demands, self._choices[place])
        if not self._unknowns:
            return True
        hidden = {unknown.get_id() for unknown in self._unknowns}
        fixed = [name for name in self._constants(whole) if name.get_id() not in hidden]
        no = z3.BoolVal(False, self._context)
        wanted = [self._with(whole, [no] * len(self._unknowns))]
        for _ in range(_ROUNDS):
            packet = [(name, self._value(model, name)) for name in fixed]
            against = self._model(z3.Not(z3.substitute(whole, *packet)))
            if against is None:
                return True
            wanted.append(self._with(whole, [self._value(against, name) for name in self._unknowns]))
            model = self._model(*wanted)
            if model is None:
                return False
        raise GaveUpError(f"no end after {_ROUNDS} proposals")

    def _with(self, whole: Any, values: Sequence[Any]) -> Any:
        return self._z3.substitute(whole, *zip(self._unknowns, values, strict=True))

    def _any(self, terms: Sequence[Any]) -> Any:
        return self._z3.Or(*terms, self._z3.BoolVal(False, self._context))

    def _value(self, model: Any, term: Any) -> Any:
        return model.eval(term, model_completion=True)

    def _model(self, *terms: Any) -> Any:
        """Values that make all the terms true, or None where there are none."""
        z3 = self._z3

        def check() -> tuple[Any, Any]:
            # A pipeline of tactics (simplify, bit-blast, sat) is a third quicker where few rules meet the packet, and
            # without end where thousands do.
            solver = z3.SolverFor("QF_BV", ctx=self._context)
            solver.set("timeout", int(self._limits.seconds * 1000))
            solver.set("rlimit", self._limits.steps)
            for name, value in _TUNING.items():
                solver.set(name, value)
            solver.add(*terms)
            return solver.check(), solver

        result, solver = self._guarded(check)
        if result == z3.unsat:
            return None
        if result != z3.sat:
            raise GaveUpError(f"z3 gave up: {solver.reason_unknown()}")
        return self._guarded(solver.model)

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self._z3.Z3Exception as error:
            raise GaveUpError(f"z3: {error}") from None

    def _constants(self, term: Any) -> list[Any]:
        """The free constants of a term."""
        z3 = self._z3
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
