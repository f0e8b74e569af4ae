"""A bundle of files is compared, staged and put in place as one, and owns its directories."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

bundle = load("module_utils", "wardnet_bundle")
ME = {"owner": pwd.getpwuid(os.getuid()).pw_name, "group": grp.getgrgid(os.getgid()).gr_name}


def made(files: list[dict[str, Any]], directories: list[dict[str, Any]] | None = None, **options: Any) -> Any:
    return bundle.read_bundle(
        [{**ME, **item} for item in files], [{**ME, **item} for item in directories or []], **options
    )


def install(thing: Any) -> list[tuple[str, str]]:
    changes = thing.changes()
    thing.install(changes)
    return [(change.kind, change.path.name) for change in changes]


def test_files_links_and_rights_are_made_once(tmp_path: Path) -> None:
    thing = made(
        [
            {"path": f"{tmp_path}/deep/er/a.conf", "content": "một\n", "mode": "0640"},
            {"path": f"{tmp_path}/link", "link": "deep/er/a.conf"},
        ],
        [{"path": f"{tmp_path}/empty", "mode": "0750"}],
    )
    assert install(thing) == [("directory", "empty"), ("write", "a.conf"), ("link", "link")]
    assert (tmp_path / "link").read_text() == "một\n"
    assert (tmp_path / "deep/er/a.conf").stat().st_mode & 0o7777 == 0o640
    assert (tmp_path / "empty").stat().st_mode & 0o7777 == 0o750
    assert thing.changes() == []
    assert [path.name for path in tmp_path.rglob(".wardnet-*")] == []


def test_drift_in_content_rights_and_kind_is_healed(tmp_path: Path) -> None:
    thing = made([{"path": f"{tmp_path}/{name}", "content": f"{name}\n"} for name in "abc"])
    install(thing)
    (tmp_path / "a").write_text("else\n")
    (tmp_path / "b").chmod(0o777)
    (tmp_path / "c").unlink()
    (tmp_path / "c").symlink_to("a")
    changes = {change.path.name: change for change in thing.changes()}
    assert {name: change.kind for name, change in changes.items()} == {"a": "write", "b": "mode", "c": "write"}
    assert changes["a"].as_diff()["before"] == "else\n"
    thing.install(list(changes.values()))
    assert thing.changes() == []
    assert (tmp_path / "a").read_text() == "a\n"
    assert not (tmp_path / "c").is_symlink()


def test_owned_directories_lose_what_the_bundle_does_not_hold(tmp_path: Path) -> None:
    for name in (
        "05-bootstrap-wan0.network",
        "99-default.link",
        "10-wardnet-wan-old.network",
        "10-wardnet-internet-x.network",
    ):
        (tmp_path / name).write_text("x")
    (tmp_path / "00-folder.network").mkdir()
    thing = made(
        [{"path": f"{tmp_path}/10-wardnet-wan-wan0.network", "content": "new\n"}],
        [{"path": str(tmp_path), "mode": "0755", "purge": ["*.network", "!10-wardnet-*", "10-wardnet-wan-*"]}],
    )
    tmp_path.chmod(0o755)
    install(thing)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "00-folder.network",
        "10-wardnet-internet-x.network",
        "10-wardnet-wan-wan0.network",
        "99-default.link",
    ]


def test_files_in_folders_are_purged_where_a_pattern_names_the_folder(tmp_path: Path) -> None:
    """systemd reads NAME.network.d/*.conf with NAME.network, as if it stood there."""
    for name in (
        "10-wardnet-wan-wan0.network.d/mine.conf",
        "10-wardnet-wan-wan0.network.d/ours.conf",
        "50-x.network.d/x.conf",
        "50-x.network.d/deeper/x",
        "10-wardnet-lo.network.d/internet.conf",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    purge = ["*.network", "*.network.d/", "!10-wardnet-*", "!10-wardnet-*/", "10-wardnet-wan-*", "10-wardnet-wan-*/"]
    thing = made(
        [{"path": f"{tmp_path}/10-wardnet-wan-wan0.network.d/ours.conf", "content": "ours\n"}],
        [{"path": str(tmp_path), "mode": "0755", "purge": purge}],
    )
    tmp_path.chmod(0o755)
    install(thing)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not path.is_dir()) == [
        "10-wardnet-lo.network.d/internet.conf",
        "10-wardnet-wan-wan0.network.d/ours.conf",
        "50-x.network.d/deeper/x",
    ]


