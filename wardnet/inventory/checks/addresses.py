"""Addresses lie in their networks, networks in their channel's prefixes, and nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterable

from wardnet.inventory.checks.context import ALWAYS, Context, Days, days_of, share_a_day
from wardnet.inventory.checks.sites import CIRCUITS
from wardnet.locale import _
from wardnet.model.intent import Channel, Circuit, IPAddress, IPInterface, IPNetwork, Network, Source

MAX_INTERFACE_NAME = 15  # Linux's IFNAMSIZ less its closing zero


def circuits(context: Context) -> None:
    for _ward, site in context.sites:
        for circuit in site.circuits:
            if circuit.channel not in CIRCUITS[site.kind]:
                continue  # said already, and its addresses can only be wrong
            if circuit.channel is Channel.WAN and len(circuit.id) > MAX_INTERFACE_NAME:
                context.add(
                    circuit.source,
                    _("circuit id '{circuit}' is longer than {most} characters").format(
                        circuit=circuit.id, most=MAX_INTERFACE_NAME
                    ),
                    _("the hub's port is named after it; choose a shorter id"),
                )
            for own, peer in ((circuit.ipv4, circuit.ipv4_peer), (circuit.ipv6, circuit.ipv6_peer)):
                if own is None or peer is None:
                    continue
                if peer == own.ip:
                    context.add(
                        circuit.source,
                        _("circuit '{circuit}' has {peer} at both ends").format(circuit=circuit.id, peer=peer),
                        _other_end(own),
                    )
                elif peer not in own.network:
                    context.add(
                        circuit.source,
                        _("far end {peer} of circuit '{circuit}' is not in {network}").format(
                            peer=peer, circuit=circuit.id, network=own.network
                        ),
                        _other_end(own),
                    )
                else:
                    far = type(own)((peer, own.network.prefixlen))
                    what = _("the far end of circuit '{circuit}'").format(circuit=circuit.id)
                    _usable(context, circuit.source, what, far)
                _usable(context, circuit.source, _circuit(circuit), own)
                _in_channel(context, circuit.source, _circuit(circuit), own.network, circuit.channel)


def networks_of_channels(context: Context) -> None:
    for _ward, site in context.sites:
        for network in site.networks:
            channel = context.channel_of(network)
            for own in (network.ipv4, network.ipv6):
                if channel:
                    what = _("network '{network}'").format(network=network.id)
                    _in_channel(context, network.source, what, own.network, channel)
                what = _("the gateway in network '{network}'").format(network=network.id)
                _usable(context, network.source, what, own)


def _between(network: IPNetwork) -> str:
    """What to choose in a network, in words: hosts have the addresses between its first and its last."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if last - first > 1:  # the first one stands for the network itself, and IPv4's last one for all its hosts
        first, last = first + 1, last - (network.version == 4)
    address = type(network.network_address)
    return _("choose an address from {first} to {last}").format(first=address(first), last=address(last))


def _other_end(own: IPInterface) -> str:
    """The same for the far end of a circuit: its one address where only one is left beside the near end's."""
    if own.network.num_addresses <= 4:
        others = [address for address in own.network.hosts() if address != own.ip]
        if len(others) == 1:
            return _("the far end of {own} would be {other}").format(own=own, other=others[0])
    return _between(own.network)


def _circuit(circuit: Circuit) -> str:
    return _("circuit '{circuit}'").format(circuit=circuit.id)


def _in_channel(context: Context, source: Source, what: str, prefix: IPNetwork, channel: Channel) -> None:
    of_family = [whole for whole in context.district.channel(channel).prefixes if whole.version == prefix.version]
    if of_family and not any(prefix.subnet_of(whole) for whole in of_family):  # type: ignore[arg-type]
        context.add(
            source,
            _("{prefix} of {what} is in none of the prefixes of channel '{channel}'").format(
                prefix=prefix, what=what, channel=channel
            ),
            _("correct it, or add its prefix to the channel in district.yml"),
        )


