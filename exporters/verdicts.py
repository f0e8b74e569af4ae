"""What `wardnet audit --json` says, as figures of each ward. Pure.

The exporter's package holds no audit: keys are read by their names here, and a test feeds it the audit's own JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

FORMAT = 1
VERDICTS = ("proved", "unknown", "violated")  # from good to bad
TREATMENTS = ("modelled", "irrelevant", "unknown")
KINDS = ("crossing", "problem", "disagreement")
CROSSES = ("channels", "zones")  # what a way that must not be leads across
LONGEST_NAME = 200

Direction = tuple[str, str, str]  # from, to, family


class ForeignFileError(ValueError):
    """Not an audit's result, or one of a format that is not known here."""


class DamagedFileError(ValueError):
    """An audit's result that was cut off, or says one thing here and another there."""


@dataclass(frozen=True, slots=True)
class WardVerdict:
    """`leaks` by what they cross, `unknowns` by kind, `items` by treatment, `directions` between channels with their
    verdicts."""

    verdict: str
    leaks: Mapping[str, int]
    unknowns: Mapping[str, int]
    items: Mapping[str, int]
    read: int
    missing: int
    directions: Mapping[Direction, str]


@dataclass(frozen=True, slots=True)
class Audit:
    """One result. `as_of` is the snapshot's time in seconds since 1970; `whole` is one of all wards. `network` is the
    verdict on what the devices make together, empty where that was not asked."""

    as_of: float
    district: str
    whole: bool
    version: str
    snapshot_sha256: str
    model_sha256: str
    wards: Mapping[str, WardVerdict]
    network: str = ""


def parse_audit(content: bytes) -> Audit:
    """Raises ForeignFileError and DamagedFileError, with the reason."""
    try:
        data = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"no JSON, or not all of it: {error}") from None
    if not isinstance(data, dict) or not {"format", "verdict", "devices"} <= data.keys():
        raise ForeignFileError("no result of `wardnet audit --json`")
    if data["format"] != FORMAT:
        raise ForeignFileError(f"of format {data['format']}; this version reads {FORMAT}")
    try:
        return _audit(data)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise DamagedFileError(f"something is missing or of another kind: {error!r}") from None
    except ValueError as error:
        raise DamagedFileError(str(error)) from None


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _audit(data: dict[str, Any]) -> Audit:
    devices: dict[str, list[dict[str, Any]]] = {}
    for device in data["devices"]:
        devices.setdefault(_text(device["ward"]), []).append(device)
    directions: dict[str, dict[Direction, str]] = {ward: {} for ward in devices}
    for entry in data["matrix"]:
        direction = _text(entry["from"]), _text(entry["to"]), _text(entry["family"])
        directions[_text(entry["ward"])][direction] = _verdict(entry["verdict"])
    wards = {ward: _ward(found, directions[ward]) for ward, found in devices.items()}
    if not wards:
        raise ValueError("it judges no device")
    network = _network(data.get("network"))
    told = [ward.verdict for ward in wards.values()] + ([network] if network else [])
    if _is_better(_verdict(data["verdict"]), _worst(told)):
        raise ValueError("its verdict is better than that of something in it")
    at = datetime.fromisoformat(data["as_of"])
    if at.tzinfo is None:
        raise ValueError(f"{data['as_of']} is a time without a zone")
    if not isinstance(data["wards"], list):
        raise TypeError("wards")
    return Audit(
        at.timestamp(), _text(data["district"]), not data["wards"], _text(data["version"]),
        _text(data["snapshot_sha256"]), _text(data["model_sha256"]), wards, network,
    )  # fmt: skip


def _network(network: dict[str, Any] | None) -> str:
    if network is None:
        return ""
    verdict = _verdict(network["verdict"])
    if _is_better(verdict, _worst([_verdict(cell["verdict"]) for cell in network["cells"]])):
        raise ValueError("the network is better than a direction in it")
    return verdict


def _ward(devices: list[dict[str, Any]], directions: Mapping[Direction, str]) -> WardVerdict:
    leaks = dict.fromkeys(CROSSES, 0)
    unknowns = dict.fromkeys(KINDS, 0)
    items: Counter[str] = Counter(dict.fromkeys(TREATMENTS, 0))
    verdicts: list[str] = []
    read = 0
    for device in devices:
        verdict = _verdict(device["verdict"])
        of_crossings = Counter(_verdict(crossing["verdict"]) for crossing in device["crossings"])
        for crossing in device["crossings"]:
            leaks[_crossed(crossing)] += crossing["verdict"] == "violated"
        unknowns["crossing"] += of_crossings["unknown"]
        unknowns["problem"] += len(device["problems"])
        unknowns["disagreement"] += len(device["disagreements"])
        told = [_verdict(pair["verdict"]) for pair in device["pairs"]]
        open_ = [*device["crossings"], *device["problems"], *device["disagreements"]]
        if _is_better(verdict, _worst([*told, "unknown" if open_ else "proved"])):
            raise ValueError(f"{_text(device['device'])} is {verdict}, and something in it is worse")
        for covered in device["coverage"]:
            items.update({treatment: _count(covered[treatment]) for treatment in TREATMENTS})
        if not isinstance(device["collected"], bool):
            raise TypeError("collected")
        read += device["collected"]
        verdicts.append(verdict)
    worst = _worst(verdicts)
    if _is_better(worst, _worst(list(directions.values()))):
        raise ValueError("a direction of the matrix is worse than the devices of its ward")
    return WardVerdict(worst, leaks, unknowns, dict(items), read, len(devices) - read, directions)


def _crossed(crossing: dict[str, Any]) -> str:
    one, other = _text(crossing["from_channel"]), _text(crossing["to_channel"])
    return "zones" if one == other else "channels"


def _text(value: object) -> str:
    if not isinstance(value, str) or not value or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{str(value)[:50]!r} is no name")
    return value


def _verdict(value: object) -> str:
    if value not in VERDICTS:
        raise ValueError(f"{str(value)[:50]!r} is no verdict")
    return str(value)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{str(value)[:50]!r} is no number of items")
    return value


def _worst(verdicts: list[str]) -> str:
    return max(verdicts, key=VERDICTS.index, default="proved")


def _is_better(one: str, other: str) -> bool:
    return VERDICTS.index(one) < VERDICTS.index(other)
