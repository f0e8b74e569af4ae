"""What the lab reads of the machine: its Debian sources, cgroups, mounts and limits; and what it says is missing."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from lab import access, cgroups, limits, mounts, preflight, window
from lab.errors import LabError
from lab.faults.edits import parse_handles
from lab.hosts import HostFile, lay_files
from lab.image import Recipe
from lab.layout import Layout
from lab.record import CircuitRecord, FaultRecord, HostRecord, Record, parse_record, read_record, write_record
from lab.settle import unsettled
from lab.sources import DebianSources, of_suite, parse_deb822, parse_one_line, parse_os_release, read_debian_sources

OS_RELEASE = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n'

DEB822 = """Types: deb
# a comment
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Types: deb
Enabled: no
URIs: http://old.example/debian
Suites: bookworm
Components: main
"""


def test_only_debians_own_suites_and_main_are_taken() -> None:
    stanzas = parse_deb822(DEB822, "bookworm")
    assert len(stanzas) == 2
    assert "Suites: bookworm bookworm-updates\n" in stanzas[0]
    assert "Components: main\n" in stanzas[0]
    assert "Suites: bookworm-security\n" in stanzas[1]


def test_another_vendors_source_is_no_part_of_the_image() -> None:
    other = "Types: deb\nURIs: https://deb.example.com/node_20.x\nSuites: nodistro\nComponents: main\n"
    assert parse_deb822(other, "bookworm") == []
    lines = "deb https://packages.example.com/apt cloud-sdk-bookworm main\n# deb http://x/debian bookworm main\n"
    assert parse_one_line(lines, "bookworm") == []


def test_one_line_sources_are_read_too() -> None:
    line = "deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian trixie main contrib\n"
    assert parse_one_line(line, "trixie") == [
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\nSigned-By: /k.gpg"
    ]


def test_a_machine_that_is_not_debian_is_refused() -> None:
    with pytest.raises(LabError, match=r"Fedora Linux 40.*needs Debian"):
        parse_os_release('ID=fedora\nPRETTY_NAME="Fedora Linux 40"\nVERSION_ID=40\n')


def test_a_machine_without_its_own_suite_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(OS_RELEASE)
    (tmp_path / "sources.list.d").mkdir()
    with pytest.raises(LabError, match="no package source for bookworm main"):
        read_debian_sources(tmp_path, tmp_path / "os-release")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    assert read_debian_sources(tmp_path, tmp_path / "os-release").suite == "bookworm"


def test_the_other_debian_comes_from_the_same_archives(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(OS_RELEASE)
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    own = read_debian_sources(tmp_path, tmp_path / "os-release")
    other = of_suite(own, "trixie")
    suites = [line for line in other.stanzas.splitlines() if line.startswith("Suites:")]
    assert other.suite == "trixie"
    assert all("trixie" in line and "bookworm" not in line for line in suites)
    rest = [line for line in own.stanzas.splitlines() if not line.startswith("Suites:")]
    assert [line for line in other.stanzas.splitlines() if not line.startswith("Suites:")] == rest
    assert of_suite(own, "bookworm") == own
    with pytest.raises(LabError, match="no lab is made of sid: bookworm, trixie"):
        of_suite(own, "sid")


def test_a_changed_recipe_is_another_image() -> None:
    sources = DebianSources("bookworm", "Types: deb\n")
    one = Recipe(sources)
    assert one.key == Recipe(DebianSources("bookworm", "Types: deb\n")).key
    assert one.key != Recipe(sources, packages=("systemd",)).key
    assert one.key != Recipe(sources, customize="true").key
    assert one.key != Recipe(DebianSources("trixie", "Types: deb\n")).key


HYBRID = """30 20 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_the_hierarchies_that_systemd_and_limits_need_are_found() -> None:
    found = {str(one.root): one for one in cgroups.parse_mountinfo(HYBRID)}
    assert set(found) == {"/sys/fs/cgroup/memory", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"}
    assert found["/sys/fs/cgroup/unified"].unified
    only = cgroups.parse_mountinfo("30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n")
    assert [one.unified for one in only] == [True]


def test_mounts_of_a_lab_are_found_deepest_first_and_no_other_labs() -> None:
    state = Path("/var/lib/wardnet-lab/a")
    text = "".join(
        f"{number} 1 0:1 / {point} rw - overlay overlay rw\n"
        for number, point in enumerate(
            ["/", f"{state}/hosts/x/root", f"{state}/hosts/x/root/srv", f"{state}b/hosts/y", f"{state}/with\\040blank"]
        )
    )
    assert mounts.parse(text, state) == [
        state / "with blank",
        state / "hosts/x/root/srv",
        state / "hosts/x/root",
    ]


def test_limits_are_raised_and_never_lowered() -> None:
    low = dict.fromkeys(limits.AT_LEAST, "128") | {limits.ALLOWED: "reno bbr"}
    changes = limits.wanted(low)
    assert changes["fs/inotify/max_user_instances"] == "8192"
    assert changes[limits.ALLOWED] == "reno bbr cubic"
    high = dict.fromkeys(limits.AT_LEAST, str(10**9)) | {limits.ALLOWED: "reno cubic"}
    assert limits.wanted(high) == {}


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's settings as they are before a lab, where a test may change them."""
    before = dict.fromkeys(limits.AT_LEAST, "128") | {limits.ALLOWED: "reno bbr"}
    for name, value in before.items():
        path = tmp_path / "proc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    monkeypatch.setattr(limits, "RECORD", tmp_path / "machine.json")
    monkeypatch.setattr(limits, "_LOCK", tmp_path / "machine.lock")
    monkeypatch.setattr(limits, "NETNS_ROOT", tmp_path / "netns")
    return tmp_path / "proc"


def settings(proc: Path) -> dict[str, str]:
    return {name: (proc / name).read_text().strip() for name in (*limits.AT_LEAST, limits.ALLOWED)}


def test_the_machines_settings_come_back_as_they_were_with_the_last_lab(proc: Path) -> None:
    before = settings(proc)
    limits.raise_all(proc)
    raised = settings(proc)
    assert raised != before
    limits.raise_all(proc)  # a second lab
    assert settings(proc) == raised
    went: list[str] = []
    limits.put_back(lambda: True, lambda: went.append("not yet"), proc)
    assert settings(proc) == raised
    limits.put_back(lambda: False, lambda: went.append("last"), proc)
    assert settings(proc) == before
    assert went == ["last"]
    limits.put_back(lambda: False, lambda: went.append("again"), proc)
    assert settings(proc) == before


@pytest.mark.parametrize("name", ["a", "wardnet", "wardnet-test", "a" * 24])
def test_names_of_labs(name: str) -> None:
    assert Layout(name).netns("h") == f"wardlab.{name}.h"


@pytest.mark.parametrize("name", ["", "-a", "A", "a.b", "a/b", "../x", "1a", "a" * 25, "a\n"])
def test_what_is_no_name_of_a_lab_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="is no name for a lab"):
        Layout(name)


