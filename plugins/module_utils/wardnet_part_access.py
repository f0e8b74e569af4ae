"""Part `access`: how one logs in: accounts, the SSH server's files, keys, sudoers.

    access: {accounts: [{name, home, shell, comment, system: true}], service: ssh.service}

Accounts are made without a password and without a home of their own; what they own is in `files`. The server reads its
configuration again with the change, so that the connection that confirms it has come in by the new one.
"""

from __future__ import annotations

import pwd
from typing import Any

from ansible.module_utils.wardnet_host import SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_part import Difference, Part, PartError, Undo, UndoCommand

SSHD = "/usr/sbin/sshd"


class Access(Part):
    name = "access"

    def read(self) -> None:
        self._missing: list[dict[str, Any]] = []
        self._differing: list[tuple[dict[str, Any], list[str]]] = []
        for account in (account for step in self.steps for account in step.arguments.get("accounts") or []):
            try:
                present = pwd.getpwnam(account["name"])
            except KeyError:
                self._missing.append(account)
                continue
            have = {"home": present.pw_dir, "shell": present.pw_shell, "comment": present.pw_gecos}
            wrong = [key for key in have if account.get(key) is not None and account[key] != have[key]]
            if wrong:
                self._differing.append((account, [word for key in wrong for word in (FLAGS[key], have[key])]))

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(f"account {account['name']}" for account in self._missing),
            needs=tuple(f"change account {account['name']}" for account, _ in self._differing),
        )

    def undo(self) -> list[Undo]:
        back: list[Undo] = [
            UndoCommand(("/usr/sbin/userdel", account["name"]), harmless=("does not exist",))
            for account in self._missing
        ]
        back += [
            UndoCommand(("/usr/sbin/usermod", *former, account["name"]), harmless=("no changes",))
            for account, former in self._differing
        ]
        return [*back, *(UndoCommand((SYSTEMCTL, "try-reload-or-restart", name)) for name in self._services())]

    def _services(self) -> list[str]:
        return sorted({str(step.arguments.get("service") or "ssh.service") for step in self.steps})

    def prepare(self) -> None:
        for account in self._missing:
            system = ["--system"] if account.get("system", True) else []
            self._run("/usr/sbin/useradd", *system, "--no-create-home", "--user-group", "--password=*", account)
        for account, _ in self._differing:
            self._run("/usr/sbin/usermod", account)

    def _run(self, *words: str | dict[str, Any]) -> None:
        argv = [word for word in words if isinstance(word, str)]
        account = next(word for word in words if isinstance(word, dict))
        argv += [part for key, flag in FLAGS.items() if account.get(key) is not None for part in (flag, account[key])]
        try:
            self.host.run([*argv, account["name"]])
        except CommandError as error:
            raise PartError(str(error)) from error

    def apply(self) -> None:
        if not any("/ssh/" in str(change.path) for change in self.files):
            return
        try:
            self.host.run([SSHD, "-t"])
            for name in self._services():
                self.host.run([SYSTEMCTL, "try-reload-or-restart", name])
        except CommandError as error:
            raise PartError(str(error)) from error


FLAGS = {"home": "--home", "shell": "--shell", "comment": "--comment"}