def _usable(context: Context, source: Source, what: str, own: IPInterface) -> None:
    if own.version == 4 and own.network.prefixlen < 31:
        if own.ip == own.network.network_address:
            said = _("{ip} of {what} is the network's own address").format(ip=own.ip, what=what)
        elif own.ip == own.network.broadcast_address:
            said = _("{ip} of {what} is the network's broadcast address").format(ip=own.ip, what=what)
        else:
            return
        context.add(source, said, _between(own.network))


def hosts_in_networks(context: Context) -> None:
    taken: dict[IPAddress, tuple[str, Source]] = {}
    for _ward, site in context.sites:
        networks = context.networks(site)
        for network in site.networks:
            for own in (network.ipv4, network.ipv6):
                taken.setdefault(own.ip, (_("gateway '{gateway}'").format(gateway=site.gateway.id), network.source))
        if site.switch:
            name = _("switch '{switch}'").format(switch=site.switch.id)
            for held in (site.switch.ipv4, site.switch.ipv6):
                if held is not None:
                    taken.setdefault(held, (name, site.switch.source))
        for host in site.hosts:
            name = _("host '{host}'").format(host=host.id)
            for attachment in host.interfaces:
                if attachment.network not in networks:
                    continue
                network = networks[attachment.network]
                for address, own in ((attachment.ipv4, network.ipv4), (attachment.ipv6, network.ipv6)):
                    if address not in own.network:
                        context.add(
                            attachment.source,
                            _("address {address} of host '{host}' is not in network '{network}' ({prefix})").format(
                                address=address, host=host.id, network=network.id, prefix=own.network
                            ),
                            _elsewhere(address, networks.values()) or _between(own.network),
                        )
                        continue
                    _usable(context, attachment.source, name, type(own)((address, own.network.prefixlen)))
                    first, where = taken.setdefault(address, (name, attachment.source))
                    if where is not attachment.source:
                        context.add(
                            attachment.source,
                            _("address {address} of host '{host}' belongs to {first} already").format(
                                address=address, host=host.id, first=first
                            ),
                            _("see {where}").format(where=where),
                        )


def _elsewhere(address: IPAddress, networks: Iterable[Network]) -> str:
    """Where an address is of another network of the site, the host may stand there instead; else empty."""
    for network in networks:
        if address in network.ipv4.network or address in network.ipv6.network:
            return _("it is in network '{network}': correct the one or the other").format(network=network.id)
    return ""


Held = tuple[IPNetwork, str, Source, Days]  # what holds a prefix, in words, where that stands and when it is there


def no_overlap(context: Context) -> None:
    prefixes: list[Held] = []
    for _ward, site in context.sites:
        for network in site.networks:
            name = _("network '{network}' of site '{site}'").format(network=network.id, site=site.id)
            prefixes += [(own.network, name, network.source, ALWAYS) for own in (network.ipv4, network.ipv6)]
        for circuit in site.circuits:
            days = days_of(circuit)
            prefixes += [(own.network, _circuit(circuit), circuit.source, days) for own in circuit.own]
    for family in (4, 6):
        _sweep(context, sorted((p for p in prefixes if p[0].version == family), key=_by_address))


def _by_address(item: Held) -> tuple[int, int, str, int]:
    return int(item[0].network_address), item[0].prefixlen, item[2].file, item[2].line


def _sweep(context: Context, prefixes: Iterable[Held]) -> None:
    """Sorted by address, a prefix lies in all those before it that are still open, the widest first, and in no other.
    It is held against the widest that is there on the same day."""
    open_: list[Held] = []
    for held in prefixes:
        prefix, name, source, days = held
        open_ = [each for each in open_ if int(prefix.network_address) <= int(each[0].broadcast_address)]
        other = next((each for each in open_ if share_a_day(each[3], days)), None)
        open_.append(held)
        if other is not None:
            first, second = sorted(((source, prefix, name), (other[2], other[0], other[1])), key=_place)
            context.add(
                second[0],
                _("{prefix} of {what} overlaps {other_prefix} of {other}").format(
                    prefix=second[1], what=second[2], other_prefix=first[1], other=first[2]
                ),
                _("see {where}").format(where=first[0]),
            )


def _place(item: tuple[Source, IPNetwork, str]) -> tuple[str, int]:
    return item[0].file, item[0].line
