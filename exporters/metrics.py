"""Every metric of the exporters: name, kind, help and labels, in the order in which they are documented.

Prometheus adds ward, site and gateway to each target. Label values are ids, or come from a short fixed list.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]

_CHANNEL = ("channel",)
_LINK = ("channel", "reflector", "family")
_SERVICE = ("channel", "service", "family")
_SCANNER = ("channel", "scanner")
_EGRESS = ("channel", "family", "interface", "source")

# Seconds. A WAN circuit inside a city answers in milliseconds, a full buffer in seconds.
LINK_BUCKETS = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0,
)  # fmt: skip
SERVICE_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metric:
    """A counter's name ends in _total. Each is made once, here, so that it is equal to itself only."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


CIRCUIT_INFO = Metric(
    "wardnet_circuit_info",
    "gauge",
    "Always 1: which circuit of which provider a channel is, and the port it hangs on.",
    ("channel", "circuit", "provider", "interface"),
)
CIRCUIT_UP = Metric("wardnet_circuit_up", "gauge", "1 if the circuit's port is enabled and has a carrier.", _CHANNEL)
CIRCUIT_CONTRACTED = Metric(
    "wardnet_circuit_contracted_bytes_per_second",
    "gauge",
    "Rate that the contract promises, at the IP layer; down is towards the site.",
    ("channel", "direction"),
)
CIRCUIT_RECEIVE_BYTES = Metric(
    "wardnet_circuit_receive_bytes_total", "counter", "Bytes received on the circuit's port, link layer.", _CHANNEL
)
CIRCUIT_TRANSMIT_BYTES = Metric(
    "wardnet_circuit_transmit_bytes_total", "counter", "Bytes sent on the circuit's port, link layer.", _CHANNEL
)
CIRCUIT_RECEIVE_PACKETS = Metric(
    "wardnet_circuit_receive_packets_total", "counter", "Packets received on the circuit's port.", _CHANNEL
)
CIRCUIT_TRANSMIT_PACKETS = Metric(
    "wardnet_circuit_transmit_packets_total", "counter", "Packets sent on the circuit's port.", _CHANNEL
)
CIRCUIT_RECEIVE_ERRORS = Metric(
    "wardnet_circuit_receive_errors_total", "counter", "Packets received damaged on the circuit's port.", _CHANNEL
)
CIRCUIT_TRANSMIT_ERRORS = Metric(
    "wardnet_circuit_transmit_errors_total", "counter", "Packets that the circuit's port failed to send.", _CHANNEL
)
CIRCUIT_RECEIVE_DROPS = Metric(
    "wardnet_circuit_receive_drops_total", "counter", "Received packets dropped at the circuit's port.", _CHANNEL
)
CIRCUIT_TRANSMIT_DROPS = Metric(
    "wardnet_circuit_transmit_drops_total", "counter", "Packets dropped at the circuit's port before sending.", _CHANNEL
)

LINK_SENT = Metric(
    "wardnet_link_probes_sent_total",
    "counter",
    "Echo requests, one a second, also those that the kernel refused to send.",
    _LINK,
)
LINK_LOST = Metric(
    "wardnet_link_probes_lost_total", "counter", "Echo requests without an answer after 5 seconds, or refused.", _LINK
)
LINK_ROUND_TRIP = Metric(
    "wardnet_link_round_trip_seconds",
    "histogram",
    "From sending an echo request to the kernel's timestamp of its answer.",
    _LINK,
)
LINK_LAST_ROUND_TRIP = Metric(
    "wardnet_link_last_round_trip_seconds", "gauge", "Round trip of the latest echo request that was answered.", _LINK
)
LINK_EGRESS = Metric(
    "wardnet_link_egress_info",
    "gauge",
    "Always 1: interface and source address that echo requests really leave by, as the kernel says.",
    _EGRESS,
)

