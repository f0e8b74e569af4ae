"""Many wards out of one: the artefacts and the policy of a really configured gateway (tests/unit/fixtures/buoi-gw),
each ward with addresses of its own, and with the rules and conduits of its template added."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

from bench.rules import added_to, conduit, district_rule, made
from wardnet.model.intent import IPNetwork
from wardnet.model.policy import DevicePolicy

Artefacts = dict[str, bytes]
Made = tuple[DevicePolicy, Artefacts]

MOST = 3500  # so many networks of 256 addresses there are for clerks, below all that the district has of its own
_WAN = re.compile(r"10\.16\.0\.0(/|\",\s*\"len\":\s*)12")  # its networks, as people and as nft write them


def wards(policy: DevicePolicy, artefacts: Artefacts, count: int, templates: int) -> list[Made]:
    """`count` wards, in turn of each template: the first has no rule added, the second one, and so on."""
    found = [template(policy, artefacts, number) for number in range(templates)]
    return [moved(*found[number % templates], number + 1) for number in range(count)]


def template(policy: DevicePolicy, artefacts: Artefacts, rules: int) -> Made:
    """With so many rules and their conduits added, other ones for each number."""
    found = made(rules, district_rule)
    conduits = tuple(conduit(number, rule) for number, rule in found)
    return replace(policy, conduits=(*policy.conduits, *conduits)), added_to(artefacts, found)


def moved(policy: DevicePolicy, artefacts: Artefacts, number: int) -> Made:
    """The ward with another number, from 1 to MOST: its LANs have other addresses, in the same order among all that its
    rules and routes name."""
    text = _addresses(number)

    def network(one: IPNetwork) -> IPNetwork:
        return ip_network(text(str(one)))

    def networks(found: tuple[IPNetwork, ...]) -> tuple[IPNetwork, ...]:
        return tuple(network(one) for one in found)

    return replace(
        policy, device=f"ward-{number}-gw", ward=f"ward-{number}", site=f"ward-{number}-office",
        ports=tuple(replace(port, prefixes=networks(port.prefixes)) for port in policy.ports),
        conduits=tuple(
            replace(one, senders=networks(one.senders), receivers=networks(one.receivers),
                    not_senders=networks(one.not_senders), not_receivers=networks(one.not_receivers))
            for one in policy.conduits
        ),
        grants=tuple(replace(one, sender=network(one.sender), receiver=network(one.receiver)) for one in policy.grants),
    ), {name: text(content.decode()).encode() for name, content in artefacts.items()}  # fmt: skip


def _addresses(number: int) -> Callable[[str], str]:
    """What exchanges the addresses of the ward's LANs in a text. Management networks, and those of citizens and
    visitors, are used again after some hundred wards: no rule of another ward names them."""
    if not 1 <= number <= MOST:
        raise ValueError(f"a ward's number is from 1 to {MOST}, not {number}")
    table = {
        "10.20.1.": f"10.{number // 256}.{number % 256}.",
        "10.30.1.": f"10.30.{1 + number % 199}.",
        "172.20.1.": f"172.20.{1 + number % 250}.",
        "172.21.1.": f"172.21.{1 + number % 250}.",
        "fd20:20:1:": f"fd20:20:{0x1000 + number:x}:",
        "fd20:30:1:": f"fd20:30:{0x1000 + number:x}:",
        "2001:db8:20:1:": f"2001:db8:20:{number:x}:",
        "2001:db8:21:1:": f"2001:db8:21:{number:x}:",
    }
    found = re.compile(r"(?<![0-9a-f.:])(" + "|".join(map(re.escape, table)) + ")")
    return lambda text: _WAN.sub(r"10.0.0.0\g<1>8", found.sub(lambda match: table[match[1]], text))
