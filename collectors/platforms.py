"""What to read from a device of each platform. A platform is data: another one is another entry."""

from __future__ import annotations

from collections.abc import Mapping

from wardnet.model.intent import Platform
from wardnet.model.snapshot import LINUX, Artefact

ARTEFACTS: Mapping[Platform, tuple[Artefact, ...]] = {
    Platform.LINUX: LINUX,
}
