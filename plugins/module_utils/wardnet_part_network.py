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
from typing import Any

from ansible.module_utils.wardnet_host import IP, NETWORKCTL, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_kernel import (
    Address,
    Intent,
    Item,
    Rule,
    Running,
    compare,
    join_intents,
    parse_addresses,
    parse_carrier,
    parse_routes,
    parse_rules,
    read_intent,
)
from ansible.module_utils.wardnet_part import Difference, Part, PartError, Undo, UndoCommand

NETWORKD = "systemd-networkd.service"
THERE, GONE = ("File exists",), ("",)  # an item may have gone already, in more ways than there are words for


class Network(Part):
    name = "network"

    def services(self) -> tuple[str, ...]:
        return (NETWORKD,)

    def read(self) -> None:
        self._intent = join_intents([read_step(step.arguments) for step in self.steps])
        self._running, self._links = self._look()
        self._difference = compare(self._running, self._intent)

    def _look(self) -> tuple[Running, dict[str, bool]]:
        """What runs, and which links there are, by whether they are up. Two processes: one a family."""
        links, *four = self._batch("-4", "link show", "address show", "route show table all", "rule show")
        six = self._batch("-6", "address show", "route show table all", "rule show")
        (plain, tentative), (plain6, tentative6) = (parse_addresses(json.dumps(family[0])) for family in (four, six))
        running = Running(
            addresses=plain | plain6,
            tentative=tentative | tentative6,
            routes=parse_routes(json.dumps(four[1]), 4) | parse_routes(json.dumps(six[1]), 6),
            rules=parse_rules(json.dumps(four[2]), 4) | parse_rules(json.dumps(six[2]), 6),
            carrier=parse_carrier(json.dumps(links)),
        )
        return running, {link["ifname"]: "UP" in link.get("flags", []) for link in links}

    def _batch(self, family: str, *commands: str) -> list[list[dict[str, Any]]]:
        text = self.host.run([IP, "-N", "-j", family, "-batch", "-"], "\n".join([*commands, ""]))
        decoder, found, at = json.JSONDecoder(), [], 0
        while at < len(text) and len(found) < len(commands):
            if text[at].isspace():
                at += 1
                continue
            value, at = decoder.raw_decode(text, at)
            found.append(value)
        return found + [[]] * (len(commands) - len(found))

    def _stopped(self) -> bool:
        return self.host.unit(NETWORKD).get("ActiveState") != "active"

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(map(str, self._difference.missing)),
            foreign=tuple(map(str, self._difference.foreign)),
            needs=(f"start {NETWORKD}",) if self._stopped() else (),
            facts={"without_link": sorted(self._intent.ports - self._running.carrier)},
        )

    def undo(self) -> list[Undo]:
        """Files come back first. Then networkd takes them up, and what it does not answer for is set by ip(8)."""
        ports = sorted(self._intent.ports & set(self._links))
        back: list[Undo] = [
            UndoCommand((IP, "link", "delete", "dev", port), harmless=GONE)
            for port in sorted(self._intent.ports - set(self._links))
        ]
        if self._stopped():
            back.append(UndoCommand((SYSTEMCTL, "disable", "--now", NETWORKD)))
        else:
            back += [UndoCommand((NETWORKCTL, "reload")), UndoCommand((NETWORKCTL, "reconfigure", "lo", *ports))]
        back += [UndoCommand((IP, "link", "set", "dev", port, "up")) for port in ports if self._links[port]]
        back.append(UndoCommand(("/usr/bin/sleep", "2")))
        back += [UndoCommand(tuple(command_for(item, "del")), harmless=GONE) for item in self._difference.missing]
        for item in self._difference.foreign:
            if isinstance(item, Rule):  # the kernel would take the same one a second time, with another mark
                back.append(UndoCommand(tuple(command_for(item, "del")), harmless=GONE))
            verb = "add" if isinstance(item, Rule) else "replace"
            back.append(UndoCommand(tuple(command_for(item, verb)), harmless=THERE))
        return back

    def apply(self) -> None:
        try:
            if self._stopped():
                self.host.run([SYSTEMCTL, "enable", "--now", NETWORKD])
            self._heal()
        except CommandError as error:
            raise PartError(str(error)) from error

    def _heal(self) -> None:
        """Reloads networkd, then closes what gap is left: missing things link by link, foreign ones by ip(8)."""
        self.host.run([NETWORKCTL, "reload"])
        begun = time.monotonic()
        reconfigure_at = begun + (2 if self.files else 0)  # a reload takes up changed files by itself
        while True:
            running, _ = self._look()
            difference = compare(running, self._intent)
            if not difference:
                return
            now = time.monotonic()
            if now > begun + self.host.settle:
                raise PartError(
                    "the kernel does not come to what is intended: see missing, foreign and not_usable",
                    missing=list(map(str, difference.missing)),
                    foreign=list(map(str, difference.foreign)),
                    not_usable=list(map(str, difference.waiting)),
                )
            if difference.missing and (now >= reconfigure_at or len(difference.in_the_way) == len(difference.missing)):
                for item in difference.in_the_way:
                    self._delete(item)
                links = {link_of(item) for item in difference.missing} & (running.carrier | {"lo"})
                self.host.run([NETWORKCTL, "reconfigure", *sorted(links)])
                reconfigure_at = now + 5
            elif not difference.missing:
                for foreign in difference.foreign:
                    self._delete(foreign)
            time.sleep(0.2)

    def _delete(self, item: Item) -> None:
        code, _, err = self.host.attempt(command_for(item, "del"))
        if code != 0 and "No such" not in err and "Cannot assign" not in err:
            raise PartError(f"{item} cannot be deleted: {err.strip()}")


def read_step(arguments: dict[str, Any]) -> Intent:
    return read_intent(arguments["gateway"], arguments["channel"], bool(arguments.get("hold_main")))


def link_of(item: Item) -> str:
    """The link whose file brings the item; rules and unreachable routes stand in the loopback's."""
    return "lo" if isinstance(item, Rule) else item.port or "lo"


def command_for(item: Item, verb: str) -> list[str]:
    """The ip(8) command that adds or deletes the item, as far as its fields say what it is."""
    if isinstance(item, Address):
        plain = ["noprefixroute"] if verb != "del" and not item.own_route else []
        return [IP, "address", verb, item.address, "dev", item.port, *plain]
    selectors: tuple[tuple[str, str], ...]
    if isinstance(item, Rule):
        words = [IP, f"-{item.family}", "rule", verb, "priority", str(item.priority), "table", str(item.table)]
        selectors = (("from", item.source), ("to", item.destination), ("iif", item.incoming), ("oif", item.outgoing))
    else:
        words = [IP, f"-{item.family}", "route", verb, *(["unreachable"] if item.unreachable else [])]
        words += [item.destination, "table", str(item.table), "metric", str(item.metric)]
        selectors = (("via", item.via), ("dev", item.port))
        # Addresses bring no route of their own, so that no neighbour is known to be on the link.
        words += [] if verb == "del" or not (item.via and item.port) else ["onlink"]
    words += [] if verb == "del" else ["protocol", "static"]  # as networkd's own are marked
    return [*words, *(part for word, value in selectors if value for part in (word, value))]
