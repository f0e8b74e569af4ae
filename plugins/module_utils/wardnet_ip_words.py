"""Words of ip(8) that add or delete what the kernel runs (wardnet_kernel.py), exactly as it is. Pure. Standard library
only."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.wardnet_host import IP
from ansible.module_utils.wardnet_kernel import Address, Item, Member, Neighbour, Route, Rule

# What numbers of the kernel mean to ip(8).
ACTIONS = {"6": "blackhole", "7": "unreachable", "8": "prohibit"}
TYPES = {2: "local", 3: "broadcast", 4: "anycast", 5: "multicast", 6: "blackhole", 8: "prohibit", 9: "throw"}
METRICS = ("mtu", "advmss", "hoplimit", "initcwnd", "initrwnd", "reordering", "window")


class NoWordsError(Exception):
    """The item has something that is not known here: its command would add or delete another one."""


def command_for(item: Item, verb: str) -> list[str]:
    """The command that brings (`add`, `replace`) the item as it runs, or takes it away (`del`); NoWordsError where
    there is none."""
    if isinstance(item, Address):
        plain = ["noprefixroute"] if verb != "del" and not item.own_route else []
        return [IP, "address", verb, item.address, "dev", item.port, *plain]
    if isinstance(item, Member):
        return [IP, "link", "set", "dev", item.port, *(["nomaster"] if verb == "del" else ["master", item.vrf])]
    if isinstance(item, Neighbour):
        where = [item.address, "dev", item.port] if item.mac else ["proxy", item.address, "dev", item.port]
        return [
            IP,
            "neigh",
            verb,
            *where,
            *(["lladdr", item.mac, "nud", "permanent"] if verb != "del" and item.mac else []),
        ]
    if isinstance(item, Rule):
        return _rule(item, verb)
    return _route(item, verb)


def is_exact(item: Item) -> bool:
    """Whether there is a command that brings it back."""
    try:
        command_for(item, "add")
    except NoWordsError:
        return False
    return True


def _rule(rule: Rule, verb: str) -> list[str]:
    words = [IP, f"-{rule.family}", "rule", verb, "priority", str(rule.priority)]
    words += ["table", str(rule.table)] if rule.table else []
    selectors = (("from", rule.source), ("to", rule.destination), ("iif", rule.incoming), ("oif", rule.outgoing))
    words += [part for word, value in selectors if value for part in (word, value)]
    words += _rule_words(json.loads(rule.other or "{}"), str(rule))
    # The kernel takes the same rule a second time where its mark is another; ip(8) shows none where it gives none.
    return [*words, *(["protocol", rule.protocol] if rule.protocol and verb != "del" else [])]


def _rule_words(other: dict[str, Any], said: str) -> list[str]:
    words = []
    if "not" in other:
        words.append("not")
    if "fwmark" in other:
        words += ["fwmark", "/".join(str(other[key]) for key in ("fwmark", "fwmask") if key in other)]
    if "ipproto" in other:
        words += ["ipproto", str(other["ipproto"]).removeprefix("ipproto-")]
    for key in ("sport", "dport"):
        if key in other:
            words += [key, str(other[key])]
        elif f"{key}_start" in other:
            words += [key, f"{other[f'{key}_start']}-{other[f'{key}_end']}"]
    if "uid_start" in other:
        words += ["uidrange", f"{other['uid_start']}-{other['uid_end']}"]
    if "flow_to" in other:
        words += ["realms", "/".join(str(other[key]) for key in ("flow_from", "flow_to") if key in other)]
    for key, word in (("tos", "tos"), ("suppress_prefixlen", "suppress_prefixlength"),
                      ("suppress_ifgroup", "suppress_ifgroup"), ("goto", "goto")):  # fmt: skip
        words += [word, str(other[key])] if key in other else []
    words += [key for key in ("l3mdev", "nop") if key in other]
    if "action" in other:
        words.append(_known(ACTIONS, str(other["action"]), said))
    _no_more(set(other) - _RULE, said)
    return words


_RULE = {"not", "fwmark", "fwmask", "ipproto", "sport", "sport_start", "sport_end", "dport", "dport_start", "dport_end",
         "uid_start", "uid_end", "flow_from", "flow_to", "tos", "suppress_prefixlen", "suppress_ifgroup", "goto",
         "l3mdev", "nop", "action"}  # fmt: skip


def _route(route: Route, verb: str) -> list[str]:
    other = json.loads(route.other or "{}")
    kind = ["unreachable"] if route.unreachable else []
    if "type" in other:
        kind = [_known(TYPES, int(other["type"]), str(route))]
    words = [IP, f"-{route.family}", "route", verb, *kind]
    words += [route.destination, "table", str(route.table), "metric", str(route.metric)]
    if "tos" in other:
        words += ["tos", str(other["tos"])]
    if verb != "del":
        # Addresses bring no route of their own, so that no neighbour is known to be on the link.
        words += ["onlink"] if route.via and route.port else []
        words += ["protocol", route.protocol or "static"]  # as networkd's own are marked
        words += ["src", route.source] if route.source else []
        words += ["expires", str(other["expires"])] if "expires" in other else []
        words += [
            str(word) for one in other.get("metrics", []) for pair in one.items() for word in _metric(pair, route)
        ]
    words += [part for word, value in (("via", route.via), ("dev", route.port)) if value for part in (word, value)]
    words += [word for hop in other.get("nexthops", []) for word in _hop(hop, route)]
    # Flags are the kernel's view of the moment; which object holds the next hops, they themselves say.
    _no_more(set(other) - {"type", "tos", "metrics", "nexthops", "flags", "nhid", "expires"}, str(route))
    return words


def _metric(pair: tuple[str, Any], route: Route) -> tuple[str, Any]:
    if pair[0] not in METRICS:
        raise NoWordsError(str(route))
    return pair


def _hop(hop: dict[str, Any], route: Route) -> list[str]:
    _no_more(set(hop) - {"gateway", "dev", "weight", "flags"}, str(route))
    words = ["nexthop"]
    for key, word in (("gateway", "via"), ("dev", "dev"), ("weight", "weight")):
        words += [word, str(hop[key])] if key in hop else []
    return [*words, *(["onlink"] if "gateway" in hop and "dev" in hop else [])]


def _known(names: dict[Any, str], key: Any, said: str) -> str:
    if key not in names:
        raise NoWordsError(said)
    return names[key]


def _no_more(left: set[str], said: str) -> None:
    if left:
        raise NoWordsError(said)
