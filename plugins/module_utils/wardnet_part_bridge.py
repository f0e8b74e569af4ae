"""Part `bridge`: a host's way out through a bridge of its wired port and its radio, kept by systemd-networkd.

    bridge: {name: br-wifi, wire: eth0, radios: [wlan0], addresses: [172.21.1.2/24, ...], gateways: [172.21.1.1, ...]}

The files of networkd are the step's. Held are the bridge and that it is up, the wired port in it, the addresses of both
(all are the bridge's), and the default routes. The radios are hostapd's to join; any other port
in the bridge goes. What is missing is brought by networkd; what is foreign is deleted after that.
"""

from __future__ import annotations

import ipaddress
import json
import time
from typing import Any

from ansible.module_utils.wardnet_host import IP, NETWORKCTL, SYSTEMCTL, CommandError
from ansible.module_utils.wardnet_part import Difference, Part, PartError, Undo, UndoCommand
from ansible.module_utils.wardnet_units import is_started, unmask
from ansible.module_utils.wardnet_way_back import as_it_ran, keep_from_boot, keep_masks

NETWORKD = "systemd-networkd.service"
TAKEN_UP = 5.0  # seconds after which networkd is asked again for what is still missing
THERE, GONE = ("File exists",), ("",)  # it may be there, or have gone, already

# (kind, port, value): ("up", br, ""), ("port", member, br), ("address", port, cidr), ("route", port, gateway)
Item = tuple[str, str, str]


class Bridge(Part):
    name = "bridge"

    def services(self) -> tuple[str, ...]:
        return (NETWORKD,)

    def read(self) -> None:
        given = self.steps[-1].arguments
        self._bridge, self._wire, self._radios = given["name"], given["wire"], given["radios"]
        self._intended: frozenset[Item] = frozenset(
            [("up", self._bridge, ""), ("port", self._wire, self._bridge)]
            + [("address", self._bridge, str(ipaddress.ip_interface(each))) for each in given["addresses"]]
            + [("route", self._bridge, str(ipaddress.ip_address(each))) for each in given["gateways"]]
        )
        self._running = self._look()

    def _look(self) -> frozenset[Item]:
        found: list[Item] = []
        for link in self._said("address", "show"):
            name = link["ifname"]
            if name == self._bridge and "UP" in link.get("flags", []):
                found.append(("up", name, ""))
            if link.get("master") == self._bridge and name not in self._radios:
                found.append(("port", name, self._bridge))
            if name in (self._bridge, self._wire):
                found += [
                    ("address", name, f"{each['local']}/{each['prefixlen']}")
                    for each in link.get("addr_info", [])
                    if each.get("scope") == "global" and not each.get("tentative") and not each.get("dadfailed")
                ]
        for family in ("-4", "-6"):
            routes = self._said(family, "route", "show", "default")
            found += [("route", each.get("dev", ""), each.get("gateway", "")) for each in routes]
        self._exists = any(link["ifname"] == self._bridge for link in self._said("link", "show"))
        return frozenset(found)

    def _said(self, *words: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.host.run([IP, "-j", *words]) or "[]")
        return found

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(say(item) for item in sorted(self._intended - self._running)),
            foreign=tuple(say(item) for item in sorted(self._running - self._intended)),
            needs=() if is_started(self.host.unit(NETWORKD)) else (f"start {NETWORKD}",),
        )

    def undo(self) -> list[Undo]:
        """Files come back first. Then networkd takes them up, and what it did not answer for is set by ip(8)."""
        back: list[Undo] = [*keep_masks(NETWORKD)]
        if not self._exists:
            back.append(UndoCommand((IP, "link", "delete", "dev", self._bridge), harmless=GONE))
        if self.host.unit(NETWORKD).get("ActiveState") == "active":
            ports = [self._wire, *([self._bridge] if self._exists else [])]
            back += [UndoCommand((NETWORKCTL, "reload")), UndoCommand((NETWORKCTL, "reconfigure", *ports))]
            back.append(UndoCommand(("/usr/bin/sleep", "2")))
        else:
            back.append(UndoCommand((SYSTEMCTL, "stop", NETWORKD)))
        back += keep_from_boot(self.host, NETWORKD)
        back += [
            UndoCommand((IP, *words), harmless=GONE) for words in map(taking, sorted(self._intended - self._running))
        ]
        foreign = sorted(self._running - self._intended)
        back += [UndoCommand((IP, *words), harmless=THERE) for words in map(bringing, foreign)]
        return [*back, as_it_ran(self.host)]

    def apply(self) -> None:
        try:
            if not is_started(self.host.unit(NETWORKD)):
                unmask(self.host, NETWORKD)
                self.host.run([SYSTEMCTL, "enable", "--now", NETWORKD])
            self.host.run([NETWORKCTL, "reload"])
            self._wait()
        except CommandError as error:
            raise PartError(str(error)) from error

    def _wait(self) -> None:
        begun = time.monotonic()
        again = begun if not self.files else begun + TAKEN_UP
        while True:
            running, now = self._look(), time.monotonic()
            missing, foreign = self._intended - running, running - self._intended
            if not missing and not foreign:
                return
            if now > begun + self.host.settle:
                raise PartError(
                    "the bridge does not come to what is intended: see missing and foreign",
                    missing=[say(item) for item in sorted(missing)],
                    foreign=[say(item) for item in sorted(foreign)],
                )
            if not missing:
                for item in sorted(foreign):
                    self.host.attempt([IP, *taking(item)])
            elif now >= again:
                self.host.attempt([NETWORKCTL, "reconfigure", self._wire, *([self._bridge] if self._exists else [])])
                again = now + TAKEN_UP
            time.sleep(0.2)

    def verify(self) -> None:
        if self._look() != self._intended:
            raise PartError("the bridge still differs after the change: something else changes it")


def say(item: Item) -> str:
    kind, port, value = item
    return {
        "up": f"bridge {port} up",
        "port": f"port {port} in {value}",
        "address": f"address {value} on {port}",
        "route": f"route default via {value} dev {port}",
    }[kind]


def bringing(item: Item) -> tuple[str, ...]:
    kind, port, value = item
    return {
        "up": ("link", "set", "dev", port, "up"),
        "port": ("link", "set", "dev", port, "master", value),
        "address": ("address", "add", value, "dev", port),
        "route": ("route", "add", "default", *(["via", value] if value else []), "dev", port),
    }[kind]


def taking(item: Item) -> tuple[str, ...]:
    kind, port, value = item
    return {
        "up": ("link", "set", "dev", port, "down"),
        "port": ("link", "set", "dev", port, "nomaster"),
        "address": ("address", "del", value, "dev", port),
        "route": ("route", "del", "default", *(["via", value] if value else []), "dev", port),
    }[kind]
