"""The demo's scripts: their steps in order, and what each sets out to show. One more step is one more entry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab.demo import setup, steps, workplaces
from lab.demo.claims import Claims
from lab.demo.stage import Stage
from lab.layout import DEFAULT_NAME


@dataclass(frozen=True, slots=True)
class Step:
    """`shows` are (key of the claim, what it says, what its figure has to be)."""

    id: str
    title: str
    run: Callable[[Stage], None]
    shows: tuple[tuple[str, str, str], ...]


_INVENTORY = Step("inventory", "The inventory", setup.inventory, (
    ("inventory", "the inventory is right", "no error"),
))  # fmt: skip
_BOOT = Step("boot", "A district in a box", setup.boot, (
    ("booted", "the district's hosts boot", "all of them"),
))  # fmt: skip

_LINES = (
    _INVENTORY,
    _BOOT,
    Step("provision", "Ansible provisions over SSH, from the controller's station", setup.provision, (
        ("provisioned", "Ansible sets the hosts up over SSH", "none failed, none unreachable"),
    )),
    Step("reach", "PCs of both channels reach what they should, and nothing else", setup.reach, (
        ("clerk", "a clerk's PC opens the portal over the WAN channel", "HTTP 200 in both families"),
        ("citizen", "a citizen's PC opens the public services over the internet channel", "HTTP 200 in both families"),
        ("apart", "neither reaches a service of the other channel", "none across, all on the own channel"),
    )),
    Step("measure", "Exporters on the gateways measure both channels; Prometheus scrapes them", steps.measure, (
        ("measured", "Prometheus has line and software of each ward and channel", "every one"),
    )),
    Step("prove", "The auditor collects the gateways' state and proves the channels separate", steps.prove, (
        ("proved", "the audit proves the channels separate", "proved, exit 0"),
    )),
    Step("slow-line", "A line is slowed", steps.slow_line, (
        ("slow line", "a slowed WAN line is named as the line",
         f"line slow, round trip at least {steps.FAULT_MS} ms above its base"),
    )),
    Step("slow-server", "The software is slowed instead", steps.slow_server, (
        ("slow server", "a slowed portal is named as the server",
         f"server slow, its part at least {steps.SERVER_MS} ms, the line within {steps.CALM_MS} ms of its base"),
    )),
    Step("leak", "A leak is opened from the internet to the WAN, and closed", steps.leak, (
        ("leak", "the leak is found", "violated, exit 1, with a packet and its rule"),
        ("replayed", "that packet really crosses, sent through the gateway", "heard on the other channel"),
        ("healed", "closed, the channels are proved separate again, and the packet is stopped",
         "proved, exit 0, no packet heard, positive control heard"),
    )),
)  # fmt: skip

_WORKPLACES = (
    _INVENTORY,
    _BOOT,
    Step("provision", "Ansible provisions a clerk's PC, a scanner's box and the lines to them", workplaces.provision, (
        ("provisioned", "a clerk's PC and a scanner become whole over SSH", "none failed, none unreachable"),
    )),
    Step("pull", "What is for the apartment building is published; its gateway and its citizen point come for it",
         workplaces.pull, (
        ("pulled", "a citizen point comes by itself to what is signed for it", "changed or converged, both hosts"),
    )),
    Step("again", "All of it once more", workplaces.again, (
        ("again", "the second run finds nothing to do", "0 changed, 0 pulled anew"),
    )),
    Step("clerk", "A clerk's browser, and a page from the scanner into the portal", workplaces.clerk, (
        ("clerk's page", "the clerk's browser shows the portal", "a picture"),
        ("scanned", "a page of A4 is scanned at 300 dpi in colour", "2480 x 3508 points"),
        ("sent", "the portal takes the clerk's form, in Vietnamese, with that scan", "HTTP 201, and on the board"),
    )),
    Step("resident", "A resident at the citizen point", workplaces.resident, (
        ("resident's page", "the citizen point shows the public services", "a picture of the sitting"),
        ("held", "keys that lead out of a browser lead nowhere", "none of them, the sitting goes on"),
        ("forgotten", "the next resident begins anew", "another sitting, nothing of the former one"),
    )),
)  # fmt: skip

SCRIPTS = {"lines": _LINES, "workplaces": _WORKPLACES}


def declare(claims: Claims, chosen: tuple[Step, ...], lab: str, workplaces: bool) -> None:
    """Everything that the chosen steps set out to show, before they begin, each with the command that repeats it."""
    named = ("" if lab == DEFAULT_NAME else f" --name {lab}") + (" --workplaces" if workplaces else "")
    for step in chosen:
        for key, what, wanted in step.shows:
            claims.declare(key, what, wanted, f".venv/bin/python -m lab.demo{named} --only {step.id}")
