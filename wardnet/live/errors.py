"""Why a live question was not answered. Every message names the address and is fit to be shown as it is."""

from __future__ import annotations


class LiveError(Exception):
    """The root of all that can go wrong while asking a running system."""


class UnreachableError(LiveError):
    """Nothing answers at the address: refused, timed out, no route, no such name, or a connection cut short."""


class NotReadyError(LiveError):
    """Something answers and says that it cannot serve yet."""


class BadAnswerError(LiveError):
    """The answer is an error, or not what the API promises."""