def test_nothing_is_put_in_place_unless_all_can_be_staged(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old\n")
    (tmp_path / "blocked").write_text("a file where a folder is needed")
    thing = made(
        [
            {"path": f"{tmp_path}/a", "content": "new\n"},
            {"path": f"{tmp_path}/blocked/b", "content": "new\n"},
        ]
    )
    changes = thing.changes()
    with pytest.raises(OSError, match="blocked"):
        thing.install(changes)
    assert (tmp_path / "a").read_text() == "old\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "blocked"]


def test_an_unknown_owner_is_an_error_in_earnest_and_a_change_in_check_mode(tmp_path: Path) -> None:
    files = [{"path": f"{tmp_path}/a", "content": "x", "owner": "no-such-user-here"}]
    (tmp_path / "a").write_text("x")
    with pytest.raises(bundle.BundleError, match="no such owner or group on this host: no-such-user-here"):
        made(files).changes()
    assert [change.kind for change in made(files, lenient=True).changes()] == ["mode"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([{"path": "etc/a", "content": ""}], "not a plain absolute path: etc/a"),
        ([{"path": "/etc/../a", "content": ""}], "not a plain absolute path: /etc/../a"),
        ([{"path": "/a", "content": ""}, {"path": "/a", "content": ""}], "given more than once: /a"),
        ([{"path": "/a"}], "/a: exactly one of content and link is needed"),
        ([{"path": "/a", "content": "", "link": "b"}], "/a: exactly one of content and link is needed"),
        ([{"path": "/a", "content": "", "mode": "rw"}], "not an octal mode: rw"),
    ],
)
def test_wrong_arguments_are_named(files: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(bundle.BundleError, match=message.replace(".", r"\.")):
        made(files)


def test_a_directory_in_the_way_of_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(bundle.BundleError, match="is in the way: it is a directory"):
        made([{"path": f"{tmp_path}/a", "content": "x"}]).changes()


def test_a_line_of_the_inventory_that_moved_is_no_news_to_units(tmp_path: Path) -> None:
    """Else a comment in the inventory would start services again, and dialled lines."""
    path = tmp_path / "x.service"
    text = "# Kept by wardnet, from district.yml:{}: lan0.\n[Service]\nEnvironment=A=a.yml:{}\n"
    path.write_text(text.format(7, 1))
    path.chmod(0o644)
    os.utime(path, (1_000_000_000, 1_000_000_000))
    for line, value, quiet in ((8, 1, True), (9, 2, False)):
        thing = made([{"path": str(path), "content": text.format(line, value)}])
        (change,) = thing.changes()
        assert (change.kind, change.quiet) == ("write", quiet)
        thing.install([change])
        assert path.read_text() == text.format(line, value)
        assert (path.stat().st_mtime == 1_000_000_000) is quiet
        assert thing.changes() == []
    fresh = made([{"path": f"{tmp_path}/new", "content": "# Kept by wardnet, from district.yml:1.\n"}])
    assert install(fresh) == [("write", "new")]
    assert (tmp_path / "new").stat().st_mtime > 1_000_000_000


def test_what_is_kept_from_others_is_not_shown_when_it_goes(tmp_path: Path) -> None:
    """As a WireGuard device of somebody's with its private key."""
    for name, mode in (("a.netdev", 0o640), ("b.netdev", 0o644)):
        (tmp_path / name).write_text(f"PrivateKey={name}\n")
        (tmp_path / name).chmod(mode)
    gone = bundle.read_bundle([], [{"path": str(tmp_path), "purge": ["*.netdev"], "lent": True}]).changes()
    assert [change.before for change in gone] == ["its content is not for everybody\n", "PrivateKey=b.netdev\n"]
