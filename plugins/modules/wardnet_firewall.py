#!/usr/bin/python
"""Holds the running packet filter to a ruleset, and lets the kernel forward only behind it."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_bundle import ARGUMENTS, Bundle, BundleError, Change, read_bundle
from ansible.module_utils.wardnet_kernel import parse_ruleset
from ansible.module_utils.wardnet_rollback import FOLDER, Rollback

DOCUMENTATION = r"""
module: wardnet_firewall
short_description: Hold the running nftables ruleset and kernel settings to what is intended
version_added: "0.1.0"
description:
  - Loads the ruleset into an empty network namespace and compares what the kernel makes of it with what it
    runs, so that a rule added, changed, moved or deleted by hand is found, and so is any table beside it.
  - A changed ruleset is armed, loaded in one transaction, confirmed over a new connection, and only then written
    to disk. Where nobody confirms, the host goes back to the former one by itself.
  - Connections are forgotten then, so that those that only the former rules allowed end.
  - Kernel settings are compared too, and written after the ruleset is loaded, never before.
options:
  path:
    description: Which of O(files) is the ruleset. It begins with C(flush ruleset).
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
  confirm_within:
    description: Seconds within which a changed ruleset must be confirmed over a new connection; 0 asks for none.
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
- name: Hold the packet filter
  wardnet_firewall:
    files:
      - path: /etc/nftables.conf
        template: etc/nftables.conf.j2
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

