"""What a guest is given, as far as it can be told without one: its command line, its cards, the way into it."""

from __future__ import annotations

import json
import os
import socket
import threading
import tty
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from lab import build
from lab.qemu import Card, Plug, agent, cards_of
from lab.qemu.command import Power, mac_of, qemu_argv
from lab.qemu.panel import taps
from tests.qemu import district

FOLDER = Path("/lab")


def power(clock: datetime | None = None) -> list[str]:
    names = ("vmlinuz", "initrd", "disk", "console", "agent.sock", "monitor.sock")
    cards = [("g0t0", "02:00:00:00:00:01"), ("g0t1", "02:00:00:00:00:02")]
    return qemu_argv(Power(*(FOLDER / name for name in names), cards, clock))


def after(argv: list[str], option: str) -> list[str]:
    return [argv[at + 1] for at, word in enumerate(argv) if word == option]


def test_a_guest_is_emulated_and_its_network_is_its_taps_alone() -> None:
    argv = power()
    assert after(argv, "-accel") == ["tcg,thread=multi,tb-size=128"]
    assert after(argv, "-smp") == ["1"]
    assert "-nodefaults" in argv  # or QEMU would add a network of its own, which leads out
    assert after(argv, "-netdev") == [
        f"tap,id=net{number},ifname=g0t{number},script=no,downscript=no" for number in (0, 1)
    ]
    cards = [words for words in after(argv, "-device") if words.startswith("virtio-net")]
    assert [words.split("mac=")[1].split(",")[0] for words in cards] == ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    assert all("csum=off" in words and "host_tso4=off" in words for words in cards)


def test_what_it_has_flushed_outlives_its_power() -> None:
    assert after(power(), "-drive") == ["file=/lab/disk,format=raw,if=virtio,cache=writethrough"]


def test_its_clock_is_the_machines_or_another() -> None:
    assert after(power(), "-rtc") == ["base=utc"]
    assert after(power(datetime(2024, 1, 1, tzinfo=UTC)), "-rtc") == ["base=2024-01-01T00:00:00"]


def test_its_clock_counts_with_this_machines_and_not_the_ticks_that_come() -> None:
    (words,) = after(power(), "-append")
    assert "clocksource=tsc" in words.split()
    assert "acpi=off" not in words.split()  # without ACPI there is nothing that the counter can be measured by


def test_no_two_cards_have_one_address() -> None:
    found = {mac_of(lab, guest, card) for lab in ("a", "b") for guest in ("g", "h") for card in ("wan0", "lan0")}
    assert len(found) == 8
    assert all(int(mac[:2], 16) & 3 == 2 for mac in found)  # locally administered, and one card's


@pytest.mark.parametrize(
    "plugs",
    [(), (Plug("a"), Plug("b")), (Plug("a", tag=10), Plug("b", tag=10)), (Plug("a", tag=10), Plug("b"))],
)
def test_a_card_carries_one_cable_or_one_a_tag(plugs: tuple[Plug, ...]) -> None:
    with pytest.raises(ValueError, match="card lan0"):
        Card("lan0", plugs)


def test_a_gateways_parents_are_cards_and_its_tagged_ports_are_not(tmp_path: Path) -> None:
    folder = district.write(tmp_path / "tay-ho")
    topology = build.read_blueprint(folder, 2, date(2026, 11, 24)).topology
    cards = {card.name: card for card in cards_of(topology.node(district.TAGGED))}
    assert set(cards) == {"wan0", "mgmt0", "up0", "lan0"}
    assert {(plug.port, plug.tag) for plug in cards["lan0"].plugs} == {("clerks0", 10), ("citizen0", 20), ("wifi0", 40)}
    assert cards["up0"].plugs == (Plug("inet0", district.TAGGED, district.LINE_TAG),)
    assert (cards["up0"].trunk, cards["wan0"].trunk) == (True, False)
    assert [len(name) <= 15 for name in taps(9, tuple(cards.values()))] == [True] * 4
    dialling = {card.name: card.plugs for card in cards_of(topology.node(district.DIALLING))}
    assert dialling["dsl0"] == (Plug("inet0", district.DIALLING),)


def test_the_way_in_runs_what_it_is_asked_and_nothing_of_a_torn_request(tmp_path: Path) -> None:
    """The agent on a terminal, and behind a socket as QEMU's serial line is."""
    line, device = os.openpty()
    tty.setraw(line)
    threading.Thread(target=agent.serve, args=(os.ttyname(device),), daemon=True).start()
    path = tmp_path / "agent.sock"
    listener = socket.create_server(str(path), family=socket.AF_UNIX)

    def carry() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=back, args=(connection,), daemon=True).start()
            while data := connection.recv(4096):
                os.write(line, data)

    def back(connection: socket.socket) -> None:
        while data := os.read(line, 4096):
            connection.sendall(data)

    threading.Thread(target=carry, daemon=True).start()
    os.write(line, b'{"id": "torn", "argv": ["tou\n')
    said = agent.ask(path, ["/bin/sh", "-s"], "echo seen; echo no >&2; exit 3\n", 60)
    assert said is not None
    assert (said["status"], said["out"], said["err"]) == (3, "seen\n", "no\n")
    assert json.dumps(said)


def test_nobody_behind_the_socket_is_no_answer(tmp_path: Path) -> None:
    assert agent.ask(tmp_path / "none.sock", ["true"], "", 1) is None
