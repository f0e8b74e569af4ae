"""Single packets, followed with plain numbers: the example of a set, shown."""
