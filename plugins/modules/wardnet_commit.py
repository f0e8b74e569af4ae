#!/usr/bin/python
"""Brings a host to its candidate in one run, so that it takes itself back unless that is confirmed."""

from __future__ import annotations

import os
import socket
from contextlib import nullcontext
from traceback import format_exc
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.wardnet_bundle_entries import BundleError
from ansible.module_utils.wardnet_candidate import CandidateError, Step, read_steps
from ansible.module_utils.wardnet_engine import Options, TakenBackError, commit, confirm
from ansible.module_utils.wardnet_host import CommandError, Host
from ansible.module_utils.wardnet_part import PartError, RefusedError
from ansible.module_utils.wardnet_transaction import HeldError, locked

DOCUMENTATION = r"""
module: wardnet_commit
short_description: Bring a host to its whole candidate in one run
version_added: "0.2.0"
description:
  - Compares everything that the roles want of a host with what runs and what is on disk, in one module run.
  - What could cut the way to the host (packet filter, kernel settings, ports and routes, how one logs in) is changed in
    one transaction. The way back is checked and written to disk first; the host goes it by itself, by a timer on its
    steady clock or at the next boot, unless a new connection confirms the change. All else is changed after that.
  - The action plugin of the same name gives the steps that the tasks M(wardnet_candidate) have gathered, and confirms.
options:
  steps:
    description: The candidate. Its shape is in C(plugins/module_utils/wardnet_candidate.py).
    type: list
    elements: dict
    required: true
  host:
    description: Refuses to do anything on a machine with another host name.
    type: str
  who:
    description: Who changes the host, for whoever comes second.
    type: str
    default: ""
  run:
    description: Id of the run, for the same and for the report of a change that was taken back.
    type: str
    default: ""
  confirm_within:
    description:
      - Seconds after which the host is its former self once a change is made, unless a new connection confirms it.
      - Of these it keeps a third, at most 20, for going back. 0 asks for no confirmation.
    type: int
    default: 80
  settle:
    description: Seconds within which what runs must have come to what is intended, and likewise the probes.
    type: int
    default: 30
  probes:
    description:
      - The host's own lines, each with C(port), C(channel), C(targets) that it pings out of the port and C(peers) that
        it asks as neighbours. A line that answered before the change must answer after it.
    type: list
    elements: dict
    default: []
  min_free:
    description: MiB that must be free on each file system that is written to.
    type: int
    default: 16
  partial:
    description: The candidate is not all that the host is made of. What other roles brought before is left alone.
    type: bool
    default: false
  confirmed:
    description: Set by the action plugin on its new connection, with O(token).
    type: bool
    default: false
  token:
    description: Names the very change that is confirmed.
    type: str
    default: ""
attributes:
  check_mode:
    description: Says what would be done. What is not installed yet counts as to be done, and validates nothing.
    support: full
  diff_mode:
    description: Shows files and what runs; never the content of a file that is a secret.
    support: full
author: the wardnet developers
"""

EXAMPLES = r"""
- name: Add the packet filter to the candidate
  wardnet_candidate:
    part: filter
    packages: [nftables]
    files:
      - path: /etc/nftables.conf
        template: etc/nftables.conf.j2
        mode: "0755"
    filter: {path: /etc/nftables.conf}

- name: Bring the host to its candidate
  wardnet_commit:
"""

RETURN = r"""
armed:
  description: Whether the change is made and waits for its confirmation.
  returned: always
  type: bool
token:
  description: Names the change, for its confirmation.
  returned: when armed
  type: str
rolled_back:
  description: Whether this run has taken its change back, RV(why).
  returned: always
  type: bool
parts:
  description: What differed, by part, with C(missing), C(foreign), C(needs) and C(changed_paths).
  returned: always
  type: dict
drift:
  description: What differed both from the candidate and from what was confirmed last.
  returned: always
  type: list
  elements: dict
actions:
  description: What was or would be done to units and after files, as 'verb unit'.
  returned: always
  type: list
  elements: str
last_run:
  description: The run that held the host last since its boot. One whose connection broke knows by it whether it began.
  returned: in check mode
  type: str
last_rollback:
  description: What the host took back since it was last asked, and why.
  returned: when there is such a thing
  type: dict
"""

