"""Leased lines: frames carried between two hosts at a rate, after a delay, through a buffer, with loss."""
