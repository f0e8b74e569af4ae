"""Runs of playbooks: what the callback writes down, and what is read from it: states, the way on, drift, reports."""
