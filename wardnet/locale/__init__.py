"""Text that people read, in Vietnamese or English: English msgids in the code, a gettext catalogue beside.

`make messages` gathers the msgids into */LC_MESSAGES/wardnet.po, `make install` compiles those to .mo.

The language is WARDNET_LANG, else what gettext's own variables say (LANGUAGE, LC_ALL, LC_MESSAGES, LANG);
without a catalogue for it the English text is used.
"""

from __future__ import annotations

import gettext
import os
from functools import cache
from pathlib import Path

__all__ = ["N_", "_", "chosen_language", "language", "ngettext"]

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


def ngettext(one: str, many: str, count: int) -> str:
    """The same for a message that depends on how many; a language without plurals, as Vietnamese, has one form."""
    return _translations(language()).ngettext(one, many, count)


def N_(message: str) -> str:  # noqa: N802 - gettext's customary name
    """Marks a message for the catalogue where it is written; `_` translates it where it is shown."""
    return message
