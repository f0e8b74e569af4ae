"""Which ports part bridge holds: the wired one, and none but it and the radios."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.plugins_support import load

bridge = load("module_utils", "wardnet_part_bridge")
candidate = load("module_utils", "wardnet_candidate")
host_module = load("module_utils", "wardnet_host")

LONG = "wlx00c0caaabbcc"  # as long as names are; the second network's is shortened


class Host(host_module.Host):  # type: ignore[misc]
    def __init__(self, members: list[str]) -> None:
        super().__init__(shown={bridge.NETWORKD: {"ActiveState": "active", "UnitFileState": "enabled"}})
        self.members = members

    def run(self, argv: Any, _stdin: Any = None) -> str:
        links = [{"ifname": "br-wifi", "flags": ["UP"]}]
        links += [{"ifname": name, "master": "br-wifi", "flags": ["UP"]} for name in self.members]
        return "[]" if "route" in argv else json.dumps(links)


@pytest.mark.parametrize(
    ("radio", "members", "foreign"),
    [
        ("wlan0", ["eth0", "wlan0", "wlan0-owe"], ()),
        (LONG, ["eth0", LONG, f"{LONG[:11]}-owe"], ()),
        ("wlan0", ["eth0", "wlan0", "wlan01"], ("port wlan01 in br-wifi",)),
    ],
)
def test_radios_are_hostapds_and_every_other_port_is_foreign(
    radio: str, members: list[str], foreign: tuple[str, ...]
) -> None:
    given = {"name": "br-wifi", "wire": "eth0", "radios": [radio, f"{radio[:11]}-owe"], "addresses": [], "gateways": []}
    step = candidate.read_step({"role": "public_wifi", "part": "bridge", "bridge": given}, "1")
    part = bridge.Bridge((step,), Host(members))
    part.read()
    assert part.difference().foreign == foreign
    assert part.difference().missing == ()


@pytest.mark.parametrize("active", ["active", "inactive"])
@pytest.mark.parametrize("at_boot", ["enabled", "disabled"])
def test_the_way_back_leaves_to_a_boot_what_it_was_to_start(
    monkeypatch: pytest.MonkeyPatch, active: str, at_boot: str
) -> None:
    monkeypatch.setattr(bridge, "as_it_ran", lambda _: None)
    host = Host(["eth0"])
    host.shown = {bridge.NETWORKD: {"ActiveState": active, "UnitFileState": at_boot}}
    given = {"name": "br-wifi", "wire": "eth0", "radios": [], "addresses": [], "gateways": []}
    part = bridge.Bridge((candidate.read_step({"role": "r", "part": "bridge", "bridge": given}, "1"),), host)
    part.read()
    found = [entry.when for entry in part.undo() if "disable" in getattr(entry, "argv", ())]
    assert found == (["always"] if at_boot == "disabled" else [])
