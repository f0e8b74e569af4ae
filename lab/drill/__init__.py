"""The lock-out drill: changes that cut the manager off from gateways, and gateways that come back by themselves.

Each change goes the way of every change: the shipped roles, a candidate and its commit. Only what is asked for is
harmful. Nothing of the drill helps a gateway back; it looks on, and says what came of it.
"""

from lab.drill.kinds import KINDS, Kind
from lab.drill.one import Limits, Outcome, drill
from lab.drill.round import Station, deal, run_all, stations

__all__ = ["KINDS", "Kind", "Limits", "Outcome", "Station", "deal", "drill", "run_all", "stations"]
