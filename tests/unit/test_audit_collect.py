"""Collecting over SSH from a server on the loopback, and taking host keys in."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import paramiko
import pytest
from typer.testing import CliRunner, Result

from collectors import collect as collecting
from collectors.collect import Target, read_all, write_snapshot
from collectors.errors import CollectError, UnreachableError
from collectors.transport.local import LocalTransport
from collectors.transport.ssh import Login, SshTransport, fingerprint, host_name, record_host_key
from tests.unit.audit_support import gateway
from tests.unit.gateway_support import ROOT
from tests.unit.ssh_support import FakeDevice, key_pair, printing, serving
from wardnet.audit.snapshot import read_snapshot
from wardnet.cli import collect as collect_command
from wardnet.cli.main import build
from wardnet.model.intent import Platform
from wardnet.model.snapshot import LINUX, Artefact

INVENTORY = ROOT / "inventory" / "tay-ho"


@dataclass
class World:
    folder: Path
    device: FakeDevice
    key: Path
    known_hosts: Path

    def login(self, timeout: float = 5.0) -> Login:
        return Login("wardnet-audit", self.key, self.known_hosts, self.device.port, timeout)

    def read(self, timeout: float = 5.0) -> collecting.Reading:
        target = Target("buoi-gw", Platform.LINUX, lambda: SshTransport("buoi-gw", "127.0.0.1", self.login(timeout)))
        (reading,) = read_all([target])
        return reading

    def trust(self, key: paramiko.PKey | None = None) -> None:
        record_host_key(
            self.known_hosts, (host_name("buoi-gw", self.device.port),), key or self.device.host_key, "a test"
        )


@pytest.fixture(name="world")
def fake_world(tmp_path: Path) -> Iterator[World]:
    host_key, _ = key_pair(tmp_path, "host")
    allowed, path = key_pair(tmp_path, "auditor")
    with serving(FakeDevice(host_key, allowed, printing(gateway()))) as device:
        world = World(tmp_path, device, path, tmp_path / "known_hosts")
        world.trust()
        yield world


def command(*arguments: str, text: str = "") -> Result:
    return CliRunner().invoke(build(arguments), list(arguments), input=text)


def test_every_artefact_is_asked_for_by_name_over_one_connection(world: World) -> None:
    reading = world.read()
    assert not reading.reason
    assert dict(reading.artefacts) == gateway()
    assert world.device.asked == [artefact.name for artefact in LINUX]
    assert world.device.connections == 1


def test_a_host_key_that_is_not_pinned_is_refused_before_anything_is_asked(world: World) -> None:
    world.known_hosts.write_text("")
    assert "host key of buoi-gw (127.0.0.1) is not known: `wardnet trust buoi-gw`" in world.read().reason
    assert world.device.asked == []


def test_another_host_key_is_a_mismatch_with_both_fingerprints(world: World) -> None:
    other, _ = key_pair(world.folder, "other")
    world.known_hosts.unlink()
    world.trust(other)
    reason = world.read().reason
    assert reason.startswith("host key mismatch")
    assert fingerprint(other.asbytes()) in reason
    assert fingerprint(world.device.host_key.asbytes()) in reason
    assert world.device.asked == []


def test_a_device_that_does_not_let_in_is_refused(world: World) -> None:
    world.device.allowed = paramiko.ECDSAKey.generate()
    assert world.read().reason.startswith("refused: 127.0.0.1")


def test_nobody_at_the_port_is_refused(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    world.device.port = port
    world.known_hosts.unlink()
    world.trust()
    assert world.read().reason == f"refused: nothing takes connections at 127.0.0.1:{port}"


def test_a_device_that_says_nothing_is_a_timeout(world: World) -> None:
    def silent(channel: paramiko.Channel, word: str) -> None:
        channel.sendall(b"{")

    world.device.answer = silent
    assert world.read(timeout=0.3).reason == "nft-ruleset.json: timeout after 0.3 s"


def test_a_connection_that_is_lost_in_the_middle_is_truncated(world: World) -> None:
    def torn(channel: paramiko.Channel, word: str) -> None:
        channel.sendall(gateway()[word][:1000])
        channel.get_transport().close()

    world.device.answer = torn
    reason = world.read().reason
    assert reason.startswith("nft-ruleset.json: ")
    assert "truncated" in reason or "lost" in reason


def test_an_artefact_that_was_cut_short_with_a_good_exit_is_truncated(world: World) -> None:
    """What a full disk or a killed command leaves behind."""
    world.device.answer = printing({**gateway(), "ip-route.json": gateway()["ip-route.json"][:-40]})
    assert world.read().reason.startswith("ip-route.json: truncated or damaged: offset ")


def test_a_command_that_fails_is_told_with_its_last_words(world: World) -> None:
    contents = gateway()
    del contents["sysctl.txt"]
    world.device.answer = printing(contents)
    assert world.read().reason == "sysctl.txt: exit 2: refused: name one artefact of the audit"


def test_the_local_transport_runs_the_artefacts_own_command() -> None:
    with LocalTransport(5) as transport:
        assert transport.read(Artefact("x", ("/bin/echo", "here"), privileged=False)) == b"here\n"
        with pytest.raises(UnreachableError, match="x: exit 3: no"):
            transport.read(Artefact("x", ("/bin/sh", "-c", "echo no >&2; exit 3"), privileged=False))
        with pytest.raises(UnreachableError, match="x: /no/such: No such file"):
            transport.read(Artefact("x", ("/no/such",), privileged=False))


def test_a_snapshot_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    reading = collecting.Reading("a/../../b", Platform.LINUX, collecting.now(), gateway(), "")
    (tmp_path / "devices").write_text("in the way")
    with pytest.raises(CollectError):
        write_snapshot(tmp_path / "devices" / "snap", [reading], {}, "0" * 64, "a test")
    assert [path.name for path in tmp_path.iterdir()] == ["devices"]


def test_a_snapshot_is_for_its_owner_alone(tmp_path: Path) -> None:
    """It holds whole firewalls. Whatever the umask."""
    reading = collecting.Reading("buoi-gw", Platform.LINUX, collecting.now(), gateway(), "")
    old = os.umask(0)
    try:
        write_snapshot(tmp_path / "new" / "snap", [reading], {"wards/a.yml": b"x"}, "0" * 64, "a test")
    finally:
        os.umask(old)
    paths = [tmp_path / "new" / "snap", *(tmp_path / "new" / "snap").rglob("*")]
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_dir()} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in paths if path.is_file()} == {0o600}


def test_a_snapshot_is_never_changed(tmp_path: Path) -> None:
    (tmp_path / "snap").mkdir()
    with pytest.raises(CollectError, match="exists already"):
        write_snapshot(tmp_path / "snap", [], {}, "0" * 64, "a test")


# --- the command


def collected(world: World, *more: str) -> tuple[Result, Path]:
    """The command against the server on the loopback, by a key under the device's id."""
    output = world.folder / "snap"
    result = command(
        "collect", "-i", str(INVENTORY), "-o", str(output), "--port", str(world.device.port),
        "--known-hosts", str(world.known_hosts), "--key", str(world.key), "--timeout", "3", *more,
    )  # fmt: skip
    return result, output


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """The inventory's address of every gateway leads to the loopback."""
    loopback = ip_address("127.0.0.1")

    def target(gateway: object, login: Login) -> Target:
        name = gateway.id  # type: ignore[attr-defined]
        return Target(name, Platform.LINUX, lambda: SshTransport(name, str(loopback), login))

    monkeypatch.setattr(collect_command, "_target", target)


