"""Files of systemd-networkd outside /etc that would configure a port before the candidate's own file does, and masks
over them. Networkd takes, for each port, the first file that matches it, by name and whatever folder it is in; of the
same name, the one in /etc. Those in /etc itself are the candidate's or are purged. Standard library only.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

ETC = Path("/etc/systemd/network")
OTHERS = tuple(
    Path(folder)
    for folder in (
        "/run/systemd/network",
        "/usr/local/lib/systemd/network",
        "/usr/lib/systemd/network",
        "/lib/systemd/network",
    )
)


def overriding(own: Iterable[str], ports: Iterable[str]) -> dict[Path, Path]:
    """Files that stand before `own`, paths of the candidate's files, or add to one of them, each by the path in /etc
    that masks it. `ports` are names that a file must match to count; one that does not say names may match any."""
    paths, ports = {Path(path) for path in own if Path(path).is_relative_to(ETC)}, frozenset(ports)
    networks = {path.name for path in paths if path.suffix == ".network" and path.parent == ETC}
    found: dict[Path, Path] = {}
    for folder in OTHERS:
        for path in (
            *folder.glob("*.network"),
            *(each for name in networks for each in folder.glob(f"{name}.d/*.conf")),
        ):
            mask = ETC / path.relative_to(folder)
            if mask in paths or mask in found or is_mask(mask):
                continue
            if path.suffix == ".network" and not (path.name < max(networks, default="") and may_match(path, ports)):
                continue
            if not is_mask(path):
                found[mask] = path
    return found


def may_match(path: Path, ports: frozenset[str]) -> bool:
    try:
        patterns = list(_names(path.read_text(errors="replace")))
    except OSError:
        return True
    if not patterns:
        return True
    inverted = patterns[0].startswith("!")
    plain = [pattern.lstrip("!") for pattern in patterns]
    return any(any(fnmatch.fnmatchcase(port, pattern) for pattern in plain) is not inverted for port in ports)


def _names(text: str) -> Iterator[str]:
    section = ""
    for line in map(str.strip, text.replace("\\\n", " ").splitlines()):
        key, _, value = line.partition("=")
        if line.startswith("["):
            section = line
        elif (section, key.strip()) == ("[Match]", "Name"):
            yield from value.split()


def is_mask(path: Path) -> bool:
    """Whether networkd passes over files of this name; in /etc, and whatever they are elsewhere."""
    if path.is_symlink():
        return str(path.readlink()) == os.devnull
    return path.is_file() and path.stat().st_size == 0


def is_kept(path: Path) -> bool:
    """Whether it is a mask in networkd's own folder, which no purge takes away: it adds nothing to any file there."""
    return path.is_relative_to(ETC) and path.is_symlink() and is_mask(path)


def mask_over(mask: Path) -> None:
    mask.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = mask.with_name(f".wardnet-{os.getpid()}-{mask.name}")
    temporary.symlink_to(os.devnull)
    temporary.replace(mask)
