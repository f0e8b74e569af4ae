"""Chains of rules as terms: one packet runs through, and at each rule a term says whether it is still there.

What a rule changes in the packet becomes a choice between the new value and the old one, by whether it got there. As
net/netfilter/nf_tables_core.c has it, a verdict map without a fitting case ends its rule, `continue` goes on with the
rule's next statement, and a jump comes back to the rule after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby

from wardnet.audit.smt.conditions import Lookups, Pairs, UnencodableError, may_hold, term_of
from wardnet.audit.smt.packet import ADDRESSED, View
from wardnet.audit.smt.terms import FALSE, Term, between, both, choose, conj, disj, either, neg, number, same
from wardnet.model.device import (
    Chain,
    Choose,
    Decide,
    FilterRule,
    Match,
    Opaque,
    SetMark,
    Statement,
    Table,
    TranslateDestination,
    TranslateSource,
    Untrack,
    Verdict,
)
from wardnet.model.packet import Field, State

_REWRITABLE = (*ADDRESSED, Field.MARK, Field.CONNECTION_MARK, Field.DSCP)


@dataclass
class Log:
    """What happened to the packet on its way: `diverted`, where (a copy of) it was sent elsewhere; `new_source` and
    `new_destination`, where its ends were translated; `new_mark`, where its connection's mark became another."""

    diverted: list[Term] = field(default_factory=list)
    new_source: Term = FALSE
    new_destination: Term = FALSE
    new_mark: Term = FALSE


class Run:
    """One packet in the chains of one table. `pairs` are the ports by which it can come in and leave: rules for none
    of them are passed over."""

    def __init__(self, table: Table, view: View, lookups: Lookups, pairs: Pairs, log: Log) -> None:
        self._table = table
        self.view = view
        self._lookups = lookups
        self._pairs = pairs
        self._log = log
        self._share = view.packet.script.share

    def base(self, chain: Chain, there: Term) -> Term:
        """Whether a packet that is `there` gets through the base chain."""
        accepted, left = self._chain(chain, there)
        if chain.policy is Verdict.ACCEPT:
            return self._share(disj((accepted, left)))
        if chain.policy is not Verdict.DROP:
            raise UnencodableError(f"a chain with policy {chain.policy}")
        return accepted

    def _chain(self, chain: Chain, there: Term) -> tuple[Term, Term]:
        """Accepted; and run through, or returned."""
        accepted: list[Term] = []
        returned: list[Term] = []
        rules = [rule for rule in chain.rules if not self._never(rule)]
        for verdict, alike in groupby(rules, _plain):
            if there == FALSE:
                break
            there = self._share(there)
            if verdict is None:
                for rule in alike:
                    step = _Step(self, there)
                    step.rule(rule)
                    accepted += step.accepted
                    returned += step.returned
                    there = self._share(both(there, neg(disj(step.gone))))
                continue
            # Which of them a packet meets first makes no difference.
            hit = self._share(disj(self._conditions(rule) for rule in alike))
            if verdict is Verdict.ACCEPT:
                accepted.append(self._share(both(there, hit)))
            there = both(there, neg(hit))
        return self._share(disj(accepted)), self._share(disj([*returned, there]))

    def _never(self, rule: FilterRule) -> bool:
        """No packet between these ports, in this family, comes past the conditions that the rule begins with."""
        pairs = self._pairs
        for statement in rule.statements:
            if not isinstance(statement, Match):
                return False
            pairs = may_hold(statement.predicate, pairs, self.view.packet.family)
            if not pairs.pairs:
                return True
        return False

    def _conditions(self, rule: FilterRule) -> Term:
        return conj(self.holds(one) for one in rule.statements if isinstance(one, Match))

    # --- what steps ask

    def holds(self, statement: Match) -> Term:
        return term_of(statement.predicate, self.view, self._lookups)

    def case(self, choose_statement: Choose, place: int) -> Term:
        return term_of(choose_statement.cases[place][0], self.view, self._lookups)

    def call(self, target: str, there: Term) -> tuple[Term, Term]:
        return self._chain(self._table.chains[target], there)

    def write(self, there: Term, changes: dict[Field, Term]) -> None:
        """New values in these fields, if the packet is there."""
        fields = dict(self.view.fields)
        for name, value in changes.items():
            fields[name] = self._share(choose(there, value, fields[name]), self.view.packet.sort(name))
        self.view = View(self.view.packet, fields, self.view.incoming, self.view.outgoing)

    def mark(self, there: Term, statement: SetMark) -> None:
        kept = f"(bvand {self.view.fields[statement.source]} {number(statement.keep, 32)})"
        value = self._share(f"(bvxor {kept} {number(statement.flip, 32)})", 32)
        if statement.target is Field.CONNECTION_MARK:
            other = neg(same(value, self.view.fields[statement.target]))
            self._log.new_mark = self._share(either(self._log.new_mark, both(there, other)))
        self.write(there, {statement.target: value})

    def translate(self, there: Term, statement: TranslateDestination) -> None:
        """Any of the addresses and ports that the statement leaves to the kernel."""
        packet = self.view.packet
        changes: dict[Field, Term] = {Field.TRANSLATED: number(1, 1)}
        for name, values in ((Field.DESTINATION, statement.addresses), (Field.DESTINATION_PORT, statement.ports)):
            to_own = name is Field.DESTINATION and statement.to_device
            if values is None and not to_own:
                continue
            bits = packet.sort(name)
            fresh = packet.fresh(bits)
            if values is not None:
                if values[0] > values[1]:
                    raise UnencodableError(f"translation to none of {values[0]} to {values[1]}")
                packet.script.demand(between(fresh, *values, bits))
            if to_own:
                own = self._lookups.own(self.view.changed(destination=fresh), name)
                packet.script.demand(disj((neg(there), own)))
            changes[name] = fresh
        self._log.new_destination = self._share(disj((self._log.new_destination, there)))
        self.write(there, changes)

    def opaque(self, there: Term, statement: Opaque) -> tuple[Term, Term]:
        """Accepted, and dropped."""
        packet, reason = self.view.packet, statement.reason
        if statement.diverts:
            sent = both(there, packet.unknown(statement.span, f"{reason}: sends elsewhere"))
            self._log.diverted.append(self._share(sent))
            return FALSE, FALSE
        accepts = packet.unknown(statement.span, f"{reason}: accepts")
        drops = packet.unknown(statement.span, f"{reason}: drops")
        if statement.rewrites:
            rewrites = packet.unknown(statement.span, f"{reason}: rewrites")
            # To what is unknown too: for all that is known the packet does not come out as this or that one.
            lost = both(rewrites, neg(packet.unknown(statement.span, f"{reason}: rewrites to this")))
            self._log.new_mark = self._share(either(self._log.new_mark, both(there, rewrites)))
            self.write(both(there, rewrites), {name: packet.fresh(packet.sort(name)) for name in _REWRITABLE})
            return both(there, both(accepts, neg(lost))), both(there, disj((both(neg(accepts), drops), lost)))
        return both(there, accepts), both(there, both(neg(accepts), drops))

    def translated_source(self, there: Term) -> None:
        self._log.new_source = self._share(disj((self._log.new_source, there)))


