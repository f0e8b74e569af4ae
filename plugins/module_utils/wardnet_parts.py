"""Every guarded part. wardnet_part.py says how to add one."""

from __future__ import annotations

from ansible.module_utils.wardnet_part import Part

# In the order in which they are applied.
PARTS: tuple[type[Part], ...] = ()
