"""A lab of its own, whose gateways are taken over by guests, one at a time. Its hub is set up; its other gateways are
booted and left as they are. One that is kept (tests/lab/lab_support.py) is kept with its guests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab
from lab.qemu import Guest, find, take_over
from tests.lab.lab_support import own_lab
from tests.qemu import district
from tests.qemu.guests import NAME, must_converge, ruleset, running


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        here = Path(__file__).parent in item.path.parents and item.get_closest_marker("lab")
        if here and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(5400))


@pytest.fixture(scope="session", name="lab")
def with_a_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    inventory = tmp_path_factory.mktemp("district") / "tay-ho"
    words = ("--wards", "2", "--inventory", str(district.write(inventory)))
    with own_lab(NAME, lambda lab: must_converge(lab, gateway="tay-ho-hub"), *words) as lab:
        yield lab


def _in_the_place_of(lab: Lab, gateway: str) -> Iterator[Guest]:
    with running(find(lab.layout, gateway) or take_over(lab.layout, gateway, print)) as guest:
        yield guest


@pytest.fixture(scope="module")
def tagged(lab: Lab) -> Iterator[Guest]:
    """The guest whose LANs and internet line are tagged, set up by the roles."""
    for guest in _in_the_place_of(lab, district.TAGGED):
        must_converge(lab, gateway=district.TAGGED)
        yield guest


@pytest.fixture(scope="module")
def routed_apart(lab: Lab) -> Iterator[Guest]:
    """The guest with VRFs, set up by the roles."""
    for guest in _in_the_place_of(lab, district.ROUTED_APART):
        must_converge(lab, gateway=district.ROUTED_APART)
        yield guest


@pytest.fixture
def untouched(tagged: Guest) -> str:
    """The packet filter that runs before the test."""
    return ruleset(tagged)
