"""Reach -> the script on the technician's stick, and what to do with it in Vietnamese and English. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.resources import files
from string import Template

from wardnet.bootstrap.reach import SSH, NeededPort, Reach, ReachedPort
from wardnet.model.intent import Channel
from wardnet.model.plan import Endpoint, Port, PortKind

ACCOUNT = "wardnet"  # as Ansible logs in
_UNIT = "/etc/systemd/network/05-bootstrap"
_NEIGHBOURS = "{ nd-neighbor-solicit, nd-neighbor-advert }"
_SSH_SERVER = """\
# Until the controller comes: keys alone let in.
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin no
AllowTcpForwarding no
X11Forwarding no
"""
_LINES = {
    (PortKind.CIRCUIT, Channel.WAN): (
        "đường truyền chuyên dùng (WAN) {id}",
        "the line to the government's network, {id}",
    ),
    (PortKind.CIRCUIT, Channel.INTERNET): ("đường truyền internet {id}", "the internet line {id}"),
    (PortKind.NETWORK, Channel.WAN): ("mạng {id} (kênh WAN)", "the network {id} (WAN channel)"),
    (PortKind.NETWORK, Channel.INTERNET): ("mạng {id} (kênh internet)", "the network {id} (internet channel)"),
}


def script_name(host: str) -> str:
    return f"wardnet-bootstrap-{host}.sh"


def script(reach: Reach, public_keys: Sequence[str], as_of: date) -> str:
    """The whole script. It holds no secret: addresses, and the public keys (whole lines) that may log in."""
    needed = [port.name for port in reach.ports if port.at_once]
    wanted = [port.name for port in reach.ports if not port.at_once]
    head = [
        "#!/bin/sh",
        f"# {script_name(reach.host)}: makes a new Debian machine reachable for the controller, as {reach.host}.",
        f"# Made by `wardnet bootstrap {reach.host}` for {as_of}. For this gateway alone; it holds no secret.",
        "# Run it as root on the machine's own console; it may be run again at any time.",
        "set -eu",
        "",
        f"HOST={reach.host}",
        f"DOMAIN={reach.domain}",
        f"ACCOUNT={ACCOUNT}",
        f"NEEDED={shlex.quote(' '.join(needed))}",
        f"WANTED={shlex.quote(' '.join(wanted))}",
        f"FAR_ENDS={shlex.quote(' '.join(map(str, reach.far_ends)))}",
        "",
        *_function("describe_ports", _descriptions(reach.ports)),
        *_printing("packet_filter", _packet_filter(reach)),
        *_printing("public_keys", "".join(f"{key}\n" for key in public_keys)),
        *_printing("ssh_server", _SSH_SERVER),
        *_printing("names", _names(reach)),
        *_function("network_files", _network_files(reach)),
    ]
    return "\n".join(head) + "\n" + (files("wardnet.bootstrap") / "body.sh").read_text(encoding="utf-8")


def readme(reach: Reach, language: str) -> str:
    """What the technician does, in the language vi or en."""
    text = (files("wardnet.bootstrap") / f"readme.{language}.txt").read_text(encoding="utf-8")
    first = next(port.name for port in reach.ports if port.at_once)
    return Template(text).substitute(
        host=reach.host,
        script=script_name(reach.host),
        ports="\n".join(f"    {port.name:16}{_carried(port)[0 if language == 'vi' else 1]}" for port in reach.ports),
        first=first,
    )


def _function(name: str, body: Iterable[str]) -> list[str]:
    return [f"{name}() {{", *body, "}", ""]


def _printing(name: str, text: str) -> list[str]:
    """A shell function that prints the text as it is."""
    return [f"{name}() {{", "    cat <<'WARDNET'", *text.splitlines(), "WARDNET", "}", ""]


def _descriptions(ports: Iterable[NeededPort]) -> list[str]:
    found = []
    for port in ports:
        vietnamese, english = _carried(port)
        found += [f"    vietnamese {shlex.quote(f'    {port.name:16}{vietnamese}')}"]
        found += [f"    printf '%s\\n' {shlex.quote(' ' * 20 + english)}"]
    return found


def _carried(port: NeededPort) -> tuple[str, str]:
    pairs = [_line(port, each) for each in port.carries]
    return "; ".join(pair[0] for pair in pairs), "; ".join(pair[1] for pair in pairs)


def _line(needed: NeededPort, port: Port) -> tuple[str, str]:
    tag = f", VLAN {port.tag}" if needed.name != port.name and port.tag is not None else ""
    vietnamese, english = _LINES[port.kind, port.channel]
    return vietnamese.format(id=port.reference) + tag, english.format(id=port.reference) + tag


def _packet_filter(reach: Reach) -> str:
    names = ", ".join(f'"{port.name}"' for port in reach.reached)
    rules = [rule for flow in reach.allowed for rule in _allowed(flow.sender, flow.receiver)]
    return "\n".join(
        [
            "#!/usr/sbin/nft -f",
            f"# Until the controller comes: it alone reaches {reach.host}, nothing is forwarded, and nothing goes out",
            "# but on the WAN channel.",
            "flush ruleset",
            "table inet bootstrap {",
            "  chain input {",
            "    type filter hook input priority filter; policy drop;",
            '    iifname "lo" accept',
            f"    iifname {{ {names} }} icmpv6 type {_NEIGHBOURS} ip6 hoplimit 255 accept",
            f"    iifname {{ {names} }} ct state established,related accept",
            *(f"    {rule}" for rule in rules),
            "  }",
            "  chain forward {",
            "    type filter hook forward priority filter; policy drop;",
            "  }",
            "  chain output {",
            "    type filter hook output priority filter; policy drop;",
            '    oifname "lo" accept',
            f"    oifname {{ {names} }} accept",
            "  }",
            "}",
            "",
        ]
    )


def _allowed(sender: Endpoint, receiver: Endpoint) -> list[str]:
    """SSH and echo, a family a rule; nothing for a family in which either end has no address."""
    port = f'iifname "{sender.port}" ' if sender.port else ""
    found = []
    for version, echo in ((4, "icmp"), (6, "icmpv6")):
        matches = [_side(sender, "saddr", version), _side(receiver, "daddr", version)]
        if all(matches):
            match = port + " ".join(matches)
            found += [f"{match} tcp dport {SSH} accept", f"{match} {echo} type echo-request accept"]
    return found


def _side(end: Endpoint, field: str, version: int) -> str:
    """One side's addresses as nft matches them; '' where it has none in the family."""
    word = "ip" if version == 4 else "ip6"
    inside = [str(prefix) for prefix in end.prefixes if prefix.version == version]
    outside = [str(prefix) for prefix in end.excluded if prefix.version == version]
    if not inside:
        return ""
    found = f"{word} {field} {{ {', '.join(inside)} }}"
    return found + (f" {word} {field} != {{ {', '.join(outside)} }}" if outside else "")


