"""The one root of what can go wrong here."""

from __future__ import annotations


class BootstrapError(Exception):
    """A host that cannot be made reachable so, with what to do instead."""
