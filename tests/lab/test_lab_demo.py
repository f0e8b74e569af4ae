"""The demo, whole: it shows all that it set out to show, or says what it missed and ends with an error."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from lab.demo.claims import Claims
from tests.lab.lab_support import CHECKOUT, LABS, lab_command


def told(claims: Claims) -> list[str]:
    text = io.StringIO()
    claims.tell(Console(file=text, width=40))
    return text.getvalue().splitlines()


def test_a_claim_is_missed_until_it_was_seen() -> None:
    claims = Claims()
    claims.declare("first", "the first thing", "more than 1", "see the first again")
    claims.declare("second", "the second thing", "less than 1", "see the second")
    claims["first"].settle(True, "2")
    assert not claims.all_shown
    assert told(claims) == [
        "SHOWN  the first thing: 2 (had to be: more than 1)",
        "       see the first again",
        "MISSED the second thing: not reached (had to be: less than 1)",
        "       see the second",
    ]
    claims["second"].settle(True, "0")
    assert claims.all_shown


@pytest.mark.lab
def test_a_demo_that_cannot_begin_says_what_was_missed_and_ends_with_an_error() -> None:
    """Nine wards are more than the district has."""
    argv = [sys.executable, "-m", "lab.demo", "--name", f"{LABS}-demo", "--wards", "9"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=120)
    assert done.returncode == 1
    assert "has 8 wards" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.lab
@pytest.mark.slow
def test_the_whole_demo_shows_everything() -> None:
    argv = [sys.executable, "-m", "lab.demo", "--name", f"{LABS}-demo", "--wards", "2"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=850)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("SHOWN", "MISSED"))]
    assert [line for line in lines if line.startswith("MISSED")] == [], done.stdout
    assert done.returncode == 0
    assert len(lines) >= 13


@pytest.mark.lab
@pytest.mark.slow
def test_all_wards_come_up_twice_in_a_row_and_leave_nothing() -> None:
    name = f"{LABS}-eight"
    try:
        first = lab_command("up", "--name", name, "--wards", "8")
        assert first.returncode == 0, first.stderr
        again = lab_command("up", "--name", name, "--wards", "8")
        assert again.returncode == 0, again.stderr
        assert "was up already" in again.stdout
    finally:
        down = lab_command("down", "--name", name)
    assert down.returncode == 0, down.stderr
    namespaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert name not in namespaces
