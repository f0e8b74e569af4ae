"""wardnet-scan-check, as it is installed on PCs: what it says and does, against real scanners on loopback and a SANE
that is told what to say."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporters import escl
from lab.services.escl import Scanner
from lab.services.serving import make_server

ROOT = Path(__file__).parents[2]
COMMAND = ROOT / "roles" / "scanning" / "files" / "wardnet-scan-check.py"
NAME = "Máy quét một cửa"


class Desk:
    """A PC: the command with its configuration, and a `scanimage` that does what `saned` says."""

    def __init__(self, folder: Path, scanners: list[dict[str, Any]]) -> None:
        self.folder = folder
        configuration = folder / "scanners.json"
        configuration.write_text(json.dumps({"folder": "Scans", "scanners": scanners}))
        text = COMMAND.read_text()
        for inside, here in (
            ("/usr/local/lib/wardnet/scan", ROOT / "exporters"),
            ("/etc/wardnet/scanners.json", configuration),
        ):
            assert inside in text
            text = text.replace(inside, str(here))
        self.command = folder / "wardnet-scan-check"
        self.command.write_text(text)

    def sane(self, listed: str, scan: str) -> None:
        program = self.folder / "scanimage"
        program.write_text(f"#!/bin/sh\ncase \"$*\" in --formatted*) echo '{listed}';; *) {scan};; esac\n")
        program.chmod(0o755)

    def impatient(self) -> None:
        """It waits a second for SANE to list its scanners."""
        text = self.command.read_text()
        assert text.count("LIST_TIMEOUT = 60\n") == 1
        self.command.write_text(text.replace("LIST_TIMEOUT = 60\n", "LIST_TIMEOUT = 1\n"))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": f"{self.folder}:{os.environ['PATH']}", "HOME": str(self.folder), "PYTHONUTF8": "1"}
        argv = [sys.executable, str(self.command), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=120)


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control.json"


@pytest.fixture
def desk(tmp_path: Path, control: Path) -> Iterator[Desk]:
    server = make_server(Scanner(control).answer, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    port = server.server_address[1]
    url = f"http://127.0.0.1:{port}/eSCL/"
    entry = {
        "id": "scanner-1",
        "name": NAME,
        "kind": "escl",
        "ipv4": "127.0.0.1",
        "port": port,
        "url": url,
        "by": "clerks",
    }
    yield Desk(tmp_path, [entry])
    server.shutdown()
    thread.join()


@pytest.mark.parametrize(
    ("fault", "vietnamese", "english"),
    [
        ("", "SẴN SÀNG", "READY"),
        ("busy", "ĐANG BẬN", "BUSY"),
        ("jam", "KẸT GIẤY", "PAPER JAM"),
        ("open", "NẮP ĐANG MỞ", "A COVER IS OPEN"),
        ("stopped", "MÁY DỪNG", "STOPPED"),
        ("off", "KHÔNG TRẢ LỜI", "SILENT"),
        ("garbage", "TRẢ LỜI SAI", "ANSWERS RUBBISH"),
        ("refusing", "MÁY BÁO LỖI", "ERROR"),
    ],
)
def test_it_says_how_a_scanner_is_in_both_languages(
    desk: Desk, control: Path, fault: str, vietnamese: str, english: str
) -> None:
    control.write_text(json.dumps({"fault": fault}))
    done = desk.run()
    assert NAME in done.stdout
    assert f"  {vietnamese}" in done.stdout
    assert f"  {english}" in done.stdout
    assert done.returncode == (0 if fault in ("", "busy") else 1)


def test_every_state_has_its_words() -> None:
    text = COMMAND.read_text()
    missing = [state for state in escl.STATES if f"escl.{state.upper()}: (" not in text]
    assert missing == []


def test_one_that_is_switched_off_is_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    entry = {"name": NAME, "ipv4": "127.0.0.1", "port": port, "url": None, "by": "clerks"}
    desk = Desk(tmp_path, [{"id": "a", "kind": "escl", **entry}, {"id": "b", "kind": "sane", **entry}])
    done = desk.run()
    assert (done.returncode, done.stdout.count("SILENT")) == (1, 2)
    assert desk.run("b").stdout.count("SILENT") == 1


def test_a_pc_without_scanners_says_so(tmp_path: Path) -> None:
    done = Desk(tmp_path, []).run()
    assert done.returncode == 1
    assert "may use no scanner" in done.stderr


def test_a_page_is_saved_whole_or_not_at_all(desk: Desk, control: Path) -> None:
    desk.sane(f"airscan:e0:{NAME}", 'for last; do :; done; echo page > "${last#--output-file=}"')
    done = desk.run("--scan", "thu.pdf")
    assert (done.returncode, "SAVED" in done.stdout) == (0, True), done.stderr
    assert (desk.folder / "Scans" / "thu.pdf").read_text() == "page\n"
    control.write_text('{"fault": "jam"}')
    half = 'for last; do :; done; echo half > "${last#--output-file=}"'
    desk.sane(f"airscan:e0:{NAME}", f'{half}; echo "scanimage: sane_read: Error during device I/O" >&2; exit 9')
    done = desk.run("--scan", str(desk.folder / "b.png"))
    assert done.returncode == 1
    assert "PAPER JAM" in done.stderr
    assert "Error during device I/O" in done.stderr
    assert not list(desk.folder.glob("*b.png*"))
    assert not list(desk.folder.glob(".b*"))


@pytest.mark.parametrize(
    ("said", "words"),
    [("sane_start: Device busy", "BUSY"), ("sane_start: Scanner cover is open", "A COVER IS OPEN"),
     ("sane_start: Document feeder out of documents", "NO PAPER"), ("sane_read: Document feeder jammed", "PAPER JAM"),
     ("sane_start: something else", "NOT SCANNED")],
)  # fmt: skip
def test_what_sane_says_is_put_in_plain_words(desk: Desk, said: str, words: str) -> None:
    desk.sane(f"airscan:e0:{NAME}", f'echo "scanimage: {said}" >&2; exit 7')
    done = desk.run("scanner-1", "--scan", "a.png")
    assert (done.returncode, words in done.stderr) == (1, True), done.stderr


def test_it_scans_with_no_other_scanner_than_its_own(desk: Desk) -> None:
    desk.sane("airscan:e0:Another", "exit 0")
    done = desk.run("--scan", "a.png")
    assert done.returncode == 1
    assert "SANE does not list it" in done.stderr


def test_a_box_that_says_nothing_to_sane_is_not_waited_for(desk: Desk) -> None:
    desk.impatient()
    (desk.folder / "scanimage").write_text("#!/bin/sh\nexec sleep 600\n")
    (desk.folder / "scanimage").chmod(0o755)
    done = desk.run("--scan", "a.png")
    assert done.returncode == 1
    assert "SANE lists nothing" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"), [(["fax"], "there is no scanner 'fax': scanner-1"), (["--scan", "a.bmp"], ".pdf, .png, .jpg")]
)
def test_words_that_it_does_not_know_are_refused(desk: Desk, words: list[str], said: str) -> None:
    done = desk.run(*words)
    assert done.returncode == 2
    assert said in done.stderr
