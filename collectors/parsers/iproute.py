"""`ip -j link`, `addr`, `rule` and `route` to links, addresses, the routing policy and its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import (
    IPv4Interface,
    IPv4Network,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_interface,
    ip_network,
)
from itertools import pairwise
from typing import Any

from collectors.parsers.artefact import Artefact, Item
from collectors.parsers.nft_values import PROTOCOLS
from wardnet.model.device import KernelRoute, Link, NextHop, PolicyRule, RouteType, RuleAction
from wardnet.model.intent import IPAddress, IPNetwork
from wardnet.model.packet import (
    Field,
    InPort,
    InRanges,
    Masked,
    Not,
    Open,
    OutPort,
    Predicate,
    all_of,
    equals,
)

_NAMED_TABLES = {"local": "255", "main": "254", "default": "253"}


def table_number(name: str) -> str:
    """A table by its number, where it has one: `main` and `254` are the same table. A name of the device's own
    (/etc/iproute2/rt_tables) stands for itself, since rules and routes are both printed with it."""
    return _NAMED_TABLES.get(name, name)


def parse_links(artefact: Artefact) -> tuple[Link, ...]:
    """`ip -j -d link show`."""
    found: dict[str, Link] = {}
    for index, record in enumerate(artefact.records()):
        item = Item(artefact, f"item {index}", record)
        name = item.string("ifname")
        if name in found:
            artefact.fail(item.where, f"interface {name} stands twice")
        flags = item.strings("flags")
        kind, vlan = _kind(item)
        parent = record.get("link")
        if parent is not None and not isinstance(parent, str):
            artefact.fail(item.where, f"'link' must be a text, not {parent!r}")
        found[name] = Link(
            artefact.span(name),
            name,
            kind,
            up="UP" in flags,
            carrier="LOWER_UP" in flags,
            master=item.optional_string("master"),
            loopback="LOOPBACK" in flags,
            program="xdp" in record or "prog" in record,
            parent=parent,  # of veth the other end, where that is a port of this device too
            vlan=vlan,
            bus=str(record.get("parentbus", "")),
            filters=_filters(item),
        )
    return tuple(found.values())


def _kind(item: Item) -> tuple[str, int | None]:
    """What kind of interface it is, and its tag."""
    info = item.values.get("linkinfo", {})
    if not isinstance(info, dict):
        item.fail("'linkinfo' must be an object")
    kind, data = str(info.get("info_kind", "")), info.get("info_data")
    if kind == "vlan" and isinstance(data, dict) and data.get("protocol") == "802.1Q":
        return kind, Item(item.artefact, item.where, data).integer("id", 0, 4094)
    match data:
        case {"type": "tap", "persist": True} if kind == "tun":
            return "tap", None  # a cable whose other end is a program's; one that goes with its program is a tunnel
    return kind, None


def _filters(item: Item) -> str:
    """By which tags a bridge keeps VLANs apart."""
    match item.values.get("linkinfo"):
        case {"info_kind": "bridge", "info_data": {"vlan_filtering": filtering} as data} if filtering not in (0, False):
            return str(data.get("vlan_protocol", "an unknown protocol"))
    return ""


def parse_addresses(artefact: Artefact) -> Mapping[str, tuple[IPv4Interface | IPv6Interface, ...]]:
    """`ip -j addr show`: each interface's addresses."""
    found: dict[str, tuple[IPv4Interface | IPv6Interface, ...]] = {}
    for index, record in enumerate(artefact.records()):
        item = Item(artefact, f"item {index}", record)
        addresses = []
        for entry in item.items("addr_info"):
            if entry.string("family") not in ("inet", "inet6"):
                continue
            try:
                addresses.append(ip_interface((entry.string("local"), entry.integer("prefixlen", 0, 128))))
            except ValueError as error:
                artefact.fail(entry.where, str(error))
        found[item.string("ifname")] = tuple(addresses)
    return found


def listed_addresses(artefact: Artefact) -> Iterator[tuple[str, int, str]]:
    """Each address of `ip -j addr show`: its interface, its number there, and its family."""
    for index, record in enumerate(artefact.records()):
        item = Item(artefact, f"item {index}", record)
        for number, entry in enumerate(item.items("addr_info")):
            yield item.string("ifname"), number, entry.string("family")


