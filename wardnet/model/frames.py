"""What switches frames below all routing: VLANs of bridges, and switches of Open vSwitch."""

from __future__ import annotations

from dataclasses import dataclass

from wardnet.model.span import Span


@dataclass(frozen=True, slots=True)
class BridgeVlan:
    """A VLAN that a bridge's port takes part in, or the bridge itself as the device's own port (`port` is then the
    bridge). Untagged frames that come in are of the VLAN that is `native`; going out, those of an `untagged` one have
    no tag."""

    span: Span
    port: str
    vlan: int
    native: bool
    untagged: bool
