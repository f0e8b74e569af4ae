"""Where the networks of each channel are, for packets that people recognise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from wardnet.model.intent import Channel, IPNetwork
from wardnet.model.policy import DevicePolicy, PolicyPort

_USUAL = 10
# Documentation addresses (RFC 5737, RFC 3849).
_NOWHERE: Mapping[int, IPNetwork] = {4: IPv4Network("203.0.113.0/24"), 6: IPv6Network("2001:db8::/64")}


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


def usual_host(networks: Sequence[IPNetwork], family: int) -> int:
    """The address of a usual host of the first network, or of nowhere in particular."""
    found = next((network for network in networks if network.version == family), _NOWHERE[family])
    return int(found.network_address) + min(_USUAL, found.num_addresses - 1)


def channel_networks(policies: Sequence[DevicePolicy]) -> Places:
    """Where each channel's networks are, by all devices' policies."""
    found: dict[Channel, list[IPNetwork]] = {}
    for device in policies:
        for port in device.ports:
            found.setdefault(port.channel, []).extend(port.prefixes)
    return Places({channel: tuple(networks) for channel, networks in found.items()})
