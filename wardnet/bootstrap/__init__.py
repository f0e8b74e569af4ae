"""What a technician carries to a new gateway: a script that makes it reachable for the controller, and no more."""

from wardnet.bootstrap.errors import BootstrapError
from wardnet.bootstrap.reach import NeededPort, Reach, ReachedPort, reach_of
from wardnet.bootstrap.render import readme, script
from wardnet.bootstrap.spoken import digits, in_words, spoken

__all__ = [
    "BootstrapError",
    "NeededPort",
    "Reach",
    "ReachedPort",
    "digits",
    "in_words",
    "reach_of",
    "readme",
    "script",
    "spoken",
]
