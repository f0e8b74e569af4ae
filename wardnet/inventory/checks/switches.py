"""Access switches: every port has one use, every network gets to the gateway, and a switch can be managed."""

from __future__ import annotations

from wardnet.inventory.checks.context import Context, in_site
from wardnet.locale import _
from wardnet.model.intent import Channel, Network, PortMode, Site, Switch, SwitchPlatform, SwitchPort

UPLINK = "uplink"  # as what a port leads to: another switch


def switches(context: Context) -> None:
    for _ward, site in context.sites:
        if site.switch:
            _management(context, site, site.switch)
            _ports(context, site, site.switch)
            _carried(context, site, site.switch)


def _management(context: Context, site: Site, switch: Switch) -> None:
    networks = context.networks(site)
    name = switch.management_network
    if switch.platform is SwitchPlatform.UNMANAGED:
        if name is not None:
            context.add(
                switch.source,
                _("switch '{switch}' is unmanaged but names a management network").format(switch=switch.id),
                _("remove 'management_network', or name the platform that it is managed as"),
            )
        return
    if name is None or switch.ipv4 is None or switch.ipv6 is None:
        context.add(
            switch.source,
            _("switch '{switch}' cannot be reached").format(switch=switch.id),
            _("add 'management_network', 'ipv4' and 'ipv6', or set 'platform: unmanaged'"),
        )
        return
    if name not in networks:
        context.unknown(switch.source, _("network"), name, networks, in_site(site))
        return
    network = networks[name]
    if context.channel_of(network) is Channel.INTERNET:
        context.add(
            switch.source,
            _(
                "switch '{switch}' would be managed over the internet channel: network '{name}' is in zone '{zone}'"
            ).format(switch=switch.id, name=name, zone=network.zone),
            _("management is a zone on the WAN channel"),
        )
    for address, own in ((switch.ipv4, network.ipv4), (switch.ipv6, network.ipv6)):
        if address not in own.network or address == own.ip:
            context.add(
                switch.source,
                _("{address} of switch '{switch}' is no free address of network '{network}' ({prefix})").format(
                    address=address, switch=switch.id, network=name, prefix=own.network
                ),
                _("choose one that the gateway does not have"),
            )


def _ports(context: Context, site: Site, switch: Switch) -> None:
    networks = context.networks(site)
    hosts = {host.id: host for host in site.hosts}
    names: dict[str, SwitchPort] = {}
    reached: dict[tuple[str, str], SwitchPort] = {}
    for port in switch.ports:
        first = names.setdefault(port.name, port)
        if first is not port:
            context.add(
                port.source,
                _("port '{port}' of switch '{switch}' is there twice").format(port=port.name, switch=switch.id),
                _("first at {first}").format(first=first.source),
            )
        unknown = [name for name in port.networks if name not in networks]
        for name in unknown:
            context.unknown(port.source, _("network"), name, networks, in_site(site))
        if port.leads_to in (None, UPLINK) or unknown:
            continue
        if port.leads_to == site.gateway.id:
            _to_the_gateway(context, site, port, [networks[name] for name in port.networks])
        elif port.leads_to not in hosts:
            context.unknown(port.source, _("device"), port.leads_to or "", [*hosts, site.gateway.id], in_site(site))
            continue
        elif port.mode is PortMode.TRUNK:
            context.add(
                port.source,
                _("port '{port}' is a trunk and leads to host '{host}'").format(port=port.name, host=port.leads_to),
                _("a host stands in one network: use 'access'"),
            )
            continue
        elif port.networks[0] not in [each.network for each in hosts[port.leads_to].interfaces]:
            context.add(
                port.source,
                _("port '{port}' puts host '{host}' into network '{network}', where it has no interface").format(
                    port=port.name, host=port.leads_to, network=port.networks[0]
                ),
                _("it is in {networks}").format(
                    networks=", ".join(f"'{each.network}'" for each in hosts[port.leads_to].interfaces)
                ),
            )
        for name in port.networks:
            before = reached.setdefault((port.leads_to or "", name), port)
            if before is not port and first is port:
                context.add(
                    port.source,
                    _("port '{port}' leads to '{to}' in network '{network}', as port '{first}' does").format(
                        port=port.name, to=port.leads_to, network=name, first=before.name
                    ),
                    _("see {where}").format(where=before.source),
                )


def _to_the_gateway(context: Context, site: Site, port: SwitchPort, networks: list[Network]) -> None:
    """A trunk ends at one port of the gateway, an access port at the port of its network."""
    parents = {network.parent for network in networks}
    if port.mode is PortMode.TRUNK and (len(parents) > 1 or None in parents):
        context.add(
            port.source,
            _("trunk '{port}' does not end at one port of gateway '{gateway}'").format(
                port=port.name, gateway=site.gateway.id
            ),
            _("give its networks the same 'parent', or use an access port for each"),
        )
    if port.mode is PortMode.ACCESS and parents != {None}:
        context.add(
            port.source,
            _("port '{port}' is untagged, but gateway '{gateway}' tags network '{network}'").format(
                port=port.name, gateway=site.gateway.id, network=networks[0].id
            ),
            _("make it a trunk: there is no native VLAN"),
        )


def _carried(context: Context, site: Site, switch: Switch) -> None:
    out = {name for port in switch.ports if port.leads_to in (site.gateway.id, UPLINK) for name in port.networks}
    for network in site.networks:
        if network.id not in out:
            context.add(
                switch.source,
                _("no port of switch '{switch}' leads network '{network}' to gateway '{gateway}'").format(
                    switch=switch.id, network=network.id, gateway=site.gateway.id
                ),
                _("add a port with it and 'to: {gateway}'").format(gateway=site.gateway.id),
            )