class _Step:
    """The packet at one rule: `here`, as far as it got in the rule; `gone` is when it does not come to the next one."""

    def __init__(self, run: Run, here: Term) -> None:
        self._run = run
        self._here = here
        self._share = run.view.packet.script.share
        self.accepted: list[Term] = []
        self.returned: list[Term] = []
        self.gone: list[Term] = []

    def rule(self, rule: FilterRule) -> None:
        for statement in rule.statements:
            if self._here == FALSE:
                return
            self._do(statement)

    def _do(self, statement: Statement) -> None:
        run, here = self._run, self._here
        match statement:
            case Match():
                self._here = both(here, run.holds(statement))
            case Decide():
                self._here = self._decide(statement, self._share(here))
            case Choose(cases=cases):
                undecided, goes_on = self._share(here), FALSE
                for place, (_, decide) in enumerate(cases):
                    fits = run.case(statement, place)
                    goes_on = disj((goes_on, self._decide(decide, self._share(both(undecided, fits)))))
                    undecided = self._share(both(undecided, neg(fits)))
                self._here = goes_on
            case SetMark():
                run.mark(self._share(here), statement)
            case Untrack():
                run.write(self._share(here), {Field.STATE: number(State.UNTRACKED, 3)})
            case TranslateSource():
                run.translated_source(here)
                self._end(here, accepted=True)
            case TranslateDestination():
                here = self._share(here)
                run.translate(here, statement)
                self._end(here, accepted=True)
            case Opaque():
                accepted, dropped = run.opaque(self._share(here), statement)
                self.accepted.append(accepted)
                gone = disj((accepted, dropped))
                self.gone.append(gone)
                self._here = both(here, neg(self._share(gone)))
            case _:
                raise UnencodableError(f"a statement of kind {type(statement).__name__}")

    def _end(self, here: Term, *, accepted: bool) -> None:
        if accepted:
            self.accepted.append(here)
        self.gone.append(here)
        self._here = FALSE

    def _decide(self, decide: Decide, here: Term) -> Term:
        """When the packet goes on in this rule."""
        if here == FALSE:
            return FALSE
        match decide.verdict:
            case Verdict.CONTINUE:
                return here
            case Verdict.ACCEPT:
                self.accepted.append(here)
            case Verdict.DROP:
                pass
            case Verdict.RETURN:
                self.returned.append(here)
            case Verdict.JUMP | Verdict.GOTO:
                accepted, left = self._run.call(decide.target, here)
                self.accepted.append(accepted)
                if decide.verdict is Verdict.JUMP:
                    self.gone.append(both(here, neg(left)))
                    return FALSE
                self.returned.append(left)
            case _:
                raise UnencodableError(f"verdict {decide.verdict}")
        self.gone.append(here)
        return FALSE


def _plain(rule: FilterRule) -> Verdict | None:
    """Accept or drop, where the rule does no more than that with what fits its conditions."""
    if not rule.statements or not all(isinstance(one, Match) for one in rule.statements[:-1]):
        return None
    last = rule.statements[-1]
    if isinstance(last, Decide) and last.verdict in (Verdict.ACCEPT, Verdict.DROP):
        return last.verdict
    return None


def changes(table: Table, name: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a packet may come out of the chain as another one, or somewhere else."""
    for rule in table.chains[name].rules:
        for statement in rule.statements:
            if isinstance(statement, SetMark | Untrack | TranslateDestination | TranslateSource):
                return True
            if isinstance(statement, Opaque) and (statement.rewrites or statement.diverts):
                return True
            decisions = [statement] if isinstance(statement, Decide) else []
            if isinstance(statement, Choose):
                decisions = [decide for _, decide in statement.cases]
            for decide in decisions:
                if decide.target and decide.target not in seen and changes(table, decide.target, seen | {name}):
                    return True
    return False


__all__ = ["Log", "Run", "changes"]
