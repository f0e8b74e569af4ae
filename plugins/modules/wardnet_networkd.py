#!/usr/bin/python
"""Holds the running addresses, routes and policy rules to what systemd-networkd's files intend."""

from __future__ import annotations

import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_kernel import (
    Address,
    Difference,
    Intent,
    Route,
    Rule,
    Running,
    compare,
    parse_addresses,
    parse_carrier,
    parse_routes,
    parse_rules,
    read_intent,
)

DOCUMENTATION = r"""
module: wardnet_networkd
short_description: Hold addresses, routing tables and policy rules to what is intended
version_added: "0.1.0"
description:
  - Compares what the kernel runs with the intended ports, tables and rules. What systemd-networkd leaves alone,
    such as a rule added by hand, is found too.
  - What is foreign is deleted, what is missing is brought back by networkd, link by link; the connection that
    the module came in on survives, since new rules stand before old routes go.
  - A port that is not there or has no link is not missed. It is named in RV(without_link).
options:
  gateway:
    description: >-
      The compiled record of the gateway; C(ports), C(tables) and C(rules) of it are read.
    type: dict
    required: true
  channel:
    description: Whose ports, table and rules to hold.
    type: str
    required: true
  hold_main:
    description: Holds the main table as well, to being empty, and the rule that leads neighbours' addresses to it.
    type: bool
    default: false
  reload:
    description: Whether networkd's files have just changed.
    type: bool
    default: false
  settle:
    description: Seconds within which the kernel must have come to what is intended.
    type: int
    default: 30
attributes:
  check_mode:
    description: Compares and changes nothing.
    support: full
  diff_mode:
    description: Shows what is missing and what is foreign, in the words of ip(8).
    support: full
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Hold the ports of the WAN channel
  wardnet_networkd:
    gateway: "{{ wardnet_gateway }}"
    channel: wan
    hold_main: true
"""

RETURN = r"""
missing:
  description: What the kernel did not have.
  returned: always
  type: list
  elements: str
foreign:
  description: What it had beyond that.
  returned: always
  type: list
  elements: str
without_link:
  description: Ports that are not there or have no link, and so could not be checked.
  returned: always
  type: list
  elements: str
"""

IP = "/usr/sbin/ip"
NETWORKCTL = "/usr/bin/networkctl"
SYSTEMCTL = "/usr/bin/systemctl"
NETWORKD = "systemd-networkd.service"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "gateway": {"type": "dict", "required": True},
            "channel": {"type": "str", "required": True},
            "hold_main": {"type": "bool", "default": False},
            "reload": {"type": "bool", "default": False},
            "settle": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    intent = read_intent(*(module.params[name] for name in ("gateway", "channel", "hold_main")))
    running = read(module)
    difference = compare(running, intent)
    stopped = module.run_command([SYSTEMCTL, "is-active", "--quiet", NETWORKD])[0] != 0
    changed = bool(difference.missing or difference.foreign) or stopped
    if (changed or module.params["reload"]) and not module.check_mode:
        heal(module, intent, difference, stopped)
        running = read(module)
    module.exit_json(
        changed=changed,
        missing=[str(item) for item in difference.missing],
        foreign=[str(item) for item in difference.foreign],
        without_link=sorted(intent.ports - running.carrier),
        diff={"before": lines(difference.foreign), "after": lines(difference.missing)},
    )


def read(module: AnsibleModule) -> Running:
    links = ip(module, "-N", "-j", "address", "show")
    addresses, tentative = parse_addresses(links)
    routes, rules = set(), set()
    for family in (4, 6):
        routes |= parse_routes(ip(module, "-N", "-j", f"-{family}", "route", "show", "table", "all"), family)
        rules |= parse_rules(ip(module, "-N", "-j", f"-{family}", "rule", "show"), family)
    return Running(addresses, tentative, frozenset(routes), frozenset(rules), parse_carrier(links))


def heal(module: AnsibleModule, intent: Intent, first: Difference, stopped: bool) -> None:
    """Reloads networkd, then closes what gap is left: foreign things by ip(8), missing ones link by link."""
    if stopped:
        systemd(module, SYSTEMCTL, "enable", "--now", NETWORKD)
    if module.params["reload"] or first.missing:
        systemd(module, NETWORKCTL, "reload")
    begun = time.monotonic()
    reconfigure_at = begun + (2 if module.params["reload"] else 0)
    while True:
        running = read(module)
        difference = compare(running, intent)
        if not difference:
            return
        now = time.monotonic()
        if now > begun + module.params["settle"]:
            module.fail_json(
                msg="the kernel does not come to what is intended: see missing, foreign and not_usable",
                missing=[str(item) for item in difference.missing],
                foreign=[str(item) for item in difference.foreign],
                not_usable=[str(item) for item in difference.waiting],
            )
        # What is new stands before what is old goes: the way back to the controller may be among it.
        if difference.missing and (now >= reconfigure_at or len(difference.in_the_way) == len(difference.missing)):
            for item in difference.in_the_way:
                delete(module, item)
            links = sorted({link_of(item) for item in difference.missing} & (running.carrier | {"lo"}))
            systemd(module, NETWORKCTL, "reconfigure", *links)
            reconfigure_at = now + 5
        elif not difference.missing:
            for item in difference.foreign:
                delete(module, item)
        time.sleep(0.2)


def link_of(item: Address | Route | Rule) -> str:
    """The link whose file brings the item; rules and unreachable routes stand in the loopback's."""
    return "lo" if isinstance(item, Rule) else item.port or "lo"


def delete(module: AnsibleModule, item: Address | Route | Rule) -> None:
    if isinstance(item, Address):
        command = ["address", "del", item.address, "dev", item.port]
    elif isinstance(item, Rule):
        # by priority alone, since a rule may select by anything; the known ones of that priority come back
        command = [f"-{item.family}", "rule", "del", "priority", str(item.priority), "table", str(item.table)]
        for word, value in (("from", item.source), ("to", item.destination)):
            command += [word, value] if value else []
        for word, value in (("iif", item.incoming), ("oif", item.outgoing)):
            command += [word, value] if value else []
    else:
        command = [f"-{item.family}", "route", "del"]
        command += ["unreachable"] if item.unreachable else []
        command += [item.destination, "table", str(item.table), "metric", str(item.metric)]
        command += ["via", item.via] if item.via else []
        command += ["dev", item.port] if item.port else []
    code, _, err = module.run_command([IP, *command])
    if code != 0 and "No such" not in err:
        module.fail_json(msg=f"ip {' '.join(command)}: {err.strip()}")


def ip(module: AnsibleModule, *arguments: str) -> str:
    code, out, err = module.run_command([IP, *arguments])
    if code != 0:
        module.fail_json(msg=f"ip {' '.join(arguments)}: {err.strip()}")
    return str(out)


def systemd(module: AnsibleModule, *command: str) -> None:
    code, _, err = module.run_command(list(command))
    if code != 0:
        module.fail_json(msg=f"{' '.join(command)}: {err.strip()}")


def lines(items: tuple[Address | Route | Rule, ...]) -> str:
    return "".join(f"{item}\n" for item in items)


if __name__ == "__main__":
    main()
