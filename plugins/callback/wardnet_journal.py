"""Writes a journal of every run, and says at its end which ward is not well and why."""

from __future__ import annotations

import contextlib
import getpass
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ansible import context
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.callback import CallbackBase
from ansible.template import Templar

try:
    from wardnet.runs.journal import read_run
    from wardnet.runs.places import write_folder
    from wardnet.runs.results import keep
    from wardnet.runs.vaulted import decrypted
    from wardnet.runs.withheld import Withholder, secrets_in, withhold_arguments
    from wardnet.runs.words import end_of_run, interrupted
    from wardnet.runs.writer import Journal
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""

DOCUMENTATION = r"""
name: wardnet_journal
type: aggregate
short_description: A journal of every run, to resume it, to report it and to measure it
version_added: "0.1.0"
description:
  - Writes JSON lines, one file a run, to the folder E(WARDNET_RUNS), else F(/var/log/wardnet/runs) if it is there
    and can be written, else F(~/.local/state/wardnet/runs). C(wardnet runs) reads them.
  - Secrets and the contents of files are not written.
  - A journal that cannot be written is said so once, and stops no run.
requirements:
  - enabled in the configuration (callbacks_enabled)
  - the Python that runs Ansible can import wardnet
author: the wardnet developers
"""

# What a run that is gone on with needs of its environment. Paths and days, no secrets.
ENVIRONMENT = ("ANSIBLE_CONFIG", "WARDNET_AS_OF", "WARDNET_KNOWN_HOSTS", "WARDNET_SSH_KEY")
RESUMES = "WARDNET_RESUMES"
RUN = "WARDNET_RUN"
# Run on the controller alone: good ones tell nothing about a host.
QUIET = frozenset({"assert", "include_role", "include_tasks", "meta", "set_fact", "validate_argument_spec",
                   "wardnet_candidate", "wardnet_skipped", "wardnet_withdraw"})  # fmt: skip
COMMIT = "wardnet_commit"


