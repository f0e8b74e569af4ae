"""Every text that people read has its Vietnamese, and the catalogue fits the code."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from tests.golden.inventory_cases import CASES, build, judge, read_case
from wardnet import locale
from wardnet.locale import N_, _, chosen_language, ngettext

ROOT = Path(__file__).parents[2]
PO = ROOT / "wardnet" / "locale" / "vi" / "LC_MESSAGES" / "wardnet.po"

MsgId = str | tuple[str, ...]


def read_catalogue() -> Catalog:
    with PO.open("rb") as file:
        return read_po(file, locale="vi")


def msgids_in_code() -> set[MsgId]:
    keywords = {**DEFAULT_KEYWORDS, "N_": None}
    found: set[MsgId] = set()
    with (ROOT / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)
    for package in ("wardnet", "collectors", "exporters", "lab"):
        every = extract_from_dir(ROOT / package, method_map=methods, options_map=options, keywords=keywords)
        for _name, _line, msgid, _comments, _context in every:
            found.add(msgid if isinstance(msgid, str) else tuple(msgid))
    return found


def messages() -> Iterator[Message]:
    return (message for message in read_catalogue() if message.id)


def forms(message: Message) -> list[tuple[str, str]]:
    """Pairs of an English and a Vietnamese form; Vietnamese has one for all counts."""
    english = (message.id,) if isinstance(message.id, str) else message.id
    vietnamese = (message.string,) if isinstance(message.string, str) else message.string
    return [(source, vietnamese[-1]) for source in english]


def placeholders(text: str) -> set[str]:
    return {
        f"{{{name}!{conversion}:{spec}}}"
        for _literal, name, spec, conversion in string.Formatter().parse(text)
        if name is not None
    }


def test_every_msgid_in_code_has_a_vietnamese_translation() -> None:
    translated = {
        message.id if isinstance(message.id, str) else tuple(message.id)
        for message in messages()
        if not message.fuzzy and all(vietnamese for _english, vietnamese in forms(message))
    }
    missing = msgids_in_code() - translated
    assert not missing, "run `make messages` and translate what is new"


def test_placeholders_and_the_blanks_at_both_ends_are_kept() -> None:
    braces = [m for m in messages() if "python-brace-format" in m.flags]
    assert len(braces) > 50
    for message in braces:
        for english, vietnamese in forms(message):
            assert placeholders(vietnamese) == placeholders(english), english
    for message in messages():
        for english, vietnamese in forms(message):
            for strip in (str.lstrip, str.rstrip):
                assert len(english) - len(strip(english)) == len(vietnamese) - len(strip(vietnamese)), english


def test_the_catalogue_is_in_nfc_and_names_its_plurals() -> None:
    text = PO.read_text()
    assert unicodedata.is_normalized("NFC", text)
    assert "nplurals=1; plural=0;" in text


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The committed catalogue, compiled into a folder of its own; call it with the language to speak."""
    folder = tmp_path / "vi" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "wardnet.mo").open("wb") as file:
        write_mo(file, read_catalogue())
    return _speaker(tmp_path, monkeypatch)


def _speaker(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    monkeypatch.setattr(locale, "DIRECTORY", directory)

    def speak(language: str) -> None:
        locale._translations.cache_clear()
        monkeypatch.setenv("WARDNET_LANG", language)

    return speak


@pytest.fixture(autouse=True)
def _no_catalogue_is_kept() -> Iterator[None]:
    yield
    locale._translations.cache_clear()


def test_the_language_is_the_users(compiled: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    compiled("vi")
    assert _("the file is empty") == "tệp trống"
    compiled("en")
    assert _("the file is empty") == "the file is empty"
    compiled("")
    monkeypatch.setenv("LANGUAGE", "vi_VN.UTF-8")
    assert _("the file is empty") == "tệp trống"
    assert chosen_language() == "vi"


def test_a_count_has_one_form_in_vietnamese_and_two_in_english(compiled: Callable[[str], None]) -> None:
    def left(count: int) -> str:
        return ngettext("{left} day is left", "{left} days are left", count).format(left=count)

    compiled("en")
    assert [left(1), left(2)] == ["1 day is left", "2 days are left"]
    compiled("vi")
    assert [left(1), left(2)] == ["còn 1 ngày", "còn 2 ngày"]


def test_without_a_compiled_catalogue_the_text_is_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _speaker(tmp_path, monkeypatch)("vi")
    assert _("the file is empty") == "the file is empty"
    assert N_("the file is empty") == "the file is empty"


def test_a_text_that_no_catalogue_has_is_shown_as_it_is(compiled: Callable[[str], None]) -> None:
    compiled("vi")
    assert _("no translator has seen this") == "no translator has seen this"


@pytest.mark.long
def test_every_error_of_the_inventory_is_said_in_vietnamese_at_the_same_place(
    compiled: Callable[[str], None], tmp_path: Path
) -> None:
    compiled("vi")
    for path in CASES:
        case = read_case(path)
        errors, warned = judge(case, build(case, tmp_path / path.stem))
        said, english = sorted([*errors, *warned]), sorted([*case.expect, *case.warn])
        assert [_place(line) for line in said] == [_place(line) for line in english]
        assert not set(said) & set(english), "said in English"


def _place(line: str) -> str:
    return ":".join(line.split(":")[:2])


def test_vietnamese_errors_read_as_sentences(compiled: Callable[[str], None], tmp_path: Path) -> None:
    compiled("vi")
    said = {}
    for name in (
        "hosts-on-both-channels",
        "value-date-day-first",
        "shape-unknown-key",
        "sites-office-without-a-circuit",
    ):
        case = next(read_case(path) for path in CASES if path.stem == name)
        ((said[name],), _warned) = judge(case, build(case, tmp_path / name))
    assert said == {
        "hosts-on-both-channels": "wards/dong.yml:36: máy 'dong-pc-1' đứng ở cả hai kênh: "
        "các mạng 'citizens' (internet) và 'clerks' (wan) (mỗi máy chỉ đứng ở một kênh; hãy bỏ một cổng mạng của nó)",
        "value-date-day-first": "district.yml:41: expires: '31/12/2027' không phải là ngày: hãy viết 2027-12-31",
        "shape-unknown-key": "wards/dong.yml:11: không có khóa 'provder' trong circuit 'dong-wan'"
        " (có phải ý bạn là 'provider'?)",
        "sites-office-without-a-circuit": "wards/tay.yml:5: ward_office 'tay-office' không có đường truyền "
        "trên kênh 'wan' (thêm một đường dưới 'circuits' với 'channel: wan')",
    }
