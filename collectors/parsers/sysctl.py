"""`sysctl -a`: the settings by name, and what each has to do with a packet on its way through the device.

Every setting is in one row of the tables below: the engines read it, it has no part for the reason of its row, or it
has none as long as it has certain values. One that is in no row is unknown: a kernel to come may forward by it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from collectors.parsers.artefact import Artefact
from collectors.parsers.coverage import Tally
from wardnet.model.span import Coverage

_SETTING = re.compile(r"([A-Za-z0-9_./@:+-]+) ?= ?(.*)")
_OF_PORTS = ("net.ipv4.conf.", "net.ipv4.neigh.", "net.ipv6.conf.", "net.ipv6.neigh.", "net.mpls.conf.")
_COMING = "for ports that come later: what they then have is collected with them"

# Read by the engines, for each port, for all ports, or for the device.
_MODELLED = """
    net.ipv4.conf.*: accept_local forwarding route_localnet rp_filter src_valid_mark
    net.ipv6.conf.*: force_forwarding forwarding
    net.netfilter: nf_conntrack_helper
"""

# A name that ends in * stands for all that begin so.
_WITHOUT_PART = {
    "it is no setting of the network": """
        : abi.* crypto.* debug.* dev.* fs.* kernel.* sunrpc.* user.* vm.*""",
    "the switch of net.ipv4.conf.all.forwarding by another name; each port's own decides": """
        net.ipv4: ip_forward""",
    "it attracts packets, or answers for others: what comes in by a port is looked at, whoever it was for": """
        net.ipv4.conf.*: arp_filter arp_ignore medium_id proxy_arp proxy_arp_pvlan
        net.ipv4.neigh.*: proxy_delay proxy_qlen
        net.ipv6.conf.*: proxy_ndp
        net.ipv6.neigh.*: proxy_delay proxy_qlen""",
    "it decides who is found as neighbour on a port, not on which port": """
        net.ipv4.conf.*: arp_accept arp_announce arp_evict_nocarrier arp_notify drop_gratuitous_arp
        net.ipv4.neigh.*: *
        net.ipv6.conf.*: accept_untracked_na drop_unsolicited_na force_tllao ndisc_evict_nocarrier ndisc_notify
            ndisc_tclass suppress_frag_ndisc
        net.ipv6.neigh.*: *""",
    "a redirect names another neighbour on the port that the route has, and changes no port": """
        net.ipv4.conf.*: accept_redirects secure_redirects shared_media
        net.ipv6.conf.*: accept_redirects""",
    "it is about messages that the device itself sends": """
        net.ipv4.conf.*: send_redirects force_igmp_version igmpv2_unsolicited_report_interval
            igmpv3_unsolicited_report_interval
        net.ipv4: fwmark_reflect icmp_* igmp_* ip_default_ttl
        net.ipv4.route: error_burst error_cost redirect_load redirect_number redirect_silence
        net.ipv6.conf.*: force_mld_version hop_limit mldv1_unsolicited_report_interval
            mldv2_unsolicited_report_interval router_probe_interval router_solicitation_delay
            router_solicitation_interval router_solicitation_max_interval router_solicitations
        net.ipv6: anycast_src_echo_reply auto_flowlabels flowlabel_* fwmark_reflect icmp.* mld_*""",
    "it is about sockets and connections of the device itself": """
        net.core: bypass_prot_mem optmem_max rmem_* somaxconn tstamp_allow_data txrehash txq_reselection_ms wmem_*
            busy_poll busy_read
        net.ipv4: inet_peer_* ip_autobind_reuse ip_dynaddr ip_local_port_range ip_local_port_step_width
            ip_local_reserved_ports ip_no_pmtu_disc ip_unprivileged_port_start ping_group_range tcp_* udp_*
        net.ipv6: bindv6only
        net: mptcp.* unix.* sctp.* dccp.* smc.* vsock.* rds.*""",
    "any program may use a foreign address without it, too (IP_FREEBIND)": """
        net.ipv4: ip_nonlocal_bind
        net.ipv6: ip_nonlocal_bind""",
    "it takes packets for a socket of the device sooner: those are for the device itself": """
        net.ipv4: ip_early_demux""",
    "it is about which VRF a socket hears; a device with VRFs is unknown as a whole": """
        net.ipv4: raw_l3mdev_accept
        net.vrf: strict_mode""",
    "which of several next hops is taken is left open": """
        net.ipv4: fib_multipath_*
        net.ipv6: fib_multipath_*""",
    "it is about what is told of routes, not about the routes; what is not told is unknown": """
        net.ipv4: fib_notify_on_flag_change fib_sync_mem nexthop_compat_mode
        net.ipv6: fib_notify_on_flag_change
        net.ipv6.route: skip_notify_on_dev_down""",
    "each port is looked at up and down: a route that stays without a carrier leads nowhere": """
        net.ipv4.conf.*: ignore_routes_with_linkdown
        net.ipv6.conf.*: ignore_routes_with_linkdown""",
    "it is about which addresses a port has; those that it has are in the listing": """
        net.ipv4.conf.*: promote_secondaries
        net.ipv6.conf.*: accept_dad addr_gen_mode dad_transmits enhanced_dad keep_addr_on_down max_addresses
            max_desync_factor optimistic_dad regen_max_retry regen_min_advance stable_secret temp_prefered_lft
            temp_valid_lft use_oif_addrs_only use_optimistic use_tempaddr
        net.ipv6: idgen_delay idgen_retries""",
    "it is about router advertisements: whether they are taken, accept_ra says": """
        net.ipv6.conf.*: accept_ra_* autoconf ra_defrtr_metric ra_honor_pio_life ra_honor_pio_pflag""",
    "with it the device drops packets, or takes none": """
        net.ipv4.conf.*: drop_unicast_in_l2_multicast
        net.ipv6.conf.*: disable_ipv6 drop_unicast_in_l2_multicast
        net.ipv6: max_dst_opts_* max_hbh_*""",
    "only with IPsec policies, which are unknown as a whole": """
        net.ipv4.conf.*: disable_policy disable_xfrm
        net.ipv4: xfrm4_gc_thresh
        net.ipv6.conf.*: disable_policy
        net.ipv6: xfrm6_gc_thresh
        net.core: xfrm_*""",
    "only with segment routing, whose switch is looked at": """
        net.ipv6.conf.*: seg6_require_hmac
        net.ipv6: seg6_flowlabel""",
    "it writes into a packet's options, and looks at nothing for its way": """
        net.ipv6.conf.*: ioam6_enabled ioam6_id ioam6_id_wide
        net.ipv6: ioam6_id ioam6_id_wide""",
    "labels of security modules, which drop at most": """
        net.ipv4: cipso_*
        net.ipv6: calipso_*""",
    "the kernel knows it and does nothing by it": """
        net.ipv4.conf.*: bootp_relay tag""",
    "it counts, writes logs or reports": """
        net.core: message_burst message_cost warnings netdev_unregister_timeout_secs
        net.ipv4.conf.*: log_martians
        net.netfilter: nf_conntrack_acct nf_conntrack_count nf_conntrack_events nf_conntrack_log_invalid
            nf_conntrack_timestamp nf_log.* nf_log_all_netns""",
    "how long, and how many: sizes of fragments, packets, queues and caches": """
        net.core: dev_weight dev_weight_rx_bias dev_weight_tx_bias flow_limit_* gro_normal_batch
            high_order_alloc_disable max_skb_frags mem_pcpu_rsv netdev_budget netdev_budget_usecs netdev_max_backlog
            netdev_rss_key netdev_tstamp_prequeue rps_default_mask rps_sock_flow_entries skb_defer_max
        net.ipv4: ip_forward_update_priority ip_forward_use_pmtu ipfrag_*
        net.ipv4.route: flush gc_* max_delay max_size min_adv_mss min_delay min_pmtu mtu_expires
        net.ipv6.conf.*: mtu
        net.ipv6: ip6frag_*
        net.ipv6.route: flush gc_* max_size min_adv_mss mtu_expires""",
    "how long connections are tracked, and how many: any tracked packet may be a new one, or of any connection that "
    "was let begin": """
        net: nf_conntrack_max
        net.netfilter: nf_conntrack_*_timeout* nf_conntrack_buckets nf_conntrack_checksum nf_conntrack_dccp_loose
            nf_conntrack_expect_max nf_conntrack_frag6_* nf_conntrack_max nf_conntrack_tcp_be_liberal
            nf_conntrack_tcp_ignore_invalid_rst nf_conntrack_tcp_loose nf_conntrack_tcp_max_retrans
            nf_flowtable_*""",
    "only with encapsulated routes, which are unknown at their place": """
        net.netfilter: nf_hooks_lwtunnel""",
    "how programs of the kernel's filter language are compiled": """
        net.core: bpf_jit_*""",
    "for ports and namespaces that come later; the queueing disciplines that there are, are listed": """
        net.core: default_qdisc devconf_inherit_init_net fb_tunnels_only_for_init_net""",
    "of ARP, which carries no IP packet": """
        net.bridge: bridge-nf-call-arptables""",
    "only where chains of IP see frames of a bridge, whose switches are looked at": """
        net.bridge: bridge-nf-filter-pppoe-tagged bridge-nf-filter-vlan-tagged bridge-nf-pass-vlan-input-dev""",
    "whether chains of IP see the frames of a bridge: looked at where a bridge has several members": """
        net.bridge: bridge-nf-call-ip6tables bridge-nf-call-iptables""",
    "of packets with labels, whose number is looked at": """
        net.mpls.conf.*: input
        net.mpls: default_ttl ip_ttl_propagate""",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Guard:
    """A setting that has no part as long as it has one of the `values`. Where `by_all`, the kernel asks the setting for
    all ports too, and that one alone is looked at."""

    values: tuple[str, ...]
    danger: str
    by_all: bool = False


_OTHER_WAYS = "source routing, multicast or broadcast forwarding is not modelled"
_GUARDED = {
    "net.ipv4.conf.*.accept_source_route": _Guard(("0", "-1"), _OTHER_WAYS, by_all=True),
    "net.ipv4.conf.*.bc_forwarding": _Guard(("0",), _OTHER_WAYS, by_all=True),
    "net.ipv4.conf.*.mc_forwarding": _Guard(("0",), _OTHER_WAYS),
    "net.ipv6.conf.*.accept_source_route": _Guard(("0", "-1"), _OTHER_WAYS, by_all=True),
    "net.ipv6.conf.*.mc_forwarding": _Guard(("0",), _OTHER_WAYS),
    "net.ipv6.conf.*.rpl_seg_enabled": _Guard(("0",), _OTHER_WAYS, by_all=True),
    "net.ipv6.conf.*.seg6_enabled": _Guard(("0",), _OTHER_WAYS, by_all=True),
    "net.mpls.platform_labels": _Guard(("0",), "MPLS is not modelled"),
}
_RA = "net.ipv6.conf.*.accept_ra"
_IPVS = "net.ipv4.vs."
_ASLEEP = "at the value that it has, no packet goes another way by it"


def parse_settings(artefact: Artefact) -> tuple[Mapping[str, str], Coverage]:
    """Values by name. A listing without a line of net.ipv4 is not one."""
    found: dict[str, str] = {}
    lines: list[tuple[int, str]] = []
    text = artefact.text()
    if text and not text.endswith("\n"):
        artefact.fail(f"offset {len(artefact.content)}", "the last line has no end: truncated")
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        match = _SETTING.fullmatch(line)
        if match is None:
            artefact.fail(f"line {number}", f"not a setting: {line[:60]!r}")
        name = match[1]
        # Some of the kernel's lists are printed as several lines of one name; none that matters here.
        matters = name.startswith(("net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.ip_forward"))
        if matters and found.get(name, match[2].strip()) != match[2].strip():
            artefact.fail(f"line {number}", f"{name} stands twice")
        found[name] = match[2].strip()
        lines.append((number, name))
    if not any(key.startswith("net.ipv4.") for key in found):
        artefact.fail("offset 0", "no setting of net.ipv4")
    return found, _covered(artefact.name, found, lines)


def _covered(artefact: str, settings: Mapping[str, str], lines: list[tuple[int, str]]) -> Coverage:
    tally = Tally(artefact)
    for number, name in lines:
        place = ("line ", number)
        general, port, reason = _row(name)
        if reason == "":
            tally.modelled(place)
        elif reason is not None:
            tally.irrelevant(place, reason)
        elif problem := _problem(general, port, name, settings):
            tally.unknown(f"{name} (line {number})", *problem)
        else:
            tally.irrelevant(place, _COMING if port == "default" else _ASLEEP)
    return tally.coverage()


def _problem(general: str, port: str, name: str, settings: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a setting in no row without a part is unknown at its value, and what would settle it."""
    value = settings[name]
    guard = _GUARDED.get(general)
    if guard is not None:
        everywhere = settings.get(general.replace("*", "all"), "0")
        judged = port == "all" if guard.by_all else port in ("", "all") or (port != "default" and everywhere == "0")
        if not judged or value in guard.values:
            return None
        stop = "stop the multicast router" if general.endswith(".mc_forwarding") else f"`sysctl {name}=0`"
        return f"{name} is {value}: {guard.danger}", stop
    if general == _RA:
        # `all` is not asked, and neither are advertisements on the loopback device.
        if port in ("all", "default", "lo") or value == "0":
            return None
        forwards = settings.get(f"net.ipv6.conf.{port}.forwarding") == "1"
        if value == "1" and forwards:
            return None
        why = "" if value != "1" else " and the port's forwarding is off"
        reason = f"{name} is {value}{why}: whoever sends router advertisements on {port} changes the routes"
        return reason, f"`sysctl {name}=0`"
    if name.startswith(_IPVS):
        return "IPVS is loaded: it sends packets on by services of its own, which are not collected", "unload ip_vs"
    reason = "a setting that this version does not know: it may decide on what is forwarded"
    return reason, "look it up in the kernel's documentation, and report it as missing in wardnet"


