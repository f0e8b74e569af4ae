"""Artefacts that somebody reads by hand: a script that reads them on a device, and the folders that it leaves.

For networks without a district's inventory, and devices that nobody here may log in to.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from collectors.collect import Reading, whole
from collectors.errors import CollectError, UnreachableError
from collectors.platforms import ARTEFACTS
from wardnet.model.intent import Platform, SwitchPlatform

# By what is only found at one of a platform.
_SIGNS: Mapping[str, Platform | SwitchPlatform] = {
    "nft-ruleset.json": Platform.LINUX,
    "ovs.json": SwitchPlatform.OPENVSWITCH,
}
_HEAD = """\
#!/bin/sh
# Reads what the separation audit needs of this machine ({platform}) into a folder, and changes nothing else.
#     sudo sh read.sh DEVICE        DEVICE is the name that the policy file gives it
set -u
export LC_ALL=C
test "$(id -u)" = 0 || {{ echo "as root, please: some of this is not told to others" >&2; exit 2; }}
test $# = 1 && test ! -e "$1" || {{ echo "usage: sh $0 DEVICE, where there is no file DEVICE yet" >&2; exit 2; }}
umask 077
mkdir -- "$1" && cd -- "$1" || exit 2
failed=0
"""


def script(platform: Platform | SwitchPlatform) -> str:
    """A script for sh: a line an artefact. It ends with 1 where one that must be there cannot be read."""
    lines = [_HEAD.format(platform=platform.value)]
    for artefact in ARTEFACTS[platform]:
        command = f"{shlex.join(artefact.command)} > {artefact.name}"
        lost = f"rm -f {artefact.name}; echo '{artefact.name}: not read' >&2"
        lines.append(f"{command} || {{ {lost}{'' if artefact.later else '; failed=1'}; }}\n")
    return "".join([*lines, "exit $failed\n"])


def read_folders(folder: Path) -> list[Reading]:
    """A reading for each folder in this one, which is named after its device. Raises CollectError for what is missing,
    damaged, or no artefact, with all of it at once."""
    try:
        devices = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CollectError(f"{folder}: {error.strerror}") from error
    if not devices:
        raise CollectError(f"{folder}: has no folder of a device in it")
    readings: list[Reading] = []
    problems: list[str] = []
    for device in devices:
        try:
            readings.append(_read(device))
        except CollectError as error:
            problems.append(str(error))
    if problems:
        raise CollectError("\n".join(problems))
    return readings


def _read(device: Path) -> Reading:
    if not device.is_dir():
        raise CollectError(f"{device}: is no folder of a device")
    try:
        paths = sorted(device.iterdir())
        present = {path.name: path.read_bytes() for path in paths}
        read_at = max((path.stat().st_mtime for path in paths), default=0.0)
    except OSError as error:
        raise CollectError(f"{error.filename}: {error.strerror}") from error
    platform = next((found for sign, found in _SIGNS.items() if sign in present), None)
    if platform is None:
        raise CollectError(f"{device}: has none of {', '.join(_SIGNS)}: of which platform is it?")
    wanted = {artefact.name: artefact for artefact in ARTEFACTS[platform]}
    problems = [f"{device / name}: is no artefact of {platform.value}" for name in present if name not in wanted]
    problems += [
        f"{device / name}: is missing: {shlex.join(artefact.command)}"
        for name, artefact in wanted.items()
        if name not in present and not artefact.later
    ]
    for name, content in present.items():
        if name not in wanted:
            continue
        try:
            whole(device.name, name, content)
        except UnreachableError as error:
            problems.append(f"{device}: {error}")
    if problems:
        raise CollectError("\n".join(problems))
    at = datetime.fromtimestamp(read_at, UTC).replace(microsecond=0).isoformat()
    return Reading(device.name, platform, at, present, "")
