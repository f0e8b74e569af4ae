"""What collecting raises."""


class CollectError(Exception):
    """The whole snapshot can't be made: says why, and what to do."""


class UnreachableError(Exception):
    """One device can't be read; its text is the reason that the manifest gives."""
