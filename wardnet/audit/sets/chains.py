"""Chains of rules to sets of packets.

Where no rule of a chain changes the packet, a chain is one function (accepted or not), folded from its last rule to
its first: one BDD operation a rule. Where a rule changes marks or destinations, sets of packets walk through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from wardnet.audit.sets.conditions import Conditions
from wardnet.audit.sets.space import Bdd, Space
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
from wardnet.model.packet import All, Field, LocalAddress, OfFamily, State
from wardnet.model.span import Span

_OWN = LocalAddress(Field.DESTINATION)
_CHANGES = (SetMark, Untrack, TranslateDestination, TranslateSource)
_REWRITTEN = (Field.MARK, Field.CONNECTION_MARK, Field.DESTINATION, Field.SOURCE, Field.DESTINATION_PORT,
              Field.SOURCE_PORT, Field.DSCP)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Translation:
    """A rewriting of destinations: the packets before it, and what it writes."""

    statement: TranslateDestination
    before: Bdd


@dataclass
class Walk:
    """What a set of packets left behind on its way through chains."""

    accepted_by: list[tuple[Span, str, Bdd]] = field(default_factory=list)  # rule or policy, comment, packets
    diverted: list[tuple[Span, Bdd]] = field(default_factory=list)
    translations: list[Translation] = field(default_factory=list)
    source_translated: list[Bdd] = field(default_factory=list)
    remarked: list[Bdd] = field(default_factory=list)  # their connection's mark became another


class Chains:
    """The chains of one table in one family."""

    def __init__(self, space: Space, conditions: Conditions, table: Table) -> None:
        self.space = self._space = space
        self.conditions = self._conditions = conditions
        self._table = table
        self._pure: dict[str, bool] = {}
        self._functions: dict[str, tuple[Bdd, Bdd]] = {}
        self._bases: dict[str, Bdd] = {}
        self._care = space.true

    # --- as functions

    def only(self, care: Bdd) -> None:
        """From now on functions need to be right for these packets only: rules that meet none of them cost little."""
        self._care = care
        self._functions.clear()
        self._bases.clear()

    def pure(self, name: str) -> bool:
        """No rule of the chain, or of one that it jumps to, changes or diverts a packet."""
        if name not in self._pure:
            self._pure[name] = True  # the kernel has refused loops
            self._pure[name] = all(
                self._harmless(statement) for rule in self._table.chains[name].rules for statement in rule.statements
            )
        return self._pure[name]

    def _harmless(self, statement: Statement) -> bool:
        if isinstance(statement, Opaque):
            return not (statement.rewrites or statement.diverts)
        if isinstance(statement, Choose):
            return all(self._harmless(decide) for _, decide in statement.cases)
        if isinstance(statement, Decide) and statement.target:
            return self.pure(statement.target)
        return not isinstance(statement, _CHANGES)

    def accepted(self, chain: Chain) -> Bdd:
        """What a base chain without changes lets through."""
        if chain.name not in self._bases:
            policy = self._space.true if chain.policy is Verdict.ACCEPT else self._space.false
            self._bases[chain.name] = self._fold(chain, policy)
        return self._bases[chain.name]

    def _function(self, name: str) -> tuple[Bdd, Bdd]:
        """Of a chain that is jumped to: accepted, and accepted or run through to its end."""
        if name not in self._functions:
            chain = self._table.chains[name]
            self._functions[name] = (self._fold(chain, self._space.false), self._fold(chain, self._space.true))
        return self._functions[name]

    def _fold(self, chain: Chain, end: Bdd) -> Bdd:
        """Accepted packets, when running off the end or returning means `end`."""
        after = end
        for rule in reversed(chain.rules):
            if not self._of_another_family(rule):
                after = self._before(rule, 0, after, end)
        return after

    def _of_another_family(self, rule: FilterRule) -> bool:
        """Seen at once for most of a large ruleset's rules: no packet of this family meets their first conditions."""
        for statement in rule.statements:
            if not isinstance(statement, Match):
                return False
            first = statement.predicate
            if isinstance(first, All) and first.terms:
                first = first.terms[0]
            if isinstance(first, OfFamily):
                return first.version != self._space.family
        return False

    def _before(self, rule: FilterRule, first: int, after: Bdd, end: Bdd) -> Bdd:
        bdd, space = self._space.bdd, self._space
        hit = self._care
        for position in range(first, len(rule.statements)):
            statement = rule.statements[position]
            match statement:
                case Match(predicate=predicate):
                    hit = self._conditions.within(predicate, hit)
                    if hit == space.false:
                        return after
                case Decide() if statement.verdict is not Verdict.CONTINUE:
                    return bdd.ite(hit, self._decided(statement, after, end), after)
                case Choose(cases=cases):
                    # What fits no case is done with the rule; only `continue` goes on with its next statement.
                    rest = self._before(rule, position + 1, after, end)
                    found = after
                    for predicate, decide in reversed(cases):
                        goes_on = decide.verdict is Verdict.CONTINUE
                        then = rest if goes_on else self._decided(decide, after, end)
                        found = bdd.ite(self._conditions.packets(predicate), then, found)
                    return bdd.ite(hit, found, after)
                case Opaque(span=span, reason=reason):
                    rest = self._before(rule, position + 1, after, end)
                    accepts = space.guess("unknown", span, f"{reason}: accepts")
                    drops = space.guess("unknown", span, f"{reason}: drops")
                    return bdd.ite(hit, accepts | (~drops & rest), after)
        return after

    def _decided(self, decide: Decide, after: Bdd, end: Bdd) -> Bdd:
        match decide.verdict:
            case Verdict.ACCEPT:
                return self._space.true
            case Verdict.DROP:
                return self._space.false
            case Verdict.RETURN:
                return end
        accepted, passed = self._function(decide.target)
        return accepted | (passed & (after if decide.verdict is Verdict.JUMP else end))

    # --- as sets on their way

    def walk(self, chain: Chain, packets: Bdd, walk: Walk) -> Bdd:
        """What comes out of a base chain; `walk` takes down how."""
        accepted, left = self._walk(chain, packets, walk)
        if chain.policy is Verdict.ACCEPT and left != self._space.false:
            walk.accepted_by.append((chain.span, "policy accept", left))
            accepted = accepted | left
        return accepted

    def _walk(self, chain: Chain, packets: Bdd, walk: Walk) -> tuple[Bdd, Bdd]:
        """Accepted, and run through or returned."""
        accepted = returned = self._space.false
        for rule in chain.rules:
            if packets == self._space.false:
                break
            step = _Step(self, rule, walk, packets)
            accepted = accepted | step.accepted
            returned = returned | step.returned
            packets = step.left
        return accepted, returned | packets

    def jump(self, target: str, packets: Bdd, walk: Walk) -> tuple[Bdd, Bdd]:
        return self._walk(self._table.chains[target], packets, walk)


