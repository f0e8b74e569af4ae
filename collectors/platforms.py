"""What to read from a device of each platform. A platform is data: another one is another entry."""

from __future__ import annotations

from collections.abc import Mapping

from wardnet.model.intent import Platform, SwitchPlatform
from wardnet.model.snapshot import LINUX, OPENVSWITCH, Artefact

ARTEFACTS: Mapping[Platform | SwitchPlatform, tuple[Artefact, ...]] = {
    Platform.LINUX: LINUX,
    SwitchPlatform.OPENVSWITCH: OPENVSWITCH,
}
