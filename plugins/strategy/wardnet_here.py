"""What strategies of wardnet share: tasks that run on the controller alone are done in Ansible's own process.
No strategy itself.

Ansible starts a process for every task of every host, also for one that only renders a template. Its memory is copied
as it is touched, the options of a connection that nobody uses are rendered, and what the task returns is packed, sent
and copied again. A gateway has some thirty such tasks and one that goes to the host.
"""

from __future__ import annotations

from typing import Any

from ansible._internal._task import TaskContext
from ansible.executor.task_executor import TaskExecutor
from ansible.executor.task_result import _RawTaskResult
from ansible.plugins.loader import get_plugin_loader_namespace

# Their action plugins connect to nothing and change nothing but files of their own.
LOCAL = frozenset({"assert", "validate_argument_spec", "wardnet_candidate", "wardnet_publish"})


class Here:
    """To be named before a strategy of Ansible among the bases."""

    def _queue_task(self: Any, host: Any, task: Any, task_vars: dict[str, Any], play_context: Any) -> None:
        if not is_local(task):
            super()._queue_task(host, task, task_vars, play_context)  # type: ignore[misc]
            return
        entry = {"host": host, "task": task, "task_vars": task_vars, "play_context": play_context}
        self._queued_task_cache[(host.name, task._uuid)] = entry
        self._tqm.send_callback("v2_runner_on_start", host, task)
        own = task.copy(exclude_parent=True, exclude_tasks=True)  # it gets its final values, which are this host's
        own._parent = task._parent
        own.connection, own.become = "local", False  # nobody connects: the host's options need not be rendered
        with TaskContext(own):
            executor = TaskExecutor(
                host, own, task_vars, play_context, self._loader, get_plugin_loader_namespace(), self._final_q,
                self._variable_manager,
            )  # fmt: skip
            data = executor.run()
        with self._results_lock:
            self._results.append(_RawTaskResult(host=host, task=own, return_data=data, task_fields=own.dump_attrs()))
        self._pending_results += 1


def is_local(task: Any) -> bool:
    """Whether a task is one of those, with nothing about it that a process of its own is for."""
    return (
        str(task.action).rsplit(".", 1)[-1] in LOCAL
        and task.loop is None
        and not any((task.loop_with, task.delegate_to, task.async_val, task.until, task.timeout, task.throttle))
    )
