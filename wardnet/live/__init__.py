"""What opens sockets for the commands: Prometheus's API."""

from wardnet.live.errors import BadAnswerError, LiveError, NotReadyError, UnreachableError

__all__ = ["BadAnswerError", "LiveError", "NotReadyError", "UnreachableError"]
