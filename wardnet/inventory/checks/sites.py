"""What each kind of site has: circuits, networks, a gateway that can be managed, hosts on one channel."""

from __future__ import annotations

from wardnet.inventory.checks.context import Context, days_of, in_site, share_a_day
from wardnet.locale import _
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
    for _ward, site in context.sites:
        wanted = CIRCUITS[site.kind]
        for channel in Channel:
            circuits = [circuit for circuit in site.circuits if circuit.channel is channel]
            if channel in wanted and not circuits:
                context.add(
                    site.source,
                    _("{kind} '{site}' has no circuit on channel '{channel}'").format(
                        kind=site.kind, site=site.id, channel=channel
                    ),
                    _("add one under 'circuits' with 'channel: {channel}'").format(channel=channel),
                )
            if channel not in wanted and circuits:
                context.add(
                    circuits[0].source,
                    _("{kind} '{site}' has a circuit on channel '{channel}', which such a site does not have").format(
                        kind=site.kind, site=site.id, channel=channel
                    ),
                )
            for number, extra in enumerate(circuits if channel in wanted else ()):
                days = days_of(extra)
                first = next((each for each in circuits[:number] if share_a_day(days_of(each), days)), None)
                if first is None:
                    continue
                context.add(
                    extra.source,
                    _("site '{site}' has a second circuit on channel '{channel}', '{circuit}'").format(
                        site=site.id, channel=channel, circuit=extra.id
                    ),
                    _("'{first}' is one already").format(first=first.id),
                )


def one_server_room(context: Context) -> None:
    rooms = [site for ward, site in context.sites if ward.is_district and site.kind is SiteKind.SERVER_ROOM]
    if not rooms:
        context.add(
            context.district.wards[0].source,
            _("no site is the server room, where the WAN circuits end"),
            _("give one site 'kind: server_room'"),
        )
    for extra in rooms[1:]:
        context.add(
            extra.source,
            _("site '{site}' is a second server room").format(site=extra.id),
            _("'{first}' is one already").format(first=rooms[0].id),
        )
    for ward, site in context.sites:
        wrong = {
            SiteKind.SERVER_ROOM: not ward.is_district,
            SiteKind.DISTRICT_OFFICE: not ward.is_district,
            SiteKind.WARD_OFFICE: ward.is_district,
        }
        if wrong.get(site.kind, False):
            other = _("a ward's file") if ward.is_district else "district.yml"
            context.add(
                site.source,
                _("site '{site}' of kind {kind} belongs in {other}").format(site=site.id, kind=site.kind, other=other),
            )


def networks_have_a_zone(context: Context) -> None:
    for _ward, site in context.sites:
        channels = (Channel.WAN,) if site.kind is SiteKind.SERVER_ROOM else CIRCUITS[site.kind]
        vlans: dict[int, str] = {}
        for network in site.networks:
            if network.zone not in context.zones:
                context.unknown(network.source, _("zone"), network.zone, context.zones)
                continue
            zone = context.zones[network.zone]
            if zone.outside:
                context.add(
                    network.source,
                    _("network '{network}' is in zone '{zone}', which stands for all beyond the circuits").format(
                        network=network.id, zone=zone.id
                    ),
                    _("choose a zone of the site's own"),
                )
            if zone.channel not in channels:
                context.add(
                    network.source,
                    _(
                        "network '{network}' is in zone '{zone}' of channel '{channel}', "
                        "which {kind} '{site}' does not have"
                    ).format(network=network.id, zone=zone.id, channel=zone.channel, kind=site.kind, site=site.id),
                )
            first = vlans.setdefault(network.vlan, network.id)
            if first != network.id:
                context.add(
                    network.source,
                    _("VLAN {vlan} is used by network '{first}' already").format(vlan=network.vlan, first=first),
                    _("give each network of a site a VLAN of its own"),
                )


