"""The one root of what can go wrong here; what the strict reader says is InventoryErrors as ever."""

from __future__ import annotations


class WritingError(Exception):
    """A change that cannot be made, with what to do instead."""
