"""Devices that differ in addresses alone: what is proved of one is proved of all.

Both engines ask of an address only in which ranges it lies, and whether it is the same as another. So two devices of
one form are judged alike: the same rules, routes, ports and settings, the same policy, and the ends of all ranges of
addresses, the kernel's own among them, in the same order. A form is all that a judgement looks at, with addresses as
their places in that order. Left out is what only names things for people, and what is looked into at each device:
unknowns and connections. Whatever else a part of the model may have, now or later, belongs to the form as it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from bisect import bisect_left
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address
from typing import Any

from wardnet.audit.sets.scales import LINK_LOCAL, LOOPBACK, NOWHERE, masked_range
from wardnet.model.device import (
    Asked,
    Device,
    FilterRule,
    KernelRoute,
    Link,
    Listener,
    PolicyRule,
    Server,
    Session,
    TranslateDestination,
    TranslateSource,
)
from wardnet.model.frames import BridgeVlan
from wardnet.model.packet import ADDRESSES, InRanges, Masked
from wardnet.model.policy import DevicePolicy, Grant, Passing, PolicyPort
from wardnet.model.process import Program
from wardnet.model.span import Span

Form = bytes

_LEFT_OUT: Mapping[type, frozenset[str]] = {
    Device: frozenset({"id", "unknowns", "coverage", "connections", "settings"}),
    Link: frozenset({"span"}),
    KernelRoute: frozenset({"span"}),
    PolicyRule: frozenset({"span", "text"}),
    FilterRule: frozenset({"span", "comment"}),
    TranslateDestination: frozenset({"span"}),
    TranslateSource: frozenset({"span"}),
    Listener: frozenset({"span"}),
    Asked: frozenset({"span"}),
    Server: frozenset({"span"}),
    Session: frozenset({"span"}),
    Program: frozenset({"span"}),
    BridgeVlan: frozenset({"span"}),
    DevicePolicy: frozenset({"device", "ward", "site"}),
    PolicyPort: frozenset({"label", "zone", "link", "becomes"}),
    Passing: frozenset({"id", "source"}),
    Grant: frozenset({"id", "owner", "document", "source"}),
}
_NUMBER = re.compile(r"pid=\d+")
_NETWORKS = (IPv4Network, IPv6Network)
_INTERFACES = (IPv4Interface, IPv6Interface)
_BITS = {4: 32, 6: 128}


def form_of(device: Device, policy: DevicePolicy) -> Form | None:
    """None where single bits of addresses are asked: then no order says enough."""
    writer = _Writer()
    writer.write(device)
    writer.write({name: value for name, value in sorted(device.settings.items()) if name.startswith("net.")})
    writer.write(policy)
    writer.write([[one.crosses(other) for other in policy.ports] for one in policy.ports])
    return writer.form()


class _Writer:
    def __init__(self) -> None:
        self._written: list[object] = []
        self._ranges: list[tuple[int, int, int]] = []  # family, both ends; in the order in which they are met
        self._processes: dict[str, int] = {}
        self._places: dict[Span, int] = {}
        self._whole = False
        for family, spans in ((4, LOOPBACK), (6, LINK_LOCAL)):
            self._range(family, *spans)
        for family, fields in NOWHERE.items():
            for found in fields.values():
                for span in found:
                    self._range(family, *span)

    def form(self) -> Form | None:
        if self._whole:
            return None
        ends = {
            family: sorted({end for of, low, high in self._ranges if of == family for end in (low, high + 1)})
            for family in _BITS
        }
        places = [(of, bisect_left(ends[of], low), bisect_left(ends[of], high + 1)) for of, low, high in self._ranges]
        return hashlib.sha256(repr((self._written, places)).encode()).digest()

    def _range(self, family: int, low: int, high: int) -> None:
        self._written.append("range")
        self._ranges.append((family, low, high))

    def write(self, value: Any) -> None:
        kind = type(value)
        if value is None or kind is int or kind is bool or kind is str:
            self._written.append(value)
        elif isinstance(value, Enum):
            self._written.append(value.value)
        elif kind is tuple or kind is list:
            self._written.append(len(value))
            for one in value:
                self.write(one)
        elif kind is Span:
            # What is guessed is one for each place: which one it is, whatever its rule's handle.
            self._written.append(self._places.setdefault(value, len(self._places)))
        elif (kind is InRanges or kind is Masked) and value.field in ADDRESSES:
            self._condition(value)
        elif kind is TranslateDestination:
            self._fields(value, "addresses")
            self._numbers(*value.addresses or (0, 0))
        elif kind is Listener:
            self._listener(value)
        elif kind is KernelRoute and value.open is not None:
            self._fields(value)
            self.write(value.span)  # an unknown is one for each place
        elif dataclasses.is_dataclass(value):
            self._fields(value)
        elif isinstance(value, _INTERFACES):
            self._network(value.network)
            self._range(value.version, int(value.ip), int(value.ip))
        elif isinstance(value, _NETWORKS):
            self._network(value)
        elif isinstance(value, IPv4Address | IPv6Address):
            self._range(value.version, int(value), int(value))
        elif isinstance(value, frozenset):
            self._written.append(sorted(value))
        elif isinstance(value, Mapping):
            self._written.append(len(value))
            for key, one in value.items():
                self.write(key)
                self.write(one)
        else:
            self._written.append(repr(value))

    def _fields(self, value: Any, *besides: str) -> None:
        kind = type(value)
        self._written.append(kind.__name__)
        for name in _names(kind):
            if name not in besides:
                self.write(getattr(value, name))

    def _network(self, network: IPv4Network | IPv6Network) -> None:
        self._written.append(network.prefixlen)
        self._range(network.version, int(network.network_address), int(network.broadcast_address))

    def _condition(self, condition: InRanges | Masked) -> None:
        self._written.append(condition.field.value)
        if isinstance(condition, Masked):
            found = [masked_range(condition, bits) for bits in _BITS.values()]
            self._whole = self._whole or all(one is None for one in found)
            condition = InRanges(condition.field, tuple(one for one in found if one is not None))
        self._written.append(len(condition.ranges))
        for low, high in condition.ranges:
            self._numbers(low, high)

    def _numbers(self, low: int, high: int) -> None:
        """Of which family is not said: of each in which it can be."""
        for family, bits in _BITS.items():
            if high < 1 << bits:
                self._range(family, low, high)

    def _listener(self, listener: Listener) -> None:
        self._fields(listener, "address", "process")
        bare, mark, port = listener.address.partition("%")
        try:
            self.write(ip_address(bare.strip("[]")))
            self._written += [bare[:1] == "[", mark, port]
        except ValueError:
            self._written.append(listener.address)
        # The same process is the same one, whatever its number.
        numbers = dict.fromkeys(_NUMBER.findall(listener.process))
        self._written.append(_NUMBER.sub("pid", listener.process))
        self._written += [self._process(number) for number in numbers]

    def _process(self, number: str) -> int:
        return self._processes.setdefault(number, len(self._processes))


def _names(kind: type) -> tuple[str, ...]:
    if kind not in _known:
        left_out = _LEFT_OUT.get(kind, frozenset())
        _known[kind] = tuple(field.name for field in dataclasses.fields(kind) if field.name not in left_out)
    return _known[kind]


_known: dict[type, tuple[str, ...]] = {}
