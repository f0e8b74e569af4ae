"""Files of the services that the lab itself provides on its machines: the portal, the public web, the scanners, the
mirror, the resolvers. Everything that runs is from lab/services, copied into the machine before it boots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lab import pki
from lab.commands import capture
from lab.hosts import DESKTOP, HostFile, Limits
from lab.layout import Layout
from lab.names import resolver_files, service_name
from lab.pulling import PUBLISHED
from lab.topology import Kind, Node, Topology
from wardnet.model.intent import Channel, District, HostRole
from wardnet.model.plan import Plan

_SERVICES = Path(__file__).with_name("services")
_INSIDE = "/usr/local/lib/wardnet-lab"
MIRROR_INSIDE = "/srv/mirror"
PUBLISHED_INSIDE = "/srv/bundles"
RUNS_INSIDE = "/var/log/wardnet/runs"
CONTROL_INSIDE = "/run/wardnet-portal/control.json"
USB_PORT = 60000
SCANNER_CONTROL_INSIDE = "/run/lab-scanner/control.json"
DESKTOPS = (HostRole.COUNTER, HostRole.TOUCH_SCREEN, HostRole.CITIZEN)


def _code() -> list[HostFile]:
    """The package lab.services as the machine sees it; its parent is empty there."""
    found = [HostFile(f"{_INSIDE}/lab/__init__.py")]
    found += [
        HostFile(f"{_INSIDE}/lab/services/{path.relative_to(_SERVICES)}", path.read_bytes())
        for path in sorted(_SERVICES.rglob("*.py"))
    ]
    return found


def _unit(name: str, description: str, arguments: str, settings: Sequence[str]) -> list[HostFile]:
    lines = [
        "[Unit]",
        f"Description={description}",
        "After=network.target",
        "",
        "[Service]",
        f"Environment=PYTHONPATH={_INSIDE} PYTHONUNBUFFERED=1",
        f"ExecStart=/usr/bin/python3 -m {arguments}",
        "Type=notify",
        "Restart=on-failure",
        "DynamicUser=yes",
        "AmbientCapabilities=CAP_NET_BIND_SERVICE",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "SystemCallFilter=@system-service",
        *settings,
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    path = f"/etc/systemd/system/{name}.service"
    return [
        HostFile(path, ("\n".join(lines) + "\n").encode()),
        HostFile(f"/etc/systemd/system/multi-user.target.wants/{name}.service", target=path),
    ]


def _certified(node: Node, layout: Layout, district: District, plan: Plan) -> list[HostFile]:
    """Key and certificate for the names of the services that stand at the node's addresses."""
    addresses = _addresses(node)
    names = tuple(
        service_name(service.url)
        for service in district.services
        if str(service.ipv4) in addresses or str(service.ipv6) in addresses
    )
    key, certificate = pki.make_certificate(layout, node.id, (*names, f"{node.id}.{plan.domain}"), addresses)
    return [HostFile("/etc/lab-tls/key.pem", key, 0o600), HostFile("/etc/lab-tls/certificate.pem", certificate)]


def _addresses(node: Node) -> tuple[str, ...]:
    if node.outside is not None:
        return (str(node.outside.ipv4), str(node.outside.ipv6))
    if node.host is not None:
        return tuple(str(one.ip) for port in node.host.ports for one in (port.ipv4, port.ipv6))
    return ()


def trust_files(authority: Path, root: Path) -> list[HostFile]:
    """Make the lab's authority one that a host trusts, as a public one is: for hosts that no role comes to."""
    certificate = authority.read_bytes()
    bundle = (root / "etc/ssl/certs/ca-certificates.crt").read_bytes()
    digest = capture(["openssl", "x509", "-noout", "-hash", "-in", authority]).strip()
    own = "/usr/local/share/ca-certificates/wardnet-lab.crt"
    return [
        HostFile(own, certificate),
        HostFile(f"/etc/ssl/certs/{digest}.0", target=own),
        HostFile("/etc/ssl/certs/ca-certificates.crt", bundle + certificate),
    ]


