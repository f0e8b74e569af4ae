"""The kernel's table of connections, by netlink: which there are, and forgetting some of them. Standard library
only."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator

from ansible.module_utils.wardnet_allowed import Connection
from ansible.module_utils.wardnet_undo import forget_connections

NETLINK_NETFILTER = 12
GET, DELETE = (1 << 8) | 1, (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: the table changed meanwhile, and something may have been left out
ERROR, DONE = 2, 3
ORIGINAL, ID, ZONE = 1, 12, 18
LOOKS = 5
NEXT = 0x3FFF  # without the bits for nested attributes and byte order


def forget(ends: Callable[[Connection], bool]) -> int:
    """Makes those connections prove themselves to the rules that are loaded now; the kernel takes up again, with their
    client's next packet, those that the rules let through. All of them where the table cannot be read. The kernel's
    error, or 0."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as netlink:
            netlink.settimeout(10)
            for _ in range(LOOKS):
                whole, found = _list(netlink)
                for one, family, attributes in found:
                    if ends(one):
                        _forget(netlink, family, attributes)
                if whole:
                    return 0
    except (OSError, struct.error):
        pass
    return forget_connections()


def _list(netlink: socket.socket) -> tuple[bool, list[tuple[Connection, int, bytes]]]:
    """Whether it is all of them; each with its family and the attributes that name it to the kernel."""
    netlink.send(_request(GET, REQUEST | DUMP, socket.AF_UNSPEC, b""))
    whole, found = True, []
    while True:
        for kind, flags, body in _messages(netlink.recv(1 << 20)):
            whole = whole and not flags & INTERRUPTED
            if kind == ERROR:
                raise OSError(-struct.unpack_from("=i", body)[0], "the table of connections cannot be read")
            if kind == DONE:
                return whole, found
            named = _attributes(body[4:])
            one = _connection(named.get(ORIGINAL, b""))
            if one is not None:
                attributes = b"".join(_attribute(key, named[key]) for key in (ORIGINAL, ID, ZONE) if key in named)
                found.append((one, body[0], attributes))


def _forget(netlink: socket.socket, family: int, attributes: bytes) -> None:
    netlink.send(_request(DELETE, REQUEST | ACK, family, attributes))
    ((_, _, body),) = _messages(netlink.recv(4096))
    error = -struct.unpack_from("=i", body)[0]
    if error not in (0, errno.ENOENT):  # it may have ended by itself
        raise OSError(error, "a connection is not forgotten")


def _request(kind: int, flags: int, family: int, attributes: bytes) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, flags, 1, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    while len(data) >= 16:
        length, kind, flags, _, _ = struct.unpack_from("=IHHII", data)
        yield kind, flags, data[16:length]
        data = data[(length + 3) & ~3 :]


def _attribute(key: int, value: bytes) -> bytes:
    nested = 0x8000 if key == ORIGINAL else 0
    return struct.pack("=HH", 4 + len(value), key | nested) + value + bytes(-len(value) % 4)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= 4:
        length, key = struct.unpack_from("=HH", data)
        found[key & NEXT] = data[4:length]
        data = data[(max(length, 4) + 3) & ~3 :]
    return found


def _connection(original: bytes) -> Connection | None:
    tuple_ = _attributes(original)
    addresses, protocol = _attributes(tuple_.get(1, b"")), _attributes(tuple_.get(2, b""))
    family = 4 if 1 in addresses else 6
    source, destination = (addresses.get(key) for key in ((1, 2) if family == 4 else (3, 4)))
    if source is None or destination is None or not protocol.get(1):
        return None
    ports = [int.from_bytes(protocol[key], "big") if key in protocol else None for key in (2, 3)]
    return Connection(
        family, int.from_bytes(source, "big"), int.from_bytes(destination, "big"), protocol[1][0], ports[0], ports[1]
    )