SERVICE_UP = Metric(
    "wardnet_service_up", "gauge", "1 if the latest run fetched the page with a status of 200 to 299.", _SERVICE
)
SERVICE_PHASE = Metric(
    "wardnet_service_phase_seconds",
    "gauge",
    "Time the latest run spent in dns, connect, tls, first_byte and transfer; none for phases it did not reach.",
    (*_SERVICE, "phase"),
)
SERVICE_DURATION = Metric(
    "wardnet_service_duration_seconds", "histogram", "Time of whole runs that succeeded.", _SERVICE
)
SERVICE_ROUND_TRIP = Metric(
    "wardnet_service_tcp_round_trip_seconds",
    "gauge",
    "The kernel's smoothed round trip of the latest run's connection (TCP_INFO rtt), at the first byte.",
    _SERVICE,
)
SERVICE_MIN_ROUND_TRIP = Metric(
    "wardnet_service_tcp_min_round_trip_seconds",
    "gauge",
    "The kernel's least round trip of the latest run's connection (TCP_INFO min_rtt), at the first byte.",
    _SERVICE,
)
SERVICE_HTTP_STATUS = Metric(
    "wardnet_service_http_status", "gauge", "HTTP status of the latest run's answer.", _SERVICE
)
SERVICE_RECEIVED_BYTES = Metric(
    "wardnet_service_received_bytes",
    "gauge",
    "Bytes of the latest run's page; reading stops at 1 MiB.",
    _SERVICE,
)
SERVICE_RUNS = Metric("wardnet_service_runs_total", "counter", "Runs that came to an end.", _SERVICE)
SERVICE_FAILURES = Metric(
    "wardnet_service_failures_total",
    "counter",
    "Runs that failed, by phase; status is a whole answer other than 200 to 299.",
    (*_SERVICE, "phase"),
)
SERVICE_LAST_RUN = Metric(
    "wardnet_service_last_run_timestamp_seconds", "gauge", "When the latest run ended, in seconds since 1970.", _SERVICE
)
SERVICE_EGRESS = Metric(
    "wardnet_service_egress_info",
    "gauge",
    "Always 1: interface and source address that the latest connection really left by, as the kernel says.",
    _EGRESS,
)

SCANNER_UP = Metric("wardnet_scanner_up", "gauge", "1 if the scanner is ready, or busy with a page.", _SCANNER)
SCANNER_STATE = Metric(
    "wardnet_scanner_state_info",
    "gauge",
    "Always 1: what the scanner said of itself when it was last asked; silent, if nothing.",
    (*_SCANNER, "state"),
)
SCANNER_LAST_RUN = Metric(
    "wardnet_scanner_last_run_timestamp_seconds",
    "gauge",
    "When the scanner was last asked, in seconds since 1970.",
    _SCANNER,
)

AGENT_INFO = Metric(
    "wardnet_agent_info",
    "gauge",
    "Always 1: version of the agent, and hash of the inventory its configuration was compiled from.",
    ("version", "model_sha256"),
)
AGENT_LATENESS = Metric(
    "wardnet_agent_lateness_seconds",
    "gauge",
    "How late the latest minute's most belated run started; high values mean that the gateway is overloaded.",
    ("plane",),
)
AGENT_SKIPPED = Metric(
    "wardnet_agent_skipped_runs_total",
    "counter",
    "Runs left out because the target's run before them had not ended.",
    ("plane",),
)

_RUN_HOST = ("ward", "host")
RUN_LAST_SUCCESS = Metric(
    "wardnet_run_last_success_timestamp_seconds",
    "gauge",
    "When a run last left the host as it is intended, or found it so, in seconds since 1970; 0 if none ever did.",
    _RUN_HOST,
)
RUN_LAST_STATUS = Metric(
    "wardnet_run_last_status",
    "gauge",
    "Always 1: how the host came out of the last run that came to it.",
    (*_RUN_HOST, "status"),
)
RUN_DRIFT = Metric(
    "wardnet_run_drift_items",
    "gauge",
    "What somebody changed by hand on the host, by part, as the last run that read it found and did not heal.",
    (*_RUN_HOST, "part"),
)
RUN_UPDATES = Metric(
    "wardnet_run_updates_timestamp_seconds",
    "gauge",
    "When security updates last came to their end on the host, as it told the last run, in seconds since 1970.",
    _RUN_HOST,
)
RUN_ROLLED_BACK = Metric(
    "wardnet_run_rolled_back_total",
    "counter",
    "Times that the host took a change back by itself, in the journals that are kept.",
    _RUN_HOST,
)
RUN_UNREACHABLE = Metric(
    "wardnet_run_hosts_unreachable", "gauge", "Hosts that the last run to come to them did not reach.", ("ward",)
)
RUN_STATE = Metric(
    "wardnet_run_state",
    "gauge",
    "Always 1: how the newest run of each playbook ended, in earnest or in check mode.",
    ("playbook", "mode", "state"),
)
RUN_STARTED = Metric(
    "wardnet_run_started_timestamp_seconds",
    "gauge",
    "When the newest run of each playbook began, in seconds since 1970.",
    ("playbook", "mode"),
)
RUN_JOURNALS = Metric("wardnet_run_journals", "gauge", "Journals that were read.")
RUN_UNREADABLE = Metric(
    "wardnet_run_journals_unreadable", "gauge", "Journals that cannot be read, or not in whole, a cut last line apart."
)

