"""Compiling is repeatable to the byte, and says what it was compiled from."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from datetime import date, timedelta

import pytest

from tests.unit.compile_support import DAY, INVENTORY, changed, files, sample, sample_plan
from wardnet.compile import (
    compile_agent,
    compile_hosts,
    compile_plan,
    compile_policy,
    compile_targets,
    compile_validity,
    to_json,
    to_plain,
)
from wardnet.inventory import parse_district, read_district
from wardnet.model.intent import District

# Prints one hash over all that is compiled, from a process of its own.
HASH_ALL = """
import hashlib, sys
from datetime import date
from pathlib import Path
from wardnet.compile import *
from wardnet.inventory import read_district
district = read_district(Path(sys.argv[1]))
plan = compile_plan(district, date.fromisoformat(sys.argv[2]))
agents = [compile_agent(district, plan, gateway.id) for gateway in plan.gateways]
compilers = (compile_hosts, compile_targets, compile_policy, compile_validity)
compiled = [plan, *(compiler(district, plan) for compiler in compilers)]
print(hashlib.sha256("".join(map(to_json, compiled + agents)).encode()).hexdigest())
"""


def everything(district: District, day: date) -> list[str]:
    plan = compile_plan(district, day)
    agents = [compile_agent(district, plan, gateway.id) for gateway in plan.gateways]
    compilers = (compile_hosts, compile_targets, compile_policy, compile_validity)
    compiled = [plan, *(compiler(district, plan) for compiler in compilers)]
    return [to_json(each) for each in (*compiled, *agents)]


def test_compiling_twice_gives_the_same_bytes() -> None:
    assert everything(read_district(INVENTORY), DAY) == everything(read_district(INVENTORY), DAY)


def test_the_order_of_the_files_does_not_matter() -> None:
    backwards = dict(reversed(files().items()))
    assert everything(parse_district(backwards), DAY) == everything(sample(), DAY)


@pytest.mark.long
def test_no_hash_seed_changes_a_byte() -> None:
    seen = set()
    for seed in ("0", "1", "4242"):
        command = [sys.executable, "-c", HASH_ALL, str(INVENTORY), DAY.isoformat()]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        seen.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    expected = hashlib.sha256("".join(everything(sample(), DAY)).encode()).hexdigest()
    assert seen == {f"{expected}\n"}


def test_the_model_hash_follows_what_is_valid_and_where_it_is_written() -> None:
    plan = sample_plan()
    assert len(plan.model_sha256) == 64
    assert compile_plan(sample(), DAY + timedelta(days=1)).model_sha256 == plan.model_sha256
    after_the_exception = DAY + timedelta(days=800)
    assert compile_plan(sample(), after_the_exception).model_sha256 != plan.model_sha256
    reworded = changed("wards/buoi.yml", ("# Ward Bưởi", "# The ward Bưởi"))
    assert compile_plan(reworded, DAY).model_sha256 == plan.model_sha256
    moved = changed("wards/buoi.yml", ("# Ward Bưởi", "# Written by hand\n# Ward Bưởi"))
    assert compile_plan(moved, DAY).model_sha256 != plan.model_sha256
    renamed = changed("wards/buoi.yml", ("name: Bưởi", "name: Phường Bưởi"))
    assert compile_plan(renamed, DAY).model_sha256 != plan.model_sha256


def test_everything_that_is_generated_carries_the_model_hash() -> None:
    district, plan = sample(), sample_plan()
    assert compile_hosts(district, plan)["vars"]["wardnet_model_sha256"] == plan.model_sha256
    assert compile_agent(district, plan, "buoi-gw")["model_sha256"] == plan.model_sha256
    assert compile_policy(district, plan).model_sha256 == plan.model_sha256


def test_json_is_sorted_and_keeps_vietnamese_letters() -> None:
    text = to_json({"b": "Bưởi", "a": [1, None, True]})
    assert text == '{\n  "a": [\n    1,\n    null,\n    true\n  ],\n  "b": "Bưởi"\n}\n'


def test_what_has_no_plain_form_is_refused() -> None:
    with pytest.raises(TypeError, match="no plain form for set"):
        to_plain({"ports": {1, 2}})
