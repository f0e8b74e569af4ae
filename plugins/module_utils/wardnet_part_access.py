"""Part `access`: how one logs in: accounts, the SSH server's files, keys, sudoers.

    access: {accounts: [{name, home, shell, comment, system: true}], service: ssh.service, root: [names]}

Accounts are made without a password and without a home of their own; what they own is in `files`. The server reads its
configuration again with the change, so that the connection that confirms it has come in by the new one. The way back
has it read what it had read before, which need not be what is on disk. Where `root` is given, no account but root and
these is open with the number 0: it is locked.
"""

from __future__ import annotations

import json
import pwd
from pathlib import Path
from typing import Any, ClassVar

from ansible.module_utils import wardnet_taken_up as taken_up
from ansible.module_utils.wardnet_confirmed import confirmed_files
from ansible.module_utils.wardnet_host import PYTHON, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_part import Difference, Part, PartError, Undo, UndoCommand
from ansible.module_utils.wardnet_part_accounts import FILES, NOLOGIN, parse_logins
from ansible.module_utils.wardnet_way_back import keep_file

SSHD = "/usr/sbin/sshd"


class Access(Part):
    name = "access"
    etc: ClassVar[Path] = Path("/etc")

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

        self._roots = self._other_roots()

    def _other_roots(self) -> list[str]:
        given = [step.arguments["root"] for step in self.steps if step.arguments.get("root") is not None]
        if not given:
            return []
        known = {"root", *(name for names in given for name in names)}
        logins = parse_logins(*((self.etc / name).read_text() for name in ("passwd", "shadow", "group")))
        return [one.name for one in logins.values() if one.uid == 0 and one.name not in known and not one.locked]

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(f"account {account['name']}" for account in self._missing),
            foreign=tuple(f"account {name}, which is root" for name in self._roots),
            needs=tuple(f"change account {account['name']}" for account, _ in self._differing),
        )

    def undo(self) -> list[Undo]:
        back: list[Undo] = [keep_file(self.etc / name) for name in FILES] if self._roots else []
        back += [
            UndoCommand(("/usr/sbin/userdel", account["name"]), harmless=("does not exist",))
            for account in self._missing
        ]
        back += [
            UndoCommand(("/usr/sbin/usermod", *former, account["name"]), harmless=("no changes",))
            for account, former in self._differing
        ]
        files = self._not_taken_up()
        if not files:
            return [*back, *(UndoCommand((SYSTEMCTL, "try-reload-or-restart", name)) for name in self._services())]
        given = json.dumps({"services": self._services(), "files": files}).encode()
        back += [keep_file(Path(path)) for path in files]
        return [*back, UndoCommand((PYTHON, "-I", str(self.host.library / "taken_up.py")), given)]

    def _not_taken_up(self) -> dict[str, str | None]:
        """Files that were edited and not reloaded, as the server has them."""
        folders = (taken_up.CONFIG.parent, taken_up.MORE)
        known = confirmed_files(self.host, self.name)
        return taken_up.late({path: text for path, text in known.items() if Path(path).parent in folders})

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
        try:
            for name in self._roots:
                self.host.run(["/usr/sbin/usermod", "--lock", "--expiredate=1", f"--shell={NOLOGIN}", name])
        except CommandError as error:
            raise PartError(str(error)) from error
        if not any("/ssh/" in str(change.path) for change in self.files):
            return
        try:
            self.host.run([SSHD, "-t"])
            for name in self._services():
                self.host.run([SYSTEMCTL, "try-reload-or-restart", name])
        except CommandError as error:
            raise PartError(str(error)) from error


FLAGS = {"home": "--home", "shell": "--shell", "comment": "--comment"}
