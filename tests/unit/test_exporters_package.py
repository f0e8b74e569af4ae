"""The agents' Debian package: built twice alike, complete by itself, and started by hardened units."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.exporters_support import configuration

ROOT = Path(__file__).resolve().parents[2]
PLANES = ("link", "software")
MAX_EXPOSURE = 2.0

# Imports every module of the agents and prints where each came from that is not Python's own.
IMPORT_ALL = """
import pathlib, sys, sysconfig
tree = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(tree))
for file in sorted((tree / "exporters").rglob("*.py")):
    parts = file.relative_to(tree).with_suffix("").parts
    __import__(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
own = (str(tree), sysconfig.get_path("stdlib"))
for name, module in sorted(sys.modules.items()):
    file = getattr(module, "__file__", None)
    if file and not file.startswith(own) or file and "-packages" in file:
        print("outside", name, file)
    elif file and file.startswith(str(tree)):
        print("agent", name.partition(".")[0])
"""


def build(output: Path, **environment: str) -> Path:
    command = [sys.executable, str(ROOT / "packaging" / "build_agent.py"), "--output", str(output)]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def tree(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the package installs, unpacked by Debian's own tool."""
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    return folder


@pytest.fixture(scope="module")
def control(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("control")
    subprocess.run(["dpkg-deb", "-e", str(package), str(folder)], check=True)
    return folder


def test_same_sources_give_the_same_bytes(tmp_path: Path) -> None:
    first = build(tmp_path / "1", SOURCE_DATE_EPOCH="1700000000", TZ="Asia/Ho_Chi_Minh", PYTHONHASHSEED="1")
    second = build(tmp_path / "2", SOURCE_DATE_EPOCH="1700000000", TZ="UTC", PYTHONHASHSEED="2")
    other = build(tmp_path / "3", SOURCE_DATE_EPOCH="1700000001")
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes() != other.read_bytes()


def test_bad_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        build(tmp_path, SOURCE_DATE_EPOCH="yesterday")
    assert "SOURCE_DATE_EPOCH must be a number of seconds, is 'yesterday'" in caught.value.stderr


def test_members_belong_to_root_and_are_dated(package: Path) -> None:
    listing = subprocess.run(["dpkg-deb", "-c", str(package)], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listing.splitlines()]
    assert {fields[1] for fields in lines} == {"root/root"}
    assert len({(fields[3], fields[4]) for fields in lines}) == 1
    paths = [fields[5] for fields in lines]
    assert paths == sorted(paths)
    assert not [path for path in paths if "__pycache__" in path]


def test_control_names_version_and_needs(package: Path, control: Path, tree: Path) -> None:
    fields = dict(line.split(": ", 1) for line in (control / "control").read_text().splitlines() if line[0] != " ")
    assert package.name == f"wardnet-agent_{fields['Version']}_all.deb"
    assert (fields["Package"], fields["Architecture"]) == ("wardnet-agent", "all")
    assert fields["Depends"] == "python3 (>= 3.11)"
    for line in (control / "md5sums").read_text().splitlines():
        digest, path = line.split("  ")
        assert hashlib.md5((tree / path).read_bytes(), usedforsecurity=False).hexdigest() == digest


def test_tree_imports_by_itself_and_needs_nothing_else(tree: Path) -> None:
    """Also fails on an import of pydantic, typer, PyYAML or the inventory, however it got in."""
    command = [sys.executable, "-IS", "-c", IMPORT_ALL, str(tree / "usr/lib/wardnet-agent")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = set(done.stdout.splitlines())
    assert lines == {"agent exporters", "agent prometheus_client", "agent wardnet"}


def test_agents_import_nothing_heavy_from_the_checkout() -> None:
    """In an environment that has everything, the agents still load none of it."""
    script = (
        "import exporters.link, exporters.software, sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert {"exporters", "prometheus_client"} <= set(loaded)
    assert not {"pydantic", "pydantic_core", "typer", "yaml", "rich", "wardnet", "collectors", "paramiko"} & set(loaded)


@pytest.mark.parametrize("plane", PLANES)
def test_launcher_runs_on_the_hosts_python(plane: str, tree: Path, tmp_path: Path) -> None:
    launcher = tree / "usr" / "bin" / f"wardnet-{plane}-exporter"
    assert stat.S_IMODE(launcher.stat().st_mode) == 0o755
    text = launcher.read_text()
    assert text.startswith("#!/usr/bin/python3 -IS\n")
    # The launcher names the installed path; here the tree lies elsewhere.
    moved = tmp_path / "launcher"
    moved.write_text(text.replace("/usr/lib/wardnet-agent", str(tree / "usr/lib/wardnet-agent")))
    config = tmp_path / "agent.json"
    config.write_text(json.dumps(configuration()))
    options = ["--config.file", str(config), "--config.check", "--config.ca-dir", str(tmp_path / "ca.d")]
    # Debian's own interpreter where there is one that is new enough, and in any case the one that runs the tests.
    interpreters = {sys.executable} | ({"/usr/bin/python3"} if Path("/usr/bin/python3").exists() else set())
    for interpreter in sorted(interpreters):
        done = subprocess.run([interpreter, "-IS", str(moved), *options], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "good, for buoi-gw: 2 channels" in done.stdout
        version = subprocess.run(
            [interpreter, "-IS", str(moved), "--version"], capture_output=True, text=True, check=True
        )
        assert re.search(r" [0-9]+\.[0-9]+\.[0-9]+\n$", version.stdout), "the version is the package's"


def exposure(unit: Path) -> float:
    """How much of the host a unit may reach, as systemd rates it."""
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("plane", PLANES)
def test_unit_is_hardened(plane: str, tree: Path) -> None:
    unit = tree / "usr/lib/systemd/system" / f"wardnet-{plane}-exporter.service"
    settings = [line for line in unit.read_text().splitlines() if line and line[0] not in "#["]
    for needed in (
        "DynamicUser=yes", "AmbientCapabilities=CAP_NET_RAW", "CapabilityBoundingSet=CAP_NET_RAW",
        "NoNewPrivileges=yes", "RestrictNamespaces=yes", "MemoryDenyWriteExecute=yes", "ProtectSystem=strict",
        "SystemCallFilter=@system-service", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "Restart=on-failure", "PrivateDevices=yes",
        f"ExecStart=/usr/bin/wardnet-{plane}-exporter --config.file=/etc/wardnet/agent.json",
    ):  # fmt: skip
        assert needed in settings
    assert exposure(unit) <= MAX_EXPOSURE


def test_the_exporter_of_a_pc_has_no_capability_and_its_limits(tree: Path) -> None:
    unit = tree / "usr/lib/systemd/system/wardnet-pc-exporter.service"
    settings = unit.read_text().splitlines()
    for needed in (
        "DynamicUser=yes", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict", "Nice=10",
        "CPUQuota=10%", "CPUQuotaPeriodSec=1s", "MemoryMax=96M", "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "ExecStart=/usr/bin/wardnet-pc-exporter --config.file=/etc/wardnet/pc-agent.json",
    ):  # fmt: skip
        assert needed in settings
    assert not [line for line in settings if line.startswith("AmbientCapabilities")]
    assert (tree / "usr/bin/wardnet-pc-exporter").read_text().count("from exporters.pc import main") == 1
    assert exposure(unit) <= MAX_EXPOSURE


@pytest.mark.parametrize("name", ["runs", "audit"])
def test_what_reads_files_does_so_as_a_user_of_its_own_without_any_capability(
    tree: Path, tmp_path: Path, name: str
) -> None:
    unit = tree / f"usr/lib/systemd/system/wardnet-{name}-exporter.service"
    settings = unit.read_text().splitlines()
    for needed in ("DynamicUser=yes", "CapabilityBoundingSet=", "NoNewPrivileges=yes", "ProtectSystem=strict"):
        assert needed in settings
    assert not [line for line in settings if line.startswith("AmbientCapabilities")]
    launcher = tmp_path / "launcher"
    text = (tree / f"usr/bin/wardnet-{name}-exporter").read_text()
    launcher.write_text(text.replace("/usr/lib/wardnet-agent", str(tree / "usr/lib/wardnet-agent")))
    done = subprocess.run(
        [sys.executable, "-IS", str(launcher), "--version"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_maintainer_scripts_are_sound_shell(script: str, control: Path) -> None:
    file = control / script
    assert stat.S_IMODE(file.stat().st_mode) == 0o755
    text = file.read_text()
    assert text.startswith("#!/bin/sh\nset -e\n")
    assert "systemctl enable" not in text, "what runs is the role's to decide"
    subprocess.run(["sh", "-n", str(file)], check=True)


def test_altered_library_is_not_packaged(tmp_path: Path) -> None:
    """The copy of prometheus_client is the one whose hash was checked on installing it."""
    script = tmp_path / "alter.py"
    shutil.copy(ROOT / "packaging" / "build_agent.py", tmp_path / "build_agent.py")
    script.write_text(
        "import pathlib, sys\n"
        "from importlib import metadata\n"
        "import build_agent\n"
        "read = metadata.PackagePath.read_binary\n"
        "metadata.PackagePath.read_binary = lambda self: read(self) + (b'#' if self.name == 'registry.py' else b'')\n"
        "try:\n"
        "    build_agent.installed('prometheus_client')\n"
        "except build_agent.BuildError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert "prometheus_client/registry.py was changed after it was installed" in done.stdout
