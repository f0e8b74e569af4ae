"""A device's key is replaced only by the one that was read out at the new machine, and the former one is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from typer.testing import CliRunner, Result

from collectors.transport.known_hosts import archive_of, read_lines, replace_host_key
from collectors.transport.ssh import fingerprint, host_name, record_host_key
from tests.unit.ssh_support import FakeDevice, key_pair, serving
from wardnet.bootstrap import digits, spoken
from wardnet.cli.main import build


class World:
    def __init__(self, folder: Path, device: FakeDevice, former: paramiko.PKey) -> None:
        self.device = device
        self.former = former
        self.known_hosts = folder / "known_hosts"
        record_host_key(self.known_hosts, (host_name("buoi-gw", device.port),), former, "a test")
        self.before = self.known_hosts.read_text()

    def trust(self, *more: str, text: str = "") -> Result:
        words = [
            "trust", "buoi-gw", "--address", "127.0.0.1", "--port", str(self.device.port),
            "--known-hosts", str(self.known_hosts), *more,
        ]  # fmt: skip
        return CliRunner().invoke(build(words), words, input=text)

    @property
    def untouched(self) -> bool:
        return self.known_hosts.read_text() == self.before and not archive_of(self.known_hosts).exists()


@pytest.fixture(name="world")
def fake_world(tmp_path: Path) -> Iterator[World]:
    host_key, _ = key_pair(tmp_path, "host")
    former, _ = key_pair(tmp_path, "former")
    with serving(FakeDevice(host_key, former, lambda _channel, _word: None)) as device:
        yield World(tmp_path, device, former)


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize("form", [lambda key: fingerprint(key), digits, spoken])
def test_the_key_that_was_read_out_takes_the_old_ones_place(world: World, form: object) -> None:
    key = world.device.host_key
    result = world.trust("--replaced", "--fingerprint", form(key.asbytes()))  # type: ignore[operator]
    assert result.exit_code == 0, said(result)
    text = world.known_hosts.read_text()
    assert key.get_base64() in text
    assert world.former.get_base64() not in text
    archive = archive_of(world.known_hosts)
    assert set(world.before.splitlines()) <= set(archive.read_text().splitlines())
    assert archive.stat().st_mode & 0o777 == 0o600
    assert world.known_hosts.stat().st_mode & 0o777 == 0o600
    assert str(archive) in said(result).replace(" ", "") or archive.name in said(result)
    assert world.trust().exit_code == 0  # on record now


def test_what_was_read_out_wrong_replaces_nothing_and_is_not_shown(world: World) -> None:
    result = world.trust("--replaced", "--fingerprint", "1" * 30)
    assert result.exit_code == 1
    assert "what was read out is another key" in said(result)
    for form in (fingerprint, digits, spoken):
        assert form(world.device.host_key.asbytes()) not in said(result)
    assert world.untouched


def test_the_old_key_read_out_replaces_nothing(world: World) -> None:
    result = world.trust("--replaced", "--fingerprint", spoken(world.former.asbytes()))
    assert result.exit_code == 1
    assert "what was read out is the key of the old machine" in said(result)
    assert world.untouched


def test_the_old_machine_that_still_answers_is_said_to_do_so(world: World) -> None:
    world.device.host_key = world.former
    result = world.trust("--replaced", "--fingerprint", spoken(world.former.asbytes()))
    assert result.exit_code == 1
    assert "the key that answers is the one on record" in said(result)
    assert world.untouched


def test_nothing_is_replaced_without_what_was_read_out(world: World) -> None:
    """Without a terminal there is nobody to ask; it does not wait."""
    result = world.trust("--replaced")
    assert result.exit_code == 2
    assert "which digits were read out" in said(result)
    assert world.untouched


def test_a_device_that_is_new_is_not_replaced(world: World) -> None:
    world.known_hosts.unlink()
    result = world.trust("--replaced", "--fingerprint", spoken(world.device.host_key.asbytes()))
    assert result.exit_code == 2
    assert "no key of buoi-gw is on record" in said(result)
    assert not world.known_hosts.exists()


def test_without_the_word_a_changed_key_is_refused_as_ever(world: World) -> None:
    result = world.trust("--fingerprint", spoken(world.device.host_key.asbytes()))
    assert result.exit_code == 1
    assert "HAS CHANGED" in said(result)
    assert "--replaced" in said(result)
    assert world.untouched


def test_a_new_device_is_taken_in_by_its_digits(world: World) -> None:
    world.known_hosts.unlink()
    result = world.trust("--fingerprint", spoken(world.device.host_key.asbytes()))
    assert result.exit_code == 0
    assert spoken(world.device.host_key.asbytes()) in said(result)


# --- the file


@pytest.fixture(name="keys")
def three_keys(tmp_path: Path) -> dict[str, paramiko.PKey]:
    return {name: key_pair(tmp_path, name)[0] for name in ("old", "new", "other")}


def line(names: str, key: paramiko.PKey) -> str:
    return f"{names} {key.get_name()} {key.get_base64()}"


def test_all_names_of_the_device_go_over_and_neighbours_stay(tmp_path: Path, keys: dict[str, paramiko.PKey]) -> None:
    path = tmp_path / "known_hosts"
    other = ["# of the hub", line("tay-ho-hub,10.30.200.1", keys["other"])]
    path.write_text("\n".join([*other, "# of the gateway", line("buoi-gw,10.30.1.1,10.31.1.2", keys["old"])]) + "\n")
    replace_host_key(path, ("buoi-gw", "10.30.1.1"), keys["new"], "somebody@here")
    lines = path.read_text().splitlines()
    assert lines[:2] == other
    assert lines[2].startswith("# buoi-gw replaced by somebody@here at ")
    assert lines[3:] == [line("buoi-gw,10.30.1.1,10.31.1.2", keys["new"])]
    archived = archive_of(path).read_text().splitlines()
    assert archived[1:] == ["# of the gateway", line("buoi-gw,10.30.1.1,10.31.1.2", keys["old"])]


def test_another_device_at_the_address_loses_the_address_alone(tmp_path: Path, keys: dict[str, paramiko.PKey]) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line("ancient-gw,10.30.1.1", keys["other"]) + "\n" + line("buoi-gw", keys["old"]) + "\n")
    replace_host_key(path, ("buoi-gw", "10.30.1.1"), keys["new"], "somebody@here")
    pinned = paramiko.HostKeys(str(path))
    for name, key in (("ancient-gw", "other"), ("buoi-gw", "new"), ("10.30.1.1", "new")):
        found = pinned.lookup(name)
        assert found is not None
        assert [each.asbytes() for each in found.values()] == [keys[key].asbytes()]


def test_hashed_names_are_known(tmp_path: Path, keys: dict[str, paramiko.PKey]) -> None:
    path = tmp_path / "known_hosts"
    hashed = paramiko.HostKeys.hash_host("buoi-gw")
    path.write_text(line(hashed, keys["old"]) + "\n")
    replace_host_key(path, ("buoi-gw", "10.30.1.1"), keys["new"], "somebody@here")
    assert keys["old"].get_base64() not in path.read_text()
    assert keys["old"].get_base64() in archive_of(path).read_text()


def test_every_replacement_stays_in_the_archive(tmp_path: Path, keys: dict[str, paramiko.PKey]) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(line("buoi-gw", keys["old"]) + "\n")
    replace_host_key(path, ("buoi-gw", "10.30.1.1"), keys["other"], "somebody@here")
    replace_host_key(path, ("buoi-gw", "10.30.1.1"), keys["new"], "somebody@here")
    archived = archive_of(path).read_text()
    assert keys["old"].get_base64() in archived
    assert keys["other"].get_base64() in archived
    assert [each.names for each in read_lines(path.read_text()) if each.names] == [("buoi-gw", "10.30.1.1")]
