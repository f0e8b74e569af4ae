"""Starts the circuits' processes and speaks to them."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import switch
from lab.circuit.emulator import CircuitConfig, dump_config
from lab.errors import LabError
from lab.layout import COMMAND, Layout
from wardnet.locale import _

CIRCUITS_A_PROCESS = 4  # one Python process carries some 200 Mbit/s in all


def _folder(layout: Layout) -> Path:
    return layout.state / "circuits"


def start(layout: Layout, circuits: Sequence[CircuitConfig], joins: Sequence[Path]) -> None:
    """Start the processes and wait until each has made its ports. LabError with its words if one fails."""
    folder = _folder(layout)
    folder.mkdir(parents=True, exist_ok=True)
    checkout = Path(__file__).resolve().parents[2]
    sockets = []
    for first in range(0, len(circuits), CIRCUITS_A_PROCESS):
        stem = folder / f"group{first // CIRCUITS_A_PROCESS}"
        config, address, log = stem.with_suffix(".json"), stem.with_suffix(".sock"), stem.with_suffix(".log")
        config.write_text(dump_config(tuple(circuits[first : first + CIRCUITS_A_PROCESS])))
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PYTHONPATH": str(checkout)}
        argv = [sys.executable, "-m", "lab.circuit.emulator", str(config), str(address)]
        pid = switch.spawn(layout, argv, log, joins, env)
        sockets.append((pid, address, log))
    deadline = time.monotonic() + 20
    for pid, address, log in sockets:
        while not _answers(address):
            if time.monotonic() > deadline or not Path(f"/proc/{pid}/ns").exists():
                tail = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
                raise LabError(_("a circuits' process did not start; it says:\n{tail}").format(tail=tail))
            time.sleep(0.02)


def _answers(address: Path) -> bool:
    if not address.exists():
        return False
    try:
        _ask(address, {})
    except OSError:
        return False
    return True


def _ask(address: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(5)
        client.connect(str(address))
        client.send(json.dumps(request).encode())
        answer: dict[str, Any] = json.loads(client.recv(1 << 18))
    if "error" in answer:
        raise LabError(_("the circuits' process refused the change: {error}").format(error=answer["error"]))
    found: dict[str, Any] = answer["ok"]
    return found


def _address_of(layout: Layout, circuit: str) -> Path:
    for config in sorted(_folder(layout).glob("group*.json")):
        if any(item["id"] == circuit for item in json.loads(config.read_text())):
            return config.with_suffix(".sock")
    raise LabError(
        _("no circuit {circuit} in the lab {name}; `{lab} status` lists them").format(
            circuit=circuit, name=layout.name, lab=COMMAND
        )
    )


def _speak(address: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return _ask(address, request)
    except OSError as error:
        raise LabError(
            _("the circuits' process at {address} does not answer: {error}").format(address=address, error=error)
        ) from error


def change(layout: Layout, circuit: str, settings: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Change a running circuit: {"down": {"rate_bps": 2000000}, "up": {...}}. Returns what holds now."""
    answer: dict[str, Any] = _speak(_address_of(layout, circuit), {"circuit": circuit, "set": settings})[circuit]
    return answer


def reset(layout: Layout, circuit: str) -> None:
    """Put a circuit back to what it was started with."""
    _speak(_address_of(layout, circuit), {"circuit": circuit, "reset": True})


def read_all(layout: Layout) -> dict[str, dict[str, Any]]:
    """Settings and counters of every circuit, by direction; a circuit whose process is dead is left out."""
    found: dict[str, dict[str, Any]] = {}
    for address in sorted(_folder(layout).glob("group*.json")):
        try:
            found |= _ask(address.with_suffix(".sock"), {})
        except OSError:
            continue
    return found
