"""What reaches outside for the commands: Prometheus's API, and the prober of a replay."""

from wardnet.live.errors import BadAnswerError, LiveError, NotReadyError, UnreachableError

__all__ = ["BadAnswerError", "LiveError", "NotReadyError", "UnreachableError"]
