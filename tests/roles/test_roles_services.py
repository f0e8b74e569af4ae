"""What a gateway serves on its LANs, asked by real clients: leases, router advertisements, names and time. Each network
is served by processes of its own, which ask over their own channel alone; who was asked is heard at both far ends."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address, ip_address, ip_network
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from lab import Lab
from tests.roles.roles_support import counters, inside, play

pytestmark = pytest.mark.lab

ZONES = Path(__file__).with_name("zones.py")
GATEWAY = "buoi-gw"
PATIENCE = 120  # seconds for what comes by itself: a clock that has made up its mind, a resolver that heard nothing


class Served:
    """A LAN of the gateway, with the host on it that asks."""

    def __init__(self, host: str, network: str, ipv4: str, ipv6: str, resolver: str) -> None:
        self.host, self.network, self.ipv4, self.ipv6, self.resolver = host, network, ipv4, ipv6, resolver

    @property
    def prefix(self) -> str:
        return f"{self.ipv6.removesuffix('1')}/64"


WAN, INTERNET = "resolver", "isp-resolver"  # whom each channel asks, for names and for the time
CLERKS = Served("buoi-pc-2", "clerks", "10.20.1.1", "fd20:20:1::1", WAN)
CITIZENS = Served("buoi-citizen-1", "citizens", "172.20.1.1", "2001:db8:20:1::1", INTERNET)
WIFI = Served("buoi-wifi-1", "wifi", "172.21.1.1", "2001:db8:21:1::1", INTERNET)
ALL = (CLERKS, CITIZENS, WIFI)
SCANNER = "02:20:01:00:00:20"  # of the ward's scanner, by the inventory


@pytest.fixture(params=ALL, ids=lambda lan: lan.network)
def lan(request: pytest.FixtureRequest) -> Served:
    found: Served = request.param
    return found


def asked(lab: Lab, host: str, *words: str) -> Any:
    """What zones.py says, run from the host."""
    done = lab.run(host, [sys.executable, str(ZONES), *words], timeout=300)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def until(wanted: Callable[[Any], bool], ask: Callable[[], Any]) -> Any:
    """The first answer that is wanted; the last one there was when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not wanted(found := ask()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def resolved(lab: Lab, lan: Served, *names: str) -> dict[str, list[str] | None]:
    """By the gateway's resolver on the LAN; asks again for what nobody could say, as a client does."""
    found: dict[str, list[str] | None] = until(
        lambda answers: None not in answers.values(), lambda: asked(lab, lan.host, "names", lan.ipv4, *names)
    )
    return found


class Ear:
    """Questions that came in at a host, as (who, what), gathered while it is open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.heard: list[tuple[str, str]] = []
        self._process = process
        self._thread = Thread(target=self._gather, daemon=True)
        self._thread.start()

    def _gather(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            who, what = json.loads(line)
            self.heard.append((who, what))

    def named(self, name: str) -> list[str]:
        """Who asked for the name."""
        return [who for who, what in self.heard if what == name]


@contextmanager
def ear(lab: Lab, host: str, number: int) -> Iterator[Ear]:
    namespace = f"--net={lab.layout.netns_path(host)}"
    argv = ["nsenter", namespace, sys.executable, str(ZONES), "overhear", "eth0", str(number)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert json.loads(process.stdout.readline()) == "listening"
            yield Ear(process)
        finally:
            process.kill()


@contextmanager
def both_ears(lab: Lab, number: int) -> Iterator[dict[str, Ear]]:
    with ear(lab, WAN, number) as wan, ear(lab, INTERNET, number) as internet:
        yield {WAN: wan, INTERNET: internet}


def nonce() -> str:
    """A name that nobody has asked for before."""
    return f"x{secrets.token_hex(8)}.example"


def heard(ear: Ear, name: str) -> bool:
    return bool(until(bool, lambda: ear.named(name)))


def of_line(address: str) -> str:
    """Which of the gateway's lines a question came by, as its far end sees it."""
    found = ip_address(address)
    lines = {"wan": ("10.31.1.2", "fd20:31:1::2"), "internet": ("198.51.100.6", "2001:db8:ff:1::2")}
    return next((line for line, own in lines.items() if str(found) in own), f"no line: {address}")


# --- leases and advertisements


def test_a_host_gets_a_lease_of_its_network_with_the_gateway_for_all(converged: Lab, lan: Served) -> None:
    mac = f"02:00:00:{secrets.token_hex(1)}:{secrets.token_hex(1)}:{secrets.token_hex(1)}"
    lease = until(bool, lambda: asked(converged, lan.host, "lease", "eth0", mac))
    three = lan.ipv4.rpartition(".")[0]
    assert IPv4Address(f"{three}.100") <= IPv4Address(lease["address"]) <= IPv4Address(f"{three}.199")
    assert lease["mask"] == "255.255.255.0"
    assert lease["router"] == lease["names"] == lease["time"] == [lan.ipv4]
    assert lease["server"] == lan.ipv4
    assert lease["domain"] == "tayho.example"


def test_a_known_host_gets_the_address_that_is_written_down(converged: Lab) -> None:
    lease = until(bool, lambda: asked(converged, "buoi-pc-2", "lease", "eth0", SCANNER))
    assert (lease["address"], lease["host"]) == ("10.20.1.20", "buoi-scanner-1")


def test_a_known_host_is_known_in_its_own_network_alone(converged: Lab) -> None:
    lease = until(bool, lambda: asked(converged, "buoi-citizen-1", "lease", "eth0", SCANNER))
    assert ip_address(lease["address"]) in ip_network("172.20.1.0/24")
    assert lease["host"] == ""


def test_the_gateway_advertises_itself_for_the_networks_own_prefix(converged: Lab, lan: Served) -> None:
    found = until(bool, lambda: asked(converged, lan.host, "advertised", "eth0"))
    assert found["prefixes"] == [[lan.prefix, "autonomous"]]
    assert found["names"] == [lan.ipv6]
    assert found["preference"] == "high"
    assert found["seconds"] > 0
    offered = until(bool, lambda: asked(converged, lan.host, "lease6", "eth0", "02:00:00:00:00:66"))
    assert ip_address(offered["address"]) in ip_network(lan.prefix)
    assert offered["names"] == [lan.ipv6]


def test_a_strangers_advertisements_are_dropped_and_change_nothing(converged: Lab) -> None:
    """From the far end of a line, where no switch stands guard."""
    said = "no router is believed here"
    ports = [line.split() for line in inside(converged, "isp", "ip", "-4", "-br", "address").splitlines()]
    (line,) = (words[0].partition("@")[0] for words in ports if "198.51.100.5/30" in words)
    routes = inside(converged, GATEWAY, "ip", "-6", "-o", "route", "show", "table", "all")
    addresses = inside(converged, GATEWAY, "ip", "-6", "-br", "address")
    before = counters(converged, GATEWAY, said)
    asked(converged, "isp", "advertise", line, "5")
    assert until(lambda now: now >= before + 5, partial(counters, converged, GATEWAY, said)) >= before + 5
    assert inside(converged, GATEWAY, "ip", "-6", "-br", "address") == addresses
    assert inside(converged, GATEWAY, "ip", "-6", "-o", "route", "show", "table", "all") == routes


# --- names


def test_each_network_resolves_by_its_own_channel(converged: Lab) -> None:
    wan, public, other = "dvctt.tayho.example", "dichvucong.tayho.example", "buoi-scanner-1.tayho.example"
    assert resolved(converged, CLERKS, wan, public, other) == {wan: ["10.20.200.10"], public: [], other: ["10.20.1.20"]}
    for lan in (CITIZENS, WIFI):
        assert resolved(converged, lan, wan, public, other) == {wan: [], public: ["203.0.113.10"], other: []}


@pytest.mark.parametrize("family", [4, 6])
def test_a_question_is_heard_at_its_own_channels_resolver_alone(converged: Lab, lan: Served, family: int) -> None:
    name, control = nonce(), nonce()
    other = CITIZENS if lan is CLERKS else CLERKS
    with both_ears(converged, 53) as ears:
        own = lan.ipv4 if family == 4 else lan.ipv6
        asked(converged, lan.host, "names", own, name)
        assert heard(ears[lan.resolver], name)
        asked(converged, other.host, "names", other.ipv4, control)
        assert heard(ears[other.resolver], control)  # so the other ear was open all the time
        assert ears[other.resolver].named(name) == []
        assert {of_line(who) for who in ears[lan.resolver].named(name)} == {"wan" if lan is CLERKS else "internet"}


def test_no_network_answers_from_what_another_has_asked(converged: Lab) -> None:
    """A name that the internet knows: the visitors' question goes out though the citizens have just asked, and the
    clerks' too, to their own resolver, which knows no such name."""
    name = "public-web.tayho.example"
    with both_ears(converged, 53) as ears:
        assert resolved(converged, CITIZENS, name) == {name: ["203.0.113.80"]}
        assert heard(ears[INTERNET], name)
        before = len(ears[INTERNET].named(name))
        assert resolved(converged, WIFI, name) == {name: ["203.0.113.80"]}
        assert until(lambda now: now > before, lambda: len(ears[INTERNET].named(name))) > before
        assert resolved(converged, CLERKS, name) == {name: []}
        assert heard(ears[WAN], name)


def test_with_its_line_down_a_network_asks_nobody_else(converged: Lab) -> None:
    name, control = nonce(), nonce()
    inside(converged, GATEWAY, "ip", "link", "set", "inet0", "down")
    try:
        with both_ears(converged, 53) as ears:
            assert asked(converged, CITIZENS.host, "names", CITIZENS.ipv4, name) == {name: None}
            asked(converged, CLERKS.host, "names", CLERKS.ipv4, control)
            assert heard(ears[WAN], control)
            assert ears[WAN].named(name) == []
    finally:
        inside(converged, GATEWAY, "ip", "link", "set", "inet0", "up")
    known = "dichvucong.tayho.example"
    assert resolved(converged, CITIZENS, known) == {known: ["203.0.113.10"]}


# --- time


def knows(told: Any) -> bool:
    return told is not None and bool(told["known"])


def test_each_network_is_told_the_time(converged: Lab, lan: Served) -> None:
    for address in (lan.ipv4, lan.ipv6):
        told = until(knows, partial(asked, converged, lan.host, "time", address))
        assert told is not None
        assert told["known"]
        assert abs(told["off"]) < 60  # the clock of the lab's machine, however slowly it answered


def test_the_time_is_asked_of_each_channels_own_source(converged: Lab) -> None:
    """A clock that starts asks at once; so both are started while somebody listens at both far ends."""
    with both_ears(converged, 123) as ears:
        inside(converged, GATEWAY, "systemctl", "restart", "wardnet-time@clerks", "wardnet-time@citizens")
        assert until(bool, partial(lines, ears[WAN])) == {"wan"}
        assert until(bool, partial(lines, ears[INTERNET])) == {"internet"}


def lines(ear: Ear) -> set[str]:
    """By which lines of the gateway somebody asked; other gateways ask too."""
    own = ("10.31.1.2", "10.20.1.", "172.2", "198.51.100.6", "fd20:20:1:", "fd20:31:1:", "2001:db8:ff:1:")
    return {of_line(who) for who, _ in ear.heard if who.startswith(own)}


# --- who is not answered


def test_nothing_answers_on_a_line_or_at_another_networks_addresses(converged: Lab) -> None:
    """The same questions that are answered on the LAN."""
    known = "dichvucong.tayho.example"
    cases = [
        ("public-web", "198.51.100.6"), ("public-web", "2001:db8:ff:1::2"),  # the internet circuit
        ("portal", "10.31.1.2"), ("portal", "10.20.1.1"),  # the WAN circuit, and a LAN from afar
        (CITIZENS.host, CLERKS.ipv4), (CITIZENS.host, WIFI.ipv4), (CLERKS.host, CITIZENS.ipv4),
        (CITIZENS.host, "10.30.1.1"),
    ]  # fmt: skip
    assert resolved(converged, CITIZENS, known) == {known: ["203.0.113.10"]}
    # All at once, since each waits for what must not come.
    with ThreadPoolExecutor(len(cases) * 2) as pool:
        answers = [
            (case, pool.submit(asked, converged, case[0], kind, case[1], *more))
            for case in cases
            for kind, *more in (("names", known), ("time",))
        ]
        assert [case for case, answer in answers if answer.result() not in (None, {known: None})] == []
    for listener in inside(converged, GATEWAY, "ss", "-H", "-l", "-n", "-t", "-u").splitlines():
        assert not listener.split()[4].startswith(("198.51.100.6", "10.31.1.2", "[2001:db8:ff", "[fd20:31:")), listener


# --- each for itself, and held


def test_each_process_has_a_user_of_its_own(converged: Lab) -> None:
    units = [f"wardnet-{kind}@{lan.network}.service" for kind in ("dhcp", "names", "time") for lan in ALL]
    pids = [inside(converged, GATEWAY, "systemctl", "show", "--value", "-p", "MainPID", unit) for unit in units]
    users = [inside(converged, GATEWAY, "stat", "-c", "%u", f"/proc/{pid}") for pid in pids]
    assert len(set(users)) == len(units)
    assert "0" not in users


EDITED, STRAY_FILE = "/etc/wardnet/zones/wifi.names.conf", "/etc/wardnet/zones/stray.names.conf"
STRAY = "port=5353\nlisten-address=127.0.0.5\nbind-dynamic\nno-resolv\npid-file\n"


@contextmanager
def mended(lab: Lab) -> Iterator[None]:
    """Does by hand what should have healed, where a test fails in between: others go on with the same gateway."""
    try:
        yield
    except BaseException:
        lab.shell(GATEWAY, ["sed", "-i", "s/@wan0/@inet0/", EDITED])
        lab.shell(GATEWAY, ["systemctl", "disable", "--now", "wardnet-names@stray"])
        lab.shell(GATEWAY, ["rm", "-f", STRAY_FILE])
        lab.shell(GATEWAY, ["systemctl", "restart", "wardnet-names@citizens", "wardnet-names@wifi"])
        raise


def test_one_that_is_stopped_leaves_the_others_and_is_healed_with_an_edited_file(converged: Lab) -> None:
    """And what serves a network that the inventory does not have goes."""
    known = "dichvucong.tayho.example"
    with mended(converged):
        inside(converged, GATEWAY, "systemctl", "stop", "wardnet-names@citizens")
        inside(converged, GATEWAY, "sed", "-i", "s/@inet0/@wan0/", EDITED)
        assert converged.shell(GATEWAY, ["tee", STRAY_FILE], stdin=STRAY.encode()).returncode == 0
        inside(converged, GATEWAY, "systemctl", "enable", "--now", "wardnet-names@stray")
        assert inside(converged, GATEWAY, "systemctl", "is-active", "wardnet-names@stray") == "active"
        assert asked(converged, CITIZENS.host, "names", CITIZENS.ipv4, known) == {known: None}
        for lan, answer in ((WIFI, ["203.0.113.10"]), (CLERKS, [])):
            assert resolved(converged, lan, known) == {known: answer}
        checked = play(converged, "channels.yml", "--check", "--diff", "--limit", GATEWAY)
        assert checked.status == 0, checked.tail
        assert checked.changed == {GATEWAY: 1}
        assert "-server=203.0.113.53@wan0" in checked.output
        healed = play(converged, "channels.yml", "--limit", GATEWAY)
        assert healed.status == 0, healed.tail
        assert healed.changed == {GATEWAY: 1}
        for lan in (CITIZENS, WIFI):
            assert resolved(converged, lan, known) == {known: ["203.0.113.10"]}
        assert "@wan0" not in inside(converged, GATEWAY, "cat", EDITED)
        assert converged.shell(GATEWAY, ["systemctl", "is-active", "wardnet-names@stray"]).stdout == b"inactive\n"
        assert "stray" not in inside(converged, GATEWAY, "ls", "/etc/wardnet/zones")
        again = play(converged, "channels.yml", "--limit", GATEWAY)
        assert (again.status, again.changed) == (0, {}), again.tail
