"""The ports of PCs by files of their own: the record that part `network` holds them to, and what goes beside them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from tests.unit.compile_support import sample_plan
from tests.unit.plugins_support import ROOT, load
from wardnet.compile import to_plain

bundle = load("module_utils", "wardnet_bundle")
channels = load("filter", "wardnet_channels")
intents = load("module_utils", "wardnet_intent")
kernel = load("module_utils", "wardnet_kernel")
words = load("module_utils", "wardnet_ip_words")
workplaces = load("filter", "wardnet_workplaces")

PC: dict[str, Any] = to_plain(sample_plan().host("buoi-pc-1"))
RECORD: dict[str, Any] = workplaces.host_ports(PC)
INTENT = intents.read_intent(RECORD, "wan", True)
TASKS = yaml.safe_load((ROOT / "roles" / "device_policy" / "tasks" / "main.yml").read_text())


def right() -> Any:
    carrier = frozenset({"eth0", "lo"})
    return kernel.Running(INTENT.addresses, frozenset(), INTENT.known_routes, INTENT.known_rules, carrier)


def test_a_pc_has_its_addresses_and_one_default_route_a_family_in_the_main_table() -> None:
    assert {str(address) for address in INTENT.addresses} == {
        "address 10.20.1.11/24 on eth0", "address fd20:20:1::11/64 on eth0",
    }  # fmt: skip
    assert {(route.destination, route.via, route.table) for route in INTENT.routes} == {
        ("10.20.1.0/24", "", 254), ("0.0.0.0/0", "10.20.1.1", 254),
        ("fd20:20:1::/64", "", 254), ("::/0", "fd20:20:1::1", 254),
    }  # fmt: skip
    assert not intents.compare(right(), INTENT)


def test_a_second_port_brings_no_second_way_out() -> None:
    second = {**PC["ports"][0], "name": "eth1", "ipv4": "10.20.2.11/24", "ipv6": "fd20:20:2::11/64"}
    record = workplaces.host_ports({**PC, "ports": [*PC["ports"], second]})
    ways = [route["port"] for table in record["tables"] for route in table["routes"] if route["kind"] == "via"]
    assert ways == ["eth0", "eth0"]


def test_what_the_installation_brought_up_is_taken_over_and_could_come_back_as_it_was() -> None:
    """The kernel's own route to the link goes with the installation's address, the old way out for the new one."""
    own = frozenset(replace(address, own_route=True) for address in INTENT.addresses)
    plain = {4: 0, 6: 1024}
    by_kernel = {replace(r, metric=256 if r.family == 6 else 0, protocol="2") for r in INTENT.routes if not r.via}
    by_hand = {replace(r, metric=plain[r.family], protocol="4") for r in INTENT.routes if r.via}
    running = replace(right(), addresses=own, routes=frozenset(by_kernel | by_hand))
    difference = intents.compare(running, INTENT)
    assert set(difference.missing) == {*INTENT.addresses, *INTENT.routes}
    assert set(difference.foreign) == {*own, *by_kernel, *by_hand}
    assert all(words.is_exact(item) for item in difference.foreign), "else the way back would be refused"
    assert set(difference.in_the_way) == own


@pytest.mark.parametrize("address", ["10.20.1.77/24", "172.20.1.77/24"])
def test_an_address_that_somebody_added_is_foreign(address: str) -> None:
    added = kernel.Address("eth0", address)
    elsewhere = kernel.Address("usb0", address)
    running = replace(right(), addresses=INTENT.addresses | {added, elsewhere})
    assert set(intents.compare(running, INTENT).foreign) == {added, elsewhere}


def test_networkd_is_told_the_same() -> None:
    folder = ROOT / "roles" / "channel_ports" / "templates" / "etc" / "systemd" / "network"
    environment = jinja2.Environment(  # noqa: S701 - the output is networkd's language
        loader=jinja2.FileSystemLoader(folder), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(channels.FilterModule().filters())
    text = environment.get_template("port.network.j2").render(
        channel_ports_gateway=RECORD, channel_ports_channel="wan", item=RECORD["ports"][0],
        __channel_ports_tables=RECORD["tables"],
    )  # fmt: skip
    for line in ("Name=eth0", "Address=10.20.1.11/24", "Address=fd20:20:1::11/64", "Gateway=10.20.1.1",
                 "Gateway=fd20:20:1::1", "Table=254", "IPv6AcceptRA=no", "DHCP=no"):  # fmt: skip
        assert line in text.splitlines(), line
    assert channels.devices(RECORD, "wan") == channels.vlans(RECORD, "wan") == channels.parents(RECORD, "wan") == []


def test_the_ports_files_come_in_a_guarded_part_and_hold_the_whole_folder() -> None:
    task = TASKS[0]
    assert task["ansible.builtin.import_role"] == {"name": "channel_ports"}
    assert task["vars"]["channel_ports_hold_main"] is True
    step = yaml.safe_load((ROOT / "roles" / "channel_ports" / "tasks" / "main.yml").read_text())[0]
    assert step["wardnet_candidate"]["part"] == "network"


def test_rules_and_modules_that_nobody_brought_go_and_those_of_packages_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = next(task["wardnet_candidate"] for task in TASKS if "wardnet_candidate" in task)
    lent = [item for item in step["directories"] if item.get("lent")]
    assert [(item["path"], item["purge"]) for item in lent] == [
        ("/etc/udev/rules.d", ["*.rules"]),
        ("/etc/modprobe.d", ["*.conf"]),
    ]
    for name in ("50-stick.rules", "60-of-a-package.rules", "90-wardnet-devices.rules", "README"):
        (tmp_path / name).write_text("")
    of_package = frozenset({tmp_path / "60-of-a-package.rules"})
    monkeypatch.setattr(bundle, "brought_by_packages", lambda paths: of_package & set(paths))
    files = [{"path": f"{tmp_path}/90-wardnet-devices.rules", "content": ""}]
    made = bundle.read_bundle(files, [{**lent[0], "path": str(tmp_path)}], True)
    removed = [(change.path.name, change.tag) for change in made.changes() if change.kind == "remove"]
    assert removed == [("50-stick.rules", "rules")], "and udev reads its rules again"
