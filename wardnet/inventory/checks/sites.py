"""What each kind of site has: circuits, networks, a gateway that can be managed, hosts on one channel."""

from __future__ import annotations

from wardnet.inventory.checks.context import Context
from wardnet.model.intent import Attachment, Channel, HostRole, Platform, SiteKind

CIRCUITS: dict[SiteKind, tuple[Channel, ...]] = {
    SiteKind.SERVER_ROOM: (),
    SiteKind.DISTRICT_OFFICE: (Channel.WAN, Channel.INTERNET),
    SiteKind.WARD_OFFICE: (Channel.WAN, Channel.INTERNET),
    SiteKind.APARTMENT_BUILDING: (Channel.INTERNET,),
}

# Roles whose work belongs on one channel; scanners serve whoever is beside them.
CHANNEL_OF_ROLE = {
    HostRole.COUNTER: Channel.WAN,
    HostRole.TOUCH_SCREEN: Channel.WAN,
    HostRole.CITIZEN: Channel.INTERNET,
    HostRole.ACCESS_POINT: Channel.INTERNET,
    HostRole.CONTROLLER: Channel.WAN,
    HostRole.AUDITOR: Channel.WAN,
    HostRole.MONITORING: Channel.WAN,
}


def circuits_of_kind(context: Context) -> None:
    for _, site in context.sites:
        wanted = CIRCUITS[site.kind]
        for channel in Channel:
            circuits = [circuit for circuit in site.circuits if circuit.channel is channel]
            if channel in wanted and not circuits:
                context.add(
                    site.source,
                    f"{site.kind} '{site.id}' has no circuit on channel '{channel}'",
                    f"add one under 'circuits' with 'channel: {channel}'",
                )
            if channel not in wanted and circuits:
                context.add(
                    circuits[0].source,
                    f"{site.kind} '{site.id}' has a circuit on channel '{channel}', which such a site does not have",
                )
            for extra in circuits[1:] if channel in wanted else ():
                context.add(
                    extra.source,
                    f"site '{site.id}' has a second circuit on channel '{channel}', '{extra.id}'",
                    f"'{circuits[0].id}' is one already",
                )


def one_server_room(context: Context) -> None:
    rooms = [site for ward, site in context.sites if ward.is_district and site.kind is SiteKind.SERVER_ROOM]
    if not rooms:
        context.add(
            context.district.wards[0].source,
            "no site is the server room, where the WAN circuits end",
            "give one site 'kind: server_room'",
        )
    for extra in rooms[1:]:
        context.add(extra.source, f"site '{extra.id}' is a second server room", f"'{rooms[0].id}' is one already")
    for ward, site in context.sites:
        wrong = {
            SiteKind.SERVER_ROOM: not ward.is_district,
            SiteKind.DISTRICT_OFFICE: not ward.is_district,
            SiteKind.WARD_OFFICE: ward.is_district,
        }
        if wrong.get(site.kind, False):
            other = "a ward's file" if ward.is_district else "district.yml"
            context.add(site.source, f"site '{site.id}' of kind {site.kind} belongs in {other}")


def networks_have_a_zone(context: Context) -> None:
    for _, site in context.sites:
        channels = (Channel.WAN,) if site.kind is SiteKind.SERVER_ROOM else CIRCUITS[site.kind]
        vlans: dict[int, str] = {}
        for network in site.networks:
            if network.zone not in context.zones:
                context.unknown(network.source, "zone", network.zone, context.zones)
                continue
            zone = context.zones[network.zone]
            if zone.outside:
                context.add(
                    network.source,
                    f"network '{network.id}' is in zone '{zone.id}', which stands for all beyond the circuits",
                    "choose a zone of the site's own",
                )
            if zone.channel not in channels:
                context.add(
                    network.source,
                    f"network '{network.id}' is in zone '{zone.id}' of channel '{zone.channel}', "
                    f"which {site.kind} '{site.id}' does not have",
                )
            first = vlans.setdefault(network.vlan, network.id)
            if first != network.id:
                context.add(network.source, f"VLAN {network.vlan} is used by network '{first}' already")


def management(context: Context) -> None:
    for _, site in context.sites:
        gateway = site.gateway
        name = gateway.management_network
        networks = context.networks(site)
        if name is None:
            has_wan = site.kind is SiteKind.SERVER_ROOM or Channel.WAN in CIRCUITS[site.kind]
            if has_wan and gateway.platform is not Platform.UNMANAGED:
                context.add(
                    gateway.source,
                    f"gateway '{gateway.id}' has no management network",
                    "add 'management_network: ...' or, for the provider's own box, 'platform: unmanaged'",
                )
            continue
        if gateway.platform is Platform.UNMANAGED:
            context.add(
                gateway.source,
                f"gateway '{gateway.id}' is unmanaged but names a management network",
                "remove 'management_network', or name the platform that it is managed as",
            )
        if name not in networks:
            context.unknown(gateway.source, "network", name, networks, f" in site '{site.id}'")
        elif context.channel_of(networks[name]) is Channel.INTERNET:
            context.add(
                gateway.source,
                f"gateway '{gateway.id}' would be managed over the internet channel: "
                f"network '{name}' is in zone '{networks[name].zone}'",
                "management is a zone on the WAN channel",
            )


def rates_and_dates(context: Context) -> None:
    for _, site in context.sites:
        for circuit in site.circuits:
            days = [rate.valid_from for rate in circuit.contracted]
            for before, rate in zip(circuit.contracted, circuit.contracted[1:], strict=False):
                if before.valid_from == rate.valid_from:
                    context.add(rate.source, f"circuit '{circuit.id}' has two rates from {rate.valid_from}")
            if circuit.valid_from and days[0] > circuit.valid_from:
                context.add(
                    circuit.source,
                    f"circuit '{circuit.id}' is valid from {circuit.valid_from}, but has no rate before {days[0]}",
                )
            if circuit.valid_from and circuit.valid_to and circuit.valid_to < circuit.valid_from:
                context.add(
                    circuit.source,
                    f"circuit '{circuit.id}' ends on {circuit.valid_to}, before it begins on {circuit.valid_from}",
                )


def hosts_on_one_channel(context: Context) -> None:
    for _, site in context.sites:
        networks = context.networks(site)
        for host in site.hosts:
            used: dict[Channel, Attachment] = {}
            for attachment in host.interfaces:
                if attachment.network not in networks:
                    context.unknown(attachment.source, "network", attachment.network, networks, f" in site '{site.id}'")
                elif channel := context.channel_of(networks[attachment.network]):
                    used.setdefault(channel, attachment)
            if len(used) > 1:
                names = " and ".join(f"'{a.network}' ({channel})" for channel, a in sorted(used.items()))
                context.add(
                    host.source,
                    f"host '{host.id}' is on both channels: networks {names}",
                    "a host stands on one channel only; remove one of its interfaces",
                )
            elif used and host.channel not in used:
                attachment = next(iter(used.values()))
                context.add(
                    attachment.source,
                    f"host '{host.id}' is said to be on channel '{host.channel}', but network "
                    f"'{attachment.network}' is on '{next(iter(used))}'",
                )
            wanted = CHANNEL_OF_ROLE.get(host.role, host.channel)
            if wanted is not host.channel:
                context.add(
                    host.source,
                    f"host '{host.id}' with role '{host.role}' belongs on channel '{wanted}', not '{host.channel}'",
                    f"set 'channel: {wanted}' and a network of it",
                )
