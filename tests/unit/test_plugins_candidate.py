"""Steps are gathered on the controller, and committed and confirmed on a host, through Ansible itself. The host is a
module that plays a script: what it is sent and what it answers is all that the controller sees of one."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.plugins_support import ansible, commit_options

pytestmark = pytest.mark.long

HOST = """\
#!/usr/bin/python
import json
import os
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule
names = {names!r}
module = AnsibleModule({{name: {{"type": "raw", "no_log": False}} for name in names}}, supports_check_mode=True)
folder = Path({folder!r})
answers = json.loads((folder / "answers.json").read_text())
number = len(list(folder.glob("sent-*.json")))
(folder / f"sent-{{number}}.json").write_text(json.dumps({{**module.params, "check": module.check_mode}}))
answer = {{"changed": False, **answers[min(number, len(answers) - 1)]}}
if answer.get("killed"):
    os.kill(os.getpid(), 9)
(module.fail_json if answer.pop("failed", False) else module.exit_json)(**answer)
"""
ARMED = {"changed": True, "armed": True, "token": "t", "goes_back_within": 2, "actions": ["reload ssh.service"]}
GONE = {"failed": True, "taken_back": True, "msg": "the change was not confirmed in time"}
BACK = {"last_rollback": {"run": "r", "why": "nobody confirmed", "failed": []}}
OTHER = {"last_rollback": {"run": "another", "why": "long ago", "failed": []}}


class Played:
    """A play with one host, run in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "templates").mkdir()
        (folder / "library").mkdir()
        (folder / "library" / "wardnet_commit.py").write_text(HOST.format(folder=str(folder), names=commit_options()))

    def run(
        self,
        *plays: list[dict[str, Any]],
        answers: list[dict[str, Any]] | None = None,
        ok: bool = True,
        **environment: str,
    ) -> str:
        text = [
            {"hosts": "buoi-gw", "connection": "local", "vars": {"wardnet_ward": "buoi"}, "tasks": tasks}
            for tasks in plays
        ]
        (self.folder / "play.yml").write_text(yaml.safe_dump(text, sort_keys=False))
        (self.folder / "answers.json").write_text(json.dumps(answers or [{}]))
        library = str(self.folder / "library")
        done = ansible(
            "ansible-playbook", "-i", "buoi-gw,", self.folder / "play.yml", ANSIBLE_LIBRARY=library,
            WARDNET_RUNS=str(self.folder / "runs"), ANSIBLE_CALLBACK_RESULT_FORMAT="json",
            **environment,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert (done.returncode == 0) is ok, said
        return " ".join(said.split())

    def sent(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.folder.glob("sent-*.json"))]


@pytest.fixture
def played(tmp_path: Path) -> Played:
    return Played(tmp_path)


def add(**step: Any) -> dict[str, Any]:
    return {"wardnet_candidate": step}


COMMIT = {"wardnet_commit": {"run": "r", "who": "lan@district", "confirm_within": 2}}
MOTD = add(part="files", files=[{"path": "/etc/motd", "content": "hello"}])


def test_steps_are_rendered_gathered_and_sent_once(played: Played) -> None:
    (played.folder / "templates" / "port.j2").write_text("{% if item.up %}\nup {{ inventory_hostname }}\n{% endif %}\n")
    ports = [{"name": "wan0", "up": True}, {"name": "clerks0", "up": False}]
    network = add(part="network", network={"channel": "wan"}, units=[],
                  files=[{"path": "/etc/net/{name}", "template": "port.j2", "each": ports}])  # fmt: skip
    played.run([MOTD, network, COMMIT], answers=[{"changed": True, "armed": False}])
    [sent] = played.sent()
    motd, ports_step = sent["steps"]
    assert motd == {"role": "the play", "part": "files", "files": [{"path": "/etc/motd", "content": "hello"}]}
    assert ports_step["network"] == {"channel": "wan"}
    assert [(file["path"], file["content"]) for file in ports_step["files"]] == [
        ("/etc/net/wan0", "up buoi-gw\n"),
        ("/etc/net/clerks0", ""),
    ]
    assert "units" not in ports_step
    assert (sent["who"], sent["run"]) == ("lan@district", "r")


def test_a_second_play_starts_afresh_and_nothing_is_sent_for_nothing(played: Played) -> None:
    played.run([MOTD, COMMIT], [MOTD, COMMIT, COMMIT])
    assert [len(sent["steps"]) for sent in played.sent()] == [1, 1]


