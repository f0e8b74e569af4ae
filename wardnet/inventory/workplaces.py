"""The section `workplaces` of district.yml: its shape, and the records that are built from it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from wardnet.inventory.values import CLOSED, Ident, Secret, Text, misfit
from wardnet.inventory.yamlfile import Path, YamlFile
from wardnet.locale import _
from wardnet.model import workplaces as model
from wardnet.model.intent import Channel, Source
from wardnet.model.workplaces import AccountGroup, UsbStorage, Workplaces

SCALES = (0.5, 4)  # beyond, a page has no room on the screen, or letters that nobody reads

# Signatures that today's OpenSSH takes from a client.
KEY_TYPES = (
    "ssh-ed25519", "sk-ssh-ed25519@openssh.com", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com", "ssh-rsa",
)  # fmt: skip


def _ssh_key(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if "PRIVATE KEY" in text:
        raise misfit(_("this is a private key"), _("give the one line of the file that ends in .pub"))
    parts = text.split(None, 2)
    try:
        blob = base64.b64decode(parts[1], validate=True) if len(parts) > 1 else b""
    except binascii.Error:
        blob = b""
    said = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode("ascii", "replace")
    if len(parts) < 2 or parts[0] not in KEY_TYPES or said != parts[0] or not text.isprintable():
        raise ValueError(_("is not a public key of OpenSSH, such as the one line of id_ed25519.pub"))
    return " ".join(parts)


def _clock(value: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        raise ValueError(_("is not a time of day, such as 12:00"))
    return value


def _site_name(value: str) -> str:
    if not re.fullmatch(r"(?=.{1,200}$)(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", value):
        raise ValueError(_("is not the name of a site in lower case, such as www.example.vn or *.example.vn"))
    return value


def _library(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9][A-Za-z0-9._+-]*)+\.so(\.[0-9.]+)?", value):
        raise ValueError(_("is not the full path of a library, such as /usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"))
    return value


def _printer_uri(value: str) -> str:
    try:
        parts = urlsplit(value)
        right = parts.scheme in ("ipp", "ipps") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a bracket without its pair, or a port that is no number
        right = False
    if not right or not value.isascii() or not value.isprintable() or re.search(r"[\s'\"<>\\]", value):
        raise ValueError(_("is not a printer's address, such as ipp://10.20.1.40/ipp/print"))
    if parts.username is not None or parts.password is not None:
        raise ValueError(_("holds a user name or a password, which does not belong here"))
    return value


def _page_path(value: str) -> str:
    if not re.fullmatch(r"/[A-Za-z0-9/_.~%?=&-]*", value):
        raise ValueError(_("is not the path of a page, such as /bang-ket-qua"))
    return value


def _package(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.+-]{1,80}", value):
        raise ValueError(_("is not the name of a Debian package"))
    return value


def _login(value: str) -> str:
    if len(value) > 31 or not re.fullmatch(r"[a-z][a-z0-9-]*", value):
        raise ValueError(_("is no login: at most 31 lower-case letters, digits and '-', starting with a letter"))
    return value


def _scale(value: Any) -> float:
    text = "" if isinstance(value, bool) else str(value)  # what has a point is a text in the inventory's YAML
    if comma := re.fullmatch(r"(\d+),(\d+)", text):
        raise ValueError(_("is not a number: write {number}").format(number=f"{comma[1]}.{comma[2]}"))
    number = float(text) if re.fullmatch(r"\d{1,4}(\.\d{1,4})?", text, re.ASCII) else 0.0
    least, most = SCALES
    if not least <= number <= most:
        problem = _("is not from {least} to {most}, as 1.5 for half as large again")
        raise ValueError(problem.format(least=least, most=most))
    return number


SshKey = Annotated[str, BeforeValidator(_ssh_key)]
SiteName = Annotated[StrictStr, AfterValidator(_site_name)]
Login = Annotated[StrictStr, AfterValidator(_login)]


class Record(BaseModel):
    model_config = CLOSED


class UpdatesRecord(Record):
    begin: Annotated[StrictStr, AfterValidator(_clock)]
    minutes: Annotated[StrictInt, Field(ge=15, le=720)]


class PagesRecord(Record):
    channel: Channel
    start: Ident
    sites: list[SiteName] = []
    downloads: StrictBool = True


class TokenModuleRecord(Record):
    id: Ident
    library: Annotated[StrictStr, AfterValidator(_library)]
    packages: list[Annotated[StrictStr, AfterValidator(_package)]] = []


class PlacedRecord(Record):
    """Something that stands at some PCs: those of whole wards, and single ones."""

    wards: list[Ident] = []
    hosts: list[Ident] = []

    @model_validator(mode="after")
    def _somewhere(self) -> PlacedRecord:
        if not self.wards and not self.hosts:
            raise misfit(_("it stands nowhere"), _("say where with 'wards: [WARD, ...]' or 'hosts: [HOST, ...]'"))
        return self


class PrinterRecord(PlacedRecord):
    id: Ident
    name: Text
    uri: Annotated[StrictStr, AfterValidator(_printer_uri)]
    default: StrictBool = False


class AccountRecord(PlacedRecord):
    id: Login
    name: Text
    groups: list[AccountGroup] = []
    ssh_keys: list[SshKey] = []
    password: Secret | None = None

    @model_validator(mode="after")
    def _a_way_in(self) -> AccountRecord:
        if self.password is None and not self.ssh_keys:
            raise misfit(_("nobody can log in with it"), _("give it 'password: vault:NAME' or 'ssh_keys: [...]'"))
        return self


class BoardRecord(Record):
    service: Ident
    path: Annotated[StrictStr, AfterValidator(_page_path)] = "/"


class TouchScreensRecord(Record):
    board: BoardRecord | None = None
    refresh_seconds: Annotated[StrictInt, Field(ge=10, le=3600)] = 60
    idle_seconds: Annotated[StrictInt, Field(ge=10, le=3600)] = 60


class ScreenRecord(Record):
    """`screen` of a host: what one touch screen has of its own."""

    scale: Annotated[float, BeforeValidator(_scale)]


class CitizenPointsRecord(Record):
    idle_seconds: Annotated[StrictInt, Field(ge=30, le=3600)] = 180
    warning_seconds: Annotated[StrictInt, Field(ge=10, le=300)] = 30


class WorkplacesRecord(Record):
    usb_storage: UsbStorage = UsbStorage.DENY
    updates: UpdatesRecord | None = None
    pages: list[PagesRecord] = []
    token_modules: list[TokenModuleRecord] = []
    printers: list[PrinterRecord] = []
    accounts: list[AccountRecord] = []
    touch_screens: TouchScreensRecord = TouchScreensRecord()
    citizen_points: CitizenPointsRecord = CitizenPointsRecord()


def build_screen(record: ScreenRecord, source: Source) -> model.Screen:
    return model.Screen(record.scale, source)


def build_workplaces(file: YamlFile, record: WorkplacesRecord | None) -> Workplaces:
    """The records of the model, each with the line it was written at; what a district has that says nothing of them."""
    if record is None:
        return Workplaces()

    def each(key: str) -> Iterable[tuple[Any, Any]]:
        path: Path = ("workplaces", key)
        return ((item, file.source((*path, index))) for index, item in enumerate(getattr(record, key)))

    updates, touch, citizen = record.updates, record.touch_screens, record.citizen_points
    board = touch.board
    return Workplaces(
        usb_storage=record.usb_storage,
        updates=model.UpdateWindow(updates.begin, updates.minutes) if updates else Workplaces().updates,
        pages=tuple(
            model.Pages(p.channel, p.start, tuple(sorted(set(p.sites))), p.downloads, at) for p, at in each("pages")
        ),
        token_modules=tuple(
            model.TokenModule(t.id, t.library, tuple(t.packages), at) for t, at in each("token_modules")
        ),
        printers=tuple(
            model.Printer(p.id, p.name, p.uri, p.default, tuple(p.wards), tuple(p.hosts), at)
            for p, at in each("printers")
        ),
        accounts=tuple(
            model.Account(
                a.id, a.name, tuple(sorted(set(a.groups))), tuple(a.ssh_keys), a.password, tuple(a.wards),
                tuple(a.hosts), at,
            )
            for a, at in each("accounts")
        ),
        touch_screens=model.TouchScreens(
            board.service if board else None, board.path if board else "/", touch.refresh_seconds, touch.idle_seconds,
            file.source(("workplaces", "touch_screens")) if board else None,
        ),
        citizen_points=model.CitizenPoints(citizen.idle_seconds, citizen.warning_seconds),
    )  # fmt: skip
