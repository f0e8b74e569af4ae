"""An audit's result as JSON: sorted keys, no spaces, NFC text; the same result is the same bytes."""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Any

from wardnet.audit.records import CHANNELS, ZONES, AuditResult, Cell, Crossing, DeviceResult, Verdict, worst
from wardnet.model.packet import ICMP, ICMPV6, TCP, UDP
from wardnet.model.span import Span

FORMAT = 1
ADDRESSES = (IPv4Address, IPv6Address, IPv4Network, IPv6Network)
_PROTOCOLS = {TCP: "tcp", UDP: "udp", ICMP: "icmp", ICMPV6: "icmpv6"}


def canonical(result: AuditResult) -> bytes:
    """One line of JSON, with a newline."""
    text = json.dumps(record(result), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return (unicodedata.normalize("NFC", text) + "\n").encode()


def record(result: AuditResult) -> dict[str, Any]:
    """The result as plain data, with the matrix and packets ready for a replayer."""
    plain: dict[str, Any] = _plain(result)
    plain["format"] = FORMAT
    if result.replay is None:
        del plain["replay"]
    plain["matrix"] = matrix(result)
    plain["zones"] = zones(result)
    plain["statements"] = statements(result)
    for device, judged in zip(plain["devices"], result.devices, strict=True):
        for written, crossing in zip(device["crossings"], judged.crossings, strict=True):
            written["replay"] = replay(crossing)
            written["crosses"] = crossing.crosses
        for written, pair in zip(device["pairs"], judged.pairs, strict=True):
            written["crosses"] = pair.crosses
    for written, cell in zip(plain["network"]["cells"] if result.network else (), _cells(result), strict=True):
        written["crosses"] = cell.crosses
    return plain


def statements(result: AuditResult) -> dict[str, str | None]:
    """The verdict on each statement by itself: that nothing passes between the `channels` at any device, between the
    `zones` of one channel at any device, and between places over the whole `network` (None: not asked)."""
    return {
        **{what: worst([_of_device(device, what) for device in result.devices]) for what in (CHANNELS, ZONES)},
        "network": result.network.verdict if result.network else None,
    }


def _of_device(device: DeviceResult, what: str) -> Verdict:
    """Of one that has no such pair nothing was to be shown; but what is unknown of all of it stays so."""
    found = [pair.verdict for pair in device.pairs if pair.crosses == what]
    return worst(found + ([Verdict.UNKNOWN] if device.problems else []))


def zones(result: AuditResult) -> list[dict[str, str]]:
    """Device x zone x zone within a channel x family: the worst verdict of the pairs of ports in it."""
    found: dict[tuple[str, str, str, str, int], list[Verdict]] = defaultdict(list)
    for device in result.devices:
        for pair in device.pairs:
            if pair.crosses == ZONES:
                found[device.ward, device.device, pair.from_zone, pair.to_zone, pair.family].append(pair.verdict)
    return [
        {
            "ward": ward, "device": device, "from": source, "to": destination, "family": f"ipv{family}",
            "verdict": worst(verdicts),
        }
        for (ward, device, source, destination, family), verdicts in sorted(found.items())
    ]  # fmt: skip


def _cells(result: AuditResult) -> tuple[Cell, ...]:
    return result.network.cells if result.network else ()


def matrix(result: AuditResult) -> list[dict[str, str]]:
    """Ward x direction between the channels x family: the worst verdict of the pairs in it. A ward in which nothing
    was read, or whose devices have problems, is unknown in every direction."""
    found: dict[tuple[str, str, str, int], list[Verdict]] = defaultdict(list)
    for device in result.devices:
        for pair in device.pairs:
            if pair.crosses == CHANNELS:
                found[device.ward, pair.from_channel, pair.to_channel, pair.family].append(pair.verdict)
        if not device.collected:
            for family in (4, 6):
                found[device.ward, "wan", "internet", family].append(Verdict.UNKNOWN)
                found[device.ward, "internet", "wan", family].append(Verdict.UNKNOWN)
    return [
        {"ward": ward, "from": source, "to": destination, "family": f"ipv{family}", "verdict": worst(verdicts)}
        for (ward, source, destination, family), verdicts in sorted(found.items())
    ]


def replay(crossing: Crossing) -> dict[str, Any]:
    """What a replayer needs: the packet, where it goes in and where it must not come out."""
    packet = crossing.packet
    return {
        "device": crossing.device,
        "incoming": packet.incoming,
        "outgoing": crossing.to_port,
        "family": packet.family,
        "source": packet.source,
        "destination": packet.destination,
        "protocol": protocol_name(packet.protocol),
        "source_port": packet.source_port,
        "destination_port": packet.destination_port,
        "state": packet.state,
        "down": list(crossing.down),
        "gone": list(crossing.gone),
    }


def protocol_name(number: int) -> str:
    return _PROTOCOLS.get(number, str(number))


def _plain(value: Any) -> Any:
    if isinstance(value, Span):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, ADDRESSES):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
