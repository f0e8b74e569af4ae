"""Network namespaces of a lab, under the names that `ip netns` knows."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import kernel
from lab.commands import capture, ip_batch
from lab.errors import LabError
from lab.layout import COMMAND, NETNS_ROOT, Layout
from wardnet.locale import _


def create(layout: Layout, hosts: Iterable[str]) -> None:
    names = [layout.netns(host) for host in hosts]
    ip_batch(None, [f"netns add {name}" for name in names])
    for name in names:
        ip_batch(name, ["link set lo up"])


def find(layout: Layout) -> dict[str, int | None]:
    """The lab's namespaces on this machine: host id -> inode, None where only a dead file is left."""
    if not NETNS_ROOT.is_dir():
        return {}
    prefix = layout.netns_prefix
    return {
        path.name.removeprefix(prefix): kernel.namespace_inode(path)
        for path in sorted(NETNS_ROOT.iterdir())
        if path.name.startswith(prefix)
    }


def remove(layout: Layout, host: str) -> None:
    """Take the name away; the namespace itself goes with its last process."""
    path = layout.netns_path(host)
    while kernel.namespace_inode(path) is not None:
        try:
            kernel.unmount(path)
        except OSError:
            break
    path.unlink(missing_ok=True)


def renew(layout: Layout, host: str) -> None:
    """Give the host a new namespace of the same name, with the same ports and nothing else of the old one: no
    address, route, rule, filter, queue or setting. Its cables stay plugged; the ports are down until it boots.

    LabError if there is no such namespace. What still runs in the old one keeps it, without ports.
    """
    path = layout.netns_path(host)
    if kernel.namespace_inode(path) is None:
        raise LabError(_("the namespace of {host} is gone").format(host=host))
    name = layout.netns(host)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        old = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{descriptor}", "--"]
        links = json.loads(capture([*old, "ip", "-json", "-details", "link", "show"]))
        remove(layout, host)
        create(layout, [host])
        moves = "".join(f"link set dev {port} netns {name}\n" for port in ports_among(links))
        capture([*old, "ip", "-batch", "-"], stdin=moves)
    finally:
        os.close(descriptor)


def ports_among(links: Iterable[Mapping[str, Any]]) -> list[str]:
    """The lab's ports among what `ip -d -j link` shows: ends of cables, that is veths whose other end is elsewhere,
    and TAPs of circuits. What the host has made itself is not among them."""
    found = []
    for link in links:
        kind = link.get("linkinfo", {}).get("info_kind")
        if kind == "tun" or (kind == "veth" and "link_netnsid" in link):
            found.append(link["ifname"])
    return found


def enter_argv(layout: Layout, host: str, argv: Sequence[str]) -> list[str]:
    """The command that runs `argv` in the host's network namespace, as `ip netns exec` does: /sys shows the
    namespace's interfaces and /etc/resolv.conf is the host's, in a mount namespace of its own. LabError if there is
    no such host.
    """
    path = layout.netns_path(host)
    if kernel.namespace_inode(path) is None:
        raise LabError(
            _("no host {host} in the lab {name}; `{lab} status` lists them").format(
                host=host, name=layout.name, lab=COMMAND
            )
        )
    steps = ["mount -t sysfs sysfs /sys"]
    resolv_conf = layout.host(host) / "upper/etc/resolv.conf"
    own = Path("/etc/resolv.conf")
    if resolv_conf.is_file() and own.exists():
        steps.append(shlex.join(["mount", "--bind", str(resolv_conf), str(own.resolve())]))
    script = " && ".join([*steps, 'exec "$@"'])
    private = ["unshare", "--mount", "--propagation", "slave"]
    return ["nsenter", f"--net={path}", "--", *private, "--", "sh", "-c", script, "sh", *argv]
