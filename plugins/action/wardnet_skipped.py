"""Names what the inventory accepts but nothing here configures, one line a reason. Connects to nothing."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display


class ActionModule(ActionBase):
    """Reads the groups `skipped`, with each host's `wardnet_skip_reason`, and `pulled`."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        result: dict[str, Any] = super().run(tmp, variables)
        hosts = sorted(variables["groups"].get("skipped", []))
        reasons: dict[str, list[str]] = {}
        for host in hosts:
            reasons.setdefault(str(variables["hostvars"][host]["wardnet_skip_reason"]), []).append(host)
        for reason, names in sorted(reasons.items()):
            Display().display(f"not configured: {', '.join(names)} ({reason})")
        pulled = sorted(variables["groups"].get("pulled", []))
        if pulled:
            Display().display(f"not reached from here, they pull (playbooks/publish.yml): {', '.join(pulled)}")
        result.update(changed=False, skipped_hosts=hosts)
        return result
