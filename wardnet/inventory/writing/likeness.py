"""A ward as its file says it, made like another one: its networks, hosts and switch, each with ids and addresses of the
new ward. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_interface

from wardnet.inventory.writing.answers import NewWard
from wardnet.inventory.writing.errors import WritingError
from wardnet.locale import _
from wardnet.model.intent import (
    Addressing,
    Channel,
    Circuit,
    District,
    HostRole,
    IPAddress,
    IPInterface,
    IPNetwork,
    Network,
    PortMode,
    Site,
    Ward,
)

MAX_CIRCUIT = 15  # letters: the hub's port is named after a WAN circuit
Renamed = Callable[[str], str]
Found = Mapping[str, IPNetwork]


def ward_like(district: District, model: Ward, office: Site, new: NewWard, found: Found) -> dict[str, object]:
    """The ward as its file says it, keys in the order of the files."""

    def renamed(own: str) -> str:
        rest = own.removeprefix(f"{model.id}-")
        return f"{new.id}-{rest}"

    circuits = [_circuit(district, circuit, new, renamed, found) for circuit in lines_of(office)]
    networks = {network.id: _network(network, found) for network in office.networks}
    hosts = _hosts(office, new, renamed, found)
    site: dict[str, object] = {
        "id": renamed(office.id), "name": new.office_name, "kind": office.kind.value, "circuits": circuits,
        "networks": list(networks.values()),
    }  # fmt: skip
    gateway: dict[str, object] = {"id": renamed(office.gateway.id), "platform": office.gateway.platform.value}
    if office.gateway.management_network:
        gateway["management_network"] = office.gateway.management_network
    if office.gateway.vrf:
        gateway["vrf"] = True
    site["gateway"] = gateway
    if office.switch is not None:
        site["switch"] = _switch(office, renamed, found, {str(host["id"]) for host in hosts})
    site["hosts"] = hosts
    return {"id": new.id, "name": new.name, "sites": [site]}


def lines_of(office: Site) -> list[Circuit]:
    """One circuit a channel: the one that stays where a new provider is written beside the old one."""
    by_end = sorted(office.circuits, key=lambda circuit: circuit.valid_to or date.max)
    last = {circuit.channel: circuit.id for circuit in by_end}
    return [circuit for circuit in office.circuits if circuit.id == last[circuit.channel]]


def _circuit(district: District, circuit: Circuit, new: NewWard, renamed: Renamed, found: Found) -> dict[str, object]:
    line = new.lines[circuit.channel]
    own_id = renamed(circuit.id)
    if circuit.channel is Channel.WAN and len(own_id) > MAX_CIRCUIT:
        own_id = f"{new.id[: MAX_CIRCUIT - 4].rstrip('-')}-wan"
    plain: dict[str, object] = {"id": own_id, "channel": circuit.channel.value, "provider": line.provider}
    plain["interface"] = circuit.interface
    if circuit.parent:
        plain["parent"] = circuit.parent
    if circuit.vlan:
        plain["vlan"] = circuit.vlan
    if line.addressing is not Addressing.STATIC:
        plain["addressing"] = line.addressing.value
    for version in (4, 6):
        network = found.get(f"circuit/{circuit.channel}/{version}")
        if network is not None:
            given = next((each for each in line.addresses if each.version == version), None)
            own, peer = _ends(given, network)
            plain |= {f"ipv{version}": str(own), f"ipv{version}_peer": str(peer)}
    if line.addressing is Addressing.PPPOE:
        secret = new.id.replace("-", "_")
        plain["pppoe"] = {"user": line.pppoe_user, "password": f"vault:{secret}_pppoe"}
    if circuit.bgp:
        numbers = [c.bgp.local_as for _ward, site in district.sites for c in site.circuits if c.bgp]
        plain |= {"routing": "bgp", "bgp": {"local_as": max(numbers) + 1, "peer_as": circuit.bgp.peer_as}}
    rate = {"down": line.down_kbps, "up": line.up_kbps, "valid_from": new.valid_from.isoformat()}
    plain["contracted_kbps"] = [rate]
    return plain


def _ends(given: IPInterface | None, network: IPNetwork) -> tuple[IPInterface, IPAddress]:
    """The gateway's end and the far one: the far end has the first address, as providers number them, or the other."""
    at = int(network.network_address) + (network.prefixlen < network.max_prefixlen - 1)  # a pair has no more than two
    first, second = (_address(number, network) for number in (at, at + 1))
    if given is None:
        return ip_interface(f"{second}/{network.prefixlen}"), first
    return given, (first if given.ip != first else second)


def _address(number: int, network: IPNetwork) -> IPAddress:
    return IPv4Address(number) if network.version == 4 else IPv6Address(number)


def _offset(own: IPv4Interface | IPv6Interface | IPv4Address | IPv6Address, network: IPNetwork) -> int:
    return int(own) - int(network.network_address)


