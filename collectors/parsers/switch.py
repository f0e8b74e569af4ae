"""An access switch of Open vSwitch from its artefacts."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.parsers import plain
from collectors.parsers.artefact import Artefact
from collectors.parsers.iproute import parse_links
from collectors.parsers.linux import cover_links, unknowns_of_links
from collectors.parsers.ovs import cover_database, cover_flows, parse_bridges
from wardnet.model.snapshot import OPENVSWITCH
from wardnet.model.switch import SwitchDevice


def parse_switch(device: str, contents: Mapping[str, bytes]) -> SwitchDevice:
    """All artefacts of one switch; `contents` by artefact name. Raises ParseError for a missing or damaged one."""
    artefacts = {name: Artefact(device, name, content) for name, content in contents.items()}
    for wanted in OPENVSWITCH:
        if wanted.name not in artefacts:
            Artefact(device, wanted.name, b"").fail("file", "missing from the snapshot")
    links = parse_links(artefacts["ip-link.json"])
    bridges, unknowns = parse_bridges(artefacts["ovs.json"], artefacts["ovs-flows.txt"])
    up = [link.name for link in links if link.up and not link.loopback]
    disciplines = plain.parse_disciplines(artefacts["tc-qdisc.json"], up)
    return SwitchDevice(
        device,
        links,
        bridges,
        (*unknowns, *unknowns_of_links(links), *disciplines),
        (
            cover_links(links),
            cover_database(artefacts["ovs.json"], unknowns),
            cover_flows(artefacts["ovs-flows.txt"], unknowns),
            plain.cover_disciplines(artefacts["tc-qdisc.json"], disciplines),
        ),
    )
