"""Kernel settings that stand for many, that a container may not set, and that two roles want differently. What the
kernel makes of them is in test_plugins_parts.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import load

settings, candidate, host_module, parts = (
    load("module_utils", f"wardnet_{name}") for name in ("part_settings", "candidate", "host", "part")
)


def made(root: Path, *steps: dict[str, Any]) -> Any:
    items = [{"role": f"r{number}", "part": "settings", "settings": step} for number, step in enumerate(steps)]
    part = settings.Settings(candidate.read_steps(items), host_module.Host(sysctl=root))
    part.read()
    return part


@pytest.fixture
def sys(tmp_path: Path) -> Path:
    for name, value in {
        "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "2", "net/ipv4/conf/lo/rp_filter": "1",
        "kernel/kptr_restrict": "0",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    return tmp_path


def test_a_star_is_every_port_that_is_there(sys: Path) -> None:
    part = made(sys, {"values": {"net/ipv4/conf/*/rp_filter": "1"}})
    assert part.difference().foreign == ("net/ipv4/conf/all/rp_filter = 0", "net/ipv4/conf/eth0/rp_filter = 2")
    part.apply()
    assert (sys / "net/ipv4/conf/eth0/rp_filter").read_text() == "1\n"
    (sys / "net/ipv4/conf/new0").mkdir()
    (sys / "net/ipv4/conf/new0/rp_filter").write_text("0\n")
    part.verify()
    assert (sys / "net/ipv4/conf/new0/rp_filter").read_text() == "1\n"
    former = next(entry for entry in part.undo() if "net/ipv4/conf/eth0/rp_filter=2" in entry.argv)
    assert not [word for word in former.argv if "*" in word]


def test_a_name_that_is_given_as_it_is_counts_more_than_a_star(sys: Path) -> None:
    values = {"net/ipv4/conf/eth0/rp_filter": "2", "net/ipv4/conf/*/rp_filter": "1"}
    assert made(sys, {"values": values}).difference().foreign == ("net/ipv4/conf/all/rp_filter = 0",)


def test_two_roles_cannot_want_different_values(sys: Path) -> None:
    one, other = ({"values": {"kernel/kptr_restrict": value}} for value in ("1", "2"))
    with pytest.raises(parts.RefusedError, match=r"kptr_restrict is given differently, 1 and 2, the latter by role r1"):
        made(sys, one, other)
    assert made(sys, one, one).difference().foreign == ("kernel/kptr_restrict = 0",)


def test_what_a_container_may_not_set_is_left_if_it_is_optional(sys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run would end else: it differs each time, and nobody can change that."""
    monkeypatch.setattr(os, "access", lambda path, _mode: "kernel" not in str(path))
    values = {"kernel/kptr_restrict": "2", "net/ipv4/conf/lo/rp_filter": "0"}
    part = made(sys, {"values": values, "optional": ["kernel/"]})
    assert part.difference().foreign == ("net/ipv4/conf/lo/rp_filter = 1",)
    part.apply()
    part.verify()
    assert (sys / "kernel/kptr_restrict").read_text() == "0\n"
    assert not [entry for entry in part.undo() if any("kptr" in word for word in entry.argv)], "nor is it taken back"
    assert made(sys, {"values": values}).difference().foreign == ("kernel/kptr_restrict = 0",), "but what must be, must"


def test_what_must_be_and_cannot_be_written_is_refused_before_anything_is_touched(
    sys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = made(sys, {"values": {"kernel/kptr_restrict": "2"}})
    part.judge(sys)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(parts.RefusedError, match=r"kernel/kptr_restrict cannot be written .* nothing was touched"):
        part.judge(sys)
    made(sys, {"values": {"kernel/kptr_restrict": "0"}}).judge(sys)
