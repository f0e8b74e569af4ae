"""What tests see of a scanned page: its size, and the colour at a place. PNG as libpng writes it; no library needed."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass

from lab.services import paper


@dataclass(frozen=True)
class Page:
    """Rows of red, green and blue."""

    width: int
    rows: list[bytes]

    @property
    def size(self) -> tuple[int, int]:
        return self.width, len(self.rows)

    def at(self, x: int, y: int) -> tuple[int, ...]:
        return tuple(self.rows[y][3 * x : 3 * x + 3])


def read_png(data: bytes) -> Page:
    """A picture of 8 bits a colour, not interlaced. ValueError for anything else."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError(f"no PNG: {data[:16]!r}")
    width, height, depth, kind, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
    if (depth, kind, interlaced) != (8, 2, 0):
        raise ValueError(f"not 24 bits in colour: {depth} {kind} {interlaced}")
    packed, at = b"", 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    raw, span = zlib.decompress(packed), 3 * width
    rows, before = [], bytes(span)
    for y in range(height):
        begin = y * (span + 1)
        before = _unfiltered(raw[begin], raw[begin + 1 : begin + 1 + span], before)
        rows.append(before)
    return Page(width, rows)


def _unfiltered(kind: int, row: bytes, above: bytes) -> bytes:
    if kind == 0:
        return row
    if kind == 2:
        return above if not any(row) else bytes((a + b) & 255 for a, b in zip(row, above, strict=True))
    done = bytearray(b"\0\0\0")  # of the pixel to the left of the first
    for index, value in enumerate(row):
        left, up = done[index], above[index]
        corner = above[index - 3] if index >= 3 else 0
        if kind == 1:
            guess = left
        elif kind == 3:
            guess = (left + up) // 2
        else:
            guess = min((left, up, corner), key=lambda each: abs(left + up - corner - each))
        done.append((value + guess) & 255)
    return bytes(done[3:])


def is_the_sheet(page: Page, near: int = 12) -> list[str]:
    """What is not as on the lab's sheet at 300 dpi, marks and colours; nothing if all is within `near` of it."""
    wanted = {(x, y): paper.BLACK for x in (166, 2480 - 166) for y in (166, 3508 - 166)}
    for index, colour in enumerate(paper.COLOURS.values()):
        wanted[paper.PATCHES_AT[0] + index * paper.PATCH_STEP + 120, paper.PATCHES_AT[1] + 120] = colour
    wanted |= {(60, 60): paper.WHITE, (1240, 3400): paper.WHITE, (paper.SEAL_AT[0], paper.SEAL_AT[1] + 60): paper.RED}
    wrong = [] if page.size == (paper.WIDTH, paper.HEIGHT) else [f"size {page.size}"]
    for (x, y), colour in wanted.items():
        found = page.at(x, y) if not wrong else colour
        if max(abs(a - b) for a, b in zip(found, colour, strict=True)) > near:
            wrong.append(f"{found} instead of {colour} at {x}, {y}")
    return wrong


def pdf_says(data: bytes) -> dict[str, object]:
    """Of a PDF with one picture on a page: how many pages, the size in points, the picture's in pixels, its colour."""
    box = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", data)
    width, height = (re.search(rb"/" + name + rb"\s+(\d+)", data) for name in (b"Width", b"Height"))
    if not data.startswith(b"%PDF-") or box is None or width is None or height is None:
        raise ValueError(f"no PDF with a picture: {data[:32]!r}")
    return {
        "pages": len(re.findall(rb"/Type\s*/Page\b", data)),
        "points": (round(float(box[1])), round(float(box[2]))),
        "pixels": (int(width[1]), int(height[1])),
        "colour": b"/DeviceRGB" in data,
    }
