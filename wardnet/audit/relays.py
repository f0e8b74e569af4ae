"""Programs that pass on what they are given, by connections of their own: what comes in on one channel may leave by the
other, and no forward rule sees it.

Known by the names of their processes, from which nothing follows where a name is not in the list. Of the SSH server
its configuration says whether it is one.
"""

from __future__ import annotations

from collections.abc import Iterator

from wardnet.audit.records import OpenPoint
from wardnet.model.device import Device
from wardnet.model.process import Forwards, Program
from wardnet.model.span import Span

# As the kernel has a process's name: fifteen signs at most.
_RELAYS = {
    "a web proxy": """3proxy apache2 caddy envoy haproxy httpd lighttpd nginx polipo privoxy squid tinyproxy traefik
        varnishd""",
    "a proxy": """brook danted gost microsocks redsocks shadowsocks sing-box sockd srelay ss-local ss-server tor v2ray
        xray""",
    "a relay of connections": """autossh chisel cloudflared dbclient dropbear frpc frps nc ncat netcat ngrok rinetd
        simpleproxy socat ssh stunnel stunnel4 xinetd""",
    "a tunnel": """charon edge ocserv openvpn pluto pppoe-server pptpd tailscaled tinc tincd vpnc xl2tpd
        zerotier-one""",
    "a resolver": "coredns dnsdist dnscrypt-proxy kresd named pdns_recursor stubby systemd-resolve unbound",
    "a reflector of names": "avahi-daemon mdns-reflector mdns-repeater mdnsd",
    "a relay of leases": "dhcrelay dhcp-helper",
    "a relay of multicast": "igmpproxy mrouted pimd smcrouted udpxy",
    "a print server": "cupsd cups-browsed lpd",
    "a mail server": "exim4 master sendmail",
    "a file server": "nfsd smbd",
    "what opens ways for others": "miniupnpd natpmpd upnpd",
    "a manager of containers": "conmon containerd docker-proxy dockerd kube-proxy podman rootlessport",
}
_KINDS = {name[:15]: kind for kind, names in _RELAYS.items() for name in names.split()}


def relaying(device: Device, name: str, title: str, span: Span, channel: str) -> Iterator[OpenPoint]:
    """Of a program that is reached from one `channel`: why it may pass on to the other what it is given there."""
    if name == "sshd":
        yield from _sshd(device.sshd, title, span, channel)
    elif name in _KINDS:
        reason = f"{title}, {_KINDS[name]}, is reached from {channel}: where it passes on what it is given is not known"
        yield OpenPoint(span, reason, "stop it on this device, or let nobody reach it")


def _sshd(found: Program | None, title: str, span: Span, channel: str) -> Iterator[OpenPoint]:
    if found is None:
        reason = f"{title} is reached from {channel}, and the snapshot does not say whether it forwards"
        yield OpenPoint(span, reason, "let the role audit_account run, and collect again")
    elif found.forwards is not Forwards.NOTHING:
        reason = f"{title} is reached from {channel}, and a session may be a relay to the other channel: {found.reason}"
        yield OpenPoint(found.span, reason, "`DisableForwarding yes` for everybody (role hardening)")
