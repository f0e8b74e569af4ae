"""The lab's scanner: what it accepts, what it draws, and what ails it when told."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import pytest

from lab.services import escl, jpeg, paper
from lab.services.serving import Request, Response

SETTINGS = """<?xml version="1.0"?><scan:ScanSettings xmlns:pwg="p" xmlns:scan="s"><pwg:Version>2.0</pwg:Version>
<pwg:ScanRegions><pwg:ScanRegion><pwg:XOffset>{x}</pwg:XOffset><pwg:YOffset>{y}</pwg:YOffset><pwg:Width>{width}</pwg:Width>
<pwg:Height>{height}</pwg:Height></pwg:ScanRegion></pwg:ScanRegions><pwg:InputSource>{source}</pwg:InputSource>
<scan:ColorMode>{mode}</scan:ColorMode><scan:DocumentFormatExt>{kind}</scan:DocumentFormatExt>
<scan:XResolution>{ppi}</scan:XResolution><scan:YResolution>{ppi}</scan:YResolution></scan:ScanSettings>"""
ALL = {
    "x": 0,
    "y": 0,
    "width": 2480,
    "height": 3508,
    "source": "Platen",
    "mode": "RGB24",
    "kind": "image/png",
    "ppi": 75,
}


def settings(**changes: object) -> bytes:
    return SETTINGS.format(**(ALL | changes)).encode()


def ask(scanner: escl.Scanner, method: str, path: str, body: bytes = b"") -> Response:
    return scanner.answer(Request(method, path, {}, {"host": "scanner"}, body))


def begun(scanner: escl.Scanner, **changes: object) -> str:
    made = ask(scanner, "POST", "/eSCL/ScanJobs", settings(**changes))
    assert made.status == 201
    return dict(made.headers)["Location"].removeprefix("http://scanner")


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control.json"


def pixels(data: bytes) -> tuple[int, int, list[bytes]]:
    """Width, bytes a pixel, and the rows of a PNG that no filter changed."""
    width, _height, _depth, kind = struct.unpack_from(">IIBB", data, 16)
    (size,) = struct.unpack_from(">I", data, data.index(b"IDAT") - 4)
    raw = zlib.decompress(data[data.index(b"IDAT") + 4 :][:size])
    channels = 3 if kind == 2 else 1
    span = width * channels + 1
    return width, channels, [raw[at + 1 : at + span] for at in range(0, len(raw), span)]


def test_a_page_is_the_sheet_with_its_marks_and_colours_in_their_places(control: Path) -> None:
    scanner = escl.Scanner(control)
    page = ask(scanner, "GET", f"{begun(scanner, ppi=150)}/NextDocument")
    width, channels, rows = pixels(page.body)
    assert (page.content_type, width, channels, len(rows)) == ("image/png", 1240, 3, 1754)

    def at(x: int, y: int) -> tuple[int, ...]:
        return tuple(rows[y // 2][3 * (x // 2) : 3 * (x // 2) + 3])

    for x in (160, 2480 - 160):
        for y in (160, 3508 - 160):
            assert at(x, y) == paper.BLACK
    for index, colour in enumerate(paper.COLOURS.values()):
        assert at(paper.PATCHES_AT[0] + index * paper.PATCH_STEP + 100, paper.PATCHES_AT[1] + 100) == colour
    assert at(1240, 3400) == paper.WHITE


def test_a_region_is_cut_out_and_grey_is_grey(control: Path) -> None:
    scanner = escl.Scanner(control)
    cut = {"x": 100, "y": 100, "width": 400, "height": 200, "mode": "Grayscale8", "ppi": 300}
    width, channels, rows = pixels(ask(scanner, "GET", f"{begun(scanner, **cut)}/NextDocument").body)
    assert (width, channels, len(rows)) == (400, 1, 200)
    # The black mark begins 118/300 inch from both edges.
    assert rows[17][17] > 200
    assert rows[19][19] < 50


def test_every_format_is_what_it_says(control: Path) -> None:
    scanner = escl.Scanner(control)
    for kind, head in (("image/jpeg", b"\xff\xd8\xff"), ("image/png", b"\x89PNG"), ("application/pdf", b"%PDF-1.4")):
        page = ask(scanner, "GET", f"{begun(scanner, kind=kind)}/NextDocument")
        assert (page.content_type, page.body[: len(head)]) == (kind, head)
    # The page is as large as the paper, in points.
    box = re.search(rb"MediaBox\[0 0 ([\d.]+) ([\d.]+)\]", page.body)
    assert box is not None
    assert [round(float(side)) for side in box.groups()] == [595, 842]


def test_a_jpeg_names_its_size_and_its_blocks_end_in_whole_bytes() -> None:
    for colour in (True, False):
        picture = paper.draw(75, paper.Region(0, 0, 1003, 501), colour=colour)
        data = jpeg.encode(picture)
        at = data.index(b"\xff\xc0")
        height, width, parts = struct.unpack_from(">HHB", data, at + 5)
        assert (width, height, parts) == (250, 125, 3 if colour else 1)
        assert data.endswith(b"\xff\xd9")
        # Within the scan no byte of ones stands for a marker.
        scan = data[data.index(b"\xff\xda") :][14:-2]
        assert all(scan[place + 1] == 0 for place in range(len(scan) - 1) if scan[place] == 0xFF)


def test_a_feeder_gives_its_sheets_one_by_one(control: Path) -> None:
    control.write_text('{"feeder": 2}')
    scanner = escl.Scanner(control)
    assert b"ScannerAdfLoaded" in ask(scanner, "GET", "/eSCL/ScannerStatus").body
    job = begun(scanner, source="Feeder")
    first, second = (ask(scanner, "GET", f"{job}/NextDocument") for _ in range(2))
    assert (first.status, second.status) == (200, 200)
    assert first.body != second.body
    assert ask(scanner, "GET", f"{job}/NextDocument").status == 404
    control.write_text("{}")
    assert ask(scanner, "POST", "/eSCL/ScanJobs", settings(source="Feeder")).status == 409


@pytest.mark.parametrize(
    "body",
    [b"", b"<html/>", settings(width=9000), settings(x=2400, width=100), settings(ppi=301), settings(mode="CMYK"),
     settings(kind="image/bmp"), settings(width="wide"), settings(height=3)],
)  # fmt: skip
def test_what_the_scanner_has_not_is_refused(control: Path, body: bytes) -> None:
    assert ask(escl.Scanner(control), "POST", "/eSCL/ScanJobs", body).status == 400


def test_a_jam_ends_the_job_and_busy_begins_none(control: Path) -> None:
    scanner = escl.Scanner(control)
    job = begun(scanner)
    control.write_text('{"fault": "jam"}')
    assert ask(scanner, "GET", f"{job}/NextDocument").status == 409
    status = ask(scanner, "GET", "/eSCL/ScannerStatus").body
    assert b"ScannerAdfJam" in status
    assert b"<pwg:State>Stopped" in status
    control.write_text('{"fault": "busy"}')
    assert ask(scanner, "POST", "/eSCL/ScanJobs", settings()).status == 503
    control.write_text("{}")
    assert ask(scanner, "POST", "/eSCL/ScanJobs", settings()).status == 201


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("", escl.Ailment()), ("[]", escl.Ailment()), ('{"fault": "fire"}', escl.Ailment()),
     ('{"delay_seconds": "x"}', escl.Ailment()), ('{"delay_seconds": 999, "feeder": -3}', escl.Ailment("", 120.0, 0)),
     ('{"fault": "jam", "feeder": 3}', escl.Ailment("jam", 0.0, 3))],
)  # fmt: skip
def test_a_senseless_control_file_does_nothing(text: str, wanted: escl.Ailment) -> None:
    assert escl.parse_control(text) == wanted