ARGUMENTS = {
    "steps": {"type": "list", "elements": "dict", "required": True},
    "host": {"type": "str"},
    "who": {"type": "str", "default": ""},
    "run": {"type": "str", "default": ""},
    "confirm_within": {"type": "int", "default": 80},
    "settle": {"type": "int", "default": 30},
    "probes": {"type": "list", "elements": "dict", "default": []},
    "min_free": {"type": "int", "default": 16},
    "partial": {"type": "bool", "default": False},
    "confirmed": {"type": "bool", "default": False},
    "token": {"type": "str", "default": "", "no_log": False},
}


def main() -> None:
    os.umask(0o022)  # whoever logs in may have a stricter one, and services must read what is made on the way
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    host = Host(check_mode=module.check_mode, settle=given["settle"])
    steps: tuple[Step, ...] = ()
    try:
        check_name(given["host"])
        steps = read_steps(given["steps"])
        lock = nullcontext() if module.check_mode else locked(host, given["who"], given["run"])
        with lock:
            result = commit_or_confirm(host, steps, given)
    except HeldError as error:
        leave(module, host, steps, msg=str(error), held=error.holder)
    except (RefusedError, CandidateError) as error:
        leave(module, host, steps, msg=str(error), refused=True)
    except TakenBackError as error:
        leave(module, host, steps, msg=f"taken back: {error}", rolled_back=True, **error.facts)
    except PartError as error:
        leave(module, host, steps, msg=str(error), **error.facts)
    except (CommandError, BundleError, OSError) as error:
        leave(module, host, steps, msg=str(error))
    except Exception as error:  # so that the sentence of the play is not empty; what was armed goes back by its timer
        leave(module, host, steps, msg=f"this is an error of wardnet itself: {error!r}", exception=format_exc())
    leave(module, host, steps, **result)


def check_name(expected: str | None) -> None:
    name = socket.gethostname()
    if expected is not None and name != expected:
        raise RefusedError(f"this machine calls itself {name}, not {expected}: nothing was touched")


def commit_or_confirm(host: Host, steps: tuple[Step, ...], given: dict[str, Any]) -> dict[str, Any]:
    options = Options(
        who=given["who"],
        run=given["run"],
        host=given["host"] or socket.gethostname(),
        confirm_within=given["confirm_within"],
        probes=tuple(given["probes"]),
        min_free=given["min_free"],
        partial=given["partial"],
    )
    if given["confirmed"]:
        return dict(confirm(host, steps, options, given["token"]))
    return dict(commit(host, steps, options))


def leave(module: AnsibleModule, host: Host, steps: tuple[Step, ...], **result: Any) -> None:
    """Ends the module. Its arguments, with all files, are not for the result, and secrets for nobody."""
    for message in host.warnings:
        module.warn(message)
    end = module.fail_json if "msg" in result else module.exit_json
    end(invocation={}, **withhold(result, secret_lines(steps)))


def secret_lines(steps: tuple[Step, ...]) -> list[str]:
    contents = [str(item.get("content")) for step in steps for item in step.files if item.get("secret")]
    return [line.strip() for text in contents for line in text.splitlines() if len(line.strip()) >= 8]


def withhold(value: Any, lines: list[str]) -> Any:
    """The same without any line of a secret file, which a validator may have quoted."""
    if not lines:
        return value
    if isinstance(value, dict):
        return {key: withhold(inner, lines) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [withhold(inner, lines) for inner in value]
    if isinstance(value, str):
        for line in lines:
            value = value.replace(line, "(withheld)")
    return value


if __name__ == "__main__":
    main()
