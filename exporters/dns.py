"""DNS messages, sans I/O: an address query to bytes, and an answer's bytes to addresses.

An answer comes from outside and may be hostile: every read is bounds-checked, and a compression pointer may
only point to before the name it stands in, so that no chain of pointers can loop.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from exporters.errors import ExporterError

TYPE_A = 1
TYPE_CNAME = 5
TYPE_AAAA = 28

_CLASS_IN = 1
_ADDRESS_BYTES = {TYPE_A: 4, TYPE_AAAA: 16}
_LONGEST_NAME = 255
_LONGEST_LABEL = 63
_LONGEST_CHAIN = 16
_RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}


class DnsError(ExporterError):
    """The name cannot be asked for, or the answer cannot be used."""


class DnsMismatchError(DnsError):
    """A message that does not answer our question: whoever waits should go on waiting."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`rcode` is 0 for no error; `addresses` holds those of the asked type, in the server's order."""

    rcode: int
    truncated: bool
    addresses: tuple[str, ...]

    @property
    def rcode_name(self) -> str:
        return _RCODES.get(self.rcode, f"RCODE{self.rcode}")


def encode_query(message_id: int, name: str, record_type: int) -> bytes:
    """A recursive query for one name. Raises DnsError if the name cannot be a host's."""
    header = struct.pack("!6H", message_id, 0x0100, 1, 0, 0, 0)
    return header + _encode_name(name) + struct.pack("!2H", record_type, _CLASS_IN)


def parse_answer(message: bytes, message_id: int, name: str, record_type: int) -> Answer:
    """The answer to `encode_query`'s question with these same arguments.

    Raises DnsMismatchError if it answers something else, DnsError if it is malformed.
    """
    if len(message) < 12:
        raise DnsMismatchError(f"{len(message)} bytes are too few for a DNS message")
    got_id, flags, questions, answers, _, _ = struct.unpack_from("!6H", message)
    if got_id != message_id:
        raise DnsMismatchError(f"answers query {got_id}, not {message_id}")
    if not flags & 0x8000 or flags & 0x7800:
        raise DnsMismatchError("is not the answer to a query")
    rcode, truncated = flags & 0x000F, bool(flags & 0x0200)
    if questions != 1:
        # A server that could not read the question may send none back with its error.
        if questions == 0 and rcode:
            return Answer(rcode, truncated, ())
        raise DnsMismatchError(f"holds {questions} questions")
    asked, offset = _read_name(message, 12)
    got_type, got_class = _unpack("!2H", message, offset)
    offset += 4
    if asked != _canonical(name) or (got_type, got_class) != (record_type, _CLASS_IN):
        raise DnsMismatchError("answers another question")
    if truncated or rcode:
        return Answer(rcode, truncated, ())
    return Answer(rcode, truncated, _addresses(message, offset, answers, asked, record_type))


def _addresses(message: bytes, offset: int, count: int, asked: bytes, record_type: int) -> tuple[str, ...]:
    aliases: dict[bytes, bytes] = {}
    found: dict[bytes, list[str]] = {}
    for _ in range(count):
        owner, offset = _read_name(message, offset)
        kind, record_class, _, length = _unpack("!HHIH", message, offset)
        offset += 10
        data = message[offset : offset + length]
        if len(data) != length:
            raise DnsError("an answer ends in the middle of a record")
        if record_class == _CLASS_IN and kind == TYPE_CNAME:
            target, end = _read_name(message, offset)
            if end != offset + length:
                raise DnsError("a CNAME record is not as long as it says")
            aliases[owner] = target
        elif record_class == _CLASS_IN and kind == record_type:
            if length != _ADDRESS_BYTES[record_type]:
                raise DnsError(f"an address record holds {length} bytes")
            text = str(IPv4Address(data) if kind == TYPE_A else IPv6Address(data))
            found.setdefault(owner, []).append(text)
        offset += length
    # Only what the asked name leads to counts: an answer cannot slip in addresses of other names.
    for _ in range(_LONGEST_CHAIN):
        if asked in found or asked not in aliases:
            return tuple(found.get(asked, ()))
        asked = aliases[asked]
    raise DnsError("the chain of CNAME records is too long")


def _encode_name(name: str) -> bytes:
    try:
        labels = name.encode("ascii").rstrip(b".").split(b".")
    except UnicodeEncodeError as error:
        raise DnsError(f"{name!r} is not ASCII") from error
    if any(not 1 <= len(label) <= _LONGEST_LABEL for label in labels):
        raise DnsError(f"{name!r} has an empty label or one over {_LONGEST_LABEL} bytes")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    if len(encoded) > _LONGEST_NAME:
        raise DnsError(f"{name!r} is too long for a name")
    return encoded


def _canonical(name: str) -> bytes:
    return _encode_name(name).lower()


def _read_name(message: bytes, offset: int) -> tuple[bytes, int]:
    """The name at `offset` in lower-case wire form, uncompressed, and the offset past it."""
    labels: list[bytes] = []
    total = 1
    end: int | None = None
    start = offset
    while True:
        (length,) = _unpack("!B", message, offset)
        if length >= 0xC0:
            (pointer,) = _unpack("!H", message, offset)
            pointer &= 0x3FFF
            if end is None:
                end = offset + 2
            if pointer >= start:
                raise DnsError("a compression pointer does not point backwards")
            offset = start = pointer
        elif length > _LONGEST_LABEL:
            raise DnsError(f"a label has the reserved type {length >> 6}")
        elif length == 0:
            return b"".join(labels) + b"\0", end if end is not None else offset + 1
        else:
            label = message[offset + 1 : offset + 1 + length]
            total += 1 + length
            if len(label) != length or total > _LONGEST_NAME:
                raise DnsError("a name runs past its bounds")
            labels.append(bytes([length]) + label.lower())
            offset += 1 + length


def _unpack(form: str, message: bytes, offset: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, message, offset)
    except struct.error as error:
        raise DnsError("the message ends too early") from error
