"""Random small devices out of few values, so that packets, rules and routes often meet."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from ipaddress import ip_interface, ip_network
from random import Random

from wardnet.model.device import (
    Chain,
    Choose,
    Decide,
    Device,
    FilterRule,
    Hook,
    KernelRoute,
    Link,
    Match,
    NextHop,
    Opaque,
    PolicyRule,
    RouteType,
    RuleAction,
    Ruleset,
    SetMark,
    Statement,
    Table,
    TranslateDestination,
    TranslateSource,
    Untrack,
    Verdict,
)
from wardnet.model.intent import Channel, IPNetwork, Platform, Ports, Source
from wardnet.model.packet import (
    ALWAYS,
    HAS_CONNECTION,
    All,
    AnyOf,
    Chance,
    Field,
    InPort,
    InRanges,
    LocalAddress,
    Masked,
    Not,
    OfFamily,
    Open,
    OutPort,
    Predicate,
    ReversePath,
    State,
    equals,
)
from wardnet.model.policy import DevicePolicy, Grant, Passing, PolicyPort
from wardnet.model.span import Span

PORTS = {"a": Channel.WAN, "b": Channel.INTERNET, "c": Channel.WAN}
NETWORKS: dict[int, tuple[IPNetwork, ...]] = {
    4: tuple(ip_network(n) for n in ("10.1.0.0/16", "10.2.0.0/16", "10.1.1.0/24", "192.0.2.0/24", "0.0.0.0/0",
                                     "10.1.1.7/32", "127.0.0.0/8")),
    6: tuple(ip_network(n) for n in ("fd01::/32", "fd02::/32", "fd01:0:1::/48", "2001:db8::/32", "::/0",
                                     "fd01:0:1::7/128", "fe80::/10")),
}  # fmt: skip
OWN = {4: "10.1.1.1/32", 6: "fd01:0:1::1/128"}
_SOURCE = Source("a test", 1)
_SETTINGS = ("forwarding", "rp_filter", "accept_local", "route_localnet", "src_valid_mark", "accept_source_route",
             "bc_forwarding", "mc_forwarding")  # fmt: skip
_SETTINGS6 = ("forwarding", "accept_source_route", "accept_ra", "seg6_enabled", "rpl_seg_enabled",
              "ignore_routes_with_linkdown")  # fmt: skip


class RandomDevice:
    """`calm` ones have no unknowns; `translating` ones rewrite addresses; `marking` ones mark connections."""

    def __init__(self, seed: int, *, marking: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)  # noqa: S311 - reproducible
        self.calm = self.chance(0.5)
        self.translating = self.chance(0.3)
        self.marking = marking
        self._places = 0

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def span(self, what: str = "rule") -> Span:
        self._places += 1
        return Span("d", "nft-ruleset.json", f"{what} handle {self._places}")

    def device(self) -> Device:
        links = [Link(Span("d", "ip-link.json", name), name, "", True, True, None, False) for name in PORTS]
        links.append(Link(Span("d", "ip-link.json", "lo"), "lo", "", True, True, None, True))
        tables = [self.table("t", (4, 6))]
        if self.chance(0.4):
            tables.append(self.table("u", self.random.choice(((4,), (6,), (4, 6)))))
        tracked = frozenset({4, 6}) if self.chance(0.7) else frozenset[int]()
        return Device(
            "d", "linux", tuple(links),
            {family: self.routes(family) for family in (4, 6)}, {family: self.rules(family) for family in (4, 6)},
            Ruleset(tuple(tables), tracked, not self.calm and self.chance(0.1)), self.settings(), (), (), (),
        )  # fmt: skip

    def policy(self) -> DevicePolicy:
        ports = tuple(PolicyPort(name, channel, name, ()) for name, channel in PORTS.items())
        grants = []
        for family in (4, 6) if self.chance(0.5) else ():
            start, end = self.random.choice((("a", "b"), ("b", "c")))
            allow = (Ports(self.random.choice(("tcp", "udp", "icmp")), ()),) if self.chance(0.3) else (
                Ports("tcp", (1, 2)),)  # fmt: skip
            sender, receiver = self.random.sample(NETWORKS[family][:4], 2)
            grants.append(Grant("g", start, end, sender, receiver, allow, "o", "d", date(2030, 1, 1), _SOURCE))
        return DevicePolicy("d", "w", "s", Platform.LINUX, ports, tuple(grants))

    def zoned_policy(self) -> DevicePolicy:
        """The same with a zone for each port, and conduits out of numbers of their own."""
        random = Random(self.seed + 1_000_000)  # noqa: S311 - reproducible
        ends: tuple[tuple[str | None, str | None], ...] = (("a", "c"), ("c", "a"), ("a", None), (None, "c"))
        services = (Ports("tcp", ()), Ports("tcp", (1, 2)), Ports("udp", (2,)), Ports("icmp", ()))
        conduits = []
        for number in range(random.randint(0, 4)):
            sides = [tuple(random.choice(NETWORKS[family][:5]) for family in (4, 6)) for _ in range(2)]
            without = [NETWORKS[4][2], NETWORKS[6][2]] if random.random() < 0.4 else []
            conduits.append(Passing(f"c{number}", *random.choice(ends), sides[0], sides[1],
                                    tuple(random.sample(services, 2)), _SOURCE, (), tuple(without)))  # fmt: skip
        wanted = self.policy()
        ports = tuple(replace(port, zone=port.interface) for port in wanted.ports)
        return replace(wanted, ports=ports, conduits=tuple(conduits))

    # --- kernel

    def settings(self) -> dict[str, str]:
        found = {}
        for name in ("all", "default", *PORTS):
            for setting in _SETTINGS:
                found[f"net.ipv4.conf.{name}.{setting}"] = "0"
            for setting in _SETTINGS6:
                found[f"net.ipv6.conf.{name}.{setting}"] = "0"
            found[f"net.ipv4.conf.{name}.forwarding"] = "0" if self.chance(0.1) else "1"
            found[f"net.ipv4.conf.{name}.rp_filter"] = self.random.choice("00012") if name != "all" else "0"
            for setting in ("accept_local", "route_localnet", "src_valid_mark"):
                found[f"net.ipv4.conf.{name}.{setting}"] = "1" if self.chance(0.15) else "0"
            if self.chance(0.2):
                found[f"net.ipv6.conf.{name}.force_forwarding"] = self.random.choice("01")
        found["net.ipv6.conf.all.forwarding"] = "0" if self.chance(0.1) else "1"
        if not self.calm and self.chance(0.3):
            del found[f"net.ipv4.conf.{self.random.choice(list(PORTS))}.rp_filter"]
        return found

    def routes(self, family: int) -> tuple[KernelRoute, ...]:
        own = KernelRoute(Span("d", "ip-route.json", "#0"), "255", ip_network(OWN[family]), RouteType.LOCAL,
                          (NextHop("a", None),), 0)  # fmt: skip
        return (own, *(self.route(family, number) for number in range(1, self.random.randint(4, 9))))

    def route(self, family: int, number: int) -> KernelRoute:
        kind = RouteType.UNICAST
        if self.chance(0.3):
            kind = self.random.choice((RouteType.UNREACHABLE, RouteType.BLACKHOLE, RouteType.PROHIBIT, RouteType.THROW,
                                       RouteType.LOCAL, RouteType.BROADCAST))  # fmt: skip
        ports = self.random.sample(list(PORTS), 2 if self.chance(0.2) else 1)
        hops = tuple(NextHop(port, None) for port in ports) if kind is RouteType.UNICAST else ()
        table = self.random.choice(("254", "254", "100", "100", "255" if kind is RouteType.LOCAL else "200"))
        unsure = "route with encap" if not self.calm and self.chance(0.1) else None
        source = ip_interface(OWN[family]).ip if family == 4 and hops and number % 2 else None
        return KernelRoute(Span("d", "ip-route.json", f"#{number}"), table, self.random.choice(NETWORKS[family]), kind,
                           hops, self.random.choice((10, 20)), unsure, source)  # fmt: skip

    def rules(self, family: int) -> tuple[PolicyRule, ...]:
        found = [(0, RuleAction.LOOKUP, "255"), (32766, RuleAction.LOOKUP, "254"), (32767, RuleAction.LOOKUP, "253")]
        made = [PolicyRule(Span("d", "ip-rule.json", str(p)), p, ALWAYS, a, t) for p, a, t in found]
        for _ in range(self.random.randint(0, 5)):
            priority = self.random.choice((100, 200, 300, 400))
            action = self.random.choice([RuleAction.LOOKUP] * 5 + [RuleAction.GOTO, RuleAction.NOTHING,
                                         RuleAction.UNREACHABLE, RuleAction.PROHIBIT])  # fmt: skip
            table = self.random.choice(("254", "100", "200")) if action is RuleAction.LOOKUP else ""
            suppress = self.random.choice((0, 16)) if action is RuleAction.LOOKUP and self.chance(0.2) else None
            goto = self.random.choice([n for n in (200, 300, 400, 32766) if n > priority])
            span = Span("d", "ip-rule.json", f"{priority} {len(made)}")
            made.append(PolicyRule(span, priority, self.selector(family), action, table, goto, suppress, "a rule"))
        return tuple(sorted(made, key=lambda rule: rule.priority))

    def selector(self, family: int) -> Predicate:
        network = self.random.choice(NETWORKS[family])
        terms: list[Predicate] = self.random.sample([
            InPort((self.random.choice(list(PORTS)),)),
            InRanges(self.random.choice((Field.SOURCE, Field.DESTINATION)), ((int(network[0]), int(network[-1])),)),
            Masked(Field.MARK, 0xFF, self.random.randrange(3)),
            equals(Field.PROTOCOL, 6),
            equals(Field.DESTINATION_PORT, 2),
            OutPort(("b",)),
            InPort(("lo",)),
        ], self.random.choice((0, 1, 1, 2)))  # fmt: skip
        found: Predicate = All(tuple(terms))
        return Not(found) if terms and self.chance(0.15) else found

    # --- rules of the filter

    def table(self, name: str, families: tuple[int, ...]) -> Table:
        chains: dict[str, Chain] = {}
        for below in ("c2", "c1"):
            rules = tuple(self.rule(list(chains), None) for _ in range(self.random.randint(1, 3)))
            chains[below] = Chain(self.span(below), below, rules)
        targets = list(chains)
        bases = [(Hook.FORWARD, self.random.choice((-5, 0, 5)))]
        for hook, priority, share in ((Hook.PREROUTING, -300, 0.2), (Hook.PREROUTING, -150, 0.4),
                                      (Hook.POSTROUTING, 0, 0.2), (Hook.POSTROUTING, 150, 0.1), (Hook.INPUT, 0, 0.4),
                                      (Hook.OUTPUT, 0, 0.4), (Hook.INGRESS, 0, 0.1)):  # fmt: skip
            if self.chance(share):
                bases.append((hook, priority + (name == "u")))
        for hook, priority in bases:
            policy = Verdict.DROP if hook in (Hook.FORWARD, Hook.OUTPUT) and self.chance(0.6) else Verdict.ACCEPT
            title = f"{hook}{priority}"
            rules = tuple(self.rule(targets, hook, priority) for _ in range(self.random.randint(1, 6)))
            devices = (self.random.choice(list(PORTS)),) if hook is Hook.INGRESS else None
            chains[title] = Chain(self.span(title), title, rules, hook, priority, policy, devices=devices)
        if self.translating and name == "t":
            chains["dnat"] = self.translations("dnat", Hook.PREROUTING)
            chains["snat"] = self.translations("snat", Hook.POSTROUTING)
        return Table(Span("d", "nft-ruleset.json", name), name, families, 3, chains)

    def translations(self, name: str, hook: Hook) -> Chain:
        rules = []
        for _ in range(self.random.randint(0, 2)):
            statement: Statement = TranslateSource(self.span())
            guard: Predicate = self.condition(hook)
            if hook is Hook.PREROUTING:
                low = int(ip_network("10.2.0.8/32")[0])
                addresses = self.random.choice(((low, low), (low, low + 3), None))
                statement = TranslateDestination(self.span(), addresses, self.random.choice((None, (2, 2), (1, 3))),
                                                 addresses is None and self.chance(0.5))  # fmt: skip
            rules.append(FilterRule(self.span(), "", (Match(All((OfFamily(4), guard))), statement)))
        return Chain(self.span(name), name, tuple(rules), hook, 0, Verdict.ACCEPT, translates=True)

    def rule(self, below: list[str], hook: Hook | None, priority: int = 0) -> FilterRule:
        statements: list[Statement] = [Match(self.condition(hook)) for _ in range(self.random.choice((0, 1, 1, 2, 3)))]
        if hook is Hook.PREROUTING and self.chance(0.5):
            statements.append(SetMark(*self.random.choice(((0, 1), (0, 2), (0xF0, 1), (0xFFFFFFFF, 2)))))
        if self.marking and self.chance(0.3):
            statements += self.marks()
        if hook is Hook.PREROUTING and priority == -300 and self.chance(0.3):
            statements.append(Untrack())
        if not self.calm and self.chance(0.05):
            statements.append(Opaque(self.span(), "statement xt", diverts=self.chance(0.3)))
        if self.chance(0.15):
            cases = tuple((self.condition(hook), self.decision(below)) for _ in range(2))
            statements.append(Choose(cases))
        if self.chance(0.8):
            statements.append(self.decision(below))
        return FilterRule(self.span(), "", tuple(statements))

    def marks(self) -> tuple[Statement, ...]:
        """A connection's mark set, or given to the packet."""
        keep, flip = self.random.choice(((0, 1), (0, 2), (0xFFFFFFFF, 0), (0xFFFFFFFF, 1)))
        if self.chance(0.5):
            return (SetMark(keep, flip, Field.MARK, Field.CONNECTION_MARK),)
        return Match(HAS_CONNECTION), SetMark(keep, flip, Field.CONNECTION_MARK)

    def decision(self, below: list[str]) -> Decide:
        if below and self.chance(0.25):
            return Decide(self.random.choice((Verdict.JUMP, Verdict.GOTO)), self.random.choice(below))
        ends = (Verdict.ACCEPT, Verdict.ACCEPT, Verdict.DROP, Verdict.RETURN, Verdict.CONTINUE)
        return Decide(self.random.choice(ends))

    def condition(self, hook: Hook | None) -> Predicate:
        family = self.random.choice((4, 6))
        network = self.random.choice(NETWORKS[family])
        side = self.random.choice((Field.SOURCE, Field.DESTINATION))
        number = self.random.randrange(4)
        inside = All((OfFamily(family), InRanges(side, ((int(network[0]), int(network[-1])),))))
        options: list[Predicate] = [
            inside, inside, Not(inside),
            InPort((self.random.choice(list(PORTS)),)),
            InPort(("*",)),
            Not(InPort(("b",))),
            equals(Field.DESTINATION_PORT, number),
            InRanges(Field.SOURCE_PORT, ((number, number + 1), (9, 9))),
            Masked(Field.TCP_FLAGS, 3, 2),
            Not(equals(Field.PROTOCOL, 6)),
            InRanges(Field.STATE, ((State.ESTABLISHED, State.RELATED),)),
            equals(Field.STATE, State.NEW),
            Not(equals(Field.STATE, State.INVALID)),
            equals(Field.STATE, State.UNTRACKED),
            Masked(Field.MARK, 0xF, number),
            equals(Field.TRANSLATED, 1),
            equals(Field.ICMP_TYPE, 8 if family == 4 else 128),
            LocalAddress(Field.DESTINATION),
            Not(ReversePath(self.chance(0.5), self.chance(0.5))),
            ReversePath(self.chance(0.5), self.chance(0.5)),
            AnyOf((equals(Field.PROTOCOL, 17), equals(Field.DSCP, 8))),
            Chance(self.span(), "limit"),
        ]  # fmt: skip
        if hook in (Hook.FORWARD, Hook.POSTROUTING, None):
            options += [OutPort((self.random.choice(list(PORTS)),)), Not(OutPort(("b",)))]
        if self.marking:
            asked = Masked(Field.CONNECTION_MARK, 3, number)
            options += [All((HAS_CONNECTION, asked)), All((HAS_CONNECTION, Not(asked)))]
        if not self.calm:
            options += [Open(self.span(), "meta cgroup"), Not(Open(self.span(), "xt match"))]
        return self.random.choice(options)
