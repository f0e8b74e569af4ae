"""Edits of a gateway's running state, each with the command that takes it back: what a careless administrator
types. Files are left alone, so that only who reads the running state finds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.faults.target import Target, inside
from lab.layout import Layout
from wardnet.locale import _

TABLE = ("inet", "wardnet")

# What `ip` and `nft` say when that which is to be taken back is already gone.
_GONE = ("No such process", "No such file or directory", "Cannot assign requested address")


@dataclass(frozen=True, slots=True)
class Edit:
    do: tuple[str, ...]
    undo: tuple[str, ...]


def rule(family: int, priority: int, incoming: str, destination: object, table: int) -> Edit:
    """`ip rule`: what comes in at a port for a destination looks in another table."""
    words = (f"pref {priority} iif {incoming} to {destination} lookup {table}").split()
    return Edit(("ip", f"-{family}", "rule", "add", *words), ("ip", f"-{family}", "rule", "del", *words))


def route(family: int, destination: object, port: str, table: int, via: object | None = None) -> Edit:
    way = f"via {via} dev {port}" if via is not None else f"dev {port}"
    words = f"{destination} {way} table {table} metric 50".split()
    return Edit(("ip", f"-{family}", "route", "add", *words), ("ip", f"-{family}", "route", "del", *words))


def apply(target: Target, fault: str, accept: str, edits: Sequence[Edit]) -> dict[str, Any]:
    """Insert `accept` (an nft match) at the head of the forward chain and make the edits; all or nothing.

    Returns the notes that `take_back` needs. LabError if the gateway has no ruleset of the roles' yet.
    """
    host = target.gateway.id
    notes = {"host": host, "comment": f"lab {fault}", "undo": [list(edit.undo) for edit in edits]}
    try:
        inside(target.layout, host, ("nft", "list", "chain", *TABLE, "forward"))
    except LabError as error:
        raise LabError(
            _("{host} is not provisioned yet, so there is nothing to break: {error}").format(host=host, error=error)
        ) from error
    try:
        for edit in edits:
            inside(target.layout, host, edit.do)
        text = f'insert rule {" ".join(TABLE)} forward {accept} accept comment "{notes["comment"]}"\n'
        inside(target.layout, host, ("nft", "-f", "-"), stdin=text)
    except LabError:
        take_back(target.layout, notes)
        raise
    return notes


def parse_handles(ruleset: str, comment: str) -> list[int]:
    """Handles of the rules that carry `comment`, in the JSON of one chain."""
    entries = json.loads(ruleset)["nftables"]
    return [e["rule"]["handle"] for e in entries if e.get("rule", {}).get("comment") == comment]


def take_back(layout: Layout, notes: dict[str, Any]) -> None:
    """Undo exactly the edits in `notes`; what is gone already, by a role's run for instance, is no error."""
    host = notes["host"]
    try:
        chain = inside(layout, host, ("nft", "-j", "list", "chain", *TABLE, "forward"))
    except LabError as error:
        if not any(word in str(error) for word in _GONE):
            raise
        chain = '{"nftables": []}'
    for handle in parse_handles(chain, notes["comment"]):
        inside(layout, host, ("nft", "delete", "rule", *TABLE, "forward", "handle", str(handle)))
    for undo in notes["undo"]:
        try:
            inside(layout, host, undo)
        except LabError as error:
            if not any(word in str(error) for word in _GONE):
                raise
