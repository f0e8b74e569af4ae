"""What the lab's resolvers answer: each side knows the names of its own channel and asks nobody else, so that no
resolver joins the channels."""

from __future__ import annotations

from urllib.parse import urlsplit

from lab.hosts import HostFile
from lab.topology import Topology
from wardnet.model.intent import Channel, District
from wardnet.model.plan import Plan

UNIT = "/etc/systemd/system/lab-resolver.service"


def service_name(url: str) -> str:
    return urlsplit(url).hostname or ""


def records(district: District, plan: Plan, topology: Topology, channel: Channel) -> list[tuple[str, tuple[str, ...]]]:
    """(name, addresses) of the channel's services and booted hosts; a service's name comes first."""
    found: dict[str, tuple[str, ...]] = {}
    for service in district.services:
        if service.channel is channel:
            addresses = tuple(str(address) for address in (service.ipv4, service.ipv6) if address is not None)
            found[service_name(service.url)] = addresses
    for node in topology.nodes:
        if node.host is not None and node.host.channel is channel:
            port = node.host.ports[0]
            found.setdefault(f"{node.id}.{plan.domain}", (str(port.ipv4.ip), str(port.ipv6.ip)))
        elif node.outside is not None and channel is Channel.INTERNET:
            found.setdefault(f"{node.id}.{plan.domain}", (str(node.outside.ipv4), str(node.outside.ipv6)))
    return list(found.items())


def resolver_files(district: District, plan: Plan, topology: Topology, channel: Channel) -> list[HostFile]:
    lines = [
        "no-resolv",
        "no-hosts",
        "no-poll",
        "local-ttl=60",
        "port=53",
        "bind-dynamic",
        "pid-file",
        "user=nobody",
        "group=nogroup",
        "log-facility=-",
        "except-interface=lo",
        "local=/#/",  # every other name: no such name, at once
    ]
    lines += [
        f"host-record={name},{','.join(addresses)}" for name, addresses in records(district, plan, topology, channel)
    ]
    unit = """[Unit]
Description=Names of the lab's services
After=network.target

[Service]
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/etc/lab-resolver.conf
Restart=on-failure
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""
    return [
        HostFile("/etc/lab-resolver.conf", ("\n".join(lines) + "\n").encode()),
        HostFile(UNIT, unit.encode()),
        HostFile("/etc/systemd/system/multi-user.target.wants/lab-resolver.service", target=UNIT),
    ]
