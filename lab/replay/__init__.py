"""Sends a counterexample of the audit as a real packet and hears whether it arrives."""
