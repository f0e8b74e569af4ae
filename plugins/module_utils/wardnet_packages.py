"""Debian packages of a candidate: which are due, and their installation. Standard library only."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_host import CommandError, Host

FORMAT = r"${Package}\t${db:Status-Status}\t${Version}\n"
STATES = r"${db:Status-Eflag} ${db:Status-Status}\n"
HALF = ("unpacked", "half-installed", "half-configured")
LISTS = Path("/var/lib/dpkg/info")
UPDATES = Path("/var/lib/dpkg/updates")  # what a dpkg that was cut off had still to write down
DPKG = "/usr/bin/dpkg"
POLICY = Path("/usr/sbin/policy-rc.d")
FORBIDS = "#!/bin/sh\n# wardnet: services wait for their configuration\nexit 101\n"
APT = ["/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "/usr/bin/apt-get"]
APT += ["--quiet", "--yes", "--no-install-recommends", "--option=DPkg::Lock::Timeout=120"]
OPTIONS = [
    "--option=Dpkg::Options::=--force-confdef",
    "--option=Dpkg::Options::=--force-confold",
    "--option=APT::Update::Error-Mode=any",
]


def parse_installed(text: str) -> dict[str, str]:
    """Versions by name, from lines of 'name<TAB>status<TAB>version'; only what is fully installed counts."""
    rows = (line.split("\t") for line in text.splitlines())
    return {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == "installed"}


def missing(wanted: list[str], installed: dict[str, str]) -> list[str]:
    """Those of the wanted that are not installed, or not in the version asked for."""
    due = []
    for package in wanted:
        name, _, version = package.partition("=")
        if name not in installed or version not in ("", installed[name]):
            due.append(package)
    return due


def read_due(host: Host, wanted: list[str]) -> list[str]:
    """The packages that are not as wanted on this host, by one question to dpkg."""
    if not wanted:
        return []
    names = sorted({package.partition("=")[0] for package in wanted})
    # dpkg-query exits 1 where a name is unknown to it, which is an answer here
    _, out, _ = host.attempt(["/usr/bin/dpkg-query", "--show", f"--showformat={FORMAT}", *names])
    return missing(list(dict.fromkeys(wanted)), parse_installed(out))


def brought_by_packages(paths: Collection[Path]) -> frozenset[Path]:
    """Those of the files that are of an installed package; all, where the host does not know. Names in /usr/lib may be
    listed as in /lib."""
    names = {str(path).encode(): path for path in paths}
    names.update({name[len("/usr") :]: path for name, path in names.items() if name.startswith(b"/usr/lib/")})
    found: set[Path] = set()
    listings = list(LISTS.glob("*.list"))
    if not listings:
        return frozenset(paths)
    for listing in listings:
        text = b"\n" + listing.read_bytes()
        found.update(path for name, path in names.items() if b"\n%b\n" % name in text)
    return frozenset(found)


def install(host: Host, due: list[str], start: bool) -> None:
    """CommandError with what APT says. What a former run left half done, as one that was switched off, is mended first.
    A SIGTERM may end what is fetched; what is unpacked comes to its end before it counts."""
    with policy(start):
        if was_cut_off(host):
            host.warn("an installation of packages had been cut off here: it was brought to its end first")
            with undisturbed():  # what it cannot do, APT may, by the packages that are missing
                host.attempt([*APT[:2], DPKG, "--force-confdef", "--force-confold", "--configure", "--pending"])
        actions = [["update"]]
        if was_cut_off(host):
            actions.append(["--fix-broken", "--no-remove", "install"])
        if host.fetches_first:
            actions.append(["--download-only", "install", *due])
        for action in [*actions, ["install", *due]]:
            with undisturbed(action[-1] != "update" and "--download-only" not in action):
                _apt(host, action)


def was_cut_off(host: Host) -> bool:
    """Whether dpkg was, so that APT refuses: it left notes of its own, or packages that are neither there nor away."""
    if UPDATES.is_dir() and any(path.name.isdigit() for path in UPDATES.iterdir()):
        return True
    _, out, _ = host.attempt(["/usr/bin/dpkg-query", "--show", f"--showformat={STATES}"])
    return any(line.split()[0] == "reinstreq" or line.split()[1] in HALF for line in out.splitlines())


def _apt(host: Host, action: list[str]) -> None:
    code, out, err = host.attempt([*APT, *OPTIONS, *action])
    if code != 0:
        said = [line for line in err.splitlines() if line.startswith(("E:", "W:"))]
        raise CommandError(f"apt-get {' '.join(action)}: {' '.join(said) or (err or out).strip()}")


@contextmanager
def undisturbed(wanted: bool = True) -> Iterator[None]:
    """A SIGTERM that comes meanwhile counts at the end. dpkg has a session of its own, so that it never gets one."""
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, _frame: Any) -> None:
        came.append(number)

    former = signal.signal(signal.SIGTERM, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former if former is not None else signal.SIG_DFL)
        if came:
            os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def policy(start: bool) -> Iterator[None]:
    """Debian's way to keep packages from starting services; one of ours that a killed run left is taken away."""
    if POLICY.exists() and POLICY.read_text() == FORBIDS:
        POLICY.unlink()
    ours = not start and not POLICY.exists()
    if ours:
        POLICY.write_text(FORBIDS)
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
