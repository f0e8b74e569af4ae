"""Secrets and files' contents stay out of what is kept, and what is needed to read a run stays in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardnet.runs.results import keep
from wardnet.runs.withheld import WITHHELD, Withholder, is_secret_name, secrets_in, withhold_arguments


@pytest.mark.parametrize(
    "name",
    ["password", "wifi_password", "db-passwd", "passphrase", "secret", "client_secret", "api_token", "apikey",
     "private_key", "ssh_private_key", "vault_pppoe", "wifi_psk", "credentials", "AccessKey", "passcode", "snmp.token"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["wardnet_ssh_key", "wardnet_mirror_key_file", "password_file", "vault_password_file", "user", "serial", "port",
     "wardnet_audit_public_keys", "compass", "bypass", "base_apt_key", "limit"],
)  # fmt: skip
def test_names_that_are_none(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("argv", "kept", "secrets"),
    [
        (["-e", "wifi_password=hunter22 x=1"], ["-e", f"wifi_password={WITHHELD} x=1"], {"hunter22"}),
        (["-ewifi_password=hunter22"], [f"-ewifi_password={WITHHELD}"], {"hunter22"}),
        (["--extra-vars=token='a b c d'"], [f"--extra-vars=token={WITHHELD}"], {"a b c d"}),
        (["-e", '{"a": {"token": "abcd"}}'], ["-e", f'{{"a": {{"token": "{WITHHELD}"}}}}'], {"abcd"}),
        (["-e", "{secret: abcd}"], ["-e", WITHHELD], {"{secret: abcd}"}),
        (["-e", "@secrets.yml", "-l", "x"], ["-e", "@secrets.yml", "-l", "x"], set()),
        (["-e", '{"serial": [1, "25%"]}'], ["-e", '{"serial": [1, "25%"]}'], set()),
        (["--check", "playbooks/site.yml"], ["--check", "playbooks/site.yml"], set()),
        (["--extra", '{"a_secret": "abcd"}'], ["--extra-vars", f'{{"a_secret": "{WITHHELD}"}}'], {"abcd"}),
        (["--ex=token=abcd"], [f"--extra-vars=token={WITHHELD}"], {"abcd"}),
        (["-ve", '{"a_secret": "abcd"}'], ["-v", "-e", f'{{"a_secret": "{WITHHELD}"}}'], {"abcd"}),
        (["-CDetoken=abcd", "x.yml"], ["-CD", f"-etoken={WITHHELD}", "x.yml"], {"abcd"}),
        (["-vl", "g1", "--lim=g2"], ["-v", "-l", "g1", "--limit=g2"], set()),
        (["-e", "-ve", "-vvv", "-fe", "--list-hosts"], ["-e", "-ve", "-vvv", "-fe", "--list-hosts"], set()),
        (["--", "-ve", "token=abcd"], ["--", "-ve", "token=abcd"], set()),
        (["-e", r'token="ab\" cd" x=1'], ["-e", f"token={WITHHELD} x=1"], {r"ab\" cd"}),
    ],
)
def test_arguments_are_kept_without_their_secrets(argv: list[str], kept: list[str], secrets: set[str]) -> None:
    assert withhold_arguments(argv) == (kept, len(secrets), secrets)


secret = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="()"), min_size=4, max_size=20
).filter(lambda text: text not in WITHHELD and not text.isspace())
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(secret, trees, st.text(max_size=10))
def test_a_known_secret_is_nowhere_in_a_tree(value: str, tree: Any, around: str) -> None:
    whole = {"lines": [around + value + around, value], "rest": tree, "deep": {"a": [{"b": value}]}}
    clean = Withholder([value]).tree(whole)
    assert all(value not in line for line in clean["lines"])
    assert clean["deep"] == {"a": [{"b": WITHHELD}]}


def test_what_stands_under_a_secrets_name_is_withheld_whatever_it_is() -> None:
    tree = {"pppoe": {"user": "ward", "password": "vault:buoi"}, "tokens": ["a", "b"], "secret": None}
    clean = Withholder().tree(tree)
    assert clean == {"pppoe": {"user": "ward", "password": WITHHELD}, "tokens": WITHHELD, "secret": None}
    assert secrets_in(tree) == {"vault:buoi", "a", "b"}


def test_lines_of_a_secret_of_several_lines_are_withheld_one_by_one() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\n-----END KEY-----"
    assert "MIIEvQ" not in Withholder([key]).text("+MIIEvQIBADANBgkq")


COMMIT = {
    "changed": True, "armed": False, "confirmed": True, "rolled_back": False,
    "parts": {
        "filter": {"missing": ["rule a"], "foreign": ["table ip helpful"], "needs": [],
                   "changed_paths": ["/etc/nftables.conf"]},
        "files": {"missing": [], "foreign": [], "needs": ["restart x.service"],
                  "changed_paths": ["/etc/ppp/chap-secrets"]},
    },
    "drift": [{"part": "filter", "what": "foreign: table ip helpful", "where": "running"},
              {"part": "files", "what": "/etc/timezone (write)", "where": "disk"}],
    "diff": [{"before_header": "/etc/ppp/chap-secrets", "before": "a", "after": '"ward" * "hunter22"'}],
    "ansible_facts": {"wardnet_candidate": [{"files": [{"content": "hunter22"}]}]},
    "invocation": {"module_args": {"steps": [{"files": [{"content": "hunter22"}]}]}},
}  # fmt: skip


def test_of_a_commit_is_kept_what_changed_but_no_contents_of_files() -> None:
    kept = keep(COMMIT, False, Withholder())
    assert "hunter22" not in json.dumps(kept)
    assert kept["parts"]["filter"] == {
        "missing": ["rule a"], "foreign": ["table ip helpful"], "paths": ["/etc/nftables.conf"],
    }  # fmt: skip
    assert kept["parts"]["files"] == {"needs": ["restart x.service"], "paths": ["/etc/ppp/chap-secrets"]}
    assert kept["drift"] == {
        "filter": ["running: foreign: table ip helpful"], "files": ["disk: /etc/timezone (write)"],
    }  # fmt: skip


def test_a_rollback_is_told_once_and_with_its_reason() -> None:
    told = {
        "when": "2026-11-29T08:03:00Z",
        "why": "nobody confirmed",
        "run": "r",
        "parts": ["network"],
        "failed": ["x"],
    }
    bad = {"rolled_back": True, "why": "no new connection", "last_rollback": told, "msg": "g1 was rolled back"}
    kept = keep(bad, True, Withholder())
    assert kept["rolled_back"] == {
        "when": "2026-11-29T08:03:00Z", "why": "no new connection", "run": "r", "parts": ["network"],
        "failed_steps": ["x"],
    }  # fmt: skip
    assert kept["message"] == "g1 was rolled back"
    assert "earlier_rollback" not in kept
    later = keep({"changed": False, "rolled_back": False, "last_rollback": told}, False, Withholder())
    assert later["earlier_rollback"]["why"] == "nobody confirmed"
    assert "rolled_back" not in later


def test_a_result_that_is_not_to_be_logged_is_not() -> None:
    result = {"_ansible_no_log": True, "msg": "hunter22", "changed": True}
    assert keep(result, True, Withholder()) == {"message": WITHHELD}
    assert keep(result, False, Withholder()) == {}


def test_long_lists_are_bounded_and_say_so() -> None:
    result = {"changed": True, "parts": {"filter": {"missing": [f"rule {n}" for n in range(500)]}}}
    lines = keep(result, False, Withholder())["parts"]["filter"]["missing"]
    assert lines[-1] == "… 440 more"
    assert len(lines) == 61
