#!/usr/bin/python
"""Holds addresses, routes and policy rules to what is intended, on disk and in the running kernel."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_bundle import ARGUMENTS, Bundle, BundleError, Change, read_bundle
from ansible.module_utils.wardnet_kernel import (
    Address,
    Difference,
    Intent,
    Item,
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
from ansible.module_utils.wardnet_rollback import FOLDER, Rollback

DOCUMENTATION = r"""
module: wardnet_networkd
short_description: Hold addresses, routing tables and policy rules to what is intended
version_added: "0.1.0"
description:
  - Installs systemd-networkd's files for one channel, and compares what the kernel runs with the intended ports,
    table and rules. What networkd leaves alone, such as a rule added by hand, is found too.
  - What is missing is brought by networkd, link by link; what is foreign is deleted after that, so that the way
    back to the controller is there before the old one goes.
  - A change is armed, made, and confirmed over a new connection. Where nobody confirms, the host goes back to its
    former files, routes and rules by itself.
  - A port that is not there or has no link is not missed. It is named in RV(without_link).
options:
  gateway:
    description: The compiled record of the gateway; C(ports), C(tables) and C(rules) of it are read.
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
  folder:
    description: Where networkd's files are; kept aside until a change is confirmed.
    type: str
    default: /etc/systemd/network
  settle:
    description: Seconds within which the kernel must have come to what is intended.
    type: int
    default: 30
  confirm_within:
    description: Seconds within which a change must be confirmed over a new connection; 0 asks for none.
    type: int
    default: 60
  confirmed:
    description: Set by the action plugin on its new connection.
    type: bool
    default: false
extends_documentation_fragment: wardnet_bundle
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Hold the ports of the WAN channel
  wardnet_networkd:
    gateway: "{{ wardnet_gateway }}"
    channel: wan
    hold_main: true
    files:
      - path: /etc/systemd/network/10-wardnet-wan-{name}.network
        template: etc/systemd/network/port.network.j2
        each: "{{ wardnet_gateway.ports | selectattr('channel', 'eq', 'wan') }}"
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
changed_paths:
  description: Files that differed.
  returned: always
  type: list
  elements: str
armed:
  description: Whether the change waits for its confirmation.
  returned: always
  type: bool
