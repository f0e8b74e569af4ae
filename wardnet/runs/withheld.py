"""Keeps secrets out of journals: by the name they go under, by Ansible's no_log, and by their value.

A journal is read by more people than may know a password, and it is kept for years.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WITHHELD = "(withheld)"
# Paths of keys, such as wardnet_ssh_key or mirror_key_file, are no secrets and are needed to go on with a run.
_NAMES = re.compile(
    r"pass(?:word|wd|phrase|code)|(?:^|_)pass$|secret|token|credential|vault_|(?:^|_)psk(?:_|$)"
    r"|(?:private|api|access|shared|encryption)_?key",
    re.IGNORECASE,
)
_SHORTEST = 4  # a value as short as "no" or "1" is in every text by chance
_EXTRA_VARS = ("-e", "--extra-vars")
_LONG = ("--extra-vars", "--limit")  # what is looked for in a command later, in all the ways that argparse takes
_FLAGS = frozenset("bChDJKkv")  # options of ansible-playbook of one letter and without a value


def is_secret_name(name: str) -> bool:
    """Whether what goes under this name is not to be written down."""
    words = re.sub(r"[-.]", "_", name)
    return bool(_NAMES.search(words)) and not words.lower().endswith(("_file", "_path"))


class Withholder:
    """Takes secrets out of texts and trees. Values are learnt while a run goes on."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        found = {secret for secret in secrets if len(secret) >= _SHORTEST} | set(self._secrets)
        # A secret of several lines shows up line by line in a diff.
        found |= {line.strip() for secret in found for line in secret.splitlines() if len(line.strip()) >= 8}
        # The longest first: one may be part of another.
        self._secrets = sorted(found, key=lambda secret: (-len(secret), secret))

    def text(self, text: str) -> str:
        """The text without any known secret."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, WITHHELD)
        return text

    def tree(self, value: Any) -> Any:
        """Plain data without secrets: what stands under a secret's name, and known values wherever they stand."""
        if isinstance(value, Mapping):
            return {
                str(key): WITHHELD if is_secret_name(str(key)) and item not in (None, "") else self.tree(item)
                for key, item in value.items()
            }
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bool | int | float) or value is None:
            return value
        if isinstance(value, Sequence | set | frozenset):
            return [self.tree(item) for item in value]
        return self.text(str(value))


def secrets_in(value: Any, named: bool = False) -> set[str]:
    """Every text that stands under a secret's name in a tree of variables."""
    if isinstance(value, Mapping):
        return {s for key, item in value.items() for s in secrets_in(item, named or is_secret_name(str(key)))}
    if isinstance(value, str):
        return {str(value)} if named else set()
    if isinstance(value, Sequence):
        return {s for item in value for s in secrets_in(item, named)}
    return {str(value)} if named and isinstance(value, int | float) and not isinstance(value, bool) else set()


def withhold_arguments(argv: Sequence[str]) -> tuple[list[str], int, set[str]]:
    """A command's arguments without the secrets among its extra variables; how many were withheld; their values."""
    kept: list[str] = []
    count = 0
    secrets: set[str] = set()
    expect = False
    for word in spelled_out(argv):
        option, value = "", ""
        if expect:
            value = word
        elif word.startswith("--extra-vars="):
            option, value = "--extra-vars=", word.partition("=")[2]
        elif word.startswith("-e") and len(word) > 2 and not word.startswith("--"):
            option, value = "-e", word[2:]
        expect = not expect and word in _EXTRA_VARS
        if not value:
            kept.append(word)
            continue
        clean, more = _extra_vars(value)
        secrets |= more
        count += len(more)
        kept.append(option + clean)
    return kept, count, secrets


def spelled_out(argv: Sequence[str]) -> list[str]:
    """The same command with extra variables and limits as options of their own and by their whole names: argparse takes
    `-ve VALUE` and `--extra VALUE` too."""
    found: list[str] = []
    words = list(argv)
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            return [*found, word, *words]
        if name.startswith("--"):
            # Shorter ones of --limit are those of --list-hosts as well, and refused.
            whole = next((long for long in _LONG if long.startswith(name) and len(name) > len("--li")), name)
            found.append(("--extra-vars" if name in ("--e", "--ex") else whole) + equals + value)
        elif word.startswith("-") and (flags := _flags_before(word)):
            found += [f"-{word[1 : 1 + flags]}", f"-{word[1 + flags :]}"]
        else:
            found.append(word)
        if not equals and found[-1] in (*_EXTRA_VARS, "-l", "--limit"):
            found += words[:1]  # its value, whatever that looks like
            words = words[1:]
    return found


def _flags_before(word: str) -> int:
    """How many flags stand in one word before -e or -l, as 1 in `-ve`."""
    for number, letter in enumerate(word[1:]):
        if letter in "el":
            return number
        if letter not in _FLAGS:
            return 0
    return 0


def _extra_vars(text: str) -> tuple[str, set[str]]:
    """One value of -e: a file (@...), JSON or YAML in braces, or key=value pairs."""
    if text.startswith("@"):
        return text, set()
    if text.lstrip().startswith(("{", "[")):
        try:
            data = json.loads(text)
        except ValueError:
            # Other YAML: kept only where no name in it is a secret's.
            return (WITHHELD, {text}) if is_secret_name(text) else (text, set())
        secrets = secrets_in(data)
        return (json.dumps(Withholder(secrets).tree(data), ensure_ascii=False) if secrets else text), secrets
    secrets = set()

    def replace(match: re.Match[str]) -> str:
        if not is_secret_name(match[1]):
            return match[0]
        secrets.add(match[2].strip("'\""))
        return f"{match[1]}={WITHHELD}"

    return re.sub(r"""([\w.-]+)=("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\S+)""", replace, text), secrets
