#!/usr/bin/python
"""Holds the running packet filter to a ruleset, and lets the kernel forward only behind it."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_kernel import parse_ruleset

DOCUMENTATION = r"""
module: wardnet_firewall
short_description: Hold the running nftables ruleset and kernel settings to what is intended
version_added: "0.1.0"
description:
  - Loads the ruleset into an empty network namespace and compares what the kernel makes of it with what it
    runs, so that a rule added, changed, moved or deleted by hand is found, and so is any table beside it.
  - Heals by reloading the service that loads O(path) at boot, in one transaction.
  - Kernel settings are compared and written after the ruleset is loaded, never before.
options:
  ruleset:
    description: The whole ruleset, beginning with C(flush ruleset).
    type: str
    required: true
  path:
    description: The file that holds it on the host; must have been written before.
    type: str
    default: /etc/nftables.conf
  service:
    description: The unit that loads O(path) at boot.
    type: str
    default: nftables.service
  settings:
    description: Kernel settings by their name under /proc/sys, with slashes. Each must exist; see O(optional).
    type: dict
    default: {}
  optional:
    description: Beginnings of names of settings that may be missing, such as those of a port that is not there.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Compares everything and changes nothing.
    support: full
  diff_mode:
    description: Shows the objects of the ruleset and the settings that differ.
    support: full
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Hold the packet filter
  wardnet_firewall:
    ruleset: "{{ lookup('ansible.builtin.template', 'etc/nftables.conf.j2') }}"
    settings:
      net/ipv4/ip_forward: "1"
"""

RETURN = r"""
missing:
  description: Objects of the ruleset that the kernel did not have.
  returned: always
  type: list
  elements: str
foreign:
  description: Objects that the kernel had beyond the ruleset.
  returned: always
  type: list
  elements: str
settings:
  description: Settings that had another value, as 'name = old'.
  returned: always
  type: list
  elements: str
"""

NFT = "/usr/sbin/nft"
SYSTEMCTL = "/usr/bin/systemctl"
SYSCTL = Path("/proc/sys")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ruleset": {"type": "str", "required": True},
            "path": {"type": "str", "default": "/etc/nftables.conf"},
            "service": {"type": "str", "default": "nftables.service"},
            "settings": {"type": "dict", "default": {}},
            "optional": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    if not Path(NFT).exists():
        if module.check_mode:
            module.exit_json(changed=True, missing=["nftables itself"], foreign=[], settings=[])
        module.fail_json(msg=f"{NFT} is not installed")
    intended = listing(module, ["/usr/bin/unshare", "--net", "/bin/sh", "-c", f"{NFT} -f - && {NFT} -j list ruleset"])
    running = listing(module, [NFT, "-j", "list", "ruleset"], feed=False)
    started = is_started(module)
    wrong = differing(module)
    rules_differ = intended != running
    changed = rules_differ or not started or bool(wrong)
    if changed and not module.check_mode:
        heal(module, rules_differ, started)
        for _ in range(3):  # the kernel sets others back when forwarding is switched
            for name in differing(module):
                (SYSCTL / name).write_text(f"{module.params['settings'][name]}\n")
        after = listing(module, [NFT, "-j", "list", "ruleset"], feed=False)
        if after != intended or (left := differing(module)):
            said = "the kernel's ruleset" if after != intended else f"settings {', '.join(left)}"
            module.fail_json(msg=f"{said} still differ after the reload: something else changes them")
    module.exit_json(
        changed=changed,
        missing=[line for line in intended if line not in running],
        foreign=[line for line in running if line not in intended],
        settings=[f"{name} = {old}" for name, old in wrong.items()],
        diff={"before": shown(running, wrong), "after": shown(intended, module.params["settings"], only=wrong)},
    )


def listing(module: AnsibleModule, command: list[str], feed: bool = True) -> list[str]:
    """The comparable form of a ruleset; with `feed` the module's own is given to the command."""
    text = module.params["ruleset"] if feed else None
    code, out, err = module.run_command(command, data=text)
    if code != 0:
        module.fail_json(msg=f"{' '.join(command)}: {err.strip()}")
    return parse_ruleset(out)


def is_started(module: AnsibleModule) -> bool:
    """Whether the unit has run since boot and will at the next one."""
    out = module.run_command(
        [SYSTEMCTL, "show", "--property=ActiveState,UnitFileState,NeedDaemonReload", module.params["service"]]
    )[1]
    return {"ActiveState=active", "UnitFileState=enabled", "NeedDaemonReload=no"} <= set(out.split())


def differing(module: AnsibleModule) -> dict[str, str]:
    """Present values of the settings that are not as intended."""
    wrong = {}
    for name, value in module.params["settings"].items():
        try:
            present = (SYSCTL / name).read_text().strip()
        except FileNotFoundError:
            if any(name.startswith(beginning) for beginning in module.params["optional"]):
                continue
            module.fail_json(msg=f"this kernel has no setting {name}")
        if present.split() != str(value).split():
            wrong[name] = present
    return wrong


def heal(module: AnsibleModule, rules_differ: bool, started: bool) -> None:
    if Path(module.params["path"]).read_text() != module.params["ruleset"]:
        module.fail_json(msg=f"{module.params['path']} does not hold the ruleset: it must be written first")
    steps = []
    if not started:
        steps += [["daemon-reload"], ["enable", module.params["service"]]]
    if rules_differ or not started:
        # a reload where it is active, since a stop would forbid forwarding for a moment
        steps += [["reload-or-restart" if is_active(module) else "restart", module.params["service"]]]
    for step in steps:
        code, _, err = module.run_command([SYSTEMCTL, *step])
        if code != 0:
            log = module.run_command(["/usr/bin/journalctl", "-n", "10", "-o", "cat", "-u", module.params["service"]])
            module.fail_json(msg=f"systemctl {' '.join(step)}: {err.strip()}", journal=log[1].splitlines())


def is_active(module: AnsibleModule) -> bool:
    return bool(module.run_command([SYSTEMCTL, "is-active", "--quiet", module.params["service"]])[0] == 0)


def shown(lines: list[str], settings: dict, only: dict | None = None) -> str:  # type: ignore[type-arg]
    rows = [f"{name} = {value}" for name, value in settings.items() if only is None or name in only]
    return "\n".join([*lines, *rows, ""])


if __name__ == "__main__":
    main()
