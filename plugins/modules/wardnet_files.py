#!/usr/bin/python
"""Puts a bundle of rendered files in place in one run."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_bundle import BundleError, read_bundle

DOCUMENTATION = r"""
module: wardnet_files
short_description: Put one bundle of files in place, atomically and validated
version_added: "0.1.0"
description:
  - Compares, validates and installs many files in one module run, instead of one run a file.
  - Files are staged beside their targets and renamed only when all of them could be staged.
  - The action plugin of the same name renders C(template) on the controller; the module gets C(content).
options:
  files:
    description: What must be there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path. With O(files[].each) it may hold C({key}) of each item.
        type: str
        required: true
      content:
        description: The file's text.
        type: str
      template:
        description: Template to render as the content, looked for as ansible.builtin.template does.
        type: str
      each:
        description: Renders the template once for each item of this list, as the variable C(item).
        type: list
        elements: dict
      link:
        description: Makes a symbolic link to this instead of a file.
        type: str
      mode:
        description: Octal mode of a file.
        type: str
        default: "0644"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      tag:
        description: Returned in RV(tags) when this file changed.
        type: str
  directories:
    description: Directories that must be there, and what may not be in them.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: str
        required: true
      mode:
        description: Octal mode.
        type: str
        default: "0755"
      owner:
        description: Name of the owner.
        type: str
        default: root
      group:
        description: Name of the group.
        type: str
        default: root
      purge:
        description:
          - Name patterns; a file that matches and is not in O(files) is removed.
          - The last pattern that matches decides, and one that begins with C(!) keeps the file.
        type: list
        elements: str
        default: []
      tag:
        description: Returned in RV(tags) when the directory or something purged in it changed.
        type: str
  validate:
    description:
      - Commands that must succeed on the candidate before anything is installed.
      - C({root}) in an argument stands for the directory that holds the candidate under its final paths.
    type: list
    elements: list
    default: []
  host:
    description: Refuses to do anything on a machine with another host name.
    type: str
attributes:
  check_mode:
    description: Says what would change; the validators run too, where they are installed.
    support: full
  diff_mode:
    description: Shows the text of each file before and after.
    support: full
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

RIGHTS = {
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "tag": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "content": {"type": "str"},
                    "template": {"type": "str"},
                    "each": {"type": "list", "elements": "dict"},
                    "link": {"type": "str"},
                    "mode": {"type": "str", "default": "0644"},
                    **RIGHTS,
                },
            },
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "str", "required": True},
                    "mode": {"type": "str", "default": "0755"},
                    "purge": {"type": "list", "elements": "str", "default": []},
                    **RIGHTS,
                },
            },
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
