"""Matches and targets of iptables in rules that iptables-nft made, where nft has no words for them.

`nft -j` lists most of such rules as its own. What is left is `{"xt": {"type": "match", "name": "connlimit"}}`: the name
and nothing of what it asks (older versions: null). A match of the kernel's own only holds or does not; targets may do
anything but what these are known to do.
"""

from __future__ import annotations

from typing import Any

from collectors.parsers.nft_values import head
from wardnet.model.device import Decide, Match, Opaque, Statement, Verdict
from wardnet.model.packet import Chance, Open
from wardnet.model.span import Span

# net/netfilter/xt_*.c and ipt_*, ip6t_*: nothing of these changes a packet, nor tells anything by itself.
_READING = """
    addrtype ah bpf cgroup cluster comment connbytes connlabel connlimit connmark conntrack cpu dccp devgroup dscp dst
    ecn esp eui64 frag hashlimit hbh helper hl icmp icmp6 ipcomp iprange ipv6header ipvs l2tp length limit mac mark mh
    multiport nfacct osf owner physdev pkttype policy quota rateest realm recent rpfilter rt sctp set srh state
    statistic string tcp tcpmss time tos ttl u32 udp
"""
_MATCHES = frozenset(_READING.split())
_ALWAYS = frozenset({"comment"})
# Hold for whoever waits.
_CHANCES = frozenset({"connlimit", "hashlimit", "limit", "quota", "statistic"})
_TELLING = "AUDIT CHECKSUM CLASSIFY CONNSECMARK IDLETIMER LED LOG NFLOG RATEEST SECMARK TCPMSS TRACE"
_WITHOUT_EFFECT = frozenset(_TELLING.split())
_DROPPING = frozenset({"REJECT"})
_UNTRACKING = frozenset({"CT", "NOTRACK"})


def extension(body: Any, span: Span) -> tuple[Statement, ...]:
    """Of an `xt` statement; what is not known by its name may do anything."""
    kind, name = _named(body)
    reason = f"{kind or 'extension'} {name or head(body)} of iptables"
    if kind == "match" and name in _ALWAYS:
        return ()
    if kind == "match" and name in _CHANCES:
        return (Match(Chance(span, reason)),)
    if kind == "match" and name in _MATCHES:
        return (Match(Open(span, f"{reason}: what it asks is not listed")),)
    if kind in ("target", "watcher") and name in _WITHOUT_EFFECT:
        return ()
    if kind == "target" and name in _DROPPING:
        return (Decide(Verdict.DROP),)
    return (Opaque(span, f"{reason}: what it does is not listed", rewrites=True),)


def may_untrack(expression: Any) -> bool:
    """Whether a statement may take the packet out of connection tracking, hand its connection to a helper, or choose
    its zone: what only the target CT does, or NOTRACK, or one without a name."""
    match expression:
        case {"xt": body}:
            kind, name = _named(body)
            return not name or (kind == "target" and name in _UNTRACKING)
    return False


def _named(body: Any) -> tuple[str, str]:
    match body:
        case {"type": str(kind), "name": str(name)} if len(body) == 2:
            return kind, name
    return "", ""
