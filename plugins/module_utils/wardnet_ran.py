"""What runs of addresses, routes and policy rules, in words of ip(8), and bringing just that back. A step of the way
back of part network: the host runs this very file with Python and gives it on its input what ran before the change.
Standard library only, nothing of wardnet.

systemd-networkd takes up what is on disk, which need not be what ran: somebody may have edited a file and not reloaded.
So after networkd has done its part, what ran is set again by ip(8), what did not run is taken away, and what does not
come about is said.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

IP = "/usr/sbin/ip"
SHOWS = ("-j address show", "-o -4 route show table all", "-o -6 route show table all", "-4 rule show", "-6 rule show")
OURS = ("", "static")  # who says to have made it: networkd, or a person; no daemon, no provider, not the kernel
PASSING = {"linkdown", "dead", "offload", "trap", "pervasive", "cache", "\\", "[detached]", "[unresolved]"}
PASSING_PAIRS = {"expires", "error", "nhid"}
KERNEL_RULES = ("0: from all lookup local", "32766: from all lookup main", "32767: from all lookup default")
STEADY = 2.0  # seconds for which it must stay so: networkd goes on after it has said that it is done
PATIENCE = 40.0

Ask = Callable[..., str]
Ran = dict[str, "list[str]"]  # lines by what is added, replaced or deleted with them: 'address', '-4 route', ...


def run(argv: Sequence[str], given: str = "") -> str:
    done = subprocess.run(list(argv), input=given, capture_output=True, text=True, check=False, timeout=20)
    return done.stdout


def look(ask: Ask = run, without: frozenset[str] = frozenset()) -> Ran:
    """What runs now; `ask` gives the output of a command. Links `without` have what a provider gives them."""
    addresses, *routes, rules4, rules6 = (ask([IP, *show.split()]) for show in SHOWS)
    found = {"address": _addresses(addresses, without)}
    for family, text in zip(("-4", "-6"), routes):  # noqa: B905 - a managed host's Python may be older than 3.10
        found[f"{family} route"] = _routes(text, without)
    for family, text in (("-4", rules4), ("-6", rules6)):
        found[f"{family} rule"] = _rules(text)
    return found


def _addresses(text: str, without: frozenset[str]) -> list[str]:
    found = []
    for link in json.loads(text or "[]"):
        for info in link.get("addr_info", []):
            if info.get("scope") != "global" or info.get("dynamic") or link["ifname"] in without:
                continue
            peer = ["peer", f"{info['address']}/{info['prefixlen']}"] if info.get("address") else []
            words = [info["local"], *peer] if peer else [f"{info['local']}/{info['prefixlen']}"]
            words += ["broadcast", info["broadcast"]] if info.get("broadcast") else []
            words += ["noprefixroute"] if info.get("noprefixroute") else []
            found.append(shlex.join([*words, "dev", link["ifname"]]))
    return found


def _routes(text: str, without: frozenset[str]) -> list[str]:
    found = []
    for line in text.splitlines():
        words = _lasting(line)
        if _after(words, "proto") in OURS and _after(words, "dev") not in without and _after(words, "table") != "local":
            found.append(shlex.join(words))
    return found


def _rules(text: str) -> list[str]:
    found = []
    for line in text.splitlines():
        words = _lasting(line)
        if not words or " ".join(words) in KERNEL_RULES or "[l3mdev-table]" in words:
            continue
        if _after(words, "proto") in OURS:
            found.append(shlex.join(["priority", words[0].rstrip(":"), *words[1:]]))
    return found


def _lasting(line: str) -> list[str]:
    """The words without what is the kernel's view of the moment."""
    kept: list[str] = []
    words = iter(line.split())
    for word in words:
        if word in PASSING_PAIRS:
            next(words, None)
        elif word not in PASSING:
            kept.append(word)
    return kept


def _after(words: list[str], name: str) -> str:
    return words[words.index(name) + 1] if name in words[:-1] else ""


def bring(ran: Ran, without: frozenset[str], ask: Ask = run, sleep: Callable[[float], None] = time.sleep) -> str:
    """Empty once what runs is what ran, and stays so; else what is still not as it was, in words."""
    begun = time.monotonic()
    right_since = None
    while True:
        missing = _beyond(ran, look(ask, without))
        for kind, lines in missing.items():
            _do(ask, kind, "add" if kind.endswith("rule") else "replace", lines)
        # What is wrong goes when what is right has come: else a port may be without any address, and lose its routes.
        foreign = _beyond(look(ask, without), ran)
        for kind, lines in foreign.items():
            _do(ask, kind, "del", lines)
        now = time.monotonic()
        right = not any(missing.values()) and not any(foreign.values())
        right_since = (now if right_since is None else right_since) if right else None
        if right_since is not None and now >= right_since + STEADY:
            return ""
        if not right and now > begun + PATIENCE:
            said = [f"{kind} {line} is not back" for kind, lines in missing.items() for line in lines]
            said += [f"{kind} {line} did not run before" for kind, lines in foreign.items() for line in lines]
            return "; ".join(said)
        sleep(0.3)


def _beyond(one: Ran, other: Ran) -> Ran:
    """What the one has and the other has not."""
    known = {kind: set(map(_key, lines)) for kind, lines in other.items()}
    return {kind: [line for line in lines if _key(line) not in known[kind]] for kind, lines in one.items()}


def _key(line: str) -> str:
    """Another step may have brought the same with these words."""
    return line.replace(" proto static", "").replace(" onlink", "")


def _do(ask: Ask, kind: str, verb: str, lines: list[str]) -> None:
    """Does what can be done; whoever calls looks again."""
    *family, what = kind.split()
    if lines:
        ask([IP, *family, "-force", "-batch", "-"], "".join(f"{what} {verb} {line}\n" for line in lines))


def main() -> int:
    given = json.load(sys.stdin)
    said = bring(given["ran"], frozenset(given["without"]))
    print(said, file=sys.stderr)
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main())
