"""What a host that nobody reaches fetches: its candidate as one signed bundle. Written at the controller (action plugin
wardnet_publish), read on the host (wardnet_pull.py). Pure: bytes in, records out. Standard library only.

A bundle is one line of canonical JSON (keys sorted, no spaces, UTF-8), so that the same content has the same bytes:

    format         FORMAT
    host           whose it is, as the machine calls itself
    serial         grows with every publication; a host takes none that is older than one that it has taken
    published      when, in seconds since 1970
    valid_until    from when it is refused, in seconds since 1970
    as_of          the day that it was compiled for, YYYY-MM-DD
    model_sha256   of the inventory that it was compiled from
    content_sha256 of `steps` and `arguments`: what is the same is not published anew
    arguments      of the commit: confirm_within, settle, probes
    steps          the candidate, as wardnet_candidate.py says

Beside HOST.bundle lies HOST.bundle.sig, an SSH signature (`ssh-keygen -Y sign -n wardnet-bundle`) over its bytes.
Nothing of a bundle is read before that is checked.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass
from typing import Any

FORMAT = "wardnet-bundle-1"
NAMESPACE = "wardnet-bundle"
SUFFIX, SIGNATURE_SUFFIX = ".bundle", ".bundle.sig"
LARGEST = 8 << 20  # bytes of a bundle
LARGEST_SIGNATURE = 16 << 10
CLOCKS_APART = 600  # seconds that a host's clock may be behind the controller's
ARGUMENTS = {"confirm_within": int, "settle": int, "probes": list}
HOST = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
SHA256 = re.compile(r"[0-9a-f]{64}")


class BundleRefusedError(Exception):
    """The bundle is not one that this host may take; the message says why, for people."""


@dataclass(frozen=True)
class Published:
    host: str
    serial: int
    published: int
    valid_until: int
    as_of: str
    model_sha256: str
    arguments: dict[str, Any]
    steps: list[dict[str, Any]]

    @property
    def content_sha256(self) -> str:
        return content_hash(self.arguments, self.steps)


def content_hash(arguments: dict[str, Any], steps: list[dict[str, Any]]) -> str:
    return hashlib.sha256(_canonical({"arguments": arguments, "steps": steps})).hexdigest()


def write_bundle(bundle: Published) -> bytes:
    """The bytes to sign. ValueError where it is larger than what a host takes."""
    record = {"format": FORMAT, "content_sha256": bundle.content_sha256, **bundle.__dict__}
    data = _canonical(record) + b"\n"
    if len(data) > LARGEST:
        raise ValueError(f"the bundle of {bundle.host} has {len(data)} bytes, and hosts take {LARGEST} at most")
    return data


def read_bundle(data: bytes) -> Published:
    """A bundle whose signature has been checked. BundleRefusedError where it has another shape."""
    try:
        record = json.loads(data)
    except ValueError as error:
        raise BundleRefusedError(f"the bundle is not JSON: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        said = record.get("format") if isinstance(record, dict) else None
        raise BundleRefusedError(f"the bundle has the format {said!r}, and this wardnet-pull reads {FORMAT}")
    shapes: dict[str, type] = {"host": str, "serial": int, "published": int, "valid_until": int, "as_of": str,
                               "model_sha256": str, "arguments": dict, "steps": list}  # fmt: skip
    for key, shape in shapes.items():
        if type(record.get(key)) is not shape:
            raise BundleRefusedError(f"the bundle's {key} is not of the kind that it must be")
    unknown = sorted(set(record) - {*shapes, "format", "content_sha256"})
    if unknown:
        raise BundleRefusedError(f"the bundle has keys that this wardnet-pull does not know: {', '.join(unknown)}")
    if not HOST.fullmatch(record["host"]) or not DAY.fullmatch(record["as_of"]):
        raise BundleRefusedError("the bundle's host or as_of is not written as one")
    if not SHA256.fullmatch(record["model_sha256"]):
        raise BundleRefusedError("the bundle's model_sha256 is not a hash")
    _check_arguments(record["arguments"])
    if not all(isinstance(step, dict) for step in record["steps"]):
        raise BundleRefusedError("the bundle's steps are not what a candidate is made of")
    bundle = Published(**{key: record[key] for key in shapes})
    if record.get("content_sha256") != bundle.content_sha256:
        raise BundleRefusedError("the bundle's content_sha256 is not that of its content")
    return bundle


def _check_arguments(arguments: dict[str, Any]) -> None:
    for key, value in arguments.items():
        if key not in ARGUMENTS or type(value) is not ARGUMENTS[key]:
            raise BundleRefusedError(f"the bundle's argument {key} is none that this wardnet-pull knows")
    if not 0 < arguments.get("confirm_within", 80) <= 3600 or not 0 <= arguments.get("settle", 30) <= 3600:
        raise BundleRefusedError("the bundle's confirm_within and settle must be from 1 to 3600 seconds")


def check_bundle(bundle: Published, host: str, now: float, newest: int) -> None:
    """BundleRefusedError where it is not for this host, not for now, or older than the `newest` serial taken here."""
    if bundle.host != host:
        raise BundleRefusedError(f"the bundle is for {bundle.host}, and this machine is {host}")
    if now < bundle.published - CLOCKS_APART:
        raise BundleRefusedError(
            f"the bundle was published at {stamp(bundle.published)}, and this machine's clock says {stamp(now)}: "
            "set the clock"
        )
    if now >= bundle.valid_until:
        raise BundleRefusedError(
            f"the bundle was valid until {stamp(bundle.valid_until)}, and this machine's clock says {stamp(now)}: "
            "it must be published anew"
        )
    if bundle.serial < newest:
        raise BundleRefusedError(
            f"the bundle has serial {bundle.serial}, and this host has taken {newest}: the mirror holds an old one"
        )


def next_serial(former: int, now: float) -> int:
    """Grows also where the folder with what was published before is lost: the clock goes on."""
    return max(former + 1, int(now))


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
