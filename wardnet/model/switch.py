"""An access switch as its artefacts show it: bridges of Open vSwitch, their ports with VLANs, and their flows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from wardnet.model.device import Link
from wardnet.model.span import Coverage, Span, Unknown

HIGHEST_VLAN = 4095  # of the tag's twelve bits; 0 is no VLAN


class VlanMode(StrEnum):
    """How a port has its frames tagged, as ovs-vswitchd.conf.db(5) names it."""

    ACCESS = "access"
    TRUNK = "trunk"
    NATIVE_TAGGED = "native-tagged"
    NATIVE_UNTAGGED = "native-untagged"


@dataclass(frozen=True, slots=True)
class FramePort:
    """A port of a bridge; `tag` of its own VLAN, `trunks` those that it carries tagged (none named: all). `number` is
    what flows call it. Two `protected` ports don't hear each other. `internal` is a port of the switch itself."""

    span: Span
    name: str
    mode: VlanMode
    tag: int | None
    trunks: tuple[int, ...]
    number: int | None
    protected: bool
    internal: bool


class FlowAction(StrEnum):
    NORMAL = "NORMAL"  # as a switch does, by VLAN and learnt address
    DROP = "drop"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow of a bridge's first table: for frames from `port` (None: any), of which it may look at more (`narrow`: the
    words that say so)."""

    span: Span
    priority: int
    port: int | None
    narrow: tuple[str, ...]
    action: FlowAction


@dataclass(frozen=True, slots=True)
class FrameBridge:
    span: Span
    name: str
    ports: tuple[FramePort, ...]
    flows: tuple[Flow, ...]


@dataclass(frozen=True, slots=True)
class SwitchDevice:
    """Everything that one switch's artefacts say."""

    id: str
    links: tuple[Link, ...]
    bridges: tuple[FrameBridge, ...]
    unknowns: tuple[Unknown, ...]
    coverage: tuple[Coverage, ...]

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links if link.name == name), None)