def management(context: Context) -> None:
    for _ward, site in context.sites:
        gateway = site.gateway
        name = gateway.management_network
        networks = context.networks(site)
        if name is None:
            has_wan = site.kind is SiteKind.SERVER_ROOM or Channel.WAN in CIRCUITS[site.kind]
            if has_wan and gateway.platform is not Platform.UNMANAGED:
                context.add(
                    gateway.source,
                    _("gateway '{gateway}' has no management network").format(gateway=gateway.id),
                    _("add 'management_network: ...' or, for the provider's own box, 'platform: unmanaged'"),
                )
            continue
        if gateway.platform is Platform.UNMANAGED:
            context.add(
                gateway.source,
                _("gateway '{gateway}' is unmanaged but names a management network").format(gateway=gateway.id),
                _("remove 'management_network', or name the platform that it is managed as"),
            )
        if name not in networks:
            context.unknown(gateway.source, _("network"), name, networks, in_site(site))
        elif context.channel_of(networks[name]) is Channel.INTERNET:
            context.add(
                gateway.source,
                _(
                    "gateway '{gateway}' would be managed over the internet channel: "
                    "network '{name}' is in zone '{zone}'"
                ).format(gateway=gateway.id, name=name, zone=networks[name].zone),
                _("management is a zone on the WAN channel"),
            )


def rates_and_dates(context: Context) -> None:
    for _ward, site in context.sites:
        for circuit in site.circuits:
            days = [rate.valid_from for rate in circuit.contracted]
            for before, rate in zip(circuit.contracted, circuit.contracted[1:], strict=False):
                if before.valid_from == rate.valid_from:
                    context.add(
                        rate.source,
                        _("circuit '{circuit}' has two rates from {valid_from}").format(
                            circuit=circuit.id, valid_from=rate.valid_from
                        ),
                    )
            if circuit.valid_from and days[0] > circuit.valid_from:
                context.add(
                    circuit.source,
                    _("circuit '{circuit}' is valid from {valid_from}, but has no rate before {first}").format(
                        circuit=circuit.id, valid_from=circuit.valid_from, first=days[0]
                    ),
                )
            if circuit.valid_from and circuit.valid_to and circuit.valid_to < circuit.valid_from:
                context.add(
                    circuit.source,
                    _("circuit '{circuit}' ends on {valid_to}, before it begins on {valid_from}").format(
                        circuit=circuit.id, valid_to=circuit.valid_to, valid_from=circuit.valid_from
                    ),
                )


def hosts_on_one_channel(context: Context) -> None:
    for _ward, site in context.sites:
        networks = context.networks(site)
        for host in site.hosts:
            used: dict[Channel, Attachment] = {}
            for attachment in host.interfaces:
                if attachment.network not in networks:
                    context.unknown(
                        attachment.source,
                        _("network"),
                        attachment.network,
                        networks,
                        in_site(site),
                    )
                elif channel := context.channel_of(networks[attachment.network]):
                    used.setdefault(channel, attachment)
            if len(used) > 1:
                names = _(" and ").join(f"'{a.network}' ({channel})" for channel, a in sorted(used.items()))
                context.add(
                    host.source,
                    _("host '{host}' is on both channels: networks {names}").format(host=host.id, names=names),
                    _("a host stands on one channel only; remove one of its interfaces"),
                )
            elif used and host.channel not in used:
                attachment = next(iter(used.values()))
                context.add(
                    attachment.source,
                    _(
                        "host '{host}' is said to be on channel '{channel}', but network '{network}' is on '{other}'"
                    ).format(host=host.id, channel=host.channel, network=attachment.network, other=next(iter(used))),
                    _("set 'channel: {other}', or choose a network of channel '{channel}'").format(
                        other=next(iter(used)), channel=host.channel
                    ),
                )
            wanted = CHANNEL_OF_ROLE.get(host.role, host.channel)
            if wanted is not host.channel:
                context.add(
                    host.source,
                    _("host '{host}' with role '{role}' belongs on channel '{wanted}', not '{channel}'").format(
                        host=host.id, role=host.role, wanted=wanted, channel=host.channel
                    ),
                    _("set 'channel: {wanted}' and a network of it").format(wanted=wanted),
                )
