"""The root of everything that the agents raise on purpose."""


class ExporterError(Exception):
    """Something outside the program is wrong: configuration, network, or the far end."""
