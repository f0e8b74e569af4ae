"""What stands before saned on a box: who asks how the scanner is hears that somebody scans with it."""

from __future__ import annotations

import importlib.util
import os
import socket
import threading
from pathlib import Path
from types import ModuleType

import pytest

from exporters import escl
from tests.unit.plugins_support import ROOT

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid
   0: 00000000:19A6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0
   1: 1500140A:19A6 0B00140A:D431 01 00000000:00000000 00:00000000 00000000   110
"""
LISTENING = "   2: 00000000:19A7 00000000:0000 0A 00000000:00000000 00:00000000 00000000   110\n"
SENDING = "   2: 1500140A:19A8 0B00140A:D433 01 00000000:00000000 00:00000000 00000000   110\n"
READ_ONLY = "   2: 1500140A:19A7 0B00140A:D433 08 00000000:00000001 00:00000000 00000000   110\n"
ENDED = "   2: 1500140A:19A7 0B00140A:D433 06 00000000:00000000 00:00000000 00000000     0\n"
PAGES = (6567, 6574)


@pytest.fixture(scope="module")
def before() -> ModuleType:
    spec = importlib.util.spec_from_file_location("saned_or_busy", ROOT / "roles/scanner/files/saned-or-busy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("more", "sends"), [("", False), (LISTENING, True), (SENDING, True), (READ_ONLY, True), (ENDED, False)]
)
def test_a_page_is_told_from_talks_alone(before: ModuleType, more: str, sends: bool) -> None:
    assert before.sends_a_page(TABLE + more, *PAGES) is sends


def process(folder: Path, number: int, name: str, *opened: str) -> None:
    at = folder / str(number)
    (at / "fd").mkdir(parents=True)
    (at / "comm").write_text(f"{name}\n")
    for place, path in enumerate(opened):
        (at / "fd" / str(place)).symlink_to(path)


def test_a_scanner_that_another_saned_has_open(before: ModuleType, tmp_path: Path) -> None:
    process(tmp_path, 10, "saned", "socket:[11]", "/var/log/saned.log")
    process(tmp_path, 11, "cat", "/dev/bus/usb/001/004")
    process(tmp_path, os.getpid(), "saned", "/dev/bus/usb/001/004")
    assert not before.has_a_scanner_open(tmp_path)
    process(tmp_path, 12, "saned", "socket:[12]", "/dev/bus/usb/001/004")
    assert before.has_a_scanner_open(tmp_path)


def test_it_asks_by_the_greeting_of_the_agents_and_the_command(before: ModuleType) -> None:
    assert escl.SaneTalk().question == before.QUESTION
    for said, expected in (
        (before.QUESTION, True),
        (before.QUESTION[:12] + b"root\0xyz", False),
        (b"GET / HTTP", False),
    ):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            theirs.sendall(said[:5])
            late = threading.Timer(0.1, theirs.sendall, [said[5:]])
            late.start()
            assert before.asks(ours) is expected
            late.join()
            assert ours.getblocking(), "saned gets it as it was"
            assert ours.recv(64) == said, "and all that was said"


def test_the_answer_is_one_that_is_read_as_busy(before: ModuleType) -> None:
    ours, theirs = socket.socketpair()
    talk = escl.SaneTalk()
    with ours, theirs:
        theirs.sendall(talk.question)
        answering = threading.Thread(target=before.answer, args=(ours,))
        answering.start()
        while talk.state is None:
            theirs.sendall(talk.feed(theirs.recv(64)))
        answering.join()
    assert talk.state == escl.BUSY
