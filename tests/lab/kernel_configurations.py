"""Random small configurations of a router and packets for it, out of few values, so that they often meet."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.lab.kernel_support import PORTS, Sent

V4 = ("10.0.1.5", "10.0.1.9", "10.0.2.5", "10.9.0.1", "172.16.5.5", "192.0.2.7", "198.51.100.9", "203.0.113.3")
V6 = ("fd00:1::5", "fd00:1::9", "fd00:2::5", "fd09::1", "fd16:5::5", "2001:db8:1::7", "2001:db8:2::9", "2001:db8:3::3")
NETS = {
    4: ("10.0.0.0/8", "10.0.1.0/24", "10.0.2.0/23", "10.0.1.8/29", "172.16.0.0/12", "192.0.2.0/24", "0.0.0.0/0",
        "198.51.100.0/24", "203.0.113.3/32"),
    6: ("fd00::/16", "fd00:1::/64", "fd00:2::/64", "fd00:1::8/125", "fd16::/16", "2001:db8::/32", "::/0",
        "2001:db8:2::/48", "2001:db8:3::3/128"),
}  # fmt: skip
PORT_NUMBERS = (22, 53, 80, 443, 1000, 2000)
FLAGS = (2, 16, 18, 24, 17)
TABLES = ("main", "100", "200")
OWN = {4: ("10.0.1.1", "10.0.2.1", "172.16.0.1"), 6: ("fd00:1::1", "fd00:2::1", "fd16::1")}
_KINDS = ("unreachable", "blackhole", "prohibit", "throw")


class Generator:
    """One configuration. `tracked` ones use connection tracking, and then `translating` ones NAT."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311 - reproducible, not secret
        self.tracked = self.random.random() < 0.6
        self.translating = self.tracked and self.random.random() < 0.4
        self._tag = seed << 24
        self._behind = ("", " drop", " accept")[seed % 3]

    def some(self, values: Sequence[str]) -> str:
        return self.random.choice(list(values))

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    # --- addresses, routes, rules, settings

    def commands(self) -> list[str]:
        found = []
        for port, own4, own6 in zip(PORTS, OWN[4], OWN[6], strict=True):
            found += [f"ip addr add {own4}/24 dev {port} noprefixroute",
                      f"ip -6 addr add {own6}/64 dev {port} noprefixroute nodad"]  # fmt: skip
        for family in (4, 6):
            found += [self._route(family) for _ in range(self.random.randint(4, 12))]
            if self.chance(0.7):
                found.append(f"ip -{family} route add default dev {self.some(PORTS)} table {self.some(TABLES)}")
            found += [self._rule(family) for _ in range(self.random.randint(0, 6))]
        return found + self._settings()

    def _route(self, family: int) -> str:
        destination = self.some(NETS[family])
        words = f"ip -{family} route add"
        if self.chance(0.25):
            words += f" {self.some(_KINDS)} {destination}"
        else:
            words += f" {destination} dev {self.some(PORTS)}"
        return f"{words} table {self.some(TABLES)} metric {self.random.randint(1, 3) * 10}"

    def _rule(self, family: int) -> str:
        words = [f"ip -{family} rule add pref {self.random.randint(2, 60) * 100}"]
        if self.chance(0.15):
            words.append("not")
        picked = False
        if self.chance(0.4):
            words.append(f"iif {self.some(PORTS)}")
            picked = True
        if self.chance(0.3):
            words.append(f"from {self.some(NETS[family])}")
            picked = True
        if self.chance(0.3):
            words.append(f"to {self.some(NETS[family])}")
            picked = True
        if self.chance(0.3):
            words.append("fwmark " + self.some(("0x1", "0x2", "0x1/0x1", "0x10/0xf0")))
            picked = True
        if self.chance(0.1):
            words.append(f"ipproto {self.some(('tcp', 'udp'))}")
            if self.chance(0.5):
                words.append(f"dport {self.random.choice(PORT_NUMBERS)}")
            picked = True
        if self.chance(0.05):
            words.append(f"oif {self.some(PORTS)}")
            picked = True
        if not picked and "not" in words:
            words.remove("not")
        action = self.random.random()
        if action < 0.75:
            words.append(f"lookup {self.some(TABLES)}")
            if self.chance(0.15):
                words.append(f"suppress_prefixlength {self.some(('0', '8'))}")
        elif action < 0.9:
            words.append(self.some(("unreachable", "blackhole", "prohibit")))
        else:
            words.append("goto 32766")
        return " ".join(words)

    def _settings(self) -> list[str]:
        found = ["sysctl -qw net.ipv4.ip_forward=1"]
        found.append(f"sysctl -qw net.ipv6.conf.all.forwarding={1 if self.chance(0.9) else 0}")
        for port in PORTS:
            if self.chance(0.1):
                found.append(f"sysctl -qw net.ipv4.conf.{port}.forwarding=0")
            if self.chance(0.1):
                found.append(f"sysctl -qw net.ipv6.conf.{port}.force_forwarding=1")
            found.append(f"sysctl -qw net.ipv4.conf.{port}.rp_filter={self.some(('0', '0', '0', '1', '2'))}")
        if self.chance(0.1):
            found.append("sysctl -qw net.ipv4.conf.all.rp_filter=2")
        if self.chance(0.1):
            found.append("sysctl -qw net.ipv4.conf.all.src_valid_mark=1")
        return found

    # --- rules of the filter

    def ruleset(self) -> str:
        tables = [self._table("inet", "a")]
        if self.chance(0.5):
            tables.append(self._table(self.some(("ip", "ip6", "inet")), "b"))
        return "flush ruleset\n" + "\n".join(tables)

    def _table(self, family: str, name: str) -> str:
        self._family = family
        lines = [f"table {family} {name} {{"]
        for kind, number in (("ipv4_addr", 4), ("ipv6_addr", 6)):
            if family in ("inet", {4: "ip", 6: "ip6"}[number]):
                picked = self.random.sample([n for n in NETS[number] if not n.endswith("/0")], 3)
                elements = ", ".join(picked)
                lines.append(
                    f" set s{number} {{ type {kind}; flags interval; auto-merge; elements = {{ {elements} }} }}"
                )
        last = self.some(("accept", "drop"))
        lines.append(f' map m {{ type ifname : verdict; elements = {{ "p0" : jump c1, "p1" : {last} }} }}')
        for number in (2, 1):
            lines.append(f" chain c{number} {{")
            lines += [f"  {self._rule_text(allow_jump=number == 1)}" for _ in range(self.random.randint(1, 5))]
            lines.append(" }")
        for hook, priority in self._hooks():
            policy = self.some(("accept", "accept", "drop")) if hook == "forward" else "accept"
            lines.append(
                f" chain {hook}{priority % 1000} {{ type filter hook {hook} priority {priority}; policy {policy};"
            )
            lines += [f"  {self._rule_text(hook)}" for _ in range(self.random.randint(1, 10))]
            lines.append(" }")
        if self.translating and family in ("inet", "ip"):
            lines.append(" chain dnat { type nat hook prerouting priority dstnat;")
            lines += [f"  {self._translation('dnat')}" for _ in range(self.random.randint(1, 3))]
            lines.append(" }\n chain snat { type nat hook postrouting priority srcnat;")
            lines += [f"  {self._translation('snat')}" for _ in range(self.random.randint(0, 2))]
            lines.append(" }")
        return "\n".join([*lines, "}"])

    def _hooks(self) -> list[tuple[str, int]]:
        found = [("forward", self.random.choice((-10, 0, 10)))]
        if self.chance(0.5):
            found.append(("prerouting", self.random.choice((-300, -150))))
        if self.chance(0.3):
            found.append(("forward", 20))
        if self.chance(0.3):
            found.append(("postrouting", self.random.choice((-150, 0))))
        return found

    def _translation(self, kind: str) -> str:
        match = f"ip daddr {self.some(V4)} {self.some(('tcp', 'udp'))} dport {self.random.choice(PORT_NUMBERS)}"
        if kind == "snat":
            return f"{match} {self.some(('masquerade', 'snat ip to 192.0.2.99'))}"
        return (
            match
            + " "
            + self.some((f"dnat ip to {self.some(V4)}", f"dnat ip to {self.some(V4)}:80", "redirect to :80"))
        )

    def _rule_text(self, hook: str = "", *, allow_jump: bool = True) -> str:
        words = [self._match(hook) for _ in range(self.random.choice((0, 1, 1, 1, 2, 2, 3)))]
        if hook == "prerouting" and self.chance(0.4):
            words.append(self.some(("meta mark set 0x1", "meta mark set 0x2", "meta mark set mark or 0x10",
                                    "meta mark set mark and 0xf xor 0x1")))  # fmt: skip
        if self.chance(0.1):
            words.append("counter")
        if not hook or hook == "forward":
            ends = ["accept", "accept", "drop", "drop", "reject", "continue", "return"]
        else:
            ends = ["accept", "drop", "continue"] if self.chance(0.3) else ["continue"]
        if hook != "forward" and "reject" in ends:
            ends.remove("reject")
        if allow_jump and self.chance(0.25):
            target = self.some(("c1", "c2")) if hook else "c2"
            ends = [f"jump {target}", f"goto {target}"]
        if hook == "forward" and self.chance(0.08):
            return "iifname vmap @m"
        if hook == "forward" and self.chance(0.08):
            # What fits no case does not get to what stands behind the map.
            return "tcp dport vmap { 22 : drop, 80-443 : accept, 1000 : jump c2 }" + self._behind
        return " ".join([*words, self.some(ends)])

    def _match(self, hook: str) -> str:
        families = {"inet": (4, 6), "ip": (4,), "ip6": (6,)}[self._family]
        family = self.random.choice(families)
        word = "ip" if family == 4 else "ip6"
        side = self.some(("saddr", "daddr"))
        number = self.random.choice(PORT_NUMBERS)
        addresses = V4 if family == 4 else V6
        pair = f"{self.some(addresses)} . {number}, {self.some(addresses)} . 53"
        options = [
            f"{word} {side} {self.some(addresses)}",
            f"{word} {side} != {self.some(addresses)}",
            f"{word} {side} {self.some([n for n in NETS[family] if not n.endswith('/0')])}",
            f"{word} {side} @s{family}",
            f"{word} {side} != @s{family}",
            f"{word} {side} {{ {', '.join(self.random.sample(addresses, 3))} }}",
            f"{word} {side} . {self.some(('tcp', 'udp'))} dport {{ {pair} }}",
            f"tcp dport {number}",
            f"udp dport != {number}",
            f"udp sport {{ {number}, 100-500 }}",
            f"tcp dport {min(number, 80)}-{max(number, 80)}",
            f"tcp sport > {number}",
            "meta l4proto { tcp, udp } th dport 53",
            f"meta l4proto {self.some(('tcp', 'udp', 'icmp', 'ipv6-icmp'))}",
            "tcp flags syn / syn,ack",
            "tcp flags & (fin|psh) != 0",
            "tcp flags ack",
            f"meta time {self.some(('<', '>='))} 1000000000",  # long past: settled for good
            "meta mark 0x1",
            "meta mark and 0x11 == 0x10",
            "meta mark != 0x0",
            f'iifname "{self.some(PORTS)}"',
            'iifname "p*"',
            f'iif != "{self.some(PORTS)}"',
            f"fib daddr type {self.some(('local',))}",
        ]
        if self._family == "inet":
            options += ["meta nfproto ipv6", "meta nfproto ipv4"]
        if 4 in families:
            options += ["icmp type echo-request", "ip protocol tcp", "ip saddr and 0.0.0.255 == 0.0.0.5"]
        if 6 in families:
            options += ["icmpv6 type { echo-request, echo-reply }", "ip6 nexthdr udp"]
        if hook in ("prerouting", "forward"):
            options += ["fib saddr oif missing", "fib saddr . iif oif missing", "fib saddr . mark . iif oif exists"]
        if hook in ("forward", "postrouting"):
            options += [f'oifname "{self.some(PORTS)}"', f'oif {{ "{PORTS[0]}", "{PORTS[2]}" }}']
        if self.tracked and hook in ("forward", "postrouting"):
            options += ["ct state new", "ct state established,related", "ct state != new", "ct state { new, invalid }"]
            if self.translating:
                options.append("ct status dnat")
        return self.some(options)

    # --- packets

    def packets(self, count: int) -> list[Sent]:
        return [self._packet(number) for number in range(count)]

    def _packet(self, number: int) -> Sent:
        self._tag += 1
        family = self.random.choice((4, 6))
        addresses = (V4, V6)[family == 6]
        own = OWN[family]
        destination = self.some(own) if self.chance(0.05) else self.some(addresses)
        source = self.some(own) if self.chance(0.03) else self.some(addresses)
        protocol = self.random.choice((6, 6, 17, 17, 1 if family == 4 else 58, 47))
        # Every connection is a new one, where connections are tracked: sequences of states are asked for explicitly.
        source_port = 20000 + number if self.tracked else self.random.choice(PORT_NUMBERS)
        flags = 2 if self.tracked else self.random.choice(FLAGS)
        if self.tracked and protocol == 47:
            protocol = 17
        return Sent(family, self.some(PORTS), source, destination, protocol, source_port,
                    self.random.choice(PORT_NUMBERS), flags, 8 if family == 4 else 128,
                    self._tag.to_bytes(8, "big"))  # fmt: skip

    def tag(self) -> bytes:
        self._tag += 1
        return self._tag.to_bytes(8, "big")
