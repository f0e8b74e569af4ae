"""The audit's own errors: the input can't be used, so there is no verdict at all."""


class AuditError(Exception):
    """Names the file and what is wrong with it."""
