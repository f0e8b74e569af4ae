"""Reasons are told in the reader's language, and the templates are what hosts and plugins really say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.unit.plugins_support import load
from wardnet.locale import _
from wardnet.runs.reasons import TEMPLATES, in_words

PLUGINS = Path(__file__).parents[2] / "plugins"
ANSIBLES_OWN = "Failed to connect to the host via ssh: {said}"
HELD = "{who} is at work here since {when} (run {run}): nothing was touched"  # put together; see below


def said_by_plugins() -> set[str]:
    """Every literal piece of text in the plugins, f-strings in pieces."""
    return {
        node.value
        for path in PLUGINS.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_each_template_is_said_somewhere() -> None:
    said = said_by_plugins()
    for template in TEMPLATES:
        pieces = [piece.strip(" :()") for piece in re.split(r"\{\w+\}", template)]
        for piece in pieces if template not in (ANSIBLES_OWN, HELD) else ():
            assert any(piece in text for text in said), template


def test_whoever_comes_second_is_told_in_a_known_sentence() -> None:
    transaction = load("module_utils", "wardnet_transaction")
    held, _record = transaction._held({"who": "lan@controller", "run": "R", "since": "T"}, "is at work here")
    assert held == HELD.format(who="lan@controller", when="T", run="R")
    assert HELD in TEMPLATES


def test_what_is_known_is_told_in_vietnamese_and_the_hosts_values_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDNET_LANG", "vi")
    cut = "the change cut the connection that made it (nobody confirmed the change)"
    assert in_words(cut) != cut
    assert _("nobody confirmed the change") in in_words(cut)
    assert "nobody" not in in_words(cut)
    lines = in_words("no longer answered: internet 203.0.113.9, wan 10.20.200.10")
    assert "internet 203.0.113.9, wan 10.20.200.10" in lines
    assert in_words("Error: syntax error, {unexpected}") == "Error: syntax error, {unexpected}"


def test_in_english_a_reason_is_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WARDNET_LANG", "en")
    for template in TEMPLATES:
        said = re.sub(r"\{\w+\}", "a {b} c", template)
        assert in_words(said) == said