def test_what_a_role_says_is_no_template_of_the_controllers(played: Played) -> None:
    (played.folder / "templates" / "x.j2").write_text("{{ '{{' }} lookup('pipe', 'id') {{ '}}' }}\n")
    played.run([add(part="files", files=[{"path": "/etc/x", "template": "x.j2"}]), COMMIT])
    assert played.sent()[0]["steps"][0]["files"][0]["content"] == "{{ lookup('pipe', 'id') }}\n"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"part": "filters"}, "part is one of files, filter"),
        ({"part": "files", "path": "/etc/x"}, "role the play, part files: unknown: path"),
        ({"part": "files", "filter": {}}, "unknown: filter"),
        ({"part": "filter", "early": True}, "only part files can be early"),
        ({"part": "files", "files": {"path": "/x"}}, "files must be a list"),
        ({"part": "files", "files": [{"content": "x"}]}, "files[0] needs path"),
        ({"part": "files", "files": [{"path": "/x", "contents": "x"}]}, "files[0] has no contents; it has content,"),
        ({"part": "files", "files": [{"path": "/x"}]}, "file /x needs one of content, template and link"),
        ({"part": "files", "files": [{"path": "/x", "content": "", "link": "/y"}]}, "and has content, link"),
        ({"part": "files", "files": [{"path": "x", "content": ""}]}, "path must be absolute"),
        ({"part": "files", "files": [{"path": "/x", "content": "", "mode": 420}]}, "mode must be a str, not 420"),
        ({"part": "files", "files": [{"path": "/x", "content": "", "mode": "u=rw"}]}, "octal digits in quotes"),
        ({"part": "files", "files": [{"path": "/x", "content": "", "each": []}]}, "each goes with template"),
        ({"part": "files", "units": ["ssh.service"]}, "units[0] must be a dictionary"),
        ({"part": "files", "after": [{"tag": "ca"}]}, "after[0] needs command"),
        ({"part": "files", "validate": ["sshd -t"]}, "validate must be a list of commands, each a list"),
        ({"part": "network", "network": "wan"}, "network must be a dictionary"),
    ],
)
def test_a_wrong_step_is_refused_with_role_and_key(candidate: Any, step: dict[str, Any], said: str) -> None:
    with pytest.raises(candidate.REFUSED) as raised:
        candidate.check_step({"role": "the play", **step})
    assert said in str(raised.value)
    assert "role the play, part" in str(raised.value)


@pytest.fixture(scope="module")
def candidate() -> Any:
    from tests.unit.plugins_support import load

    module = load("action", "wardnet_candidate")
    module.REFUSED = (module.StepError, module.candidate.CandidateError)  # type: ignore[attr-defined]
    return module


def test_an_error_in_a_template_names_role_and_template(played: Played) -> None:
    (played.folder / "templates" / "motd.j2").write_text("{{ no_such_variable }}\n")
    said = played.run([add(part="files", files=[{"path": "/etc/motd", "template": "motd.j2"}])], ok=False)
    assert "the play: motd.j2:" in said
    assert "no_such_variable" in said


def test_an_armed_change_is_confirmed_with_its_token(played: Played) -> None:
    confirmed = {"changed": True, "armed": False, "confirmed": True, "actions": ["restart prometheus.service"]}
    show = {"debug": {"msg": "{{ done.confirmed }} {{ done.armed }} {{ done.actions | join(',') }}"}}
    said = played.run([MOTD, {**COMMIT, "register": "done"}, show], answers=[ARMED, confirmed])
    assert "True False reload ssh.service,restart prometheus.service" in said
    first, second = played.sent()
    assert (first.get("confirmed"), second["confirmed"], second["token"]) == (None, True, "t")
    assert second["steps"] == first["steps"]


def test_a_host_that_went_back_by_itself_is_named_with_its_ward_and_the_cause(played: Played) -> None:
    said = played.run([MOTD, COMMIT], answers=[ARMED, GONE, BACK], ok=False)
    assert "buoi-gw (ward buoi) was rolled back by itself after 2 s: the change was not confirmed in time" in said
    assert "unreachable=0 failed=1" in said


