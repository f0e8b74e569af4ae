"""District -> the configuration files of agents, on gateways and on clerks' PCs. Ids, addresses and rates; nothing an
agent must look up."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

from wardnet.compile.pcs import PC_PORT
from wardnet.compile.plain import to_plain
from wardnet.compile.plan import on_day
from wardnet.compile.scanners import scanner_targets
from wardnet.model.intent import District
from wardnet.model.plan import HostPlan, Plan

LINK_PORT = 9807
SOFTWARE_PORT = 9808
INTERVAL_SECONDS = 10
# Of a PC: a page a minute in each family, and no more than that in a day, whatever the page has grown to.
PC_INTERVAL_SECONDS = 60
PC_DAY_BYTES = 64 * 1024 * 1024

# Of a line whose address the provider gives: bound to the port alone, the kernel picks what the port has.
ANY_IPV4, ANY_IPV6 = IPv4Address("0.0.0.0"), IPv6Address("::")  # noqa: S104


def compile_agent(district: District, plan: Plan, gateway_id: str) -> dict[str, Any]:
    """What the link and software exporters of one gateway measure, and where they listen."""
    today = on_day(district, plan.as_of)
    gateway = plan.gateway(gateway_id)
    site = next(site for _, site in today.sites if site.gateway.id == gateway_id)
    channels = []
    for circuit in sorted(site.circuits, key=lambda c: list(gateway.channels).index(c.channel)):
        rate = circuit.contracted[-1]
        channels.append(
            {
                "id": circuit.channel,
                "circuit": circuit.id,
                "provider": circuit.provider,
                "interface": circuit.interface,
                "ipv4": circuit.ipv4.ip if circuit.ipv4 else ANY_IPV4,
                "ipv6": circuit.ipv6.ip if circuit.ipv6 else ANY_IPV6,
                "resolvers": today.channel(circuit.channel).resolvers,
                "contracted_down_bps": rate.down_bps,
                "contracted_up_bps": rate.up_bps,
            }
        )
    present = {channel["id"] for channel in channels}
    listen = [address for address in (gateway.management_ipv4, gateway.management_ipv6) if address]
    plain: dict[str, Any] = to_plain(
        {
            "model_sha256": plan.model_sha256,
            "ward": gateway.ward,
            "site": gateway.site,
            "gateway": gateway.id,
            "domain": plan.domain,
            "listen": listen,
            "link_port": LINK_PORT,
            "software_port": SOFTWARE_PORT,
            "interval_seconds": INTERVAL_SECONDS,
            "channels": channels,
            "reflectors": [
                {"id": r.id, "channel": r.channel, "ipv4": r.ipv4, "ipv6": r.ipv6}
                for r in today.reflectors
                if r.channel in present
            ],
            "scanners": [each for each in scanner_targets(today, site) if each["channel"] in present],
            "services": [
                {"id": s.id, "channel": s.channel, "url": s.url} for s in today.services if s.channel in present
            ],
        }
    )
    return plain


def compile_pc_agent(district: District, plan: Plan, host: HostPlan) -> dict[str, Any] | None:
    """What the agent of a clerk's PC measures and where it listens; None where it has none (see compile/pcs.py)."""
    if host.workplace is None or not host.workplace.measured:
        return None
    today, port = on_day(district, plan.as_of), host.ports[0]
    plain: dict[str, Any] = to_plain(
        {
            "model_sha256": plan.model_sha256,
            "ward": host.ward,
            "site": host.site,
            "pc": host.id,
            "listen": [port.ipv4.ip],
            "port": PC_PORT,
            "interval_seconds": PC_INTERVAL_SECONDS,
            "day_bytes": PC_DAY_BYTES,
            "channel": {
                "id": host.channel,
                "interface": port.name,
                "ipv4": port.ipv4.ip,
                "ipv6": port.ipv6.ip,
                "resolvers": host.resolvers,
            },
            "services": [{"id": s.id, "url": s.url} for s in today.services if s.channel is host.channel],
        }
    )
    return plain
