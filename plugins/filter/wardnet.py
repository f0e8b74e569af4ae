"""Filters for the roles' templates, over the plain records that the inventory plugin hands out."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import collapse_addresses, ip_interface, ip_network
from typing import Any

EVERYTHING = ("0.0.0.0/0", "::/0")
COMMENT_BYTES = 120  # nft takes 128, with what ends them


def of_family(prefixes: Iterable[str], family: int) -> list[str]:
    """Those of the prefixes that are IPv4 (4) or IPv6 (6), merged where they overlap, since nftables would merge
    them too and print another set than it was given; single hosts without a length. A set of hosts alone it leaves."""
    networks = [network for network in map(ip_network, prefixes) if network.version == family]
    host = "/32" if family == 4 else "/128"
    if all(network.num_addresses == 1 for network in networks):
        return [str(network).removesuffix(host) for network in sorted(set(networks))]  # type: ignore[type-var]
    merged = collapse_addresses(networks)  # type: ignore[type-var]  # all are of one family
    return [str(network).removesuffix(host) for network in merged]


def sources(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """For each port and family which senders are believable: `allowed` prefixes (empty: any) without the
    `denied` ones; of these, what lies behind another port is `beside`. Derived from the port's own routing table, as a
    strict reverse-path check would."""
    table_of = {table["channel"]: table["routes"] for table in gateway["tables"]}
    channel_of = {port["name"]: port["channel"] for port in gateway["ports"]}
    found = []
    for port in gateway["ports"]:
        routes = [route for route in table_of[port["channel"]] if route["destination"] not in EVERYTHING]
        anywhere = {
            ip_network(route["destination"]).version
            for route in table_of[port["channel"]]
            if route["destination"] in EVERYTHING and route["port"] == port["name"]
        }
        behind = [route["destination"] for route in routes if route["port"] == port["name"]]
        elsewhere = [
            route["destination"]
            for route in routes
            if route["port"] != port["name"] and channel_of.get(route["port"], port["channel"]) == port["channel"]
        ]
        beside = [route["destination"] for route in routes if route["destination"] in elsewhere and route["port"]]
        found += [
            {
                "port": port["name"],
                "family": family,
                "allowed": [] if family in anywhere else of_family(behind, family),
                "denied": _within(of_family(elsewhere, family), [] if family in anywhere else behind),
                "beside": _within(of_family(beside, family), [] if family in anywhere else behind),
            }
            for family in (4, 6)
        ]
    return found


def endings(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """For each host at an end of exceptions, when its last one is over: from then on nothing of the other channel's
    `ports` reaches it, not even answers and errors of what began before. With the exception's `id` and `source`."""
    channel_of = {port["name"]: port["channel"] for port in gateway["ports"]}
    last: dict[str, dict[str, Any]] = {}
    for flow in gateway["flows"]:
        for end in (flow["sender"], flow["receiver"]) if flow["expires_at"] else ():
            if end["name"] not in last or last[end["name"]]["expires_at"] < flow["expires_at"]:
                others = [name for name, channel in channel_of.items() if channel != channel_of[end["port"]]]
                last[end["name"]] = {
                    "ports": others,
                    "end": end,
                    "expires_at": flow["expires_at"],
                    "id": flow["id"],
                    "source": flow["source"],
                }
    return [ending for _host, ending in sorted(last.items())]


