"""Where SSH is to be had: what part access wants of the server, held against the kernel's sockets and brought about.
How the sockets are read, and how the server comes back to where it was, is in wardnet_taken_up.py, which the host runs
alone. Standard library only.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_taken_up as taken_up
from ansible.module_utils.wardnet_host import SYSTEMCTL, Host
from ansible.module_utils.wardnet_part import PartError, RefusedError

SOCKET = taken_up.SOCKET
MOST = 16  # MAX_LISTEN_SOCKS of OpenSSH, which `sshd -t` does not try


class Listening:
    """The server, which is `services`, at port 22 of the addresses `wanted`, as the kernel writes them. Without any it
    may listen where it likes, and nothing differs."""

    def __init__(self, host: Host, services: Sequence[str], wanted: Sequence[str]) -> None:
        self._host, self._services, self._wanted = host, services, wanted
        self._sockets = taken_up.listening() if wanted else ()

    # ---- compared ----

    def missing(self) -> list[str]:
        return list(map(str, self._absent()))

    def foreign(self) -> list[str]:
        return [*map(str, self._astray()), *([f"{SOCKET}, by which systemd listens"] if self.by_socket() else [])]

    def _absent(self) -> list[taken_up.Listener]:
        there = {each.key for each in self._sockets}
        wanted = [taken_up.Listener(address, taken_up.PORT) for address in self._wanted]
        return [each for each in wanted if each.key not in there]

    def _astray(self) -> list[taken_up.Listener]:
        wanted = {(address, taken_up.PORT) for address in self._wanted}
        return [each for each in self._sockets if each.key not in wanted and not each.is_loopback]

    def _others(self) -> list[taken_up.Listener]:
        """Where the service would be in somebody's way: SSH is to be had there, and not from the service."""
        main = set(self._main_processes().values())
        return [each for each in self._sockets if not each.holders & main and not each.is_loopback]

    def by_socket(self) -> bool:
        """Whether systemd listens for the service, or will with its next start."""
        shown = self._host.unit(SOCKET)
        return bool(self._wanted) and (shown.get("ActiveState") == "active" or shown.get("UnitFileState") == "enabled")

    def _main_processes(self) -> dict[str, int]:
        """By service; 0 where it does not run."""
        found = {}
        for name in self._services:
            told = self._host.run([SYSTEMCTL, "show", "--property=MainPID", "--value", "--", name]).strip()
            found[name] = int(told) if told.isdigit() else 0
        return found

    # ---- before anything is touched ----

    def judge(self) -> None:
        """RefusedError where the service could not take the place of whoever serves SSH now."""
        if len(self._wanted) > MOST:
            raise RefusedError(
                f"sshd listens at {MOST} addresses at most, and ends where it is given {len(self._wanted)}"
            )
        for name in self._services:
            state = self._host.unit(name).get("LoadState")
            if self._wanted and state != "loaded" and (self._others() or self.by_socket()):
                raise RefusedError(
                    f"SSH is not served by {name} here, which is {state}: nothing was touched, since nobody might come "
                    f"in any more. Have it run (`systemctl unmask {name}`), then run again"
                )

    def former(self) -> dict[str, Any]:
        """What wardnet_taken_up.py is given of the server as it is now, beside the files that it has read."""
        mains = self._main_processes()
        own = set(mains.values())
        listened = [each.key for each in self._sockets if each.port == taken_up.PORT or each.holders & own]
        return {
            "services": self._services,
            "listened": listened if self._wanted else None,
            "ran": {name: taken_up.identity(str(process)) for name, process in mains.items()},
            "by_socket": self.by_socket() and self._host.unit(SOCKET).get("ActiveState") == "active",
        }

    def links_at_boot(self) -> list[Path]:
        """Links by which the service and its socket come at boot, those too that enabling the service makes."""
        folder = self._host.units
        made = {folder / "sshd.service", *(folder / "multi-user.target.wants" / name for name in self._services)}
        levels = [*folder.glob("*.wants"), *folder.glob("*.requires")]
        there = [level / name for level in levels for name in (SOCKET, *self._services)]
        return sorted(made | {path for path in there if path.is_symlink()})

    # ---- brought about ----

    def bring(self, again: bool) -> None:
        """Has the service take up its files and its place, from whoever has it; CommandError where it does not start.
        With `again` it is started again: what is told to a server on its start, or comes before it, no reading of its
        files changes."""
        ended = self._end_socket()
        ended = self._end_others() or ended
        dead = not any(self._main_processes().values())
        self._serve("restart" if self._wanted and (again or ended or dead) else "try-reload-or-restart")
        if self._wanted and not self._comes_to_it(self._host.settle / 2):
            self._serve("restart")

    def hold(self, seconds: float) -> None:
        """PartError where SSH is not to be had where it shall, and nowhere else, within so many seconds."""
        if self._wanted and not self._comes_to_it(seconds):
            said = [f"no {each}" for each in self._absent()] + list(map(str, self._astray()))
            unit = ", ".join(self._services)
            raise PartError(f"{'; '.join(said)}: `systemctl cat {unit}` and `sshd -T` on the host tell who has it so")

    def _serve(self, verb: str) -> None:
        for name in self._services:
            if verb == "restart":  # however often it was started of late
                self._host.attempt([SYSTEMCTL, "reset-failed", name])
            self._host.run([SYSTEMCTL, verb, name])

    def _end_socket(self) -> bool:
        """Takes away systemd's own socket, which may be a condition of the service: a stop of it would end that too,
        and a start of that bring it back. The service comes at boot from now on. Whether there was one."""
        if not self.by_socket():
            return False
        self._host.run([SYSTEMCTL, "enable", *self._services])
        self._host.run([SYSTEMCTL, "disable", SOCKET])
        self._host.run([SYSTEMCTL, "stop", SOCKET])
        return True

    def _end_others(self) -> bool:
        """Ends whoever serves SSH beside the service or in its place. Sessions go on. Whether there was any."""
        if not self._wanted:
            return False
        self._sockets = taken_up.listening()
        others = self._others()
        for process in {process for each in others for process in each.holders}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGTERM)
        until = time.monotonic() + 5
        while others and time.monotonic() < until:
            time.sleep(0.1)
            self._sockets = taken_up.listening()
            if not self._others():
                break
        return bool(others)

    def _comes_to_it(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while True:
            self._sockets = taken_up.listening()
            if not self._absent() and not self._astray():
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