NFT = "/usr/sbin/nft"
SYSTEMCTL = "/usr/bin/systemctl"
SYSCTL = Path("/proc/sys")
FORWARDING = ("net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "path": {"type": "str", "default": "/etc/nftables.conf"},
            "service": {"type": "str", "default": "nftables.service"},
            "settings": {"type": "dict", "default": {}},
            "optional": {"type": "list", "elements": "str", "default": []},
            "confirm_within": {"type": "int", "default": 60},
            "confirmed": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        bundle = read_bundle(module.params["files"], module.params["directories"], module.check_mode)
        changes = bundle.changes()
    except (BundleError, OSError) as error:
        module.fail_json(msg=str(error))
    if module.params["confirmed"]:
        Rollback(module, "packet-filter").confirm()
        write(module, bundle, changes)
        forget_connections(module)
        module.exit_json(changed=True, armed=False)
    if not Path(NFT).exists():
        if module.check_mode:
            module.exit_json(
                changed=True, armed=False, missing=["nftables itself"], foreign=[], settings=[], changed_paths=[]
            )
        module.fail_json(msg=f"{NFT} is not installed")
    hold(module, bundle, changes)


def hold(module: AnsibleModule, bundle: Bundle, changes: list[Change]) -> None:
    texts = [entry.content for entry in bundle.entries if str(entry.path) == module.params["path"]]
    if not texts or texts[0] is None:
        module.fail_json(msg=f"no file of the bundle is {module.params['path']}")
    ruleset = texts[0].decode()
    scratch = ["/usr/bin/unshare", "--net", "/bin/sh", "-c", f"{NFT} -f - && {NFT} -j list ruleset"]
    intended = listing(module, scratch, ruleset)
    running = listing(module, [NFT, "-j", "list", "ruleset"])
    started = is_started(module)
    wrong = differing(module)
    changed = intended != running or not started or bool(wrong) or bool(changes)
    armed = False
    if changed and not module.check_mode:
        if intended != running:
            armed = load(module, ruleset)
        settle(module)
        if not armed:
            write(module, bundle, changes)
            if intended != running:
                forget_connections(module)
        if listing(module, [NFT, "-j", "list", "ruleset"]) != intended or differing(module):
            module.fail_json(msg="the kernel still differs after the ruleset was loaded: something else changes it")
    module.exit_json(
        changed=changed,
        armed=armed,
        missing=[line for line in intended if line not in running],
        foreign=[line for line in running if line not in intended],
        settings=[f"{name} = {old}" for name, old in wrong.items()],
        changed_paths=[str(change.path) for change in changes],
        diff=[
            *(change.as_diff() for change in changes),
            {
                "before_header": "running packet filter and settings",
                "after_header": "intended packet filter and settings",
                "before": shown(running, wrong),
                "after": shown(intended, {name: module.params["settings"][name] for name in wrong}),
            },
        ],
    )


def listing(module: AnsibleModule, command: list[str], given: str | None = None) -> list[str]:
    """The comparable form of the ruleset that the command prints as JSON."""
    code, out, err = module.run_command(command, data=given)
    if code != 0:
        module.fail_json(msg=f"the ruleset is refused: {err.strip()}", cmd=command)
    lines: list[str] = parse_ruleset(out)
    return lines


def is_started(module: AnsibleModule) -> bool:
    """Whether the unit has run since boot and will at the next one."""
    out = module.run_command([SYSTEMCTL, "show", "--property=ActiveState,UnitFileState", module.params["service"]])[1]
    return {"ActiveState=active", "UnitFileState=enabled"} <= set(out.split())


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


def load(module: AnsibleModule, ruleset: str) -> bool:
    """Loads the ruleset in one transaction; true where it was armed before."""
    seconds = module.params["confirm_within"]
    if seconds:
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        former = FOLDER / "packet-filter-before.nft"
        former.write_text("flush ruleset\n" + run(module, [NFT, "--stateless", "list", "ruleset"]))
        run(module, [NFT, "--check", "--file", str(former)])
        switches = [
            ["/usr/sbin/sysctl", "-q", "-w", f"{name}={(SYSCTL / name).read_text().strip()}"] for name in FORWARDING
        ]
        Rollback(module, "packet-filter").arm([[NFT, "--file", str(former)], *switches], seconds)
    run(module, [NFT, "--file", "-"], given=ruleset)
    return bool(seconds)


def settle(module: AnsibleModule) -> None:
    for _ in range(3):  # the kernel sets others back when forwarding is switched
        for name in differing(module):
            (SYSCTL / name).write_text(f"{module.params['settings'][name]}\n")


def write(module: AnsibleModule, bundle: Bundle, changes: list[Change]) -> None:
    """Puts on disk what the kernel runs already, and has it loaded at boot."""
    try:
        bundle.install(changes)
    except (BundleError, OSError) as error:
        module.fail_json(msg=str(error))
    run(module, [SYSTEMCTL, "daemon-reload"])
    if not is_started(module):
        run(module, [SYSTEMCTL, "enable", "--quiet", module.params["service"]])
        run(module, [SYSTEMCTL, "restart", module.params["service"]])


def forget_connections(module: AnsibleModule) -> None:
    """Makes every connection prove itself to the new rules: one that only the former ones allowed would go on.
    The kernel takes up the others again with their next packet, ours too."""
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0)  # struct nfgenmsg: no attributes, so all of them
    delete = (1 << 8) | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE
    request = struct.pack("=IHHII", 16 + len(body), delete, 0x5, 1, 0) + body  # NLM_F_REQUEST | NLM_F_ACK
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:  # NETLINK_NETFILTER
        netlink.settimeout(5)
        try:
            netlink.send(request)
            error = struct.unpack("=i", netlink.recv(4096)[16:20])[0]
        except OSError as failure:
            error = failure.errno or -1
    if error:
        module.warn(f"connections that the former rules allowed go on until they end by themselves (error {error})")


def run(module: AnsibleModule, command: list[str], given: str | None = None) -> str:
    code, out, err = module.run_command(command, data=given)
    if code != 0:
        module.fail_json(msg=f"{' '.join(command)}: {err.strip()}")
    return str(out)


def shown(lines: list[str], settings: dict[str, str]) -> str:
    return "\n".join([*lines, *(f"{name} = {value}" for name, value in settings.items()), ""])


if __name__ == "__main__":
    main()
