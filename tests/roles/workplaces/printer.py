"""A printer of IPP Everywhere in software, in the clerks' zone of the ward: Debian's own, on another PC's network."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from lab import Lab
from tests.roles.roles_support import Probe, wait_until
from tests.roles.workplaces.workplaces_support import PC

HOST = "buoi-pc-2"  # what it stands in for has no network port of its own in the lab
ADDRESS = "10.20.1.40"  # of the inventory
QUEUE = "buoi-printer-1"
SPOOL = "/var/spool/printed"
FORMATS = "application/pdf,image/pwg-raster"


def install(lab: Lab) -> None:
    """The printer's program, from the lab's mirror as the PC has it."""
    if lab.shell(HOST, ["test", "-x", "/usr/sbin/ippeveprinter"]).returncode == 0:
        return
    for path in ("/etc/apt/keyrings/wardnet.asc", "/etc/apt/sources.list.d/wardnet.sources"):
        content = lab.shell(PC, ["cat", path]).stdout
        lab.shell(HOST, ["sh", "-c", f"mkdir -p $(dirname {path}) && cat > {path}"], stdin=content)
    at(lab, "apt-get -qq update && apt-get -qq -y --no-install-recommends install cups-ipp-utils", timeout=600)


def at(lab: Lab, command: str, *, timeout: float = 120) -> str:
    """Output of a command where the printer is."""
    done = lab.shell(HOST, ["sh", "-c", command], timeout=timeout)
    said = done.stdout.decode() + done.stderr.decode()
    assert done.returncode == 0, f"{command}: {said}"
    return said.strip()


@contextmanager
def switched_on(lab: Lab) -> Iterator[None]:
    """The printer for the time of the block. It keeps what it prints in SPOOL, and begins with nothing."""
    words = ["ippeveprinter", "-p", "631", "-r", "off", "-k", "-d", SPOOL, "-f", FORMATS, "May in"]
    at(lab, f"ip address replace {ADDRESS}/24 dev eth0; rm -rf {SPOOL}; mkdir -p {SPOOL}; "
            f"systemd-run --quiet --collect --unit=printer -- {shlex.join(words)}")  # fmt: skip
    try:
        assert wait_until(lab, PC, Probe("tcp", ADDRESS, 631)), at(lab, "journalctl -u printer --no-pager -n 20")
        yield
    finally:
        at(lab, f"systemctl stop printer.service; ip address delete {ADDRESS}/24 dev eth0")


def arrived(lab: Lab) -> bool:
    """Whether one page has, whole: CUPS holds it no more."""
    held = lab.shell(PC, ["lpstat", "-o"]).stdout.strip()
    return not held and bool(at(lab, f"ls {SPOOL}"))


def page(lab: Lab) -> bytes:
    """What has arrived; there must be one."""
    (name,) = at(lab, f"ls {SPOOL}").split()
    return lab.shell(HOST, ["cat", f"{SPOOL}/{name}"]).stdout
