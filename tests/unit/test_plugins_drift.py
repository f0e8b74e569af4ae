"""What somebody changed by hand is found beside whatever the inventory has become since the last change."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.namespaces import assert_passes
from tests.unit.plugins_engine import (
    FakeSystemd,
    candidate,
    engine,
    file,
    make_host,
    options,
    step,
)
from tests.unit.plugins_support import load

confirmed = load("module_utils", "wardnet_confirmed")


@pytest.fixture
def host(tmp_path: Path) -> FakeSystemd:
    (tmp_path / "etc").mkdir()
    return make_host(tmp_path)


def converge(host: FakeSystemd, *items: dict[str, Any]) -> None:
    steps = candidate.read_steps(list(items))
    result = engine.commit(host, steps, options())
    if result.get("token"):
        engine.confirm(host, steps, options(), result["token"])
    again = engine.commit(host, steps, options())
    assert (again["changed"], again["drift"]) == (False, [])


def drift(host: FakeSystemd, *items: dict[str, Any]) -> list[tuple[str, str, str]]:
    host.check_mode = True
    try:
        result = engine.commit(host, candidate.read_steps(list(items)), options())
    finally:
        host.check_mode = False
    assert host.warnings == []
    return [(item["part"], item["what"], item["where"]) for item in result["drift"]]


def test_a_rule_by_hand_and_lines_that_moved() -> None:
    name = "drift_is_found_whatever_the_inventory_says_by_now"
    assert_passes("drift_namespace", name, seconds=300)


def plain(folder: Path, **contents: str) -> dict[str, Any]:
    owner = file(folder, "")
    directory = {"path": str(folder / "etc"), "purge": ["*"], "mode": "0755"}
    directory |= {key: owner[key] for key in ("owner", "group")}
    files = [file(folder / "etc" / name, text) for name, text in contents.items() if name != "secret"]
    if "secret" in contents:
        files.append(file(folder / "etc" / "secret", contents["secret"], secret=True, mode="0600"))
    return {"role": "b_role", "part": "files", "files": files, "directories": [directory]}


def test_nothing_is_drift_that_the_inventory_alone_has_changed(tmp_path: Path, host: FakeSystemd) -> None:
    converge(host, step(tmp_path), plain(tmp_path, a="# line 1\na", secret="old"))
    assert drift(host, step(tmp_path, wanted="newer"), plain(tmp_path, a="# line 2\na", b="b", secret="new")) == []
    assert drift(host, step(tmp_path, wanted="newer"), plain(tmp_path)) == []
    assert drift(host, step(tmp_path), plain(tmp_path), {"role": "c_role", "part": "files"}) == []


def test_what_was_changed_by_hand_is_found_beside_it(tmp_path: Path, host: FakeSystemd) -> None:
    converge(host, step(tmp_path), plain(tmp_path, a="# line 1\na", secret="old"))
    (tmp_path / "running-shaping").write_text("by hand")
    for name in ("a", "secret", "foreign"):
        (tmp_path / "etc" / name).write_text("by hand")
    moved = (step(tmp_path, arguments={"source": "x.yml:2"}), plain(tmp_path, a="# line 2\na", secret="old"))
    files = [("files", f"{tmp_path}/etc/{name} ({kind})", "disk") for name, kind in (
        ("foreign", "remove"), ("a", "write"), ("secret", "write"),
    )]  # fmt: skip
    running = [("shaping", f"{what}", "running") for what in ("missing: new", "foreign: by hand")]
    assert sorted(drift(host, *moved)) == sorted([*files, *running])
    converge(host, *moved)


def test_a_change_that_was_cut_off_is_no_drift(tmp_path: Path, host: FakeSystemd) -> None:
    """Its files are on the disk and are not remembered yet."""
    converge(host, plain(tmp_path, a="old", b="old"))
    (tmp_path / "etc" / "a").write_text("new")
    assert drift(host, plain(tmp_path, a="new", b="new")) == []


def test_secrets_are_not_kept(tmp_path: Path, host: FakeSystemd) -> None:
    converge(host, plain(tmp_path, a="a", secret="a word that is kept nowhere else"))
    record = host.state / confirmed.CONFIRMED
    assert "kept nowhere else" not in record.read_text()
    assert record.stat().st_mode & 0o777 == 0o600


def test_a_record_of_an_earlier_wardnet(tmp_path: Path, host: FakeSystemd) -> None:
    items = (step(tmp_path), plain(tmp_path, a="a"))
    converge(host, *items)
    record = host.state / confirmed.CONFIRMED
    kept = json.loads(record.read_text())
    without = {key: value for key, value in kept.items() if key != "candidates"}
    record.write_text(json.dumps(without))
    (tmp_path / "etc" / "a").write_text("by hand")
    assert drift(host, *items) == [("files", f"{tmp_path}/etc/a (write)", "disk")]
    assert drift(host, step(tmp_path, wanted="newer"), items[1]) == [("files", f"{tmp_path}/etc/a (write)", "disk")]
    kept["candidates"]["b_role/files/1"]["step"]["files"] = [{"unknown": "shape"}]
    record.write_text(json.dumps(kept))
    with pytest.raises(AssertionError, match="cannot be told"):
        drift(host, plain(tmp_path, a="newer"))


def brought(folder: Path, *names: str, role: str = "c_role", **contents: str) -> dict[str, Any]:
    """A step of another role that brings files, and a secret one."""
    files = [file(folder / "etc" / name, text) for name, text in contents.items()]
    files += [file(folder / "etc" / name, "a secret of it", secret=True) for name in names]
    return {"role": role, "part": "files", "files": files}


def test_a_part_of_the_roles_takes_nothing_of_the_others_away(tmp_path: Path, host: FakeSystemd) -> None:
    """As audit.yml alone does, which answers for a folder that another role has a file in."""
    whole = (plain(tmp_path, a="a"), brought(tmp_path, "hidden", b="b"))
    converge(host, *whole)
    (tmp_path / "etc" / "foreign").write_text("by hand")
    alone = candidate.read_steps([plain(tmp_path, a="a")])
    result = engine.commit(host, alone, options(partial=True))
    assert result["changed_paths"] == [f"{tmp_path}/etc/foreign"], "what nobody brought goes all the same"
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["a", "b", "hidden"]
    newer = candidate.read_steps([plain(tmp_path, a="newer")])
    assert engine.commit(host, newer, options(partial=True))["drift"] == []
    again = engine.commit(host, candidate.read_steps([plain(tmp_path, a="newer"), whole[1]]), options())
    assert (again["changed"], again["drift"]) == (False, [])


def test_what_a_role_of_the_part_has_dropped_goes(tmp_path: Path, host: FakeSystemd) -> None:
    converge(host, plain(tmp_path, a="a", b="b"), brought(tmp_path, c="c"))
    result = engine.commit(host, candidate.read_steps([plain(tmp_path, a="a")]), options(partial=True))
    assert result["changed_paths"] == [f"{tmp_path}/etc/b"]


def test_all_roles_take_away_what_one_brought_that_is_none_of_them_any_more(tmp_path: Path, host: FakeSystemd) -> None:
    converge(host, plain(tmp_path, a="a"), brought(tmp_path, b="b"))
    result = engine.commit(host, candidate.read_steps([plain(tmp_path, a="a")]), options())
    assert result["changed_paths"] == [f"{tmp_path}/etc/b"]
