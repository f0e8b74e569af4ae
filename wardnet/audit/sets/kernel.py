"""What the kernel itself forwards, before and beside all rules: sane addresses, forwarding switched on, and in IPv4 a
source that has a way back."""

from __future__ import annotations

from wardnet.audit.sets.routing import Routing
from wardnet.audit.sets.scales import LOOPBACK, NOWHERE
from wardnet.audit.sets.space import Bdd, Space
from wardnet.model.device import Device
from wardnet.model.packet import Field
from wardnet.model.span import Span

_EXTENSION_HEADERS = (0, 43, 44, 51, 60, 135, 139, 140)


class Kernel:
    """One device's switches in one family. A setting that is not in the listing is an unknown."""

    def __init__(self, device: Device, space: Space, routing: Routing) -> None:
        self.device = device
        self.space = space
        self.routing = routing
        self.family = space.family

    def sane(self) -> Bdd:
        """Addresses that the kernel forwards at all."""
        space = self.space
        bad = [space.between(name, low, high) for name, found in NOWHERE[self.family].items() for low, high in found]
        if self.family == 4:
            loopback = space.between(Field.SOURCE, *LOOPBACK) | space.between(Field.DESTINATION, *LOOPBACK)
            allowed = self._ports_with("route_localnet")
            bad.append(loopback & ~allowed)
        elif Field.NEXT_HEADER in self.device.ruleset.looks_at:
            plain = space.any_of(
                space.value(Field.NEXT_HEADER, number) & space.value(Field.PROTOCOL, number) for number in range(256)
            )
            extended = space.any_of(space.value(Field.NEXT_HEADER, number) for number in _EXTENSION_HEADERS)
            bad.append(~(plain | extended))
        return ~space.any_of(bad)

    def forwarding(self) -> Bdd:
        if self.family == 4:
            return self._ports_with("forwarding")
        everywhere = self._switch("net.ipv6.conf.all.forwarding")
        forced = self.setting("net.ipv6.conf.all.force_forwarding")
        return everywhere if forced is None else everywhere | self._ports_with("force_forwarding")

    def source_valid(self) -> Bdd:
        """The kernel's check of IPv4 sources: not its own, and, as `rp_filter` says, with a route back."""
        space = self.space
        modes = {port: self._reverse_mode(port) for port in space.ports}
        own = self.routing.local(Field.SOURCE)
        accepting = self._ports_with("accept_local", everywhere=True)
        if any(mode != 0 for mode in modes.values()) or self.routing.has_own_rules():
            for marked in {self._marked(port) for port in modes}:
                here = space.any_of(space.entering(port) for port in modes if self._marked(port) is marked)
                own = own | (here & self.routing.back(by_mark=marked, answering=True).device)
        taken = own & accepting  # its own, and accepted: its way back is here, whatever the port
        own = own & ~accepting
        valid = [~own & space.any_of(space.entering(port) for port, mode in modes.items() if mode == 0)]
        for port, mode in modes.items():
            if mode == 0:
                continue
            back = self.routing.back(by_mark=self._marked(port), answering=True)
            route = back.ports[port] if mode == 1 else space.any_of(back.ports.values())
            if mode is None:
                span = self._setting_span(f"net.ipv4.conf.{port}.rp_filter")
                route = route | space.guess("unknown", span, "is not in the listing")
            valid.append(space.entering(port) & ((~own & route) | taken))
        return space.any_of(valid)

    def _marked(self, port: str) -> bool:
        """Whether the way back is looked up with the packet's mark."""
        return "1" in (self.setting(f"net.ipv4.conf.{name}.src_valid_mark") for name in (port, "all"))

    def _reverse_mode(self, port: str) -> int | None:
        """0 off, 1 strict, 2 loose; None where the listing does not say."""
        here, all_ports = (self.setting(f"net.ipv4.conf.{name}.rp_filter") for name in (port, "all"))
        if here not in ("0", "1", "2") or all_ports not in ("0", "1", "2"):
            return None
        return max(int(here), int(all_ports))

    def _ports_with(self, setting: str, *, everywhere: bool = False) -> Bdd:
        """Packets that came in by a port where the setting is on (or on for all, where that is enough)."""
        space = self.space
        prefix = f"net.ipv{self.family}.conf"
        found = [space.entering(port) & self._switch(f"{prefix}.{port}.{setting}") for port in space.ports]
        if everywhere or setting == "route_localnet":
            found.append(self._switch(f"{prefix}.all.{setting}"))
        return space.any_of(found)

    def _switch(self, name: str) -> Bdd:
        value = self.setting(name)
        if value in ("0", "1"):
            return self.space.true if value == "1" else self.space.false
        return self.space.guess("unknown", self._setting_span(name), f"is {value or 'not in the listing'}")

    def setting(self, name: str) -> str | None:
        """sysctl writes a dot in a port's name as a slash."""
        settings = self.device.settings
        if name in settings:
            return settings[name]
        head, _, last = name.rpartition(".")
        prefix, port = head[: len("net.ipv4.conf.")], head[len("net.ipv4.conf.") :]
        return settings.get(f"{prefix}{port.replace('.', '/')}.{last}")

    def _setting_span(self, name: str) -> Span:
        return Span(self.device.id, "sysctl.txt", name)
