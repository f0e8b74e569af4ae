"""What a host that pulls is told once and believes from then on, read as it will read it itself: nobody can log in
there to mend it."""

from __future__ import annotations

import base64
import binascii
import re
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

NAMESPACE = "wardnet-bundle"  # of signatures under what is published
PACKAGE = "wardnet-pull"
_OPTION = r'(?:cert-authority|(?:namespaces|valid-after|valid-before)="[^"]*")'
_SIGNER = re.compile(
    rf"(?:\"[^\"]+\"|[^\s\"]+)\s+(?:(?P<options>{_OPTION}(?:,{_OPTION})*)\s+)?"
    r"(?P<type>(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)\s+(?P<blob>[A-Za-z0-9+/]+=*)(?:\s.*)?",
    re.IGNORECASE,
)


def is_folder(url: str) -> bool:
    """Whether wardnet-pull asks there: a folder over HTTPS, with nothing behind it and no password in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    beside = parts.query or parts.fragment or parts.username is not None or parts.password is not None or port == 0
    return parts.scheme == "https" and bool(parts.hostname) and not beside and url.isascii() and url.isprintable()


def says_who_signs(text: str) -> bool:
    """Whether each line is one of ssh-keygen(1), ALLOWED SIGNERS, and one of them at least is for bundles. A line that
    is a public key alone has nobody's name in front: ssh-keygen would take the kind of key for one."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = [_SIGNER.fullmatch(line) for line in lines]
    return all(each is not None and _is_key(each["type"], each["blob"]) for each in found) and any(
        each is not None and _is_for_bundles(each["options"] or "") for each in found
    )


def _is_key(kind: str, blob: str) -> bool:
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    return data[4 : 4 + int.from_bytes(data[:4], "big")] == kind.encode()


def _is_for_bundles(options: str) -> bool:
    named = re.search(r'namespaces="([^"]*)"', options, re.IGNORECASE)
    return named is None or any(fnmatchcase(NAMESPACE, each.strip()) for each in named[1].split(","))


def is_package(path: Path) -> bool:
    """Whether the file is the package that pulls, as dpkg reads it."""
    argv = ["dpkg-deb", "--field", str(path), "Package"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return True  # without dpkg no base system is made either, which is said there
    return done.stdout.strip() == PACKAGE
