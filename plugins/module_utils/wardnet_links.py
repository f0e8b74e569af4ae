"""Links of a host as `ip -j link show` prints them: what is wrong with those that are held, and devices that stand upon
them and are nobody's. Standard library only.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

UDEV = Path("/run/udev/data")
PLAIN_MTU = 1500
MODES = {"macvlan", "macvtap", "ipvlan", "ipvtap"}  # devices that a mode says all of


@dataclass(frozen=True)
class Link:
    name: str
    index: int
    up: bool
    arp: bool
    mtu: int
    upon: str = ""  # the link of this host that it stands upon


@dataclass(frozen=True)
class Fault:
    """What is wrong with a link, by what is to be done; arguments of `ip link set` that mend it, and that bring it
    back as it was."""

    words: str
    mend: tuple[str, ...]
    back: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stray:
    """A device that is no port. Arguments of `ip link add` bring it back; without any nothing here can."""

    words: str
    again: tuple[str, ...] = ()


def parse_links(links: list[dict[str, Any]]) -> dict[str, Link]:
    found = {}
    for link in links:
        flags = link.get("flags", [])
        found[link["ifname"]] = Link(
            name=link["ifname"],
            index=int(link.get("ifindex", 0)),
            up="UP" in flags,
            arp="NOARP" not in flags,
            mtu=int(link.get("mtu", 0)),
            upon=link.get("link") or "",
        )
    return found


def faults(links: Mapping[str, Link], held: Collection[str], mtus: Mapping[str, int]) -> list[Fault]:
    """`mtus` are those that held links are to have."""
    found = []
    for link in (links[name] for name in sorted(held) if name in links):
        this = ("dev", link.name)
        if not link.up:
            found.append(Fault(f"switch on {link.name}", (*this, "up")))
        if not link.arp:
            found.append(Fault(f"let {link.name} ask for neighbours", (*this, "arp", "on"), (*this, "arp", "off")))
        if link.mtu != mtus.get(link.name, link.mtu):
            mtu, former = str(mtus[link.name]), str(link.mtu)
            found.append(Fault(f"MTU {mtu} on {link.name}", (*this, "mtu", mtu), (*this, "mtu", former)))
    return found


def wanted_mtus(links: Mapping[str, Link], held: Collection[str], parents: Mapping[str, str]) -> dict[str, int]:
    """A port has the MTU that a .link file of the host gives it, else its parent's, else what is usual."""
    found = {}
    for name in held:
        if name in links:
            parent = parents.get(name, "")
            found[name] = _mtu_of_file(links[name]) or (_mtu_of_file(links[parent]) if parent in links else 0)
    return {name: mtu or PLAIN_MTU for name, mtu in found.items()}


def _mtu_of_file(link: Link) -> int:
    """As udev has found the file; 0 where none says it, or says it in other words than a number."""
    try:
        record = (UDEV / f"n{link.index}").read_text()
        path = next(line.partition("=")[2] for line in record.splitlines() if line.startswith("E:ID_NET_LINK_FILE="))
        said = [line.partition("=")[2] for line in Path(path).read_text().splitlines() if line.startswith("MTUBytes=")]
        return int(said[-1])
    except (OSError, StopIteration, IndexError, ValueError):
        return 0


def most(details: list[dict[str, Any]]) -> dict[str, int]:
    """The largest MTU that each device takes, from `ip -d -j link show`."""
    return {link["ifname"]: int(link["max_mtu"]) for link in details if link.get("max_mtu")}


def standing_upon(links: Mapping[str, Link], held: Collection[str], known: Collection[str]) -> list[str]:
    """Names of links that stand upon a held one and are not known."""
    return sorted(link.name for link in links.values() if link.upon in held and link.name not in known)


def parse_strays(details: list[dict[str, Any]], names: Collection[str]) -> dict[str, Stray]:
    """Those of the names that are devices upon another, from `ip -d -j link show`; not the other end of a cable."""
    found = {}
    for link in details:
        info = link.get("linkinfo") or {}
        kind, name, upon = info.get("info_kind", "device"), link["ifname"], link.get("link") or ""
        if name not in names or kind == "veth":
            continue
        mode = (info.get("info_data") or {}).get("mode")
        again: tuple[str, ...] = ()
        if kind in MODES and mode:
            again = ("link", upon, "name", name, "type", kind, "mode", str(mode))
        found[name] = Stray(f"{kind} {name} upon {upon}", again)
    return found


def parse_vlans(text: str) -> dict[str, tuple[str, str]]:
    """VLAN devices by name, each with its parent and tag; from /proc/net/vlan/config."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return {row[0]: (row[2], row[1]) for row in rows if len(row) == 3}


def stray_vlan(name: str, parent: str, tag: str) -> Stray:
    return Stray(f"VLAN {tag} of {parent} as {name}", ("link", parent, "name", name, "type", "vlan", "id", tag))
