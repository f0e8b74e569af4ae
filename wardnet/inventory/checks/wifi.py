"""Networks for visitors: what `wifi` needs of its network, and what its zone may be joined to.

A zone of visitors is one that no conduit leads to, and from which conduits lead to the outside of its own channel and
to the gateway alone. So whoever is on it is a stranger to every other LAN, and begins each connection itself, by which
the gateway knows whose it is.
"""

from __future__ import annotations

from wardnet.inventory.checks.conduits import GATEWAY
from wardnet.inventory.checks.context import Context
from wardnet.locale import _
from wardnet.model.intent import Channel, HostRole, Network, Platform, Site


def networks(context: Context) -> None:
    for _ward, site in context.sites:
        for network in site.networks:
            if network.wifi is None:
                continue
            if context.channel_of(network) is Channel.WAN:
                context.add(
                    network.wifi.source,
                    _("network '{network}' has 'wifi', and its zone '{zone}' is on channel 'wan'").format(
                        network=network.id, zone=network.zone
                    ),
                    _("choose a zone of the internet channel that is the visitors' alone"),
                )
                continue
            _served(context, site, network)
            _hosts(context, site, network)


def _served(context: Context, site: Site, network: Network) -> None:
    assert network.wifi is not None
    if site.gateway.platform is not Platform.LINUX:
        context.add(
            network.wifi.source,
            _("network '{network}' has 'wifi', and gateway '{gateway}' is of platform {platform}").format(
                network=network.id, gateway=site.gateway.id, platform=site.gateway.platform
            ),
            _("only Linux gateways hold each client to its rate: remove 'wifi'"),
        )
    for key, there in (("dhcp", network.dhcp is not None), ("names", network.names)):
        if not there:
            example = "dhcp: {first: ..., last: ...}" if key == "dhcp" else "names: true"
            context.add(
                network.wifi.source,
                _("network '{network}' has 'wifi' but not '{key}', without which visitors get nowhere").format(
                    network=network.id, key=key
                ),
                _("add '{example}' to the network").format(example=example),
            )


def _hosts(context: Context, site: Site, network: Network) -> None:
    for host in site.hosts:
        if host.role is not HostRole.ACCESS_POINT and any(a.network == network.id for a in host.interfaces):
            context.add(
                host.source,
                _("host '{host}' with role '{role}' is in network '{network}', which is for visitors").format(
                    host=host.id, role=host.role, network=network.id
                ),
                _("choose another network: only access points stand there"),
            )


def _is_for_visitors(context: Context, network: Network) -> bool:
    return network.wifi is not None and context.channel_of(network) is Channel.INTERNET


def zones(context: Context) -> None:
    """Each conduit is said once, however many networks have such a zone."""
    of_visitors = {
        network.zone: network
        for _ward, site in context.sites
        for network in site.networks
        if _is_for_visitors(context, network)
    }
    for conduit in context.district.conduits:
        network = of_visitors.get(conduit.to_zone)
        if network is not None:
            context.add(
                conduit.source,
                _("conduit '{conduit}' leads to zone '{zone}', which is for visitors ({network})").format(
                    conduit=conduit.id, zone=conduit.to_zone, network=network.source
                ),
                _("remove it: nobody begins a connection to a visitor"),
            )
            continue
        network = of_visitors.get(conduit.from_zone)
        to = context.zones.get(conduit.to_zone)
        if network is not None and to is not None and not to.outside and conduit.to_zone != GATEWAY:
            context.add(
                conduit.source,
                _("conduit '{conduit}' joins zone '{zone}', which is for visitors ({network}), to '{other}'").format(
                    conduit=conduit.id, zone=conduit.from_zone, network=network.source, other=conduit.to_zone
                ),
                _("remove it: from there lead conduits to the outside zone and to 'gateway' alone"),
            )
    _exceptions(context)


def _exceptions(context: Context) -> None:
    for grant in context.district.exceptions:
        for host_id in (grant.from_host, grant.to_host):
            site, host = context.hosts.get(host_id, (None, None))
            if site is None or host is None:
                continue
            on = {attachment.network for attachment in host.interfaces}
            if any(network.id in on and _is_for_visitors(context, network) for network in site.networks):
                context.add(
                    grant.source,
                    _("exception '{grant}' is of host '{host}', which is in a network for visitors").format(
                        grant=grant.id, host=host_id
                    ),
                    _("remove it, or choose a host in another network"),
                )
