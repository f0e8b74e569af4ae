"""What a technician or a provider leaves on each machine before Ansible first comes: the files laid into it
before it boots. Pure: a node of the topology in, files out.

Network units are named 05-bootstrap-*, so that the roles which take over can remove them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lab import shop_switch
from lab.hosts import HostFile
from lab.leasing import Leasing
from lab.outside import Outside
from lab.topology import Kind, Node, Topology
from wardnet.model.intent import Channel, IPAddress, IPNetwork
from wardnet.model.plan import GatewayPlan, Plan, Port, PortKind

_NETWORKD = "/etc/systemd/network"
_FORWARDING = HostFile(
    "/etc/sysctl.d/05-bootstrap-forwarding.conf",
    b"net.ipv4.ip_forward = 1\nnet.ipv6.conf.all.forwarding = 1\n",
)
_NFTABLES_WANTED = HostFile(
    "/etc/systemd/system/sysinit.target.wants/nftables.service", target="/lib/systemd/system/nftables.service"
)


def network_unit(
    port: str,
    addresses: Iterable[object],
    gateways: Iterable[IPAddress] = (),
    routes: Iterable[tuple[IPNetwork, IPAddress]] = (),
    *,
    required: bool = True,
) -> HostFile:
    """A systemd-networkd unit for one port. `gateways` are default routes."""
    lines = ["[Match]", f"Name={port}", "", "[Network]", "IPv6AcceptRA=no", "ConfigureWithoutCarrier=yes"]
    if not required:
        lines[2:2] = ["", "[Link]", "RequiredForOnline=no"]
    lines += [f"Address={address}" for address in addresses]
    lines += [f"Gateway={gateway}" for gateway in gateways]
    for destination, via in routes:
        lines += ["", "[Route]", f"Destination={destination}", f"Gateway={via}"]
    return HostFile(f"{_NETWORKD}/05-bootstrap-{port}.network", ("\n".join(lines) + "\n").encode())


def resolv_conf(resolvers: Sequence[IPAddress], domain: str) -> HostFile:
    lines = [f"search {domain}", "options timeout:2 attempts:2", *(f"nameserver {one}" for one in resolvers)]
    return HostFile("/etc/resolv.conf", ("\n".join(lines) + "\n").encode())


def files(
    node: Node, topology: Topology, plan: Plan, outside: Outside, resolvers: Sequence[IPAddress]
) -> list[HostFile]:
    """Network and names of one node; `resolvers` are those of its channel."""
    found = [resolv_conf(resolvers, plan.domain)]
    if node.host is not None:
        for index, port in enumerate(node.host.ports):
            # One default route a host: a second port of the same host is on the same channel.
            ways = (port.gateway_ipv4, port.gateway_ipv6) if index == 0 else ()
            found.append(network_unit(port.name, (port.ipv4, port.ipv6), ways))
    elif node.gateway is not None:
        if node.kind is Kind.HUB:
            found += _hub(node.gateway, topology, plan)
        else:
            found += _managed_gateway(node.gateway) if node.kind is Kind.GATEWAY else _provider_box(node.gateway)
    elif node.switch is not None:
        found += shop_switch.files(node.switch)
        own = node.switch.management
        if own is not None:
            found.append(network_unit(own.name, (own.ipv4, own.ipv6), (own.gateway_ipv4, own.gateway_ipv6)))
    elif node.kind is Kind.ISP:
        found += _isp(outside, topology, plan)
    elif node.outside is not None:
        addresses = (
            f"{node.outside.ipv4}/{outside.ipv4.prefixlen}",
            f"{node.outside.ipv6}/{outside.ipv6.prefixlen}",
        )
        found.append(network_unit("eth0", addresses, (outside.router.ipv4, outside.router.ipv6)))
    return found


def _peers(port: Port) -> tuple[IPAddress, ...]:
    return tuple(peer for peer in (port.ipv4_peer, port.ipv6_peer) if peer is not None)


def _managed_gateway(gateway: GatewayPlan) -> list[HostFile]:
    """Reached over the WAN and no more: no forwarding, nothing on the internet's side."""
    found = []
    for port in gateway.ports:
        if port.channel is not Channel.WAN:
            continue
        if port.kind is PortKind.CIRCUIT:
            found.append(network_unit(port.name, port.own, _peers(port)))
        elif gateway.management_ipv4 is not None and gateway.management_ipv4 in [own.ip for own in port.own]:
            found.append(network_unit(port.name, port.own))
    return found


