"""wardnet install-media: which hosts a medium installs, and what is on it."""

from __future__ import annotations

import io
import json
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from jinja2 import Environment
from typer.testing import CliRunner, Result

from tests.unit.compile_support import INVENTORY, sample, sample_plan
from tests.unit.install_support import CHECKSUM, CITIZEN_MAC, CLERK_MAC, KEY, SIGNERS, of, wishes
from tests.unit.plugins_support import load
from wardnet.cli.main import build
from wardnet.media import Entry, MediaError, Wishes, grub_menu, host_files, installations, ipxe_script, medium_files
from wardnet.media.archive import write_archive
from wardnet.media.base import Recipe, customization
from wardnet.media.believed import is_folder, is_package, says_who_signs
from wardnet.media.menus import ERASE
from wardnet.media.readme import readme

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parents[1] / "golden" / "install_media"
PCS = ("buoi-pc-1", "buoi-building-citizen-1")


def text(entry: Entry) -> str:
    assert isinstance(entry.content, bytes)
    return entry.content.decode()


def asked(*words: str) -> Result:
    return CliRunner().invoke(build(["install-media"]), ["install-media", *words, "-i", str(INVENTORY)])


def unpacked(archive: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Name, mode and content of each member, read as the kernel reads it."""
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        begin = (at + 110 + length + 3) & ~3
        if name == "TRAILER!!!":
            return
        yield name, fields[1], archive[begin : begin + size]
        at = (begin + size + 3) & ~3


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("buoi-pc-2", "wards/buoi.yml:63: buoi-pc-2 has no 'mac'"),
        ("nhat-tan-pc-3", "wards/nhat-tan.yml:66: nhat-tan-pc-3 has Windows, which is set up by hand"),
        ("buoi-scanner-1", "wards/buoi.yml:73: buoi-scanner-1 is not installed from here: a device with firmware"),
        ("buoi-gw", "buoi-gw is a gateway, of which the inventory knows no hardware address"),
        ("buoi-sw", "buoi-sw is a switch, no PC"),
        ("buoi-pc1", "no host 'buoi-pc1' in the inventory (did you mean 'buoi-pc-1'?)"),
        ("xyz", "no host 'xyz' in the inventory (see wardnet check)"),
    ],
)
def test_what_cannot_be_installed_is_refused_by_name(host: str, why: str) -> None:
    with pytest.raises(MediaError) as error:
        installations(sample(), sample_plan(), (host,))
    assert why in str(error.value)


def test_all_hosts_that_cannot_be_installed_are_named_at_once() -> None:
    done = asked("buoi-pc-2", "buoi-gw", "-o", "x.iso")
    assert done.exit_code == 2
    assert "buoi-pc-2 has no 'mac'" in done.output
    assert "buoi-gw is a gateway" in done.output


def test_a_host_that_is_pushed_has_its_address_name_and_the_controllers_key(tmp_path: Path) -> None:
    (clerk,) = of("buoi-pc-1")
    found = host_files(clerk, wishes(tmp_path))
    assert text(found["/etc/hostname"]) == "buoi-pc-1\n"
    assert "127.0.1.1 buoi-pc-1.tayho.example buoi-pc-1\n" in text(found["/etc/hosts"])
    unit = text(found["/etc/systemd/network/05-bootstrap-eth0.network"])
    assert "Address=10.20.1.11/24\nAddress=fd20:20:1::11/64\nGateway=10.20.1.1\nGateway=fd20:20:1::1\n" in unit
    assert f"PermanentMACAddress={CLERK_MAC}\n" in text(found["/etc/systemd/network/05-port-eth0.link"])
    assert "nameserver 10.20.1.1\n" in text(found["/etc/resolv.conf"])
    clock = text(found["/etc/systemd/timesyncd.conf.d/50-wardnet.conf"])
    assert "\nNTP=10.20.1.1 fd20:20:1::1\n" in clock
    keys = found["/home/wardnet/.ssh/authorized_keys"]
    assert (text(keys), keys.mode) == (f"{KEY}\n", 0o600)
    assert not any("pull" in path for path in found)


def test_a_host_that_pulls_knows_where_from_and_lets_nobody_in(tmp_path: Path) -> None:
    (citizen,) = of("buoi-building-citizen-1")
    found = host_files(citizen, wishes(tmp_path))
    assert json.loads(text(found["/etc/wardnet/pull.json"])) == {
        "url": "https://mirror.example/bundles/",
        "host": "buoi-building-citizen-1",
        "signers": "/etc/wardnet/pull-signers",
        "ca": "/usr/local/share/ca-certificates/wardnet-mirror.crt",
    }
    assert text(found["/etc/wardnet/pull-signers"]) == SIGNERS
    assert found["/usr/local/lib/wardnet-install/wardnet-pull_1_all.deb"].content == tmp_path / "wardnet-pull_1_all.deb"
    assert not any("authorized_keys" in path for path in found)
    clock = text(found["/etc/systemd/timesyncd.conf.d/50-wardnet.conf"])
    assert "\nNTP=203.0.113.53 2001:db8:cafe::53\n" in clock, "no certificate is believed by a clock that stood still"


def test_the_clock_is_set_as_the_role_has_it_and_is_no_drift(tmp_path: Path) -> None:
    template = ROOT / "roles/time_client/templates/etc/systemd/timesyncd.conf.d/50-wardnet.conf.j2"
    (clerk,) = of("buoi-pc-1")
    sources = [str(address) for address in clerk.host.time_sources]
    ansible = Environment(keep_trailing_newline=True)  # noqa: S701 - no page
    made = ansible.from_string(template.read_text()).render(time_client_sources=sources)
    assert made == text(host_files(clerk, wishes(tmp_path))["/etc/systemd/timesyncd.conf.d/50-wardnet.conf"])
    assert "systemd-timesyncd" in Recipe("bookworm", "", deb822=True).packages


def test_a_host_that_pulls_is_refused_without_a_place_to_pull_from() -> None:
    with pytest.raises(MediaError, match=r"wards/buoi.yml:\d+: buoi-building-citizen-1 has only the internet"):
        medium_files(of(*PCS), Wishes(keys=(KEY,)), CHECKSUM)


def test_a_medium_holds_each_pc_under_its_address_and_no_secret(tmp_path: Path) -> None:
    entries = medium_files(of(*PCS), wishes(tmp_path), CHECKSUM)
    names = {text(entries[f"/wardnet/hosts/{mac.replace(':', '-')}/name"]) for mac in (CLERK_MAC, CITIZEN_MAC)}
    assert names == {"buoi-pc-1\n", "buoi-building-citizen-1\n"}
    everything = b"".join(entry.content for entry in entries.values() if isinstance(entry.content, bytes))
    assert b"PRIVATE KEY" not in everything
    assert b"password" not in everything.lower().replace(b"passwordauthentication", b"")


def test_no_account_of_the_base_system_has_a_password_and_no_host_key_is_shared() -> None:
    script = customization()
    assert "usermod --password '*'" in script
    assert "PasswordAuthentication no" in script
    assert "rm -f /etc/ssh/ssh_host_*" in script


def test_what_the_base_system_leaves_out_the_roles_packages_bring(tmp_path: Path) -> None:
    """mmdebstrap writes what it is told of dpkg and APT to the system for good: PCs would have no Vietnamese texts."""
    for file in ("etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/kept"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    removing = [line for line in customization().splitlines() if "99mmdebstrap" in line]
    script = "\n".join(removing).replace(" /", f" {tmp_path}/")
    subprocess.run(["sh", "-eu", "-c", script], check=True)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["kept"]


def test_archives_hold_what_was_put_in_and_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 100_001)
    entries = {"/a/b/deep": Entry(b"#!/bin/sh\n", 0o755), "/a/large": Entry(large), "/top": Entry(b"")}
    made = []
    for _time in range(2):
        out = io.BytesIO()
        write_archive(out, entries)
        made.append(out.getvalue())
    assert made[0] == made[1]
    found = list(unpacked(made[0]))
    assert [name for name, _mode, _content in found] == ["a", "a/b", "a/b/deep", "a/large", "top"]
    assert [stat.S_ISDIR(mode) for _name, mode, _content in found] == [True, True, False, False, False]
    assert stat.S_IMODE(found[2][1]) == 0o755
    assert found[3][2] == b"x" * 100_001


def test_nothing_erases_unless_it_is_chosen() -> None:
    menu = grub_menu(of(*PCS), "")
    assert "set default=0\n" in menu
    first, second = menu.split("menuentry")[1:]
    assert ERASE not in first
    assert ERASE in second
    assert "--default empty" in ipxe_script(of(*PCS), "")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("grub.cfg", lambda: grub_menu(of(*PCS), "console=ttyS0")),
        ("boot.ipxe", lambda: ipxe_script(of(*PCS), "console=ttyS0")),
        ("README.txt", lambda: readme(of(*PCS))),
    ],
)
def test_texts_are_as_they_were_decided(name: str, made: object) -> None:
    assert callable(made)
    assert made() == (GOLDEN / name).read_text(encoding="utf-8")


def test_the_scripts_are_shell(tmp_path: Path) -> None:
    entries = medium_files(of(*PCS), wishes(tmp_path), CHECKSUM)
    scripts = [text(entries["/wardnet/install"]), text(entries["/scripts/wardnet"]), customization()]
    scripts += [text(entry) for path, entry in entries.items() if path.endswith("/finish")]
    for script in scripts:
        subprocess.run(["sh", "-n"], input=script, text=True, check=True)


def test_the_base_system_is_another_where_its_recipe_is() -> None:
    recipes = [
        Recipe("bookworm", "deb http://a.example bookworm main\n", False),
        Recipe("trixie", "deb http://a.example bookworm main\n", False),
        Recipe("bookworm", "deb http://b.example bookworm main\n", False),
        Recipe("bookworm", "deb http://a.example bookworm main\n", False, ("firmware-realtek",)),
    ]
    assert len({recipe.key for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--append", "console=ttyS0; rm"], "--append: 'console=ttyS0; rm' is not understood"),
        (["--disk", "/dev/sda"], "--disk: '/dev/sda' is not understood"),
        (["--include", "--force"], "--include: '--force' is not understood"),
    ],
)
def test_options_that_are_not_understood_are_said(words: list[str], said: str) -> None:
    done = asked("buoi-pc-1", "-o", "x.iso", *words)
    assert (done.exit_code, said in done.output.replace("\n", " ")) == (2, True), done.output


MINE = " ".join(KEY.split()[:2])


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (SIGNERS, True),
        (f"# who signs\n\npublisher {MINE} a comment\n", True),
        (f'publisher namespaces="wardnet-*",valid-before="20300101" {MINE}\n', True),
        (f'"a b" namespaces="file,wardnet-bundle" {MINE}\n', True),
        (f"{KEY}\n", False),  # the .pub itself, which ssh-keygen does not take
        (f'publisher namespaces="git" {MINE}\n', False),
        (f'publisher namespace="wardnet-bundle" {MINE}\n', False),
        (f"publisher ssh-rsa {MINE.split()[1]}\n", False),
        ("publisher ssh-ed25519 AAAA\n", False),
        (f"{SIGNERS}{KEY}\n", False),
        ("# nobody\n", False),
        ("", False),
    ],
)
def test_who_signs_is_read_as_the_host_will_read_it(text: str, right: bool) -> None:
    assert says_who_signs(text) is right


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("https://mirror.example/", True),
        ("https://mirror.example:8443/a/b", True),
        ("http://mirror.example/", False),
        ("https://user:secret@mirror.example/", False),
        ("https://mirror.example/?x", False),
        ("https://mirror.example/#x", False),
        ("https://mirror.example:x/", False),
        ("https://", False),
    ],
)
def test_the_mirror_is_one_that_the_host_will_ask(url: str, right: bool) -> None:
    assert is_folder(url) is right
    server = load("module_utils", "wardnet_fetch").Server
    if right:
        server(url)


def test_a_package_is_the_one_that_pulls(tmp_path: Path) -> None:
    (tmp_path / "empty.deb").touch()
    assert not is_package(tmp_path / "empty.deb")
    for name in ("wardnet-pull", "wardnet-agent"):
        control = tmp_path / name / "DEBIAN" / "control"
        control.parent.mkdir(parents=True)
        words = {"Package": name, "Version": "1", "Architecture": "all", "Maintainer": "x <x@x.example>"}
        control.write_text("".join(f"{key}: {value}\n" for key, value in words.items()) + "Description: x\n")
        built = tmp_path / f"{name}.deb"
        subprocess.run(["dpkg-deb", "--build", tmp_path / name, built], check=True, capture_output=True)
        assert is_package(built) is (name == "wardnet-pull")


def test_signers_that_no_host_would_believe_are_refused_with_what_is_meant(tmp_path: Path) -> None:
    (tmp_path / "publisher.pub").write_text(f"{KEY}\n")
    inventory = Path(shutil.copytree(INVENTORY, tmp_path / "inventory"))
    ward = inventory / "wards" / "buoi.yml"
    known = 'ipv6: "2001:db8:20:101::11"}'
    ward.write_text(ward.read_text().replace(known, f'{known[:-1]}, mac: "{CITIZEN_MAC}"}}'))
    words = ["install-media", "buoi-building-citizen-1", "-o", str(tmp_path / "x.iso"), "-i", str(inventory)]
    words += ["--pull-url", "https://mirror.example/", "--signers", str(tmp_path / "publisher.pub")]
    done = CliRunner().invoke(build(["install-media"]), words)
    assert done.exit_code == 2, done.output
    said = " ".join((done.stdout + done.stderr).split())
    assert "does not say who may sign" in said
    assert 'publisher namespaces="wardnet-bundle" ssh-ed25519 AAAA...' in said


def test_a_pushed_host_needs_a_key(tmp_path: Path) -> None:
    (clerk,) = of("buoi-pc-1")
    with pytest.raises(MediaError, match="which key may log in"):
        host_files(clerk, Wishes())
