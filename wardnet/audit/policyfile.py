"""A policy in one YAML file, for networks without a district's inventory. See docs/audit.md for its form."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path

from wardnet.audit.errors import AuditError
from wardnet.audit.policyrecord import SWITCH_PORTS, Record
from wardnet.inventory.problems import Problems
from wardnet.inventory.yamlfile import parse_yaml
from wardnet.model.intent import Channel, IPNetwork, Platform, Ports, Source, SwitchPlatform
from wardnet.model.policy import (
    Assumption,
    AuditPolicy,
    DevicePolicy,
    Grant,
    Passing,
    PolicyPort,
    SwitchEnd,
    SwitchPolicy,
)

_PROTOCOLS = ("tcp", "udp", "icmp")


def read_policy(path: Path, day: date) -> AuditPolicy:
    """The policy as it holds on a day. Raises AuditError, with the file and where in it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AuditError(f"{path}: {error.strerror}") from error
    return parse_policy(path.name, content, day)


def parse_policy(name: str, content: bytes, day: date) -> AuditPolicy:
    """Strict: unknown and missing keys are errors. A grant that has expired by `day` grants nothing."""
    problems = Problems()
    try:
        file = parse_yaml(name, content.decode(), problems)
    except UnicodeDecodeError as error:
        raise AuditError(f"{name}: not UTF-8: {error.reason} at byte {error.start}") from error
    if file is None or problems.found:
        raise AuditError("\n".join(str(problem) for problem in sorted(problems.found)))
    try:
        top = Record(name, "", file.data, frozenset({"name", "devices", "switches", "assumptions"}))
        devices = tuple(_device(item, day) for item in top.items("devices"))
        switches = tuple(_switch(item) for item in top.items("switches"))
        names = [*(device.device for device in devices), *(switch.device for switch in switches)]
        if len(set(names)) != len(names):
            raise AuditError(f"{name}: devices and switches: an id stands twice")
        assumptions = tuple(
            Assumption(item.text("subject"), item.text("reason"), Source(name, 1)) for item in top.items("assumptions")
        )
        sha256 = hashlib.sha256(content).hexdigest()
        return AuditPolicy(top.text("name"), sha256, day, devices, assumptions, switches)
    except (TypeError, AttributeError) as error:
        raise AuditError(f"{name}: {error}") from error


def _device(item: Record, day: date) -> DevicePolicy:
    name = item.text("id")
    ports = tuple(
        PolicyPort(
            port.text("interface"),
            Channel(port.one_of("channel", tuple(Channel))),
            port.text("label", port.text("interface")),
            port.networks("prefixes"),
            *_standing(port),
            zone=port.optional_text("zone") or "",
        )
        for port in item.items("ports")
    )
    if not ports:
        raise item.error("a device needs ports")
    known = tuple(port.interface for port in ports)
    if len(set(known)) != len(known):
        raise item.error("an interface stands twice")
    grants = tuple(grant for grant in (_grant(g, known) for g in item.items("grants")) if grant.expires >= day)
    conduits = tuple(_conduit(conduit, ports) for conduit in item.items("conduits"))
    ward = item.text("ward", name)
    platform = Platform(item.one_of("platform", tuple(Platform), "linux"))
    return DevicePolicy(name, ward, ward, platform, ports, grants, conduits)


def _standing(port: Record) -> tuple[str | None, int | None, bool]:
    """What the port stands on: parent, tag, and whether it is dialled."""
    parent, tag, dialled = port.optional_text("parent"), port.optional_vlan("tag"), port.flag("dialled")
    if parent is None and (tag is not None or dialled):
        raise port.error("tag and dialled need a parent")
    if parent is not None and tag is None and not dialled:
        raise port.error("parent needs a tag, or dialled: true")
    return parent, tag, dialled


def _conduit(item: Record, ports: tuple[PolicyPort, ...]) -> Passing:
    """Within one channel: across is a grant, with an owner and an end."""
    known = {port.interface: port for port in ports}
    start, end = (known[item.one_of(key, tuple(known))] for key in ("from", "to"))
    if start.channel is not end.channel:
        raise item.error("a conduit stays in one channel; what crosses is a grant")
    sender, receiver, allow = _flow(item, "a conduit")
    return Passing(item.text("id"), start.interface, end.interface, (sender,), (receiver,), allow, item.source)


def _flow(item: Record, what: str) -> tuple[IPNetwork, IPNetwork, tuple[Ports, ...]]:
    """Its sender, its receiver, and what it may carry."""
    allow = tuple(Ports(a.one_of("protocol", _PROTOCOLS), a.ports("ports")) for a in item.items("allow"))
    if not allow:
        raise item.error(f"{what} needs allow")
    sender, receiver = item.network("sender"), item.network("receiver")
    if sender.version != receiver.version:
        raise item.error("sender and receiver are of two families")
    return sender, receiver, allow


def _grant(item: Record, interfaces: tuple[str, ...]) -> Grant:
    sender, receiver, allow = _flow(item, "a grant")
    return Grant(
        item.text("id"), item.one_of("from", interfaces), item.one_of("to", interfaces), sender, receiver, allow,
        item.text("owner"), item.text("document"), item.day("expires"), item.source,
    )  # fmt: skip


def _switch(item: Record) -> SwitchPolicy:
    """An access switch: of which channel each VLAN is, and which VLANs each of its ports is in."""
    name = item.text("id")
    vlans = [(vlan.vlan("id"), vlan) for vlan in item.items("vlans")]
    ends = tuple(_end(port) for port in item.items("ports", SWITCH_PORTS))
    named: dict[str, list[object]] = {"vlans": [number for number, _ in vlans], "ports": [end.name for end in ends]}
    for what, names in named.items():
        if not names:
            raise item.error(f"a switch needs {what}")
        if len(set(names)) != len(names):
            raise item.error(f"{what}: one stands twice")
    ward = item.text("ward", name)
    return SwitchPolicy(
        name, ward, ward, SwitchPlatform.OPENVSWITCH, item.text("bridge"), ends,
        {number: Channel(vlan.one_of("channel", tuple(Channel))) for number, vlan in vlans},
        {number: vlan.networks("prefixes") for number, vlan in vlans},
    )  # fmt: skip


def _end(port: Record) -> SwitchEnd:
    """In one VLAN without a tag, in those of its trunk with one, or in none where it is unused."""
    vlan, trunk = port.optional_vlan("vlan"), port.vlans("trunk")
    if vlan is not None and trunk:
        raise port.error("a port has a vlan, or a trunk")
    return SwitchEnd(port.text("name"), trunk or ((vlan,) if vlan is not None else ()), bool(trunk))
