"""What `playbooks/publish.yml` writes for hosts of the sample: an access point is whole, and no secret is in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import ROOT, TAY_HO, load

pytestmark = pytest.mark.long

published = load("module_utils", "wardnet_published")

OPEN, LOCKED, GATEWAY, CITIZEN = "buoi-wifi-1", "nhat-tan-wifi-1", "buoi-building-gw", "buoi-building-citizen-1"
SECRETS = {
    name: f"never-{name}-published" for name in ("nhat_tan_wifi", "buoi_building", "mot_cua", "tu_phap", "ky_thuat")
}
STATIC = """\
        interface: inet0
        ipv4: 198.51.100.70/30
        ipv4_peer: 198.51.100.69
        ipv6: 2001:db8:ff:101::2/64
        ipv6_peer: 2001:db8:ff:101::1
"""
DIALLED = """\
        interface: inet0
        parent: eth1
        addressing: pppoe
        pppoe: {user: building@provider-b.example, password: "vault:buoi_building"}
"""


@dataclass(frozen=True)
class Output:
    folder: Path
    arguments: list[str]
    said: str

    def again(self, *more: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("ansible-playbook")), *self.arguments, *more],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_NOCOLOR": "1", "WARDNET_RUNS": str(self.folder.parent / "runs")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def steps(self, host: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = published.read_bundle((self.folder / f"{host}.bundle").read_bytes()).steps
        return found

    def file(self, host: str, path: str) -> dict[str, Any]:
        (found,) = [file for step in self.steps(host) for file in step.get("files") or [] if file["path"] == path]
        return dict(found)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """The sample with access points that run Debian and a building that dials, published whole."""
    folder = tmp_path_factory.mktemp("publish")
    inventory = Path(shutil.copytree(TAY_HO, folder / "inventory"))
    firmware = "role: access_point\n        os: firmware"
    for ward, host in (("buoi", OPEN), ("nhat-tan", LOCKED)):
        path = inventory / "wards" / f"{ward}.yml"
        text = path.read_text()
        old = f"id: {host}\n        {firmware}"
        assert text.count(old) == 1
        path.write_text(text.replace(old, old.replace("firmware", "linux")))
    path = inventory / "wards" / "buoi.yml"
    assert path.read_text().count(STATIC) == 1
    path.write_text(path.read_text().replace(STATIC, DIALLED))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "publisher"], check=True)
    (folder / "mirror.asc").write_text("a key\n")
    (folder / "site.json").write_text(
        json.dumps({
            "wardnet_publish_folder": str(folder / "out"),
            "wardnet_publish_key": str(folder / "publisher"),
            "wardnet_public_mirror_url": "https://mirror.example/",
            "wardnet_mirror_key_file": str(folder / "mirror.asc"),
            "wardnet_secrets": SECRETS,
        })
    )  # fmt: skip
    arguments = ["-i", str(inventory / "wardnet.yml"), "-e", f"@{folder / 'site.json'}", "playbooks/publish.yml"]
    first = Output(folder / "out", arguments, "")
    said = first.again("--limit", ",".join((OPEN, LOCKED, GATEWAY, CITIZEN)))
    return Output(first.folder, arguments, said)


def test_each_host_that_pulls_is_published(out: Output) -> None:
    names = {path.name.partition(".")[0] for path in out.folder.iterdir()}
    assert names == {OPEN, LOCKED, GATEWAY, CITIZEN}


@pytest.mark.parametrize("host", [OPEN, LOCKED, GATEWAY, CITIZEN])
def test_each_host_takes_what_is_published_for_it_and_no_other_does(out: Output, host: str) -> None:
    """As wardnet-pull reads it: signature, host, time, serial, and every step in the shape that the engine knows."""
    data, made = ((out.folder / f"{host}{suffix}").read_bytes() for suffix in (".bundle", ".bundle.sig"))
    public = (out.folder.parent / "publisher.pub").read_text()
    signers = f'publisher namespaces="wardnet-bundle" {public}'.encode()
    assert load("module_utils", "wardnet_signature").verify(data, made, signers) == "publisher"
    bundle = published.read_bundle(data)
    published.check_bundle(bundle, host, time.time(), bundle.serial)
    steps = load("module_utils", "wardnet_candidate").read_steps(bundle.steps)
    assert len(steps) == len(bundle.steps)
    with pytest.raises(published.BundleRefusedError, match=f"is for {host}"):
        published.check_bundle(bundle, "other-1", time.time(), bundle.serial)


def test_no_secret_is_in_what_is_published(out: Output) -> None:
    for path in sorted(out.folder.iterdir()):
        data = path.read_bytes()
        assert [name for name, value in SECRETS.items() if value.encode() in data] == [], path.name
        assert b"$6$" not in data, "a hash of a password"
    assert not [file for host in (OPEN, LOCKED, GATEWAY, CITIZEN) for step in out.steps(host)
                for file in step.get("files") or [] if file.get("secret")]  # fmt: skip
    assert not [name for name, value in SECRETS.items() if value in out.said]


def test_an_access_point_is_published_whole(out: Output) -> None:
    assert {step["part"] for step in out.steps(OPEN)} >= {"access", "bridge", "files", "filter", "settings"}
    hostapd = out.file(OPEN, "/etc/hostapd/wardnet.conf")["content"].splitlines()
    assert {"wpa_key_mgmt=OWE", "ap_isolate=1", "bridge=br-wifi", "interface=wlan0"} <= set(hostapd)
    units = {unit["name"]: unit.get("state") for step in out.steps(OPEN) for unit in step.get("units") or []}
    assert (units["wardnet-wifi.service"], units["hostapd.service"]) == ("running", "masked")
    (bridge,) = [step["bridge"] for step in out.steps(OPEN) if step["part"] == "bridge"]
    assert (bridge["addresses"], bridge["wire"]) == (["172.21.1.2/24", "2001:db8:21:1::2/64"], "eth0")
    (filter_step,) = [step for step in out.steps(OPEN) if step["part"] == "filter"]
    assert "172.21.1.1" in str(filter_step["files"]), "clients reach the gateway of their network, and nothing else"


def test_an_access_point_pulls_its_packages_from_the_internets_mirror_and_goes_on_pulling(out: Output) -> None:
    sources = out.file(OPEN, "/etc/apt/sources.list.d/wardnet.sources")["content"]
    assert "https://mirror.example/" in sources
    assert {"hostapd", "nftables", "wireless-regdb"} <= {
        name for step in out.steps(OPEN) for name in step.get("packages") or []
    }
    assert "pull" in {step["role"] for step in out.steps(OPEN)}


def test_a_passphrase_is_on_the_access_point_alone(out: Output) -> None:
    assert "wpa_passphrase" not in out.file(LOCKED, "/etc/hostapd/wardnet.conf")["content"]
    unit = out.file(LOCKED, "/etc/systemd/system/wardnet-wifi.service")["content"]
    assert "/etc/wardnet/wifi-passphrase" in unit


def test_a_building_that_dials_is_published_without_its_password(out: Output) -> None:
    assert "file /etc/ppp/wardnet-inet0.secret" in out.file(GATEWAY, "/etc/ppp/peers/wardnet-inet0")["content"]
    (step,) = [step for step in out.steps(GATEWAY) if step["role"] == "dialled_lines"]
    ((*words, state),) = step["validate"]
    assert state == "kept"
    tried = subprocess.run([*words, state], capture_output=True, text=True, check=False)
    assert tried.returncode == 1
    assert "the password of line inet0 is not on this host: write it to /etc/ppp/wardnet-inet0.secret" in tried.stderr


def test_the_gateway_of_visitors_keeps_their_zone(out: Output) -> None:
    """Its own bundle, since a building's gateway pulls too."""
    ruleset = out.file(GATEWAY, "/etc/nftables.conf")["content"]
    assert "wifi0" in ruleset
    assert "citizen0" in ruleset


