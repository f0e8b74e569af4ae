"""An access switch against its policy: that no VLAN of one channel reaches a port of the other.

Everybody behind a port that carries one VLAN is of that VLAN's channel, whatever tags they send. Behind a port that
carries several, a frame is of the channel of its tag; what has no tag there, or another one, may be anybody's, as on a
port that the policy does not know or says is unused. Where a frame may go is what a switch does by VLAN, to every port
that is in it: addresses that it has learnt only narrow that.

Beside it a single frame is followed by itself (`steps/frame.py`), over all tags: both must say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address

from wardnet.audit import suggest
from wardnet.audit.agreement import SEND
from wardnet.audit.places import usual_host
from wardnet.audit.problems import kind_of
from wardnet.audit.question import FAMILIES
from wardnet.audit.records import Crossing, DeviceResult, Disagreement, Hop, OpenPoint, Packet, Pair, Verdict, worst
from wardnet.audit.steps.frame import follow
from wardnet.model.intent import Channel
from wardnet.model.packet import TCP
from wardnet.model.policy import SwitchEnd, SwitchPolicy
from wardnet.model.span import Span
from wardnet.model.switch import HIGHEST_VLAN, Flow, FlowAction, FrameBridge, FramePort, SwitchDevice, VlanMode

ENGINE, SECOND = "VLAN sets", "frame by frame"
# Conditions that leave most frames of a port alone: of these no number of drops keeps all of them out.
_TRANSPORT = ("tp_src", "tp_dst", "icmp_type", "icmp_code", "nw_proto", "nw_frag", "ip_frag", "tcp_flags")
_LIKELY = (FlowAction.NORMAL, FlowAction.OTHER, FlowAction.DROP)  # of two with one priority either may be taken

End = tuple[str, Channel]  # a port, and whoever is behind it


@dataclass(frozen=True, slots=True)
class _Lane:
    """Frames of one VLAN at a port: whose they are (None: nobody knows), and with which tag (0: none)."""

    port: FramePort
    channel: Channel | None
    tag: int


def judge_switch(device: SwitchDevice, policy: SwitchPolicy) -> DeviceResult:
    """The verdict on a switch that was read. Never raises for what stands in the artefacts."""
    problems = [OpenPoint(unknown.span, unknown.reason, unknown.settle) for unknown in device.unknowns]
    problems += _strange(device, policy)
    bridge = next((found for found in device.bridges if found.name == policy.bridge), None)
    joined: dict[tuple[End, End], tuple[int, bool]] = {}
    if bridge is not None:
        vlans = _Vlans(device, bridge, policy)
        joined = vlans.joined()
        problems += [*vlans.of_nobody(), *_silent(bridge, policy)]
    ends = _ends(policy)
    pairs: list[Pair] = []
    crossings: list[Crossing] = []
    disagreements: list[Disagreement] = []
    for one in ends:
        for other in ends:
            if one[0] == other[0] or one[1] is other[1]:
                continue
            verdict, found = Verdict.PROVED, joined.get((one, other))
            if found is not None:
                verdict = Verdict.VIOLATED if found[1] else Verdict.UNKNOWN
            second = Verdict.PROVED if bridge is None else follow(bridge, policy, one, other)
            for family in FAMILIES:
                # Of zones within a channel nothing is said here: each channel is one.
                pair = Pair(*one, str(one[1]), *other, str(other[1]), family, verdict, second)
                if second is not verdict:
                    disagreements.append(_disagreement(pair))
                    pair = replace(pair, verdict=Verdict.UNKNOWN)
                elif verdict is Verdict.PROVED and problems:
                    pair = replace(pair, verdict=Verdict.UNKNOWN)
                pairs.append(pair)
                if found is not None and bridge is not None:
                    number = len(crossings) + 1
                    crossings.append(_crossing(device, bridge, policy, pair, found[0], number))
    verdict = worst([pair.verdict for pair in pairs] + ([Verdict.UNKNOWN] if problems else []))
    return DeviceResult(policy.device, policy.ward, policy.site, policy.platform, verdict, True, tuple(pairs),
                        tuple(crossings), tuple(problems), device.coverage, (), tuple(disagreements))  # fmt: skip


def _ends(policy: SwitchPolicy) -> list[End]:
    """Each port, once for each channel that is behind it."""
    return [
        (port.name, channel)
        for port in policy.ports
        for channel in Channel
        if channel in {policy.channels.get(vlan) for vlan in port.vlans}
    ]


def _strange(device: SwitchDevice, policy: SwitchPolicy) -> Iterator[OpenPoint]:
    """What the switch has and the policy does not know, or the other way round."""
    bridge = next((found for found in device.bridges if found.name == policy.bridge), None)
    if bridge is None:
        span = Span(device.id, "ovs.json", policy.bridge)
        yield OpenPoint(span, f"there is no bridge {policy.bridge}, which the inventory has", "run role access_switch")
    known = {port.name for port in bridge.ports} if bridge is not None else set()
    for port in policy.ports:
        if bridge is not None and port.vlans and port.name not in known:
            reason = f"port {port.name} of the inventory is not on bridge {policy.bridge}"
            yield OpenPoint(bridge.span, reason, "correct the inventory, or the switch")
        for vlan in port.vlans:
            if vlan not in policy.channels:
                reason = f"VLAN {vlan} of port {port.name} is of no network of the site's gateway: whose is it?"
                yield OpenPoint(Span(device.id, "", port.name), reason, "correct the inventory")
    for other in device.bridges:
        if other.name != policy.bridge:
            reason = f"bridge {other.name} is there, and the inventory does not know it"
            yield OpenPoint(other.span, reason, f"`ovs-vsctl del-br {other.name}`")
    for link in device.links:
        if link.up and not link.loopback and link.name not in known:
            reason = f"port {link.name} is up beside the switch's bridge ({kind_of(link)}): what does it carry?"
            yield OpenPoint(link.span, reason, f"switch {link.name} off, or add it to the bridge and to the inventory")


def _silent(bridge: FrameBridge, policy: SwitchPolicy) -> Iterator[OpenPoint]:
    """Ports in use from which no flow lets anything in: the listing is not whole, or the switch is not as intended."""
    used = {port.name for port in policy.ports if port.vlans}
    for port in bridge.ports:
        if port.name in used and let_in(bridge, port) is None:
            reason = f"no flow lets in what comes by port {port.name}, which the inventory has in use"
            yield OpenPoint(port.span, reason, "collect again, or run role access_switch")


class _Vlans:
    """Who talks and who hears in each VLAN of a bridge."""

    def __init__(self, device: SwitchDevice, bridge: FrameBridge, policy: SwitchPolicy) -> None:
        self._device = device
        self._bridge = bridge
        self._ends = {port.name: port for port in policy.ports}
        self._channels = policy.channels
        self._talks: dict[int, list[tuple[_Lane, bool]]] = {}
        self._hears: dict[int, list[_Lane]] = {}
        for port in bridge.ports:
            if not self._carries(port):
                continue
            certain = let_in(bridge, port)
            for tag, vlan in incoming(port):
                if certain is not None:
                    lane = _Lane(port, self._whose(port, tag), tag)
                    self._talks.setdefault(vlan, []).append((lane, certain))
            for vlan, tag in outgoing(port):
                self._hears.setdefault(vlan, []).append(_Lane(port, self._whose(port, tag), tag))

    def _carries(self, port: FramePort) -> bool:
        """What is switched off carries nothing; but where the policy has a use for it, it may be switched on again."""
        end, link = self._ends.get(port.name), self._device.link(port.name)
        return (end is not None and bool(end.vlans)) or link is None or link.up

    def _whose(self, port: FramePort, tag: int) -> Channel | None:
        end = self._ends.get(port.name)
        if end is None or not end.vlans:
            return None
        if end.tagged:
            return self._channels.get(tag) if tag in end.vlans else None
        return self._channels.get(end.vlans[0])

    def joined(self) -> dict[tuple[End, End], tuple[int, bool]]:
        """Ends of different channels of which one hears the other: in which VLAN, and whether that is certain."""
        found: dict[tuple[End, End], tuple[int, bool]] = {}
        for vlan, talking in sorted(self._talks.items()):
            for lane, certain in talking:
                for other in self._hears.get(vlan, ()):
                    if lane.channel is None or other.channel is None or lane.channel is other.channel:
                        continue
                    if lane.port.name == other.port.name:
                        continue
                    key = ((lane.port.name, lane.channel), (other.port.name, other.channel))
                    sure = certain and not (lane.port.protected and other.port.protected)
                    if key not in found or (sure and not found[key][1]):
                        found[key] = (vlan, sure)
        return found

    def of_nobody(self) -> Iterator[OpenPoint]:
        """Frames that may be anybody's and reach a port of a channel, or the other way round."""
        told: set[str] = set()
        for vlan in sorted(self._talks.keys() | self._hears.keys()):
            talking = [lane for lane, _ in self._talks.get(vlan, ())]
            for lane in (*talking, *self._hears.get(vlan, ())):
                if lane.channel is not None or lane.port.name in told:
                    continue
                others = self._hears.get(vlan, []) if lane in talking else talking
                met = next((o for o in others if o.channel is not None and o.port.name != lane.port.name), None)
                if met is not None:
                    told.add(lane.port.name)
                    yield self._unclaimed(lane, met, vlan)

    def _unclaimed(self, lane: _Lane, met: _Lane, vlan: int) -> OpenPoint:
        name = lane.port.name
        end = self._ends.get(name)
        if end is None or not end.vlans:
            link = self._device.link(name)
            kind = f" ({kind_of(link)})" if link is not None else ""
            what = f"port {name}{kind} is {'unused by' if end else 'not in'} the inventory"
            settle = f"`ip link set {name} down`, or correct the inventory"
        else:
            tag = f"tag {lane.tag}" if lane.tag else "no tag"
            what = f"what has {tag} on port {name} is in no network of its trunk"
            settle = f"`ovs-vsctl set port {name} vlan_mode=trunk trunks={','.join(map(str, end.vlans))}`"
        reason = f"{what}, and shares VLAN {vlan} with {met.port.name} of channel {met.channel}: who is behind it?"
        return OpenPoint(lane.port.span, reason, settle)


