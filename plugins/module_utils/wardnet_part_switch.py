"""Part `switch`: an access switch of Open vSwitch, its VLANs, flows, links and its own address.

    switch: {plan, flows, dead_vlan: 4094, datapath: ''}

`plan` is the compiled record (SwitchPlan), `flows` the path of the candidate's file with all flows of the bridge. What
is in the database of Open vSwitch is changed by one transaction of it: no frame ever sees half of the change. The
database outlives a reboot by itself, so the way back holds a copy of it, for what runs and for the next boot; also
where Open vSwitch does not run when the change begins.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_host import IP, NETWORKCTL, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_part import Difference, Part, PartError, RefusedError, Undo
from ansible.module_utils.wardnet_switch import Gap, Intent, compare, read_intent, transaction
from ansible.module_utils.wardnet_switch_running import (
    FLAGS,
    FRAGMENTS,
    TABLES,
    Running,
    parse_description,
    parse_links,
    parse_tables,
)
from ansible.module_utils.wardnet_switch_way_back import (
    DAEMONS,
    NETWORKD,
    OFCTL,
    SERVICE,
    VSCTL,
    Former,
    text_file,
)
from ansible.module_utils.wardnet_units import unmask

EMPTY: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}


class Switch(Part):
    name = "switch"

    def services(self) -> tuple[str, ...]:
        return (*DAEMONS, SERVICE, NETWORKD)

    # ---- what runs ----

    def read(self) -> None:
        if len(self.steps) != 1:
            raise RefusedError("part switch: one step says all of a switch")
        arguments = self.steps[0].arguments
        self._intent: Intent = read_intent(arguments)
        self._flows = self.content(arguments["flows"])
        self._path = str(arguments["flows"])
        self._stopped = any(self.host.unit(name).get("ActiveState") != "active" for name in DAEMONS)
        self._not_at_boot = [
            name for name in (SERVICE, NETWORKD) if self.host.unit(name).get("UnitFileState") != "enabled"
        ]
        self._running, self._gaps, self._missing_flows, self._foreign_flows = self._look()
        self._former = Former(self.host, self._intent, self._running, self._stopped, self._not_at_boot)

    def _look(self) -> tuple[Running, list[Gap], list[str], list[str]]:
        links = self._links()
        if self._stopped:
            running = Running(EMPTY, *links)
        else:
            lists = [word for name in TABLES for word in ("--", "list", name)]
            running = Running(parse_tables(self.host.run([VSCTL, "--timeout=20", "--format=json", *lists])), *links)
            if running.has_bridge(self._intent.bridge):
                fragments, flags = parse_description(
                    self.host.run([OFCTL, "--timeout=20", "show", self._intent.bridge])
                )
                running = replace(running, fragments=fragments, flags=flags)
        return (running, compare(self._intent, running), *self._compare_flows(running))

    def _links(self) -> Any:
        shows = (["address", "show"], ["-4", "route", "show", "default"], ["-6", "route", "show", "default"])
        return parse_links(*(json.loads(self.host.run([IP, "-j", *words]).strip() or "[]") for words in shows))

    def _compare_flows(self, running: Running) -> tuple[list[str], list[str]]:
        if not running.has_bridge(self._intent.bridge):
            return [f"flows of {self._path}"], []
        with text_file(self._flows) as path:
            code, out, err = self.host.attempt([OFCTL, "--timeout=20", "diff-flows", self._intent.bridge, path])
        if code not in (0, 2):
            if "parse" in err or path in err:  # judge() says it with its own words
                return [f"flows of {self._path}"], []
            raise RefusedError(f"the flows of {self._intent.bridge} cannot be read: {err.strip()}")
        lines = out.splitlines()
        missing = [f"flow {line[1:].strip()}" for line in lines if line.startswith("+")]
        return missing, [f"flow {line[1:].strip()}" for line in lines if line.startswith("-")]

    def difference(self) -> Difference:
        return Difference(
            missing=(*(gap.missing for gap in self._gaps if gap.missing), *self._missing_flows),
            foreign=(*(gap.foreign for gap in self._gaps if gap.foreign), *self._foreign_flows),
            needs=tuple(f"start {name}" for name in (SERVICE, NETWORKD) if self._is_due(name)),
        )

    def _is_due(self, name: str) -> bool:
        return name in self._not_at_boot or (name == SERVICE and self._stopped)

    # ---- before anything is touched ----

    def judge(self, root: Path) -> None:
        arguments = self.steps[0].arguments
        dead = int(arguments["dead_vlan"])
        used = {vlan for port in self._intent.ports for vlan in (port.tag, *port.trunks) if port.up}
        if dead in used:
            raise RefusedError(f"VLAN {dead} is that of ports which carry nothing, and a network has it")
        absent = [one.name for one in self._intent.ports if not one.internal and one.name not in self._running.up]
        if absent:
            raise RefusedError(f"this switch has no port {', '.join(absent)}: nothing was touched")
        if self.host.check_mode and not Path(VSCTL).exists():
            self.host.warn("Open vSwitch is not installed yet: its validation waits for the converge")
            return
        code, out, err = self.host.attempt([OFCTL, "parse-flows", f"{root}{self._path}"])
        if code != 0:
            raise RefusedError(f"ovs-ofctl refuses the flows, nothing was touched: {(err or out).strip()}")
        if self._stopped:
            return
        words = transaction(self._intent, self._running.tables)
        code, out, err = self.host.attempt([VSCTL, "--timeout=20", "--no-wait", "--dry-run", *words])
        if code != 0:
            raise RefusedError(f"ovs-vsctl refuses the change, nothing was touched: {(err or out).strip()}")
        self._former.judge()

    def undo(self) -> list[Undo]:
        return self._former.undo()

    # ---- the change ----

    def apply(self) -> None:
        try:
            if any(str(change.path).startswith("/etc/systemd/system") for change in self.files):
                self.host.run([SYSTEMCTL, "daemon-reload"])
            for name in (SERVICE, NETWORKD):
                if self._is_due(name):
                    unmask(self.host, name)
                    self.host.run([SYSTEMCTL, "enable", "--now", name])
            if self._stopped:
                self._stopped = False
                self._running, self._gaps, self._missing_flows, self._foreign_flows = self._look()
            if any(gap.database for gap in self._gaps):
                self.host.run([VSCTL, "--timeout=30", *transaction(self._intent, self._running.tables)])
            self._load_flows()
            self._settle()
        except CommandError as error:
            raise PartError(str(error)) from error

    def _load_flows(self) -> None:
        self.host.run([OFCTL, "--timeout=20", "set-frags", self._intent.bridge, FRAGMENTS])
        with text_file(self._flows) as path:
            self.host.run([OFCTL, "--timeout=20", "replace-flows", self._intent.bridge, path])

    def _settle(self) -> None:
        """Links are switched, networkd takes up its files; what is left over after that is mended link by link."""
        self.host.run([NETWORKCTL, "reload"])
        begun = time.monotonic()
        again = begun + (2 if self.files else 0)  # a reload takes up changed files by itself
        while True:
            running, gaps, missing, foreign = self._look()
            if missing or foreign or running.fragments != FRAGMENTS:
                self._load_flows()
            for port, flag in sorted(running.flags):
                self.host.attempt([OFCTL, "--timeout=20", "mod-port", self._intent.bridge, port, FLAGS[flag]])
            if not gaps and not missing and not foreign:
                return
            now = time.monotonic()
            if now > begun + self.host.settle:
                raise PartError(
                    "the switch does not come to what is intended: see missing and foreign",
                    missing=[gap.missing for gap in gaps if gap.missing] + missing,
                    foreign=[gap.foreign for gap in gaps if gap.foreign] + foreign,
                )
            self._set_links(running)
            own = self._intent.management
            if now >= again and any(gap.missing and gap.missing.endswith(f" on {own}") for gap in gaps):
                self.host.attempt([NETWORKCTL, "reconfigure", own])
                again = now + 5
            time.sleep(0.2)

    def _set_links(self, running: Running) -> None:
        for port in self._intent.ports:
            if running.up.get(port.name, port.up) is not port.up:
                self.host.run([IP, "link", "set", "dev", port.name, "up" if port.up else "down"])
        wanted = {(self._intent.management, address) for address in self._intent.addresses}
        for link, address in running.addresses - wanted:
            self.host.attempt([IP, "address", "delete", address, "dev", link])
        for link, way in running.ways - {(self._intent.management, one) for one in self._intent.ways}:
            family = "-6" if ":" in way else "-4"
            via = ["via", way] if way else []
            self.host.attempt([IP, family, "route", "delete", "default", *via, "dev", link])

    def verify(self) -> None:
        _, gaps, missing, foreign = self._look()
        left = [*(gap.missing or gap.foreign for gap in gaps), *missing, *foreign]
        if left:
            raise PartError(f"the switch is not as intended: {'; '.join(left)}")
