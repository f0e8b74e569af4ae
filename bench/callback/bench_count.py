"""Counts what a run of Ansible starts on hosts, for bench.provision: one line of JSON to BENCH_COUNT a module run.

Ansible's events do not say it: a task of `template` that finds nothing to do is two module runs, a loop of ten is ten
or more, and a fact is gathered without being a task of the playbook. So it is counted where every action plugin hands
a module to the connection. Modules that run on the controller itself are left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: bench_count
type: aggregate
short_description: Count module runs on hosts
description:
  - Appends C({"host", "module"}) to the file that the environment names in C(BENCH_COUNT), a line a module run.
requirements: []
author: the wardnet developers
"""


def counting(execute: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """`ActionBase._execute_module`, which first notes what it is about to run where."""

    @wraps(execute)
    def noted(action: Any, module_name: str | None = None, *more: Any, **named: Any) -> Any:
        if action._connection.transport != "local":
            host = (named.get("task_vars") or {}).get("inventory_hostname") or action._play_context.remote_addr
            line = json.dumps({"host": host, "module": module_name or action._task.action}) + "\n"
            # Workers are processes of their own: one write to a file opened for appending stays one line.
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(descriptor, line.encode())
            finally:
                os.close(descriptor)
        return execute(action, module_name, *more, **named)

    return noted


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bench_count"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        path = os.environ.get("BENCH_COUNT")
        if path:  # before the workers are forked, so that they have it too
            ActionBase._execute_module = counting(ActionBase._execute_module, Path(path))
