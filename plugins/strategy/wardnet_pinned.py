"""As host_pinned, with what runs on the controller alone done in Ansible's own process."""

from __future__ import annotations

import importlib
from pathlib import Path

import ansible.plugins.strategy
from ansible.plugins.strategy.host_pinned import StrategyModule as Pinned

BESIDE = str(Path(__file__).parent)
if BESIDE not in ansible.plugins.strategy.__path__:
    ansible.plugins.strategy.__path__.append(BESIDE)
Here = importlib.import_module("ansible.plugins.strategy.wardnet_here").Here

DOCUMENTATION = r"""
name: wardnet_pinned
short_description: As host_pinned, with less overhead for tasks on the controller
version_added: "0.2.0"
description:
  - Runs tasks as the strategy host_pinned does.
  - The tasks that only gather a host's candidate start no process of their own.
author: the wardnet developers
"""


class StrategyModule(Here, Pinned):  # type: ignore[misc]
    """Both, as they are."""
