#!/usr/bin/python
"""Puts a bundle of rendered files in place in one run."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_bundle import ARGUMENTS, BundleError, read_bundle

DOCUMENTATION = r"""
module: wardnet_files
short_description: Put one bundle of files in place, atomically and validated
version_added: "0.1.0"
description:
  - Compares, validates and installs many files in one module run, instead of one run a file.
  - Files are staged beside their targets and renamed only when all of them could be staged.
  - The action plugin of the same name renders C(template) on the controller; the module gets C(content).
options:
  validate:
    description:
      - Commands that must succeed on the candidate before anything is installed. In check mode those that are not
        installed yet are left out, with a warning.
      - C({root}) in an argument stands for the directory that holds the candidate under its final paths.
    type: list
    elements: list
    default: []
  host:
    description: Refuses to do anything on a machine with another host name.
    type: str
extends_documentation_fragment: wardnet_bundle
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Install the packet filter
  wardnet_files:
    files:
      - path: /etc/nftables.conf
        template: etc/nftables.conf.j2
    validate:
      - [/usr/sbin/nft, --check, --file, "{root}/etc/nftables.conf"]
"""

RETURN = r"""
changed_paths:
  description: What was or would be written, linked, given other rights or removed.
  returned: always
  type: list
  elements: str
tags:
  description: Tags of what changed.
  returned: always
  type: list
  elements: str
"""


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **ARGUMENTS,
            "validate": {"type": "list", "elements": "list", "default": []},
            "host": {"type": "str"},
        },
        supports_check_mode=True,
    )
    expected, name = module.params["host"], socket.gethostname()
    if expected is not None and name != expected:
        module.fail_json(msg=f"this machine calls itself {name}, not {expected}: nothing was touched")
    try:
        bundle = read_bundle(module.params["files"], module.params["directories"], module.check_mode)
        changes = bundle.changes()
        if changes:
            validate(module, bundle)
        if changes and not module.check_mode:
            bundle.install(changes)
    except (BundleError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(changes),
        changed_paths=[str(change.path) for change in changes],
        tags=sorted({change.tag for change in changes if change.tag}),
        diff=[change.as_diff() for change in changes],
    )


def validate(module: AnsibleModule, bundle) -> None:  # type: ignore[no-untyped-def]
    commands = module.params["validate"]
    if not commands:
        return
    with tempfile.TemporaryDirectory(prefix="wardnet-candidate-") as root:
        bundle.candidate(Path(root))
        for command in commands:
            arguments = [str(argument).replace("{root}", root) for argument in command]
            if module.check_mode and not Path(arguments[0]).exists():
                module.warn(f"{arguments[0]} is not installed yet: its validation waits for the converge")
                continue
            code, out, err = module.run_command(arguments)
            if code != 0:
                said = (err or out).strip().replace(root, "")
                module.fail_json(msg=f"{arguments[0]} refuses it, nothing was installed: {said}", cmd=arguments)


if __name__ == "__main__":
    main()
