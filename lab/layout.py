"""Names and paths of one lab. Everything it leaves on the machine carries its name, so that it can be found
again from the system alone, after every process and file of state is gone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from wardnet.locale import _

STATE_ROOT = Path("/var/lib/wardnet-lab")
CACHE_ROOT = Path("/var/cache/wardnet-lab")
NETNS_ROOT = Path("/run/netns")
CGROUP = "wardnet-lab"
DEFAULT_NAME = "wardnet"
COMMAND = ".venv/bin/python -m lab"  # as a person types it in the checkout
FABRIC = "_fabric"  # the namespace of switches and circuits; no host's id begins with an underscore
FABRIC_MEMORY_BYTES = 2 << 30
FABRIC_TASKS = 2048

_NAME = re.compile(r"[a-z][a-z0-9-]{0,23}\Z")


@dataclass(frozen=True, slots=True)
class Layout:
    name: str

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise LabError(
                _("{name!r} is no name for a lab: use a-z, 0-9 and '-', a letter first, 24 characters at most").format(
                    name=self.name
                )
            )

    @property
    def state(self) -> Path:
        return STATE_ROOT / self.name

    @property
    def lock(self) -> Path:
        return STATE_ROOT / f"{self.name}.lock"

    @property
    def record(self) -> Path:
        return self.state / "lab.json"

    @property
    def run(self) -> Path:
        """Sockets and pid files."""
        return self.state / "run"

    @property
    def inventory(self) -> Path:
        """The part of the inventory that is in this lab; for Ansible, Prometheus and the audit."""
        return self.state / "inventory"

    @property
    def ssh(self) -> Path:
        return self.state / "ssh"

    @property
    def runs(self) -> Path:
        """Journals of Ansible's runs in the lab; the controller sees them as /var/log/wardnet/runs."""
        return self.state / "runs"

    @property
    def mirror(self) -> Path:
        return self.state / "mirror"

    @property
    def published(self) -> Path:
        """What the controller publishes for hosts that pull; the public mirror has it as it is."""
        return self.state / "published"

    @property
    def known_hosts(self) -> Path:
        return self.state / "known_hosts"

    @property
    def certificates(self) -> Path:
        return self.state / "pki"

    def host(self, host_id: str) -> Path:
        """The folder of one host: upper, work, root and console.log."""
        return self.state / "hosts" / host_id

    @property
    def netns_prefix(self) -> str:
        # A lab's name holds no dot, so that no lab's prefix begins another's.
        return f"wardlab.{self.name}."

    def netns(self, host_id: str) -> str:
        return self.netns_prefix + host_id

    def netns_path(self, host_id: str) -> Path:
        return NETNS_ROOT / self.netns(host_id)

    @property
    def cgroup(self) -> str:
        return f"{CGROUP}/{self.name}"

    def host_cgroup(self, host_id: str) -> str:
        return f"{self.cgroup}/{host_id}"
