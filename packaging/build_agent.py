"""Builds wardnet-agent_VERSION_all.deb: the exporters with all they need beyond the host's python3.

The same sources give the same bytes: members are sorted, owned by root, and dated SOURCE_DATE_EPOCH (or the
checkout's last commit). prometheus_client is copied from the installed environment, each file checked against
the hash that was recorded when it was installed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import lzma
import os
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = Path(__file__).resolve().parent
LIBRARY = "usr/lib/wardnet-agent"
DOCUMENTS = "usr/share/doc/wardnet-agent"
EXPORTERS = ("link", "software", "pc", "runs", "audit")
# Of the core, what reads journals of runs. Without catalogues: what an exporter says to the host's journal is English.
CORE = ("__init__", "locale/__init__", "runs/__init__", "runs/drift", "runs/errors", "runs/journal", "runs/outcome",
        "runs/places", "runs/records")  # fmt: skip
# Bridges from prometheus_client to frameworks that the agents don't have.
LEFT_OUT = frozenset({"aiohttp", "bridge", "django", "twisted"})
EARLIEST = 315532800  # 1980, where nothing says when

LAUNCHER = """\
#!/usr/bin/python3 -IS
# Isolated: no site packages, no environment, no current directory; only Python's own library and the agent's.
import sys

sys.path.insert(0, "/{library}")
from exporters.{module} import main

sys.exit(main())
"""

CONTROL = """\
Package: wardnet-agent
Version: {version}
Architecture: all
Maintainer: wardnet maintainers <maintainers@wardnet.example>
Installed-Size: {kilobytes}
Depends: python3 (>= 3.11)
Recommends: ca-certificates
Section: net
Priority: optional
Description: measures a ward office's two channels from its gateway and PCs
 Exporters for Prometheus: wardnet-link-exporter (round trip, loss and use of each
 line) and wardnet-software-exporter (response times of online services, phase by
 phase) on the gateway; wardnet-pc-exporter (the same services, from a clerk's
 PC). Every probe is bound to the channel that it measures. At the controller
 wardnet-runs-exporter tells what runs of the playbooks did, and
 wardnet-audit-exporter what the last audit found. Nothing is started or enabled
 before a configuration is there; that is left to the administrator.
