"""Sends a host's candidate in one module run, and confirms over a new connection what the host would otherwise take
back by itself. See module_utils/wardnet_candidate.py for what is sent and what comes back.

A host that took a change back has failed; one that does not answer is unreachable. Both say why in a sentence.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib
import os
import socket
import time
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

UTILS = str(Path(__file__).parents[1] / "module_utils")
if UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(UTILS)
gathered = importlib.import_module("ansible.module_utils.wardnet_gathered")
outcome = importlib.import_module("ansible.module_utils.wardnet_outcome")
reach = importlib.import_module("ansible.module_utils.wardnet_reach")

MODULE = "wardnet_commit"
SYSLOG = "DEFAULT_NO_TARGET_SYSLOG"  # Ansible's name of the setting
PATIENCE = 120.0  # seconds beyond the time to go back within which a host must answer again
PAUSE = 2.0
FAR_END = 30.0  # of the hub's time, what is left for its own confirmation once the far end of a line has had its own
OWN = ("reach", "may_be_unreached", "whole", "both_ends")  # arguments that are for the controller
Result = dict[str, Any]


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        variables = task_vars or {}
        result: Result = super().run(tmp, variables)
        # Whatever comes of it: another play with the same host starts afresh.
        steps = gathered.take(constants.DEFAULT_LOCAL_TMP, str(variables["inventory_hostname"]))
        missing = set(self._task.args.get("whole") or ()) - {str(step.get("role")) for step in steps}
        partial = {"partial": True} if missing else {}
        if not steps:
            return {**result, **partial, "changed": False, "msg": "no role of this play wants anything of the host"}
        self._keep_secrets(steps, variables)
        if self._task.check_mode and self._task.args.get("may_be_unreached") and not self._is_reached(variables):
            name = variables["inventory_hostname"]
            Display().display(f"{name} is not reached yet: left out of this check")
            return {**result, "changed": False, "skipped": True, "skip_reason": "not reached yet"}
        commit = Commit(self, variables, steps, bool(missing))
        return {**result, **commit.make(), **partial}

    def _keep_secrets(self, steps: list[Any], variables: dict[str, Any]) -> None:
        """A module writes its arguments, which are whole files, to the host's journal unless Ansible says otherwise."""
        kept = self._task.no_log or constants.config.get_config_value(SYSLOG, variables=variables)
        if not kept and any(file.get("secret") for step in steps for file in step.get("files") or []):
            raise AnsibleActionFail(
                "nothing was sent: there are secrets in the candidate, which the host would write to its journal. "
                "Set no_target_syslog = True in section [defaults] of ansible.cfg"
            )

    def _is_reached(self, variables: dict[str, Any]) -> bool:
        address = str(variables.get("ansible_host") or variables["inventory_hostname"])
        return bool(reach.answering([(address, int(variables.get("ansible_port") or 22))], 4.0))


