"""Guests with a kernel, a clock and a disk of their own, for what booted hosts of the lab cannot show: they share this
machine's. Emulated, so that they need nothing of the machine; slow, so that only `make test-slow` starts them."""

from lab.qemu.command import Card, Plug
from lab.qemu.guest import Guest, cards_of, find, make, take_over

__all__ = ["Card", "Guest", "Plug", "cards_of", "find", "make", "take_over"]
