"""As linear, and one bad host of a step is the end of the run: no further step begins, and no further play."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import ansible.plugins.strategy
from ansible.executor.play_iterator import FailedStates, IteratingStates
from ansible.plugins.strategy.linear import StrategyModule as Linear

BESIDE = str(Path(__file__).parent)
if BESIDE not in ansible.plugins.strategy.__path__:
    ansible.plugins.strategy.__path__.append(BESIDE)
Here = importlib.import_module("ansible.plugins.strategy.wardnet_here").Here

DOCUMENTATION = r"""
name: wardnet_rollout
short_description: Steps of a rollout, of which the first bad one is the last
version_added: "0.2.0"
description:
  - Runs tasks as the strategy linear does with C(any_errors_fatal), whatever the play says of that.
  - A host that failed, took its change back or was not reached ends the run after its step, that is its batch of
    C(serial). Linear goes on with the next batch where a host was not reached, also with C(any_errors_fatal), since
    Ansible then counts that host twice and finds more bad hosts than the batch has.
  - The tasks that only gather a host's candidate start no process of their own.
author: the wardnet developers
"""


class StrategyModule(Here, Linear):  # type: ignore[misc]
    def run(self, iterator: Any, play_context: Any) -> int:
        result: int = super().run(iterator, play_context)
        unreachable = self._tqm._unreachable_hosts
        batch = set(self._hosts_cache)
        if batch & (self._tqm._failed_hosts.keys() | unreachable.keys()):
            # The run ends where as many hosts are bad as the batch has: each is counted, and once. What the recap
            # and the journal say of a host was counted before.
            for name in batch:
                unreachable.pop(name, None)
                iterator.set_run_state_for_host(name, IteratingStates.COMPLETE)
                iterator.set_fail_state_for_host(name, FailedStates.TASKS)
        return result

    def _get_next_task_lockstep(self, hosts: list[Any], iterator: Any) -> list[Any]:
        """Each host's next task. That its errors are fatal is said here, so that a play may take its strategy from a
        variable: Ansible's other strategies warn of any_errors_fatal before they have rendered what is said of it."""
        found: list[Any] = super()._get_next_task_lockstep(hosts, iterator)
        for _host, task in found:
            if task:
                task.any_errors_fatal = True
        return found
