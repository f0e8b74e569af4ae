"""The one root of what can go wrong here."""

from __future__ import annotations


class MediaError(Exception):
    """A host that no medium installs, or a medium that cannot be made; says what to do instead."""
