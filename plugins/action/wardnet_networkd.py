"""wardnet_networkd has a bundle of files: rendered and confirmed as wardnet_files says."""

from __future__ import annotations

from ansible.plugins.loader import action_loader


class ActionModule(action_loader.get("wardnet_files", class_only=True)):  # type: ignore[misc]
    MODULE = "wardnet_networkd"