def _network(network: Network, found: Found) -> dict[str, object]:
    plain: dict[str, object] = {"id": network.id, "zone": network.zone, "vlan": network.vlan}
    plain["interface"] = network.interface
    if network.parent:
        plain["parent"] = network.parent
    for own in (network.ipv4, network.ipv6):
        prefix = found[f"network/{network.id}/{own.version}"]
        address = prefix.network_address + _offset(own.ip, own.network)
        plain[f"ipv{own.version}"] = f"{address}/{prefix.prefixlen}"
    if network.dhcp:
        base = found[f"network/{network.id}/4"].network_address
        plain["dhcp"] = {
            "first": str(base + _offset(network.dhcp.first, network.ipv4.network)),
            "last": str(base + _offset(network.dhcp.last, network.ipv4.network)),
        }
    for word, served in (("names", network.names), ("time", network.time)):
        if served:
            plain[word] = True
    return plain


def _hosts(office: Site, new: NewWard, renamed: Renamed, found: Found) -> list[dict[str, object]]:
    """As in the model, but so many counters: the first ones of it, and more behind them. No hardware addresses: those
    are of single devices."""
    counters = [host for host in office.hosts if host.role is HostRole.COUNTER]
    if new.pcs > len(counters) and not counters:
        raise WritingError(_("ward '{ward}' has no PC that others could be like").format(ward=new.model))
    plain: list[dict[str, object]] = []
    held: dict[str, set[int]] = {}
    for host in office.hosts:
        for port in host.interfaces:
            held.setdefault(port.network, set()).add(_offset(port.ipv4, _of(office, port.network).ipv4.network))
    for host in office.hosts:
        if host.role is HostRole.COUNTER and counters.index(host) >= new.pcs:
            continue
        ports = []
        for port in host.interfaces:
            network = _of(office, port.network)
            offsets = [_offset(port.ipv4, network.ipv4.network), _offset(port.ipv6, network.ipv6.network)]
            ports.append(_port(port.name, port.network, offsets, found))
        plain.append(_host(renamed(host.id), host.role.value, host.os.value, host.channel.value, ports))
        if host.role is HostRole.COUNTER and host is counters[min(len(counters), new.pcs) - 1]:
            for number in range(len(counters) + 1, new.pcs + 1):
                port = host.interfaces[0]
                own = _of(office, port.network).ipv4.network
                last = _offset(port.ipv4, own)
                free = (each for each in range(last + 1, own.num_addresses - 1) if each not in held[port.network])
                offset = next(free, 0)
                if not offset:
                    said = _("no address is left for PC {number} in network '{network}'")
                    raise WritingError(said.format(number=number, network=port.network))
                held[port.network].add(offset)
                # Written in decimal in both families, as 10.20.1.11 stands beside fd20:20:1::11.
                ports = [_port(port.name, port.network, [offset, int(str(offset), 16)], found)]
                name = f"{new.id}-pc-{number}"
                plain.append(_host(name, host.role.value, host.os.value, host.channel.value, ports))
    return plain


def _of(office: Site, network_id: str) -> Network:
    return next(network for network in office.networks if network.id == network_id)


def _port(name: str, network: str, offsets: list[int], found: Found) -> dict[str, object]:
    plain: dict[str, object] = {} if name == "eth0" else {"name": name}
    plain["network"] = network
    for version, offset in zip((4, 6), offsets, strict=True):
        plain[f"ipv{version}"] = str(found[f"network/{network}/{version}"].network_address + offset)
    return plain


def _host(name: str, role: str, system: str, channel: str, ports: list[dict[str, object]]) -> dict[str, object]:
    return {"id": name, "role": role, "os": system, "channel": channel, "interfaces": ports}


def _switch(office: Site, renamed: Renamed, found: Found, hosts: set[str]) -> dict[str, object]:
    switch = office.switch
    assert switch is not None
    plain: dict[str, object] = {"id": renamed(switch.id), "platform": switch.platform.value}
    if switch.management_network:
        plain["management_network"] = switch.management_network
        network = _of(office, switch.management_network)
        for own, whole in ((switch.ipv4, network.ipv4), (switch.ipv6, network.ipv6)):
            if own is not None:
                base = found[f"network/{network.id}/{own.version}"].network_address
                plain[f"ipv{own.version}"] = str(base + _offset(own, whole.network))
    ports = []
    for port in switch.ports:
        one: dict[str, object] = {"name": port.name}
        if port.mode is PortMode.UNUSED:
            one["unused"] = True
        else:
            one[port.mode.value] = port.networks[0] if port.mode is PortMode.ACCESS else list(port.networks)
        leads_to = port.leads_to if port.leads_to in (None, "uplink") else renamed(port.leads_to)
        if leads_to in ("uplink", renamed(office.gateway.id)) or leads_to in hosts:
            one["to"] = leads_to
        ports.append(one)
    plain["ports"] = ports
    return plain
