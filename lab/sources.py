"""The machine's own Debian package sources, and only those: a lab's image is what this machine would install, or
would install if it ran the other Debian that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from wardnet.locale import _
from wardnet.media.base import SUITES

OS_RELEASE = Path("/etc/os-release")
APT = Path("/etc/apt")
SUITE_VARIABLE = "WARDNET_LAB_SUITE"  # the suite of labs and guests, where nobody names one


@dataclass(frozen=True, slots=True)
class DebianSources:
    suite: str  # bookworm, trixie ...
    stanzas: str  # deb822 text


def parse_os_release(text: str) -> str:
    """The code name of the running Debian. LabError on any other system."""
    fields = {
        key: value.strip().strip('"') for key, _equals, value in (line.partition("=") for line in text.splitlines())
    }
    if fields.get("ID") != "debian" or not fields.get("VERSION_CODENAME"):
        raise LabError(
            _("this machine runs {system}; the lab needs Debian 12 or 13").format(
                system=fields.get("PRETTY_NAME", "an unknown system")
            )
        )
    return fields["VERSION_CODENAME"]


def _stanza(types: str, uris: str, suites: str, components: str, signed_by: str) -> str:
    lines = [f"Types: {types}", f"URIs: {uris}", f"Suites: {suites}", f"Components: {components}"]
    if signed_by:
        lines.append(f"Signed-By: {signed_by}")
    return "\n".join(lines)


def _own_suites(words: str, codename: str) -> str:
    wanted = {codename, f"{codename}-updates", f"{codename}-security"}
    return " ".join(word for word in words.split() if word.rstrip("/") in wanted)


def parse_deb822(text: str, codename: str) -> list[str]:
    """The stanzas of a .sources file that serve `codename`, narrowed to its suites and to main."""
    found = []
    for block in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        last = ""
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t" and last:
                fields[last] += "\n" + line
            else:
                key, _, value = line.partition(":")
                last = key.strip().lower()
                fields[last] = value.strip()
        suites = _own_suites(fields.get("suites", ""), codename)
        enabled = fields.get("enabled", "yes").lower() not in ("no", "false")
        binary = "deb" in fields.get("types", "").split() and "main" in fields.get("components", "").split()
        if binary and suites and enabled:
            found.append(_stanza("deb", fields["uris"], suites, "main", fields.get("signed-by", "")))
    return found


def parse_one_line(text: str, codename: str) -> list[str]:
    """The same for sources.list, one source a line."""
    found = []
    for line in text.splitlines():
        match = re.match(
            r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)", line
        )
        if match is None or "main" not in match["components"].split():
            continue
        suite = _own_suites(match["suite"], codename)
        signed_by = re.search(r"signed-by=(\S+)", match["options"] or "")
        if suite:
            found.append(_stanza("deb", match["uri"], suite, "main", signed_by[1] if signed_by else ""))
    return found


def of_suite(own: DebianSources, suite: str) -> DebianSources:
    """The same archives' sources of another Debian. LabError for one that no lab is made of."""
    if suite not in SUITES:
        raise LabError(_("no lab is made of {suite}: {suites}").format(suite=suite, suites=", ".join(SUITES)))
    lines = [
        re.sub(rf"\b{own.suite}\b", suite, line) if line.startswith("Suites:") else line
        for line in own.stanzas.splitlines(keepends=True)
    ]
    return DebianSources(suite, "".join(lines))


def read_debian_sources(apt: Path = APT, os_release: Path = OS_RELEASE) -> DebianSources:
    """Raises LabError when the machine is not Debian or has no source for its own suite."""
    codename = parse_os_release(os_release.read_text())
    stanzas: list[str] = []
    main = apt / "sources.list"
    if main.is_file():
        stanzas += parse_one_line(main.read_text(), codename)
    for path in sorted((apt / "sources.list.d").glob("*")):
        if path.suffix == ".sources":
            stanzas += parse_deb822(path.read_text(), codename)
        elif path.suffix == ".list":
            stanzas += parse_one_line(path.read_text(), codename)
    if not any(f"{codename}\n" in stanza or f"{codename} " in stanza for stanza in stanzas):
        raise LabError(
            _("no package source for {codename} main in {apt}: add Debian's own and run apt-get update").format(
                codename=codename, apt=apt
            )
        )
    return DebianSources(codename, "\n\n".join(dict.fromkeys(stanzas)) + "\n")
