"""A provider that lines dial in to: a guest of its own between a line's far end and the internet's side of the lab,
with PPPoE in its kernel. User and password are checked; it gives one IPv4 address and announces one prefix."""

from __future__ import annotations

from ipaddress import ip_address

from lab import Lab, pki
from lab.bootstrap import network_unit
from lab.hosts import HostFile, identity_files
from lab.qemu import Card, Guest, Plug, make
from lab.topology import OUTSIDE_SWITCH
from tests.roles.roles_support import inside

NAME = "provider"
FAR, GIVEN, PREFIX = "198.51.100.129", "198.51.100.130", "2001:db8:ff:80::"
OWN4, OWN6 = "203.0.113.7", "2001:db8:cafe::7"
ROUTER = (ip_address("203.0.113.1"), ip_address("2001:db8:cafe::1"))

# Says more than a gateway should believe: names, and where everything is to go.
OPTIONS = """require-chap
auth
lcp-echo-interval 10
lcp-echo-failure 3
ms-dns 203.0.113.66
mtu 1492
mru 1492
+ipv6
nodefaultroute
noipdefault
noccp
novj
"""
UP = f"""#!/bin/sh
ip -6 address replace {PREFIX}1/64 dev "$1"
ip -6 route replace @LAN@ dev "$1"
"""
SERVER = f"""[Unit]
Description=Sessions that lines dial
After=network.target

[Service]
ExecStart=/usr/sbin/pppoe-server -F -I line0 -C lab -S lab -L {FAR} -R {GIVEN} -N 1 -T 60 -O /etc/ppp/sessions
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""
ADVERTISED = f"""[Unit]
Description=The prefix of sessions

[Service]
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=nobody --group=nogroup \\
  --pid-file= --bind-dynamic --interface=ppp* --enable-ra --dhcp-range={PREFIX},ra-only,64,12h --ra-param=ppp*,10,1800
Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def unit(name: str, text: str) -> list[HostFile]:
    path = f"/etc/systemd/system/{name}.service"
    return [
        HostFile(path, text.encode()),
        HostFile(f"/etc/systemd/system/multi-user.target.wants/{name}.service", target=path),
    ]


def make_provider(lab: Lab, line: str, user: str, password: str, lan: str) -> Guest:
    """The provider's guest, not started yet, where the isp had the far end `line` of an internet line. `lan` is the
    network behind the line; the isp knows the way to it."""
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    key = lab.layout.certificates / "hosts" / NAME
    private, public = pki.make_ssh_key(key, f"root@{NAME}")
    files = [
        *identity_files(NAME, private, public, public),
        network_unit("line0", ()),
        network_unit("up0", (f"{OWN4}/24", f"{OWN6}/64"), ROUTER),
        HostFile(
            "/etc/sysctl.d/05-bootstrap-forwarding.conf", b"net.ipv4.ip_forward=1\nnet.ipv6.conf.all.forwarding=1\n"
        ),
        HostFile("/etc/ppp/sessions", OPTIONS.encode()),
        HostFile("/etc/ppp/chap-secrets", f'"{user}" * "{quoted}" {GIVEN}\n'.encode(), 0o600),
        HostFile("/etc/ppp/ipv6-up.d/lab", UP.replace("@LAN@", lan).encode(), 0o755),
        *unit("lab-sessions", SERVER),
        *unit("lab-advertised", ADVERTISED),
    ]
    cards = (Card("line0", (Plug(line, "isp"),)), Card("up0", (Plug(OUTSIDE_SWITCH),)))
    guest = make(lab.layout, NAME, cards, files, print)
    for prefix, via in ((f"{GIVEN}/32", OWN4), (f"{PREFIX}/64", OWN6), (lan, OWN6)):
        inside(lab, "isp", "ip", "route", "replace", prefix, "via", via)
    return guest