_TLS = ["LoadCredential=key.pem:/etc/lab-tls/key.pem", "LoadCredential=certificate.pem:/etc/lab-tls/certificate.pem"]


def files(node: Node, layout: Layout, district: District, plan: Plan, topology: Topology) -> list[HostFile]:
    """What the node's services need; empty for a machine without any."""
    channel = node.host.channel if node.host is not None else Channel.INTERNET
    match node.kind:
        case Kind.RESOLVER:
            # The channel's time stands with its names.
            unit = _unit("lab-clock", "Time of the channel", "lab.services.clock", [])
            return [*resolver_files(district, plan, topology, channel), *_code(), *unit]
        case Kind.PORTAL:
            settings = [*_TLS, "LoadCredential=accounts.json:/etc/lab-portal/accounts.json",
                        "StateDirectory=wardnet-portal", "RuntimeDirectory=wardnet-portal",
                        "RuntimeDirectoryMode=0755", "RuntimeDirectoryPreserve=yes"]  # fmt: skip
            unit = _unit("lab-portal", "The online-service portal's stand-in", "lab.services.portal", settings)
            accounts = HostFile("/etc/lab-portal/accounts.json", pki.portal_accounts(layout), 0o600)
            return [*_code(), *_certified(node, layout, district, plan), accounts, *unit]
        case Kind.WEB:
            unit = _unit("lab-web", "A public web site", "lab.services.web", _TLS)
            return [*_code(), *_certified(node, layout, district, plan), *unit]
        case Kind.SCANNER:
            settings = ["RuntimeDirectory=lab-scanner", "RuntimeDirectoryMode=0755", "RuntimeDirectoryPreserve=yes"]
            return [*_code(), *_unit("lab-scanner", "A network scanner", "lab.services.escl", settings)]
        case Kind.STATION if node.host is not None and node.host.role is HostRole.SCANNER:
            # A box without USB: what ipp-usb would make of a scanner on it, at the first of ipp-usb's ports.
            settings = ["RuntimeDirectory=lab-scanner", "RuntimeDirectoryMode=0755", "RuntimeDirectoryPreserve=yes"]
            return [*_code(), *_unit("lab-scanner", "A scanner by USB", f"lab.services.escl {USB_PORT}", settings)]
        case Kind.MIRROR:
            unit = _unit("lab-mirror", "The package mirror", f"lab.services.files {MIRROR_INSIDE}", [])
            return [*_code(), *unit]
        case Kind.PUBLIC_MIRROR:
            folders = f"{MIRROR_INSIDE} {PUBLISHED}={PUBLISHED_INSIDE}"
            unit = _unit("lab-mirror", "The mirror on the internet", f"lab.services.files {folders}", _TLS)
            return [*_code(), *_certified(node, layout, district, plan), *unit]
        case _:
            return []


def binds(node: Node, layout: Layout) -> tuple[tuple[Path, str], ...]:
    """Folders of this machine that the node reads."""
    if node.kind is Kind.PUBLIC_MIRROR:
        layout.published.mkdir(mode=0o755, exist_ok=True)
        return ((layout.mirror, MIRROR_INSIDE), (layout.published, PUBLISHED_INSIDE))
    return ((layout.mirror, MIRROR_INSIDE),) if node.kind is Kind.MIRROR else ()


def shares(node: Node, layout: Layout) -> tuple[tuple[Path, str], ...]:
    """Folders of this machine that the node has as its own. Ansible runs beside the booted controller, in its network;
    what it writes down is where it would be if it ran inside."""
    if node.host is None or node.host.role is not HostRole.CONTROLLER:
        return ()
    layout.runs.mkdir(mode=0o755, parents=True, exist_ok=True)
    return ((layout.runs, RUNS_INSIDE),)


def limits(node: Node, *, workplaces: bool) -> Limits:
    """What the machine may take; with `workplaces`, PCs become desktops."""
    return DESKTOP if workplaces and node.host is not None and node.host.role in DESKTOPS else Limits()
