"""Part `accounts`: the people who may log in at a PC, and nobody beside them.

    accounts: {people: [{name, comment, groups [names]}], passwords: PATH, keep: [names], shell: /bin/bash}

`passwords` is the path of a secret file of the step with a line `name:hash` for each who has a password, so that no
hash stands in arguments, in a diff or in what is remembered. Everybody is in the groups that are given, and no other.

Every account with the number of a person that is neither given nor in `keep` is locked: no password, no keys (they are
files of the step), no shell, no groups, an end in the past. Its home stays. So is one that somebody made by hand,
and whoever else has the number 0. An account of the system's own that is not in `keep` has no password. Only members of
`sudo` that are given or kept stay in it. An account's first group counts as any other, unless it is its own.

What is in `keep` and comes in by key, and root, have no password either once somebody who is given has one and is in
`sudo`: the installation's, which many may know, then opens the PC no more, and who stands before it is somebody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from ansible.module_utils.wardnet_host import CommandError
from ansible.module_utils.wardnet_part import Difference, Part, PartError, RefusedError, Undo
from ansible.module_utils.wardnet_way_back import keep_file

FILES = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
FIRST, NOBODY = 1000, 65534  # Debian's numbers: of people, and of what belongs to nobody
NOLOGIN = "/usr/sbin/nologin"
ADMINISTRATORS = "sudo"
HASH = re.compile(r"\$[0-9a-z]{1,3}\$[^\s:]+")


@dataclass(frozen=True)
class Login:
    """An account as the files in /etc have it; `ends` is a day since 1970, or empty."""

    name: str
    uid: int
    comment: str
    shell: str
    password: str
    ends: str
    groups: frozenset[str]
    first: str = ""  # the group of its number, where it is not its own; also among `groups`
    home: str = ""

    @property
    def is_person(self) -> bool:
        return self.uid >= FIRST and self.uid != NOBODY

    @property
    def locked(self) -> bool:
        return self.password[:1] in ("!", "*") and self.ends not in ("", "-1") and self.shell == NOLOGIN


def parse_logins(passwd: str, shadow: str, group: str) -> dict[str, Login]:
    """By name; groups are those beside the one of its own name. Lines that are none are left out, as libc does."""
    secrets = {row[0]: row for row in _rows(shadow, 8)}
    groups: dict[str, set[str]] = {}
    numbers: dict[str, str] = {}
    for row in _rows(group, 4):
        numbers.setdefault(row[2], row[0])
        for member in filter(None, row[3].split(",")):
            groups.setdefault(member, set()).add(row[0])
    found = {}
    for row in _rows(passwd, 7):
        secret = secrets.get(row[0], [row[0], "", "", "", "", "", "", ""])
        if row[2].isdigit():
            first = numbers.get(row[3], "")
            first = "" if first == row[0] else first
            member_of = frozenset((groups.get(row[0], set()) | {first}) - {row[0], ""})
            found[row[0]] = Login(row[0], int(row[2]), row[4], row[6], secret[1], secret[7], member_of, first, row[5])
    return found


def _rows(text: str, least: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        row = line.split(":")
        if len(row) >= least and row[0]:
            yield row


def has_key(login: Login) -> bool:
    """Whether a key in its home lets it in."""
    try:
        lines = (Path(login.home) / ".ssh" / "authorized_keys").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


class Accounts(Part):
    name = "accounts"
    etc: ClassVar[Path] = Path("/etc")

    def read(self) -> None:
        self._people: dict[str, dict[str, Any]] = {}
        self._keep: set[str] = {"root"}
        self._hashes: dict[str, str] | None = {}
        self._shell = "/bin/bash"
        for step in self.steps:
            self._people.update({str(one["name"]): one for one in step.arguments.get("people") or []})
            self._keep.update(step.arguments.get("keep") or [])
            self._shell = str(step.arguments.get("shell") or self._shell)
            self._read_hashes(str(step.arguments.get("passwords") or ""))
        both = sorted(self._keep & set(self._people))
        if both:
            raise RefusedError(f"part {self.name}: {', '.join(both)}: kept as it is, and given as somebody's account")
        self._todo = list(self._compare())

    def _read_hashes(self, path: str) -> None:
        if not path:
            return
        try:
            text = self.content(path)
        except RefusedError:  # of what was confirmed before, secrets are not known: passwords are left out of it
            self._hashes = None
            return
        for line in text.splitlines():
            name, _, value = line.partition(":")
            if name and not name.startswith("#") and self._hashes is not None:
                self._hashes[name] = value

    def _present(self) -> dict[str, Login]:
        texts = [(self.etc / name).read_text() for name in ("passwd", "shadow", "group")]
        return parse_logins(*texts)

    def _compare(self) -> Iterator[tuple[str, str, list[str]]]:
        """What differs: 'missing' or 'foreign', in words, and the account with what is to be changed."""
        present = self._logins = self._present()
        for name, person in self._people.items():
            login = present.get(name)
            if login is None:
                yield "missing", f"account {name}", [name, "new"]
                continue
            if not login.is_person:
                raise RefusedError(
                    f"account {name} is one of the system's own (number {login.uid}): nothing was touched"
                )
            yield from self._differences(person, login)
        superseded = self._superseded(present)
        for login in present.values():
            if login.name in superseded and login.password.startswith("$"):
                yield "foreign", f"password of {login.name}", [login.name, "mute"]
            if login.name in self._people or login.name in self._keep:
                continue
            if login.is_person or login.uid == 0:
                if not login.locked or login.groups:
                    yield "foreign", f"account {login.name}, open", [login.name, "lock"]
                continue
            if ADMINISTRATORS in login.groups:
                yield "foreign", f"account {login.name} in group {ADMINISTRATORS}", [login.name, "out"]
            if login.password.startswith("$"):
                yield "foreign", f"password of {login.name}", [login.name, "mute"]

    def _superseded(self, present: dict[str, Login]) -> set[str]:
        """Who needs no password any more, as somebody of the inventory may become root by one of their own."""
        by_key = {name for name in self._keep if name in present and has_key(present[name])}
        administrators = [one for one in self._people.values() if ADMINISTRATORS in (one.get("groups") or [])]
        if by_key and any(self._has_password(one["name"], present) for one in administrators):
            return by_key | {"root"}
        return set()

    def _has_password(self, name: str, present: dict[str, Login]) -> bool:
        if self._hashes is not None:
            return name in self._hashes
        return name in present and present[name].password.startswith("$")

    def _differences(self, person: dict[str, Any], login: Login) -> Iterator[tuple[str, str, list[str]]]:
        name, wanted = login.name, frozenset(person.get("groups") or [])
        for group in sorted(wanted - login.groups):
            yield "missing", f"account {name} in group {group}", [name, "groups"]
        for group in sorted(login.groups - wanted):
            yield "foreign", f"account {name} in group {group}", [name, "groups"]
        if login.comment != _comment(person) or login.shell != self._shell:
            yield "missing", f"account {name} as {_comment(person)}, {self._shell}", [name, "record"]
        if login.ends not in ("", "-1"):
            yield "missing", f"account {name}, open", [name, "record"]
        if self._hashes is not None and not self._password_is_right(login):
            yield "missing", f"password of {name}", [name, "password"]

    def _password_is_right(self, login: Login) -> bool:
        wanted = (self._hashes or {}).get(login.name)
        return login.password == wanted if wanted else login.password[:1] in ("!", "*")

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(words for kind, words, _ in self._todo if kind == "missing"),
            foreign=tuple(words for kind, words, _ in self._todo if kind == "foreign"),
        )

    def judge(self, root: Path) -> None:  # noqa: ARG002 - nothing of it is a file that a tool could try
        wrong = sorted(name for name, value in (self._hashes or {}).items() if not HASH.fullmatch(value))
        if wrong:
            raise RefusedError(
                f"the password of {', '.join(wrong)} in the vault is no hash, nothing was touched: make one with "
                "`openssl passwd -6`"
            )
        unknown = sorted(set(self._hashes or {}) - set(self._people))
        if unknown:
            raise RefusedError(f"there are passwords for nobody: {', '.join(unknown)}")

    def undo(self) -> list[Undo]:
        return [keep_file(self.etc / name) for name in FILES]

    def apply(self) -> None:
        due: dict[str, set[str]] = {}
        for _, _, (name, what) in self._todo:
            due.setdefault(name, set()).add(what)
        groups = {group for person in self._people.values() for group in person.get("groups") or []}
        try:
            self._make_groups(groups)
            for name, whats in due.items():
                self._change(name, whats)
        except CommandError as error:
            raise PartError(str(error)) from error

    def _make_groups(self, names: set[str]) -> None:
        there = {row[0] for row in _rows((self.etc / "group").read_text(), 4)}
        for name in sorted(names - there):
            self.host.run(["/usr/sbin/groupadd", "--system", name])

    def _change(self, name: str, whats: set[str]) -> None:
        if whats & {"out", "mute"}:  # what a service may need of it stays
            if "out" in whats:
                self.host.attempt(["/usr/bin/gpasswd", "--delete", name, ADMINISTRATORS])
            first = self._own_group(name) if self._logins[name].first == ADMINISTRATORS else []
            lock = ["--lock"] if "mute" in whats else []
            if first or lock:
                self.host.run(["/usr/sbin/usermod", *first, *lock, name])
        elif "lock" in whats:
            words = ["--lock", "--expiredate=1", f"--shell={NOLOGIN}", "--groups=", *self._own_group(name)]
            self.host.run(["/usr/sbin/usermod", *words, name])
            self.host.attempt(["/usr/bin/loginctl", "terminate-user", name])  # whoever is logged in goes
        else:
            person = self._people[name]
            if "new" in whats:
                self.host.run(["/usr/sbin/useradd", "--create-home", "--key=HOME_MODE=0700", "--user-group", name])
            words = [f"--comment={_comment(person)}", f"--shell={self._shell}", "--expiredate=", *self._own_group(name)]
            self.host.run(["/usr/sbin/usermod", *words, f"--groups={','.join(person.get('groups') or [])}", name])
            self._set_password(name)
            if "groups" in whats:  # what a session may do is settled when it begins
                self.host.attempt(["/usr/bin/loginctl", "terminate-user", name])

    def _own_group(self, name: str) -> list[str]:
        """What brings an account back to its own group as the first; nothing where it has it."""
        login = self._logins.get(name)
        if login is None or not login.first:
            return []
        if all(row[0] != name for row in _rows((self.etc / "group").read_text(), 4)):
            self.host.run(["/usr/sbin/groupadd", name])
        return [f"--gid={name}"]

    def _set_password(self, name: str) -> None:
        if self._hashes is None:
            return
        # On standard input: arguments are seen by everybody on the machine.
        self.host.run(["/usr/sbin/chpasswd", "--encrypted"], f"{name}:{self._hashes.get(name, '!')}\n")

    def verify(self) -> None:
        left = [words for _, words, _ in self._compare()]
        if left:
            raise PartError(f"accounts are not as intended after their change: {', '.join(left)}")


def _comment(person: dict[str, Any]) -> str:
    """The name as /etc/passwd can hold it."""
    return str(person.get("comment") or "").replace(":", " ")
