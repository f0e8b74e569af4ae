"""Snapshot and policy to a verdict on separation: proved, violated (with a packet), or unknown (with why)."""
