"""Changing an inventory's files as a person would: the same YAML, neighbours' comments kept, checked before it is on
disk."""

from wardnet.inventory.writing.answers import Line, NewWard
from wardnet.inventory.writing.errors import WritingError
from wardnet.inventory.writing.likeness import lines_of
from wardnet.inventory.writing.pc import propose_mac
from wardnet.inventory.writing.proposal import Proposal, read_files
from wardnet.inventory.writing.ward import default_model, office_of, propose_ward, slug

__all__ = [
    "Line",
    "NewWard",
    "Proposal",
    "WritingError",
    "default_model",
    "lines_of",
    "office_of",
    "propose_mac",
    "propose_ward",
    "read_files",
    "slug",
]