def test_no_labs_namespaces_begin_like_anothers() -> None:
    assert not Layout("wardnet-test").netns("x").startswith(Layout("wardnet").netns_prefix)


def test_missing_programs_are_named_with_one_command_that_installs_them() -> None:
    (missing,) = preflight.missing_programs(lambda program: None if program in ("ovs-vsctl", "mmdebstrap") else "/x")
    assert str(missing) == "not installed: mmdebstrap, ovs-vsctl: apt-get install mmdebstrap openvswitch-switch"
    assert preflight.missing_programs(lambda _program: "/x") == []


def test_every_program_looked_for_comes_from_a_package_that_the_makefile_installs() -> None:
    listed = preflight.parse_packages(preflight.PACKAGES_FILE.read_text())
    assert set(preflight.PROGRAMS.values()) <= set(listed)


def test_space_is_counted_by_wards() -> None:
    assert preflight.missing_space(10**12, 10**12, 8, image_cached=False) == []
    disk, memory = preflight.missing_space(10**6, 10**6, 8, image_cached=True)
    assert "free in /var/lib" in disk.what
    assert "of memory available" in memory.what
    enough_for_one = preflight.MEMORY_BYTES_BASE + 40 * preflight.MEMORY_BYTES_HOST
    assert preflight.missing_space(10**12, enough_for_one, 1, image_cached=True) == []
    assert preflight.missing_space(10**12, enough_for_one, 8, image_cached=True) != []


