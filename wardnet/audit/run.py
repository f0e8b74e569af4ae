"""A whole snapshot against a policy."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from zoneinfo import ZoneInfo

from collectors.parsers.artefact import ParseError
from collectors.parsers.linux import parse_device
from collectors.parsers.switch import parse_switch
from wardnet import __version__
from wardnet.audit.agreement import Opinion
from wardnet.audit.beside import beside
from wardnet.audit.errors import AuditError
from wardnet.audit.forms import Form, form_of
from wardnet.audit.judge import Places, alike, channel_networks, judge
from wardnet.audit.network import judge_network
from wardnet.audit.parts import Part
from wardnet.audit.records import (
    AssumptionMade,
    AuditResult,
    DeviceResult,
    GrantInForce,
    OpenPoint,
    Verdict,
    worst,
)
from wardnet.audit.smt.opinion import second_opinion
from wardnet.audit.snapshot import Snapshot
from wardnet.audit.switches import judge_switch
from wardnet.compile import compile_plan, compile_policy
from wardnet.compile.policy import SWITCH_ZONES
from wardnet.inventory import parse_district, read_district
from wardnet.model.intent import Platform, Ports, SwitchPlatform
from wardnet.model.policy import AuditPolicy, DevicePolicy, SwitchPolicy
from wardnet.model.span import Span

ENGINES = ("dd", "z3-solver")
READERS = {Platform.LINUX: parse_device}


def snapshot_policy(snapshot: Snapshot, inventory: Path | None = None) -> AuditPolicy:
    """The policy of the inventory in the snapshot, on the snapshot's day; or of another inventory. Raises
    InventoryErrors."""
    district = parse_district(dict(snapshot.inventory)) if inventory is None else read_district(inventory)
    return compile_policy(district, compile_plan(district, day_of(snapshot, district.timezone)))


def day_of(snapshot: Snapshot, timezone: str) -> date:
    """The day at the district when the snapshot was made."""
    return snapshot.manifest.collected_at.astimezone(ZoneInfo(timezone)).date()


def audit(
    snapshot: Snapshot,
    policy: AuditPolicy,
    wards: Collection[str] = (),
    backend: str | None = None,
    opinion: Opinion | None = second_opinion,
    proved: dict[Form, str] | None = None,
) -> AuditResult:
    """The verdict on every device of the policy; of some wards only, where they are named. Raises ParseError for an
    artefact that can't be read: a verdict on the rest would hide it; and AuditError without an engine's package.

    `proved` are forms of devices that were proved before, each with the name of one, and gets those of this audit; it
    must be of audits with the same engines."""
    known = {device.ward for device in policy.devices}
    unknown = sorted(set(wards) - known)
    if unknown:
        raise AuditError(f"no ward {unknown[0]} in the policy; it has {', '.join(sorted(known))}")
    devices = tuple(device for device in policy.devices if not wards or device.ward in wards)
    places = channel_networks(policy.devices)
    assumed = {assumption.subject for assumption in policy.assumptions}  # a switch that was not read, to be right
    switches = [switch for switch in policy.switches if (not wards or switch.ward in wards)
                and (snapshot.entry(switch.device) is not None or switch.device not in assumed)]  # fmt: skip
    # One device by itself is like no other.
    proved = {} if proved is None and len(devices) > 1 else proved
    together = policy.network is not None and not wards

    def judged(device: DevicePolicy) -> Part:
        part = _device(snapshot, device, places, backend, opinion, proved)
        return part if together else replace(part, device=None)  # it need not be handed over

    parts = beside(judged, devices)
    for part in parts:
        if part.form is not None and proved is not None:
            proved.setdefault(part.form, part.policy.device)
    looked_into = [_switch(snapshot, switch) for switch in switches]
    if not parts and not looked_into:
        raise AuditError("the policy names no device")
    network = judge_network(policy.network, parts, backend) if together and policy.network is not None else None
    if network is not None and any(switch.verdict is not Verdict.PROVED for switch in looked_into):
        network = network.doubted()  # it is put together from networks that are apart
    results = (*(part.result for part in parts if part.result is not None), *looked_into)
    if not any(result.pairs for result in results):
        results = tuple(_nothing_compared(result) for result in results)
    manifest = snapshot.manifest
    at_switches = {switch.device for switch in looked_into}
    return AuditResult(
        verdict=worst([result.verdict for result in results] + ([network.verdict] if network else [])),
        district=policy.district,
        wards=tuple(sorted(wards)),
        as_of=manifest.collected_at.isoformat(),
        collected_by=manifest.collected_by,
        snapshot_sha256=snapshot.sha256,
        inventory_sha256=manifest.inventory_sha256,
        model_sha256=policy.model_sha256,
        version=__version__,
        engines=tuple(f"{name} {version(name)}" for name in ENGINES),
        devices=results,
        grants=tuple(grant for device in devices for grant in _grants(device)),
        assumptions=tuple(
            AssumptionMade(a.subject, SWITCH_ZONES if a.subject in at_switches else a.reason, str(a.source))
            for a in policy.assumptions
        ),
        artefacts={
            entry.device: {artefact.name: artefact.sha256 for artefact in entry.artefacts} for entry in manifest.devices
        },
        network=network,
    )


def _device(
    snapshot: Snapshot,
    policy: DevicePolicy,
    places: Places,
    backend: str | None,
    opinion: Opinion | None,
    proved: dict[Form, str] | None,
) -> Part:
    entry = snapshot.entry(policy.device)
    if entry is None or not entry.collected:
        reason = "is not in the snapshot" if entry is None else f"could not be collected: {entry.reason}"
        return Part(policy, _unread(policy, f"{policy.device} {reason}", f"`wardnet collect --device {policy.device}`"))
    reader = READERS.get(Platform(policy.platform))
    if reader is None or snapshot.platforms[policy.device] != policy.platform:
        found = snapshot.platforms[policy.device]
        reason = f"{policy.device} is {found}, which this version can't read"
        return Part(policy, _unread(policy, reason, "audit it by hand"))
    collected_at = int(snapshot.manifest.collected_at.timestamp())
    with _uncollected():
        device = reader(policy.device, snapshot.contents[policy.device], collected_at)
        form = form_of(device, policy) if policy.divided and proved is not None else None
        if form is None or proved is None:
            return Part(policy, judge(device, policy, places, backend, opinion), device)
        if form in proved and (result := alike(device, policy, places, proved[form])) is not None:
            return Part(policy, result, device, form)
        result = judge(device, policy, places, backend, opinion)
        if result.verdict is not Verdict.PROVED:
            return Part(policy, result, device)
        proved[form] = policy.device
        return Part(policy, result, device, form)


def _switch(snapshot: Snapshot, policy: SwitchPolicy) -> DeviceResult:
    """Of an access switch that the snapshot has, or was to have."""
    entry = snapshot.entry(policy.device)
    if entry is None or not entry.collected:
        reason = "is not in the snapshot" if entry is None else f"could not be collected: {entry.reason}"
        return _unread(policy, f"{policy.device} {reason}", f"`wardnet collect --device {policy.device}`")
    if snapshot.platforms[policy.device] != policy.platform or policy.platform != SwitchPlatform.OPENVSWITCH:
        found = snapshot.platforms[policy.device]
        return _unread(policy, f"{policy.device} is {found}, which this version can't read", "audit it by hand")
    return judge_switch(parse_switch(policy.device, snapshot.contents[policy.device]), policy)


def _nothing_compared(result: DeviceResult) -> DeviceResult:
    """Of an audit in which no two ports of different zones met: nothing was shown, whatever was read."""
    reason = "no device read has ports of both channels, or of several zones: nothing was compared"
    problem = OpenPoint(Span(result.device, "", "policy"), reason, "name ports of both channels, or audit more wards")
    return replace(result, verdict=worst([result.verdict, Verdict.UNKNOWN]), problems=(*result.problems, problem))


@contextmanager
def _uncollected() -> Iterator[None]:
    """A device is read into very many small objects that all stay: looking for garbage among them again and again would
    take as long as the reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _unread(policy: DevicePolicy | SwitchPolicy, reason: str, settle: str) -> DeviceResult:
    problem = OpenPoint(Span(policy.device, "manifest.json", ""), reason, settle)
    return DeviceResult(
        policy.device, policy.ward, policy.site, policy.platform, Verdict.UNKNOWN, False, (), (), (problem,), (), ()
    )


def _grants(policy: DevicePolicy) -> list[GrantInForce]:
    return [
        GrantInForce(
            grant.id, policy.device, grant.from_interface, grant.to_interface, str(grant.sender), str(grant.receiver),
            tuple(allowed_text(ports) for ports in grant.allow), grant.owner, grant.document, grant.expires,
            str(grant.source),
        )
        for grant in policy.grants
    ]  # fmt: skip


def allowed_text(ports: Ports) -> str:
    """`tcp 80,443`"""
    return f"{ports.protocol} {','.join(map(str, ports.ports))}".strip()


__all__ = ["AuditError", "ParseError", "audit", "snapshot_policy"]
