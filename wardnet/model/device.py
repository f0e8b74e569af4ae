"""A device as its artefacts show it, free of any vendor's syntax: ports, addresses, routes, rules and chains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Interface, IPv6Interface

from wardnet.model.frames import BridgeVlan
from wardnet.model.intent import IPAddress, IPNetwork
from wardnet.model.packet import Field, Predicate, fields_of, leaves
from wardnet.model.process import Program
from wardnet.model.span import Coverage, Span, Unknown
from wardnet.model.tracked import Connection


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface. `kind` is empty for hardware; `master` the bridge, bond or VRF it belongs to.

    `parent` is the port that it stands on, `vlan` its tag there (of 802.1Q; None for other tags). `bus` is what a piece
    of hardware hangs on, such as usb, where the listing says so. `filters` is the protocol of the tags by which a
    bridge keeps VLANs apart; empty where it does not.
    """

    span: Span
    name: str
    kind: str
    up: bool  # switched on by the administrator
    carrier: bool
    master: str | None
    loopback: bool
    program: bool = False  # code attached to the port itself, which can send packets past everything else
    parent: str | None = None
    vlan: int | None = None
    bus: str = ""
    filters: str = ""
    addresses: tuple[IPv4Interface | IPv6Interface, ...] = ()


class RouteType(StrEnum):
    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    ANYCAST = "anycast"
    MULTICAST = "multicast"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"
    THROW = "throw"


@dataclass(frozen=True, slots=True)
class NextHop:
    port: str
    via: IPAddress | None


@dataclass(frozen=True, slots=True)
class KernelRoute:
    """`open` says why the route may not apply as written; None where it does. `prefers` is the source that the device
    itself takes for it. `grouped` next hops are an object of their own, which the route shares with others."""

    span: Span
    table: str  # number as text; main, local and default are 254, 255 and 253
    destination: IPNetwork
    type: RouteType
    next_hops: tuple[NextHop, ...]
    metric: int
    open: str | None = None
    prefers: IPAddress | None = None
    grouped: bool = False


class RuleAction(StrEnum):
    LOOKUP = "lookup"
    GOTO = "goto"
    NOTHING = "nop"
    UNREACHABLE = "unreachable"
    PROHIBIT = "prohibit"
    BLACKHOLE = "blackhole"


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of the routing policy; `table` for lookups, `goto` a priority.

    Routes with a prefix of `suppress` bits or fewer do not count in this lookup.
    """

    span: Span
    priority: int
    selector: Predicate
    action: RuleAction
    table: str = ""
    goto: int = 0
    suppress: int | None = None
    text: str = ""


class Hook(StrEnum):
    INGRESS = "ingress"
    PREROUTING = "prerouting"
    INPUT = "input"
    FORWARD = "forward"
    OUTPUT = "output"
    POSTROUTING = "postrouting"
    EGRESS = "egress"


class Verdict(StrEnum):
    ACCEPT = "accept"
    DROP = "drop"
    CONTINUE = "continue"
    RETURN = "return"
    JUMP = "jump"
    GOTO = "goto"


@dataclass(frozen=True, slots=True)
class Match:
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Decide:
    verdict: Verdict
    target: str = ""  # chain, for jump and goto


@dataclass(frozen=True, slots=True)
class Choose:
    """A verdict map: the first case that holds decides; else the rule ends without effect."""

    cases: tuple[tuple[Predicate, Decide], ...]


@dataclass(frozen=True, slots=True)
class SetMark:
    """target = (source & keep) ^ flip, where both are marks: of the packet, or of its connection."""

    keep: int
    flip: int
    source: Field = Field.MARK
    target: Field = Field.MARK


@dataclass(frozen=True, slots=True)
class Untrack:
    """The packet passes connection tracking by."""


@dataclass(frozen=True, slots=True)
class TranslateDestination:
    """A new destination, for a connection's first packet; None keeps address or port. Ends the base chain."""

    span: Span
    addresses: tuple[int, int] | None
    ports: tuple[int, int] | None
    to_device: bool  # redirect: to the incoming port's own address


@dataclass(frozen=True, slots=True)
class TranslateSource:
    """A new source on the way out, for a connection's first packet: of `addresses` and `ports`; None where the outgoing
    port gives the address (it `masquerades`), where the port may stay, or where the listing says more than a range.
    Ends the base chain."""

    span: Span
    addresses: tuple[int, int] | None = None
    ports: tuple[int, int] | None = None
    masquerades: bool = False


