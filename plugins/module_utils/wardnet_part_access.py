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
import os
import pwd
import signal
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from ansible.module_utils import wardnet_taken_up as taken_up
from ansible.module_utils.wardnet_confirmed import confirmed_files
from ansible.module_utils.wardnet_host import PYTHON, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_part import BOOT, Difference, Part, PartError, RefusedError, Undo, UndoCommand
from ansible.module_utils.wardnet_part_accounts import FILES, NOLOGIN, parse_logins
from ansible.module_utils.wardnet_way_back import keep_file

SSHD = "/usr/sbin/sshd"
SOCKET = taken_up.SOCKET
MOST = 16  # MAX_LISTEN_SOCKS of OpenSSH, which `sshd -t` does not try


class Access(Part):
    name = "access"
    etc: ClassVar[Path] = Path("/etc")

    def services(self) -> tuple[str, ...]:
        return tuple(self._services()) if self._addresses() else ()

    def read(self) -> None:
        self._wanted = self._addresses()
        self._listening = taken_up.listening() if self._wanted else ()
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

    def _absent(self) -> list[taken_up.Listener]:
        there = {each.key for each in self._listening}
        wanted = [taken_up.Listener(address, taken_up.PORT) for address in self._wanted]
        return [each for each in wanted if each.key not in there]

    def _astray(self) -> list[taken_up.Listener]:
        wanted = {(address, taken_up.PORT) for address in self._wanted}
        return [each for each in self._listening if each.key not in wanted and not each.is_loopback]

    def difference(self) -> Difference:
        return Difference(
            missing=(*(f"account {one['name']}" for one in self._missing), *map(str, self._absent())),
            foreign=(
                *(f"account {name}, which is root" for name in self._roots),
                *map(str, self._astray()),
                *([f"{SOCKET}, by which systemd listens"] if self._by_socket() else []),
            ),
            needs=tuple(f"change account {account['name']}" for account, _ in self._differing),
        )

    def judge(self, root: Path) -> None:  # noqa: ARG002 - what is in files, validators try
        if len(self._wanted) > MOST:
            raise RefusedError(
                f"sshd listens at {MOST} addresses at most, and ends where it is given {len(self._wanted)}"
            )
        for name in self._services():
            state = self.host.unit(name).get("LoadState")
            if self._wanted and state != "loaded" and (self._others() or self._by_socket()):
                raise RefusedError(
                    f"SSH is not served by {name} here, which is {state}: nothing was touched, since nobody might come "
                    f"in any more. Have it run (`systemctl unmask {name}`), then run again"
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
        if not files and not self._wanted:
            return [*back, *(UndoCommand((SYSTEMCTL, "try-reload-or-restart", name)) for name in self._services())]
        mains = self._main_processes()
        own = set(mains.values())
        listened = [each.key for each in self._listening if each.port == taken_up.PORT or each.holders & own]
        given = {
            "services": self._services(),
            "files": files,
            "listened": listened if self._wanted else None,
            "ran": {name: taken_up.identity(str(process)) for name, process in mains.items()},
            "by_socket": self._by_socket() and self.host.unit(SOCKET).get("ActiveState") == "active",
        }
        back += [keep_file(Path(path)) for path in files]
        if self._by_socket():
            back += [keep_file(path) for path in self._starts_at_boot()]
        if given["by_socket"]:
            # What was to be started at this boot was settled before the links were back.
            argv = (SYSTEMCTL, "start", "--no-block", SOCKET)
            back.append(UndoCommand(argv, harmless=("",), when=BOOT))
        return [*back, UndoCommand((PYTHON, "-I", str(self.host.library / "taken_up.py")), json.dumps(given).encode())]

    def _by_socket(self) -> bool:
        """Whether systemd listens for the service, or will with its next start."""
        shown = self.host.unit(SOCKET)
        return bool(self._wanted) and (shown.get("ActiveState") == "active" or shown.get("UnitFileState") == "enabled")

    def _starts_at_boot(self) -> list[Path]:
        """Links by which the service and its socket come at boot, those too that enabling the service makes."""
        folder = self.host.units
        made = {folder / "sshd.service", *(folder / "multi-user.target.wants" / name for name in self._services())}
        levels = [*folder.glob("*.wants"), *folder.glob("*.requires")]
        there = [level / name for level in levels for name in (SOCKET, *self._services())]
        return sorted(made | {path for path in there if path.is_symlink()})

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
        if not (of_units or of_server or self._absent() or self._astray() or self._by_socket()):
            return
        try:
            if of_units:
                self.host.run([SYSTEMCTL, "daemon-reload"])
            taken_up.separate()
            self.host.run([SSHD, "-t"])
            ended = self._end_socket()
            ended = self._end_others() or ended
            dead = not any(self._main_processes().values())
            # What is told to a server on its start, or comes before it, no reading of its files changes.
            verb = "restart" if self._wanted and (of_units or ended or dead) else "try-reload-or-restart"
            self._serve(verb)
            if self._wanted and not self._comes_to_it(self.host.settle / 2):
                self._serve("restart")
        except CommandError as error:
            raise PartError(str(error)) from error
        self._hold(self.host.settle)

    def verify(self) -> None:
        self._hold(self.host.settle / 2)

    def _serve(self, verb: str) -> None:
        for name in self._services():
            if verb == "restart":  # however often it was started of late
                self.host.attempt([SYSTEMCTL, "reset-failed", name])
            self.host.run([SYSTEMCTL, verb, name])

    def _others(self) -> list[taken_up.Listener]:
        """Where the service would be in somebody's way: SSH is to be had there, and not from the service."""
        main = set(self._main_processes().values())
        return [each for each in self._listening if not each.holders & main and not each.is_loopback]

    def _end_socket(self) -> bool:
        """Takes away systemd's own socket, which may be a condition of the service: a stop of it would end that too,
        and a start of that bring it back. The service comes at boot from now on. Whether there was one."""
        if not self._by_socket():
            return False
        self.host.run([SYSTEMCTL, "enable", *self._services()])
        self.host.run([SYSTEMCTL, "disable", SOCKET])
        self.host.run([SYSTEMCTL, "stop", SOCKET])
        return True

    def _end_others(self) -> bool:
        """Ends whoever serves SSH beside the service or in its place. Sessions go on. Whether there was any."""
        if not self._wanted:
            return False
        self._listening = taken_up.listening()
        others = self._others()
        for process in {process for each in others for process in each.holders}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        until = time.monotonic() + 5
        while others and time.monotonic() < until:
            time.sleep(0.1)
            self._listening = taken_up.listening()
            if not self._others():
                break
        return bool(others)

    def _main_processes(self) -> dict[str, int]:
        """By service; 0 where it does not run."""
        found = {}
        for name in self._services():
            told = self.host.run([SYSTEMCTL, "show", "--property=MainPID", "--value", "--", name]).strip()
            found[name] = int(told) if told.isdigit() else 0
        return found

    def _comes_to_it(self, seconds: float) -> bool:
        """Whether SSH is to be had where it shall, and nowhere else, within so many seconds."""
        until = time.monotonic() + seconds
        while True:
            self._listening = taken_up.listening()
            if not self._absent() and not self._astray():
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.1)

    def _hold(self, seconds: float) -> None:
        if self._wanted and not self._comes_to_it(seconds):
            said = [f"no {each}" for each in self._absent()] + list(map(str, self._astray()))
            unit = ", ".join(self._services())
            raise PartError(f"{'; '.join(said)}: `systemctl cat {unit}` and `sshd -T` on the host tell who has it so")


FLAGS = {"home": "--home", "shell": "--shell", "comment": "--comment"}