def _hub(gateway: GatewayPlan, topology: Topology, plan: Plan) -> list[HostFile]:
    """Forwards, and knows the way to the management network behind each circuit."""
    behind: dict[str, list[tuple[IPNetwork, IPAddress]]] = {}
    for wire in topology.wires:
        if wire.far != gateway.id:
            continue
        near, mine = plan.gateway(wire.near), gateway.port(wire.far_port)
        for port in near.ports:
            if near.management_ipv4 is not None and near.management_ipv4 in [own.ip for own in port.own]:
                ways = behind.setdefault(wire.far_port, [])
                peers = {peer.version: peer for peer in _peers(mine)}
                ways += [(own.network, peers[own.version]) for own in port.own if own.version in peers]
    dark = {port for host, port in topology.unplugged if host == gateway.id}
    units = [
        network_unit(port.name, port.own, routes=behind.get(port.name, ()), required=port.name not in dark)
        for port in gateway.ports
    ]
    return [*units, _FORWARDING]


def _provider_box(gateway: GatewayPlan) -> list[HostFile]:
    """NAT for IPv4, forwarding from the LANs to the line, nothing let in: as providers deliver them."""
    units = [
        network_unit(port.name, port.own, _peers(port) if port.kind is PortKind.CIRCUIT else ())
        for port in gateway.ports
    ]
    lines = ", ".join(f'"{port.name}"' for port in gateway.ports if port.kind is PortKind.CIRCUIT)
    lans = ", ".join(f'"{port.name}"' for port in gateway.ports if port.kind is PortKind.NETWORK)
    masquerade = ", ".join(f'"{name}"' for name in gateway.masquerade) or lines
    ruleset = f"""flush ruleset
table inet provider {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname {{ {lans} }} oifname {{ {lines} }} accept
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname {{ {lines} }} ct state new meta l4proto {{ tcp, udp }} drop
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    meta nfproto ipv4 oifname {{ {masquerade} }} masquerade
  }}
}}
"""
    return [*units, HostFile("/etc/nftables.conf", ruleset.encode(), 0o755), _NFTABLES_WANTED, _FORWARDING]


def _isp(outside: Outside, topology: Topology, plan: Plan) -> list[HostFile]:
    """Ends of all internet circuits. IPv6 prefixes of the sites are routed to them; IPv4 ones are private and
    have no way back, as on the real internet."""
    router = outside.router
    found = [
        network_unit("eth0", (f"{router.ipv4}/{outside.ipv4.prefixlen}", f"{router.ipv6}/{outside.ipv6.prefixlen}"))
    ]
    wires = [wire for wire in topology.wires if wire.far == router.id]
    leases = Leasing(outside, wires)
    for wire in wires:
        circuit = wire.circuit
        ends = leases.ends.get(wire.id) or tuple(zip(circuit.own, circuit.peers, strict=True))
        addresses = [f"{peer}/{own.network.prefixlen}" for own, peer in ends]
        behind: list[tuple[IPNetwork, IPAddress]] = [
            (own.network, near.ip)
            for port in plan.gateway(wire.near).ports
            for own in port.own
            for near, _peer in ends
            if port.kind is PortKind.NETWORK and port.channel is Channel.INTERNET and own.version == near.version == 6
        ]
        found.append(network_unit(wire.far_port, addresses, routes=behind))
    return [*found, *leases.files(), _FORWARDING]
