"""Single values of the inventory's files: ids, addresses, days, rates, ports. Each says what is wrong with a text."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from wardnet.locale import N_, _
from wardnet.model.intent import Ports

# Validators say what is wrong so that it reads after the value: "'2026-13-01' is not a date, such as 2026-01-31".


def _ident(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", value):
        raise ValueError(_("is not an id: lower-case letters, digits and '-', starting with a letter"))
    return value


# Linux's own, Open vSwitch's, the bridge of a switch, and the VRFs of a gateway.
TAKEN_INTERFACES = ("lo", "all", "default", "ovs-system", "access", "vrf-wan", "vrf-internet")
LAST_DAY = date(2199, 12, 31)  # kernels and time zones count on from it for a while, and nobody's paper does


def _interface(value: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9._-]{0,14}", value):
        raise ValueError(_("is not an interface: at most 15 lower-case letters, digits, '.', '_' or '-', such as wan0"))
    if value in TAKEN_INTERFACES:
        raise ValueError(_("is a name that the system keeps for itself"))
    return value


def _text(value: str) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise ValueError(_("is empty: a text is expected here"))
    if not text.isprintable():
        raise ValueError(_("is more than one line, or holds a control character"))
    return text


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(_("is not a time zone, such as Asia/Ho_Chi_Minh")) from None
    return value


def _domain(value: str) -> str:
    if not re.fullmatch(r"(?=.{1,200}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", value):
        raise ValueError(_("is not a domain name in lower case, such as tayho.example"))
    return value


def _url(value: str) -> str:
    problem = _("is not a web address, such as https://dvctt.tayho.example/")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(problem)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:  # a bracket without its pair, or a port that is no number
        raise ValueError(problem) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(problem)
    if parts.username is not None or parts.password is not None:
        raise ValueError(_("holds a user name or a password, which does not belong here"))
    return value


def _day(value: Any) -> date:
    text = value if isinstance(value, str) else ""
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            raise ValueError(_("is a day that no calendar has")) from None
        if day > LAST_DAY:
            raise ValueError(_("is too late: at most {day}").format(day=LAST_DAY))
        return day
    if other := re.fullmatch(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})", text):
        raise ValueError(_("is not a date: write {day}").format(day=f"{other[3]}-{other[2]:0>2}-{other[1]:0>2}"))
    raise ValueError(_("is not a date, such as 2026-01-31"))


def _ports(value: Any) -> Ports:
    match = re.fullmatch(r"(icmp)|(tcp|udp)/(any|[0-9]{1,5})", value) if isinstance(value, str) else None
    if not match:
        raise ValueError(_("is not a protocol with its port, such as tcp/443, udp/53 or icmp"))
    if match[1]:
        return Ports("icmp", ())
    if match[3] == "any":
        return Ports(match[2], ())
    number = int(match[3])
    if not 1 <= number <= 65535:
        raise ValueError(_("has a port that is not between 1 and 65535"))
    return Ports(match[2], (number,))


def _mac(value: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}", value):
        raise ValueError(_("is not a hardware address, such as 52:54:00:12:34:56"))
    mac = value.lower().replace("-", ":")
    if int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise ValueError(_("is an address of no single device"))
    return mac


def _secret(value: Any) -> str:
    """A reference to a secret. What else stands here may be the secret itself, so that no message repeats it."""
    if isinstance(value, str) and re.fullmatch(r"vault:[A-Za-z_][A-Za-z0-9_]{0,62}", value):
        return value
    raise PydanticCustomError("secret", _("a reference 'vault:NAME' is expected, never the secret itself"))


def _hides_a_secret(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    raise PydanticCustomError("secret", _("the keys 'user' and 'password: vault:NAME' are expected"))


def misfit(message: str, hint: str) -> PydanticCustomError:
    """What several keys of one mapping are together, where each alone would be right."""
    return PydanticCustomError("misfit", message.replace("{", "{{"), {"hint": hint})


def _parsed(kind: Callable[[str], Any], example: str) -> Any:
    def parse(value: Any) -> Any:
        try:
            if isinstance(value, str) and "%" not in value:  # no interface's name belongs to an address here
                return kind(value)
        except ValueError:
            pass
        raise ValueError(_("is not {example}").format(example=_(example)))

    return BeforeValidator(parse)


def _prefix(value: Any) -> IPv4Network | IPv6Network:
    problem = _("is not a prefix, such as 10.16.0.0/12")
    if not isinstance(value, str) or not re.search(r"/[0-9]{1,3}\Z", value) or "%" in value:
        raise ValueError(problem)
    try:
        prefix = ip_network(value, strict=False)
    except ValueError:
        raise ValueError(problem) from None
    if prefix.network_address != ip_address(value.split("/")[0]):
        raise ValueError(_("has bits set behind its length: write {prefix}").format(prefix=prefix))
    return prefix


def _with_length(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    def parse(value: str) -> Any:
        if not re.search(r"/[0-9]{1,3}\Z", value):
            raise ValueError
        return kind(value)

    return parse


CLOSED = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)  # every mapping of the files

Ident = Annotated[StrictStr, AfterValidator(_ident)]
Interface = Annotated[StrictStr, AfterValidator(_interface)]
Text = Annotated[StrictStr, AfterValidator(_text)]
Day = Annotated[date, BeforeValidator(_day)]
IPv4 = Annotated[IPv4Address, _parsed(IPv4Address, N_("an IPv4 address, such as 10.20.1.11"))]
IPv6 = Annotated[IPv6Address, _parsed(IPv6Address, N_("an IPv6 address, such as fd20:20:1::11"))]
IPv4Port = Annotated[
    IPv4Interface,
    _parsed(_with_length(IPv4Interface), N_("an IPv4 address with its length, such as 10.20.1.1/24")),
]
IPv6Port = Annotated[
    IPv6Interface,
    _parsed(_with_length(IPv6Interface), N_("an IPv6 address with its length, such as fd20:20:1::1/64")),
]
Prefix = Annotated[IPv4Network | IPv6Network, BeforeValidator(_prefix)]
AnyAddress = Annotated[IPv4Address | IPv6Address, _parsed(ip_address, N_("an IP address"))]
Allow = Annotated[Any, BeforeValidator(_ports)]
Kbps = Annotated[StrictInt, Field(ge=64, le=100_000_000)]
Vlan = Annotated[StrictInt, Field(ge=2, le=4094)]
TableNumber = Annotated[StrictInt, Field(ge=1, le=252)]
AsNumber = Annotated[StrictInt, Field(ge=1, le=4_294_967_294)]
Mac = Annotated[StrictStr, AfterValidator(_mac)]
Secret = Annotated[str, BeforeValidator(_secret)]
HidesASecret = BeforeValidator(_hides_a_secret)
TimeZone = Annotated[StrictStr, AfterValidator(_timezone)]
Domain = Annotated[StrictStr, AfterValidator(_domain)]
Url = Annotated[StrictStr, AfterValidator(_url)]