def _network(item: Item, text: str, length: int | None, family: int) -> IPNetwork:
    if text in ("default", "all"):
        return IPv4Network("0.0.0.0/0") if family == 4 else IPv6Network("::/0")
    try:
        network = ip_network(text if length is None else f"{text}/{length}")
    except ValueError as error:
        item.fail(str(error))
    if network.version != family:
        item.fail(f"{text} in a list of IPv{family}")
    return network


def _address(item: Item, text: str) -> IPAddress:
    try:
        return ip_address(text)
    except ValueError as error:
        item.fail(str(error))


# --- routes

_ROUTE_KEYS = frozenset(
    {"type", "dst", "dev", "table", "protocol", "scope", "metric", "flags", "gateway", "via", "nexthops", "prefsrc",
     "pref", "src", "metrics", "nhid", "error", "expires", "cache", "preference"}
)  # fmt: skip
_GONE = frozenset({"dead", "linkdown"})


def parse_routes(artefact: Artefact, family: int) -> tuple[KernelRoute, ...]:
    """`ip -j -d route show table all` of one family."""
    return tuple(
        _route(Item(artefact, f"item {index}", record), index, family)
        for index, record in enumerate(artefact.records())
    )


def _route(item: Item, index: int, family: int) -> KernelRoute:
    artefact, record = item.artefact, item.values
    kind = record.get("type", "unicast")
    if not isinstance(kind, str) or kind not in set(RouteType):
        artefact.fail(item.where, f"route of type {kind!r}")
    table = table_number(str(record["table"])) if "table" in record else "254"
    destination = _network(item, item.string("dst"), None, family)
    hops = _next_hops(item)
    reason = None
    strange = record.keys() - _ROUTE_KEYS
    if _is_its_next_hop(record.get("nh_info"), record):
        strange -= {"nh_info"}
    if strange:
        reason = f"route with {', '.join(sorted(strange))}"
    elif family == 6 and "src" in record:
        reason = "route for some sources only"
    elif kind == "unicast" and not hops:
        reason = "route without a port"
    metric = item.integer("metric") if "metric" in record else 0
    span = artefact.span(f"#{index} {item.string('dst')} table {table}")
    prefers = _address(item, item.string("prefsrc")) if "prefsrc" in record else None
    grouped = "nhid" in record
    return KernelRoute(span, table, destination, RouteType(kind), hops, metric, reason, prefers, grouped)


def _is_its_next_hop(info: Any, route: Mapping[str, Any]) -> bool:
    """Whether a next hop object (as FRR makes them) says no more than the route itself: one way, and the same one."""
    if not isinstance(info, dict) or info.keys() - {"id", "gateway", "dev", "scope", "protocol", "flags"}:
        return False
    same = all(info.get(key) == route.get(key) for key in ("gateway", "dev"))
    return same and "dev" in info and info.get("id") == route.get("nhid") and "nexthops" not in route


def _next_hops(item: Item) -> tuple[NextHop, ...]:
    if "nexthops" in item.values:
        return tuple(hop for entry in item.items("nexthops") for hop in _next_hops(entry))
    if "dev" not in item.values:
        return ()
    if _GONE & set(item.strings("flags")) == _GONE:
        return ()
    via = None
    if "gateway" in item.values:
        via = _address(item, item.string("gateway"))
    elif isinstance(item.values.get("via"), dict):
        via = _address(item, str(item.values["via"].get("host", "")))
    return (NextHop(item.string("dev"), via),)


# --- rules

_SELECTORS = frozenset(
    {"priority", "src", "srclen", "dst", "dstlen", "iif", "oif", "fwmark", "fwmask", "table", "not", "action", "goto",
     "suppress_prefixlen", "ipproto", "sport", "sport_start", "sport_end", "dport", "dport_start", "dport_end", "tos",
     "iif_detached", "oif_detached", "protocol", "unresolved", "nop", "l3mdev"}
)  # fmt: skip


def parse_rules(artefact: Artefact, family: int) -> tuple[PolicyRule, ...]:
    """`ip -j rule show` of one family, in order of priority. A family without any rule is an error: the kernel
    starts with three."""
    rules = [
        _policy_rule(Item(artefact, f"item {index}", record), index, family)
        for index, record in enumerate(artefact.records())
    ]
    if not rules:
        artefact.fail("offset 0", "no rule at all")
    if any(later.priority < earlier.priority for earlier, later in pairwise(rules)):
        artefact.fail("offset 0", "rules are not in order of priority")
    return tuple(rules)


