"""Tasks that only gather a candidate run in Ansible's own process, each with its own host's values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.plugins_support import ansible, commit_options

pytestmark = pytest.mark.long

HOSTS = ("a", "b", "c")
COMMIT = """\
#!/usr/bin/python
import json
from pathlib import Path
from ansible.module_utils.basic import AnsibleModule
names = {names!r}
module = AnsibleModule({{name: {{"type": "raw", "no_log": False}} for name in names}}, supports_check_mode=True)
(Path({folder!r}) / f"sent-{{module.params['host']}}.json").write_text(json.dumps(module.params["steps"]))
module.exit_json(changed=False)
"""
# The shell's parent is the process that renders.
PROCESS = "{{ inventory_hostname }} {{ lookup('ansible.builtin.pipe', 'echo $PPID') }}"
TASKS = [
    {"ansible.builtin.assert": {"that": "inventory_hostname != bad | default('')", "fail_msg": "a bad host"}},
    {"wardnet_candidate": {"part": "files", "files": [{"path": "/etc/one", "content": PROCESS}]}},
    {"wardnet_candidate": {"part": "files", "files": [{"path": "/etc/not-b", "content": PROCESS}]},
     "when": "inventory_hostname != 'b'"},
    {"wardnet_commit": {"host": "{{ inventory_hostname }}", "run": "r", "who": "w"}},
]  # fmt: skip


def run(folder: Path, strategy: str, **variables: str) -> tuple[str, dict[str, Any]]:
    """What Ansible said, and by host the files that it was sent, by their paths."""
    (folder / "library").mkdir()
    (folder / "library" / "wardnet_commit.py").write_text(COMMIT.format(folder=str(folder), names=commit_options()))
    # As in the lab ssh is the connection; only the commit's is local.
    tasks = [*TASKS[:-1], {**TASKS[-1], "connection": "local"}]
    play = {"hosts": "all", "strategy": strategy, "gather_facts": False, "vars": variables, "tasks": tasks}
    (folder / "play.yml").write_text(yaml.safe_dump([play], sort_keys=False))
    done = ansible(
        "ansible-playbook", "-i", ",".join(HOSTS), folder / "play.yml", ANSIBLE_LIBRARY=str(folder / "library"),
        WARDNET_RUNS=str(folder / "runs"),
    )  # fmt: skip
    sent = {
        path.stem.removeprefix("sent-"): {
            file["path"]: file["content"] for step in json.loads(path.read_text()) for file in step["files"]
        }
        for path in folder.glob("sent-*.json")
    }
    return done.stdout + done.stderr, sent


@pytest.mark.parametrize("strategy", ["wardnet_rollout", "wardnet_pinned"])
def test_a_candidate_is_gathered_in_one_process_with_each_host_its_own(tmp_path: Path, strategy: str) -> None:
    said, sent = run(tmp_path, strategy)
    assert set(sent) == set(HOSTS), said
    assert set(sent["a"]) == {"/etc/one", "/etc/not-b"}
    assert set(sent["b"]) == {"/etc/one"}
    assert all(content.split()[0] == host for host in HOSTS for content in sent[host].values())
    assert len({content.split()[1] for host in HOSTS for content in sent[host].values()}) == 1


def test_one_host_that_fails_there_is_the_only_one_of_a_pinned_play(tmp_path: Path) -> None:
    said, sent = run(tmp_path, "wardnet_pinned", bad="b")
    assert set(sent) == {"a", "c"}
    assert "a bad host" in said
    assert "any_errors_fatal" not in said


def test_one_host_that_fails_there_ends_a_rollout(tmp_path: Path) -> None:
    said, sent = run(tmp_path, "wardnet_rollout", bad="b")
    assert "a bad host" in said
    assert sent == {}, said
    assert "failed=1" in next(line for line in said.splitlines() if line.startswith("b "))
