"""Part `access`: how one logs in: accounts, the SSH server's files, keys, sudoers.

    access: {accounts: [{name, home, shell, comment, system: true}], service: ssh.service, root: [names],
             listen: [addresses]}

Accounts are made without a password and without a home of their own; what they own is in `files`. The server reads its
configuration again with the change, so that the connection that confirms it has come in by the new one. The way back
has it read what it had read before, which need not be what is on disk. Where `root` is given, no account but root and
these is open with the number 0: it is locked.

With `listen`, SSH is to be had at port 22 of just these addresses, as the kernel's sockets tell; at an address of the
loopback beside them, nobody comes in. A server that somebody started by hand ends, and the service has its place; so
does systemd's own socket for it, by which the service would be handed other addresses with each start. The way back
brings the service back with its former files and, as far as those say so, to where it listened, and the socket too.
"""

from __future__ import annotations

import json
import pwd
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from ansible.module_utils import wardnet_taken_up as taken_up
from ansible.module_utils.wardnet_confirmed import confirmed_files
from ansible.module_utils.wardnet_host import PYTHON, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_listening import SOCKET, Listening
from ansible.module_utils.wardnet_part import ALWAYS, BOOT, Difference, Part, PartError, Undo, UndoCommand
from ansible.module_utils.wardnet_part_accounts import FILES, NOLOGIN, parse_logins
from ansible.module_utils.wardnet_way_back import keep_file

SSHD = "/usr/sbin/sshd"


class Access(Part):
    name = "access"
    etc: ClassVar[Path] = Path("/etc")

    def services(self) -> tuple[str, ...]:
        return tuple(self._services()) if self._addresses() else ()

    def read(self) -> None:
        self._listening = Listening(self.host, self._services(), self._addresses())
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

    def _addresses(self) -> list[str]:
        """Where the server is to listen, as the kernel's own addresses are written; empty where nobody says so."""
        given = [ip_address(each) for step in self.steps for each in step.arguments.get("listen") or []]
        return list(dict.fromkeys(map(str, given)))

    def difference(self) -> Difference:
        return Difference(
            missing=(*(f"account {one['name']}" for one in self._missing), *self._listening.missing()),
            foreign=(*(f"account {name}, which is root" for name in self._roots), *self._listening.foreign()),
            needs=tuple(f"change account {account['name']}" for account, _ in self._differing),
        )

    def judge(self, root: Path) -> None:  # noqa: ARG002 - what is in files, validators try
        self._listening.judge()

    def undo(self) -> list[Undo]:
        # Early in a boot no command is to be relied upon, and one that the power cut short has left its locks.
        when = ALWAYS if self._roots else BOOT
        touched = self._roots or self._missing or self._differing
        back: list[Undo] = [keep_file(self.etc / name, when) for name in FILES] if touched else []
        back += [
            UndoCommand(("/usr/sbin/userdel", account["name"]), harmless=("does not exist",))
            for account in self._missing
        ]
        back += [
            UndoCommand(("/usr/sbin/usermod", *former, account["name"]), harmless=("no changes",))
            for account, former in self._differing
        ]
        files = self._not_taken_up()
        if not files and not self._addresses():
            return [*back, *(UndoCommand((SYSTEMCTL, "try-reload-or-restart", name)) for name in self._services())]
        given = {**self._listening.former(), "files": files}
        back += [keep_file(Path(path)) for path in files]
        if self._listening.by_socket():
            back += [keep_file(path) for path in self._listening.links_at_boot()]
        if given["by_socket"]:
            # What was to be started at this boot was settled before the links were back.
            argv = (SYSTEMCTL, "start", "--no-block", SOCKET)
            back.append(UndoCommand(argv, harmless=("",), when=BOOT))
        return [*back, UndoCommand((PYTHON, "-I", str(self.host.library / "taken_up.py")), json.dumps(given).encode())]

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
        of_units = any("/systemd/system" in str(change.path) for change in self.files)
        of_server = any("/ssh/" in str(change.path) for change in self.files)
        if not (of_units or of_server or self._listening.missing() or self._listening.foreign()):
            return
        try:
            if of_units:
                self.host.run([SYSTEMCTL, "daemon-reload"])
            taken_up.separate()
            self.host.run([SSHD, "-t"])
            self._listening.bring(again=of_units)
        except CommandError as error:
            raise PartError(str(error)) from error
        self._listening.hold(self.host.settle)

    def verify(self) -> None:
        self._listening.hold(self.host.settle / 2)


FLAGS = {"home": "--home", "shell": "--shell", "comment": "--comment"}
