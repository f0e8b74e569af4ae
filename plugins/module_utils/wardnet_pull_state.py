"""What wardnet-pull is told, keeps and says. Standard library only.

/etc/wardnet/pull.json             url, host, signers, and ca where the mirror's certificate is not a public one
/var/lib/wardnet/pull-taken.json   the newest serial that was taken, and content that was tried and taken back
/var/lib/wardnet/pull.json         the last attempt, for people and programs: attempt, result, why, serial ...
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_published import HOST, BundleRefusedError, stamp
from ansible.module_utils.wardnet_pull_mirrors import Mirror

CONFIG = Path("/etc/wardnet/pull.json")
TAKEN, STATUS = "pull-taken.json", "pull.json"
METRICS = Path("/var/lib/prometheus/node-exporter")  # where Debian's node exporter reads text
HOUR = 3600

# How an attempt came out, and with which status wardnet-pull ends. 75: it is tried again, and no failure of this host.
CONVERGED, CHANGED, NOT_REACHED, NOT_PUBLISHED, HELD, REFUSED, TAKEN_BACK, FAILED, MISCONFIGURED = (
    "converged", "changed", "not_reached", "not_published", "held", "refused", "taken_back", "failed", "misconfigured",
)  # fmt: skip
CODES = {CONVERGED: 0, CHANGED: 0, NOT_REACHED: 75, NOT_PUBLISHED: 75, HELD: 75, REFUSED: 65, TAKEN_BACK: 1, FAILED: 1,
         MISCONFIGURED: 78}  # fmt: skip


class ConfigError(Exception):
    """The configuration is missing or wrong; the message names the file."""


@dataclass(frozen=True)
class Config:
    url: str
    host: str
    signers: Path
    ca: Path | None

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.url, self.ca)


def read_config(path: Path = CONFIG) -> Config:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if not isinstance(record, dict):
        raise ConfigError(f"{path} must be an object with url, host and signers")
    unknown = sorted(set(record) - {"url", "host", "signers", "ca"})
    if unknown:
        raise ConfigError(f"{path} has no {', '.join(unknown)}; it has url, host, signers, ca")
    for key in ("url", "host", "signers", "ca"):
        value = record.get(key, "" if key == "ca" else None)
        if not isinstance(value, str) or (key != "ca" and not value):
            raise ConfigError(f"{path}: {key} must be a text")
    if not record["url"].startswith("https://"):
        raise ConfigError(f"{path}: url must begin with https://, and is {record['url']}")
    if not HOST.fullmatch(record["host"]):
        raise ConfigError(f"{path}: host is not the name of a machine: {record['host']}")
    ca = record.get("ca")
    return Config(record["url"], record["host"], Path(record["signers"]), Path(ca) if ca else None)


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from None


@dataclass
class Taken:
    """The newest serial that this host has taken, with the hash of its bytes; and `bad`, the content that was tried
    last and taken back: {content_sha256, times, at, why}."""

    serial: int = 0
    sha256: str = ""
    bad: dict[str, Any] | None = None

    def check_bytes(self, serial: int, sha256: str) -> None:
        if serial == self.serial and sha256 != self.sha256:
            raise BundleRefusedError(
                f"the bundle has serial {serial}, as one that this host has taken, and is another: publish it anew"
            )

    def waits(self, content_sha256: str, now: float) -> str:
        """Why this content is not tried now; empty where it is. What cut the host off is tried more and more seldom."""
        if not self.bad or self.bad["content_sha256"] != content_sha256:
            return ""
        again = self.bad["at"] + min(24, 2 ** (self.bad["times"] - 1)) * HOUR
        if not self.bad["at"] <= now < again:  # also where the clock was set back since
            return ""
        return (
            f"it was tried at {stamp(self.bad['at'])} and taken back ({self.bad['why']}); it is tried again after "
            f"{stamp(again)}, at once when something else is published, or by wardnet-pull --again"
        )

    def went_bad(self, content_sha256: str, now: float, why: str) -> None:
        same = self.bad is not None and self.bad["content_sha256"] == content_sha256
        times = (self.bad["times"] if self.bad and same else 0) + 1
        self.bad = {"content_sha256": content_sha256, "times": times, "at": int(now), "why": why}


def read_taken(state: Path) -> Taken:
    """Damaged as by a power cut counts as none: what a bundle is valid for still bounds what is taken."""
    with suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads((state / TAKEN).read_text())
        bad = record.get("bad")
        if bad is not None:
            bad = {"content_sha256": str(bad["content_sha256"]), "times": min(int(bad["times"]), 16),
                   "at": int(bad["at"]), "why": str(bad["why"])}  # fmt: skip
        return Taken(int(record["serial"]), str(record["sha256"]), bad)
    return Taken()


def write_taken(state: Path, taken: Taken) -> None:
    write_json(state / TAKEN, taken.__dict__)


def read_status(state: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        record = json.loads((state / STATUS).read_text())
        if isinstance(record, dict):
            return record
    return {}


def write_json(path: Path, record: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    undo.write(path, json.dumps(record, indent=1, sort_keys=True) + "\n", 0o644)


def write_metrics(folder: Path, status: dict[str, Any], now: float) -> None:
    """For the text collector of a node exporter, where there is one."""
    if not folder.is_dir():
        return
    figures = {
        "last_attempt_timestamp_seconds": ("When wardnet-pull was last at it.", now),
        "last_success_timestamp_seconds": ("When this host was last as published.", status.get("last_success_at") or 0),
        "serial": ("Of the newest bundle that was taken.", status.get("serial") or 0),
        "updates_timestamp_seconds": ("When security updates last came to their end.", status.get("updates_at") or 0),
        "valid_until_timestamp_seconds": ("When that bundle ends.", status.get("valid_until_at") or 0),
    }
    lines = []
    for name, (text, value) in figures.items():
        lines += [f"# HELP wardnet_pull_{name} {text}", f"# TYPE wardnet_pull_{name} gauge"]
        lines.append(f"wardnet_pull_{name} {int(value)}")
    lines += ["# HELP wardnet_pull_result How the last attempt came out.", "# TYPE wardnet_pull_result gauge"]
    lines += [f'wardnet_pull_result{{result="{name}"}} {int(status.get("result") == name)}' for name in CODES]
    with suppress(OSError):
        undo.write(folder / "wardnet-pull.prom", "\n".join(lines) + "\n", 0o644)