def test_a_firefox_that_is_there_from_before_opens_nothing_where_nothing_may_be_saved(out: Output) -> None:
    policies = json.loads(out.file(CITIZEN, "/etc/firefox/policies/policies.json")["content"])["policies"]
    assert policies["WebsiteFilter"] == {"Block": ["<all_urls>"], "Exceptions": []}
    assert "firefox-esr" not in str([step.get("packages") for step in out.steps(CITIZEN)])


def test_a_second_run_changes_nothing_and_who_has_left_is_withdrawn(out: Output) -> None:
    before = {path.name: path.read_bytes() for path in out.folder.iterdir()}
    former = published.read_bundle(before[f"{OPEN}.bundle"])
    gone = published.write_bundle(published.Published(**{**former.__dict__, "host": "gone-1"}))
    signature = load("module_utils", "wardnet_signature")
    (out.folder / "gone-1.bundle").write_bytes(gone)
    (out.folder / "gone-1.bundle.sig").write_bytes(signature.sign(gone, out.folder.parent / "publisher"))
    asked = out.again("--limit", OPEN, "--check", "--diff")
    assert "-gone-1.bundle" in asked.splitlines()
    assert (out.folder / "gone-1.bundle").exists()
    said = out.again("--limit", OPEN)
    assert "since gone-1 does not pull any more" in said
    assert {path.name: path.read_bytes() for path in out.folder.iterdir()} == before, "hosts beyond the limit stay"
