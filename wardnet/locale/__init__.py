"""Text that people read, in Vietnamese or English: English msgids in the code, a gettext catalogue beside.

The language is WARDNET_LANG, else what gettext's own variables say (LANGUAGE, LC_ALL, LC_MESSAGES, LANG);
without a catalogue for it the English text is used.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path

__all__ = ["_", "chosen_language", "language"]

DOMAIN = "wardnet"
DIRECTORY = Path(__file__).parent


def language() -> str | None:
    """What the user asked for with WARDNET_LANG, or None where gettext's own variables decide."""
    return os.environ.get("WARDNET_LANG") or None


def chosen_language() -> str:
    """vi or en, for texts that carry both themselves, as alerts do."""
    candidates = (language(), *(os.environ.get(name) for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")))
    wanted = next((value for value in candidates if value), "")
    return "vi" if wanted.lower().startswith("vi") else "en"


@cache
def _translations(wanted: str | None) -> gettext.NullTranslations:
    languages = [wanted] if wanted else None
    return gettext.translation(DOMAIN, localedir=DIRECTORY, languages=languages, fallback=True)


def _(message: str) -> str:
    """The message in the user's language; itself where the catalogue has no better."""
    return _translations(language()).gettext(message)
