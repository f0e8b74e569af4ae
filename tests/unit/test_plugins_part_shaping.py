"""What leaves by a line: the tree that the part builds in a real kernel, what it finds, and its way back."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import gateway, load

shaping = load("module_utils", "wardnet_part_shaping")
candidate = load("module_utils", "wardnet_candidate")
parts = load("module_utils", "wardnet_part")
host = load("module_utils", "wardnet_host")
channels = load("filter", "wardnet_channels")

SHAPE = {"port": "lo", "bits": 20_000_000, "burst": 5000, "queue": 99}


def in_namespace(*commands: Sequence[str]) -> tuple[str, str]:
    """What tc and ip list after the commands, in an empty network namespace."""
    root = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    lines = [*(shlex.join(command) for command in commands), "tc -j qdisc show", "echo", "echo ---", "ip -j link show"]
    done = subprocess.run(
        ["unshare", *root, "--net", "sh", "-ec", "\n".join(lines)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    disciplines, _, links = done.stdout.partition("---")
    return disciplines, links


class FakeHost:
    """Hands out listings, and keeps what it is told to run."""

    def __init__(self, disciplines: str, links: str) -> None:
        self.listings = {shaping.TC: disciplines, shaping.IP: links}
        self.ran: list[list[str]] = []
        self.refuses = self.filters = ""

    def run(self, argv: list[str]) -> str:
        if "filter" in argv:
            return self.filters
        if "show" in argv:
            return self.listings[argv[0]]
        self.ran.append(argv)
        return ""

    def attempt(self, argv: list[str]) -> tuple[int, str, str]:
        self.ran.append(argv)
        return (1, "", self.refuses) if self.refuses else (0, "", "")


def part(on: FakeHost, *shapes: dict[str, Any]) -> Any:
    step = candidate.read_step({"role": "line_shaping", "part": "shaping", "shaping": {"shapes": list(shapes)}})
    made = shaping.Shaping((step,), on)
    made.read()
    return made


def test_the_kernel_builds_what_is_intended() -> None:
    trees = shaping.parse_trees(*in_namespace(*shaping.commands(SHAPE)))
    assert shaping.same(SHAPE, trees["lo"].shape())


@pytest.mark.parametrize("bits", [1_000_000, 7_654_320, 100_000_000, 1_000_000_000])
def test_every_rate_of_a_contract_is_kept_as_it_is(bits: int) -> None:
    plan = {"shapes": [{"port": "lo", "direction": "egress", "rate_bps": bits, "priority": []}]}
    (shape,) = channels.shapes(plan, 60, 2)
    trees = shaping.parse_trees(*in_namespace(*shaping.commands(shape)))
    assert trees["lo"].shape()["bits"] == bits
    assert shaping.same(shape, trees["lo"].shape())


def test_nothing_differs_where_all_is_there() -> None:
    found = part(FakeHost(*in_namespace(*shaping.commands(SHAPE))), SHAPE)
    assert not found.difference()


def test_a_dialled_line_counts_what_its_packets_have_on_the_way(tmp_path: Path) -> None:
    record = gateway("buoi-gw")
    next(port for port in record["ports"] if port["name"] == "inet0")["dialled"] = {"user": "u", "password": "vault:x"}
    by_port = {shape["port"]: shape for shape in channels.shapes(record, 60, 2)}
    assert {port: shape["overhead"] for port, shape in by_port.items()} == {"wan0": 0, "inet0": 22}
    shape = {**by_port["inet0"], "port": "lo"}
    trees = in_namespace(*shaping.commands(shape))
    assert not part(FakeHost(*trees), shape).difference()
    assert part(FakeHost(*trees), {**shape, "overhead": 0}).difference()
    part(FakeHost(*in_namespace()), shape).judge(tmp_path)


def test_another_rate_differs_and_the_former_one_comes_back() -> None:
    former = {**SHAPE, "bits": 8_000_000}
    on = FakeHost(*in_namespace(*shaping.commands(former)))
    found = part(on, SHAPE)
    difference = found.difference()
    assert difference.missing == ("20000 kbit/s out of lo, burst 5000 bytes, queue 99 packets",)
    assert difference.foreign[0].startswith("8000 kbit/s out of lo")
    back = [list(undo.argv) for undo in found.undo()]
    trees = shaping.parse_trees(*in_namespace(*shaping.commands(SHAPE), ["true"], *tolerant(back)))
    assert shaping.same(former, trees["lo"].shape())
    found.apply()
    assert on.ran == [[shaping.TC, "qdisc", "del", "dev", "lo", "root"], *shaping.commands(SHAPE)]


def tolerant(commands: list[list[str]]) -> list[list[str]]:
    return [["sh", "-c", f"{shlex.join(command)} 2>/dev/null || true"] for command in commands]


def test_the_way_back_is_harmless_where_nothing_happened() -> None:
    on = FakeHost(*in_namespace())
    back = [list(undo.argv) for undo in part(on, SHAPE).undo()]
    twice = shaping.parse_trees(*in_namespace(*tolerant([*back, *back])))
    assert twice["lo"].disciplines == []
    assert twice["lo"].queue == shaping.parse_trees(*in_namespace())["lo"].queue


@pytest.mark.parametrize("kind", ["ingress", "clsact"])
def test_a_discipline_that_could_send_packets_elsewhere_is_foreign_and_goes(tmp_path: Path, kind: str) -> None:
    add = ["tc", "qdisc", "add", "dev", "lo", kind]
    on = FakeHost(*in_namespace(add))
    found = part(on)
    assert found.difference().foreign == (f"{kind} ffff: on lo",)
    found.judge(tmp_path)
    back = [list(undo.argv) for undo in found.undo()]
    for before in ([add], [["true"]]):
        trees = shaping.parse_trees(*in_namespace(*before, *tolerant([*back, *back])))
        assert [each["kind"] for each in trees["lo"].disciplines] == [kind]
    found.apply()
    assert on.ran == [[shaping.TC, "qdisc", "del", "dev", "lo", kind]]
    on = FakeHost(*in_namespace(add, *shaping.commands(SHAPE)))
    found = part(on, SHAPE)
    assert found.difference(), "beside what is intended, too"
    found.judge(tmp_path)
    back = [list(undo.argv) for undo in found.undo()]
    assert shaping.parse_trees(*in_namespace(*tolerant(back)))["lo"].disciplines == found._trees["lo"].disciplines


def test_what_the_way_back_could_not_build_again_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    """As a queue that somebody set by hand, or filters."""
    on = FakeHost(*in_namespace(["tc", "qdisc", "add", "dev", "lo", "root", "handle", "7:", "pfifo", "limit", "77"]))
    with pytest.raises(parts.RefusedError, match=r"pfifo 7: on lo. Take that away .*qdisc del dev lo root.*, then run"):
        part(on, SHAPE).judge(tmp_path)
    on = FakeHost(*in_namespace(["tc", "qdisc", "add", "dev", "lo", "clsact"]))
    on.filters = "filter protocol all pref 49152 matchall chain 0"
    with pytest.raises(parts.RefusedError, match=r"filters of clsact on lo. Take that away .*qdisc del dev lo clsact"):
        part(on).judge(tmp_path)
    assert on.ran == []


def test_a_port_that_is_not_there_is_named_and_not_missed() -> None:
    found = part(FakeHost(*in_namespace()), {**SHAPE, "port": "wan0"})
    assert not found.difference()
    assert found.difference().facts == {"without_port": ["wan0"]}


def test_a_port_that_comes_with_the_same_change_is_shaped_too() -> None:
    """A VLAN's port, which part network has just made."""
    on = FakeHost(*in_namespace())
    on.listings[shaping.IP] = "[]"
    found = part(on, SHAPE)
    assert found.difference().facts == {"without_port": ["lo"]}
    on.listings[shaping.TC], on.listings[shaping.IP] = in_namespace()
    found.apply()
    on.listings[shaping.TC], on.listings[shaping.IP] = in_namespace(*on.ran)
    found.verify()


