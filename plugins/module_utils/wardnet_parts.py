"""Every guarded part. wardnet_part.py says how to add one."""

from __future__ import annotations

from ansible.module_utils.wardnet_part import Part
from ansible.module_utils.wardnet_part_access import Access
from ansible.module_utils.wardnet_part_accounts import Accounts
from ansible.module_utils.wardnet_part_bridge import Bridge
from ansible.module_utils.wardnet_part_filter import Filter
from ansible.module_utils.wardnet_part_network import Network
from ansible.module_utils.wardnet_part_routing import Routing
from ansible.module_utils.wardnet_part_settings import Settings
from ansible.module_utils.wardnet_part_shaping import Shaping
from ansible.module_utils.wardnet_part_switch import Switch

# The order in which they are applied is that of wardnet_candidate.GUARDED.
PARTS: tuple[type[Part], ...] = (Access, Accounts, Bridge, Filter, Network, Routing, Settings, Shaping, Switch)
