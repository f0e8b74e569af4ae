"""What runs of a host's addresses, routes, policy rules and links: asked of ip(8), few processes for all of it, and
handed to what reads its words (wardnet_kernel.py, wardnet_links.py). Standard library only.
"""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.wardnet_host import IP, Host
from ansible.module_utils.wardnet_kernel import (
    Running,
    parse_addresses,
    parse_carrier,
    parse_members,
    parse_neighbours,
    parse_routes,
    parse_rules,
)
from ansible.module_utils.wardnet_links import Link, parse_links


def look(host: Host) -> tuple[Running, dict[str, Link]]:
    """What runs, and which links there are. Two processes: one a family."""
    both = ("address show", "route show table all", "rule show", "neigh show nud permanent", "neigh show proxy")
    links, *four = batch(host, "-4", "link show", *both)
    six = batch(host, "-6", *both)
    (plain, tentative), (plain6, tentative6) = (parse_addresses(json.dumps(family[0])) for family in (four, six))
    running = Running(
        addresses=plain | plain6,
        tentative=tentative | tentative6,
        routes=parse_routes(json.dumps(four[1]), 4) | parse_routes(json.dumps(six[1]), 6),
        rules=parse_rules(json.dumps(four[2]), 4) | parse_rules(json.dumps(six[2]), 6),
        carrier=parse_carrier(json.dumps(links)),
        members=parse_members(json.dumps(links)),
        neighbours=frozenset().union(*(parse_neighbours(json.dumps(one)) for one in (*four[3:], *six[3:]))),
    )
    return running, parse_links(links)


def batch(host: Host, family: str, *commands: str) -> list[list[dict[str, Any]]]:
    """What each command of ip(8) tells, as `-j` has it."""
    text = host.run([IP, "-N", "-j", family, "-batch", "-"], "\n".join([*commands, ""]))
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text) and len(found) < len(commands):
        if text[at].isspace():
            at += 1
            continue
        value, at = decoder.raw_decode(text, at)
        found.append(value)
    return found + [[]] * (len(commands) - len(found))


def describe_links(host: Host) -> list[dict[str, Any]]:
    """All links with what is said of their kind alone."""
    return list(json.loads(host.run([IP, "-d", "-j", "link", "show"]) or "[]"))