_AUDIT_WARD = ("ward",)
AUDIT_VERDICT = Metric(
    "wardnet_audit_verdict",
    "gauge",
    "Always 1: whether the ward's channels and zones are apart, as its last audit found: proved, violated or unknown.",
    (*_AUDIT_WARD, "verdict"),
)
AUDIT_DIRECTION = Metric(
    "wardnet_audit_direction_verdict",
    "gauge",
    "Always 1: the verdict on what goes from one channel of the ward to another, in one family.",
    (*_AUDIT_WARD, "from", "to", "family", "verdict"),
)
AUDIT_NETWORK = Metric(
    "wardnet_audit_network_verdict",
    "gauge",
    "Always 1: whether the network as a whole is apart, made of its devices, as the last audit of all wards found.",
    ("verdict",),
)
AUDIT_LEAKS = Metric(
    "wardnet_audit_leaks",
    "gauge",
    "Ways that are open for certain and must not be: from one channel to another (channels), or between zones of one "
    "(zones).",
    (*_AUDIT_WARD, "crosses"),
)
AUDIT_UNKNOWNS = Metric(
    "wardnet_audit_unknowns",
    "gauge",
    "What the audit could not settle: ways that may be open (crossing), what makes a whole device unknown (problem), "
    "and pairs of ports on which its two engines disagree (disagreement).",
    (*_AUDIT_WARD, "kind"),
)
AUDIT_ITEMS = Metric(
    "wardnet_audit_items",
    "gauge",
    "Rules, routes and lines of the ward's artefacts: modelled, irrelevant, or unknown.",
    (*_AUDIT_WARD, "treatment"),
)
AUDIT_DEVICES = Metric(
    "wardnet_audit_devices",
    "gauge",
    "Devices of the ward that the audit was to judge: read, or missing in the snapshot.",
    (*_AUDIT_WARD, "state"),
)
AUDIT_TIMESTAMP = Metric(
    "wardnet_audit_snapshot_timestamp_seconds",
    "gauge",
    "When the snapshot was made that the ward's verdict is of, in seconds since 1970.",
    _AUDIT_WARD,
)
AUDIT_INFO = Metric(
    "wardnet_audit_info",
    "gauge",
    "Always 1: the version of wardnet that made the newest audit, and the hashes of its snapshot and inventory.",
    ("version", "snapshot_sha256", "model_sha256"),
)
AUDIT_FILES = Metric(
    "wardnet_audit_files",
    "gauge",
    "Files of the folder: audits (read), not of this format and district (foreign), cut off or inconsistent (damaged).",
    ("state",),
)

