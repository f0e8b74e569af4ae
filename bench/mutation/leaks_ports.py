"""Ports that join the channels below all rules and routes, or of which nobody knows what is behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

from bench.mutation.kinds import Edit, Kind, Place, Places, at_ports, in_each_pair, on_ways, once
from bench.mutation.leaks_filter import TABLE, ends
from bench.mutation.subjects import Subject, Way
from tests.unit.audit_support import (
    ACCEPT,
    Artefacts,
    edit_json,
    with_objects,
    with_rule,
)
from tests.unit.test_audit_carriers import OWN, with_link, with_port
from wardnet.audit.records import Verdict


def joined(kind: str, *, filtered: bool = False) -> Callable[[Subject, Way], Artefacts]:
    """Both ports in one device of a kind."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_port(subject.artefacts, "br0", linkinfo={"info_kind": kind})
        for port in (way.source, way.destination):
            edited = with_link(edited, port, master="br0")
        if filtered:
            hook = {**TABLE, "family": "bridge", "name": "forward", "handle": 1, "type": "filter", "hook": "forward"}
            edited = with_objects(
                edited,
                {"table": {"family": "bridge", "name": "wardnet", "handle": 90}},
                {"chain": {**hook, "prio": 0, "policy": "drop"}},
            )
        return edited

    return made


def bridged(subject: Subject) -> Iterable[Place]:
    """The policy knows no bridge: it is a violation between the two, and unknown beside."""
    return on_ways(joined("bridge"), zones=True)(subject)


def enslaved(kind: str) -> Callable[[Subject, Way], Artefacts]:
    """One port is a member of the other."""

    def made(subject: Subject, way: Way) -> Artefacts:
        edited = with_link(subject.artefacts, way.destination, linkinfo={"info_kind": kind})
        return with_link(edited, way.source, master=way.destination)

    return made


def strange_ports(*ports: tuple[str, dict[str, Any]]) -> Callable[[Subject], Iterable[Place]]:
    """A port that is up and that nobody entered: on each device, the hub too."""
    return once(
        *((name, lambda a, name=name, more=more: with_port(a, name, **more)) for name, more in ports), anywhere=True
    )


def kind(name: str) -> dict[str, Any]:
    return {"linkinfo": {"info_kind": name}}


TETHERS = (("usb0", {}), ("enx0013ef", {"parentbus": "usb"}), ("wwan0", {}), ("bnep0", {}))


WIRELESS = (("wlan0", {}), ("wlp3s0", {}))


TUNNELS = tuple(
    (f"{name}9", kind(name))
    for name in (
        "wireguard",
        "tun",
        "gre",
        "gretap",
        "ip6gre",
        "ipip",
        "sit",
        "ip6tnl",
        "vti",
        "xfrm",
        "vxlan",
        "geneve",
        "ppp",
    )
)


OTHERS = (
    ("veth9", kind("veth")),
    ("dummy9", kind("dummy")),
    ("vlan9", {"link": "wan0", **kind("vlan")}),
    ("mac9", {"link": "wan0", **kind("macvlan")}),
    ("bond9", kind("bond")),
    ("red", kind("vrf")),
)


def shared(kind_name: str) -> Callable[[Subject, Way], Artefacts]:
    """A port of one channel stands on the cable of the other's."""
    return lambda subject, way: with_link(
        subject.artefacts, way.source, link=way.destination, linkinfo={"info_kind": kind_name}
    )


def tagged(subject: Subject, way: Way) -> Artefacts:
    """A port that is one by itself by the policy is a VLAN of the other channel's cable."""
    data = {"protocol": "802.1Q", "id": 10, "flags": ["REORDER_HDR"]}
    return with_link(
        subject.artefacts, way.source, link=way.destination, linkinfo={"info_kind": "vlan", "info_data": data}
    )


def cabled(subject: Subject, way: Way) -> Artefacts:
    """Two ports are the ends of one virtual cable."""
    edited = with_link(subject.artefacts, way.source, link=way.destination, linkinfo={"info_kind": "veth"})
    return with_link(edited, way.destination, link=way.source, linkinfo={"info_kind": "veth"})


def in_a_tunnel(name: str) -> Callable[[Subject, str], Artefacts]:
    """What leaves by the port travels in packets of the device itself, over whichever line they take."""
    return lambda subject, port: with_link(subject.artefacts, port, linkinfo={"info_kind": name})


def in_vrf(subject: Subject, port: str) -> Artefacts:
    edited = with_port(subject.artefacts, "red", linkinfo={"info_kind": "vrf", "info_data": {"table": 100}})
    return with_link(edited, port, master="red")


def _trunk(edit: Callable[[Artefacts], Artefacts]) -> Callable[[Subject], Iterable[Place]]:
    return lambda subject: [Place("trunk0", lambda: edit(subject.artefacts))] if "trunk" in subject.name else []


def _dialled(edit: Callable[[Artefacts], Artefacts]) -> Callable[[Subject], Iterable[Place]]:
    return lambda subject: [Place("eth1", lambda: edit(subject.artefacts))] if "dialled" in subject.name else []