class Commit:
    """One change of one host."""

    def __init__(self, action: ActionModule, variables: dict[str, Any], steps: list[Any], partial: bool) -> None:
        self._action = action
        self._task = action._task
        self._connection = action._connection
        self._variables = variables
        given = self._task.args
        self._arguments = {key: value for key, value in given.items() if key not in OWN}
        self._arguments["steps"] = steps
        self._arguments["partial"] = partial
        self._arguments["who"] = given.get("who") or f"{operator()}@{socket.gethostname()}"
        self._arguments["run"] = self._run = given.get("run") or os.environ.get("WARDNET_RUN") or f"pid-{os.getppid()}"
        self._within = float(given.get("confirm_within") or 80)
        self._settle = float(given.get("settle") or 30)
        wanted = [text.partition(" via ") for text in given.get("reach") or []]
        self._reach = {reach.split(address): line for address, _, line in wanted}
        self._both_ends = bool(given.get("both_ends")) and not self._task.check_mode
        self._far = self._far_ends(frozenset())
        ward = variables.get("wardnet_ward")
        self._name = str(variables["inventory_hostname"]) + (f" (ward {ward})" if ward else "")
        self._outcome = outcome.Outcome(self._name)

    def make(self) -> Result:
        if not self._both_ends:
            return self._change()
        made: Result = {}
        word = reach.FAILED
        try:
            made = self._change_with_far_end()
            if not made.get("failed") and not made.get("unreachable"):
                word = reach.CONFIRMED if made.get("changed") else reach.UNTOUCHED
            elif made.pop("untouched", False):
                word = reach.UNTOUCHED
        finally:
            address = str(self._variables.get("ansible_host") or self._variables["inventory_hostname"])
            reach.tell(constants.DEFAULT_LOCAL_TMP, address, word)
        return made

    def _change_with_far_end(self) -> Result:
        """A line gets other addresses at both ends in one play. The gateway goes first: until the hub has changed too,
        nothing answers over that line, so that nothing is demanded of it but the manager's new connection. The hub
        changes when the gateway has, and is confirmed after it: whatever becomes of the gateway, the hub is within
        reach, and goes the same way."""
        try:
            looked = self._ask(self._arguments["steps"])
        except AnsibleConnectionFailure as failure:
            return {**self._outcome.unreached(str(failure), None), "untouched": True}
        if looked.get("failed"):
            return {**self._outcome.failed(looked), "untouched": True}
        lines = reach.addressed_lines(looked.get("parts") or {})
        ports = {port for port, _ in lines}
        self._arguments["probes"] = [probe for probe in self._arguments["probes"] if probe["port"] not in ports]
        self._far = self._far_ends(lines)
        still = self._far.await_change(time.monotonic() + self._within + PATIENCE)
        if still:
            said = f"nothing was touched: {', '.join(still)} has not changed, at the other end of its line"
            failed = {**looked, "failed": True, "changed": False, "msg": said}
            return {**self._outcome.failed(failed), "untouched": True}
        return self._change()

    def _change(self) -> Result:
        before = reach.answering(list(self._reach), 1.0) if self._reach and not self._task.check_mode else set()
        try:
            result = self._begin()
        except AnsibleConnectionFailure as failure:
            return self._explain_silence(str(failure))
        if outcome.is_cut_off(result):
            return self._explain_silence("", f"the run was ended on the host (status {result['rc']})")
        if (result.get("held") or {}).get("run") == self._run and result.get("failed"):
            return self._explain_silence("the connection was lost and made anew")
        if result.get("failed"):
            return self._outcome.failed(result)
        self._name_foreign(result)
        self._name_holder(result)
        if not result.get("armed"):
            return result
        within = float(result["goes_back_within"])
        goes_back_at = time.monotonic() + within
        lost = self._lost(before, time.monotonic() + min(within / 2, self._settle))
        hosts = ", ".join(lost)
        why = f"{hosts} no longer answered through it"
        if self._has_moved(lost, result):  # its far end has the former addresses
            why = f"{hosts} no longer answered through it: playbooks/renumber.yml changes both ends of its line"
        if not lost:
            lost = self._far.await_confirmed(goes_back_at - min(FAR_END, within / 3))
            why = f"{', '.join(lost)} was not confirmed, at the other end of its line"
        if lost:
            rollback = self._await_rollback(goes_back_at)
            return self._outcome.rolled_back(result, rollback, within, why)
        return self._confirm(result, goes_back_at, within)

    def _begin(self) -> Result:
        """The first run of the module; tried once more where no connection came about, as one packet may be lost."""
        try:
            return self._execute()
        except AnsibleConnectionFailure as failure:
            if not outcome.never_reached(str(failure)):
                raise
            time.sleep(PAUSE)
            return self._execute()

    def _confirm(self, first: Result, goes_back_at: float, within: float) -> Result:
        """Over a new connection: the one that made the change proves nothing, the filter knows it and SSH keeps it
        open. Goes on asking when the time is over, so that the host itself says what came of it."""
        said = waiting = ""
        while time.monotonic() < goes_back_at + PATIENCE:
            try:
                answer = self._execute(fresh=within, confirmed=True, token=first["token"])
            except AnsibleConnectionFailure as failure:
                said = str(failure)
                time.sleep(PAUSE)
                continue
            if outcome.is_cut_off(answer) or (answer.get("held") or {}).get("run") == self._run:
                waiting = str(answer.get("msg"))  # it is still at it, or goes on with it when it is asked again
                time.sleep(PAUSE)
                continue
            if not answer.get("failed"):
                return outcome.merge(first, answer)
            if not answer.get("taken_back"):
                return self._outcome.failed({**first, **answer, "armed": False})
            rollback = self._await_rollback(goes_back_at)
            why = "no new connection came through in that time" if said else str(answer.get("msg"))
            return self._outcome.rolled_back(first, rollback, within, why)
        return self._outcome.unreached(said or waiting, within)

    def _await_rollback(self, goes_back_at: float) -> Result | None:
        """What the host tells of the rollback of this run, once it is over; None if it never does."""
        while time.monotonic() < goes_back_at + PATIENCE:
            with contextlib.suppress(AnsibleConnectionFailure):
                rollback = self._ask().get("last_rollback") or {}
                if rollback.get("run") == self._run:
                    return dict(rollback)
            time.sleep(PAUSE)
        return None

    def _name_holder(self, result: Result) -> None:
        """Says aloud that what was read is not what stays: somebody's change waits there, or is being made."""
        held = result.get("held")
        if held:
            who, since, run = (held.get(key) or "?" for key in ("who", "since", "run"))
            doing = f"{who} is at work here, or has made a change that waits, since {since} (run {run})"
            Display().warning(f"{self._name}: {doing}: what was read will not stay; read it again")

    def _name_foreign(self, result: Result) -> None:
        """Says aloud whose packet filter is taken away: wardnet's is the only one on its hosts."""
        tables = result.get("parts", {}).get("filter", {}).get("foreign_tables")
        if tables:
            doing = "would be taken away" if self._task.check_mode else "taken away"
            Display().warning(f"{self._name}: tables of another tool {doing}: {', '.join(tables)}")

    def _explain_silence(self, said: str, ended: str = "") -> Result:
        """The connection broke before the module's answer came: either the host was never reached, or its own change
        cut it off, and then it goes back. So it does where the module was `ended` there, as by its timer."""
        if self._task.check_mode and ended:  # a check changes nothing that could go back
            return self._outcome.failed({"failed": True, "changed": False, "msg": ended})
        if outcome.never_reached(said) or self._task.check_mode:
            return self._outcome.unreached(said, None)
        # The change itself may take as long as the host is given to settle, and its probes as long again.
        until = time.monotonic() + self._within + 2 * self._settle
        while time.monotonic() < until + PATIENCE:
            try:
                told = self._ask()
            except AnsibleConnectionFailure as failure:
                said = str(failure)
                time.sleep(PAUSE)
                continue
            rollback = told.get("last_rollback") or {}
            if rollback.get("run") == self._run:
                why = f"{ended or 'the change cut the connection that made it'} ({rollback.get('why')})"
                return self._outcome.rolled_back({"changed": False}, dict(rollback), self._within, why)
            if not told.get("held") and ended:
                text = f"{ended}, with nothing that goes back by itself; what it had done by then stays: run it again"
                return self._outcome.failed({"failed": True, "changed": False, "msg": text})
            if not told.get("held"):
                how_far = outcome.how_far(self._run, str(told.get("last_run") or ""))
                return self._outcome.unreached(f"{how_far}: {said}", None)
            time.sleep(PAUSE)
        return self._outcome.unreached(said, self._within)

    def _has_moved(self, lost: list[str], result: Result) -> bool:
        """Whether one of these is at the far end of a line that the change has given another address."""
        lines = reach.addressed_lines(result.get("parts") or {})
        return any(address in lost and (line, ":" in address) in lines for (address, _), line in self._reach.items())

    def _far_ends(self, lines: frozenset[tuple[str, bool]]) -> Any:
        targets = [target for target, line in self._reach.items() if (line, ":" in target[0]) in lines]
        return reach.FarEnds(constants.DEFAULT_LOCAL_TMP, targets, self._in_play)

    def _in_play(self, address: str) -> bool:
        """Whether the host that is managed at this address is changed by the same play."""
        known = self._variables["hostvars"]
        return any(known[name].get("ansible_host") == address for name in self._variables["ansible_play_hosts_all"])

    def _lost(self, before: set[tuple[str, int]], until: float) -> list[str]:
        """Which of the addresses that answered before the change do not answer by `until`."""
        left = before - reach.answering(sorted(before), 3.0)
        while left and time.monotonic() < until:
            time.sleep(0.5)
            left -= reach.answering(sorted(left), 3.0)
        return sorted(host for host, _ in left)

    def _ask(self, steps: list[Any] | None = None) -> Result:
        """What the host tells without being changed: its last rollback, who holds it, and what steps would change."""
        checking = self._task.check_mode
        self._task.check_mode = True
        try:
            return self._execute(fresh=60, steps=steps or [])
        finally:
            self._task.check_mode = checking

    def _execute(self, fresh: float | None = None, **more: Any) -> Result:
        """One run of the module; with `fresh` over a new connection, which must stand soon within so many seconds."""
        if fresh is not None:
            self._connection.reset()
            self._set("timeout", int(max(10, min(20, fresh / 3))))
        self._set("reconnection_retries", 0)  # would run the module again, which may have changed the host
        result = self._action._execute_module(
            module_name=MODULE, module_args={**self._arguments, **more}, task_vars=self._variables
        )
        result.pop("invocation", None)  # holds the whole candidate once more
        if result.get("unreachable"):
            raise AnsibleConnectionFailure(str(result.get("msg")))
        return dict(result)

    def _set(self, option: str, value: int) -> None:
        with contextlib.suppress(AnsibleError, KeyError):  # a connection of another kind has no such option
            self._connection.set_option(option, value)


def operator() -> str:
    """Who runs Ansible: with sudo not root, but whoever asked for it, as in the journal of the run."""
    return os.environ.get("SUDO_USER") or getpass.getuser()
