"""Single frames through an access switch, as ofproto/ofproto-dpif-xlate.c of Open vSwitch has it: whether it takes a
frame with that tag in, which VLAN it is then in, which ports are in that VLAN, and how they tag it.

Beside `audit/switches.py`, and independent of it: a frame with each tag is sent in, and seen or not at the other port.
"""

from __future__ import annotations

from wardnet.audit.records import Verdict
from wardnet.model.intent import Channel
from wardnet.model.policy import SwitchEnd, SwitchPolicy
from wardnet.model.switch import Flow, FlowAction, FrameBridge, FramePort, VlanMode

_TAGS = 4096
_OF_FEW = frozenset({"tp_src", "tp_dst", "icmp_type", "icmp_code", "nw_proto", "nw_frag", "ip_frag", "tcp_flags"})


def follow(
    bridge: FrameBridge, policy: SwitchPolicy, source: tuple[str, Channel],
    destination: tuple[str, Channel],
) -> Verdict:  # fmt: skip
    """Whether any frame of the source's channel comes out to the destination's: violated, unknown or proved."""
    found = {port.name: port for port in bridge.ports}
    enters, leaves = found.get(source[0]), found.get(destination[0])
    wanted = {port.name: port for port in policy.ports}
    if enters is None or leaves is None:
        return Verdict.PROVED
    passes = _passes(bridge, enters)
    if passes is Verdict.PROVED:
        return passes
    for tag in range(_TAGS):
        vlan = _vlan_of(enters, tag)
        if vlan is None or not _in_vlan(leaves, vlan) or _channel(policy, wanted[source[0]], tag) is not source[1]:
            continue
        if _channel(policy, wanted[destination[0]], _tag_of(leaves, vlan)) is not destination[1]:
            continue
        return Verdict.UNKNOWN if enters.protected and leaves.protected else passes
    return Verdict.PROVED


def _channel(policy: SwitchPolicy, end: SwitchEnd, tag: int) -> Channel | None:
    """Who sends a frame with this tag at a port, or gets it there."""
    if not end.tagged:
        return policy.channels.get(end.vlans[0])
    return policy.channels.get(tag) if tag in end.vlans else None


def _passes(bridge: FrameBridge, port: FramePort) -> Verdict:
    """Of frames from the port: surely some are switched, maybe, or none."""
    mine = [flow for flow in bridge.flows if flow.port in (None, port.number)]
    seen: Verdict = Verdict.PROVED
    blurred = False
    while mine:
        best = max(flow.priority for flow in mine)
        here = [flow for flow in mine if flow.priority == best]
        mine = [flow for flow in mine if flow.priority != best]
        if any(flow.action is FlowAction.NORMAL for flow in here) and not blurred:
            return Verdict.VIOLATED
        if any(flow.action is not FlowAction.DROP for flow in here):
            seen = Verdict.UNKNOWN
        if any(not flow.narrow for flow in here):
            break
        blurred = blurred or any(flow.action is FlowAction.DROP and not _of_few(flow) for flow in here)
    return seen


def _of_few(flow: Flow) -> bool:
    return bool({word.split("=")[0] for word in flow.narrow} & _OF_FEW)


def _vlan_of(port: FramePort, tag: int) -> int | None:
    """input_vid_is_valid and input_vid_to_vlan: the VLAN of a frame that comes in so, None where it is dropped."""
    match port.mode:
        case VlanMode.ACCESS:
            return (port.tag or 0) if tag == 0 else None
        case VlanMode.TRUNK:
            return tag if _trunks(port, tag) else None
    if tag == 0:
        return port.tag or 0
    return tag if _in_vlan(port, tag) else None


def _in_vlan(port: FramePort, vlan: int) -> bool:
    """xbundle_includes_vlan"""
    match port.mode:
        case VlanMode.ACCESS:
            return vlan == (port.tag or 0)
        case VlanMode.TRUNK:
            return _trunks(port, vlan)
    return vlan == (port.tag or 0) or _trunks(port, vlan)


def _trunks(port: FramePort, vlan: int) -> bool:
    return not port.trunks or vlan in port.trunks


def _tag_of(port: FramePort, vlan: int) -> int:
    """output_vlan_to_vid: the tag of a frame of the VLAN as it goes out."""
    untagged = port.mode is VlanMode.ACCESS or (port.mode is VlanMode.NATIVE_UNTAGGED and vlan == port.tag)
    return 0 if untagged else vlan
