"""Damaged artefacts: a clear error or a verdict, never a traceback; and never a proof where there is a leak."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.parsers.artefact import ParseError
from tests.unit.audit_support import Artefacts, gateway, verdict
from tests.unit.test_audit_gateway import forwarding_leak, ipv6_open, leaked_route
from wardnet.audit.records import Verdict

pytestmark = pytest.mark.long

EXAMPLES = int(os.environ.get("WARDNET_HARM_EXAMPLES", "60"))
NAMES = sorted(name for name, content in gateway().items() if content)
JSON_NAMES = [name for name in NAMES if name.endswith(".json") and json.loads(gateway()[name])]
LEAKS = [forwarding_leak(), leaked_route(), ipv6_open()]

quick = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="WARDNET_HARM_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)


def judged(artefacts: Artefacts) -> Verdict | None:
    """None for an artefact that is refused; anything but a ParseError is a failure of the test."""
    try:
        return verdict(artefacts).verdict
    except ParseError:
        return None


@quick
@given(leak=st.sampled_from(LEAKS), name=st.sampled_from(NAMES), data=st.data())
def test_bytes_cut_off_or_flipped_never_hide_a_leak(leak: Artefacts, name: str, data: st.DataObject) -> None:
    """A leaking gateway whose artefact was cut, or had a stretch of bytes replaced: refused, unknown or violated. (A
    change that makes another valid listing is caught by the snapshot's hash.)"""
    content = leak[name]
    at = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(1, 40))
    if data.draw(st.booleans()):
        damaged = content[:at]
    else:
        damaged = content[:at] + data.draw(st.binary(min_size=length, max_size=length)) + content[at + length :]
    judged({**leak, name: damaged})
    if name.endswith(".json") and damaged == content[:at] and content[at:].strip():
        assert judged({**leak, name: damaged}) is None


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        for key, entry in value.items():
            found += _paths(entry, (*path, key))
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            found += _paths(entry, (*path, index))
    return found


_ODD: list[Any] = [None, True, -1, 10**30, "", "x", "@nowhere", [], {}, [[]], {"set": 5}, {"range": ["", ""]},
                   "10.0.0.1", {"prefix": {"addr": "10.0.0.0", "len": 99}}, {"elem": {}}, "*", 0.5]  # fmt: skip


@quick
@given(name=st.sampled_from(JSON_NAMES), data=st.data())
def test_a_value_of_another_shape_anywhere_is_an_error_or_a_verdict(name: str, data: st.DataObject) -> None:
    """Well-formed JSON in which one value is something else, or gone."""
    value = json.loads(gateway()[name])
    *path, last = data.draw(st.sampled_from(_paths(value)))
    holder = value
    for step in path:
        holder = holder[step]
    if data.draw(st.booleans()):
        holder[last] = data.draw(st.sampled_from(_ODD))
    else:
        del holder[last]
    judged({**gateway(), name: json.dumps(value).encode()})


@quick
@given(data=st.data())
def test_a_condition_that_is_not_understood_never_turns_a_leak_into_a_proof(data: st.DataObject) -> None:
    """Any rule of the forward chain gets a condition that nothing here knows: the leak is still there, or unknown."""
    leak = data.draw(st.sampled_from(LEAKS))
    listing = json.loads(leak["nft-ruleset.json"])
    rules = [e["rule"] for e in listing["nftables"] if e.get("rule", {}).get("chain") == "forward"]
    rule = data.draw(st.sampled_from(rules))
    strange = {"match": {"op": "==", "left": {data.draw(st.text(max_size=5)): {}}, "right": 1}}
    rule["expr"].insert(data.draw(st.integers(0, len(rule["expr"]))), strange)
    found = judged({**leak, "nft-ruleset.json": json.dumps(listing).encode()})
    assert found in (Verdict.VIOLATED, Verdict.UNKNOWN)
