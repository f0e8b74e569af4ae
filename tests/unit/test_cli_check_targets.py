"""The commands check and targets, as a user types them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from wardnet.inventory import InventoryErrors, Problem
from wardnet.live.discovery import discovery_server

INVENTORY = Path(__file__).parents[2] / "inventory" / "tay-ho"


def wardnet(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wardnet.cli.main", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    return Path(shutil.copytree(INVENTORY, tmp_path / "district"))


def test_check_of_the_sample_names_what_is_not_managed() -> None:
    result = wardnet("check", INVENTORY)
    assert result.returncode == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "8 wards, 12 sites" in text
    assert "os windows is set up by hand, as docs/how-to/windows.md says: nhat-tan-pc-3" in text
    assert "the provider's own box: nobody here configures it: nhat-tan-building-gw" in text
    assert re.search(r"pulled, since they have only the internet: buoi-building-gw, .*buoi-citizen-1", text)


def test_check_prints_all_errors_with_file_and_line_and_exits_1(inventory: Path) -> None:
    for ward, wrong in (("buoi", "vlan: 5000"), ("xuan-la", "vlan: 1")):
        path = inventory / "wards" / f"{ward}.yml"
        path.write_text(path.read_text().replace("vlan: 10,", f"{wrong},"))
    result = wardnet("check", inventory)
    assert result.returncode == 1
    lines = result.stderr.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["wards/buoi.yml", "wards/xuan-la.yml"]
    assert "2 errors" in lines[2]


def test_an_expired_exception_is_a_warning(inventory: Path) -> None:
    result = wardnet("check", inventory, "--as-of", "2028-01-01")
    assert result.returncode == 0
    assert "exception 'buoi-resident-scan' expired on 2027-12-31" in result.stderr


def test_an_office_whose_line_has_ended_is_an_error_of_the_day(inventory: Path) -> None:
    path = inventory / "wards" / "xuan-la.yml"
    path.write_text(
        path.read_text().replace("provider: Provider A", "provider: Provider A\n        valid_to: 2026-11-29", 1)
    )
    result = wardnet("check", inventory, "--as-of", "2026-11-30")
    assert (result.returncode, result.stdout) == (1, "")
    assert "wards/xuan-la.yml:9: ward_office 'xuan-la-office' has no circuit on channel 'wan' any more" in result.stderr
    assert "1 error in" in result.stderr
    result = wardnet("check", inventory, "--as-of", "2026-11-29")
    assert result.returncode == 0
    assert "circuit 'xuan-la-wan' ends on 2026-11-29, and none follows it (0 days are left)" in result.stderr


def test_a_day_that_is_none_is_a_usage_error(inventory: Path) -> None:
    result = wardnet("check", inventory, "--as-of", "yesterday")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'yesterday' is not a day" in result.stderr


# Two for each gateway of a site, one for each clerk's PC with Linux, and the controller's two.
GROUPS = 2 * 9 + 26 + 2


def test_targets_are_one_group_a_gateway_and_job_and_one_a_pc() -> None:
    result = wardnet("targets", "-i", INVENTORY)
    groups = json.loads(result.stdout)
    assert len(groups) == GROUPS
    buoi = [group for group in groups if group["labels"].get("gateway") == "buoi-gw"]
    assert [group["targets"] for group in buoi] == [["10.30.1.1:9807"], ["10.30.1.1:9808"]]
    assert all("://" not in value for group in groups for value in group["labels"].values())


def test_targets_file_is_replaced_whole(inventory: Path, tmp_path: Path) -> None:
    output = tmp_path / "targets.json"
    output.write_text("old")
    assert wardnet("targets", "-i", inventory, "-o", output).returncode == 0
    assert len(json.loads(output.read_text())) == GROUPS
    (inventory / "district.yml").write_text("id: [")
    assert wardnet("targets", "-i", inventory, "-o", output).returncode == 1
    assert len(json.loads(output.read_text())) == GROUPS  # a broken inventory takes no target away
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_served_targets_follow_the_inventory_and_a_broken_one_is_an_error() -> None:
    answers: list[str | InventoryErrors] = ["[1]\n", InventoryErrors([Problem("district.yml", 3, "wrong")])]

    def compiled() -> str:
        answer = answers.pop(0)
        if isinstance(answer, InventoryErrors):
            raise answer
        return answer

    with discovery_server("127.0.0.1", 0, compiled) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with urllib.request.urlopen(f"{url}/targets", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("application/json")
            assert answer.read() == b"[1]\n"
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/targets", timeout=5)
        assert refused.value.code == 500
        assert b"district.yml:3: wrong" in refused.value.read()
        with pytest.raises(urllib.error.HTTPError) as missing:
            urllib.request.urlopen(f"{url}/elsewhere", timeout=5)
        assert missing.value.code == 404
        server.shutdown()


@pytest.mark.parametrize("listen", ["9809", "127.0.0.1:0", "127.0.0.1:99999", ":80", "host:port"])
def test_an_address_that_is_none_is_a_usage_error(listen: str) -> None:
    result = wardnet("targets", "-i", INVENTORY, "--listen", listen)
    assert result.returncode == 2
    assert "is not an address and port" in result.stderr


def test_checking_needs_neither_solver_nor_ssh() -> None:
    code = (
        "import sys; sys.argv = ['wardnet', 'check', sys.argv[1]]\n"
        "for name in ('dd', 'paramiko', 'prometheus_client'): sys.modules[name] = None\n"
        "from wardnet.cli.main import app; app()"
    )
    result = subprocess.run([sys.executable, "-c", code, str(INVENTORY)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