def test_a_host_that_went_back_at_once_says_so(played: Played) -> None:
    answer = {
        "failed": True,
        "msg": "taken back",
        "rolled_back": True,
        "why": "no longer answered: inet0",
        "way_back_failed": ["x"],
    }
    said = played.run([MOTD, COMMIT], answers=[answer], ok=False)
    assert "buoi-gw (ward buoi) was rolled back at once: no longer answered: inet0; of the way back" in said


def test_what_fails_after_the_confirmation_is_no_way_back(played: Played) -> None:
    answer = {"failed": True, "msg": "does not stay active after its start: prometheus.service"}
    said = played.run([MOTD, COMMIT], answers=[ARMED, answer], ok=False)
    assert "buoi-gw (ward buoi): does not stay active after its start: prometheus.service" in said
    assert "rolled back" not in said
    assert len(played.sent()) == 2


def test_what_is_refused_or_held_names_host_and_ward(played: Played) -> None:
    said = played.run([MOTD, COMMIT], answers=[{"failed": True, "msg": "hoa@x is at work here since 9:00"}], ok=False)
    assert "buoi-gw (ward buoi): hoa@x is at work here since 9:00" in said
    assert len(played.sent()) == 1


def test_what_is_reached_through_a_host_must_be_reached_after_its_change(played: Played) -> None:
    """Nobody listens at that address before, so nothing is lost."""
    commit = {"wardnet_commit": {**COMMIT["wardnet_commit"], "reach": ["127.0.0.1:1"]}}
    played.run([MOTD, commit], answers=[ARMED, {"changed": True, "confirmed": True}])
    assert len(played.sent()) == 2


@pytest.mark.parametrize("moved", ["buoi-wan", "tu-lien-wan"])
def test_a_gateway_that_is_lost_as_its_line_gets_another_address_is_named_with_the_remedy(
    played: Played, moved: str
) -> None:
    with answering_once() as port:
        commit = {"wardnet_commit": {**COMMIT["wardnet_commit"], "reach": [f"127.0.0.1:{port} via buoi-wan"]}}
        armed = {**ARMED, "parts": {"network": {"missing": [f"address 10.31.9.1/30 on {moved}"]}}}
        said = played.run([MOTD, commit], answers=[armed, BACK], ok=False)
    assert "127.0.0.1 no longer answered through it" in said
    assert ("playbooks/renumber.yml changes both ends of its line" in said) is (moved == "buoi-wan")


