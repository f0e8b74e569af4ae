"""What must pass at a device, as positive controls of a replay: the policy's exceptions, the inventory's conduits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wardnet.audit.snapshot import Snapshot
from wardnet.compile import compile_plan
from wardnet.inventory import parse_district
from wardnet.model.intent import IPNetwork, Ports
from wardnet.model.plan import Flow, Hook, Plan
from wardnet.model.policy import AuditPolicy


@dataclass(frozen=True, slots=True)
class Conduit:
    """A flow that passes a device, from one port to another. Addresses are in `senders` and `receivers`, without those
    that are `excluded`."""

    id: str
    device: str
    from_port: str
    to_port: str
    senders: tuple[IPNetwork, ...]
    receivers: tuple[IPNetwork, ...]
    excluded: tuple[IPNetwork, ...]
    allow: tuple[Ports, ...]


def granted(policy: AuditPolicy) -> Iterator[Conduit]:
    """The exceptions in force."""
    for device in policy.devices:
        for grant in device.grants:
            yield Conduit(
                grant.id, device.device, grant.from_interface, grant.to_interface, (grant.sender,), (grant.receiver,),
                (), grant.allow,
            )  # fmt: skip


def planned(plan: Plan) -> Iterator[Conduit]:
    """What the gateways forward within a channel."""
    for gateway in plan.gateways:
        for flow in gateway.flows:
            if flow.hook is Hook.FORWARD and not flow.crosses:
                yield from _within(gateway.id, flow)


def _within(device: str, flow: Flow) -> Iterator[Conduit]:
    one, other = flow.sender, flow.receiver
    if one.port is not None and other.port is not None and one.port != other.port:
        excluded = (*one.excluded, *other.excluded)
        yield Conduit(flow.id, device, one.port, other.port, one.prefixes, other.prefixes, excluded, flow.allow)


def snapshot_conduits(snapshot: Snapshot, policy: AuditPolicy) -> tuple[Conduit, ...]:
    """The conduits of the snapshot's inventory on the policy's day."""
    return tuple(planned(compile_plan(parse_district(dict(snapshot.inventory)), policy.as_of)))
