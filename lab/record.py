"""STATE/lab.json: what a lab was made from and what was done to it since. Whether it still runs is asked of the
system, not of this file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.layout import COMMAND, Layout
from wardnet.locale import _

MAKING = "making"
UP = "up"


@dataclass(frozen=True, slots=True)
class HostRecord:
    id: str
    kind: str
    ward: str | None
    site: str | None
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CircuitRecord:
    id: str
    channel: str
    ward: str
    near: str
    far: str


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault that holds now. `notes` is what its heal needs to take back exactly what was done."""

    fault: str
    ward: str
    channel: str
    verdict: str
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    name: str
    state: str
    made_at: str
    inventory: str
    inventory_sha256: str
    as_of: str
    model_sha256: str
    wards: tuple[str, ...]
    image: str
    suite: str
    window: int | None
    hosts: tuple[HostRecord, ...]
    circuits: tuple[CircuitRecord, ...]
    not_booted: tuple[tuple[str, str], ...]
    faults: tuple[FaultRecord, ...] = ()
    workplaces: bool = False  # whether its mirror has what PCs are made of

    def host(self, host_id: str) -> HostRecord:
        for host in self.hosts:
            if host.id == host_id:
                return host
        raise LabError(
            _("no host {host} in the lab {name}; `{lab} status` lists them").format(
                host=host_id, name=self.name, lab=COMMAND
            )
        )

    def with_faults(self, faults: tuple[FaultRecord, ...]) -> Record:
        return replace(self, faults=faults)


def parse_record(text: str) -> Record:
    """Raises ValueError, KeyError or TypeError for a text that no lab of this version wrote."""
    data = json.loads(text)
    data["hosts"] = tuple(HostRecord(**{**item, "addresses": tuple(item["addresses"])}) for item in data["hosts"])
    data["circuits"] = tuple(CircuitRecord(**item) for item in data["circuits"])
    data["faults"] = tuple(FaultRecord(**item) for item in data["faults"])
    data["not_booted"] = tuple((item[0], item[1]) for item in data["not_booted"])
    data["wards"] = tuple(data["wards"])
    return Record(**data)


def read_record(layout: Layout) -> Record | None:
    """None where there is no lab, or only the remains of one that wrote no readable record."""
    try:
        return parse_record(layout.record.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return None


def require_record(layout: Layout) -> Record:
    record = read_record(layout)
    if record is None or record.state != UP:
        raise LabError(
            _("the lab {name} is not up: `{lab} up --wards 1` boots it").format(name=layout.name, lab=COMMAND)
        )
    return record


def write_record(layout: Layout, record: Record) -> None:
    path: Path = layout.record
    making = path.with_suffix(".new")
    making.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False) + "\n")
    making.replace(path)