class _Step:
    """A set of packets at one rule: `accepted`, `returned`, and `left` for the next."""

    def __init__(self, chains: Chains, rule: FilterRule, walk: Walk, packets: Bdd) -> None:
        self._chains = chains
        self._rule = rule
        self._walk = walk
        space = chains.space
        self.accepted = self.returned = self.left = space.false
        here = packets
        for statement in rule.statements:
            if here == space.false:
                return
            here = self._do(statement, here)
        self.left = self.left | here

    def _do(self, statement: Statement, here: Bdd) -> Bdd:
        """Whatever goes on with the rule's next statement."""
        space = self._chains.space
        packets: Callable[..., Bdd] = self._chains.conditions.packets
        match statement:
            case Match(predicate=predicate):
                hit = self._chains.conditions.within(predicate, here)
                self.left = self.left | (here & ~hit if hit != space.false else here)
                return hit
            case Decide():
                return self._decide(statement, here)
            case Choose(cases=cases):
                goes_on = space.false
                for predicate, decide in cases:
                    hit = here & packets(predicate)
                    here = here & ~hit
                    goes_on = goes_on | self._decide(decide, hit)
                self.left = self.left | here
                return goes_on
            case SetMark(keep=keep, flip=flip, source=source, target=target):
                if target is Field.CONNECTION_MARK:
                    self._walk.remarked.append(here & space.remarked(keep, flip, source, target))
                return space.set_mark(here, keep, flip, source, target)
            case Untrack():
                return space.forget(here, Field.STATE) & space.value(Field.STATE, State.UNTRACKED)
            case TranslateSource():
                self._walk.source_translated.append(here)
                self._accept(here)
                return space.false
            case TranslateDestination():
                self._walk.translations.append(Translation(statement, here))
                self._accept(translated(space, statement, here, self._chains.conditions))
                return space.false
            case Opaque():
                return self._opaque(statement, here)

    def _opaque(self, statement: Opaque, here: Bdd) -> Bdd:
        space, span, reason = self._chains.space, statement.span, statement.reason
        if statement.diverts:
            self._walk.diverted.append((span, here & space.guess("unknown", span, f"{reason}: sends elsewhere")))
            return here
        accepts = space.guess("unknown", span, f"{reason}: accepts")
        drops = space.guess("unknown", span, f"{reason}: drops")
        if statement.rewrites:
            rewrites = space.guess("unknown", span, f"{reason}: rewrites")
            # To what it rewrites is unknown as well: nothing is certain of a packet that may have become another.
            to_this = space.guess("unknown", span, f"{reason}: rewrites to this")
            self._walk.remarked.append(here & rewrites)
            here = (here & ~rewrites) | (space.forget(here, *_REWRITTEN) & rewrites & to_this)
        self._accept(here & accepts)
        return here & ~accepts & ~drops

    def _decide(self, decide: Decide, here: Bdd) -> Bdd:
        """Those that go on with the rule's next statement."""
        if here == self._chains.space.false or decide.verdict is Verdict.CONTINUE:
            return here
        match decide.verdict:
            case Verdict.ACCEPT:
                self._accept(here)
            case Verdict.RETURN:
                self.returned = self.returned | here
            case Verdict.JUMP | Verdict.GOTO:
                accepted, left = self._chains.jump(decide.target, here, self._walk)
                self.accepted = self.accepted | accepted
                if decide.verdict is Verdict.JUMP:
                    self.left = self.left | left
                else:
                    self.returned = self.returned | left
        return self._chains.space.false

    def _accept(self, here: Bdd) -> None:
        if here != self._chains.space.false:
            self._walk.accepted_by.append((self._rule.span, self._rule.comment, here))
            self.accepted = self.accepted | here


def translated(space: Space, statement: TranslateDestination, packets: Bdd, conditions: Conditions) -> Bdd:
    """The packets after a rewriting of their destination."""
    names: list[str] = [Field.TRANSLATED]
    wish = space.value(Field.TRANSLATED, 1)
    if statement.addresses or statement.to_device:
        names.append(Field.DESTINATION)
    if statement.addresses:
        wish = wish & space.between(Field.DESTINATION, *statement.addresses)
    if statement.to_device:
        wish = wish & conditions.packets(_OWN)
    if statement.ports:
        names.append(Field.DESTINATION_PORT)
        wish = wish & space.between(Field.DESTINATION_PORT, *statement.ports)
    return space.forget(packets, *names) & wish
