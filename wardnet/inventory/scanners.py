"""`scanner` of a host: its shape, and the record that is built from it."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from wardnet.inventory.values import Ident, Text, misfit
from wardnet.locale import _
from wardnet.model.intent import Source
from wardnet.model.scanners import ESCL_PORT, Scanner, ScannerPath


class ScannerRecord(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: Text
    paths: Annotated[list[ScannerPath], Field(min_length=1)]
    zones: list[Ident] = []
    port: Annotated[StrictInt, Field(ge=1, le=65535)] | None = None

    @model_validator(mode="after")
    def _together(self) -> ScannerRecord:
        paths = set(self.paths)
        if ScannerPath.ESCL in paths and len(paths) > 1:
            raise misfit(
                _("a scanner that speaks eSCL itself has no other path"),
                _("write 'paths: [escl]'; a box with a scanner by USB is another host"),
            )
        if self.port is not None and ScannerPath.ESCL not in paths:
            raise misfit(_("'port' is of eSCL, which this scanner does not speak"), _("remove 'port'"))
        return self


def build_scanner(record: ScannerRecord, source: Source) -> Scanner:
    paths = tuple(path for path in ScannerPath if path in record.paths)
    return Scanner(record.name, paths, tuple(record.zones), record.port or ESCL_PORT, source)
