"""An audit without a district's inventory: what somebody read by hand, and a policy file."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from collectors.by_hand import read_folders, script
from collectors.errors import CollectError
from collectors.platforms import ARTEFACTS
from tests.unit.gateway_support import FIXTURES
from tests.unit.switch_support import switch_policy
from tests.unit.test_audit_command import POLICY
from wardnet.audit.snapshot import read_snapshot
from wardnet.cli.main import build
from wardnet.model.intent import Platform, SwitchPlatform

PLATFORMS = (Platform.LINUX, SwitchPlatform.OPENVSWITCH)


def run(*words: object) -> Result:
    argv = [str(word) for word in words]
    return CliRunner().invoke(build(argv), argv, env={"COLUMNS": "200", "WARDNET_LANG": "en"})


@pytest.fixture
def read(tmp_path: Path) -> Path:
    """The folders of a gateway and of a switch, as the scripts leave them."""
    folder = tmp_path / "read"
    shutil.copytree(FIXTURES / "buoi-gw", folder / "buoi-gw")
    shutil.copytree(FIXTURES / "buoi-sw", folder / "sw1")
    return folder


def switch_text(**moved: str) -> str:
    """The captured switch's policy, as a policy file has it; with ports of another VLAN by name."""
    wanted = switch_policy()
    vlans = [{"id": number, "channel": str(channel)} for number, channel in wanted.channels.items()]
    ports = [
        {
            "name": end.name,
            **({"trunk": list(end.vlans)} if end.tagged else {"vlan": end.vlans[0]} if end.vlans else {}),
            **({"vlan": moved[end.name]} if end.name in moved else {}),
        }
        for end in wanted.ports
    ]
    return "switches: " + json.dumps([{"id": "sw1", "bridge": wanted.bridge, "vlans": vlans, "ports": ports}]) + "\n"


def test_what_was_read_by_hand_gets_its_verdict_from_a_policy_file(read: Path, tmp_path: Path) -> None:
    collected = run("collect", "--from", read, "-o", tmp_path / "snap")
    assert collected.exit_code == 0, collected.output
    assert "2 of 2 devices collected" in collected.output
    found = read_snapshot(tmp_path / "snap")
    assert (found.platforms, found.inventory) == ({"buoi-gw": "linux", "sw1": "openvswitch"}, {})
    (tmp_path / "policy.yml").write_text(POLICY + switch_text())
    audited = run("audit", tmp_path / "snap", "--policy", tmp_path / "policy.yml")
    assert audited.exit_code == 0, audited.output
    assert "sw1" in audited.output


def test_a_port_in_a_vlan_of_the_other_channel_is_found(read: Path, tmp_path: Path) -> None:
    """By the policy file a clerk's port is one of the internet's."""
    wanted = switch_policy()
    by_channel = {str(channel): number for number, channel in wanted.channels.items()}
    clerk = next(end.name for end in wanted.ports if not end.tagged and end.vlans == (by_channel["wan"],))
    run("collect", "--from", read, "-o", tmp_path / "snap")
    (tmp_path / "policy.yml").write_text(POLICY + switch_text(**{clerk: by_channel["internet"]}))
    audited = run("audit", tmp_path / "snap", "--policy", tmp_path / "policy.yml")
    assert audited.exit_code in (1, 3), audited.output


def test_without_a_policy_file_such_a_snapshot_says_what_it_needs(read: Path, tmp_path: Path) -> None:
    run("collect", "--from", read, "-o", tmp_path / "snap")
    audited = run("audit", tmp_path / "snap")
    assert audited.exit_code == 2
    assert "--policy" in audited.output


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_script_reads_each_artefact_once_and_is_a_script(platform: Platform | SwitchPlatform) -> None:
    text = script(platform)
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0
    for artefact in ARTEFACTS[platform]:
        assert text.count(f"> {artefact.name} ||") == 1
    assert run("collect", "--script", platform.value).output == text


@pytest.mark.parametrize("words", [(), ("a", "b")])
def test_the_script_says_how_it_is_used(words: tuple[str, ...]) -> None:
    argv = ["sh", "-s", *words]
    done = subprocess.run(argv, input=script(Platform.LINUX), text=True, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(("usage:", "as root"))


def test_everything_that_is_wrong_with_what_was_read_is_said_at_once(read: Path) -> None:
    (read / "buoi-gw" / "ip-link.json").unlink()
    (read / "buoi-gw" / "notes.txt").write_text("x")
    (read / "sw1" / "ovs.json").write_text('{"cut')
    (read / "empty").mkdir()
    (read / "file").write_text("")
    with pytest.raises(CollectError) as caught:
        read_folders(read)
    said = str(caught.value)
    for words in (
        "notes.txt: is no artefact of linux",
        "ip-link.json: is missing: /usr/sbin/ip -j -d link show",
        "empty: has none of nft-ruleset.json, ovs.json",
        "file: is no folder of a device",
        "sw1: ovs.json: truncated or damaged",
    ):
        assert words in said
    assert len(said.splitlines()) == 5


def test_an_artefact_that_older_snapshots_lack_may_be_missing(read: Path) -> None:
    (read / "buoi-gw" / "sshd.txt").unlink()
    assert [reading.device for reading in read_folders(read)] == ["buoi-gw", "sw1"]


def test_a_folder_without_devices_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        assert run("collect", "--from", folder, "-o", tmp_path / "snap").exit_code == 2
