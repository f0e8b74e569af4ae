"""A small baseline JPEG encoder (ITU-T T.81) in the standard library, for pictures with few different blocks of 8 by 8.

A drawn page has some thousand different blocks among its hundred thousand: each is transformed once. The Huffman codes
are plain ones: short for what is frequent on paper ("as before", "end of block"), of one length for all else.
"""

from __future__ import annotations

import math
import struct
from functools import cache

from lab.services.paper import Picture

_ZIGZAG = sorted(range(64), key=lambda i: (i // 8 + i % 8, i % 8 if (i // 8 + i % 8) % 2 == 0 else i // 8))
# Annex K's tables for a quality of about 85.
_LUMINANCE = (
    5, 3, 3, 5, 7, 12, 15, 18, 4, 4, 4, 6, 8, 17, 18, 17, 4, 4, 5, 7, 12, 17, 21, 17, 4, 5, 7, 9, 15, 26, 24, 19,
    5, 7, 11, 17, 20, 33, 31, 23, 7, 11, 17, 19, 24, 31, 34, 28, 15, 19, 23, 26, 31, 36, 36, 30, 22, 28, 29, 29, 34, 30,
    31, 30,
)  # fmt: skip
_CHROMINANCE = (5, 5, 7, 14, *[30] * 4, 5, 6, 8, 20, *[30] * 4, 7, 8, 17, *[30] * 5, 14, 20, *[30] * 38)
_COSINES = tuple(
    tuple((math.sqrt(0.125) if u == 0 else 0.5) * math.cos((2 * x + 1) * u * math.pi / 16) for x in range(8))
    for u in range(8)
)
# Code lengths and symbols. A size of 0 (as before) and "end of block" are short; no code consists of ones only.
_DC_LENGTHS, _DC_SYMBOLS = {1: 1, 5: 11}, tuple(range(12))
_AC_SYMBOLS = (0x00, *(run << 4 | size for run in range(16) for size in range(1, 11)), 0xF0)
_AC_LENGTHS = {2: 1, 9: len(_AC_SYMBOLS) - 1}


def _codes(lengths: dict[int, int], symbols: tuple[int, ...]) -> dict[int, str]:
    found, code, before = {}, 0, 0
    left = iter(symbols)
    for length, count in lengths.items():
        code <<= length - before
        before = length
        for _ in range(count):
            found[next(left)] = f"{code:0{length}b}"
            code += 1
    return found


_DC, _AC = _codes(_DC_LENGTHS, _DC_SYMBOLS), _codes(_AC_LENGTHS, _AC_SYMBOLS)


def _bits(value: int) -> tuple[int, str]:
    """How many bits a number takes, and these: a negative one is written as one less."""
    size = abs(value).bit_length()
    return size, f"{value if value > 0 else value + (1 << size) - 1:0{size}b}" if size else ""


@cache
def _difference(value: int) -> str:
    size, bits = _bits(value)
    return _DC[size] + bits


def _transform(samples: list[float], table: tuple[int, ...]) -> tuple[int, str]:
    """The first coefficient, and the code of all others."""
    rows = [[sum(c * s for c, s in zip(cosines, samples[y : y + 8], strict=True)) for cosines in _COSINES]
            for y in range(0, 64, 8)]  # fmt: skip
    columns = list(zip(*rows, strict=True))
    sums = [sum(c * s for c, s in zip(_COSINES[i // 8], columns[i % 8], strict=True)) for i in range(64)]
    found = [round(sums[i] / table[i]) for i in _ZIGZAG]
    code, run = [], 0
    for value in found[1:]:
        if value == 0:
            run += 1
            continue
        code += [_AC[0xF0]] * (run // 16)
        size, bits = _bits(value)
        code.append(_AC[run % 16 << 4 | size] + bits)
        run = 0
    return found[0], "".join(code) + (_AC[0] if run else "")


def _block(key: bytes, channels: int) -> list[tuple[int, str]]:
    if key == key[:channels] * 64:
        flat = _components(list(key[:channels]))
        tables = (_LUMINANCE, _CHROMINANCE, _CHROMINANCE)
        return [(round(8 * value / table[0]), _AC[0]) for value, table in zip(flat, tables, strict=False)]
    pixels = [_components(list(key[at : at + channels])) for at in range(0, len(key), channels)]
    planes = list(zip(*pixels, strict=True))
    return [_transform(list(plane), _CHROMINANCE if i else _LUMINANCE) for i, plane in enumerate(planes)]


def _components(pixel: list[int]) -> list[float]:
    """Luminance and both colour differences, each around 0."""
    if len(pixel) == 1:
        return [pixel[0] - 128.0]
    r, g, b = pixel
    return [0.299 * r + 0.587 * g + 0.114 * b - 128, -0.168736 * r - 0.331264 * g + 0.5 * b,
            0.5 * r - 0.418688 * g - 0.081312 * b]  # fmt: skip


def _scan(picture: Picture) -> bytes:
    span = 8 * picture.channels
    across = -(-picture.width // 8)
    known: dict[bytes, list[tuple[int, str]]] = {}
    bands: dict[tuple[tuple[bytes, ...], tuple[int, ...]], tuple[str, tuple[int, ...]]] = {}
    former, written = (0,) * picture.channels, []
    for top in range(0, picture.height, 8):
        rows = picture.rows[top : top + 8]
        rows += rows[-1:] * (8 - len(rows))
        if (rows, former) not in bands:
            band = [row + row[-picture.channels :] * (across * 8 - picture.width) for row in rows]
            keys = [b"".join([row[left : left + span] for row in band]) for left in range(0, across * span, span)]
            for key in set(keys) - known.keys():
                known[key] = _block(key, picture.channels)
            bands[rows, former] = _band([known[key] for key in keys], former)
        code, former = bands[rows, former]
        written.append(code)
    bits = "".join(written)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")


def _band(blocks: list[list[tuple[int, str]]], former: tuple[int, ...]) -> tuple[str, tuple[int, ...]]:
    """The code of a row of blocks, and the first coefficients of its last one; `former` are those before it."""
    written, last = [], list(former)
    before = None
    for block in blocks:
        if block is before:
            written += ["0" + code for _, code in block]  # "0": no difference to the block before
            continue
        for index, (first, code) in enumerate(block):
            written.append(_difference(first - last[index]) + code)
            last[index] = first
        before = block
    return "".join(written), tuple(last)


def _segment(marker: int, data: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def _huffman(kind: int, lengths: dict[int, int], symbols: tuple[int, ...]) -> bytes:
    return bytes([kind, *(lengths.get(length, 0) for length in range(1, 17)), *symbols])


def encode(picture: Picture) -> bytes:
    """The picture as a JFIF file, colour without subsampling."""
    colour = picture.channels == 3
    tables = [bytes([0, *(_LUMINANCE[i] for i in _ZIGZAG)])]
    if colour:
        tables.append(bytes([1, *(_CHROMINANCE[i] for i in _ZIGZAG)]))
    frame = struct.pack(">BHHB", 8, picture.height, picture.width, picture.channels)
    parts = range(picture.channels)
    return b"".join(
        [
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0" + struct.pack(">HBHHBB", 0x102, 1, picture.ppi, picture.ppi, 0, 0)),
            *(_segment(0xDB, table) for table in tables),
            _segment(0xC0, frame + b"".join(bytes([i + 1, 0x11, min(i, 1)]) for i in parts)),
            _segment(0xC4, _huffman(0x00, _DC_LENGTHS, _DC_SYMBOLS) + _huffman(0x10, _AC_LENGTHS, _AC_SYMBOLS)),
            _segment(0xDA, bytes([picture.channels]) + b"".join(bytes([i + 1, 0x00]) for i in parts) + b"\0\x3f\0"),
            _scan(picture),
            b"\xff\xd9",
        ]
    )