def _names(reach: Reach) -> str:
    return "".join([f"search {reach.domain}\n", *(f"nameserver {one}\n" for one in reach.resolvers)])


def _network_files(reach: Reach) -> list[str]:
    """`put` commands for systemd-networkd's files; the roles take 05-bootstrap-* and 99-bootstrap-* away."""
    found: list[str] = []
    tagged: dict[str, list[str]] = {}
    for port in reach.reached:
        found += _put(f"{_UNIT}-{port.name}.network", _port_unit(port))
        if port.parent and port.tag is not None:
            tagged.setdefault(port.parent, []).append(port.name)
            text = ["[NetDev]", f"Name={port.name}", "Kind=vlan", "", "[VLAN]", f"Id={port.tag}"]
            found += _put(f"{_UNIT}-{port.name}.netdev", text)
    for parent, names in tagged.items():
        text = ["[Match]", f"Name={parent}", "", "[Link]", "RequiredForOnline=no", "", "[Network]", *_SILENT]
        found += _put(f"{_UNIT}-parent-{parent}.network", [*text, *(f"VLAN={name}" for name in names)])
    # Every other port stays as it is plugged in, without an address: the internet's side above all.
    rest = ["[Match]", "Type=ether", "", "[Link]", "RequiredForOnline=no", "", "[Network]", *_SILENT]
    return found + _put("/etc/systemd/network/99-bootstrap-rest.network", rest)


_SILENT = ["DHCP=no", "IPv6AcceptRA=no", "LinkLocalAddressing=no", "LLDP=no", "LLMNR=no"]


def _port_unit(port: ReachedPort) -> list[str]:
    lines = ["[Match]", f"Name={port.name}", "", "[Link]", "RequiredForOnline=no", "", "[Network]"]
    lines += ["DHCP=no", "IPv6AcceptRA=no", "ConfigureWithoutCarrier=yes"]
    lines += [f"Address={address}" for address in port.addresses]
    for destination, via in port.routes:
        lines += ["", "[Route]", f"Destination={destination}", f"Gateway={via}"]
    return lines


def _put(path: str, lines: Iterable[str]) -> list[str]:
    return [f"    put 0644 {path} <<'WARDNET'", *lines, "WARDNET"]
