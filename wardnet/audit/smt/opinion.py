"""The second opinion on a device: what may cross it in one family, by z3.

Possible is what comes true for some packet and some values of the unknowns; certain, what one packet does for all of
them. Where a packet has to belong to a connection, that connection's first packet is a second one in the same script.
"""

from __future__ import annotations

from collections.abc import Mapping

from wardnet.audit.question import Answer, Ends, Question
from wardnet.audit.records import Verdict
from wardnet.audit.smt.conditions import UnencodableError
from wardnet.audit.smt.grants import Granted
from wardnet.audit.smt.packet import Unknown
from wardnet.audit.smt.passage import Passage, Passed
from wardnet.audit.smt.solver import GaveUpError, Limits, Solver, load
from wardnet.audit.smt.terms import FALSE, Script, Term, both, conj, disj, neg, number
from wardnet.audit.smt.tracking import belongs
from wardnet.model.connections import asks_for_marks
from wardnet.model.device import Device, Link
from wardnet.model.packet import State

ENGINE = "z3"
_STATES = (State.NEW, State.INVALID, State.ESTABLISHED, State.RELATED)


def second_opinion(question: Question, limits: Limits | None = None) -> Answer:
    """Gives up on what it has no words for, and never raises for it. Raises AuditError without z3."""
    load()
    try:
        verdicts = dict(_Opinion(question, limits or Limits()).verdicts())
    except GaveUpError as error:
        return _none(question, str(error))
    except UnencodableError as error:
        return _none(question, f"is not encoded: {error}")
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, AssertionError) as error:
        return _none(question, f"could not be encoded: {type(error).__name__}: {error}")
    for ends, verdict in _bridged(question).items():
        if verdicts[ends] is not Verdict.VIOLATED:
            verdicts[ends] = verdict
    return Answer(ENGINE, verdicts)


def _none(question: Question, reason: str) -> Answer:
    return Answer(ENGINE, dict.fromkeys(question.pairs), dict.fromkeys(question.pairs, reason))


class _Opinion:
    def __init__(self, question: Question, limits: Limits) -> None:
        self._question = question
        self._limits = limits
        self._passage = Passage(question.device, question.family)
        self._script = Script()
        self._packet = Unknown(self._script, "p", question.family, self._passage.names)

    def verdicts(self) -> Mapping[Ends, Verdict]:
        pairs = self._question.pairs
        calm = Verdict.UNKNOWN if self._passage.unordered() else Verdict.PROVED
        moved, passed = self._passed()
        granted = Granted(self._question.policy, passed.last)
        crossings = [self._crossing(passed, granted, ends) for ends in pairs]
        if all(crossing == FALSE for crossing in crossings):
            return dict.fromkeys(pairs, calm)
        first = self._another("first")
        later = self._another("later") if self._passage.marked else None
        self._script.demand(belongs(self._passage, passed, moved, first, later))
        found = Solver(self._script, crossings, self._limits).possible()
        kinds = {True: Verdict.VIOLATED, False: Verdict.UNKNOWN}
        return {ends: kinds[found[place]] if place in found else calm for place, ends in enumerate(pairs)}

    def _another(self, label: str) -> Unknown:
        return Unknown(self._script, label, self._question.family, self._passage.names)

    def _passed(self) -> tuple[Term, Passed]:
        passage = self._passage
        moved: Term = self._packet.fresh(0) if passage.translates() else FALSE
        pairs = list(self._question.pairs)
        if passage.diverts():  # then a packet matters that would leave by another port
            pairs = [(one, other) for one in passage.entrances for other in passage.up]
        mark = self._packet.fresh(32) if asks_for_marks(passage.device.ruleset) else number(0, 32)
        return moved, passage.run(self._packet, _STATES, pairs, moved, mark)

    def _crossing(self, passed: Passed, granted: Granted, ends: Ends) -> Term:
        source, destination = ends
        leaves = passed.last.outgoing.are(destination)
        beyond = neg(granted.between(source, destination))
        crosses = disj((conj((passed.passes, leaves, beyond)), passed.diverted))
        return self._script.share(both(passed.last.incoming.are(source), crosses))


def _bridged(question: Question) -> dict[Ends, Verdict]:
    """Ports of one bridge: frames pass below all of this. Whether chains of bridges stop them is not encoded."""
    device = question.device
    members: dict[str, list[str]] = {link.name: [] for link in device.links if link.kind == "bridge"}
    for link in device.links:
        if link.up and link.master in members:
            members[link.master].append(link.name)
    filtered = any(table.layer == 2 and table.chains for table in device.ruleset.tables)
    found: dict[Ends, Verdict] = {}
    for bridge in (link for link in device.links if link.name in members):
        sure = not filtered and bridge.filters in ("", "802.1Q") and not (bridge.filters and device.vlans is None)
        for group in _hearing(device, bridge, members[bridge.name]):
            for ends in question.pairs:
                if ends[0] in group and ends[1] in group:
                    found[ends] = Verdict.VIOLATED if sure else Verdict.UNKNOWN
    return found


def _hearing(device: Device, bridge: Link, members: list[str]) -> list[set[str]]:
    """Members of the bridge that hear each other: all, or by VLAN those that are in it (br_allowed_ingress and
    br_allowed_egress in net/bridge/br_vlan.c)."""
    if bridge.filters != "802.1Q" or device.vlans is None:
        return [set(members)]
    by_vlan: dict[int, set[str]] = {}
    for entry in device.vlans:
        if entry.port in members:
            by_vlan.setdefault(entry.vlan, set()).add(entry.port)
    return list(by_vlan.values())