# Of a clerk's PC. Names of their own: rules over the gateways' series must not count PCs, and a PC has few series.
PC_SERVICE_UP = Metric(
    "wardnet_pc_service_up", "gauge", "1 if the latest run fetched the page with a status of 200 to 299.", _SERVICE
)
PC_SERVICE_FAILURE = Metric(
    "wardnet_pc_service_failure_info",
    "gauge",
    "Always 1, while runs fail: the phase that the latest one failed in.",
    (*_SERVICE, "phase"),
)
PC_SERVICE_PHASE = Metric(
    "wardnet_pc_service_phase_seconds",
    "gauge",
    "Time the latest run spent in dns, connect, tls, first_byte and transfer; none for phases it did not reach.",
    (*_SERVICE, "phase"),
)
PC_SERVICE_ROUND_TRIP = Metric(
    "wardnet_pc_service_tcp_round_trip_seconds",
    "gauge",
    "The kernel's smoothed round trip of the latest run's connection (TCP_INFO rtt), at the first byte.",
    _SERVICE,
)
PC_SERVICE_LAST_RUN = Metric(
    "wardnet_pc_service_last_run_timestamp_seconds",
    "gauge",
    "When the latest run ended, in seconds since 1970.",
    _SERVICE,
)
PC_EGRESS = Metric(
    "wardnet_pc_egress_info",
    "gauge",
    "Always 1: interface and source address that the latest connection really left by, as the kernel says.",
    _EGRESS,
)
PC_SPENT = Metric(
    "wardnet_pc_day_bytes",
    "gauge",
    "Bytes that the connections of scheduled runs carried since 0:00 UTC, or the start.",
)
PC_UNAFFORDABLE = Metric(
    "wardnet_pc_unaffordable_runs_total", "counter", "Runs left out because the day's bytes were spent."
)
PC_INFO = Metric(
    "wardnet_pc_agent_info",
    "gauge",
    "Always 1: version of the agent, and hash of the inventory its configuration was compiled from.",
    ("version", "model_sha256"),
)
PC_LATENESS = Metric(
    "wardnet_pc_agent_lateness_seconds",
    "gauge",
    "How late the latest minute's most belated run started; high values mean that the PC is overloaded.",
    ("plane",),
)
PC_SKIPPED = Metric(
    "wardnet_pc_agent_skipped_runs_total",
    "counter",
    "Runs left out because the target's run before them had not ended.",
    ("plane",),
)

PROBE_SUCCESS = Metric("probe_success", "gauge", "1 if the probe succeeded.")
PROBE_DURATION = Metric("probe_duration_seconds", "gauge", "Time that the whole probe took.")
PROBE_FAILURE = Metric("probe_failure_info", "gauge", "Always 1: the phase that the probe failed in.", ("phase",))
PROBE_EGRESS = Metric(
    "probe_egress_info", "gauge", "Always 1: interface and source address that the probe really left by.", _EGRESS
)
PROBE_PHASE = Metric("probe_phase_seconds", "gauge", "Time that the probe spent in each phase.", ("phase",))
PROBE_ROUND_TRIP = Metric("probe_round_trip_seconds", "gauge", "Round trip of the echo request.")
PROBE_DNS_ADDRESSES = Metric("probe_dns_addresses", "gauge", "Addresses that the resolver answered with.")
PROBE_TCP_ROUND_TRIP = Metric(
    "probe_tcp_round_trip_seconds", "gauge", "The kernel's smoothed round trip of the connection (TCP_INFO rtt)."
)
PROBE_TCP_MIN_ROUND_TRIP = Metric(
    "probe_tcp_min_round_trip_seconds", "gauge", "The kernel's least round trip of the connection (TCP_INFO min_rtt)."
)
PROBE_TCP_RETRANSMISSIONS = Metric(
    "probe_tcp_retransmissions", "gauge", "Segments that the kernel sent again on the connection."
)
PROBE_TCP_BYTES = Metric(
    "probe_tcp_bytes", "gauge", "Bytes that the probe's connections carried in both directions, as the kernel counts."
)
PROBE_TLS_INFO = Metric("probe_tls_info", "gauge", "Always 1: the protocol version agreed on.", ("version",))
PROBE_TLS_EXPIRY = Metric(
    "probe_tls_certificate_expiry_timestamp_seconds",
    "gauge",
    "When the server's certificate expires, in seconds since 1970.",
)
PROBE_HTTP_STATUS = Metric("probe_http_status_code", "gauge", "HTTP status of the answer.")
PROBE_SCANNER_STATE = Metric(
    "probe_scanner_state_info", "gauge", "Always 1: what the scanner said of itself; silent, if nothing.", ("state",)
)
PROBE_HTTP_REDIRECTS = Metric("probe_http_redirects", "gauge", "Redirects followed on the configured host.")
PROBE_RECEIVED_BYTES = Metric("probe_received_bytes", "gauge", "Bytes of the page; reading stops at 1 MiB.")

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
POSITION = {metric: position for position, metric in enumerate(ALL)}
