"""What a gateway serves on its LANs: leases, names, time; and that conduits let the questions through."""

from __future__ import annotations

from ipaddress import IPv4Address

from wardnet.inventory.checks.conduits import GATEWAY
from wardnet.inventory.checks.context import Context
from wardnet.locale import _
from wardnet.model.intent import Attachment, Channel, DhcpRange, Network, Platform, Ports, Site, Source

DNS = (Ports("udp", (53,)), Ports("tcp", (53,)))
NTP = (Ports("udp", (123,)),)


def leases(context: Context) -> None:
    macs: dict[str, Attachment] = {}
    for _ward, site in context.sites:
        for network in site.networks:
            if network.dhcp:
                _range(context, site, network, network.dhcp)
        for host in site.hosts:
            for attachment in host.interfaces:
                if attachment.mac is None:
                    continue
                first = macs.setdefault(attachment.mac, attachment)
                if first is not attachment:
                    context.add(
                        attachment.source,
                        _("hardware address {mac} of host '{host}' is there twice").format(
                            mac=attachment.mac, host=host.id
                        ),
                        _("first at {first}").format(first=first.source),
                    )


def _range(context: Context, site: Site, network: Network, leased: DhcpRange) -> None:
    inside = network.ipv4.network
    for address in dict.fromkeys((leased.first, leased.last)):
        if address not in inside:
            context.add(
                network.source,
                _("{address} of 'dhcp' is not in network '{network}' ({prefix})").format(
                    address=address, network=network.id, prefix=inside
                ),
                _("lease addresses of the network itself"),
            )
            return
    if leased.last < leased.first:
        context.add(
            network.source,
            _("'dhcp' of network '{network}' ends at {last}, before it begins at {first}").format(
                network=network.id, last=leased.last, first=leased.first
            ),
        )
    for address, what in _fixed(site, network):
        if leased.first <= address <= leased.last:
            context.add(
                network.source,
                _("'dhcp' of network '{network}' would lease {address}, which is that of {what}").format(
                    network=network.id, address=address, what=what
                ),
                _("choose a range without it"),
            )


def _fixed(site: Site, network: Network) -> list[tuple[IPv4Address, str]]:
    whole = network.ipv4.network
    found = [(network.ipv4.ip, _("gateway '{gateway}'").format(gateway=site.gateway.id))]
    if whole.prefixlen < 31:
        found += [(whole.network_address, _("the network itself")), (whole.broadcast_address, _("all its hosts"))]
    for host in site.hosts:
        name = _("host '{host}'").format(host=host.id)
        found += [(attachment.ipv4, name) for attachment in host.interfaces if attachment.network == network.id]
    switch = site.switch
    if switch and switch.ipv4 and switch.management_network == network.id:
        found.append((switch.ipv4, _("switch '{switch}'").format(switch=switch.id)))
    return found


def services(context: Context) -> None:
    for _ward, site in context.sites:
        for network in site.networks:
            channel = context.channel_of(network)
            if not network.served or channel is None:
                continue
            if site.gateway.platform is not Platform.LINUX:
                context.add(
                    network.source,
                    _("network '{network}' is served by gateway '{gateway}', whose platform is {platform}").format(
                        network=network.id, gateway=site.gateway.id, platform=site.gateway.platform
                    ),
                    _("only Linux gateways serve: remove 'dhcp', 'names' and 'time'"),
                )
            plan = context.district.channel(channel)
            if network.names:
                if not plan.resolvers:
                    _nobody(context, network.source, network, "names", "resolvers", channel)
                _asked(context, network, channel, "names", DNS)
            if network.time:
                if not plan.time_sources:
                    _nobody(context, network.source, network, "time", "time_sources", channel)
                _asked(context, network, channel, "time", NTP)


def _nobody(context: Context, source: Source, network: Network, key: str, of: str, channel: Channel) -> None:
    context.add(
        source,
        _("network '{network}' has '{key}', but channel '{channel}' has no '{of}'").format(
            network=network.id, key=key, channel=channel, of=of
        ),
        _("add the addresses that the gateway asks to the channel in district.yml"),
    )


def _asked(context: Context, network: Network, channel: Channel, key: str, needed: tuple[Ports, ...]) -> None:
    """The LAN must reach the gateway, and the gateway somebody on the same channel: by conduits that people see."""
    allow = ", ".join(f"{each.protocol}/{each.ports[0]}" for each in needed)
    ends = [(network.zone, GATEWAY)]
    beyond = [zone.id for zone in context.district.zones if zone.channel is channel]
    if not any(_open(context, GATEWAY, zone, needed) for zone in beyond):
        outside = next((z.id for z in context.district.zones if z.channel is channel and z.outside), beyond[-1])
        ends.append((GATEWAY, outside))
    for sender, receiver in ends:
        if not _open(context, sender, receiver, needed):
            context.add(
                network.source,
                _("network '{network}' has '{key}', but no conduit leads from '{sender}' to '{receiver}'").format(
                    network=network.id, key=key, sender=sender, receiver=receiver
                ),
                _("add one with 'allow: [{allow}]'").format(allow=allow),
            )


def _open(context: Context, sender: str, receiver: str, needed: tuple[Ports, ...]) -> bool:
    allowed = [
        each
        for conduit in context.district.conduits
        if (conduit.from_zone, conduit.to_zone) == (sender, receiver)
        for each in conduit.allow
    ]
    return all(
        any(a.protocol == n.protocol and (not a.ports or set(n.ports) <= set(a.ports)) for a in allowed) for n in needed
    )
