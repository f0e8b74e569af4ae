"""Values as `nft -j` writes them: names of protocols, ICMP types and flags, addresses, ranges and prefixes."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any

from wardnet.model.packet import Field, State

PROTOCOLS = {
    "ip": 0, "icmp": 1, "igmp": 2, "ggp": 3, "ipencap": 4, "ipv4": 4, "tcp": 6, "egp": 8, "udp": 17, "dccp": 33,
    "ipv6": 41, "ipv6-route": 43, "ipv6-frag": 44, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58,
    "ipv6-nonxt": 59, "ipv6-opts": 60, "ospf": 89, "pim": 103, "comp": 108, "ipcomp": 108, "vrrp": 112, "l2tp": 115,
    "sctp": 132, "mobility-header": 135, "udplite": 136, "hopopt": 0, "rsvp": 46, "eigrp": 88, "ipip": 94,
}  # fmt: skip
ICMP_TYPES = {
    "echo-reply": 0, "destination-unreachable": 3, "source-quench": 4, "redirect": 5, "echo-request": 8,
    "router-advertisement": 9, "router-solicitation": 10, "time-exceeded": 11, "parameter-problem": 12,
    "timestamp-request": 13, "timestamp-reply": 14, "info-request": 15, "info-reply": 16,
    "address-mask-request": 17, "address-mask-reply": 18,
}  # fmt: skip
ICMPV6_TYPES = {
    "destination-unreachable": 1, "packet-too-big": 2, "time-exceeded": 3, "parameter-problem": 4,
    "echo-request": 128, "echo-reply": 129, "mld-listener-query": 130, "mld-listener-report": 131,
    "mld-listener-done": 132, "mld-listener-reduction": 132, "nd-router-solicit": 133, "nd-router-advert": 134,
    "nd-neighbor-solicit": 135, "nd-neighbor-advert": 136, "nd-redirect": 137, "router-renumbering": 138,
    "ind-neighbor-solicit": 141, "ind-neighbor-advert": 142, "mld2-listener-report": 143,
}  # fmt: skip
ICMP_CODES = {
    "net-unreachable": 0, "host-unreachable": 1, "prot-unreachable": 2, "port-unreachable": 3, "frag-needed": 4,
    "net-prohibited": 9, "host-prohibited": 10, "admin-prohibited": 13,
}  # fmt: skip
ICMPV6_CODES = {
    "no-route": 0, "admin-prohibited": 1, "addr-unreachable": 3, "port-unreachable": 4, "policy-fail": 5,
    "reject-route": 6,
}  # fmt: skip
TCP_FLAGS = {"fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "cwr": 128}
DSCP = {
    "cs0": 0, "df": 0, "le": 1, "cs1": 8, "af11": 10, "af12": 12, "af13": 14, "cs2": 16, "af21": 18, "af22": 20,
    "af23": 22, "cs3": 24, "af31": 26, "af32": 28, "af33": 30, "cs4": 32, "af41": 34, "af42": 36, "af43": 38,
    "cs5": 40, "va": 44, "ef": 46, "cs6": 48, "cs7": 56,
}  # fmt: skip
STATES = {
    "new": State.NEW, "established": State.ESTABLISHED, "related": State.RELATED, "invalid": State.INVALID,
    "untracked": State.UNTRACKED,
}  # fmt: skip

Ranges = tuple[tuple[int, int], ...]


class UnmodelledError(Exception):
    """A value or expression that this reader does not model; its text is the reason."""


def head(value: Any) -> str:
    """The beginning of a value, for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def number(value: Any, names: dict[str, int] | None, bits: int) -> int:
    """One value: a number, a name, an address, or flags joined with `|`."""
    if isinstance(value, bool):
        raise UnmodelledError(f"value {value!r}")
    if isinstance(value, int):
        found = value
    elif isinstance(value, str):
        found = _named(value, names, bits)
    elif isinstance(value, dict) and value.keys() == {"|"} and isinstance(value["|"], list):
        found = joined(value["|"], names, bits)
    else:
        raise UnmodelledError(f"value {value!r}")
    if not 0 <= found < 1 << bits:
        raise UnmodelledError(f"value {value!r} does not fit {bits} bits")
    return found


def joined(values: list[Any], names: dict[str, int] | None, bits: int) -> int:
    """Flags, all set."""
    found = 0
    for value in values:
        found |= number(value, names, bits)
    return found


def _named(text: str, names: dict[str, int] | None, bits: int) -> int:
    if names is not None and text in names:
        return names[text]
    if bits == 32 and names is None and (found := _dotted(text)) is not None:
        return found
    if bits in (32, 128) and names is None:
        try:
            return int(IPv4Address(text)) if bits == 32 else int(IPv6Address(text))
        except AddressValueError as error:
            raise UnmodelledError(f"value {text!r}") from error
    raise UnmodelledError(f"name {text!r}")


def _dotted(text: str) -> int | None:
    """A plain IPv4 address, several times faster than `ipaddress`, which decides on all others."""
    parts = text.split(".")
    if len(parts) != 4 or not all(part.isascii() and part.isdigit() and part == str(int(part)) for part in parts):
        return None
    first, second, third, last = map(int, parts)
    if max(first, second, third, last) > 255:
        return None
    return first << 24 | second << 16 | third << 8 | last


def ranges(value: Any, names: dict[str, int] | None, bits: int) -> Ranges:
    """One value, range or prefix, as ranges."""
    if isinstance(value, dict):
        if value.keys() == {"range"}:
            match value["range"]:
                case [low, high]:
                    first, last = number(low, names, bits), number(high, names, bits)
                    if first > last:
                        raise UnmodelledError(f"range {value['range']!r} runs backwards")
                    return ((first, last),)
        if value.keys() == {"prefix"}:
            match value["prefix"]:
                case {"addr": str(address), "len": int(length)} if 0 <= length <= bits:
                    base = number(address, names, bits)
                    span = (1 << (bits - length)) - 1
                    return ((base & ~span, base | span),)
        if value.keys() != {"|"}:
            raise UnmodelledError(f"value {value!r}")
    found = number(value, names, bits)
    return ((found, found),)


def compared(op: str, value: Any, names: dict[str, int] | None, bits: int) -> Ranges:
    """What `op` (<, >, <=, >=) and a bound leave."""
    bound = number(value, names, bits)
    top = (1 << bits) - 1
    low, high = {"<": (0, bound - 1), "<=": (0, bound), ">": (bound + 1, top), ">=": (bound, top)}[op]
    return ((low, high),) if low <= high else ()


NAMES: dict[Field, dict[str, int]] = {
    Field.PROTOCOL: PROTOCOLS,
    Field.NEXT_HEADER: PROTOCOLS,
    Field.TCP_FLAGS: TCP_FLAGS,
    Field.DSCP: DSCP,
    Field.STATE: {name: int(state) for name, state in STATES.items()},
}