def test_a_kernel_without_it_refuses_before_anything_is_touched(tmp_path: Path) -> None:
    on = FakeHost(*in_namespace())
    on.refuses = "Error: Specified qdisc kind is unknown."
    with pytest.raises(parts.RefusedError, match="shaping of lo is refused by this kernel or tc: Error: Specified"):
        part(on, SHAPE).judge(tmp_path)


def test_this_kernel_takes_it(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        found = part(FakeHost(*in_namespace()), SHAPE)
        found.host = host.Host()
        found.judge(tmp_path)


def test_a_filter_can_hang_on_neither_discipline() -> None:
    """What the audit takes for granted of both."""
    for parent in (shaping.ROOT, shaping.INNER):
        refused = f"tc filter add dev lo parent {parent} protocol ip prio 1 u32 match u32 0 0 action drop"
        in_namespace(*shaping.commands(SHAPE), ["sh", "-c", f"! {refused} 2>/dev/null"])


def test_a_site_shapes_what_it_sends_and_the_hub_what_it_sends_to_each_site() -> None:
    (wan, _inet) = channels.shapes(gateway("buoi-gw"), 60, 2)
    assert wan == {"port": "wan0", "bits": 20_000_000, "burst": 5000, "queue": 99, "overhead": 0}
    down = {shape["port"]: shape["bits"] for shape in channels.shapes(gateway("tay-ho-hub"), 60, 2)}
    assert down["buoi-wan"] == 20_000_000
    assert len(down) == 9
