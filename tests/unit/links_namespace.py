"""What somebody does to a port by hand, beside its addresses and routes, in a network namespace with real tools. Run as
a program; an AssertionError is the test's failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.unit.plugins_namespace import candidate, go_back, host_module, library, network, run

GATEWAY = {
    "ports": [{"name": name, "channel": "wan", "ipv4": None, "ipv6": None} for name in ("wan0", "clerks0")],
    "tables": [{"number": 100, "channel": "wan", "routes": []}],
    "rules": [],
}
BY_HAND = (
    "neigh add 10.20.1.11 lladdr 02:00:00:00:00:99 dev clerks0 nud permanent",
    "neigh add fd20:20:1::11 lladdr 02:00:00:00:00:99 dev clerks0 nud permanent",
    "neigh add proxy 10.20.1.250 dev clerks0",
    "-6 neigh add proxy fd20:20:1::250 dev clerks0",
    "link add mine0 link wan0 mtu 1300 address 02:00:00:00:00:77 type macvlan mode private",
    "link set mine0 up",
    "link set wan0 arp off",
    "link set clerks0 mtu 1400",
)


class Host(host_module.Host):  # type: ignore[misc, name-defined]
    """Without systemd-networkd, which has no part in this."""

    def attempt(self, argv: Sequence[str], stdin: str | bytes | None = None) -> tuple[int, str, str]:
        if argv[0] == host_module.NETWORKCTL:
            return 0, "", ""
        answer: tuple[int, str, str] = super().attempt(argv, stdin)
        return answer


def look(gateway: dict[str, Any] = GATEWAY) -> Any:
    step = {"role": "r", "part": "network", "network": {"gateway": gateway, "channel": "wan", "hold_main": True}}
    shown = {network.NETWORKD: {"ActiveState": "active", "UnitFileState": "enabled"}}
    part = network.Network(candidate.read_steps([step]), Host(shown=shown, library=library()))
    part.read()
    return part


def what_was_done_to_ports_by_hand_goes_and_comes_back() -> None:
    for name in ("wan0", "clerks0"):
        run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-far")
        run("ip", "link", "set", name, "up")
        run("ip", "link", "set", f"{name}-far", "up")
    assert not look().difference(), look().difference()
    for words in BY_HAND:
        run("ip", *words.split())
    part = look()
    found = part.difference()
    assert set(found.foreign) == {
        "neighbour 10.20.1.11 on clerks0, always 02:00:00:00:00:99",
        "neighbour fd20:20:1::11 on clerks0, always 02:00:00:00:00:99",
        "neighbour 10.20.1.250 on clerks0, answered for",
        "neighbour fd20:20:1::250 on clerks0, answered for",
        "macvlan mine0 upon wan0",
    }, found
    assert set(found.needs) == {"let wan0 ask for neighbours", "MTU 1500 on clerks0"}, found
    before = _of_mine0()
    part.judge(Path("/"))
    part.apply()
    assert not look().difference(), look().difference()
    for _ in range(2):
        failed = [said for said in go_back(part) if "networkctl" not in said]
        assert failed == [], failed
    again = look().difference()
    assert (set(again.foreign), set(again.needs)) == (set(found.foreign), set(found.needs)), again
    assert _of_mine0() == before


def _of_mine0() -> Any:
    link = json.loads(run("ip", "-d", "-j", "link", "show", "dev", "mine0"))[0]
    return link["address"], link["mtu"], link["linkinfo"]["info_data"]["mode"], "UP" in link["flags"]


def a_port_upon_another_follows_its_mtu() -> None:
    """A macvlan stands for a VLAN, which not each kernel has: the smaller MTU of its parent drags it along, too, and
    it takes none that is larger."""
    tagged = {"name": "citizen0", "channel": "wan", "ipv4": None, "ipv6": None, "parent": "eth1", "vlan": 30}
    run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth1-far")
    run("ip", "link", "set", "eth1-far", "up")
    run("ip", "link", "set", "eth1", "up")
    run("ip", "link", "add", "citizen0", "link", "eth1", "type", "macvlan", "mode", "bridge")
    run("ip", "link", "set", "citizen0", "up")
    gateway = {**GATEWAY, "ports": [tagged]}
    assert not look(gateway).difference(), look(gateway).difference()
    run("ip", "link", "set", "eth1", "mtu", "1400")
    part = look(gateway)
    assert part.difference().needs == ("MTU 1500 on eth1", "MTU 1500 on citizen0")
    part.apply()
    assert not look(gateway).difference(), look(gateway).difference()
    run("ip", "link", "set", "eth1", "down")
    look(gateway).apply()
    assert not look(gateway).difference(), look(gateway).difference()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