@dataclass(frozen=True, slots=True)
class Opaque:
    """A statement that is not modelled: it may accept, drop, or do nothing; and where `rewrites`, change
    the packet's mark and destination; where `diverts`, send it (or a copy) out of any port, past all else. One that
    `marks` gives its connection a mark that is not modelled, or ends its rule, and does nothing else."""

    span: Span
    reason: str
    rewrites: bool = False
    diverts: bool = False
    marks: bool = False


Statement = Match | Decide | Choose | SetMark | Untrack | TranslateDestination | TranslateSource | Opaque


@dataclass(frozen=True, slots=True)
class FilterRule:
    span: Span
    comment: str
    statements: tuple[Statement, ...]

    def predicates(self) -> tuple[Predicate, ...]:
        """Every condition in the rule."""
        found: list[Predicate] = []
        for statement in self.statements:
            if isinstance(statement, Match):
                found.append(statement.predicate)
            elif isinstance(statement, Choose):
                found.extend(predicate for predicate, _ in statement.cases)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Chain:
    """`hook` is None for a chain that is only jumped to. `devices` are those of an ingress or egress chain, None
    where the artefact does not tell. `translates` chains see only a connection's first packet."""

    span: Span
    name: str
    rules: tuple[FilterRule, ...]
    hook: Hook | None = None
    priority: int = 0
    policy: Verdict = Verdict.ACCEPT
    translates: bool = False
    devices: tuple[str, ...] | None = None

    @property
    def rank(self) -> tuple[int, int]:
        """By what the kernel orders the hook's chains. Those that translate all run at translation's own place, in the
        order of their priorities there."""
        if not self.translates:
            return self.priority, 0
        return (-100 if self.hook is Hook.PREROUTING else 100), self.priority


@dataclass(frozen=True, slots=True)
class Table:
    """`families` are the IP versions whose packets go through it; `layer` is 3, or 2 for bridges."""

    span: Span
    name: str
    families: tuple[int, ...]
    layer: int
    chains: Mapping[str, Chain]


@dataclass(frozen=True)
class Ruleset:
    tables: tuple[Table, ...]
    tracked: frozenset[int]  # families in which connection tracking certainly runs
    helpers: bool  # a rule hands connections to a helper or an expectation, which lets in related ones
    zones: bool = False  # a rule says which of several lists of connections a packet is looked for in

    def rules(self) -> Iterator[FilterRule]:
        for table in self.tables:
            for chain in table.chains.values():
                yield from chain.rules

    @cached_property
    def conditions(self) -> tuple[Predicate, ...]:
        """What all conditions of all rules are put together from."""
        return tuple(leaf for rule in self.rules() for one in rule.predicates() for leaf in leaves(one))

    @cached_property
    def looks_at(self) -> frozenset[Field]:
        """Fields of packets on which any rule's condition depends."""
        return fields_of(self.conditions)


@dataclass(frozen=True, slots=True)
class Listener:
    span: Span
    protocol: str
    address: str
    port: str
    process: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom a program asks itself; `port` is the device's port that its questions are bound to, None if they are not."""

    span: Span
    address: IPAddress
    port: str | None


@dataclass(frozen=True, slots=True)
class Server:
    """What the configuration of a program says that answers `names`, `time` or `dhcp`. `strange` are lines that are not
    modelled, with why."""

    span: Span
    path: str
    answers: str
    listens: tuple[IPAddress, ...]
    asks: tuple[Asked, ...]
    strange: tuple[tuple[Span, str], ...]


@dataclass(frozen=True, slots=True)
class Session:
    """A PPPoE session, and the port that its frames go over."""

    span: Span
    port: str


@dataclass(frozen=True, slots=True)
class Device:
    """Everything that one device's artefacts say. `settings` are sysctls by name."""

    id: str
    platform: str
    links: tuple[Link, ...]
    routes: Mapping[int, tuple[KernelRoute, ...]]  # by family
    policy_rules: Mapping[int, tuple[PolicyRule, ...]]  # by family, in order
    ruleset: Ruleset
    settings: Mapping[str, str]
    listeners: tuple[Listener, ...]
    unknowns: tuple[Unknown, ...]
    coverage: tuple[Coverage, ...]
    servers: tuple[Server, ...] = ()
    sessions: tuple[Session, ...] | None = None  # None where the snapshot does not say
    sshd: Program | None = None  # likewise
    vlans: tuple[BridgeVlan, ...] | None = None  # likewise: of bridges and their ports
    connections: tuple[Connection, ...] | None = None  # likewise

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)
