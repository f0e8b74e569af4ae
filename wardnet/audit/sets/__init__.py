"""The first engine: sets of packets as BDDs."""
