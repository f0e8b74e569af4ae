"""The one exception root of the lab: a message for the person who typed the command, saying what to do."""

from __future__ import annotations


class LabError(Exception):
    """Something the user can act on; printed without a traceback, exit status 1."""
