"""What opens sockets for the commands: Prometheus's API."""

from wardnet.live.errors import BadAnswer, LiveError, NotReady, Unreachable

__all__ = ["BadAnswer", "LiveError", "NotReady", "Unreachable"]
