"""How a circuit gets its addresses and routes, which ports are VLANs of others, and what does not go together."""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.inventory.checks.context import ALWAYS, Context, Days, days_of, share_a_day
from wardnet.locale import _
from wardnet.model.intent import Addressing, Channel, Circuit, Routing, Site, SiteKind, Source

ADDRESS_KEYS = ("ipv4", "ipv4_peer", "ipv6", "ipv6_peer")


def addressing(context: Context) -> None:
    for _ward, site in context.sites:
        for circuit in site.circuits:
            if circuit.addressing is Addressing.STATIC:
                for key in ADDRESS_KEYS:
                    if getattr(circuit, key) is None:
                        _missing(context, circuit, key, _("add '{name}: ...'").format(name=key))
            else:
                _given_by_the_provider(context, circuit)
            if circuit.pppoe and circuit.addressing is not Addressing.PPPOE:
                context.add(
                    circuit.source,
                    _("circuit '{circuit}' has 'pppoe', but its addressing is '{addressing}'").format(
                        circuit=circuit.id, addressing=circuit.addressing
                    ),
                    _("set 'addressing: pppoe', or remove 'pppoe'"),
                )


def _given_by_the_provider(context: Context, circuit: Circuit) -> None:
    if circuit.channel is Channel.WAN:
        context.add(
            circuit.source,
            _("circuit '{circuit}' of the WAN has addressing '{addressing}'").format(
                circuit=circuit.id, addressing=circuit.addressing
            ),
            _("only internet circuits are given their addresses: write those of both ends"),
        )
    written = [key for key in ADDRESS_KEYS if getattr(circuit, key) is not None]
    if written:
        context.add(
            circuit.source,
            _("circuit '{circuit}' has addressing '{addressing}' and an address of its own: {keys}").format(
                circuit=circuit.id, addressing=circuit.addressing, keys=", ".join(written)
            ),
            _("the provider gives it: remove the address, or set 'addressing: static'"),
        )
    if circuit.addressing is Addressing.PPPOE:
        if circuit.pppoe is None:
            _missing(context, circuit, "pppoe", _("add 'pppoe: {example}'").format(example=_EXAMPLE))
        if circuit.parent is None:
            _missing(context, circuit, "parent", _("name the port that the session is dialled over"))


_EXAMPLE = "{user: NAME, password: vault:NAME}"


def _missing(context: Context, circuit: Circuit, key: str, suggestion: str) -> None:
    within = _(" in {kind} '{name}'").format(kind="circuit", name=circuit.id)
    context.add(circuit.source, _("'{name}' is missing{within}").format(name=key, within=within), suggestion)


def routing(context: Context) -> None:
    numbers: dict[int, Circuit] = {}  # what the hub speaks as
    for _ward, site in context.sites:
        for circuit in site.circuits:
            if circuit.routing is not Routing.BGP:
                if circuit.bgp:
                    context.add(
                        circuit.source,
                        _("circuit '{circuit}' has 'bgp', but its routing is 'static'").format(circuit=circuit.id),
                        _("set 'routing: bgp', or remove 'bgp'"),
                    )
                continue
            if circuit.channel is Channel.INTERNET:
                context.add(
                    circuit.source,
                    _("circuit '{circuit}' of the internet has routing 'bgp'").format(circuit=circuit.id),
                    _("BGP is for circuits of the WAN: remove 'routing' and 'bgp'"),
                )
            if circuit.bgp is None:
                example = "{local_as: 65101, peer_as: 65100}"
                _missing(context, circuit, "bgp", _("add 'bgp: {example}'").format(example=example))
                continue
            if circuit.bgp.local_as == circuit.bgp.peer_as:
                context.add(
                    circuit.source,
                    _("circuit '{circuit}' has AS {number} at both ends").format(
                        circuit=circuit.id, number=circuit.bgp.local_as
                    ),
                    _("give the site an AS of its own"),
                )
            hub, first = circuit.bgp.peer_as, next(iter(numbers.values()), circuit)
            numbers.setdefault(hub, circuit)
            if len(numbers) > 1 and numbers[hub] is circuit:
                context.add(
                    circuit.source,
                    _("the far end of circuit '{circuit}' is AS {number}, that of '{first}' is AS {other}").format(
                        circuit=circuit.id, number=hub, first=first.id, other=next(iter(numbers))
                    ),
                    _("all WAN circuits end at one hub: give them the same 'peer_as'"),
                )