def _policy_rule(item: Item, index: int, family: int) -> PolicyRule:
    record = item.values
    priority = item.integer("priority")
    span = item.artefact.span(f"#{index} priority {priority}")
    terms: list[Predicate] = []
    for key, field in (("src", Field.SOURCE), ("dst", Field.DESTINATION)):
        if key in record and record[key] != "all":
            network = _network(item, item.string(key), _length(item, f"{key}len", family), family)
            terms.append(InRanges(field, ((int(network[0]), int(network[-1])),)))
    for key, side in (("iif", InPort), ("oif", OutPort)):
        if key in record:
            terms.append(side((item.string(key),)))
    if "fwmark" in record:
        terms.append(Masked(Field.MARK, *_mark(item)))
    if "ipproto" in record:
        terms.append(_protocol(item))
    for key, field in (("sport", Field.SOURCE_PORT), ("dport", Field.DESTINATION_PORT)):
        low, high = record.get(f"{key}_start", record.get(key)), record.get(f"{key}_end", record.get(key))
        if low is not None or high is not None:
            terms.append(InRanges(field, ((_number(item, low), _number(item, high)),)))
    strange = sorted(record.keys() - _SELECTORS | record.keys() & {"tos"})
    if strange:
        terms.append(Open(span, f"rule that selects by {', '.join(strange)}"))
    selector: Predicate = all_of(*terms)
    if "not" in record:
        selector = Not(selector)
    return _acting(item, span_text(record), PolicyRule(span, priority, selector, RuleAction.NOTHING))


def _acting(item: Item, text: str, rule: PolicyRule) -> PolicyRule:
    record = item.values
    action, table, goto = RuleAction.NOTHING, "", 0
    if "goto" in record:
        action, goto = RuleAction.GOTO, item.integer("goto")
    elif "action" in record:
        name = item.string("action")
        if name not in ("unreachable", "prohibit", "blackhole", "nop"):
            item.fail(f"rule with action {name!r}")
        action = RuleAction(name)
    elif "nop" in record or "l3mdev" in record:
        pass  # l3mdev finds a table for VRFs only, and a device with one is unknown as a whole
    elif "table" in record:
        action, table = RuleAction.LOOKUP, table_number(item.string("table"))
    else:
        item.fail("rule without table, goto or action")
    suppress = item.integer("suppress_prefixlen", 0, 128) if "suppress_prefixlen" in record else None
    return PolicyRule(rule.span, rule.priority, rule.selector, action, table, goto, suppress, text)


def span_text(record: dict[str, object]) -> str:
    """A rule as `ip rule` words it, for people."""
    words = []
    for key, word in (("src", "from"), ("dst", "to"), ("iif", "iif"), ("oif", "oif"), ("fwmark", "fwmark")):
        if key in record:
            length = record.get(f"{key}len")
            words.append(f"{word} {record[key]}" + (f"/{length}" if length is not None else ""))
    if "table" in record:
        words.append(f"lookup {record['table']}")
    elif "action" in record:
        words.append(str(record["action"]))
    elif "goto" in record:
        words.append(f"goto {record['goto']}")
    return f"{record.get('priority')}: " + " ".join(words)


def _length(item: Item, key: str, family: int) -> int:
    bits = 32 if family == 4 else 128
    return item.integer(key, 0, bits) if key in item.values else bits


def _number(item: Item, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 65536:
        return value
    raise item.error(f"port {value!r}")


def _mark(item: Item) -> tuple[int, int]:
    values = []
    for key in ("fwmask", "fwmark"):
        text = item.values.get(key, "0xffffffff")
        if not isinstance(text, str) or not re.fullmatch(r"0x[0-9a-fA-F]{1,8}|\d{1,10}", text):
            item.fail(f"{key} {text!r}")
        values.append(int(text, 0))
    return values[0], values[1] & values[0]


def _protocol(item: Item) -> Predicate:
    value = item.values["ipproto"]
    if isinstance(value, str) and value.removeprefix("ipproto-").isdigit():
        value = int(value.removeprefix("ipproto-"))
    if isinstance(value, int) and 0 <= value < 256:
        return equals(Field.PROTOCOL, value)
    if isinstance(value, str) and value in PROTOCOLS:
        return equals(Field.PROTOCOL, PROTOCOLS[value])
    raise item.error(f"protocol {value!r}")
