"""What the provider gives to lines whose addresses are its own to say: one lease a line, so it knows the way back."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Interface, IPv6Interface
from itertools import islice

from lab.hosts import HostFile
from lab.outside import Outside
from lab.topology import Wire
from wardnet.model.intent import Addressing, IPAddress, IPInterface

CONFIGURATION = "/etc/lab-leases.conf"
UNIT = "/etc/systemd/system/lab-leases.service"
LEASE = "12h"  # so long that no test is surprised by a renewal

# The provider says more than a gateway should believe: names, and a way to somebody else's network by itself.
_SAID = ("dhcp-option=option:domain-name,provider.example", "dhcp-option=option:router,{router}",
         "dhcp-option=option:classless-static-route,10.0.0.0/8,{router},0.0.0.0/0,{router}")  # fmt: skip

_SERVICE = f"""[Unit]
Description=Leases for the lines of this provider
After=network.target

[Service]
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file={CONFIGURATION}
Restart=on-failure
ProtectHome=yes
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""


class Leasing:
    """`ends` holds for each leased line what a circuit with static addresses says itself: the site's and the
    provider's address of each family."""

    def __init__(self, outside: Outside, wires: Sequence[Wire]) -> None:
        self._wires = [wire for wire in wires if wire.circuit.addressing is Addressing.DHCP]
        self.ends: dict[str, tuple[tuple[IPInterface, IPAddress], ...]] = {}
        if outside.leases is None:
            return
        count = len(self._wires)
        nets4 = islice(outside.leases.ipv4.subnets(new_prefix=30), count)
        nets6 = islice(outside.leases.ipv6.subnets(new_prefix=64), count)
        for wire, net4, net6 in zip(self._wires, nets4, nets6, strict=True):
            self.ends[wire.id] = (
                (IPv4Interface((net4[2], 30)), net4[1]),
                (IPv6Interface((net6[2], 64)), net6[1]),
            )

    def files(self) -> list[HostFile]:
        """dnsmasq: IPv4 by DHCP, IPv6 by router advertisements and DHCPv6; empty where nothing is leased."""
        if not self.ends:
            return []
        lines = ["port=0", "bind-dynamic", "pid-file", "user=nobody", "group=nogroup", "log-facility=-",
                 "dhcp-authoritative", "leasefile-ro", "enable-ra"]  # fmt: skip
        for wire in self._wires:
            (near4, far4), (near6, _far6) = self.ends[wire.id]
            lines += [
                f"interface={wire.far_port}",
                f"dhcp-range=set:{wire.far_port},{near4.ip},{near4.ip},{near4.netmask},{LEASE}",
                f"dhcp-range={near6.ip},{near6.ip},64,{LEASE}",
                *(said.format(router=far4).replace("=", f"=tag:{wire.far_port},", 1) for said in _SAID),
            ]
        return [
            HostFile(CONFIGURATION, ("\n".join(lines) + "\n").encode()),
            HostFile(UNIT, _SERVICE.encode()),
            HostFile("/etc/systemd/system/multi-user.target.wants/lab-leases.service", target=UNIT),
        ]
