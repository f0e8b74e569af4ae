"""A sheet of A4 as a scanner sees it: drawn, cut to a region, and written as PNG, JPEG or PDF.

The sheet is a chart, so that a test can tell from the picture alone whether it is whole, straight, of the right size
and in colour: black marks 10 mm from each edge, patches of known colours, a grey ramp, a red seal, lines of writing.
Lengths are in units of 1/300 inch, as eSCL's regions are. Standard library only; a page takes a second or two.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass

WIDTH, HEIGHT = 2480, 3508  # A4 in 1/300 inch
WHITE, BLACK, RED = (252, 252, 248), (24, 24, 28), (196, 24, 32)
MARK, MARK_AT = 96, 118  # side of the square in each corner, and how far from both edges: 10 mm
COLOURS = {
    "red": (208, 32, 40), "green": (32, 144, 64), "blue": (40, 64, 176), "cyan": (48, 160, 200),
    "magenta": (184, 48, 136), "yellow": (240, 208, 32), "black": BLACK,
}  # fmt: skip
PATCH, PATCHES_AT, PATCH_STEP = 240, (320, 1000), 264  # side, where the first one is, and how far the next one is
GREYS_AT, GREYS = (320, 1296), 16  # a ramp from white to black in so many steps
SEAL_AT, SEAL = (1960, 2760), 260  # centre and outer radius

# Five columns a letter, the lowest bit at the top.
_LETTERS = " ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:./"
_COLUMNS = bytes.fromhex(
    "0000000000 7c1211127c 7f49494936 3e41414122 7f4141413e 7f49494941 7f09090901 3e41415173 7f0808087f "
    "00417f4100 2040413f01 7f08142241 7f40404040 7f021c027f 7f0408107f 3e4141413e 7f09090906 3e4151215e "
    "7f09192946 2649494932 03017f0103 3f4040403f 1f2040201f 3f4038403f 6314081463 0304780403 6159494d43 "
    "3e5149453e 00427f4000 7249494946 2141494d33 1814127f10 2745454539 3c4a494931 4121110907 3649494936 "
    "464949291e 0808080808 0000140000 0000606000 2010080402"
)
_FONT = {letter: _COLUMNS[5 * index : 5 * index + 5] for index, letter in enumerate(_LETTERS)}


@dataclass(frozen=True, slots=True)
class Region:
    """What is scanned of the glass, in 1/300 inch."""

    left: int = 0
    top: int = 0
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows from the top, `channels` bytes a pixel (3: red, green, blue; 1: grey), `ppi` pixels an inch."""

    width: int
    height: int
    channels: int
    ppi: int
    rows: tuple[bytes, ...]


