"""What ran comes back though the files on disk say something else: in a network namespace, with ip(8)."""

from __future__ import annotations

import pytest

from tests.unit.namespaces import assert_passes


@pytest.mark.parametrize("name", ["what_ran_is_back", "what_cannot_be_brought_is_said"])
def test_what_ran(name: str) -> None:
    assert_passes("ran_namespace", name)
