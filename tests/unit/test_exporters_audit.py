"""The audit exporter, fed with the audit's own JSON: whole, narrowed, cut off, changed by hand, and none of it."""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from exporters.audit import AHEAD_SECONDS, Figures, Shelf, families, main
from exporters.verdicts import FORMAT, DamagedFileError, ForeignFileError, parse_audit
from tests.unit.monitoring_support import Gateway, Line, free_port, prometheus, served
from tests.unit.standing_support import ask, exporting
from tests.unit.test_audit_command import audit, snapshot
from tests.unit.test_audit_gateway import forwarding_leak
from wardnet.audit import report

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture(scope="module", name="results")
def audited(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What `wardnet audit -o` wrote: of the whole district with a leak in buoi, and of buoi alone, without it."""
    folder = tmp_path_factory.mktemp("audited")
    where = {name: folder / name for name in ("leak", "buoi")}
    for path in where.values():
        path.mkdir()
    assert audit(snapshot(where["leak"], forwarding_leak()), "-o", folder / "leak.json").exit_code == 1
    assert audit(snapshot(where["buoi"]), "--ward", "buoi", "-o", folder / "buoi.json").exit_code == 0
    return {name: (folder / f"{name}.json").read_bytes() for name in where}


def changed(content: bytes, change: Change) -> bytes:
    data = json.loads(content)
    change(data)
    return json.dumps(data).encode()


def dated(content: bytes, at: str) -> bytes:
    return changed(content, lambda data: data.update(as_of=at))


def samples(figures: Figures) -> dict[tuple[str, ...], float]:
    return {
        (sample.name.removeprefix("wardnet_audit_"), *sample.labels.values()): sample.value
        for family in families(figures)
        for sample in family.samples
    }


def test_the_format_is_the_audits() -> None:
    assert FORMAT == report.FORMAT


def test_the_audits_own_json_gives_the_figures_of_each_ward(results: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "today.json").write_bytes(results["leak"])
    record = json.loads(results["leak"])
    told = samples(Shelf(tmp_path).read())
    assert told["verdict", "buoi", "violated"] == told["verdict", "nhat-tan", "unknown"] == 1.0
    assert ("verdict", "buoi", "proved") not in told
    (buoi,) = [device for device in record["devices"] if device["device"] == "buoi-gw"]
    leaks = [crossing for crossing in buoi["crossings"] if crossing["verdict"] == "violated"]
    for what in ("channels", "zones"):
        assert told["leaks", "buoi", what] == sum(crossing["crosses"] == what for crossing in leaks)
        assert told["leaks", "nhat-tan", what] == 0.0
    assert told["leaks", "buoi", "channels"] > 0
    for treatment in ("modelled", "irrelevant", "unknown"):
        of_devices = [d for d in record["devices"] if d["ward"] == "buoi"]
        assert told["items", "buoi", treatment] == sum(c[treatment] for d in of_devices for c in d["coverage"])
    assert told["unknowns", "nhat-tan", "problem"] == 1.0
    assert told["devices", "nhat-tan", "missing"] == 1.0
    assert told["devices", "buoi", "read"] == 1.0
    directions = {key[2:] for key in told if key[:2] == ("direction_verdict", "buoi")}
    assert directions == {
        (entry["from"], entry["to"], entry["family"], entry["verdict"])
        for entry in record["matrix"]
        if entry["ward"] == "buoi"
    }
    assert ("internet", "wan", "ipv4", "violated") in directions
    assert abs(told["snapshot_timestamp_seconds", "buoi"] - time.time()) < 3600
    assert told["info", record["version"], record["snapshot_sha256"], record["model_sha256"]] == 1.0
    assert told["network_verdict", record["network"]["verdict"]] == 1.0
    assert [told["files", state] for state in ("read", "foreign", "damaged")] == [1.0, 0.0, 0.0]


def test_a_way_between_zones_of_one_channel_is_a_leak_of_another_kind(results: dict[str, bytes]) -> None:
    def within(data: dict[str, Any]) -> None:
        for device in data["devices"]:
            for crossing in device["crossings"]:
                crossing["to_channel"] = crossing["from_channel"]

    before, after = (
        parse_audit(content).wards["buoi"] for content in (results["leak"], changed(results["leak"], within))
    )
    assert after.leaks == {"channels": 0, "zones": sum(before.leaks.values())}
    assert after.verdict == "violated"


def test_a_narrowed_audit_counts_for_its_wards_and_the_newest_snapshot_wins(
    results: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "whole.json").write_bytes(dated(results["leak"], "2026-11-20T08:00:00+07:00"))
    (tmp_path / "buoi.json").write_bytes(dated(results["buoi"], "2026-11-21T08:00:00+07:00"))
    shelf = Shelf(tmp_path)
    told = samples(shelf.read())
    assert told["verdict", "buoi", "proved"] == told["verdict", "nhat-tan", "unknown"] == 1.0
    assert told["snapshot_timestamp_seconds", "buoi"] - told["snapshot_timestamp_seconds", "nhat-tan"] == 86400
    # Written last, of an older snapshot: it tells nothing new.
    (tmp_path / "again.json").write_bytes(dated(results["buoi"], "2026-11-01T08:00:00+07:00"))
    assert samples(shelf.read())["snapshot_timestamp_seconds", "buoi"] == told["snapshot_timestamp_seconds", "buoi"]
    # A newer audit of all wards says which wards there are.

    def without_nhat_tan(data: dict[str, Any]) -> None:
        data["as_of"] = "2026-11-22T08:00:00+07:00"
        data["devices"] = [device for device in data["devices"] if device["ward"] != "nhat-tan"]
        data["matrix"] = [entry for entry in data["matrix"] if entry["ward"] != "nhat-tan"]

    (tmp_path / "newer.json").write_bytes(changed(results["leak"], without_nhat_tan))
    told = samples(shelf.read())
    assert told["verdict", "buoi", "violated"] == 1.0
    assert ("leaks", "nhat-tan", "channels") not in told


def test_what_was_good_stays_when_a_file_is_overwritten_with_half_of_it(
    results: dict[str, bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "audit.json"
    path.write_bytes(results["leak"])
    shelf = Shelf(tmp_path)
    before = samples(shelf.read())
    path.write_bytes(results["leak"][: len(results["leak"]) // 2])
    with caplog.at_level(logging.ERROR):
        told = samples(shelf.read())
        shelf.read()
    assert {**told, ("files", "read"): 1.0, ("files", "damaged"): 0.0} == before
    assert told["files", "damaged"] == 1.0
    (said,) = caplog.messages
    assert said.startswith(f"{path}: damaged: no JSON, or not all of it")
    path.write_bytes(results["buoi"])
    assert samples(shelf.read())["verdict", "buoi", "proved"] == 1.0
    path.unlink()
    assert samples(shelf.read()) == {("files", "read"): 0.0, ("files", "foreign"): 0.0, ("files", "damaged"): 0.0}


@pytest.mark.parametrize(
    "content",
    [b'{"alerts": []}', b"[]", b"7", b'{"format": 2, "verdict": "proved", "devices": []}'],
    ids=["other JSON", "a list", "a number", "another format"],
)
def test_a_foreign_file_is_told_as_one(content: bytes) -> None:
    with pytest.raises(ForeignFileError):
        parse_audit(content)


def the_device(data: dict[str, Any]) -> dict[str, Any]:
    (device,) = data["devices"]
    assert isinstance(device, dict)
    return device


DAMAGE: dict[str, Change] = {
    "no device": lambda data: data.update(devices=[], matrix=[]),
    "a verdict of no kind": lambda data: data.update(verdict="fine"),
    "a device is worse than the whole": lambda data: the_device(data).update(verdict="violated"),
    "a pair is worse than its device": lambda data: the_device(data)["pairs"][0].update(verdict="unknown"),
    "a problem in a proved device": lambda data: the_device(data)["problems"].append({}),
    "a network that is worse": lambda data: data.update(network={"verdict": "violated", "cells": []}),
    "a network that is better than a part of it": lambda data: data.update(
        network={"verdict": "proved", "cells": [{"verdict": "unknown"}]}
    ),
    "a crossing in a proved device": lambda data: the_device(data)["crossings"].append({"verdict": "violated"}),
    "a direction is worse": lambda data: data["matrix"][0].update(verdict="violated"),
    "a direction of no ward here": lambda data: data["matrix"][0].update(ward="elsewhere"),
    "no coverage": lambda data: the_device(data).pop("coverage"),
    "less than no items": lambda data: the_device(data)["coverage"][0].update(modelled=-1),
    "no time": lambda data: data.update(as_of="yesterday"),
    "a time of nowhere": lambda data: data.update(as_of="2026-11-24T08:00:00"),
    "a ward of two lines": lambda data: the_device(data).update(ward="a\nb"),
    "wards as a text": lambda data: data.update(wards="buoi"),
    "devices as a number": lambda data: data.update(devices=3),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_result_that_was_changed_by_hand_is_damaged(results: dict[str, bytes], name: str) -> None:
    with pytest.raises(DamagedFileError):
        parse_audit(changed(results["buoi"], DAMAGE[name]))


def test_every_beginning_of_a_result_is_damaged(results: dict[str, bytes]) -> None:
    whole = results["buoi"].rstrip()
    for end in range(0, len(whole), max(1, len(whole) // 300)):
        with pytest.raises(DamagedFileError):
            parse_audit(whole[:end])
    with pytest.raises(DamagedFileError):
        parse_audit(b"[" * 200_000)


def test_other_districts_and_days_to_come_do_not_count(results: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "here.json").write_bytes(dated(results["buoi"], "2026-11-20T00:00:00+00:00"))
    (tmp_path / "there.json").write_bytes(changed(results["leak"], lambda data: data.update(district="elsewhere")))
    now = 1_796_000_000.0
    figures = Shelf(tmp_path, json.loads(results["buoi"])["district"], lambda: now).read()
    assert set(figures.wards) == {"buoi"}
    assert figures.files == {"read": 1, "foreign": 1, "damaged": 0}
    early = Shelf(tmp_path, clock=lambda: 1_763_600_000.0 - AHEAD_SECONDS).read()
    assert early.files["damaged"] == 2
    assert early.wards == {}


def test_hidden_names_folders_pipes_and_unreadable_files_do_no_harm(results: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / ".half.json").write_bytes(results["leak"][:100])
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "nowhere.json").symlink_to(tmp_path / "nothing")
    (tmp_path / "good.json").write_bytes(results["buoi"])
    figures = Shelf(tmp_path).read()
    assert figures.files == {"read": 1, "foreign": 0, "damaged": 0}
    assert Shelf(tmp_path / "not there").read() == Figures()


def eventually(port: int, wanted: str) -> str:
    deadline = time.monotonic() + 120
    while True:
        page = ask(port, "/metrics")[1]
        if wanted in page:
            return page
        assert time.monotonic() < deadline, page
        time.sleep(0.1)


def test_a_scrape_tells_what_was_read_last_and_new_files_are_found(results: dict[str, bytes], tmp_path: Path) -> None:
    with exporting("exporters.audit", tmp_path, "--look", "0.2") as port:
        page = eventually(port, 'wardnet_audit_files{state="read"} 0.0')
        assert not re.search(r"^wardnet_audit_verdict\{", page, re.MULTILINE)
        (tmp_path / "audit.json").write_bytes(results["leak"])
        page = eventually(port, 'wardnet_audit_verdict{verdict="violated",ward="buoi"} 1.0')
        assert (
            'wardnet_audit_direction_verdict{family="ipv4",from="internet",to="wan",verdict="violated",ward="buoi"} 1.0'
            in page
        )
        (tmp_path / "audit.json").write_bytes(b'{"half')
        page = eventually(port, 'wardnet_audit_files{state="damaged"} 1.0')
        assert 'wardnet_audit_verdict{verdict="violated",ward="buoi"} 1.0' in page
        assert ask(port, "/")[0] == 404
        assert ask(port, "/metrics", "POST")[0] == 405


def test_bad_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen", "nowhere"]) == 1
    with pytest.raises(SystemExit):
        main(["--look", "0"])
    assert "--look" in capsys.readouterr().err


@pytest.mark.long
def test_the_board_shows_what_the_last_audit_found(results: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_bytes(results["leak"])
    gateways = [Gateway("buoi", "Phường Bưởi", {"wan": Line(), "internet": Line()})]
    with (
        exporting("exporters.audit", tmp_path, "--look", "0.2") as audit_port,
        served(gateways) as port,
        prometheus(gateways, port, free_port(), controller={"wardnet-audit": audit_port}) as url,
    ):
        deadline = time.monotonic() + 300
        while True:
            page = unescape(ask(int(url.rsplit(":", 1)[1]), "/consoles/index.html")[1])
            told = page.rpartition("<h2>Tách kênh")[2]
            if "Bị vi phạm" in told and "Phường Bưởi" in told:
                break
            assert time.monotonic() < deadline, page[-3000:]
            time.sleep(0.5)
        assert "{{" not in page
        row = told[told.index("Phường Bưởi") : told.index("</tr>", told.index("Phường Bưởi"))]
        assert "✖ Internet → WAN ipv4" in row
        assert "Chưa rõ" in told
