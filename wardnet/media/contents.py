"""Installation -> the files that the medium brings for one host, and how the medium knows it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from wardnet.locale import _
from wardnet.media.archive import Entry
from wardnet.media.errors import MediaError
from wardnet.media.installation import Installation
from wardnet.model.plan import HostPlan, HostPort

ACCOUNT = "wardnet"  # as Ansible logs in
PUBLISHED = "bundles/"  # below the mirror on the internet
_NETWORKD = "/etc/systemd/network"
_ONCE = "/usr/local/lib/wardnet-install"  # gone when it is installed
_AUTHORITY = "/usr/local/share/ca-certificates/wardnet-mirror.crt"
_CLOCK = "/etc/systemd/timesyncd.conf.d/50-wardnet.conf"
_SIGNERS = "/etc/wardnet/pull-signers"


@dataclass(frozen=True, slots=True)
class Pulling:
    """What a host that pulls has to know: the mirror's address, ending in '/'; the text of its allowed signers; the
    mirror's authority where it is no public one; the package that pulls."""

    url: str
    signers: str
    authority: bytes | None
    package: Path


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the medium is told beside the inventory. `keys` are public keys, whole lines, that may log in at hosts that
    management reaches; `disk` is the name of the disk where a PC may have several; `words` are for the kernel, of the
    installer and of the installed system."""

    keys: tuple[str, ...] = ()
    pulling: Pulling | None = None
    disk: str = ""
    words: str = ""


def medium_files(found: Sequence[Installation], wishes: Wishes, checksum: str) -> dict[str, Entry]:
    """The second archive of the initial RAM disk: the installer, and a folder for each hardware address. `checksum` is
    the SHA-256 of the base system. MediaError where a host that pulls has nothing to pull by."""
    entries = {
        "/scripts/wardnet": Entry(_script("boot.sh").encode(), 0o755),
        "/wardnet/install": Entry(_script("install.sh").encode(), 0o755),
        "/wardnet/base.sha256": Entry(f"{checksum}  base.tar.zst\n".encode()),
    }
    if wishes.disk:
        entries["/wardnet/disk"] = Entry(f"{wishes.disk}\n".encode())
    for each in found:
        own = host_files(each, wishes)
        for _port, mac in each.macs:
            folder = f"/wardnet/hosts/{mac.replace(':', '-')}"
            entries[f"{folder}/name"] = Entry(f"{each.host.id}\n".encode())
            entries |= {f"{folder}/root{path}": entry for path, entry in own.items()}
    return entries


def host_files(installation: Installation, wishes: Wishes) -> dict[str, Entry]:
    """What lies over the base system at this host: its name, ports, addresses, names; a start menu that nobody can edit
    before the roles come, as role boot_menu holds it; and who may log in, or where it pulls from."""
    host, domain = installation.host, installation.domain
    found = {
        "/etc/hostname": _text(host.id),
        "/etc/hosts": _text(
            "127.0.0.1 localhost", f"127.0.1.1 {host.id}.{domain} {host.id}", "::1 localhost ip6-localhost ip6-loopback"
        ),
        "/etc/resolv.conf": _text(f"search {domain}", *(f"nameserver {one}" for one in host.resolvers)),
        "/etc/default/grub.d/50-wardnet.cfg": Entry(_script("menu.cfg").encode()),
        "/etc/grub.d/01_wardnet": Entry(_script("menu.sh").encode(), 0o755),
        f"{_ONCE}/finish": Entry(_script("finish.sh").replace("@ACCOUNT@", ACCOUNT).encode()),
    }
    if host.time_sources:
        # As role time_client has it. A PC whose battery is empty could believe no certificate, and pull nothing.
        found[_CLOCK] = _text(
            "# Kept by wardnet: who is asked what time it is, all on this host's channel, and nobody else.",
            "[Time]",
            "NTP=",
            f"NTP={' '.join(map(str, host.time_sources))}",
            "FallbackNTP=",
        )
    for name, mac in installation.macs:
        lines = ("[Match]", f"PermanentMACAddress={mac}", "", "[Link]", f"Name={name}")
        found[f"{_NETWORKD}/05-port-{name}.link"] = _text(*lines)
    for index, port in enumerate(host.ports):
        found[f"{_NETWORKD}/05-bootstrap-{port.name}.network"] = _network(port, default=index == 0)
    if wishes.words:
        line = f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {wishes.words}"'
        found["/etc/default/grub.d/wardnet.cfg"] = _text(line)
    return found | (_pulled(host, wishes.pulling) if host.pulled else _pushed(wishes.keys))


def _text(*lines: str, mode: int = 0o644) -> Entry:
    return Entry(("\n".join(lines) + "\n").encode(), mode)


def _network(port: HostPort, *, default: bool) -> Entry:
    """As for a gateway the roles take 05-bootstrap-* over where they configure ports, as on PCs. One default
    route a host: a second port is on the same channel."""
    lines = [
        "[Match]",
        f"Name={port.name}",
        "",
        "[Network]",
        "DHCP=no",
        "IPv6AcceptRA=no",
        "ConfigureWithoutCarrier=yes",
    ]
    lines += [f"Address={address}" for address in (port.ipv4, port.ipv6)]
    if default:
        lines += [f"Gateway={way}" for way in (port.gateway_ipv4, port.gateway_ipv6)]
    return _text(*lines)


def _pushed(keys: Sequence[str]) -> dict[str, Entry]:
    if not keys:
        raise MediaError(_("which key may log in? --key FILE.pub, or WARDNET_SSH_KEY with a .pub beside it"))
    return {f"/home/{ACCOUNT}/.ssh/authorized_keys": _text(*keys, mode=0o600)}


def _pulled(host: HostPlan, pulling: Pulling | None) -> dict[str, Entry]:
    """Nobody logs in at a host that has only the internet: it has no key of the controller."""
    if pulling is None:
        raise MediaError(
            _("{source}: {host} has only the internet and pulls: --pull-url and --signers say from where").format(
                source=host.source, host=host.id
            )
        )
    settings = {"url": f"{pulling.url}{PUBLISHED}", "host": host.id, "signers": _SIGNERS}
    found = {_SIGNERS: Entry(pulling.signers.encode())}
    if pulling.authority is not None:
        settings["ca"] = _AUTHORITY
        found[_AUTHORITY] = Entry(pulling.authority)
    found["/etc/wardnet/pull.json"] = _text(json.dumps(settings, indent=1))
    found[f"{_ONCE}/{pulling.package.name}"] = Entry(pulling.package)
    return found


def _script(name: str) -> str:
    return (files("wardnet.media") / name).read_text(encoding="utf-8")
