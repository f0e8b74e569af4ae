"""What the lab lays into hosts that pull before they boot, and the mirror that they pull from."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from lab import bootstrap, handover, provide
from lab.build import Blueprint, read_blueprint
from lab.hosts import HostFile
from lab.outside import FILE, OutsideRole, parse_outside
from lab.pulling import Installation, public_mirror_url
from lab.services.files import serve_folders
from lab.services.serving import Request
from lab.topology import Kind, compile_topology
from wardnet.inventory import InventoryErrors

ROOT = Path(__file__).parents[2]
INVENTORY = ROOT / "inventory" / "tay-ho"
PULL = ["buoi-building-citizen-1", "buoi-building-gw", "buoi-citizen-1", "tay-ho-citizen-1"]


@pytest.fixture(scope="module")
def one() -> Blueprint:
    return read_blueprint(INVENTORY, 1, date(2026, 11, 24))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As much of a base image as is read."""
    folder = tmp_path_factory.mktemp("image")
    (folder / "var/lib/dpkg").mkdir(parents=True)
    (folder / "var/lib/dpkg/status").write_text("Package: base\nStatus: install ok installed\nVersion: 1\n\n")
    return folder


@pytest.fixture(scope="module")
def installation(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    built = tmp_path_factory.mktemp("dist")
    command = [sys.executable, str(ROOT / "packaging" / "build_pull.py"), "--output", str(built)]
    subprocess.run(command, check=True, capture_output=True)
    (built / "publisher.pub").write_text("ssh-ed25519 AAAA publisher@lab\n")
    return Installation(root, built, built / "publisher.pub")


def files(installation: Installation, blueprint: Blueprint, host: str) -> dict[str, HostFile]:
    node = blueprint.topology.node(host)
    return {file.path: file for file in installation.files(node, blueprint.topology, blueprint.plan)}


def test_whoever_pulls_has_the_package_as_dpkg_installs_it(
    installation: Installation, one: Blueprint, tmp_path: Path
) -> None:
    found = files(installation, one, "buoi-building-gw")
    assert found["/usr/bin/wardnet-pull"].mode == 0o755
    assert found["/etc/systemd/system/timers.target.wants/wardnet-pull.timer"].target is not None
    for path in ("/var/lib/dpkg/status", "/var/lib/dpkg/info/wardnet-pull.list"):
        (tmp_path / path.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path.lstrip("/")).write_bytes(found[path].content)
    asked = [
        "dpkg-query",
        f"--admindir={tmp_path}/var/lib/dpkg",
        "--show",
        "--showformat=${Package} ${db:Status-Status}\n",
    ]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(said) == ["base installed", "wardnet-pull installed"]
    listed = ["dpkg-query", f"--admindir={tmp_path}/var/lib/dpkg", "--listfiles", "wardnet-pull"]
    assert "/usr/bin/wardnet-pull" in subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()


def test_whoever_pulls_knows_its_name_its_mirror_and_who_signs(installation: Installation, one: Blueprint) -> None:
    assert sorted(node.id for node in one.topology.nodes if files(installation, one, node.id)) == PULL
    for host in PULL:
        found = files(installation, one, host)
        config = json.loads(found["/etc/wardnet/pull.json"].content)
        assert (config["host"], config["url"]) == (host, "https://public-mirror.tayho.example/bundles/")
        signers = found["/etc/wardnet/pull-signers"].content.decode()
        assert signers == 'publisher namespaces="wardnet-bundle" ssh-ed25519 AAAA\n'


def test_where_nothing_was_built_nothing_is_laid_in(root: Path, one: Blueprint, tmp_path: Path) -> None:
    (tmp_path / "publisher.pub").write_text("ssh-ed25519 AAAA publisher@lab\n")
    assert not files(Installation(root, tmp_path, tmp_path / "publisher.pub"), one, "buoi-citizen-1")


def test_a_lab_without_a_mirror_outside_has_none_to_pull_from(installation: Installation, one: Blueprint) -> None:
    lines = (INVENTORY / FILE).read_text().splitlines(keepends=True)
    outside = parse_outside("".join(line for line in lines if "role: mirror" not in line), one.district)
    topology = compile_topology(one.district, one.plan, outside, 1)
    assert public_mirror_url(topology, one.plan.domain) == ""
    assert installation.files(topology.node("buoi-citizen-1"), topology, one.plan) == []


def test_two_mirrors_outside_are_refused(one: Blueprint) -> None:
    text = (INVENTORY / FILE).read_text()
    with pytest.raises(InventoryErrors, match="one host with role mirror at most, not 2"):
        parse_outside(text.replace("role: web", "role: mirror", 1), one.district)


def test_the_mirror_outside_has_packages_and_what_is_published(one: Blueprint) -> None:
    node = next(node for node in one.topology.nodes if node.kind is Kind.PUBLIC_MIRROR)
    assert node.outside is not None
    assert node.outside.role is OutsideRole.MIRROR
    units = bootstrap.files(node, one.topology, one.plan, one.outside, one.resolvers(node))
    assert any(b"203.0.113.90" in file.content for file in units)
    assert handover.addresses(node) == ("203.0.113.90", "2001:db8:cafe::90")
    assert provide.PUBLISHED == "bundles"


def test_folders_are_told_apart_and_nothing_beside_them_is_given(tmp_path: Path) -> None:
    for name in ("mirror", "published"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    others = {"bundles": tmp_path / "published"}

    def get(path: str) -> tuple[int, bytes]:
        answer = serve_folders(tmp_path / "mirror", others, Request("GET", path, {}, {}, b""))
        return answer.status, answer.body

    assert get("/x") == (200, b"mirror")
    assert get("/bundles/x") == (200, b"published")
    for path in ("/bundles/../mirror/x", "/bundles/%2e%2e/mirror/x", "/../published/x", "/bundles/nope"):
        assert get(path)[0] == 404
