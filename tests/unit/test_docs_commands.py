"""Every command that a document tells a person to type exists, with the options that it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lab.cli import app as lab_app
from wardnet.cli.main import build

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "README.vi.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def typed(page: Path) -> Iterator[list[str]]:
    """The words of each command line in the page's blocks; a line that goes on with a backslash is one."""
    for block in re.findall(r"(?ms)^ *```(?:console|sh|bash)?\n(.*?)^ *```", page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            command = re.sub(r"^\s*[$#]\s+(?:[A-Z_]+=\S+ )*", "", line)
            if re.match(r"(\S*/)?(wardnet|python3?|make|ansible-playbook)\s", command):
                yield shlex.split(re.split(r"\s{2,}", command)[0])  # what stands behind is explanation


def commands_of(app: typer.Typer) -> dict[str, Any]:
    group: Any = typer.main.get_command(app)  # typer brings a click of its own
    return dict(group.commands)


def check_options(command: Any, words: list[str], line: list[str]) -> None:
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    for word in words:
        if word == "--" or word.startswith(("|", ">", ";", "&")):
            return
        if word.startswith("-"):
            assert word.split("=")[0] in known | {"--help"}, f"{command.name} has no {word}: {shlex.join(line)}"


@EACH_PAGE
def test_commands_in_documents_exist(page: Path) -> None:
    lab, wardnet = commands_of(lab_app), commands_of(build([]))
    for line in typed(page):
        words = list(line)
        while words:
            program = words.pop(0).rsplit("/", 1)[-1]
            if program == "wardnet" and words and not words[0].startswith("-"):
                assert words[0] in wardnet, shlex.join(line)
                command, rest = wardnet[words[0]], words[1:]
                while rest and rest[0] in getattr(command, "commands", {}):
                    command, rest = command.commands[rest[0]], rest[1:]
                check_options(command, rest, line)
            elif program in ("python", "python3") and words[:2] == ["-m", "lab"] and len(words) > 2:
                assert words[2] in lab, shlex.join(line)
                if words[2] not in ("run", "shell"):  # these take a command of their own
                    check_options(lab[words[2]], words[3:], line)


@EACH_PAGE
def test_make_targets_in_documents_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    text = page.read_text()
    named = {
        word
        for words in re.findall(r"(?m)(?:`|^[#$] |^)make ((?:[a-zA-Z=0-9-]+ ?)+)", text)
        for word in words.split()
        if "=" not in word
    }
    assert named <= targets


@EACH_PAGE
def test_playbooks_in_documents_exist(page: Path) -> None:
    for name in re.findall(r"\bplaybooks/[a-z_/]+\.yml", page.read_text()):
        assert (ROOT / name).is_file(), name


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "how-to").glob("*.md")), ids=lambda page: page.name)
def test_whoever_sets_pcs_up_is_told_to_give_what_the_site_decides(page: Path) -> None:
    """Without it there is no mirror that packages come from, and no password of an account."""
    for line in typed(page):
        if "playbooks/wards.yml" in line:
            assert {"@/etc/wardnet/site.yml", "@/etc/wardnet/secrets.yml"} <= set(line), shlex.join(line)


@pytest.mark.parametrize("page", ["README.md", "README.vi.md"])
def test_the_readme_names_every_debian_package_that_is_installed(page: str) -> None:
    packages = [
        line.strip()
        for line in (ROOT / "lab" / "packages.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    text = (ROOT / page).read_text()
    assert [package for package in packages if not re.search(rf"(?<![\w-]){re.escape(package)}(?![\w-])", text)] == []
