"""Signatures of bundles by OpenSSH's own ssh-keygen, which every host has that sshd runs on. Standard library only."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_published import (
    NAMESPACE,
    SIGNATURE_SUFFIX,
    SUFFIX,
    BundleRefusedError,
    Published,
    read_bundle,
)

SSH_KEYGEN = "/usr/bin/ssh-keygen"
PATIENCE = 30  # seconds; a key on a token may want to be touched
ENVIRONMENT = ("SSH_AUTH_SOCK", "HOME", "PATH")


class SignatureError(Exception):
    """There is no signing with this key; the message says why."""


def sign(data: bytes, key: Path) -> bytes:
    """An SSH signature over the data. `key` is a private key, or a public one whose private half the agent holds."""
    with tempfile.TemporaryDirectory(prefix="wardnet-sign-") as folder:
        path = Path(folder) / "bundle"
        path.write_bytes(data)
        code, said = _run(["-q", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(path)])
        made = path.with_name("bundle.sig")
        if code != 0 or not made.exists():
            raise SignatureError(f"{key} does not sign: {said or 'no reason given'}")
        return made.read_bytes()


def is_signed_with(data: bytes, signature: bytes, key: Path) -> bool:
    """Whether the signature is one of this very key, by its public half beside it."""
    public = key if key.suffix == ".pub" else key.with_name(f"{key.name}.pub")
    try:
        words = public.read_text().split()[:2]
    except OSError as error:
        raise SignatureError(f"the public half of the key that signs must lie beside it: {error}") from None
    try:
        verify(data, signature, f"key {' '.join(words)}\n".encode())
    except BundleRefusedError:
        return False
    return True


def read_signed(folder: Path, host: str, key: Path) -> Published | None:
    """What lies in the folder for the host, if this very key has signed it; whatever else lies there counts as none."""
    with suppress(FileNotFoundError, BundleRefusedError):
        data = (folder / f"{host}{SUFFIX}").read_bytes()
        if is_signed_with(data, (folder / f"{host}{SIGNATURE_SUFFIX}").read_bytes(), key):
            found = read_bundle(data)
            return found if found.host == host else None
    return None


def verify(data: bytes, signature: bytes, signers: bytes) -> str:
    """Who of the allowed signers (a file as in ssh-keygen(1), ALLOWED SIGNERS) signed it. BundleRefusedError where
    nobody did, or for another purpose than a bundle, or with a key that is not valid today."""
    with tempfile.TemporaryDirectory(prefix="wardnet-verify-") as folder:
        allowed, given = Path(folder) / "signers", Path(folder) / "signature"
        allowed.write_bytes(signers)
        given.write_bytes(signature)
        where = ["-f", str(allowed), "-s", str(given)]
        code, said = _run(["-Y", "find-principals", *where])
        names = said.split("\n")[0].split(",") if code == 0 else []
        for name in names:
            code, said = _run(["-Y", "verify", "-n", NAMESPACE, "-I", name, *where], data)
            if code == 0:
                return name
    raise BundleRefusedError(f"the signature is not one of a signer that this host allows: {_plain(said)}")


def keeps_its_signer(data: bytes, signature: bytes, steps: Iterable[dict[str, Any]], path: str) -> None:
    """BundleRefusedError where a step puts signers at `path` who have not signed this very bundle: a host that took it
    would believe nothing of this signer any more, and nobody else could reach it."""
    for step in steps:
        for file in step.get("files") or []:
            if file.get("path") != path:
                continue
            try:
                verify(data, signature, str(file.get("content") or "").encode())
            except BundleRefusedError:
                raise BundleRefusedError(
                    f"it replaces {path} with signers of whom none has signed it, and the host would take nothing from "
                    "this key again: name the old key and the new one until every host has pulled"
                ) from None


def _plain(said: str) -> str:
    """ssh-keygen's words, without a path that is gone by now."""
    return re.sub(r"/\S*/wardnet-verify-\w+/", "", said.strip().replace("\n", "; ")) or "no reason given"


def _run(words: list[str], given: bytes = b"") -> tuple[int, str]:
    kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    try:
        done = subprocess.run(
            [SSH_KEYGEN, *words],
            input=given,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            start_new_session=True,  # it asks nobody for a passphrase: there is no terminal
            env={**kept, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "never"},
        )
    except FileNotFoundError:
        return 127, f"{SSH_KEYGEN} is missing: install openssh-client"
    except subprocess.TimeoutExpired:
        return 124, f"ssh-keygen did not end within {PATIENCE} s"
    text = (done.stdout or done.stderr) if done.returncode == 0 else (done.stderr or done.stdout)
    return done.returncode, text.decode(errors="replace").strip()