def open_carrier(carrier: str) -> Callable[[Subject], Iterable[Place]]:
    """What comes in without a tag, or beside the session, is dropped no more, and led to each port."""

    def places(subject: Subject) -> Iterable[Place]:
        if not any(link["ifname"] == carrier for link in json.loads(subject.artefacts["ip-link.json"])):
            return
        reached_ports = subject.ports if carrier == "trunk0" else subject.of("wan")
        for port, family in product(reached_ports, (4, 6)):
            if port == carrier:
                continue
            way = Way(carrier, port, family)
            yield Place(str(way), lambda way=way: with_rule(subject.led(way), [*ends(way), ACCEPT]), way)  # type: ignore[misc]

    return places


def retagged(tag: int, **more: Any) -> Edit:
    data = {"protocol": "802.1Q", "id": tag, "flags": ["REORDER_HDR"], **more}
    return lambda artefacts: with_link(artefacts, "clerks0", linkinfo={"info_kind": "vlan", "info_data": data})


def addressed(carrier: str) -> Edit:
    def change(links: list[dict[str, Any]]) -> None:
        next(link for link in links if link["ifname"] == carrier)["addr_info"].append(OWN)

    return lambda artefacts: edit_json(artefacts, "ip-addr.json", change)


def gone(subject: Subject, port: str) -> Artefacts:
    def without(links: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [link for link in links if link["ifname"] != port]

    return edit_json(edit_json(subject.artefacts, "ip-link.json", without), "ip-addr.json", without)


def looping(subject: Subject, port: str) -> Artefacts:
    return with_link(subject.artefacts, port, flags=["LOOPBACK", "UP", "LOWER_UP"])


def down(subject: Subject, port: str) -> Artefacts:
    return with_link(subject.artefacts, port, flags=["BROADCAST", "UP"])


UNKNOWN: tuple[tuple[str, str, Places], ...] = (
    ("a bond", "over ports of both channels", in_each_pair(joined("bond"))),
    ("a bridge with chains", "whose chains are not modelled", in_each_pair(joined("bridge", filtered=True))),
    ("a port of a port", "a member of a bridge that is a port of the other channel", in_each_pair(enslaved("bridge"))),
    ("a member of a bond", "that is a port of the other channel", in_each_pair(enslaved("bond"))),
    ("a shared cable", "macvlan", in_each_pair(shared("macvlan"))),
    ("a shared cable of IP", "ipvlan", in_each_pair(shared("ipvlan"))),
    ("a VLAN of the other channel's cable", "instead of a port", in_each_pair(tagged)),
    ("a virtual cable", "from one channel to the other", in_each_pair(cabled)),
    *((f"a port in a tunnel, {name}", "over any line", at_ports(in_a_tunnel(name))) for name in ("wireguard", "vxlan")),
    ("a tether", "a telephone or a modem", strange_ports(*TETHERS)),
    ("Wi-Fi", "a radio of the device", strange_ports(*WIRELESS)),
    ("a tunnel", "of each kind", strange_ports(*TUNNELS)),
    ("another port", "that the inventory does not know", strange_ports(*OTHERS)),
    ("a port that is gone", "the policy's port is not on the device", at_ports(gone)),
    ("a port that was down", "its routes were not to be seen", at_ports(down)),
    ("a VRF", "routes of its own", at_ports(in_vrf)),
    ("a loopback", "that a port calls itself", at_ports(looping)),
    ("another VLAN than the policy's", "the tags of a trunk", lambda subject: _trunk(retagged(20))(subject)),
    ("a VLAN of another kind", "802.1ad", _trunk(retagged(10, protocol="802.1ad"))),
    ("a VLAN of another cable", "of the WAN's line", _trunk(lambda a: with_link(a, "clerks0", link="wan0"))),
    ("a trunk with addresses", "of its own", _trunk(addressed("trunk0"))),
    ("a trunk in a bridge", "what has no tag goes there too", _trunk(lambda a: with_link(a, "trunk0", master="wan0"))),
    ("a line with addresses", "beside the session that is dialled over it", _dialled(addressed("eth1"))),
    (
        "a session over another port",
        "a LAN of the other channel",
        _dialled(lambda a: {**a, "pppoe.txt": a["pppoe.txt"].replace(b"eth1", b"clerks0")}),
    ),
    (
        "a session that is none",
        "a plain port instead",
        _dialled(lambda a: with_link(a, "inet0", linkinfo={"info_kind": "veth"})),
    ),
)


KINDS = (
    Kind("a bridge", "over ports of both channels, or of two zones", bridged, Verdict.VIOLATED),
    Kind("untagged frames", "of a trunk are let through", open_carrier("trunk0"), Verdict.VIOLATED),
    Kind("frames beside a session", "of a dialled line are let through", open_carrier("eth1"), Verdict.VIOLATED),
    *(Kind(name, does, places, Verdict.UNKNOWN) for name, does, places in UNKNOWN),
)