def endings_within(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """What ends before its hosts are closed by `endings`, since another exception of theirs ends later. For each way of
    each exception's connections: `sender` and `receiver` of the packets, `protocol`, the `key` (sport or dport) that
    has the exception's `ports` (empty: any), and `kept`, the ports of each key that a later one of the same two hosts
    uses."""
    closed = {ending["end"]["name"]: ending["expires_at"] for ending in endings(gateway)}
    crossing = [flow for flow in gateway["flows"] if flow["expires_at"]]
    found = []
    for flow in crossing:
        ends = flow["sender"], flow["receiver"]
        names = (ends[0]["name"], ends[1]["name"])
        later = [each for each in crossing if each["expires_at"] > flow["expires_at"]]
        same = [each for each in later if (each["sender"]["name"], each["receiver"]["name"]) == names]
        back = [each for each in later if (each["receiver"]["name"], each["sender"]["name"]) == names]
        for allow in flow["allow"]:
            renewed = _ports_of(same, allow["protocol"])
            # Echoes are told from their answers by their types, so that those of another exception are let be.
            answered = [] if allow["protocol"] == "icmp" else _ports_of(back, allow["protocol"])
            ports = [port for port in allow["ports"] if port not in (renewed or ())]
            # None: any port. Of these two hosts nothing of the protocol ends yet.
            if renewed is None or answered is None or (allow["ports"] and not ports):
                continue
            kept = [] if allow["ports"] else renewed
            for sender, receiver, key, other in ((*ends, "dport", "sport"), (*reversed(ends), "sport", "dport")):
                if flow["expires_at"] < closed[receiver["name"]]:
                    found.append(
                        {
                            "sender": sender,
                            "receiver": receiver,
                            "protocol": allow["protocol"],
                            "key": key,
                            "ports": ports,
                            "kept": {key: kept, other: answered},
                            "expires_at": flow["expires_at"],
                            "id": flow["id"],
                            "source": flow["source"],
                        }
                    )
    return found


def _ports_of(flows: list[dict[str, Any]], protocol: str) -> list[int] | None:
    """The ports that the flows name of a protocol; None where one of them lets through any. ICMP has no ports."""
    allowed = [allow["ports"] for flow in flows for allow in flow["allow"] if allow["protocol"] == protocol]
    if not all(allowed):
        return None
    return sorted({port for ports in allowed for port in ports})


def apart(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """For each channel of a gateway with several: its `ports`, those of all `others`, and the gateway's own `addresses`
    at those."""
    channels = dict.fromkeys(port["channel"] for port in gateway["ports"])
    found = []
    for channel in channels:
        others = [port for port in gateway["ports"] if port["channel"] != channel]
        addresses = [port[family] for port in others for family in ("ipv4", "ipv6") if port[family]]
        found.append(
            {
                "ports": [port["name"] for port in gateway["ports"] if port["channel"] == channel],
                "others": [port["name"] for port in others],
                "addresses": [str(ip_interface(address).ip) for address in addresses],
            }
        )
    return found if len(found) > 1 else []


def own_addresses(gateway: dict[str, Any]) -> list[str]:
    """The gateway's own addresses at all its ports, as far as they are known beforehand."""
    held = [port[family] for port in gateway["ports"] for family in ("ipv4", "ipv6") if port[family]]
    return [str(ip_interface(address).ip) for address in held]


def comment(words: str, source: str) -> str:
    """What a rule's comment says, in as many bytes as nft takes: what is too long loses the end of its words, and keeps
    the line of the inventory that follows them."""
    room = COMMENT_BYTES - len(source.encode()) - 1
    if room < 1:
        return source.encode()[-COMMENT_BYTES:].decode(errors="ignore")
    return f"{words.encode()[:room].decode(errors='ignore')} {source}"


def _within(prefixes: list[str], outer: list[str]) -> list[str]:
    """Those of the prefixes that lie inside one of `outer`; all of them where `outer` is empty."""
    if not outer:
        return prefixes
    covers = [ip_network(prefix) for prefix in outer]
    return [
        prefix
        for prefix in prefixes
        if any(
            ip_network(prefix).version == cover.version and ip_network(prefix).subnet_of(cover)  # type: ignore[arg-type]
            for cover in covers
        )
    ]


def asked_probes(gateway: dict[str, Any]) -> list[dict[str, Any]]:
    """A gateway's line probes as the engine asks them. The provider's end of an internet line is asked as a neighbour,
    not pinged: the filter lets the gateway speak with what is beyond it, and not with it. (A box may ping it as it was
    delivered, and what it becomes may not, which would be taken for a fault.)"""
    ends = {
        port["name"]: [port[peer] for peer in ("ipv4_peer", "ipv6_peer") if port[peer]] for port in gateway["ports"]
    }
    found = []
    for probe in gateway["line_probes"]:
        if probe["channel"] != "internet":
            found.append(probe)
            continue
        peers = ends[probe["port"]]
        targets = [target for target in probe["targets"] if target not in peers]
        found.append({**probe, "targets": targets, **({"peers": peers} if peers else {})})
    return found


class FilterModule:
    def filters(self) -> dict[str, Any]:
        return {
            "wardnet_of_family": of_family,
            "wardnet_sources": sources,
            "wardnet_endings": endings,
            "wardnet_endings_within": endings_within,
            "wardnet_apart": apart,
            "wardnet_own_addresses": own_addresses,
            "wardnet_comment": comment,
            "wardnet_asked_probes": asked_probes,
        }
