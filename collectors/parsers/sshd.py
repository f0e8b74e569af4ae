"""The SSH server's configuration: whether a session can become a relay.

`sshd -T` prints what holds for everybody. What holds for some, below a `Match`, it does not: so the files are listed
too, each line with its file. Of those only the conditional lines count, and which other files they include.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from collectors.parsers.artefact import Artefact
from collectors.parsers.coverage import Tally
from wardnet.model.process import Forwards, Program
from wardnet.model.span import Coverage, Span

_OF_ALL = re.compile(r"([a-z0-9]+)(?: (.*))?")
_OF_FILE = re.compile(r"(/etc/ssh/[^:]+):(.*)")
_PAIR = re.compile(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*")
# The value of each that lets nothing through. The first one alone is enough.
_ALL = {"disableforwarding": "yes"}
_EACH = {"allowtcpforwarding": "no", "allowstreamlocalforwarding": "no", "permittunnel": "no"}
_INCLUDED = re.compile(r"(?:/etc/ssh/)?sshd_config\.d/[^/]+\.conf")
_READ = re.compile(r"/etc/ssh/sshd_config(?:\.d/[^/]+\.conf)?")  # others beside them are copies


def parse_sshd(artefact: Artefact) -> Program:
    """What the server forwards, for anybody. ParseError for a line that is none of a configuration."""
    effective: dict[str, tuple[str, Span]] = {}
    for place, key, value in _of_all(artefact):
        effective.setdefault(key, (value, artefact.span(place)))
    conditional = list(_of_files(artefact))
    if not effective:
        reason = "its configuration could not be read (`sshd -T`)"
        return Program(artefact.span(""), "sshd", Forwards.UNKNOWN, reason)
    for place, condition, key, value in conditional:
        if not key:
            reason = f"it has a line that is not understood: {value[:60]}"
            return Program(artefact.span(place), "sshd", Forwards.UNKNOWN, reason)
        closed = {**_ALL, **_EACH}.get(key)
        if key == "include" and (condition or not all(map(_INCLUDED.fullmatch, value.strip('"').split()))):
            reason = f"it reads other files, which are not in the snapshot: {value[:60]}"
            return Program(artefact.span(place), "sshd", Forwards.UNKNOWN, reason)
        if condition and closed is not None and value.strip('"').lower() != closed:
            reason = f"{key} {value} for some (Match {condition[:60]})"
            return Program(artefact.span(place), "sshd", Forwards.ANYTHING, reason)
    whole, span = effective.get("disableforwarding", ("", artefact.span("")))
    if whole == _ALL["disableforwarding"]:
        return Program(span, "sshd", Forwards.NOTHING, "disableforwarding yes")
    for key, closed in _EACH.items():
        value, span = effective.get(key, ("not listed", artefact.span("")))
        if value != closed:
            return Program(span, "sshd", Forwards.ANYTHING, f"{key} {value}")
    return Program(span, "sshd", Forwards.NOTHING, ", ".join(f"{key} {value}" for key, value in _EACH.items()))


def _of_all(artefact: Artefact) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        if line.startswith("/"):
            continue
        match = _OF_ALL.fullmatch(line.rstrip())
        if match is None:
            artefact.fail(f"line {number}", f"not a line of a configuration: {line[:60]!r}")
        yield f"line {number}", match[1], match[2] or ""


def _of_files(artefact: Artefact) -> Iterator[tuple[str, str, str, str]]:
    """Each setting of a file: its place, the condition it is under, its keyword in small letters, and its value. A
    line that is none has no keyword."""
    before, condition = "", ""
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        if not line.startswith("/"):
            continue
        match = _OF_FILE.fullmatch(line)
        if match is None:
            artefact.fail(f"line {number}", f"not a line of a configuration: {line[:60]!r}")
        if match[1] != before:
            before, condition = match[1], ""
        text = match[2].strip()
        if not _READ.fullmatch(match[1]) or not text or text.startswith("#"):
            continue
        pair = _PAIR.fullmatch(text)
        key, value = (pair[1].lower(), pair[2]) if pair else ("", text)
        if key == "match":
            condition = value or "?"
        yield f"line {number}", condition, key, value


def cover_sshd(artefact: Artefact) -> Coverage:
    """Each line that is not blank."""
    read = {place for place, key, _ in _of_all(artefact) if key in {**_ALL, **_EACH}}
    read |= {place for place, _, key, _ in _of_files(artefact) if key in {"match", "include", *_ALL, *_EACH}}
    tally = Tally(artefact.name)
    for number, line in enumerate(artefact.text().splitlines(), start=1):
        place = f"line {number}"
        if place in read:
            tally.modelled(place)
        elif line.strip():
            tally.irrelevant(place, "it does not say what a session forwards")
    return tally.coverage()