"""

IP = "/usr/sbin/ip"
NETWORKCTL = "/usr/bin/networkctl"
SYSTEMCTL = "/usr/bin/systemctl"
NETWORKD = "systemd-networkd.service"
ARMED = "network"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "gateway": {"type": "dict", "required": True},
            "channel": {"type": "str", "required": True},
            "hold_main": {"type": "bool", "default": False},
            "folder": {"type": "str", "default": "/etc/systemd/network"},
            "settle": {"type": "int", "default": 30},
            "confirm_within": {"type": "int", "default": 60},
            "confirmed": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if module.params["confirmed"]:
        Rollback(module, ARMED).confirm()
        module.exit_json(changed=True, armed=False)
    try:
        bundle = read_bundle(module.params["files"], module.params["directories"], module.check_mode)
        changes = bundle.changes()
    except (BundleError, OSError) as error:
        module.fail_json(msg=str(error))
    intent = read_intent(*(module.params[name] for name in ("gateway", "channel", "hold_main")))
    running = read(module)
    difference = compare(running, intent)
    stopped = module.run_command([SYSTEMCTL, "is-active", "--quiet", NETWORKD])[0] != 0
    changed = bool(changes or difference.missing or difference.foreign or stopped)
    armed = False
    if changed and not module.check_mode:
        armed = arm(module, intent, difference)
        if stopped:
            run(module, SYSTEMCTL, "enable", "--now", NETWORKD)
        install(module, bundle, changes)
        running = heal(module, intent, bool(changes))
    module.exit_json(
        changed=changed,
        armed=armed,
        missing=[str(item) for item in difference.missing],
        foreign=[str(item) for item in difference.foreign],
        without_link=sorted(intent.ports - running.carrier),
        changed_paths=[str(change.path) for change in changes],
        diff=[
            *(change.as_diff() for change in changes),
            {
                "before_header": "running addresses, routes and rules",
                "after_header": "intended addresses, routes and rules",
                "before": lines(difference.foreign),
                "after": lines(difference.missing),
            },
        ],
    )


def read(module: AnsibleModule) -> Running:
    links = run(module, IP, "-N", "-j", "address", "show")
    addresses, tentative = parse_addresses(links)
    routes: set[Route] = set()
    rules: set[Rule] = set()
    for family in (4, 6):
        routes |= parse_routes(run(module, IP, "-N", "-j", f"-{family}", "route", "show", "table", "all"), family)
        rules |= parse_rules(run(module, IP, "-N", "-j", f"-{family}", "rule", "show"), family)
    return Running(addresses, tentative, frozenset(routes), frozenset(rules), parse_carrier(links))


def arm(module: AnsibleModule, intent: Intent, difference: Difference) -> bool:
    """Keeps the former files aside, and has the host go back to them and to what is about to be deleted."""
    seconds = module.params["confirm_within"]
    if not seconds:
        return False
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    folder, former = Path(module.params["folder"]), FOLDER / "network-before"
    shutil.rmtree(former, ignore_errors=True)
    if folder.is_dir():
        shutil.copytree(folder, former, symlinks=True)
    else:
        former.mkdir()
    back = [["/usr/bin/rm", "-rf", str(folder)], ["/usr/bin/cp", "-a", str(former), str(folder)]]
    back += [[NETWORKCTL, "reload"], [NETWORKCTL, "reconfigure", "lo", *sorted(intent.ports)]]
    back += [["/usr/bin/sleep", "1"], *(command_for(item, "add") for item in difference.foreign)]
    Rollback(module, ARMED).arm(back, seconds)
    return True


def install(module: AnsibleModule, bundle: Bundle, changes: list[Change]) -> None:
    try:
        bundle.install(changes)
    except (BundleError, OSError) as error:
        module.fail_json(msg=str(error))


def heal(module: AnsibleModule, intent: Intent, files_changed: bool) -> Running:
    """Reloads networkd, then closes what gap is left: missing things link by link, foreign ones by ip(8)."""
    run(module, NETWORKCTL, "reload")
    begun = time.monotonic()
    reconfigure_at = begun + (2 if files_changed else 0)  # a reload takes up changed files by itself
    while True:
        running = read(module)
        difference = compare(running, intent)
        if not difference:
            return running
        now = time.monotonic()
        if now > begun + module.params["settle"]:
            module.fail_json(
                msg="the kernel does not come to what is intended: see missing, foreign and not_usable",
                missing=[str(item) for item in difference.missing],
                foreign=[str(item) for item in difference.foreign],
                not_usable=[str(item) for item in difference.waiting],
            )
        if difference.missing and (now >= reconfigure_at or len(difference.in_the_way) == len(difference.missing)):
            for item in difference.in_the_way:
                delete(module, item)
            links = sorted({link_of(item) for item in difference.missing} & (running.carrier | {"lo"}))
            run(module, NETWORKCTL, "reconfigure", *links)
            reconfigure_at = now + 5
        elif not difference.missing:
            for foreign in difference.foreign:
                delete(module, foreign)
        time.sleep(0.2)


def link_of(item: Item) -> str:
    """The link whose file brings the item; rules and unreachable routes stand in the loopback's."""
    return "lo" if isinstance(item, Rule) else item.port or "lo"


def delete(module: AnsibleModule, item: Item) -> None:
    code, _, err = module.run_command(command_for(item, "del"))
    if code != 0 and "No such" not in err and "Cannot assign" not in err:
        module.fail_json(msg=f"{item} cannot be deleted: {err.strip()}")


def command_for(item: Item, verb: str) -> list[str]:
    """The ip(8) command that adds or deletes the item, as far as its fields say what it is."""
    if isinstance(item, Address):
        return [IP, "address", verb, item.address, "dev", item.port]
    selectors: tuple[tuple[str, str], ...]
    if isinstance(item, Rule):
        words = [IP, f"-{item.family}", "rule", verb, "priority", str(item.priority), "table", str(item.table)]
        selectors = (("from", item.source), ("to", item.destination), ("iif", item.incoming), ("oif", item.outgoing))
    else:
        words = [IP, f"-{item.family}", "route", verb, *(["unreachable"] if item.unreachable else [])]
        words += [item.destination, "table", str(item.table), "metric", str(item.metric)]
        selectors = (("via", item.via), ("dev", item.port))
    return [*words, *(part for word, value in selectors if value for part in (word, value))]


def run(module: AnsibleModule, *command: str) -> str:
    code, out, err = module.run_command(list(command))
    if code != 0:
        module.fail_json(msg=f"{' '.join(command)}: {err.strip()}")
    return str(out)


def lines(items: tuple[Item, ...]) -> str:
    return "".join(f"{item}\n" for item in items)


if __name__ == "__main__":
    main()