class _Sheet:
    def __init__(self, ppi: int) -> None:
        self.ppi = ppi
        self.width, self.height = self.at(WIDTH), self.at(HEIGHT)
        self.rows = [bytearray(bytes(WHITE) * self.width) for _ in range(self.height)]

    def at(self, length: int) -> int:
        return length * self.ppi // 300

    def fill(self, left: int, top: int, width: int, height: int, colour: tuple[int, int, int]) -> None:
        first, last = 3 * self.at(left), 3 * self.at(left + width)
        paint = bytes(colour) * ((last - first) // 3)
        for y in range(self.at(top), self.at(top + height)):
            self.rows[y][first:last] = paint

    def write(self, text: str, left: int, top: int, dot: int) -> None:
        """A line of letters, each 5 by 7 dots of so many units, six apart."""
        for index, letter in enumerate(text):
            for x, column in enumerate(_FONT[letter]):
                for y in range(7):
                    if column >> y & 1:
                        self.fill(left + (index * 6 + x) * dot, top + y * dot, dot, dot, BLACK)

    def ring(self, x: int, y: int, outer: int, inner: int, colour: tuple[int, int, int]) -> None:
        for row in range(self.at(y - outer), self.at(y + outer)):
            away = abs(row - self.at(y))
            reach = int(math.sqrt(max(self.at(outer) ** 2 - away**2, 0)))
            hole = int(math.sqrt(max(self.at(inner) ** 2 - away**2, 0)))
            for first, last in ((-reach, -hole), (hole, reach)):
                begin, end = 3 * (self.at(x) + first), 3 * (self.at(x) + last)
                self.rows[row][begin:end] = bytes(colour) * ((end - begin) // 3)


def draw(ppi: int, region: Region = Region(), *, colour: bool = True, number: int = 1) -> Picture:
    """The region of the sheet; what lies beyond the sheet's edge is white."""
    sheet = _Sheet(ppi)
    for x in (MARK_AT, WIDTH - MARK_AT - MARK):
        for y in (MARK_AT, HEIGHT - MARK_AT - MARK):
            sheet.fill(x, y, MARK, MARK, BLACK)
    sheet.write("WARD OFFICE", 320, 320, 16)
    sheet.write("SPECIMEN FOR SCANNERS - A4", 320, 512, 8)
    sheet.write(f"SHEET {number}", 320, 640, 16)
    for index, each in enumerate(COLOURS.values()):
        sheet.fill(PATCHES_AT[0] + index * PATCH_STEP, PATCHES_AT[1], PATCH, PATCH, each)
    for index in range(GREYS):
        grey = 255 - index * 255 // (GREYS - 1)
        sheet.fill(GREYS_AT[0] + index * 112, GREYS_AT[1], 112, 96, (grey, grey, grey))
    for line in range(16):
        sheet.write(f"{line + 1:02} THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG", 320, 1520 + line * 72, 6)
    sheet.ring(*SEAL_AT, SEAL, SEAL - 24, RED)
    sheet.ring(*SEAL_AT, SEAL - 72, SEAL - 80, RED)
    sheet.fill(SEAL_AT[0] - 96, SEAL_AT[1] - 8, 192, 16, RED)
    sheet.fill(SEAL_AT[0] - 8, SEAL_AT[1] - 96, 16, 192, RED)
    return _cut(sheet, region, colour=colour)


def _cut(sheet: _Sheet, region: Region, *, colour: bool) -> Picture:
    left, width, height = sheet.at(region.left), sheet.at(region.width), sheet.at(region.height)
    blank = bytes(WHITE) * width
    seen: dict[bytes, bytes] = {}
    rows = []
    for y in range(sheet.at(region.top), sheet.at(region.top) + height):
        row = bytes(sheet.rows[y][3 * left : 3 * (left + width)]) if y < sheet.height else blank
        row += blank[len(row) :]
        row = seen.setdefault(row, row)  # most rows are alike: each is kept once
        rows.append(row)
    if colour:
        return Picture(width, height, 3, sheet.ppi, tuple(rows))
    grey = {row: _grey(row) for row in seen}
    return Picture(width, height, 1, sheet.ppi, tuple(grey[row] for row in rows))


def _grey(row: bytes) -> bytes:
    return bytes((299 * r + 587 * g + 114 * b) // 1000 for r, g, b in zip(row[::3], row[1::3], row[2::3], strict=True))


def png(picture: Picture) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(1)
    packed = [packer.compress(b"\0" + row) for row in picture.rows]
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2 if picture.channels == 3 else 0, 0, 0, 0)
    size = struct.pack(">IIB", *[round(picture.ppi / 0.0254)] * 2, 1)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [chunk(b"IHDR", header), chunk(b"pHYs", size), chunk(b"IDAT", b"".join([*packed, packer.flush()])),
         chunk(b"IEND", b"")]
    )  # fmt: skip


def pdf(picture: Picture, jpeg: bytes) -> bytes:
    """A document of one page as large as the paper was, with the JPEG on it."""
    width, height = (length * 72 / picture.ppi for length in (picture.width, picture.height))
    space = "DeviceRGB" if picture.channels == 3 else "DeviceGray"
    shown = f"{width:.2f} 0 0 {height:.2f} 0 0 cm /Im Do".encode()
    bodies = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 {width:.2f} {height:.2f}]/Contents 4 0 R"
        "/Resources<</XObject<</Im 5 0 R>>>>>>".encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(shown), shown),
        f"<</Type/XObject/Subtype/Image/Width {picture.width}/Height {picture.height}/ColorSpace/{space}"
        f"/BitsPerComponent 8/Filter/DCTDecode/Length {len(jpeg)}>>stream\n".encode()
        + jpeg
        + b"\nendstream",
    ]
    written, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(bodies, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(bodies) + 1)
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(bodies) + 1, start)
    return bytes(written)
