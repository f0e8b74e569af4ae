"""Which mirrors a host asks, the one that it is told of first. One that moves, or whose authority is renewed, is asked
beside the one that gave this host its last bundle, until it has given one itself. Standard library only.

/etc/wardnet/pull-mirror.json        {url, ca}: as published, by role pull; none where the site names none
/var/lib/wardnet/pull-mirror.json    {url, ca}: whom the last bundle came from, with its authority beside it
/etc/wardnet/pull.json               {url, ca ...}: as installed; asked last
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ansible.module_utils import wardnet_fetch as fetch
from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_published import BundleRefusedError

TOLD = Path("/etc/wardnet/pull-mirror.json")
GAVE, AUTHORITY = "pull-mirror.json", "pull-mirror.pem"  # where the host keeps its state

Given = TypeVar("Given")


@dataclass(frozen=True)
class Mirror:
    """A folder over HTTPS, and a file of certificates where the system's own are not what it is believed by."""

    url: str
    ca: Path | None = None

    def server(self, agent: str) -> fetch.Server:
        return fetch.Server(self.url, self.ca, agent)

    @property
    def certificates(self) -> bytes:
        return self.ca.read_bytes() if self.ca else b""


def mirrors(installed: Mirror, state: Path, told: Path = TOLD) -> list[Mirror]:
    """In the order in which they are asked, each once; one whose files are missing or damaged is left out. ValueError
    and OSError where the installed one is, and no other is there."""
    found: list[Mirror] = []
    known: set[tuple[str, bytes]] = set()
    for mirror in (read(told), read(state / GAVE), installed):
        if mirror is None:
            continue
        try:
            mirror.server("")
            key = (mirror.url.rstrip("/"), mirror.certificates)
        except (OSError, ValueError):
            if mirror is installed and not found:
                raise
            continue
        if key not in known:
            known.add(key)
            found.append(mirror)
    return found


def read(path: Path) -> Mirror | None:
    """None where there is none, or it is damaged, as by a power cut or by hand."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads(path.read_text())
        return Mirror(str(record["url"]), Path(record["ca"]) if record.get("ca") else None)
    return None


def first(found: Sequence[Mirror], ask: Callable[[Mirror], Given]) -> tuple[Given, Mirror, str]:
    """What the first mirror gave that gave something to be believed; which one; and why those before it did not. Where
    none did, the error of the first."""
    failed: list[Exception] = []
    for mirror in found:
        try:
            given = ask(mirror)
        except (fetch.NotReachedError, fetch.NotThereError, fetch.AnswerRefusedError, BundleRefusedError) as error:
            failed.append(error)
        else:
            return given, mirror, "; ".join(dict.fromkeys(map(str, failed)))
    raise failed[0]


def gave(state: Path, mirror: Mirror) -> None:
    """Remembers whom a bundle came from that was believed, with the authority as it was then: its file may hold
    another one tomorrow."""
    certificates = mirror.certificates
    former = read(state / GAVE)
    with suppress(OSError):
        if former is not None and (former.url, former.certificates) == (mirror.url, certificates):
            return
    state.mkdir(parents=True, exist_ok=True)
    if certificates:
        undo.write(state / AUTHORITY, certificates.decode(), 0o644)
    record = {"url": mirror.url, "ca": str(state / AUTHORITY) if certificates else ""}
    undo.write(state / GAVE, json.dumps(record, indent=1) + "\n", 0o644)
