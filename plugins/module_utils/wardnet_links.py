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
ETHER = ("ether", "1")  # `ip -N` says the number
# What iproute2 says of devices that can be made again as they were; one of which it says more cannot.
SAID = {
    "macvlan": {"mode", "bcqueuelen", "usedbcqueuelen"},
    "macvtap": {"mode", "bcqueuelen", "usedbcqueuelen"},
    "ipvlan": {"mode", "mode_flag"},
    "ipvtap": {"mode", "mode_flag"},
    "vlan": {"protocol", "id", "flags"},
}


@dataclass(frozen=True)
class Link:
    name: str
    index: int
    up: bool
    arp: bool
    mtu: int
    upon: str = ""  # the link of this host that it stands upon
    ether: bool = True  # else it asks for no neighbours by its nature, and has an MTU of its own


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
    up: bool = False


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
            ether=link.get("link_type", "ether").strip("[]") in ETHER,
        )
    return found


def faults(links: Mapping[str, Link], mtus: Mapping[str, int], silent: Collection[str] = frozenset()) -> list[Fault]:
    """`mtus` are those that held links are to have, in the order in which they are mended. `silent` links ask for no
    neighbours by their nature."""
    found = []
    for link in (links[name] for name in mtus):
        this = ("dev", link.name)
        if not link.up:
            found.append(Fault(f"switch on {link.name}", (*this, "up")))
        if link.ether and not link.arp and link.name not in silent:
            found.append(Fault(f"let {link.name} ask for neighbours", (*this, "arp", "on"), (*this, "arp", "off")))
        if link.mtu != mtus[link.name]:
            mtu, former = str(mtus[link.name]), str(link.mtu)
            found.append(Fault(f"MTU {mtu} on {link.name}", (*this, "mtu", mtu), (*this, "mtu", former)))
    return found


def wanted_mtus(
    links: Mapping[str, Link], held: Collection[str], parents: Mapping[str, str], largest: Mapping[str, int]
) -> dict[str, int]:
    """A port has the MTU that a .link file of the host gives it, else its parent's, else what is usual; no more than
    its device takes, nor than its parent has. Parents stand first: what stands upon one that is off, or has a smaller
    MTU, can be neither switched on nor given its own."""
    found: dict[str, int] = {}
    for name in sorted(held, key=lambda name: (name in parents, name)):
        if name in links:
            above = found.get(parents.get(name, ""), 0)
            usual = above or (PLAIN_MTU if links[name].ether else links[name].mtu)
            mtu = _mtu_of_file(links[name]) or usual
            found[name] = min(mtu, above or mtu, largest.get(name) or mtu)
    return found


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


def silent(details: list[dict[str, Any]]) -> frozenset[str]:
    """Devices that look like a network card and ask for no neighbours all the same, from `ip -d -j link show`."""
    return frozenset(link["ifname"] for link in details if (link.get("linkinfo") or {}).get("info_kind") == "dummy")


def standing_upon(links: Mapping[str, Link], held: Collection[str], known: Collection[str]) -> list[str]:
    """Names of links that stand upon a held one and are not known."""
    return sorted(link.name for link in links.values() if link.upon in held and link.name not in known)


def parse_strays(details: list[dict[str, Any]], names: Collection[str]) -> dict[str, Stray]:
    """Those of the names that are devices upon another, and what stands upon these, from `ip -d -j link show`; not the
    other end of a cable."""
    kinds = {link["ifname"]: (link.get("linkinfo") or {}).get("info_kind", "device") for link in details}
    found: dict[str, Stray] = {}
    due = [link for link in details if link["ifname"] in names and kinds[link["ifname"]] != "veth"]
    while due:
        link = due.pop(0)
        name, upon = link["ifname"], link.get("link") or ""
        # What stands upon it goes with it, and what it is a member of loses it.
        whole = upon not in found and not link.get("master")
        found[name] = Stray(_in_words(link), _again(link) if whole else (), "UP" in link.get("flags", []))
        due += [one for one in details if one.get("link") == name and one["ifname"] not in {*found, *names}]
    return found


def _in_words(link: dict[str, Any]) -> str:
    info, name, upon = link.get("linkinfo") or {}, link["ifname"], link.get("link") or ""
    kind, tag = info.get("info_kind", "device"), (info.get("info_data") or {}).get("id")
    return f"VLAN {tag} of {upon} as {name}" if kind == "vlan" else f"{kind} {name} upon {upon}"


def _again(link: dict[str, Any]) -> tuple[str, ...]:
    """Arguments of `ip link add`; nothing where they would not say all of the device."""
    info = link.get("linkinfo") or {}
    kind, data = info.get("info_kind", ""), info.get("info_data") or {}
    if not set(data) <= SAID.get(kind, set()) or data.get("mode") == "source":  # it has a list of addresses
        return ()
    words = ["link", link.get("link") or "", "name", link["ifname"], "mtu", str(link["mtu"])]
    words += [] if kind in ("ipvlan", "ipvtap") else ["address", link["address"]]  # these have their parent's
    words += ["type", kind]
    if kind != "vlan":
        return (*words, "mode", data["mode"], *([data["mode_flag"]] if "mode_flag" in data else []))
    words += ["protocol", data["protocol"], "id", str(data["id"])]
    flags = {"reorder_hdr": "off", **{flag.lower(): "on" for flag in data.get("flags", [])}}
    return (*words, *(word for pair in flags.items() for word in pair))


def parse_vlans(text: str) -> list[str]:
    """Names of VLAN devices, from /proc/net/vlan/config."""
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return [row[0] for row in rows if len(row) == 3]
