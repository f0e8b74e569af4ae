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

_INIT, _GET_DEVICES, _EXIT = 0, 1, 10
_VERSION = 0x01000003
_SAID = {3: BUSY, 6: JAM, 8: OPEN, 9: REFUSING, 10: REFUSING, 11: DENIED}  # SANE's statuses that tell how it is


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
    """A talk with saned: which scanners has it? Send `question`, then feed what comes until `state` is set."""

    def __init__(self, user: str = "wardnet") -> None:
        name = user.encode() + b"\0"
        self.question = struct.pack(">3I", _INIT, _VERSION, len(name)) + name
        self.devices: tuple[str, ...] = ()
        self.state: str | None = None
        self._buffer = b""
        self._let_in = False

    def feed(self, data: bytes) -> bytes:
        """What to send next; empty where more has to come first. Raises SaneError."""
        self._buffer += data
        if len(self._buffer) > MAX_STATUS:
            raise SaneError("the list of scanners does not end")
        if not self._let_in:
            return self._greeted()
        self._listed()
        return struct.pack(">I", _EXIT) if self.state else b""

    def _greeted(self) -> bytes:
        if len(self._buffer) < 8:
            return b""
        status, version = struct.unpack(">2I", self._buffer[:8])
        if status in _SAID:
            self.state = _SAID[status]
            return b""
        if status != 0 or version >> 24 != 1:
            raise SaneError("the greeting is not saned's")
        self._let_in, self._buffer = True, self._buffer[8:]
        return struct.pack(">I", _GET_DEVICES)

    def _listed(self) -> None:
        try:
            status, count = struct.unpack_from(">2I", self._buffer)
            if status in _SAID:
                self.state = _SAID[status]
                return
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
        except struct.error:
            return  # the rest has to come
        if at <= len(self._buffer):
            self.devices, self.state = tuple(names), READY if names else UNPLUGGED
