"""Channels, zones, and the conduits between zones; services and reflectors that are measured."""

from __future__ import annotations

from wardnet.inventory.checks.context import Context
from wardnet.locale import _
from wardnet.model.intent import Channel, IPAddress, Reflector, Service

GATEWAY = "gateway"  # as a conduit's zone: each site's gateway itself


def channels_present(context: Context) -> bool:
    """Each channel is described once."""
    plans = context.district.channels
    missing = [channel for channel in Channel if channel not in {plan.id for plan in plans}]
    for channel in missing:
        context.add(
            plans[-1].source,
            _("channel '{channel}' is missing").format(channel=channel),
            _("'{other}' is described twice").format(other=plans[-1].id),
        )
    return not missing


def channels_apart(context: Context) -> None:
    plans = context.district.channels
    tables = {plan.table for plan in plans}
    if len(tables) < len(plans):
        context.add(plans[-1].source, _("both channels use the same routing table"), _("give each its own 'table'"))
    for plan in plans:
        for other in plans:
            if plan.id >= other.id:
                continue
            for mine in plan.prefixes:
                for theirs in other.prefixes:
                    if mine.version == theirs.version and mine.overlaps(theirs):
                        context.add(
                            other.source,
                            _("prefix {theirs} of channel '{other}' overlaps {mine} of channel '{channel}'").format(
                                theirs=theirs, other=other.id, mine=mine, channel=plan.id
                            ),
                        )
        for family in (4, 6):
            if not any(prefix.version == family for prefix in plan.prefixes):
                context.add(
                    plan.source,
                    _("channel '{channel}' has no IPv{family} prefix").format(channel=plan.id, family=family),
                    _("add one to 'prefixes'"),
                )


def zones_of_channels(context: Context) -> None:
    zones = context.district.zones
    for zone in zones:
        if zone.id == GATEWAY:
            context.add(zone.source, _("zone 'gateway' stands for the gateways themselves"), _("choose another id"))
    for channel in Channel:
        outside = [zone for zone in zones if zone.channel is channel and zone.outside]
        if not outside:
            context.add(
                zones[-1].source,
                _("channel '{channel}' has no outside zone").format(channel=channel),
                _("mark the zone that lies beyond its circuits with 'outside: true'"),
            )
        for extra in outside[1:]:
            context.add(
                extra.source,
                _("channel '{channel}' has a second outside zone '{zone}'").format(channel=channel, zone=extra.id),
                _("'{first}' is one already").format(first=outside[0].id),
            )


def conduits_within_a_channel(context: Context) -> None:
    for conduit in context.district.conduits:
        ends = []
        for zone_id in (conduit.from_zone, conduit.to_zone):
            if zone_id == GATEWAY:
                continue
            if zone_id not in context.zones:
                context.unknown(conduit.source, _("zone"), zone_id, [*context.zones, GATEWAY])
                continue
            ends.append(context.zones[zone_id])
        if len(ends) == 2 and ends[0].channel is not ends[1].channel:
            context.add(
                conduit.source,
                _("conduit '{conduit}' joins the channels: '{sender}' is {one}, '{receiver}' is {other}").format(
                    conduit=conduit.id,
                    sender=ends[0].id,
                    one=ends[0].channel,
                    receiver=ends[1].id,
                    other=ends[1].channel,
                ),
                _("only an exception, with owner, document and expiry, may cross"),
            )


def services_and_reflectors(context: Context) -> None:
    district = context.district
    measured: list[Service | Reflector] = [*district.services, *district.reflectors]
    for item in measured:
        for address in (item.ipv4, item.ipv6):
            if address is not None and _on_wan(context, address) is (item.channel is Channel.INTERNET):
                where = _("inside") if item.channel is Channel.INTERNET else _("outside")
                context.add(
                    item.source,
                    _(
                        "'{item}' is measured over channel '{channel}', but {address} is {where} the WAN's prefixes"
                    ).format(item=item.id, channel=item.channel, address=address, where=where),
                )
    for plan in district.channels:
        for address in plan.time_sources:
            if _on_wan(context, address) is (plan.id is Channel.INTERNET):
                context.add(
                    plan.source,
                    _("time source {address} of channel '{channel}' is on the other channel").format(
                        address=address, channel=plan.id
                    ),
                    _("each channel needs time sources of its own"),
                )
        for address in plan.resolvers:
            if _on_wan(context, address) is (plan.id is Channel.INTERNET):
                context.add(
                    plan.source,
                    _("resolver {address} of channel '{channel}' is on the other channel").format(
                        address=address, channel=plan.id
                    ),
                    _("each channel needs resolvers of its own"),
                )


def _on_wan(context: Context, address: IPAddress) -> bool | None:
    """Whether the WAN's prefixes hold the address; None where it has none of this family, which is said already."""
    prefixes = [p for p in context.district.channel(Channel.WAN).prefixes if p.version == address.version]
    return any(address in prefix for prefix in prefixes) if prefixes else None
