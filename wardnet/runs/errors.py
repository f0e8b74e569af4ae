"""What can go wrong with journals of runs."""

from __future__ import annotations


class RunsError(Exception):
    """Root of the package's errors; its text is one line for a person."""


class JournalError(RunsError):
    """A file that is no journal, or a run that is not there."""


class ResumeError(RunsError):
    """A run that cannot be gone on with; the text says what to do instead."""
