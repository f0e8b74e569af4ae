"""`up`: from an inventory to a running lab, in order; and taken down again if any step fails."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from lab import (
    bootstrap,
    cgroups,
    handover,
    hosts,
    image,
    limits,
    mirror,
    namespaces,
    pki,
    preflight,
    provide,
    pulling,
    scope,
    settle,
    switch,
    teardown,
    verify,
    window,
)
from lab.circuit import control
from lab.circuit.emulator import CircuitConfig, End
from lab.commands import ip_batch
from lab.errors import LabError
from lab.hosts import Machine
from lab.layout import COMMAND, FABRIC, FABRIC_MEMORY_BYTES, FABRIC_TASKS, Layout
from lab.outside import Outside, read_outside
from lab.record import MAKING, UP, CircuitRecord, HostRecord, Record, read_record, write_record
from lab.topology import Kind, Node, Topology, choose_wards, compile_topology
from wardnet.compile import compile_plan
from wardnet.inventory import read_district
from wardnet.locale import _
from wardnet.model.intent import Channel, District, HostRole, IPAddress
from wardnet.model.plan import Plan

log = logging.getLogger(__name__)

CHECKOUT = Path(__file__).resolve().parents[1]
BOOT_SECONDS = 180
WINDOW_PORT = 19090
PROMETHEUS_PORT = 9090


class Progress:
    """Where `up` and `down` tell how far they are. This one says nothing."""

    def step(self, what: str) -> None:
        """A new step begins."""

    def booted(self, ready: int, of: int) -> None:
        """So many hosts have booted."""

    def note(self, what: str) -> None:
        """Something worth knowing happened."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """All that is read before anything on the machine is changed."""

    inventory: Path  # the whole one
    files: Mapping[str, bytes]  # the part of it that is in this lab
    district: District
    plan: Plan
    outside: Outside
    topology: Topology

    def resolvers(self, node: Node) -> Sequence[IPAddress]:
        if node.host is not None:
            return node.host.resolvers
        inside = node.switch is not None or (node.gateway is not None and Channel.WAN in node.gateway.channels)
        return self.district.channel(Channel.WAN if inside else Channel.INTERNET).resolvers


def read_blueprint(inventory: Path, wards: int, day: date) -> Blueprint:
    """InventoryErrors or LabError when the inventory or its lab.yml cannot be used."""
    whole = read_district(inventory)
    files = scope.scoped_files(inventory, whole, choose_wards(whole, wards))
    district = scope.scoped_district(files, wards)
    plan = compile_plan(district, day)
    outside = read_outside(inventory, district)
    return Blueprint(inventory, files, district, plan, outside, compile_topology(district, plan, outside, wards))


def blueprint_of(record: Record) -> Blueprint:
    """The blueprint that a running lab was made from."""
    return read_blueprint(Path(record.inventory), len(record.wards), date.fromisoformat(record.as_of))


def up(
    layout: Layout,
    inventory: Path,
    wards: int,
    window_port: int,
    progress: Progress,
    *,
    workplaces: bool = False,
    suite: str = "",
) -> tuple[Record, bool]:
    """Boot the lab, or find it running. Returns its record and whether it was made now.

    With `workplaces` its mirror has the packages that PCs are made of, too, and playbooks make PCs of them. Hosts run
    the machine's own Debian, or `suite`.
    Whatever an earlier run left half-made is removed first; a run that fails leaves nothing.
    """
    blueprint = read_blueprint(inventory.resolve(), wards, datetime.now(UTC).date())
    progress.step(_("looking at the machine"))
    running = _running(layout, blueprint, progress)
    if running is not None:
        if workplaces and not running.workplaces:
            raise LabError(
                _("the lab {name} is up without packages for workplaces: `{lab} down` first").format(
                    name=layout.name, lab=COMMAND
                )
            )
        if suite and running.suite != suite:
            raise LabError(
                _("the lab {name} is up with {suite}: `{lab} down` first").format(
                    name=layout.name, suite=running.suite, lab=COMMAND
                )
            )
        return running, False
    recipe = image.read_recipe(suite)
    preflight.require(wards, recipe.folder())
    try:
        return _make(layout, blueprint, recipe, window_port, progress, workplaces), True
    except BaseException:
        progress.step(_("taking down what was made, since that failed"))
        teardown.take_down(layout, progress.note)
        raise


def _running(layout: Layout, blueprint: Blueprint, progress: Progress) -> Record | None:
    """The record of the lab if it runs whole; else everything of it is removed. LabError if it is another lab."""
    record = read_record(layout)
    if record is not None and record.state == UP:
        broken = verify.faults_of(layout, record)
        if not broken:
            if record.wards != blueprint.topology.wards or record.inventory != str(blueprint.inventory):
                raise LabError(
                    _(
                        "the lab {name} is up with {count} wards of {inventory}: "
                        "`{lab} down` first, or give this one another --name"
                    ).format(name=layout.name, count=len(record.wards), inventory=record.inventory, lab=COMMAND)
                )
            if record.inventory_sha256 != blueprint.district.sha256:
                progress.note(_("the inventory has changed since: `down` and `up` boot what it says now"))
            return record
        progress.note(
            _("the lab {name} is broken ({parts}): it is made anew").format(
                name=layout.name, parts="; ".join(broken[:3])
            )
        )
    elif teardown.remains(layout):
        progress.note(_("removing what an earlier run of the lab {name} left behind").format(name=layout.name))
    teardown.take_down(layout, progress.note)
    return None


def _make(
    layout: Layout, blueprint: Blueprint, recipe: image.Recipe, window_port: int, progress: Progress, workplaces: bool
) -> Record:
    topology = blueprint.topology
    # The folder comes first: it is what tells another lab that goes now to leave the machine's settings as they are.
    layout.run.mkdir(parents=True)
    layout.state.chmod(0o755)
    record = replace(_record(layout, blueprint, recipe), workplaces=workplaces)
    write_record(layout, record)
    scope.write(blueprint.files, layout.inventory)
    limits.raise_all()
    progress.step(_("base image and packages"))
    root = image.ensure(recipe, progress.note)
    debs = mirror.fetch(recipe, root, mirror.read_packages(workplaces=workplaces), progress.note)

    progress.step(_("keys, certificates and the package mirror"))
    joins = cgroups.create(layout.host_cgroup(FABRIC), memory_bytes=FABRIC_MEMORY_BYTES, tasks=FABRIC_TASKS)
    authority = pki.make_authority(layout)
    for person in pki.PEOPLE:
        pki.make_ssh_key(layout.ssh / person, f"{person}@{layout.name}")
    mirror.make(layout, recipe, debs, sorted((CHECKOUT / "dist").glob("*.deb")))

    progress.step(_("switches, and {count} circuits").format(count=len(topology.wires)))
    machines, public_keys = _machines(layout, blueprint, root, authority, workplaces)
    namespaces.create(layout, [FABRIC, *(node.id for node in topology.nodes)])
    switch.start(layout, joins)
    switch.plug(layout, machines)
    switch.lay_cables(layout, topology.cables)
    for host, dark in topology.unplugged:
        ip_batch(layout.netns(host), [f"tuntap add dev {dark} mode tap"])
    control.start(layout, _circuits(layout, topology), joins)

    progress.step(_("booting {count} hosts").format(count=len(machines)))
    _boot(layout, machines, root, progress)
    settle.wait(layout, machines)

    port = _open_window(layout, topology, window_port, joins, progress)
    layout.known_hosts.write_text(handover.known_hosts(topology, public_keys))
    text = handover.ansible_vars(layout, record, topology, recipe.sources.suite, blueprint.plan.domain)
    (layout.state / "ansible-vars.yml").write_text(text)
    record = replace(record, state=UP, window=port)
    write_record(layout, record)
    return record


def _record(layout: Layout, blueprint: Blueprint, recipe: image.Recipe) -> Record:
    topology = blueprint.topology
    return Record(
        name=layout.name,
        state=MAKING,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        inventory=str(blueprint.inventory),
        inventory_sha256=blueprint.district.sha256,
        as_of=blueprint.plan.as_of.isoformat(),
        model_sha256=blueprint.plan.model_sha256,
        wards=topology.wards,
        image=recipe.key,
        suite=recipe.sources.suite,
        window=None,
        hosts=tuple(
            HostRecord(node.id, str(node.kind), node.ward, node.site, handover.addresses(node))
            for node in topology.nodes
        ),
        circuits=tuple(
            CircuitRecord(wire.id, str(wire.channel), wire.ward, wire.near, wire.far) for wire in topology.wires
        ),
        not_booted=tuple((one.id, one.reason) for one in topology.not_booted),
    )


def _machines(
    layout: Layout, blueprint: Blueprint, root: Path, authority: Path, workplaces: bool
) -> tuple[list[Machine], dict[str, bytes]]:
    """Every node with all its files, and the public host keys by host."""
    topology, plan = blueprint.topology, blueprint.plan
    authorized = (layout.ssh / "controller.pub").read_bytes()
    trust = provide.trust_files(authority, root)
    pulls = pulling.Installation(root, CHECKOUT / "dist", layout.ssh / "publisher.pub")
    machines, public_keys = [], {}
    for node in topology.nodes:
        key, public = pki.make_ssh_key(layout.certificates / "hosts" / node.id, f"root@{node.id}")
        public_keys[node.id] = public
        files = [
            *hosts.identity_files(node.id, key, public, authorized),
            *bootstrap.files(node, topology, plan, blueprint.outside, blueprint.resolvers(node)),
            *provide.files(node, layout, blueprint.district, plan, topology),
            *pulls.files(node, topology, plan),
        ]
        if node.kind not in (Kind.GATEWAY, Kind.HUB, Kind.SWITCH):
            files += trust
        machines.append(
            Machine(
                node.id,
                node.ports,
                tuple(files),
                provide.binds(node, layout),
                provide.shares(node, layout),
                provide.limits(node, workplaces=workplaces),
            )
        )
    return machines, public_keys


def _circuits(layout: Layout, topology: Topology) -> list[CircuitConfig]:
    return [
        CircuitConfig(
            wire.id,
            End(str(layout.netns_path(wire.near)), wire.near_port),
            End(str(layout.netns_path(wire.far)), wire.far_port),
            wire.down,
            wire.up,
        )
        for wire in topology.wires
    ]


def _boot(layout: Layout, machines: Sequence[Machine], root: Path, progress: Progress) -> None:
    boot = hosts.Boot(layout)
    ready: list[str] = []

    def count(host: str) -> None:
        ready.append(host)
        progress.booted(len(ready), len(machines))

    progress.booted(0, len(machines))
    for machine in machines:
        boot.start(machine, root)
    boot.wait(BOOT_SECONDS, count)


def _open_window(
    layout: Layout, topology: Topology, wanted: int, joins: Sequence[Path], progress: Progress
) -> int | None:
    """Start the process that shows the monitoring host's Prometheus on the loopback; returns its port."""
    monitoring = next(
        (node for node in topology.nodes if node.host is not None and node.host.role is HostRole.MONITORING), None
    )
    if monitoring is None:
        return None
    port = window.pick_port(wanted)
    if port != wanted:
        progress.note(
            _("port {wanted} of the loopback is in use: Prometheus is shown on 127.0.0.1:{port}").format(
                wanted=wanted, port=port
            )
        )
    log_path = layout.run / "window.log"
    argv = [sys.executable, "-m", "lab.window", str(port), str(layout.netns_path(monitoring.id)),
            handover.addresses(monitoring)[0], str(PROMETHEUS_PORT)]  # fmt: skip
    with log_path.open("ab") as output:
        process = subprocess.Popen(
            cgroups.join_argv(joins, argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd="/",
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(CHECKOUT)},
        )
    deadline = time.monotonic() + 10
    while not window.answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = "\n".join(log_path.read_text(errors="replace").splitlines()[-5:])
            raise LabError(
                _("the window on 127.0.0.1:{port} did not open; it says:\n{tail}").format(port=port, tail=tail)
            )
        time.sleep(0.02)
    return port
