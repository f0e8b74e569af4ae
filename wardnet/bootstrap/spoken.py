"""A host key's fingerprint as digits, which two people compare over the phone in any language.

`SHA256:...` has letters of both cases, which nobody reads out without a mistake. 30 digits of the same hash hold just
under 100 bits: as hard to forge as they need be.
"""

from __future__ import annotations

import hashlib

DIGITS = 30
GROUP = 5
WORDS = {
    "vi": ("không", "một", "hai", "ba", "bốn", "năm", "sáu", "bảy", "tám", "chín"),
    "en": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
}


def digits(key: bytes) -> str:
    """30 digits of the key's SHA-256; `key` is what base64 holds in a .pub file. The script on the stick says the
    same."""
    return f"{int.from_bytes(hashlib.sha256(key).digest(), 'big') % 10**DIGITS:0{DIGITS}}"


def spoken(key: bytes) -> str:
    """The digits in six groups of five."""
    found = digits(key)
    return " ".join(found[at : at + GROUP] for at in range(0, DIGITS, GROUP))


def in_words(groups: str, language: str) -> list[str]:
    """Each group of digits as words of the language, vi or en."""
    return [" ".join(WORDS[language][int(digit)] for digit in group) for group in groups.split()]


def as_digits(text: str) -> str | None:
    """What a person typed as the 30 digits, however they are grouped; None where it is something else."""
    bare = "".join(char for char in text if char not in " -.,\t")
    return bare if len(bare) == DIGITS and bare.isascii() and bare.isdigit() else None