def incoming(port: FramePort) -> Iterator[tuple[int, int]]:
    """Tags that the port takes (0: none), each with the VLAN that the frame is then in."""
    if port.mode is VlanMode.ACCESS:
        yield 0, port.tag or 0
        return
    carried = port.trunks or range(HIGHEST_VLAN + 1)
    native = port.tag or 0
    if port.mode is not VlanMode.TRUNK:
        yield 0, native
        if native not in carried:
            yield native, native
    for vlan in carried:
        if vlan or port.mode is VlanMode.TRUNK:
            yield vlan, vlan


def outgoing(port: FramePort) -> Iterator[tuple[int, int]]:
    """VLANs whose frames leave by the port, each with the tag that they then have (0: none)."""
    native = port.tag or 0
    if port.mode is VlanMode.ACCESS:
        yield native, 0
        return
    carried = set(port.trunks or range(HIGHEST_VLAN + 1))
    if port.mode is not VlanMode.TRUNK:
        carried.add(native)
    for vlan in sorted(carried):
        yield vlan, 0 if vlan == native and port.mode is VlanMode.NATIVE_UNTAGGED else vlan


def let_in(bridge: FrameBridge, port: FramePort) -> bool | None:
    """Whether flows let frames of the port be switched: certainly some, perhaps some (False), or none (None)."""
    certain, perhaps = True, False
    for flow in sorted(bridge.flows, key=lambda flow: (-flow.priority, _LIKELY.index(flow.action))):
        if flow.port is not None and flow.port != port.number:
            continue
        if flow.action is not FlowAction.DROP:
            if certain and flow.action is FlowAction.NORMAL:
                return True
            perhaps = True
        if not flow.narrow:
            break
        certain = certain and (flow.action is not FlowAction.DROP or _leaves_most(flow))
    return False if perhaps else None


