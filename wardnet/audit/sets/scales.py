"""Addresses and ports as few numbers: what no rule, route or policy tells apart is one step of a scale.

An address of IPv6 takes 128 variables of a BDD, and the steps between all that some hundred rules name take ten. A
question that no scale was made for is refused, never rounded: whoever asked asks again without scales.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from itertools import chain

from wardnet.model.device import Device, TranslateDestination
from wardnet.model.intent import IPNetwork
from wardnet.model.packet import ADDRESSES, Field, InRanges, Masked, leaves, width
from wardnet.model.policy import DevicePolicy

PORTS = (Field.SOURCE_PORT, Field.DESTINATION_PORT)
# Sources and destinations that the kernel never forwards.
NOWHERE: Mapping[int, Mapping[Field, tuple[tuple[int, int], ...]]] = {
    4: {
        Field.SOURCE: ((0, 0x00FFFFFF), (0xE0000000, 0xEFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)),
        Field.DESTINATION: ((0, 0x00FFFFFF), (0xE0000000, 0xEFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF)),
    },
    6: {
        Field.SOURCE: ((0, 1), (0xFE80 << 112, (0xFEC0 << 112) - 1), (0xFF << 120, (1 << 128) - 1)),
        Field.DESTINATION: ((0, 1), (0xFF << 120, (1 << 128) - 1)),
    },
}
LOOPBACK = (0x7F000000, 0x7FFFFFFF)
LINK_LOCAL = (0xFE80 << 112, (0xFEC0 << 112) - 1)

Range = tuple[int, int]  # both ends included


class UncutError(Exception):
    """A range that does not begin and end where steps do."""


class Scale:
    """The values of a field of so many `width` bits, cut where the ranges begin and end."""

    def __init__(self, ranges: Iterable[Range], width: int) -> None:
        self._top = (1 << width) - 1
        within = [(low, high) for low, high in ranges if 0 <= low <= high <= self._top]
        cuts = {0, *(low for low, _ in within), *(high + 1 for _, high in within)}
        self._starts = sorted(cuts - {self._top + 1})
        self.bits = max(1, (len(self._starts) - 1).bit_length())
        self._shown: dict[int, int] = {}

    def steps(self, low: int, high: int) -> Range:
        """The steps that are the range. The last one has the numbers that are left over. Raises UncutError."""
        first, last = self._holding(low), self._holding(high)
        if not 0 <= low <= high <= self._top or self._starts[first] != low or self._end(last) != high:
            raise UncutError(f"{low} to {high}")
        return first, self._number(last)

    def around(self, low: int, high: int) -> Range:
        """The steps that have values of the range."""
        return self._holding(low), self._number(self._holding(high))

    def show(self, value: int) -> None:
        """Of all the values of its step this one is to be shown, where none was named before."""
        self._shown.setdefault(self._holding(value), value)

    def value(self, number: int) -> int:
        """One of the values of a step."""
        step = min(number, len(self._starts) - 1)
        return self._shown.get(step, self._starts[step])

    def _holding(self, value: int) -> int:
        return bisect_right(self._starts, value) - 1

    def _end(self, step: int) -> int:
        return self._starts[step + 1] - 1 if step + 1 < len(self._starts) else self._top

    def _number(self, last: int) -> int:
        return last if last + 1 < len(self._starts) else (1 << self.bits) - 1


Scales = Mapping[str, Scale]  # by field


def scales(device: Device, policy: DevicePolicy, family: int) -> Scales:
    """Of all that can be asked about the device's addresses, and about its ports. A kind of which single bits are asked
    has none."""
    found: dict[str, Scale] = {}
    kinds = ((ADDRESSES, _addresses(device, policy, family)), (PORTS, _ports(device, policy)))
    asked = _asked(device, family)
    for fields, ranges in kinds:
        bits = width(fields[0], family)
        gathered = list(ranges)
        for condition in (condition for field in fields for condition in asked[field]):
            if isinstance(condition, InRanges):
                gathered += condition.ranges
            elif (prefix := masked_range(condition, bits)) is not None:
                gathered.append(prefix)
            else:
                break
        else:
            scale = Scale(gathered, bits)
            found |= dict.fromkeys(fields, scale)
    return found


def masked_range(condition: Masked, bits: int) -> Range | None:
    """The range that a mask of leading ones stands for."""
    loose = ~condition.mask & ((1 << bits) - 1)
    if loose & (loose + 1) or condition.mask >> bits or condition.value & ~condition.mask:
        return None
    return condition.value, condition.value | loose


def _asked(device: Device, family: int) -> Mapping[Field, list[InRanges | Masked]]:
    """What rules ask of each field's values."""
    found: dict[Field, list[InRanges | Masked]] = {field: [] for field in Field}
    selectors = (leaf for rule in device.policy_rules[family] for leaf in leaves(rule.selector))
    for leaf in chain(device.ruleset.conditions, selectors):
        if isinstance(leaf, InRanges | Masked):
            found[leaf.field].append(leaf)
    return found


def _addresses(device: Device, policy: DevicePolicy, family: int) -> Iterator[Range]:
    yield from (span for spans in NOWHERE[family].values() for span in spans)
    yield LOOPBACK if family == 4 else LINK_LOCAL
    networks: set[IPNetwork] = {route.destination for route in device.routes[family]}
    for port in policy.ports:
        networks.update(port.prefixes)
    for passing in policy.passings:
        networks.update(passing.senders, passing.receivers, passing.not_senders, passing.not_receivers)
    for network in networks:
        if network.version == family:
            yield int(network.network_address), int(network.broadcast_address)
    for listener in device.listeners:
        try:
            address = ip_address(listener.address.partition("%")[0].strip("[]"))
        except ValueError:
            continue
        if address.version == family:
            yield int(address), int(address)
    yield from (s.addresses for s in _translations(device) if s.addresses is not None)


def _ports(device: Device, policy: DevicePolicy) -> Iterator[Range]:
    yield 0, 0  # of lookups that have no ports
    yield from (s.ports for s in _translations(device) if s.ports is not None)
    numbers = {int(listener.port) for listener in device.listeners if listener.port.isdigit()}
    for passing in policy.passings:
        for allowed in passing.allow:
            numbers.update(allowed.ports)
    yield from ((number, number) for number in numbers)


def _translations(device: Device) -> Iterator[TranslateDestination]:
    for rule in device.ruleset.rules():
        yield from (one for one in rule.statements if isinstance(one, TranslateDestination))
