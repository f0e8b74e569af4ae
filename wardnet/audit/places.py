"""Where the networks of each channel are, for packets that people recognise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardnet.model.intent import Channel, IPNetwork
from wardnet.model.policy import DevicePolicy, PolicyPort


@dataclass(frozen=True, slots=True)
class Places:
    """Networks of each channel, the district over: where the far ends of circuits may be."""

    networks: Mapping[Channel, tuple[IPNetwork, ...]]

    @property
    def everywhere(self) -> tuple[IPNetwork, ...]:
        return tuple(network for networks in self.networks.values() for network in networks)

    def behind(self, port: PolicyPort, device: DevicePolicy) -> tuple[IPNetwork, ...]:
        if port.prefixes:
            return port.prefixes
        own = {prefix for other in device.ports for prefix in other.prefixes}
        if port.channel is Channel.INTERNET:
            return ()
        return tuple(network for network in self.networks.get(port.channel, ()) if network not in own)


def channel_networks(policies: Sequence[DevicePolicy]) -> Places:
    """Where each channel's networks are, by all devices' policies."""
    found: dict[Channel, list[IPNetwork]] = {}
    for device in policies:
        for port in device.ports:
            found.setdefault(port.channel, []).extend(port.prefixes)
    return Places({channel: tuple(networks) for channel, networks in found.items()})
