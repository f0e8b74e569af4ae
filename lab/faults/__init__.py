"""Named faults of the lab: what each does, and the verdict it must produce."""

from lab.faults.registry import FAULTS, Fault, heal, inject

__all__ = ["FAULTS", "Fault", "heal", "inject"]
