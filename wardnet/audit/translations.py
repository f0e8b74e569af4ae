"""Where a device puts other addresses into headers: never less than it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wardnet.model.device import Device, FilterRule, Match, Opaque, TranslateDestination, TranslateSource
from wardnet.model.packet import All, OfFamily, OutPort, Predicate, port_named
from wardnet.model.policy import DevicePolicy

Range = tuple[int, int]
_ANYTHING: Range = (0, (1 << 128) - 1)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """In one family: ports by which packets leave with whatever source; and `given`, addresses of which a packet that
    comes in may get another destination: by a rule, or back, since they stood for a connection's source."""

    leaving: frozenset[str]
    given: tuple[Range, ...]


def as_meant(policy: DevicePolicy, family: int) -> Rewriting:
    """What the policy says of a device, which is taken to keep to it."""
    found = [port for port in policy.ports if port.becomes is not None and family == 4]
    known = [
        (int(network.network_address), int(network.broadcast_address)) for p in found for network in p.becomes or ()
    ]
    unknown = [_ANYTHING] if any(not port.becomes for port in found) else []
    return Rewriting(frozenset(port.interface for port in found), tuple(known + unknown))


def rewriting(policy: DevicePolicy, device: Device | None, family: int) -> Rewriting:
    """What a device's rules do; anything, where nothing was read."""
    ports = [port.interface for port in policy.ports]
    if device is None:
        return Rewriting(frozenset(ports), (_ANYTHING,))
    leaving: set[str] = set()
    given: list[Range] = []
    for rule, statement in _statements(device, family):
        if isinstance(statement, TranslateSource):
            here = [port for port in ports if _leads_to(rule, port)]
            leaving.update(here)
            given += _taken(device, here, statement, family)
        elif isinstance(statement, TranslateDestination) or (isinstance(statement, Opaque) and statement.rewrites):
            leaving.update(ports)  # the answers get it back as their source
            given.append(_ANYTHING)
    return Rewriting(frozenset(leaving), tuple(dict.fromkeys(given)))


def _statements(device: Device, family: int) -> Iterator[tuple[FilterRule, object]]:
    for table in device.ruleset.tables:
        for chain in table.chains.values() if family in table.families else ():
            for rule in chain.rules:
                if not any(isinstance(part, OfFamily) and part.version != family for part in _parts(rule)):
                    yield from ((rule, statement) for statement in rule.statements)


def _taken(device: Device, ports: list[str], statement: TranslateSource, family: int) -> list[Range]:
    """The addresses that a source may have become."""
    if statement.addresses is not None:
        return [statement.addresses]
    links = [link for link in device.links if link.name in ports]
    held = [int(address.ip) for link in links for address in link.addresses if address.version == family]
    return [(address, address) for address in held] if statement.masquerades and held else [_ANYTHING]


def _leads_to(rule: FilterRule, port: str) -> bool:
    """Not plainly for other outgoing ports alone."""
    return all(port_named(port, part.names) for part in _parts(rule) if isinstance(part, OutPort))


def _parts(rule: FilterRule) -> list[Predicate]:
    """Conditions of which each has to hold before the rule's last statement."""
    waiting = [statement.predicate for statement in rule.statements if isinstance(statement, Match)]
    found: list[Predicate] = []
    while waiting:
        one = waiting.pop()
        if isinstance(one, All):
            waiting += one.terms
        else:
            found.append(one)
    return found