def _leaves_most(flow: Flow) -> bool:
    return any(word.partition("=")[0] in _TRANSPORT for word in flow.narrow)


def _disagreement(pair: Pair) -> Disagreement:
    reason = f"the audit's two engines disagree: {ENGINE} says {pair.verdict}, {SECOND} says {pair.second}"
    verdicts: Mapping[str, Verdict | None] = {ENGINE: pair.verdict, SECOND: pair.second}
    return Disagreement(pair.from_port, pair.to_port, pair.family, verdicts, reason, SEND)


def _crossing(
    device: SwitchDevice, bridge: FrameBridge, policy: SwitchPolicy, pair: Pair, vlan: int, number: int
) -> Crossing:
    ports = {port.name: port for port in bridge.ports}
    hop = Hop("switch", f"{bridge.name} joins {pair.from_port} and {pair.to_port} in VLAN {vlan}",
              ports[pair.to_port].span)  # fmt: skip
    points: tuple[OpenPoint, ...] = ()
    if pair.verdict is Verdict.UNKNOWN:
        reason = "flows with conditions stand before it, or both ports are protected: which frames pass is not modelled"
        points = (OpenPoint(bridge.span, reason, "`ovs-ofctl dump-flows`: let them do NORMAL or drop for whole ports"),)
    source, destination = (_somebody(policy, name, pair.family) for name in (pair.from_port, pair.to_port))
    packet = Packet(pair.family, pair.from_port, source, destination, TCP, 40000, 443, None, None, 2, 0, 0, False,
                    TCP if pair.family == 6 else None, "untracked")  # fmt: skip
    return Crossing(
        f"{device.id}-{number}", pair.verdict, device.id, policy.ward, pair.family, pair.from_port, pair.from_channel,
        pair.from_zone, pair.to_port, pair.to_channel, pair.to_zone, packet, None, None, (), "", (hop,), hop,
        None, None, (), (), (), points, suggest.unswitch(pair.to_port, vlan),
    )  # fmt: skip


def _somebody(policy: SwitchPolicy, name: str, family: int) -> str:
    """A usual address behind a port."""
    end: SwitchEnd = next(port for port in policy.ports if port.name == name)
    networks = [network for vlan in end.vlans for network in policy.networks.get(vlan, ())]
    return str(ip_address(usual_host(networks, family)))
