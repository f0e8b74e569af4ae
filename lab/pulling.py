"""What an installation leaves on a host that pulls: the package wardnet-pull as dpkg would have it, where the mirror
is, whose signature counts. Laid in before the host first boots, as an installation medium does it."""

from __future__ import annotations

import json
import stat
import tempfile
from pathlib import Path

from lab.commands import capture
from lab.hosts import HostFile
from lab.topology import Kind, Node, Topology
from wardnet.model.plan import Plan

PACKAGE = "wardnet-pull"
PUBLISHED = "bundles"  # the folder on the mirror
TIMERS = ("wardnet-pull.timer", "wardnet-pull-boot.timer")
AUTHORITY = "/usr/local/share/ca-certificates/wardnet-lab.crt"  # provide.trust_files() lays it in

# One host of a lab need not wait for the others.
_AT_ONCE = b"[Timer]\nRandomizedDelaySec=0\n"


def public_mirror_url(topology: Topology, domain: str) -> str:
    """The root of the mirror on the internet; empty where the lab has none."""
    found = next((node for node in topology.nodes if node.kind is Kind.PUBLIC_MIRROR), None)
    return f"https://{found.id}.{domain}/" if found is not None else ""


def pulls(node: Node) -> bool:
    plan = node.gateway or node.host
    return plan is not None and plan.pulled


class Installation:
    """The same for every host that pulls but for its name. `built` is where `make dist` puts packages."""

    def __init__(self, root: Path, built: Path, publisher: Path) -> None:
        self._publisher = publisher.read_text().split()[:2]
        packages = sorted(built.glob(f"{PACKAGE}_*.deb"))
        self._package = _unpacked(packages[-1], root) if packages else []

    def files(self, node: Node, topology: Topology, plan: Plan) -> list[HostFile]:
        """Empty for a host that does not pull, or where nothing was built or stands outside to pull from."""
        url = public_mirror_url(topology, plan.domain)
        if not pulls(node) or not url or not self._package:
            return []
        config = {"url": f"{url}{PUBLISHED}/", "host": node.id, "signers": "/etc/wardnet/pull-signers", "ca": AUTHORITY}
        signers = f'publisher namespaces="wardnet-bundle" {" ".join(self._publisher)}\n'
        return [
            *self._package,
            HostFile("/etc/wardnet/pull.json", (json.dumps(config, indent=1) + "\n").encode()),
            HostFile("/etc/wardnet/pull-signers", signers.encode()),
            HostFile("/usr/lib/systemd/system/wardnet-pull-boot.timer.d/05-lab.conf", _AT_ONCE),
        ]


def _unpacked(package: Path, root: Path) -> list[HostFile]:
    """The package's files, and what dpkg writes down of an installed one, beside what the image has."""
    info, wants = f"/var/lib/dpkg/info/{PACKAGE}", "/etc/systemd/system/timers.target.wants"
    with tempfile.TemporaryDirectory() as scratch:
        tree, control = Path(scratch) / "tree", Path(scratch) / "control"
        capture(["dpkg-deb", "--extract", package, tree])
        capture(["dpkg-deb", "--control", package, control])
        paths = sorted(tree.rglob("*"))
        found = [
            HostFile(f"/{path.relative_to(tree)}", path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
            for path in paths
            if path.is_file()
        ]
        names = ["/.", *(f"/{path.relative_to(tree)}" for path in paths)]
        found += [
            HostFile(f"{info}.{path.name}", path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
            for path in sorted(control.iterdir())
            if path.name != "control"
        ]
        stanza = (control / "control").read_text().strip().splitlines()
    known = (root / "var/lib/dpkg/status").read_text().rstrip("\n")
    status = "\n".join([stanza[0], "Status: install ok installed", *stanza[1:]])
    found.append(HostFile("/var/lib/dpkg/status", f"{known}\n\n{status}\n\n".encode()))
    found.append(HostFile(f"{info}.list", ("\n".join(names) + "\n").encode()))
    return found + [HostFile(f"{wants}/{name}", target=f"/usr/lib/systemd/system/{name}") for name in TIMERS]