class CallbackModule(CallbackBase):  # type: ignore[misc]
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "wardnet_journal"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._started = datetime.now(UTC)
        self._playbook: Any = None
        self._journal: Journal | None = None
        self._indices: dict[str, int] = {}
        self._play = 0
        self._running: Any = None
        self._variables: Any = None
        self._withholder: Withholder | None = None
        self._given: set[str] = set()
        self._learnt: set[str] = set()
        self._pid = os.getpid()
        self._former: Any = signal.SIG_DFL
        self._changing: dict[str, tuple[Any, Any]] = {}  # (host, task) of commits that have not ended, by host
        if MISSING:
            self._display.warning(f"no journal is kept: Ansible's Python cannot import wardnet ({MISSING})")
            self.disabled = True

    def v2_playbook_on_start(self, playbook: Any) -> None:
        self._close()
        self._started = datetime.now(UTC)
        self._playbook = playbook
        self._indices = {play._uuid: number for number, play in enumerate(playbook.get_plays())}

    def v2_playbook_on_play_start(self, play: Any) -> None:
        self._variables = play.get_variable_manager()
        try:
            if self._journal is None and self._playbook is not None:
                self._begin()
            if self._journal is None:
                return
            self._play, self._running = self._indices.get(play._uuid, self._play), play
            inventory = self._variables._inventory
            hosts, batch = (
                _names(inventory.get_hosts(play.hosts, ignore_restrictions=all_, order=play.order))
                if _touches(play)
                else []
                for all_ in (True, False)
            )
            fields = {"play": self._play, "name": play.get_name(), "hosts": hosts, "batch": batch,
                      "check": self._checks(play)}  # fmt: skip
            self._journal.add("play", fields, lasting=True)
        except OSError as error:
            self._give_up(error)

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        if _action(task) == COMMIT and not task.check_mode:
            self._changing[host.get_name()] = (host, task)

    def v2_runner_on_ok(self, result: Any) -> None:
        self._add(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._add(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._add(result, "ignored" if result.task_fields.get("ignore_unreachable") else "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        if self._journal is None:
            return
        journal, path = self._journal, self._journal.path
        try:
            journal.add("end", {"stats": {host: stats.summarize(host) for host in sorted(stats.processed)}}, True)
            self._close()
            for line in end_of_run(read_run(path)):
                self._display.display(line)
        except OSError as error:
            self._give_up(error)

    def _begin(self) -> None:
        """The header needs the inventory, which the first play brings."""
        inventory = self._variables._inventory
        common = inventory.groups["all"].get_vars()
        argv, withheld, secrets = withhold_arguments(sys.argv[1:])
        self._given = secrets
        # Also where Ansible has read a variable in another way than the words were.
        playbooks = [str(word) for word in context.CLIARGS.get("args") or ()]
        argv = [word if word in playbooks else self._withhold(None).text(word) for word in argv]
        hosts = inventory.get_hosts("all")
        options = context.CLIARGS
        zone = str(common.get("wardnet_timezone") or "UTC")
        header = {
            "user": os.environ.get("SUDO_USER") or getpass.getuser(),
            "machine": socket.gethostname(),
            "playbook": str(self._playbook._file_name),
            "program": sys.argv[0],
            "argv": argv,
            "playbooks": playbooks,
            "cwd": str(Path.cwd()),
            "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
            "inventory": [str(source) for source in inventory._sources],
            "model_sha256": str(common.get("wardnet_model_sha256") or ""),
            "district": str(common.get("wardnet_district") or ""),
            "district_name": str(common.get("wardnet_district_name") or ""),
            "ward_names": {str(ward): str(name) for ward, name in (common.get("wardnet_ward_names") or {}).items()},
            "timezone": zone,
            "as_of": os.environ.get("WARDNET_AS_OF") or _today(zone).isoformat(),
            "check": bool(options.get("check")),
            "limit": str(options.get("subset") or ""),
            "resumes": os.environ.get(RESUMES, ""),
            "withheld": withheld,
            "plays": list(self._plays(inventory)),
            "wards": {host.name: str(host.vars["wardnet_ward"]) for host in hosts if "wardnet_ward" in host.vars},
        }
        self._journal = Journal(write_folder(), self._started)
        if signal.getsignal(signal.SIGINT) != self._on_interrupt:  # one process may play several playbooks
            self._former = signal.signal(signal.SIGINT, self._on_interrupt)
        os.environ[RUN] = self._journal.id  # workers inherit it: what a host writes down can name the run
        self._journal.begin(header)
        os.environ[RUN] = self._journal.id  # the workers' too: a host is told which run changes it

    def _plays(self, inventory: Any) -> Iterator[dict[str, Any]]:
        """What is to come, as far as it is known before it comes; the hosts of a play that cannot be said are null."""
        for play in self._playbook.get_plays():
            hosts: list[str] | None
            serial: list[Any]
            try:
                templar = Templar(loader=self._playbook._loader, variables=self._variables.get_vars(play=play))
                hosts = _names(inventory.get_hosts(templar.template(play.hosts), ignore_restrictions=True))
                serial = list(templar.template(play.serial))
                stops = bool(templar.template(play.any_errors_fatal)) or play.max_fail_percentage is not None
            except Exception:  # whatever a template of a play to come may raise: it is only not known yet
                hosts, serial, stops = None, [], True
            if not _touches(play):
                hosts = []
            name = play.get_name()
            yield {"name": name, "hosts": hosts, "serial": [_plain(one) for one in serial], "stops": stops}

    def _checks(self, play: Any) -> bool:
        """Whether a play changes nothing. Ansible hands its check_mode on to the tasks as it was written."""
        templar = Templar(loader=self._playbook._loader, variables=self._variables.get_vars(play=play))
        return boolean(templar.template(play.check_mode), strict=False)

    def _on_interrupt(self, number: int, _frame: Any) -> None:
        """Ctrl-C: what becomes of hosts in the midst of a change is said at once, since Ansible may be long in ending.
        To the terminal itself: whoever was writing when this came may hold the display."""
        if self._journal is not None and os.getpid() == self._pid:
            lines = interrupted(self._journal.id, self._changing, self._armed_for())
            os.write(sys.stdout.fileno(), ("\n".join(lines) + "\n").encode())
        signal.signal(number, self._former)
        os.kill(os.getpid(), number)

    def _armed_for(self) -> int | None:
        """The longest time in seconds for which a change that has not ended is armed; None where it cannot be said."""
        most = 0
        for host, task in self._changing.values():
            try:
                variables = self._variables.get_vars(play=self._running, host=host, task=task)
                templar = Templar(loader=self._playbook._loader, variables=variables)
                given = [int(templar.template(task.args[key])) for key in ("confirm_within", "settle")]
            except Exception:  # whatever a template may raise once all is being ended
                return None
            most = max(most, sum(given))
        return most or None

    def _add(self, result: Any, status: str) -> None:
        if self._journal is None:
            return
        task = result.task
        self._changing.pop(result.host.get_name(), None)
        action = _action(task, result.task_fields)
        if status == "ok" and action in QUIET:
            return
        bad = status not in ("ok", "changed")
        kept = keep(result.result, bad, self._withhold(result.host)) if status != "ok" or action == COMMIT else {}
        try:
            self._journal.add(
                "result",
                {
                    "play": self._play,
                    "host": result.host.get_name(),
                    "role": task._role.get_name() if task._role else "",
                    "task": self._withhold(None).text(str(result.task_name)),
                    "action": action,
                    "status": status,
                    **kept,
                },
                lasting=status in ("failed", "unreachable") or action == COMMIT,
            )
        except OSError as error:
            self._give_up(error)

    def _withhold(self, host: Any) -> Withholder:
        """With what may not be written about the host: values under secrets' names, and what came out of a vault."""
        if self._withholder is None:
            extra = self._variables.extra_vars
            self._withholder = Withholder(self._given | secrets_in(extra) | set(decrypted(extra)))
        if host is not None and host.get_name() not in self._learnt:
            self._learnt.add(host.get_name())
            variables = self._variables.get_vars(host=host, include_hostvars=False)
            variables = {key: value for key, value in variables.items() if key not in ("hostvars", "vars")}
            self._withholder.learn(secrets_in(variables) | set(decrypted(variables)))
        return self._withholder

    def _give_up(self, error: OSError) -> None:
        self._display.warning(f"the journal of this run ends here: {error}")
        self._close()
        self.disabled = True

    def _close(self) -> None:
        if self._journal is not None:
            with contextlib.suppress(OSError):  # what could not be written was said
                self._journal.close()
        self._journal = None


def _touches(play: Any) -> bool:
    """Whether a play works on its hosts. One that only says something on the controller is about none of them."""

    def actions(blocks: Any) -> Iterator[str]:
        for item in blocks:
            if hasattr(item, "block"):
                yield from actions([*item.block, *item.rescue, *item.always])
            else:
                yield str(item.action).rsplit(".", 1)[-1]

    return bool(play.roles) or any(
        action not in QUIET for action in actions([*play.pre_tasks, *play.tasks, *play.post_tasks])
    )


def _action(task: Any, fields: Mapping[str, Any] | None = None) -> str:
    """A task's module, without its collection."""
    return str((fields or {}).get("action") or task.action).rsplit(".", 1)[-1]


def _names(hosts: Any) -> list[str]:
    return [host.get_name() for host in hosts]


def _plain(value: Any) -> str | int:
    return int(value) if isinstance(value, int) else str(value)


def _today(zone: str) -> date:
    return datetime.now(ZoneInfo(zone)).date()
