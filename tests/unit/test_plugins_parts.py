"""The guarded parts and the probes against the real kernel, each test in a network namespace of its own."""

from __future__ import annotations

import pytest

from tests.unit.namespaces import assert_passes
from tests.unit.plugins_support import load

pytestmark = pytest.mark.long

probe = load("module_utils", "wardnet_probe")


@pytest.mark.parametrize(
    "name",
    [
        "filter_comes_and_goes",
        "filter_finds_what_was_moved",
        "filter_finds_tables_with_flags",
        "filter_names_a_table_that_a_program_holds",
        "connections_of_rules_that_are_taken_back_end",
        "filter_refuses_a_way_back_that_nft_does_not_take",
        "settings_come_and_go",
        "network_is_read_and_goes_back",
        "network_brings_back_what_is_unusual_just_as_it_was",
        "network_leaves_what_neighbours_bring_to_the_end",
        "network_refuses_what_it_could_not_bring_back",
        "lines_are_asked_out_of_their_port",
    ],
)
def test_in_a_namespace(name: str) -> None:
    assert_passes("plugins_namespace", name, seconds=300)


def test_whoever_answered_must_answer_and_neighbours_where_nobody_else_did() -> None:
    asked = probe.questions(
        [{"port": "p", "channel": "wan", "targets": ["192.0.2.1", "192.0.2.2"], "peers": ["192.0.2.3"]}]
    )
    first, second, peer = asked
    assert probe.demanded(frozenset({first, second, peer})) == (first, second)
    assert probe.demanded(frozenset({second, peer})) == (second,)
    assert probe.demanded(frozenset({peer})) == (peer,)
    assert probe.demanded(frozenset()) == ()
    assert probe.not_demanded(asked, frozenset({second})) == ["192.0.2.1 over wan at p"]
    assert probe.not_demanded(asked, frozenset({first, second})) == []
    assert probe.not_demanded(asked[2:], frozenset()) == ["192.0.2.3 over wan at p"]


def test_without_peers_the_targets_are_asked_as_neighbours_too() -> None:
    asked = probe.questions([{"port": "p", "targets": ["192.0.2.1"]}])
    assert [(q.address, q.neighbour) for q in asked] == [("192.0.2.1", False), ("192.0.2.1", True)]
