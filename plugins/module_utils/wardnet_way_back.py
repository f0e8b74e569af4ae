"""The way back as data: files as they are now, entries as they stand in the log, and the program and unit that go it.
Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from types import ModuleType
from typing import Any

from ansible.module_utils import wardnet_ran as ran
from ansible.module_utils import wardnet_taken_up as taken_up
from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_host import PYTHON, SYSTEMCTL, CommandError, Host
from ansible.module_utils.wardnet_part import ALWAYS, Undo, UndoCommand, UndoFile

UNIT = "wardnet-undo.service"
SCRIPTS = {"undo.py": undo, "ran.py": ran, "taken_up.py": taken_up}
MASKS = (("/etc/systemd/system", "always"), ("/run/systemd/system", "running"))

BOOT_UNIT = """\
# Kept by wardnet. Finishes what a reboot cut short: a change that nobody had confirmed is taken back before the
# network comes up.
[Unit]
Description=Take back a change that nobody confirmed
DefaultDependencies=no
RequiresMountsFor=/var/lib/wardnet /usr/local/lib/wardnet
After=local-fs.target
Before=network-pre.target systemd-sysctl.service nftables.service systemd-networkd.service ovsdb-server.service
Before=openvswitch-switch.service frr.service ssh.service sysinit.target shutdown.target
Conflicts=shutdown.target
Wants=network-pre.target
ConditionPathExistsGlob=/var/lib/wardnet/undo/*.json

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I /usr/local/lib/wardnet/undo.py boot

[Install]
WantedBy=sysinit.target
"""


def keep_file(path: Path, when: str = "always") -> UndoFile:
    """The file, link or directory as it is now, or its absence."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return UndoFile(str(path), when=when)
    rights = {"mode": stat.S_IMODE(status.st_mode), "uid": status.st_uid, "gid": status.st_gid, "when": when}
    if stat.S_ISLNK(status.st_mode):
        return UndoFile(str(path), link=str(path.readlink()), when=when)
    if stat.S_ISDIR(status.st_mode):
        return UndoFile(str(path), directory=True, **rights)  # type: ignore[arg-type]
    rights["mtime_ns"] = status.st_mtime_ns
    return UndoFile(str(path), content=path.read_bytes(), **rights)  # type: ignore[arg-type]


def keep_masks(name: str) -> list[UndoFile]:
    """Masks over a unit, which its start takes away. A link to nowhere is all that a mask is."""
    found = []
    for folder, when in MASKS:
        path = Path(folder) / name
        if path.is_symlink() and str(path.readlink()) == os.devnull:
            found.append(keep_file(path, when))
    return found


def keep_from_boot(host: Host, name: str) -> list[UndoCommand]:
    """That no boot starts a unit of host.unit() which none has started so far. Where a boot itself goes the way back,
    it has settled what it starts; those after it have not."""
    if host.unit(name).get("UnitFileState") == "enabled":
        return []
    return [UndoCommand((SYSTEMCTL, "disable", "--quiet", name), harmless=("masked",), when=ALWAYS)]


def as_it_ran(host: Host, without: frozenset[str] = frozenset()) -> UndoCommand:
    """Systemd-networkd has taken up what is on disk, which need not be what ran: that is set, compared, and told. Links
    `without` have what a provider gives them."""
    given = {"ran": ran.look(host.run, without), "without": sorted(without)}
    return UndoCommand((PYTHON, "-I", str(host.library / "ran.py")), json.dumps(given).encode())


def plain(part: str, entry: Undo) -> dict[str, Any]:
    """The entry as it stands in the log, which is JSON."""
    if isinstance(entry, UndoFile):
        content = None if entry.content is None else base64.b64encode(entry.content).decode()
        return {"part": part, "kind": "file", **entry.__dict__, "content": content}
    stdin = None if entry.stdin is None else base64.b64encode(entry.stdin).decode()
    return {"part": part, "kind": "command", **entry.__dict__, "stdin": stdin}


def install(host: Host) -> None:
    """The scripts that go back, and the unit that runs them at boot."""
    scripts = [(host.library / name, source(module), 0o755) for name, module in SCRIPTS.items()]
    unit = host.units / UNIT
    wanted = host.units / "sysinit.target.wants" / UNIT
    for path, text, mode in (*scripts, (unit, BOOT_UNIT, 0o644)):
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            undo.write(path, text, mode)
    if not wanted.is_symlink():
        wanted.parent.mkdir(parents=True, exist_ok=True)
        wanted.symlink_to(unit)
        undo.sync(wanted.parent)


def source(module: ModuleType = undo) -> str:
    """Text of a script, also from within the archive that Ansible sends."""
    loader = module.__spec__.loader if module.__spec__ else None
    text = loader.get_source(module.__name__) if hasattr(loader, "get_source") else None
    if not text:
        raise CommandError("the script that goes back is not in this module: nothing was touched")
    return str(text)
