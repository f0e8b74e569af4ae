"""A packet filter that somebody changed by hand while the lines of the inventory moved, in a network namespace. Run as
a program; an AssertionError is the test's failure.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.unit.connections_namespace import DESK, FOLDER, PORTAL, RULES
from tests.unit.plugins_namespace import candidate, packet_filter, run
from tests.unit.plugins_support import load

host_module = load("module_utils", "wardnet_host")
survey = load("module_utils", "wardnet_survey")
survey.PARTS = (packet_filter.Filter,)


class Host(host_module.Host):  # type: ignore[misc, name-defined]
    """Its filter is started now and at boot."""

    def attempt(self, argv: Sequence[str], stdin: str | bytes | None = None) -> tuple[int, str, str]:
        if argv[0] == host_module.SYSTEMCTL:
            return 0, "ActiveState=active\nUnitFileState=enabled\n", ""
        answer: tuple[int, str, str] = super().attempt(argv, stdin)
        return answer


def look(ruleset: str) -> Any:
    path = Path(FOLDER.name) / "nftables.conf"
    if not path.exists():
        path.write_text(ruleset)
        path.chmod(0o644)
    owner, group = path.owner(), path.group()
    file = {"path": str(path), "content": ruleset, "owner": owner, "group": group}
    step = {"role": "r", "part": "filter", "files": [file], "filter": {"path": str(path)}}
    found = survey.Survey(Host(state=Path(FOLDER.name) / "state"), candidate.read_steps([step]))
    found.read_files()
    found.make_parts()
    found.read_units()
    found.read_parts()
    return found


def drift_is_found_whatever_the_inventory_says_by_now() -> None:
    former = RULES.replace("FLOWS", f"{PORTAL}\n{DESK}")
    run("nft", "-f", "-", given=former)
    look(former).remember("run-1")
    shifted = former.replace("a.yml:", "a.yml:7")
    fewer = RULES.replace("FLOWS", PORTAL)
    assert look(former).drift() == []
    for ruleset in (shifted, fewer):
        assert look(ruleset).differs
        assert look(ruleset).drift() == [], "nobody changed anything by hand"
    run("nft", "insert", "rule", "inet", "wardnet", "forward", "accept")
    added = {"part": "filter", "what": "foreign: table inet wardnet, chain forward: accept", "where": "running"}
    for ruleset in (former, shifted, fewer):
        found = look(ruleset)
        assert found.drift() == [added], found.drift()
        assert found.host.warnings == []
    run("nft", "flush", "chain", "inet", "wardnet", "forward")
    words = [item["what"] for item in look(shifted).drift()]
    assert any('comment "portal a.yml:1"' in item for item in words), "told as it was confirmed"
    assert not any("a.yml:71" in item for item in words)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