def subinterfaces(context: Context) -> None:
    for _ward, site in context.sites:
        for circuit in site.circuits:
            if circuit.vlan is not None and circuit.parent is None:
                _missing(
                    context, circuit, "parent", _("name the port that carries VLAN {vlan}").format(vlan=circuit.vlan)
                )
            if circuit.parent is not None and circuit.vlan is None and circuit.addressing is not Addressing.PPPOE:
                hint = _("add the circuit's tag on port '{parent}', or remove 'parent'").format(parent=circuit.parent)
                _missing(context, circuit, "vlan", hint)
        _one_tag_each(context, site)
        _nothing_untagged(context, site)


def _tagged(site: Site) -> Iterator[tuple[str, int, str, Source, Days]]:
    """Parent, tag, name for people, place and days of each VLAN subinterface of a gateway."""
    for circuit in site.circuits:
        if circuit.parent is not None and circuit.vlan is not None:
            name = _("circuit '{circuit}'").format(circuit=circuit.id)
            yield circuit.parent, circuit.vlan, name, circuit.source, days_of(circuit)
    for network in site.networks:
        if network.parent is not None:
            name = _("network '{network}'").format(network=network.id)
            yield network.parent, network.vlan, name, network.source, ALWAYS


def _one_tag_each(context: Context, site: Site) -> None:
    seen: dict[tuple[str, int], list[tuple[str, Source, Days]]] = {}
    for parent, tag, name, source, days in _tagged(site):
        before = seen.setdefault((parent, tag), [])
        both = next(((first, where) for first, where, its in before if share_a_day(its, days)), None)
        before.append((name, source, days))
        if both is not None:
            first, where = both
            context.add(
                source,
                _("VLAN {vlan} of port '{parent}' is {first} already, and {name} too").format(
                    vlan=tag, parent=parent, first=first, name=name
                ),
                _("see {where}").format(where=where),
            )


def _nothing_untagged(context: Context, site: Site) -> None:
    """A port that carries VLANs carries nothing beside them: no VLAN is the native one."""
    parents = [(parent, days) for parent, _tag, _name, _source, days in _tagged(site)]
    parents += [(circuit.parent, days_of(circuit)) for circuit in site.circuits if circuit.parent is not None]
    own = [(c.interface, _("circuit '{circuit}'").format(circuit=c.id), c.source, days_of(c)) for c in site.circuits]
    own += [(n.interface, _("network '{network}'").format(network=n.id), n.source, ALWAYS) for n in site.networks]
    for interface, name, source, days in own:
        if any(parent == interface and share_a_day(its, days) for parent, its in parents):
            context.add(
                source,
                _("port '{port}' carries others' frames and would carry {name} untagged").format(
                    port=interface, name=name
                ),
                _("there is no native VLAN: give it a 'parent' and an interface of its own, or another port"),
            )


def virtual_routing(context: Context) -> None:
    """Services and BGP speak from the default VRF alone, and a dialled session cannot be moved into another."""
    bgp = [c for _ward, site in context.sites for c in site.circuits if c.routing is Routing.BGP]
    for _ward, site in context.sites:
        gateway = site.gateway
        if not gateway.vrf:
            continue
        here = bgp if site.kind is SiteKind.SERVER_ROOM else [c for c in site.circuits if c in bgp]
        for network in site.networks:
            if network.served:
                context.add(
                    gateway.source,
                    _("gateway '{gateway}' has VRFs and serves network '{network}'").format(
                        gateway=gateway.id, network=network.id
                    ),
                    _("remove 'vrf', or 'dhcp', 'names' and 'time' of the network: services run outside VRFs"),
                )
        for circuit in here:
            context.add(
                gateway.source,
                _("gateway '{gateway}' has VRFs and speaks BGP on circuit '{circuit}'").format(
                    gateway=gateway.id, circuit=circuit.id
                ),
                _("remove 'vrf', or route the circuit with 'routing: static'"),
            )
        for circuit in site.circuits:
            if circuit.addressing is Addressing.PPPOE:
                context.add(
                    gateway.source,
                    _("gateway '{gateway}' has VRFs and dials circuit '{circuit}'").format(
                        gateway=gateway.id, circuit=circuit.id
                    ),
                    _("remove 'vrf', or let the provider's box dial and use 'addressing: dhcp'"),
                )
