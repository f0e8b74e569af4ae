"""What of a run's variables came out of an Ansible vault. Used where Ansible runs; wardnet itself needs none of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any


def decrypted(value: Any) -> Iterator[str]:
    """Texts of a tree of variables that a vault held, each whole."""
    from ansible._internal._datatag._tags import Origin, SourceWasEncrypted, VaultedValue
    from ansible.parsing.vault import EncryptedString

    def is_secret(text: str) -> bool:
        if VaultedValue.is_tagged_on(text) or SourceWasEncrypted.is_tagged_on(text):
            return True
        origin = Origin.get_tag(text)
        return origin is not None and bool(origin.path) and _is_vault(str(origin.path))

    if isinstance(value, Mapping):
        for item in value.values():
            yield from decrypted(item)
    elif isinstance(value, EncryptedString) or (isinstance(value, str) and is_secret(value)):
        try:
            yield str(value)
        except Exception:  # a vault that cannot be opened tells nothing
            return
    elif isinstance(value, list | tuple):
        for item in value:
            yield from decrypted(item)


@cache
def _is_vault(path: str) -> bool:
    """Whether a file of variables is encrypted as a whole."""
    try:
        with Path(path).open("rb") as file:
            return file.read(14) == b"$ANSIBLE_VAULT"
    except OSError:
        return False
