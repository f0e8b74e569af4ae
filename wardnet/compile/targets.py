"""Plan -> Prometheus service discovery: one group a gateway and job, one a PC, the same for file_sd and http_sd."""

from __future__ import annotations

from typing import Any

from wardnet.compile.agent import LINK_PORT, SOFTWARE_PORT
from wardnet.compile.pcs import PC_PORT
from wardnet.model.intent import District, HostRole, SiteKind
from wardnet.model.plan import Plan

JOBS = {"wardnet-link": LINK_PORT, "wardnet-software": SOFTWARE_PORT}
CONTROLLER_JOBS = {"wardnet-runs": 9809, "wardnet-audit": 9810}
PC_JOB = "wardnet-pc"


def compile_targets(district: District, plan: Plan) -> list[dict[str, Any]]:
    """Groups as Prometheus reads them. `__meta_wardnet_job` tells the jobs apart; ward, site and gateway become labels,
    of a PC's agent pc in the place of gateway. The controller's figures of runs and audits name their wards and hosts
    themselves."""
    names = {ward.id: ward.name for ward in district.wards}
    agents: list[dict[str, Any]] = [
        {
            "targets": [f"{gateway.management_ipv4}:{port}"],
            "labels": {
                "__meta_wardnet_job": job,
                "ward": gateway.ward,
                "ward_name": names[gateway.ward],
                "site": gateway.site,
                "gateway": gateway.id,
            },
        }
        for job, port in JOBS.items()
        for gateway in plan.gateways
        if gateway.reached and gateway.site_kind is not SiteKind.SERVER_ROOM
    ]
    pcs: list[dict[str, Any]] = [
        {
            "targets": [f"{host.ports[0].ipv4.ip}:{PC_PORT}"],
            "labels": {
                "__meta_wardnet_job": PC_JOB,
                "ward": host.ward,
                "ward_name": names[host.ward],
                "site": host.site,
                "pc": host.id,
            },
        }
        for host in plan.hosts
        if host.workplace is not None and host.workplace.measured
    ]
    controllers: list[dict[str, Any]] = [
        {"targets": [f"{host.ports[0].ipv4.ip}:{port}"], "labels": {"__meta_wardnet_job": job}}
        for job, port in CONTROLLER_JOBS.items()
        for host in plan.hosts
        if host.managed and host.role is HostRole.CONTROLLER and host.ports[0].ipv4 is not None
    ]
    return [*agents, *pcs, *controllers]
