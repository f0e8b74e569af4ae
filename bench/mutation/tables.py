"""The two tables: what must be found, and what must not be reported."""

from __future__ import annotations

from bench.mutation import harmless, leaks_bypass, leaks_filter, leaks_flows, leaks_ports, leaks_programs, leaks_routes
from bench.mutation.kinds import Kind

LEAKS: tuple[Kind, ...] = (
    *leaks_filter.KINDS,
    *leaks_routes.KINDS,
    *leaks_flows.KINDS,
    *leaks_ports.KINDS,
    *leaks_programs.KINDS,
    *leaks_bypass.KINDS,
)
HARMLESS: tuple[Kind, ...] = harmless.KINDS
TABLES = {"leaks": LEAKS, "harmless": HARMLESS}
