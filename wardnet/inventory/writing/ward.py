"""A new ward, made like another one: its networks, roles and style, with addresses and ids of its own. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from wardnet.inventory import DISTRICT_FILE, WARDS_FOLDER
from wardnet.inventory.writing.answers import NewWard
from wardnet.inventory.writing.edit import add_item
from wardnet.inventory.writing.errors import WritingError
from wardnet.inventory.writing.layout import ward_yaml
from wardnet.inventory.writing.likeness import lines_of, ward_like
from wardnet.inventory.writing.numbering import Row, circuit_row, network_row, next_free, taken
from wardnet.inventory.writing.proposal import Proposal
from wardnet.locale import _
from wardnet.model.intent import Addressing, Channel, District, IPNetwork, Platform, Site, SiteKind, Ward


def slug(name: str) -> str:
    """An id out of a name: 'Hà Mới' is ha-moi."""
    bare = "".join(c for c in unicodedata.normalize("NFD", name) if not unicodedata.combining(c))
    bare = bare.replace("đ", "d").replace("Đ", "D").lower()
    return re.sub(r"[^a-z0-9]+", "-", bare).strip("-")


def office_of(district: District, ward_id: str) -> tuple[Ward, Site]:
    """The ward and its office. WritingError where there is none that another can be made like."""
    for ward in district.wards:
        if ward.id == ward_id and not ward.is_district:
            for site in ward.sites:
                if site.kind is SiteKind.WARD_OFFICE:
                    return ward, site
            raise WritingError(_("ward '{ward}' has no office to be like").format(ward=ward_id))
    known = ", ".join(ward.id for ward in district.wards if not ward.is_district)
    raise WritingError(_("there is no ward '{ward}' to be like; there are: {known}").format(ward=ward_id, known=known))


def default_model(district: District) -> str:
    """The plainest office: without a switch and with static lines if there is one; of several the last."""
    offices = [
        (ward, site) for ward in district.wards if not ward.is_district for site in ward.sites
        if site.kind is SiteKind.WARD_OFFICE and site.gateway.platform is Platform.LINUX
    ]  # fmt: skip
    if not offices:
        raise WritingError(_("no ward has an office to be like: write the first one by hand (docs/inventory.md)"))
    plain = [
        ward for ward, site in offices
        if site.switch is None and all(c.addressing is Addressing.STATIC and c.bgp is None for c in site.circuits)
    ]  # fmt: skip
    return (plain or [ward for ward, _site in offices])[-1].id


def propose_ward(files: Mapping[str, bytes], district: District, new: NewWard) -> Proposal:
    """The ward's file, and the prefixes that its lines need in district.yml. `district` is what `files` hold.

    WritingError where it cannot be made; what the strict reader says of it comes with `Proposal.district`.
    """
    name = f"{WARDS_FOLDER}/{new.id}.yml"
    if name in files or any(ward.id == new.id for ward in district.wards):
        raise WritingError(_("there is a ward '{ward}' already").format(ward=new.id))
    model, office = office_of(district, new.model)
    found = _addresses(district, office, new)
    after = {name: ward_yaml(ward_like(district, model, office, new, found)).encode()}
    text = files[DISTRICT_FILE].decode()
    for channel, prefix in _uncovered(district, new, found):
        text = add_item(text, ("channels", channel.value, "prefixes"), str(prefix))
    if text.encode() != files[DISTRICT_FILE]:
        after[DISTRICT_FILE] = text.encode()
    return Proposal(files, after)


def _addresses(district: District, office: Site, new: NewWard) -> dict[str, IPNetwork]:
    """The next free prefixes by 'network/ID/FAMILY' and 'circuit/CHANNEL/FAMILY'; circuits' given ones as they are."""
    rows: dict[str, Row | None] = {}
    given: dict[str, IPNetwork] = {}
    for network in office.networks:
        channel = district.zone(network.zone).channel
        for own in (network.ipv4, network.ipv6):
            key = f"network/{network.id}/{own.version}"
            rows[key] = network_row(district, network.id, channel, own.version, own.network.prefixlen)
    for circuit in lines_of(office):
        line = new.lines[circuit.channel]
        if line.addressing is not Addressing.STATIC:
            continue
        for version, length in ((4, 30), (6, 64)):
            ours = [each for each in line.addresses if each.version == version]
            key = f"circuit/{circuit.channel}/{version}"
            if ours:
                given[key] = ours[0].network
                continue
            like = [each.network.prefixlen for each in circuit.own if each.version == version]
            rows[key] = circuit_row(district, circuit.channel, version, like[0] if like else length)
    counted = {key: row for key, row in rows.items() if row is not None}
    if len(counted) < len(rows):
        raise WritingError(_("no office has a static line to count from: give the addresses of both lines"))
    return {**next_free(counted, [*taken(district), *given.values()]), **given}


def _uncovered(district: District, new: NewWard, found: Mapping[str, IPNetwork]) -> list[tuple[Channel, IPNetwork]]:
    """Circuits' networks that no prefix of their channel holds: a provider gives what it gives."""
    missing = []
    for channel in new.lines:
        for version in (4, 6):
            prefix = found.get(f"circuit/{channel}/{version}")
            known = [whole for whole in district.channel(channel).prefixes if whole.version == version]
            if prefix is not None and not any(prefix.subnet_of(whole) for whole in known):  # type: ignore[arg-type]
                missing.append((channel, prefix))
    return missing
