"""Rule sets that others have published, as nft lists them: each is read or refused with its place, and both engines say
the same of a gateway that has it for its filter.

WARDNET_PUBLIC_RULESETS names a folder of files that `nft -j list ruleset` printed; `python -m bench.published` makes
it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.linux import parse_device
from collectors.parsers.nft import parse_ruleset
from tests.unit.audit_support import gateway, gateway_policy, policy, with_policy_rule
from wardnet.audit.judge import channel_networks, judge
from wardnet.model.span import Coverage

FOLDER = "WARDNET_PUBLIC_RULESETS"
FILES = sorted(Path(os.environ[FOLDER]).glob("*.json")) if FOLDER in os.environ else [Path("absent")]
pytestmark = pytest.mark.cases(FOLDER)
BOTH_ENGINES = 24  # of them, so that it takes a minute; all with WARDNET_PUBLIC_ALL=1
JUDGED = FILES if os.environ.get("WARDNET_PUBLIC_ALL") else FILES[:: max(1, len(FILES) // BOTH_ENGINES)]


def read(path: Path) -> tuple[Coverage | None, ParseError | None]:
    try:
        return parse_ruleset(Artefact("public", "nft-ruleset.json", path.read_bytes())).coverage, None
    except ParseError as error:
        return None, error


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_published_ruleset_is_read_or_refused_with_its_place(path: Path) -> None:
    coverage, refused = read(path)
    if coverage is None:
        assert refused is not None
        assert refused.where
        assert refused.reason
    else:
        items = coverage.modelled + coverage.irrelevant + coverage.unknown
        assert sum(treated.count for treated in coverage.treated) == items


@pytest.mark.parametrize("path", JUDGED, ids=lambda path: path.stem)
def test_the_engines_agree_on_a_gateway_with_a_published_ruleset(path: Path) -> None:
    """Policy rules lead across, so that the filter decides."""
    edited = with_policy_rule(gateway(), 4, priority=950, iif="citizen0", dst="10.20.1.0", dstlen=24, table="100")
    edited = with_policy_rule(edited, 6, priority=950, iif="inet0", dst="fd20:20:1::", dstlen=64, table="100")
    device = parse_device("buoi-gw", {**edited, "nft-ruleset.json": path.read_bytes()})
    result = judge(device, gateway_policy(), channel_networks(policy().devices))
    assert result.disagreements == ()
