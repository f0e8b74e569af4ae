"""Part `network`: addresses, routes and policy rules, on disk for systemd-networkd and in the running kernel.

    network: {gateway, channel, hold_main: false}

`gateway` is the compiled record; its ports, tables and rules of `channel` are held, a step a channel. `hold_main` holds
the main table as well, to being empty. What is missing is brought by networkd, link by link; what is foreign is
deleted after that, so that the way back to the manager is there before the old one goes. A port that is not there or
has no link is not missed; it is named in `without_link`.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_network_files as network_files
from ansible.module_utils.wardnet_host import IP, NETWORKCTL, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_intent import Intent, compare, is_of_vrfs, join_intents, read_intent
from ansible.module_utils.wardnet_ip_words import NoWordsError, command_for, is_exact
from ansible.module_utils.wardnet_kernel import MAIN, Item, Route, Rule, Running, parse_rules
from ansible.module_utils.wardnet_links import (
    Fault,
    Link,
    Stray,
    faults,
    most,
    parse_strays,
    parse_vlans,
    silent,
    standing_upon,
    wanted_mtus,
)
from ansible.module_utils.wardnet_network_running import batch, describe_links, look
from ansible.module_utils.wardnet_part import Difference, Part, PartError, RefusedError, Undo, UndoCommand
from ansible.module_utils.wardnet_units import is_started, unmask
from ansible.module_utils.wardnet_way_back import as_it_ran, keep_file, keep_from_boot, keep_masks

NETWORKD = "systemd-networkd.service"
VLANS = Path("/proc/net/vlan/config")  # where the kernel has 802.1Q devices
TAKEN_UP = 2.0  # seconds within which networkd begins to do what changed files say, after it has said that it read them
THERE, GONE = ("File exists",), ("",)  # an item may have gone already, in more ways than there are words for


class Network(Part):
    name = "network"

    def services(self) -> tuple[str, ...]:
        return (NETWORKD,)

    def read(self) -> None:
        self._intent = join_intents([read_step(step.arguments) for step in self.steps])
        self._running, self._links = self._look()
        self._difference = compare(self._running, self._intent)
        self._parents = {
            port["name"]: port["parent"]
            for step in self.steps
            for port in step.arguments["gateway"]["ports"]
            if port["channel"] == step.arguments["channel"] and port.get("parent")
        }
        own = [item["path"] for step in self.steps for item in step.files]
        parents = set(self._parents.values())
        self._overriding = network_files.overriding(own, self._intent.ports | self._intent.vrfs | parents | {"lo"})
        self._held_up = (self._intent.ports - self._intent.dialled) | parents  # a session's own goes with it
        self._stray = self._strays(self._links)
        self._wrong = self._faults(self._links)

    def _strays(self, links: dict[str, Link]) -> dict[str, Stray]:
        """Devices that are no port: VLANs, which networkd makes and takes none away, and what stands upon a port."""
        if MAIN not in self._intent.tables:
            return {}
        ports = [port for step in self.steps for port in step.arguments["gateway"]["ports"]]
        dialled_over = {f"{port['name'][:10]}-line" for port in ports if port.get("dialled")}  # as the roles name it
        known = self._intent.all_ports | dialled_over
        names = set(parse_vlans(VLANS.read_text() if VLANS.exists() else "")) - known
        names |= set(standing_upon(links, self._held_up | self._intent.all_ports | dialled_over, known))
        return parse_strays(describe_links(self.host), names) if names else {}

    def _faults(self, links: dict[str, Link]) -> list[Fault]:
        found = faults(links, wanted_mtus(links, self._held_up, self._parents, {}))
        if not found:
            return []
        details = describe_links(self.host)
        return faults(links, wanted_mtus(links, self._held_up, self._parents, most(details)), silent(details))

    def _look(self) -> tuple[Running, dict[str, Link]]:
        return look(self.host)

    def _stopped(self) -> bool:
        return self.host.unit(NETWORKD).get("ActiveState") != "active"

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(map(str, self._difference.missing)),
            foreign=(
                *map(str, self._difference.foreign),
                *(stray.words for _, stray in sorted(self._stray.items())),
                *(f"file {path}, which {NETWORKD} takes before wardnet's" for path in self._overriding.values()),
            ),
            needs=(
                *(() if is_started(self.host.unit(NETWORKD)) else (f"start {NETWORKD}",)),
                *(fault.words for fault in self._wrong),
            ),
            facts={"without_link": sorted(self._intent.ports - self._running.carrier)},
        )

    def judge(self, root: Path) -> None:  # noqa: ARG002 - its files are judged by networkd alone
        lost = [str(item) for item in self._difference.foreign if not is_learned(item) and not is_exact(item)]
        lost += [stray.words for _, stray in sorted(self._stray.items()) if not stray.again]
        if lost:
            raise RefusedError(
                f"the way back is refused: it could not bring back as it is: {'; '.join(lost)}. "
                "Take that away, then run again"
            )

    def undo(self) -> list[Undo]:
        """Files come back first. Then networkd takes them up, and ip(8) sets what ran, whether or not they say so."""
        ports = sorted(self._intent.ports & set(self._links))
        made = sorted(self._intent.ports - set(self._links)) + sorted(self._intent.vrfs - set(self._links))
        back: list[Undo] = [*keep_masks(NETWORKD)]
        folders = dict.fromkeys(mask.parent for mask in self._overriding)
        back += [keep_file(path) for path in (*folders, *self._overriding)]
        back += [UndoCommand((IP, "link", "delete", "dev", link), harmless=GONE) for link in made]
        if self._intent.vrfs and not any(map(is_of_vrfs, self._running.rules)):
            back += [
                UndoCommand((IP, family, "rule", "del", "priority", "1000", "l3mdev"), harmless=GONE)
                for family in ("-4", "-6")
            ]
        for name, stray in sorted(self._stray.items()):
            back.append(UndoCommand((IP, "link", "add", *stray.again), harmless=THERE))
            back += [UndoCommand((IP, "link", "set", "dev", name, "up"))] if stray.up else []
        if self._stopped():
            back += [*keep_from_boot(self.host, NETWORKD), UndoCommand((SYSTEMCTL, "stop", NETWORKD))]
        else:
            back += [UndoCommand((NETWORKCTL, "reload")), UndoCommand((NETWORKCTL, "reconfigure", "lo", *ports))]
            back += keep_from_boot(self.host, NETWORKD)
        back += [UndoCommand((IP, "link", "set", "dev", port, "up")) for port in ports if self._links[port].up]
        back += [UndoCommand((IP, "link", "set", *fault.back)) for fault in self._wrong if fault.back]
        back.append(UndoCommand(("/usr/bin/sleep", "2")))
        back += [UndoCommand(tuple(command_for(item, "del")), harmless=GONE) for item in self._difference.missing]
        for item in self._difference.foreign:
            if is_learned(item):
                continue  # comes back with who learned it
            verb = "add" if isinstance(item, Rule) else "replace"
            back.append(UndoCommand(tuple(command_for(item, verb)), harmless=THERE))
        return [*back, as_it_ran(self.host, self._intent.dynamic | self._intent.dialled)]

    def prepare(self) -> None:
        """Files that are not in /etc are somebody's, as a package's: they stay, behind masks."""
        for mask in self._overriding:
            network_files.mask_over(mask)

    def apply(self) -> None:
        try:
            if not is_started(self.host.unit(NETWORKD)):
                unmask(self.host, NETWORKD)
                self.host.run([SYSTEMCTL, "enable", "--now", NETWORKD])
            self._heal()
        except CommandError as error:
            raise PartError(str(error)) from error

    def _heal(self) -> None:
        """Reloads networkd, then closes what gap is left: missing things link by link, foreign ones by ip(8)."""
        self.host.run([NETWORKCTL, "reload"])
        begun = time.monotonic()
        changed = bool(self.files or self._overriding)
        reconfigure_at = begun + (TAKEN_UP if changed else 0)  # a reload takes up changed files by itself
        right_since = None
        while True:
            running, links = self._look()
            difference, wrong = compare(running, self._intent), self._faults(links)
            # Whoever still learns a route would bring it again: part routing sees to that first, then verify().
            difference = replace(difference, foreign=tuple(i for i in difference.foreign if not is_learned(i)))
            now = time.monotonic()
            if not difference and not wrong:
                right_since = now if right_since is None else right_since
                if not changed or now >= right_since + TAKEN_UP:
                    for name in reversed([*self._strays(links)]):  # what stands upon another first
                        self.host.run([IP, "link", "delete", "dev", name])
                    return
                time.sleep(0.2)
                continue
            right_since = None
            said = {fault.words: self.host.attempt([IP, "link", "set", *fault.mend])[2].strip() for fault in wrong}
            if now > begun + self.host.settle:
                raise PartError(
                    "the kernel does not come to what is intended: see missing, foreign and not_usable",
                    missing=[*map(str, difference.missing), *(f"{word} {err}".strip() for word, err in said.items())],
                    foreign=list(map(str, difference.foreign)),
                    not_usable=list(map(str, difference.waiting)),
                )
            if difference.missing and (now >= reconfigure_at or len(difference.in_the_way) == len(difference.missing)):
                for item in difference.in_the_way:
                    self._delete(item)
                names = {link_of(item) for item in difference.missing} & (running.carrier | {"lo"})
                self.host.run([NETWORKCTL, "reconfigure", *sorted(names)])
                reconfigure_at = now + 5
            elif not difference.missing:
                for foreign in difference.foreign:
                    self._delete(foreign)
            time.sleep(0.2)

    def verify(self) -> None:
        """Routes of neighbours that are no longer believed go with the session, or are deleted here."""
        deadline = time.monotonic() + self.host.settle
        try:
            while True:
                foreign = [item for item in compare(self._look()[0], self._intent).foreign if is_learned(item)]
                if not foreign:
                    return
                if time.monotonic() > deadline:
                    raise PartError(
                        "somebody still brings routes that nobody may say: see foreign", foreign=list(map(str, foreign))
                    )
                for item in foreign:
                    self._delete(item)
                time.sleep(0.5)
        except CommandError as error:
            raise PartError(str(error)) from error

    def _delete(self, item: Item) -> None:
        try:
            if isinstance(item, Rule):
                code, _, err = self._delete_rule(item)
            else:
                code, _, err = self.host.attempt(command_for(item, "del"))
        except NoWordsError as error:
            raise PartError(f"{item} cannot be deleted: there are no words for it") from error
        if code != 0 and "No such" not in err and "Cannot assign" not in err:
            raise PartError(f"{item} cannot be deleted: {err.strip()}")

    def _delete_rule(self, rule: Rule) -> tuple[int, str, str]:
        """The kernel deletes the first rule that has the selectors, also one that has more of them, as our own would.
        Those before it go with it, and ours among them are back at once."""
        before: list[Rule] = []
        for line in batch(self.host, f"-{rule.family}", "rule show")[0]:
            for found in parse_rules(json.dumps([line]), rule.family):
                if found == rule:
                    commands = [command_for(rule, "del")] * (len(before) + 1)
                    commands += [command_for(one, "add") for one in before if one in self._intent.known_rules]
                    lines = "".join(f"{' '.join(words[2:])}\n" for words in commands)
                    return self.host.attempt([IP, f"-{rule.family}", "-batch", "-"], lines)
                if has_selectors_of(rule, found):
                    before.append(found)
        return 0, "", ""


def has_selectors_of(rule: Rule, other: Rule) -> bool:
    """Whether the kernel takes the other rule for this one, where this one is to be deleted."""
    plain = ("table", "incoming", "outgoing", "source", "destination")
    same = all(getattr(rule, name) in (getattr(other, name), "", 0) for name in plain)
    more = json.loads(rule.other or "{}").items() <= json.loads(other.other or "{}").items()
    return same and more and (rule.family, rule.priority) == (other.family, other.priority)


def read_step(arguments: dict[str, Any]) -> Intent:
    return read_intent(arguments["gateway"], arguments["channel"], bool(arguments.get("hold_main")))


def is_learned(item: Item) -> bool:
    """Whether it is a route of a routing protocol."""
    return isinstance(item, Route) and item.learned == "neighbour"


def link_of(item: Item) -> str:
    """The link whose file brings the item; rules and unreachable routes stand in the loopback's."""
    return "lo" if isinstance(item, Rule) else item.port or "lo"