@contextmanager
def answering_once() -> Iterator[int]:
    """A port of this machine that takes one connection and no second."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        once = threading.Thread(target=lambda: (listener.accept(), listener.close()), daemon=True)
        once.start()
        yield listener.getsockname()[1]


RENUMBERED = {"parts": {"network": {"missing": ["address 10.31.9.2/30 on wan0", "address fd20::2/64 on wan0"]}}}
PROBES = [{"port": port, "channel": port, "targets": ["192.0.2.1"]} for port in ("wan0", "inet0")]


def test_of_a_line_that_changes_at_both_ends_only_the_new_connection_is_demanded(played: Played) -> None:
    """Over the other line what answered must answer still."""
    commit = {"wardnet_commit": {**COMMIT["wardnet_commit"], "both_ends": True, "probes": PROBES}}
    played.run([MOTD, commit], answers=[RENUMBERED, {**ARMED, **RENUMBERED}, {"changed": True, "confirmed": True}])
    looked, made, confirmed = played.sent()
    assert [sent["check"] for sent in (looked, made, confirmed)] == [True, False, False]
    assert [probe["port"] for probe in made["probes"]] == ["inet0"]
    assert looked["steps"] == made["steps"]
    assert confirmed["token"] == "t"


def test_a_hub_whose_far_end_stays_as_it_is_is_not_touched(played: Played) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reached = [f"127.0.0.1:{listener.getsockname()[1]} via wan0"]
        commit = {"wardnet_commit": {**COMMIT["wardnet_commit"], "both_ends": True, "probes": [], "reach": reached}}
        said = played.run([MOTD, commit], answers=[RENUMBERED], ok=False)
    assert "nothing was touched: 127.0.0.1 has not changed, at the other end of its line" in said
    assert [sent["check"] for sent in played.sent()] == [True]


def test_a_rollback_of_another_run_is_not_this_ones(played: Played) -> None:
    said = played.run([MOTD, COMMIT], answers=[ARMED, GONE, OTHER, OTHER, BACK], ok=False)
    assert "rolled back by itself" in said
    assert [sent["check"] for sent in played.sent()] == [False, False, True, True, True]


KILLED = {"killed": True}
HELD = {"failed": True, "msg": "lan@district is at work here", "held": {"run": "r"}}


def test_a_run_that_is_ended_on_the_host_was_rolled_back_and_says_why(played: Played) -> None:
    """As by its own timer, where it took too long."""
    late = {"last_rollback": {"run": "r", "why": "the change was not finished within 90 s", "failed": []}}
    said = played.run([MOTD, COMMIT], answers=[KILLED, {"held": {"run": "r"}}, late], ok=False)
    assert "buoi-gw (ward buoi) was rolled back by itself after 2 s: the run was ended on the host (status " in said
    assert "(the change was not finished within 90 s)" in said
    assert "unreachable=0 failed=1" in said


def test_a_run_that_is_ended_before_it_armed_anything_has_failed(played: Played) -> None:
    said = played.run([MOTD, COMMIT], answers=[KILLED, {}], ok=False)
    assert "with nothing that goes back by itself; what it had done by then stays" in said
    assert "unreachable=0 failed=1" in said


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("r", "broke while it was at work; what was done by then stays, and running it again is safe"),
        ("another", "broke before anything was changed"),
        ("rr", "broke, and it is not known whether anything was changed; running it again is safe"),  # a later run
        ("", "broke, and it is not known whether anything was changed; running it again is safe"),  # started since
    ],
)
def test_a_connection_that_broke_says_what_the_host_knows_of_the_run(played: Played, last: str, said: str) -> None:
    """Nothing waits to go back where the change was to files, or packages were being installed."""
    told = played.run([MOTD, COMMIT], answers=[HELD, HELD, {"last_run": last}], ok=False)
    assert f"buoi-gw (ward buoi): the connection {said}: " in told
    assert "unreachable=1 failed=0" in told


def test_a_check_whose_run_is_ended_waits_for_nothing(played: Played) -> None:
    """It has changed nothing that could go back, so nothing is asked of the host after it."""
    said = played.run([MOTD, {**COMMIT, "check_mode": True}], answers=[KILLED], ok=False)
    assert "buoi-gw (ward buoi): the run was ended on the host (status " in said
    assert len(played.sent()) == 1


def test_a_candidate_of_a_part_of_the_roles_is_said_to_be_one(played: Played) -> None:
    kept = []
    for roles in ([], ["the play"], ["the play", "base"]):
        commit = {"wardnet_commit": {**COMMIT["wardnet_commit"], "whole": roles}}
        shown = {"ansible.builtin.debug": {"msg": "partial: {{ done.partial | default(false) }}"}}
        kept.append("partial: True" in played.run([MOTD, {**commit, "register": "done"}, shown]))
    assert kept == [False, False, True]
    assert [sent["partial"] for sent in played.sent()] == [False, False, True], "the host is told so, too"
    commit = {"wardnet_commit": {**COMMIT["wardnet_commit"], "whole": ["base"]}, "register": "done"}
    assert "partial: True" in played.run([commit, shown]), "nothing at all is a part, too"


def test_whoever_uses_sudo_is_named_and_not_root(played: Played) -> None:
    played.run([MOTD, {"wardnet_commit": {"run": "r"}}], SUDO_USER="hoa")
    assert played.sent()[0]["who"].startswith("hoa@")


def test_a_confirmation_that_is_killed_or_still_at_work_is_asked_again(played: Played) -> None:
    confirmed = {"changed": True, "confirmed": True}
    played.run([MOTD, COMMIT], answers=[ARMED, KILLED, HELD, confirmed])
    assert [sent["token"] for sent in played.sent()] == [None, "t", "t", "t"]


def test_secrets_are_not_sent_where_the_host_would_log_them(played: Played) -> None:
    secret = add(part="files", files=[{"path": "/etc/x", "content": "hunter22hunter22", "secret": True}])
    said = played.run([secret, COMMIT], ok=False, ANSIBLE_NO_TARGET_SYSLOG="false")
    assert "which the host would write to its journal" in said
    assert played.sent() == []
    played.run([MOTD, COMMIT], ANSIBLE_NO_TARGET_SYSLOG="false")  # nothing is secret there
    played.run([secret, COMMIT])
    assert len(played.sent()) == 2
