"""What is mounted on this machine."""

from __future__ import annotations

import re
from pathlib import Path


def parse(text: str, folder: Path) -> list[Path]:
    """Mount points at or under `folder` in the text of /proc/self/mountinfo, the deepest and latest first."""
    points = []
    for line in text.splitlines():
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split()[4]))
        if point == folder or folder in point.parents:
            points.append(point)
    return points[::-1]


def below(folder: Path) -> list[Path]:
    return parse(Path("/proc/self/mountinfo").read_text(), folder)
