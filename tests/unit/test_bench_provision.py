"""The plain baseline stays honest: whatever the shipped roles put on a host has a task there; and what is counted."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from bench import provision
from bench.callback.bench_count import counting
from wardnet.compile import compile_plan, to_plain
from wardnet.inventory import read_district

ROOT = Path(__file__).parents[2]
PLAIN = ROOT / "bench" / "plain"
SITE = ROOT / "playbooks" / "site.yml"
# Only for what no managed gateway of the sample has; the last test holds this to be true.
ABSENT = {
    "wan_routing": "bgp",
    "dialled_lines": "dialled",
    "drift_timer": "wardnet_checkout, which is no part of the inventory",
    "channel_ports/templates/etc/systemd/network/parent.network.j2": "parent",
    "channel_ports/templates/etc/systemd/network/parent.conf.j2": "parent",
    "channel_ports/templates/etc/systemd/network/vlan.netdev.j2": "parent",
    "channel_ports/templates/etc/systemd/network/vrf.netdev.j2": "vrf",
    "channel_ports/templates/etc/systemd/network/vrf.network.j2": "vrf",
}
SWITCHES = "access_switch"  # left out of both sides
NOT_ASKED = ("drift_timer", "publish_timer")  # only with wardnet_checkout, which no lab gives
WORKPLACES = "wardnet_workplaces and"  # false in the labs that are measured: their mirror has no desktop


def texts() -> str:
    return "\n".join(path.read_text() for path in sorted(PLAIN.rglob("*.yml")))


def roles_played(playbook: Path) -> set[str]:
    """The roles of a playbook and of those that it imports, with the roles that they depend on."""
    roles: set[str] = set()
    for play in yaml.safe_load(playbook.read_text()):
        if "ansible.builtin.import_playbook" in play:
            roles |= roles_played(playbook.parent / play["ansible.builtin.import_playbook"])
        roles |= {entry["role"] for entry in play.get("roles", [])}
    for role in list(roles):
        meta = yaml.safe_load((ROOT / "roles" / role / "meta" / "main.yml").read_text())
        roles |= {entry["role"] for entry in meta["dependencies"] if WORKPLACES not in str(entry.get("when"))}
    return roles


def test_each_template_of_a_shipped_role_is_a_task_of_the_baseline() -> None:
    played = roles_played(SITE)
    assert played >= {"base", "zone_firewall", "hub_router", "wan_channel", "kept_clock", "probe_agent", SWITCHES}
    shipped = {
        str(path.relative_to(ROOT / "roles"))
        for role in {*played, "channel_ports"}
        for path in (ROOT / "roles" / role).glob("templates/**/*.j2")
    }
    left_out = {
        name
        for name in shipped
        if name.split("/")[0] in ABSENT or name in ABSENT or name.startswith((SWITCHES, *NOT_ASKED))
    }
    rendered = set(re.findall(r"\{\{ plain_shipped \}\}/(\S+\.j2)", texts()))
    assert shipped - left_out - rendered == set()
    assert [name for name in rendered if not (ROOT / "roles" / name).is_file()] == []


def test_each_file_with_given_content_is_one_too() -> None:
    given = set(re.findall(r"\{path: (/\S+), content:", (ROOT / "roles" / "base" / "vars" / "main.yml").read_text()))
    assert given
    assert [path for path in given if f"dest: {path}\n" not in texts()] == []


def test_the_baseline_runs_under_stock_settings() -> None:
    """Only where things are found is set: no forks, no pipelining, no strategy, no gathering."""
    settings = re.findall(r"(?m)^(\w+) =", (PLAIN / "ansible.cfg").read_text())
    assert settings == ["inventory_plugins", "filter_plugins", "roles_path", "enable_plugins"]
    for play in yaml.safe_load((PLAIN / "site.yml").read_text()):
        assert set(play) == {"name", "hosts", "vars_files", "roles"}


def test_what_the_baseline_leaves_out_no_gateway_of_the_sample_has() -> None:
    plan = compile_plan(read_district(ROOT / "inventory" / "tay-ho"), date(2026, 11, 24))
    for gateway in plan.gateways:
        if not gateway.managed:
            continue
        plain = to_plain(gateway)
        assert not plain["bgp"], gateway.id
        assert not plain["vrfs"], gateway.id
        assert not any(port["parent"] or port["dialled"] for port in plain["ports"]), gateway.id


def test_module_runs_on_hosts_are_counted_and_those_on_the_controller_are_not(tmp_path: Path) -> None:
    path = tmp_path / "modules"

    def action(transport: str) -> Any:
        task = SimpleNamespace(action="ansible.builtin.template")
        context = SimpleNamespace(remote_addr="192.0.2.1")
        return SimpleNamespace(_connection=SimpleNamespace(transport=transport), _task=task, _play_context=context)

    run = counting(lambda _action, *_more, **_named: "done", path)
    assert run(action("ssh"), "ansible.legacy.stat", task_vars={"inventory_hostname": "buoi-gw"}) == "done"
    assert run(action("local"), module_name="ansible.legacy.stat") == "done"
    assert run(action("ssh")) == "done"
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"host": "buoi-gw", "module": "ansible.legacy.stat"},
        {"host": "192.0.2.1", "module": "ansible.builtin.template"},
    ]


def test_a_size_that_was_measured_before_stays_in_the_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provision, "RESULTS", tmp_path / "provision.json")
    record = provision.Record("no-op converge, 2 wards", 5, 50, 0.1, 0.2, True, "s", 3, provision.COMMAND)
    provision.save([record])
    provision.save([replace(record, what="no-op converge, 8 wards")])
    provision.save([replace(record, ours=6)])
    kept = {entry["what"]: entry["ours"] for entry in json.loads(provision.RESULTS.read_text())}
    assert kept == {"no-op converge, 2 wards": 6, "no-op converge, 8 wards": 5}


def test_the_counting_callback_comes_beside_those_that_are_shipped() -> None:
    shipped = dict(word.split("=", 1) for word in provision.callbacks(ROOT / "ansible.cfg"))
    assert shipped["ANSIBLE_CALLBACKS_ENABLED"] == "wardnet_journal,bench_count"
    assert str(ROOT / "plugins" / "callback") in shipped["ANSIBLE_CALLBACK_PLUGINS"].split(":")
    plain = dict(word.split("=", 1) for word in provision.callbacks(PLAIN / "ansible.cfg"))
    assert plain["ANSIBLE_CALLBACKS_ENABLED"] == "bench_count"


def test_what_is_known_before_the_baseline_ran_stands_alone_and_is_held_to_no_budget() -> None:
    mine = provision.Run(10, 2, Counter({"buoi-gw": 1}), frozenset(), "")
    theirs = provision.Run(100, 20, Counter({"buoi-gw": 100}), frozenset(), "")
    ours = provision.Measured(mine, [mine])
    alone = {record.what: record for record in provision.compared(2, "buoi-gw", ours, provision.Measured(None, []))}
    assert {(record.peer, record.ratio, record.met) for record in alone.values()} == {(None, None, None)}
    both = {
        record.what: record for record in provision.compared(2, "buoi-gw", ours, provision.Measured(None, [theirs]))
    }
    assert (both["no-op converge, 2 wards"].ratio, both["no-op converge, 2 wards"].met) == (0.1, True)
    assert both["module runs on one gateway, no-op converge, 2 wards"].peer == 100
    assert both["first converge, 2 wards"].peer is None
    assert set(both) == set(alone)


def test_what_a_run_changed_is_named_by_its_task() -> None:
    said = "TASK [base : Bound the journal] ***", "ok: [a]", "changed: [b]", "", "RUNNING HANDLER [base : Restart] ***"
    output = "\n".join((*said, "changed: [b]"))
    assert list(provision.changes(output)) == ["base : Bound the journal: [b]", "base : Restart: [b]"]


@pytest.mark.parametrize(("met", "status", "said"), [(True, 0, "met"), (False, 1, "MISSED"), (None, 0, "")])
def test_a_missed_budget_is_no_success(
    met: bool | None, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = None if met is None else 0.5
    record = provision.Record("a no-op", 1.0, None, None, budget, met, "s", 1, "")
    monkeypatch.setattr(provision, "size", lambda *_more: [[record]])
    monkeypatch.setattr(provision, "save", lambda _found: None)
    monkeypatch.setattr(provision.subprocess, "run", lambda *_words, **_more: None)
    monkeypatch.setattr("sys.argv", ["provision", "--wards", "2"])
    assert provision.main() == status
    out = capsys.readouterr().out
    assert "a no-op: 1.0 s" in out
    assert said in out


def test_handlers_of_one_name_do_the_same() -> None:
    """Ansible runs the last one that has the name, whichever role's it is."""
    known: dict[str, object] = {}
    for path in sorted(PLAIN.glob("roles/*/handlers/main.yml")):
        for handler in yaml.safe_load(path.read_text()):
            assert known.setdefault(handler["name"], handler) == handler, f"{path}: {handler['name']}"
