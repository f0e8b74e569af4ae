"""Frozen records of what is intended (intent) and what must hold (policy). Imports nothing else of wardnet."""