@pytest.mark.usefixtures("on_loopback")
def test_a_missing_device_is_named_in_the_snapshot_and_ends_with_1(world: World) -> None:
    """buoi-gw's key is pinned, nhat-tan-gw's is not."""
    result, output = collected(world, "--ward", "buoi", "--ward", "nhat-tan")
    assert result.exit_code == 1
    assert "missing: nhat-tan-gw: host key of nhat-tan-gw" in result.stderr.replace("\n", " ")
    snapshot = read_snapshot(output)
    by_device = {entry.device: entry for entry in snapshot.manifest.devices}
    assert by_device["buoi-gw"].collected
    assert not by_device["nhat-tan-gw"].collected
    assert "wardnet trust nhat-tan-gw" in by_device["nhat-tan-gw"].reason
    assert dict(snapshot.contents["buoi-gw"]).items() >= gateway().items()
    assert json.loads(snapshot.contents["buoi-gw"]["device.json"])["platform"] == "linux"
    assert (output / "inventory" / "wards" / "buoi.yml").is_file()


@pytest.mark.usefixtures("on_loopback")
def test_all_devices_read_end_with_0_and_nothing_else_is_left(world: World) -> None:
    result, output = collected(world, "--device", "buoi-gw")
    assert result.exit_code == 0, result.stderr
    assert not [path for path in world.folder.iterdir() if path.name.endswith(".part")]
    assert output.is_dir()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--device", "nobody"], "no managed gateway nobody"),
        (["--ward", "nowhere"], "no ward nowhere"),
        (["--local"], "--local needs one --device"),
    ],
)
def test_a_question_that_makes_no_sense_ends_with_2(world: World, arguments: list[str], said: str) -> None:
    result, output = collected(world, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr.replace("\n", " ")
    assert not output.exists()


@pytest.mark.parametrize(("name", "said"), [("known_hosts", "known_hosts"), ("auditor", "auditor")])
def test_without_keys_there_is_no_snapshot(world: World, name: str, said: str) -> None:
    (world.folder / name).unlink()
    result, output = collected(world)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not output.exists()


# --- wardnet trust


def trusting(world: World, *more: str, text: str = "") -> Result:
    return command(
        "trust", "buoi-gw", "--address", "127.0.0.1", "--port", str(world.device.port),
        "--known-hosts", str(world.known_hosts), *more, text=text,
    )  # fmt: skip


def test_a_key_is_recorded_with_who_and_when_once_it_is_agreed_to(world: World) -> None:
    world.known_hosts.unlink()
    result = trusting(world, text="y\n")
    assert result.exit_code == 0
    assert fingerprint(world.device.host_key.asbytes()) in result.stdout.replace("\n", "")
    comment, line = world.known_hosts.read_text().splitlines()
    assert comment.startswith("# [buoi-gw]:")
    assert " taken in by " in comment
    assert line.split()[2] == world.device.host_key.get_base64()
    assert world.known_hosts.stat().st_mode & 0o777 == 0o600
    assert not world.read().reason


def test_a_key_that_is_declined_is_not_recorded(world: World) -> None:
    world.known_hosts.unlink()
    assert trusting(world, text="n\n").exit_code == 1
    assert not world.known_hosts.exists()


def test_a_known_key_is_left_as_it_is(world: World) -> None:
    before = world.known_hosts.read_bytes()
    result = trusting(world)
    assert result.exit_code == 0
    assert world.known_hosts.read_bytes() == before


def test_a_key_is_recorded_unasked_only_if_its_fingerprint_is_the_expected_one(world: World) -> None:
    world.known_hosts.unlink()
    other, _ = key_pair(world.folder, "other")
    result = trusting(world, "--fingerprint", fingerprint(other.asbytes()))
    assert result.exit_code == 1
    assert "not recorded: the fingerprint is not" in result.stderr.replace("\n", " ")
    assert not world.known_hosts.exists()
    assert trusting(world, "--fingerprint", fingerprint(world.device.host_key.asbytes())).exit_code == 0
    assert not world.read().reason


def test_a_key_is_never_recorded_without_a_comparison(world: World) -> None:
    world.known_hosts.unlink()
    assert trusting(world, "--yes").exit_code == 2
    assert trusting(world).exit_code == 1
    assert not world.known_hosts.exists()


def test_a_host_that_the_inventory_does_not_know_is_said_to_be_so(world: World) -> None:
    result = command("trust", "nosuch", "-i", str(INVENTORY), "--known-hosts", str(world.known_hosts))
    assert result.exit_code == 2
    assert "nosuch is not in the inventory" in result.stderr.replace("\n", " ")


def test_a_changed_key_is_refused_loudly_even_with_its_fingerprint(world: World) -> None:
    other, _ = key_pair(world.folder, "other")
    world.known_hosts.unlink()
    world.trust(other)
    before = world.known_hosts.read_bytes()
    result = trusting(world, "--fingerprint", fingerprint(world.device.host_key.asbytes()))
    assert result.exit_code == 1
    assert "HAS CHANGED" in result.stderr
    assert fingerprint(other.asbytes()) in result.stderr.replace("\n", "")
    assert world.known_hosts.read_bytes() == before


def test_nobody_there_ends_with_2(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        world.device.port = unused.getsockname()[1]
    assert trusting(world, "--fingerprint", fingerprint(world.device.host_key.asbytes())).exit_code == 2