def test_memory_is_read_in_bytes() -> None:
    assert preflight.parse_available_memory("MemTotal: 9 kB\nMemAvailable:     2000 kB\n") == 2_048_000


def record() -> Record:
    return Record(
        name="x", state="up", made_at="2026-11-24T00:00:00+00:00", inventory="/i", inventory_sha256="ab",
        as_of="2026-11-24", model_sha256="cd", wards=("a",), image="ef", suite="bookworm", window=19090,
        hosts=(HostRecord("h", "station", "a", "a-office", ("10.0.0.1",)),),
        circuits=(CircuitRecord("a-wan", "wan", "a", "a-gw", "hub"),),
        not_booted=(("w", "windows"),),
        faults=(FaultRecord("slow-line", "a", "wan", "diagnose: line", {"circuit": "a-wan"}),),
    )  # fmt: skip


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"

    class There(Layout):
        __slots__ = ()

        @property
        def record(self) -> Path:
            return path

    write_record(There("x"), record())
    assert read_record(There("x")) == record()
    assert parse_record(path.read_text()) == record()
    path.write_text(path.read_text()[:50])
    assert read_record(There("x")) is None


def test_files_laid_into_a_host_keep_the_modes_of_the_images_folders(tmp_path: Path) -> None:
    base, upper = tmp_path / "base", tmp_path / "upper"
    (base / "home/wardnet/.ssh").mkdir(parents=True, mode=0o755)
    (base / "home/wardnet/.ssh").chmod(0o700)
    upper.mkdir()
    own = os.getuid()
    lay_files(
        upper,
        base,
        [
            HostFile("/home/wardnet/.ssh/authorized_keys", b"key", 0o600, own),
            HostFile("/etc/new/file", b"text", owner=own),
            HostFile("/etc/new/link", target="/etc/new/file"),
        ],
    )
    assert (upper / "home/wardnet/.ssh").stat().st_mode & 0o777 == 0o700
    assert (upper / "home/wardnet/.ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    assert (upper / "etc/new/link").readlink() == Path("/etc/new/file")


def test_rules_are_found_again_by_their_comment() -> None:
    chain = (
        '{"nftables": [{"metainfo": {}}, {"chain": {"name": "forward"}},'
        '{"rule": {"handle": 4, "comment": "clerks-portal"}}, {"rule": {"handle": 9, "comment": "lab ipv6-open"}},'
        '{"rule": {"handle": 11}}]}'
    )
    assert parse_handles(chain, "lab ipv6-open") == [9]


LINKS = [
    {"ifname": "eth0", "flags": ["UP"], "addr_info": [{"local": "10.0.0.1"}, {"local": "fd00::1", "tentative": True}]},
    {"ifname": "dark", "flags": ["NO-CARRIER", "UP"], "addr_info": [{"local": "fd00::2", "tentative": True}]},
]


def test_an_address_that_is_still_checked_for_duplicates_is_waited_for_unless_its_line_is_dead() -> None:
    assert unsettled({"10.0.0.1", "fd00::1", "fd00::2", "10.9.9.9"}, LINKS) == {"fd00::1", "10.9.9.9"}


def test_the_window_takes_the_next_free_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert window.pick_port(port) != port
        with pytest.raises(LabError, match="name one with --window-port"):
            window.pick_port(port, tries=1)
        assert window.answers(port)
    assert not window.answers(port)


@pytest.mark.parametrize(
    ("verb", "words", "status"),
    [("run", [], 2), ("run", ["host"], 2), ("run", ["host", "--"], 2), ("shell", [], 2), ("run", ["--nme", "x"], 2),
     ("run", ["--help"], 0), ("run", ["--name"], 2)],
)  # fmt: skip
def test_run_says_how_it_is_used(verb: str, words: list[str], status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert access.main(verb, words) == status
    assert "usage: .venv/bin/python -m lab" in capsys.readouterr().err
