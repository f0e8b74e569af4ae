"""District -> Plan -> what Ansible, Prometheus, the agents and the audit are given. Pure; the same bytes each time."""

from wardnet.compile.agent import compile_agent, compile_pc_agent
from wardnet.compile.hosts import compile_hosts
from wardnet.compile.plain import to_json, to_plain
from wardnet.compile.plan import compile_plan
from wardnet.compile.policy import compile_policy
from wardnet.compile.targets import compile_targets
from wardnet.compile.validity import compile_validity

__all__ = [
    "compile_agent",
    "compile_hosts",
    "compile_pc_agent",
    "compile_plan",
    "compile_policy",
    "compile_targets",
    "compile_validity",
    "to_json",
    "to_plain",
]
