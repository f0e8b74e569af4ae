"""What the kernel refuses by itself: addresses that it never forwards, ports that don't forward, sources without a way
back."""

from __future__ import annotations

from wardnet.audit.smt.packet import Ports, View
from wardnet.audit.smt.routing import Routing
from wardnet.audit.smt.terms import FALSE, TRUE, Term, between, both, disj, either, neg, one_of, same
from wardnet.model.device import Device
from wardnet.model.packet import Field
from wardnet.model.span import Span

# RFC 8200: hop-by-hop, routing, fragment, authentication, destination options; and mobility, HIP, shim6.
_EXTENSIONS = (0, 43, 44, 51, 60, 135, 139, 140)
_MULTICAST = {4: (0xE0 << 24, (0xF0 << 24) - 1), 6: (0xFF << 120, (1 << 128) - 1)}
_LINK_LOCAL_6 = (0xFE80 << 112, (0xFEC0 << 112) - 1)


class Kernel:
    """One device's own rules in one family."""

    def __init__(self, device: Device, family: int, routing: Routing) -> None:
        self._device = device
        self._family = family
        self._routing = routing

    def forwardable(self, view: View) -> Term:
        """The addresses of a packet that the kernel forwards. (net/ipv4/route.c: martians; net/ipv6/ip6_input.c and
        ip6_output.c.)"""
        source, destination = view.fields[Field.SOURCE], view.fields[Field.DESTINATION]
        bits = view.packet.sort(Field.SOURCE)
        refused = [between(address, *_MULTICAST[self._family], bits) for address in (source, destination)]
        if self._family == 4:
            for address in (source, destination):
                refused.append(between(address, 0, 0x00FFFFFF, bits))
                refused.append(between(address, 0xFFFFFFFF, 0xFFFFFFFF, bits))
            loopback = disj(between(address, 0x7F000000, 0x7FFFFFFF, bits) for address in (source, destination))
            refused.append(both(loopback, neg(self._at_port(view, "route_localnet", or_all=True))))
            return neg(disj(refused))
        refused += [between(address, 0, 1, bits) for address in (source, destination)]
        refused.append(between(source, *_LINK_LOCAL_6, bits))
        header, protocol = view.fields[Field.NEXT_HEADER], view.fields[Field.PROTOCOL]
        plausible = either(same(header, protocol), one_of(header, _EXTENSIONS, 8))
        return both(neg(disj(refused)), plausible)

    def forwarding(self, view: View) -> Term:
        """IPv4 by the port that the packet came in by; IPv6 for all, or forced at the port."""
        if self._family == 4:
            return self._at_port(view, "forwarding")
        forced = FALSE
        if self.setting("all", "force_forwarding") is not None:
            forced = self._at_port(view, "force_forwarding")
        return either(self._on(view, "all", "forwarding"), forced)

    def source_valid(self, view: View, leaving: Ports) -> Term:
        """IPv4's check of a source, by the port where the packet came in: not the device's own, and with rp_filter a
        way back, strictly by that very port. (fib_validate_source in net/ipv4/fib_frontend.c.)"""
        if self._family == 6:
            return TRUE
        filters = {port: self._filter(port) for port in view.incoming.candidates}
        full = self._routing.ruled() or any(mode != 0 for mode in filters.values())
        own = self._routing.own(view, Field.SOURCE)
        found = []
        for port, mode in filters.items():
            marked = "1" in (self.setting(port, "src_valid_mark"), self.setting("all", "src_valid_mark"))
            accepting = either(self._on(view, port, "accept_local"), self._on(view, "all", "accept_local"))
            here = view.incoming.are(port)
            mine = own
            if full:
                back = self._routing.back(view, by_mark=marked, bare=False, incoming=leaving)
                mine = either(own, back.here)
            if mode == 0:
                found.append(both(here, either(neg(mine), accepting)))
                continue
            back = self._routing.back(view, by_mark=marked, bare=False, incoming=leaving)
            way = back.ports.get(port, FALSE) if mode == 1 else back.any()
            if mode is None:
                span = Span(self._device.id, "sysctl.txt", f"net.ipv4.conf.{port}.rp_filter")
                way = either(way, view.packet.unknown(span, "is not in the listing"))
            # A source of the device's own that is accepted has its way back here, by whichever port.
            found.append(both(here, disj([both(neg(mine), way), both(mine, accepting)])))
        return view.packet.script.share(disj(found))

    def _filter(self, port: str) -> int | None:
        """The stricter of the port's own rp_filter and that of all; None where the listing lacks one."""
        values = {self.setting(port, "rp_filter"), self.setting("all", "rp_filter")}
        if not values <= {"0", "1", "2"}:
            return None
        return max(int(value) for value in values if value is not None)

    def _at_port(self, view: View, name: str, *, or_all: bool = False) -> Term:
        """The setting is on at the port where the packet came in."""
        found = [both(view.incoming.are(port), self._on(view, port, name)) for port in view.incoming.candidates]
        if or_all:
            found.append(self._on(view, "all", name))
        return disj(found)

    def _on(self, view: View, port: str, name: str) -> Term:
        value = self.setting(port, name)
        if value == "1":
            return TRUE
        if value == "0":
            return FALSE
        span = Span(self._device.id, "sysctl.txt", f"net.ipv{self._family}.conf.{port}.{name}")
        return view.packet.unknown(span, f"is {value or 'not in the listing'}")

    def setting(self, port: str, name: str) -> str | None:
        """sysctl prints a dot in the name of a port as a slash."""
        for written in (port.replace(".", "/"), port):
            value = self._device.settings.get(f"net.ipv{self._family}.conf.{written}.{name}")
            if value is not None:
                return value
        return None

    def helped(self) -> bool:
        return self._device.settings.get("net.netfilter.nf_conntrack_helper") == "1"