@lru_cache(1 << 16)  # a district's devices have the same few thousand
def _row(name: str) -> tuple[str, str, str | None]:
    """Of a setting what `_general` says, and the `_reason` of that."""
    general, port = _general(name)
    return general, port, _reason(general)


def _general(name: str) -> tuple[str, str]:
    """A setting's name with * for the port, and the port; a port's own dots are slashes."""
    if name.startswith(_OF_PORTS):
        _, family, kind, rest = name.split(".", 3)
        port, dot, setting = rest.rpartition(".")
        if dot:
            return f"net.{family}.{kind}.*.{setting}", port
    return name, ""


@cache
def _reason(general: str) -> str | None:
    """Why a setting has no part; empty where it is modelled, None where its value decides or it is unknown."""
    exact, beginnings = _rows()
    if general in exact:
        return exact[general]
    for pattern, reason in beginnings:
        if pattern.fullmatch(general):
            return reason
    return None


@cache
def _rows() -> tuple[Mapping[str, str], tuple[tuple[re.Pattern[str], str], ...]]:
    exact: dict[str, str] = {}
    beginnings: list[tuple[re.Pattern[str], str]] = []
    for reason, rows in (("", _MODELLED), *_WITHOUT_PART.items()):
        for name in _names(rows):
            if "*" in name.removeprefix("net.ipv4.conf.*").removeprefix("net.ipv6.conf.*"):
                parts = [re.escape(part) for part in name.replace(".neigh.*.", ".neigh.%.").split("*")]
                beginnings.append((re.compile(".*".join(parts).replace("%", r"\*")), reason))
            else:
                exact[name] = reason
    return exact, tuple(beginnings)


def _names(rows: str) -> Iterator[str]:
    head = ""
    for word in rows.split():
        if word.endswith(":"):
            head = word[:-1]
        else:
            yield f"{head}.{word}" if head else word
