"""What a scanner says of itself: the status that eSCL has, and the first words of SANE's protocol. No I/O.

The standard library only, and nothing else of the package: PCs that scan have a copy of this file.
"""

from __future__ import annotations

import re
import struct

# In the order in which they are documented. A scanner is in exactly one.
READY = "ready"
BUSY = "busy"
JAM = "jam"
OPEN = "open"
STOPPED = "stopped"  # something else that needs a person beside it
UNPLUGGED = "unplugged"  # its box answers, and has no scanner
DENIED = "denied"
REFUSING = "refusing"  # an error of its own software
GARBAGE = "garbage"  # something answers that is no scanner
SILENT = "silent"
STATES = (READY, BUSY, JAM, OPEN, STOPPED, UNPLUGGED, DENIED, REFUSING, GARBAGE, SILENT)
WORKING = frozenset({READY, BUSY})

MAX_STATUS = 64 * 1024  # bytes that a status may have
STATUS_PATH = "/eSCL/ScannerStatus"

_FEEDER = {
    "ScannerAdfJam": JAM,
    "ScannerAdfMispick": JAM,
    "ScannerAdfMultipickDetected": JAM,
    "ScannerAdfDoorOpen": OPEN,
    "ScannerAdfHatchOpen": OPEN,
}
_STATE = {"Idle": READY, "Processing": BUSY, "Testing": BUSY, "Stopped": STOPPED, "Down": STOPPED}

_INIT, _GET_DEVICES, _OPEN, _CLOSE, _EXIT = 0, 1, 2, 3, 10
_VERSION = 0x01000003
_DEVICE_BUSY, _ACCESS_DENIED = 3, 11
_DRIVERLESS = "airscan:"


def status_state(code: int, body: bytes) -> str:
    """The state that an answer to GET ScannerStatus tells."""
    if code in (401, 403):
        return DENIED
    if code == 503:
        return BUSY
    if code >= 500:
        return REFUSING
    text = body.decode("utf-8", "replace")
    if code != 200 or "ScannerStatus" not in text:
        return GARBAGE
    # What stands in the feeder's way is more to the point than that the scanner has stopped.
    return _FEEDER.get(_element(text, "AdfState"), _STATE.get(_element(text, "State"), GARBAGE))


def _element(text: str, name: str) -> str:
    found = re.search(rf"<(?:[\w-]+:)?{name}(?:\s[^>]*)?>\s*([A-Za-z]+)\s*</", text)
    return found[1] if found else ""


class SaneError(Exception):
    """What came is not what saned says."""


class SaneTalk:
    """A talk with saned: has it a scanner, and is it there? Send `question`, then feed what comes till `state` is set.

    A scanner without a driver is listed whether it is there or not, so that it is opened too: that disturbs nobody. One
    with a driver is listed while it is plugged in, and left alone: opening it could take it from whoever scans.
    """

    def __init__(self, user: str = "wardnet") -> None:
        self.question = struct.pack(">2I", _INIT, _VERSION) + _string(user)
        self.devices: tuple[str, ...] = ()
        self.state: str | None = None
        self._buffer = b""
        self._next = self._greeted

    def feed(self, data: bytes) -> bytes:
        """What to send next; empty where more has to come first. Raises SaneError."""
        self._buffer += data
        if len(self._buffer) > MAX_STATUS:
            raise SaneError("what saned says does not end")
        try:
            return self._next()
        except struct.error:
            return b""  # the rest has to come

    def _greeted(self) -> bytes:
        status, version = struct.unpack_from(">2I", self._buffer)
        if status == _ACCESS_DENIED:
            self.state = DENIED
            return b""
        if status != 0 or version >> 24 != 1:
            raise SaneError("the greeting is not saned's")
        self._next, self._buffer = self._listed, self._buffer[8:]
        return struct.pack(">I", _GET_DEVICES)

    def _listed(self) -> bytes:
        status, count = struct.unpack_from(">2I", self._buffer)
        if status != 0 or count > 256:
            raise SaneError("the list of scanners is none")
        names, at = [], 8
        for _ in range(count):
            (missing,) = struct.unpack_from(">I", self._buffer, at)
            at += 4
            if missing:
                continue
            texts = []
            for _field in range(4):  # name, vendor, model, type
                (length,) = struct.unpack_from(">I", self._buffer, at)
                if length > MAX_STATUS:
                    raise SaneError("a name does not end")
                texts.append(self._buffer[at + 4 : at + 4 + length])
                at += 4 + length
            names.append(texts[0].rstrip(b"\0").decode("utf-8", "replace"))
        if at > len(self._buffer):
            return b""
        self.devices = tuple(names)
        if names and names[0].startswith(_DRIVERLESS):
            self._next, self._buffer = self._opened, b""
            return struct.pack(">I", _OPEN) + _string(names[0])
        self.state = READY if names else UNPLUGGED
        return struct.pack(">I", _EXIT)

    def _opened(self) -> bytes:
        status, handle, _length = struct.unpack_from(">3I", self._buffer)
        self.state = {0: READY, _DEVICE_BUSY: BUSY, _ACCESS_DENIED: DENIED}.get(status, UNPLUGGED)
        closed = struct.pack(">2I", _CLOSE, handle) if status == 0 else b""
        return closed + struct.pack(">I", _EXIT)


def _string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack(">I", len(data)) + data
