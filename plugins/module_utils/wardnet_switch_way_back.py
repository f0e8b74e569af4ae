"""An access switch of Open vSwitch as it was: the way back of part `switch`, judged and written down before anything is
touched. Standard library only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from ansible.module_utils.wardnet_host import IP, NETWORKCTL, SYSTEMCTL, CommandError, Host
from ansible.module_utils.wardnet_part import BOOT, RUNNING, RefusedError, Undo, UndoCommand, UndoFile
from ansible.module_utils.wardnet_switch import Intent
from ansible.module_utils.wardnet_switch_running import FLAGS, Running
from ansible.module_utils.wardnet_way_back import as_it_ran, keep_file, keep_from_boot

VSCTL, OFCTL = "/usr/bin/ovs-vsctl", "/usr/bin/ovs-ofctl"
CLIENT, TOOL = "/usr/bin/ovsdb-client", "/usr/bin/ovsdb-tool"
DATABASE = Path("/var/lib/openvswitch/conf.db")
FORMER = Path("/var/lib/wardnet/former-switch.db")
SERVICE, NETWORKD = "openvswitch-switch.service", "systemd-networkd.service"
DAEMONS = ("ovsdb-server.service", "ovs-vswitchd.service")
GONE = ("",)


class Former:
    """The switch as it runs before the change, `stopped` where not all of Open vSwitch does; `not_at_boot` are its
    units that no boot starts."""

    def __init__(self, host: Host, intent: Intent, running: Running, stopped: bool, not_at_boot: Sequence[str]) -> None:
        self._host, self._intent, self._running = host, intent, running
        self._stopped, self._not_at_boot = stopped, not_at_boot

    def judge(self) -> None:
        """RefusedError where the way back would not be taken; keeps it for undo(). Asked only where the switch runs."""
        self._backup = self._read_database()
        question = '["Open_vSwitch",{"op":"select","table":"Bridge","where":[]}]'
        with text_file(self._backup) as path:
            code, out, err = self._host.attempt([TOOL, "query", path, question])
        if code != 0:
            raise RefusedError(f"the copy of the switch's database cannot be read: {(err or out).strip()}")
        self._flows = {}
        for row in self._running.tables["Bridge"]:
            flows = self._dump_flows(row["name"])
            with text_file(flows) as path:
                code, out, err = self._host.attempt([OFCTL, "parse-flows", path])
            if code != 0:
                raise RefusedError(f"the former flows of {row['name']} would not be taken: {(err or out).strip()}")
            self._flows[row["name"]] = flows

    def _read_database(self) -> str:
        try:
            return self._host.run([CLIENT, "--timeout=20", "backup"])
        except CommandError as error:
            raise RefusedError(f"the switch's database cannot be copied: {error}") from error

    def _dump_flows(self, bridge: str) -> str:
        text = self._host.run([OFCTL, "--timeout=20", "--no-stats", "--no-names", "dump-flows", bridge])
        return "".join(f"{line.strip()}\n" for line in text.splitlines() if "actions=" in line)

    def undo(self) -> list[Undo]:
        """The database as it was, in one transaction where it runs, as a file before it starts at a boot."""
        back: list[Undo] = [each for name in self._not_at_boot for each in keep_from_boot(self._host, name)]
        if self._stopped:
            back += self._file()
        else:
            back.append(UndoFile(str(DATABASE), self._backup.encode(), mode=0o640, when=BOOT))
            # ovsdb-client reads no pipe.
            back.append(UndoFile(str(FORMER), self._backup.encode(), mode=0o600, when=RUNNING))
            back.append(UndoCommand(("/bin/sh", "-ec", f"{CLIENT} --timeout=30 restore < {FORMER}; rm -f {FORMER}")))
            # Any change through ovs-vsctl waits until the daemon has taken up everything before it.
            wait = (VSCTL, "--timeout=30", "--", "remove", "Open_vSwitch", ".", "external_ids", "wardnet")
            back.append(UndoCommand(wait))
            back += [
                UndoCommand((OFCTL, "--timeout=20", "replace-flows", bridge, "-"), stdin=flows.encode())
                for bridge, flows in self._flows.items()
            ]
            back += self._description()
        names = [port.name for port in self._intent.ports if port.name in self._running.up]
        back += self._mac()
        back.append(UndoCommand((NETWORKCTL, "reload")))
        if self._intent.management in self._running.up:
            back.append(UndoCommand((NETWORKCTL, "reconfigure", self._intent.management)))
        back += [
            UndoCommand((IP, "link", "set", "dev", name, "up" if self._running.up[name] else "down")) for name in names
        ]
        for link, address in sorted(self._running.addresses):
            back.append(UndoCommand((IP, "address", "add", address, "dev", link), harmless=("File exists", "already")))
        wanted = {(self._intent.management, address) for address in self._intent.addresses}
        for link, address in sorted(wanted - self._running.addresses):
            back.append(UndoCommand((IP, "address", "delete", address, "dev", link), harmless=GONE))
        return [*back, as_it_ran(self._host)]

    def _file(self) -> list[Undo]:
        """Where not all of it runs: the database as it is on disk, put back while nobody has it open."""
        was = [name for name in DAEMONS if self._host.unit(name).get("ActiveState") == "active"]
        former = keep_file(DATABASE, BOOT)
        there = former.content is not None
        put = f"test ! -e {FORMER} || cmp -s {FORMER} {DATABASE} || mv -f {FORMER} {DATABASE}; rm -f {FORMER}"
        return [
            former,
            *([replace(former, path=str(FORMER), when=RUNNING)] if there else []),
            UndoCommand((SYSTEMCTL, "stop", SERVICE), harmless=GONE),
            UndoCommand((SYSTEMCTL, "stop", *DAEMONS), harmless=GONE),
            UndoCommand(("/bin/sh", "-ec", put if there else f"rm -f {DATABASE}")),
            *(UndoCommand((SYSTEMCTL, "start", name)) for name in was),
        ]

    def _description(self) -> list[Undo]:
        """How fragments were treated, and ports that somebody had set; the database knows neither."""
        bridge = self._intent.bridge
        if not self._running.has_bridge(bridge):
            return []
        words = [("set-frags", bridge, self._running.fragments)] if self._running.fragments else []
        words += [("mod-port", bridge, port, f"no-{FLAGS[flag]}") for port, flag in sorted(self._running.flags)]
        return [UndoCommand((OFCTL, "--timeout=20", *each), harmless=GONE) for each in words]

    def _mac(self) -> list[Undo]:
        """A port that is made anew would get another address, and neighbours would look for the former one."""
        own = self._intent.management
        row = next((row for row in self._running.tables["Interface"] if row["name"] == own), {})
        if not row.get("mac_in_use"):
            return []
        return [UndoCommand((IP, "link", "set", "dev", own, "address", row["mac_in_use"]), harmless=GONE)]


@contextmanager
def text_file(text: str) -> Iterator[str]:
    """The text in a file for the time of the block, since ovs-ofctl and ovsdb-tool do not read all from a pipe."""
    with tempfile.NamedTemporaryFile("w", prefix="wardnet-switch-") as file:
        file.write(text)
        file.flush()
        yield file.name
