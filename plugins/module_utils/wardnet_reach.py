"""What the controller reaches through a host, and the two ends of a line that get other addresses in one play. Each end
is changed by a process of its own, on the controller; they tell each other what came of it by files. Standard library
only.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from hashlib import sha256
from pathlib import Path
from typing import Any

CONFIRMED, UNTOUCHED, FAILED = "confirmed", "untouched", "failed"
PAUSE = 0.5
QUIET = 3  # times in a row that an address must not answer: one packet may be lost
Target = tuple[str, int]
Line = tuple[str, bool]  # a port, and whether its IPv6 address is meant


class FarEnds:
    """The far ends of lines that get other addresses at both ends. `folder` is one that this run alone has;
    `in_play` says whether the host that is managed at an address is changed by the same play."""

    def __init__(self, folder: str, targets: Iterable[Target], in_play: Callable[[str], bool]) -> None:
        self._folder = folder
        self._targets = sorted(targets)
        self._own = {target for target in self._targets if in_play(target[0])}

    def await_change(self, until: float) -> list[str]:
        """Which have still not changed by then, by the steady clock: they answer over their former addresses, as they
        cannot once they have others. Gives up at once on one that will not change."""
        silent = dict.fromkeys(self._targets, 0)
        while waiting := [target for target, times in silent.items() if times < QUIET]:
            answered = answering(waiting, 3.0)
            for target in waiting:
                silent[target] = 0 if target in answered else silent[target] + 1
            stay = {target for target in answered if target not in self._own or told(self._folder, target[0])}
            if stay or time.monotonic() > until:
                return sorted(address for address, _ in stay or waiting)
            time.sleep(PAUSE)
        return []

    def await_confirmed(self, until: float) -> list[str]:
        """Which are not confirmed by then. One that this play does not change, or did not reach, must answer."""
        waiting = set(self._targets)
        while waiting:
            said = {target: told(self._folder, target[0]) for target in waiting & self._own}
            ask = {target for target in waiting if said.get(target, UNTOUCHED) == UNTOUCHED}
            waiting -= {target for target, word in said.items() if word == CONFIRMED} | answering(ask, 3.0)
            if not waiting or FAILED in said.values() or time.monotonic() > until:
                break
            time.sleep(PAUSE)
        return sorted(address for address, _ in waiting)


def tell(folder: str, address: str, word: str) -> None:
    """The host that is managed at this address is done: CONFIRMED, UNTOUCHED or FAILED."""
    path = _path(folder, address)
    scratch = path.with_suffix(".new")
    scratch.write_text(word)
    scratch.replace(path)


def told(folder: str, address: str) -> str | None:
    """What was told of the host; None while it is at it."""
    try:
        return _path(folder, address).read_text()
    except FileNotFoundError:
        return None


def _path(folder: str, address: str) -> Path:
    return Path(folder) / f"wardnet-end-{sha256(address.encode()).hexdigest()[:32]}"


def addressed_lines(parts: dict[str, Any]) -> frozenset[Line]:
    """Ports that a change gives an address, from what a commit says of its parts."""
    missing = (parts.get("network") or {}).get("missing") or ()
    found = (re.match(r"address (\S+) on (\S+)", str(item)) for item in missing)
    return frozenset((match[2], ":" in match[1]) for match in found if match)


def split(text: str) -> Target:
    """'10.0.0.1:22' or '[fd00::1]:22' as address and port."""
    address, _, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def answering(targets: Iterable[Target], seconds: float) -> set[Target]:
    """Those of the addresses that accept a TCP connection within the time, all tried at once."""
    wanted = list(targets)
    if not wanted:
        return set()
    with ThreadPoolExecutor(len(wanted)) as pool:
        tried = {pool.submit(connects, target, seconds): target for target in wanted}
        done, _ = wait(tried)
        return {tried[future] for future in done if future.result()}


def connects(target: Target, seconds: float) -> bool:
    try:
        socket.create_connection(target, timeout=seconds).close()
    except OSError:
        return False
    return True