"""


class BuildError(Exception):
    """The package cannot be built from what is here."""


@dataclass(frozen=True)
class File:
    """A member of the package; `path` is absolute without the leading slash."""

    path: str
    data: bytes
    mode: int = 0o644


def main() -> int:
    return write_as_asked("the agent", __doc__ or "", build)


def write_as_asked(what: str, about: str, build: Callable[[Path], Path]) -> int:
    """Does what the command line of a builder asks for, says the package's path, and gives the exit status."""
    parser = argparse.ArgumentParser(description=about.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    options = parser.parse_args()
    try:
        print(build(options.output))
    except (BuildError, OSError) as error:
        print(f"cannot build {what}: {error}", file=sys.stderr)
        return 1
    return 0


def build(output: Path) -> Path:
    """Writes the package into a folder and gives its path. Raises BuildError and OSError."""
    scripts = [File(name, (PACKAGING / name).read_bytes(), 0o755) for name in ("postinst", "prerm", "postrm")]
    return write_package(output, "wardnet-agent", CONTROL, collect(read_version()), scripts)


def write_package(output: Path, name: str, control: str, files: list[File], scripts: list[File]) -> Path:
    """The package of these files; `control` is a text with {version} and {kilobytes}."""
    version, date = read_version(), read_date()
    files = sorted(files, key=lambda file: file.path)
    size = sum(-(-len(file.data) // 1024) for file in files)
    about = [
        File("control", control.format(version=version, kilobytes=size).encode()),
        File("md5sums", "".join(f"{_md5(file.data)}  {file.path}\n" for file in files).encode()),
        *scripts,
    ]
    members = [
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", pack(about, date)),
        ("data.tar.xz", pack(files, date)),
    ]
    output.mkdir(parents=True, exist_ok=True)
    package = output / f"{name}_{version}_all.deb"
    unfinished = package.with_suffix(".part")
    unfinished.write_bytes(archive(members, date))
    unfinished.replace(package)
    return package


def collect(version: str) -> list[File]:
    """Everything that the package installs."""
    files = [
        File(f"{LIBRARY}/exporters/{path.relative_to(ROOT / 'exporters').as_posix()}", path.read_bytes())
        for path in (ROOT / "exporters").rglob("*.py")
    ]
    files += [File(f"{LIBRARY}/wardnet/{name}.py", (ROOT / "wardnet" / f"{name}.py").read_bytes()) for name in CORE]
    client = installed("prometheus_client")
    files += [
        File(f"{LIBRARY}/{path}", data)
        for path, data in client.items()
        if path.suffix == ".py" and path.parts[0] == "prometheus_client" and path.parts[1] not in LEFT_OUT
    ]
    # What importlib.metadata reads the version from.
    record = f"Metadata-Version: 2.1\nName: wardnet\nVersion: {version}\n"
    files.append(File(f"{LIBRARY}/wardnet-{version}.dist-info/METADATA", record.encode()))
    files += [
        File(f"usr/bin/wardnet-{name}-exporter", LAUNCHER.format(library=LIBRARY, module=name).encode(), 0o755)
        for name in EXPORTERS
    ]
    units = [f"wardnet-{name}-exporter.service" for name in EXPORTERS]
    files += [File(f"usr/lib/systemd/system/{unit}", (PACKAGING / unit).read_bytes()) for unit in units]
    files.append(File(f"{DOCUMENTS}/exporters.md", (ROOT / "docs" / "exporters.md").read_bytes()))
    files.append(File(f"{DOCUMENTS}/copyright", _copyright(client)))
    return files


def installed(name: str) -> dict[PurePosixPath, bytes]:
    """The files of an installed distribution. Raises BuildError where one is not what was installed."""
    found: dict[PurePosixPath, bytes] = {}
    try:
        recorded = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        raise BuildError(f"{name} is not installed; run make install") from None
    for entry in recorded:
        if entry.hash is None:
            continue  # RECORD itself, and byte code
        data = entry.read_binary()
        digest = base64.urlsafe_b64encode(hashlib.new(entry.hash.mode, data).digest()).rstrip(b"=").decode()
        if digest != entry.hash.value:
            raise BuildError(f"{entry.locate()} was changed after it was installed; run make clean install")
        found[PurePosixPath(entry.as_posix())] = data
    return found


def _copyright(client: dict[PurePosixPath, bytes]) -> bytes:
    """wardnet's licence and the licences that prometheus_client came with."""
    parts = [b"wardnet-agent: Apache-2.0, see /usr/share/common-licenses/Apache-2.0\n"]
    licences = [(path, data) for path, data in sorted(client.items()) if path.name in ("LICENSE", "NOTICE")]
    if not licences:
        raise BuildError("prometheus_client came without its licence")
    for path, data in licences:
        parts.append(f"\nprometheus_client, {path.name}:\n\n".encode() + data)
    return b"".join(parts)


def pack(files: list[File], date: int) -> bytes:
    """A tar.xz with every folder named before what is in it."""
    folders = {str(parent) for file in files for parent in PurePosixPath(file.path).parents} - {"."}
    entries: dict[str, File | None] = dict.fromkeys(folders)
    entries.update((file.path, file) for file in files)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(_member("./", tarfile.DIRTYPE, 0o755, date))
        for path, file in sorted(entries.items(), key=lambda item: item[0] + "/" * (item[1] is None)):
            if file is None:
                tar.addfile(_member(f"./{path}/", tarfile.DIRTYPE, 0o755, date))
            else:
                member = _member(f"./{path}", tarfile.REGTYPE, file.mode, date)
                member.size = len(file.data)
                tar.addfile(member, io.BytesIO(file.data))
    return lzma.compress(buffer.getvalue(), preset=6)


def _member(name: str, kind: bytes, mode: int, date: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, date
    member.uname = member.gname = "root"
    return member


def archive(members: list[tuple[str, bytes]], date: int) -> bytes:
    """The ar archive that a .deb is (deb(5))."""
    parts = [b"!<arch>\n"]
    for name, data in members:
        parts.append(f"{name:<16}{date:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode())
        parts.append(data + b"\n" * (len(data) % 2))
    return b"".join(parts)


def read_version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def read_date() -> int:
    """Seconds since 1970 that everything in the package is dated with."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "")
    if text:
        if not text.isdigit():
            raise BuildError(f"SOURCE_DATE_EPOCH must be a number of seconds, is {text!r}")
        return int(text)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    try:
        return int(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    except (OSError, subprocess.CalledProcessError, ValueError):
        return EARLIEST


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    raise SystemExit(main())
