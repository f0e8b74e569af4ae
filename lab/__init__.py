"""A real district on one machine: booted Debian hosts, switches with VLANs, shaped lines, made from an inventory.

from lab import open_lab
lab = open_lab("wardnet")
lab.run("buoi-pc-1", ["curl", "https://dvctt.tayho.example/"])
"""

from lab.errors import LabError
from lab.handle import Lab, open_lab

__all__ = ["Lab", "LabError", "open_lab"]
