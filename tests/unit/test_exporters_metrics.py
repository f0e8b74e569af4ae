"""The list of metrics: what the contract with Prometheus's rules names, and what the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

from exporters import metrics
from exporters.probes import MODULES

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "exporters.md"

# Rules, dashboards and the status page are written against these names and labels.
AGREED = {
    "wardnet_circuit_info": "channel circuit interface provider",
    "wardnet_circuit_up": "channel",
    "wardnet_circuit_contracted_bytes_per_second": "channel direction",
    "wardnet_circuit_receive_bytes_total": "channel",
    "wardnet_circuit_transmit_bytes_total": "channel",
    "wardnet_link_probes_sent_total": "channel family reflector",
    "wardnet_link_probes_lost_total": "channel family reflector",
    "wardnet_link_round_trip_seconds": "channel family reflector",
    "wardnet_link_last_round_trip_seconds": "channel family reflector",
    "wardnet_link_egress_info": "channel family interface source",
    "wardnet_service_up": "channel family service",
    "wardnet_service_phase_seconds": "channel family phase service",
    "wardnet_service_duration_seconds": "channel family service",
    "wardnet_service_tcp_round_trip_seconds": "channel family service",
    "wardnet_service_tcp_min_round_trip_seconds": "channel family service",
    "wardnet_service_http_status": "channel family service",
    "wardnet_service_received_bytes": "channel family service",
    "wardnet_service_runs_total": "channel family service",
    "wardnet_service_failures_total": "channel family phase service",
    "wardnet_service_last_run_timestamp_seconds": "channel family service",
    "wardnet_service_egress_info": "channel family interface source",
    "wardnet_agent_info": "model_sha256 version",
    "wardnet_agent_lateness_seconds": "plane",
}


def test_agreed_names_and_labels_are_kept() -> None:
    listed = {metric.name: " ".join(sorted(metric.labels)) for metric in metrics.ALL}
    assert {name: listed.get(name) for name in AGREED} == AGREED


def test_names_follow_the_conventions() -> None:
    names = [metric.name for metric in metrics.ALL]
    assert len(names) == len(set(names))
    for metric in metrics.ALL:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert metric.help.endswith(".")
        # Prometheus adds these, except where the controller tells of all its hosts and wards.
        of_controller = metric.name.startswith(("wardnet_run_", "wardnet_audit_"))
        told = {"url"} if of_controller else {"ward", "site", "gateway", "url"}
        assert not told & set(metric.labels)


def test_documentation_lists_every_metric_as_it_is() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| (\w+) \| ([a-z0-9_, ]*) \| (.+) \|$", DOCUMENT.read_text(), re.MULTILINE)
    assert rows == [(m.name, m.kind, ", ".join(m.labels), m.help) for m in metrics.ALL]


def test_documentation_lists_every_module() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \| (?:reflector|service|scanner)", DOCUMENT.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(MODULES)
