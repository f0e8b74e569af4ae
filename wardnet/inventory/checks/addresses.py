"""Addresses lie in their networks, networks in their channel's prefixes, and nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterable

from wardnet.inventory.checks.context import Context
from wardnet.inventory.checks.sites import CIRCUITS
from wardnet.model.intent import Channel, IPAddress, IPInterface, IPNetwork, Source

MAX_INTERFACE_NAME = 15  # Linux's IFNAMSIZ less its closing zero


def circuits(context: Context) -> None:
    for _, site in context.sites:
        for circuit in site.circuits:
            if circuit.channel not in CIRCUITS[site.kind]:
                continue  # said already, and its addresses can only be wrong
            if circuit.channel is Channel.WAN and len(circuit.id) > MAX_INTERFACE_NAME:
                context.add(
                    circuit.source,
                    f"circuit id '{circuit.id}' is longer than {MAX_INTERFACE_NAME} characters",
                    "the hub's port is named after it; choose a shorter id",
                )
            for own, peer in ((circuit.ipv4, circuit.ipv4_peer), (circuit.ipv6, circuit.ipv6_peer)):
                if peer == own.ip:
                    context.add(circuit.source, f"circuit '{circuit.id}' has {peer} at both ends")
                elif peer not in own.network:
                    context.add(circuit.source, f"far end {peer} of circuit '{circuit.id}' is not in {own.network}")
                _in_channel(context, circuit.source, f"circuit '{circuit.id}'", own.network, circuit.channel)


def networks_of_channels(context: Context) -> None:
    for _, site in context.sites:
        for network in site.networks:
            channel = context.channel_of(network)
            for own in (network.ipv4, network.ipv6):
                if channel:
                    _in_channel(context, network.source, f"network '{network.id}'", own.network, channel)
                _usable(context, network.source, f"the gateway in network '{network.id}'", own)


def _in_channel(context: Context, source: Source, what: str, prefix: IPNetwork, channel: Channel) -> None:
    of_family = [whole for whole in context.district.channel(channel).prefixes if whole.version == prefix.version]
    if of_family and not any(prefix.subnet_of(whole) for whole in of_family):  # type: ignore[arg-type]
        context.add(
            source,
            f"{prefix} of {what} is in none of the prefixes of channel '{channel}'",
            "correct it, or add its prefix to the channel in district.yml",
        )


def _usable(context: Context, source: Source, what: str, own: IPInterface) -> None:
    if own.version == 4 and own.network.prefixlen < 31:
        if own.ip == own.network.network_address:
            context.add(source, f"{own.ip} of {what} is the network's own address")
        elif own.ip == own.network.broadcast_address:
            context.add(source, f"{own.ip} of {what} is the network's broadcast address")


def hosts_in_networks(context: Context) -> None:
    taken: dict[IPAddress, tuple[str, Source]] = {}
    for _, site in context.sites:
        networks = context.networks(site)
        for network in site.networks:
            for own in (network.ipv4, network.ipv6):
                taken.setdefault(own.ip, (f"gateway '{site.gateway.id}'", network.source))
        for host in site.hosts:
            for attachment in host.interfaces:
                if attachment.network not in networks:
                    continue
                network = networks[attachment.network]
                for address, own in ((attachment.ipv4, network.ipv4), (attachment.ipv6, network.ipv6)):
                    if address not in own.network:
                        context.add(
                            attachment.source,
                            f"address {address} of host '{host.id}' is not in network '{network.id}' ({own.network})",
                        )
                        continue
                    _usable(
                        context, attachment.source, f"host '{host.id}'", type(own)((address, own.network.prefixlen))
                    )
                    first, where = taken.setdefault(address, (f"host '{host.id}'", attachment.source))
                    if where is not attachment.source:
                        context.add(
                            attachment.source,
                            f"address {address} of host '{host.id}' belongs to {first} already",
                            f"see {where}",
                        )


def no_overlap(context: Context) -> None:
    prefixes: list[tuple[IPNetwork, str, Source]] = []
    for _, site in context.sites:
        for network in site.networks:
            name = f"network '{network.id}' of site '{site.id}'"
            prefixes += [(own.network, name, network.source) for own in (network.ipv4, network.ipv6)]
        for circuit in site.circuits:
            name = f"circuit '{circuit.id}'"
            prefixes += [(own.network, name, circuit.source) for own in (circuit.ipv4, circuit.ipv6)]
    for family in (4, 6):
        _sweep(context, sorted((p for p in prefixes if p[0].version == family), key=_by_address))


def _by_address(item: tuple[IPNetwork, str, Source]) -> tuple[int, int, str, int]:
    return int(item[0].network_address), item[0].prefixlen, item[2].file, item[2].line


def _sweep(context: Context, prefixes: Iterable[tuple[IPNetwork, str, Source]]) -> None:
    """Sorted by address, a prefix can only overlap the widest one still open before it."""
    open_: tuple[IPNetwork, str, Source] | None = None
    for prefix, name, source in prefixes:
        if open_ and int(prefix.network_address) <= int(open_[0].broadcast_address):
            first, second = sorted(((source, prefix, name), (open_[2], open_[0], open_[1])), key=_place)
            context.add(second[0], f"{second[1]} of {second[2]} overlaps {first[1]} of {first[2]}", f"see {first[0]}")
        if open_ is None or int(prefix.broadcast_address) > int(open_[0].broadcast_address):
            open_ = (prefix, name, source)


def _place(item: tuple[Source, IPNetwork, str]) -> tuple[str, int]:
    return item[0].file, item[0].line
