"""From a bare district to a provisioned one: check mode first, then in earnest, and a second run has nothing to do."""

from __future__ import annotations

import json

import pytest

from lab import Lab
from tests.roles.conftest import Story
from tests.roles.roles_support import eventually, inside

pytestmark = pytest.mark.lab


def test_check_mode_works_before_the_first_converge_and_changes_nothing(story: Story) -> None:
    assert story.checked.status == 0, story.checked.tail
    assert "buoi-pc-1 is not reached yet: left out of this check" in story.checked.output
    assert {"tay-ho-hub", "tay-ho-gw", "buoi-gw", "monitoring"} <= set(story.checked.changed)
    assert "05-bootstrap-wan0.network" in story.before["network"]
    assert story.after_check == story.before


def test_check_mode_shows_what_would_change(story: Story) -> None:
    for expected in (
        "+++ after: /etc/systemd/network/10-wardnet-wan-wan0.network (write)",
        "--- before: /etc/systemd/network/05-bootstrap-wan0.network (remove)",
        "+rule 1010 IPv4: iif clerks0 lookup 100",
        "+table inet wardnet {",
        "+++ after: /etc/prometheus/prometheus.yml (write)",
    ):
        assert expected in story.checked.output


def test_the_district_converges(story: Story) -> None:
    assert story.converged.status == 0, story.converged.tail
    assert story.converged.failed == ()


def test_the_second_run_changes_nothing(story: Story) -> None:
    assert story.again.status == 0, story.again.tail
    assert story.again.changed == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("buoi-scanner-1", "not configured: "),
        ("buoi-citizen-1", "not reached from here, they pull"),
        ("buoi-building-gw", "not reached from here, they pull"),
    ],
)
def test_what_is_not_reached_is_named_and_never_connected_to(story: Story, name: str, said: str) -> None:
    for run in (story.checked, story.converged):
        assert any(name in line for line in run.output.splitlines() if line.startswith(said))
        assert name not in run.hosts


def test_the_technicians_files_are_gone(converged: Lab) -> None:
    for gateway in ("buoi-gw", "tay-ho-gw", "tay-ho-hub"):
        names = inside(converged, gateway, "ls", "/etc/systemd/network", "/etc/sysctl.d").split()
        assert not [name for name in names if "bootstrap" in name and "tcp" not in name]


def test_the_main_table_is_empty(converged: Lab) -> None:
    for gateway in ("buoi-gw", "tay-ho-gw", "tay-ho-hub"):
        assert inside(converged, gateway, "ip", "-4", "route", "show", "table", "main") == ""
        left = inside(converged, gateway, "ip", "-6", "route", "show", "table", "main").splitlines()
        assert not [line for line in left if not line.startswith("fe80::/64")]


def test_no_service_has_failed(converged: Lab) -> None:
    for host in ("buoi-gw", "tay-ho-hub", "monitoring", "buoi-pc-1"):
        assert inside(converged, host, "systemctl", "--failed", "--no-legend", "--plain") == ""


def test_hosts_have_the_districts_time_zone_authority_and_only_source(converged: Lab) -> None:
    for host in ("buoi-pc-1", "buoi-gw", "portal"):
        assert inside(converged, host, "date", "+%Z%z") == "+07+0700"
        sources = inside(
            converged, host, "sh", "-c", "cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>&1 | grep URIs"
        )
        assert sources == "URIs: http://10.20.200.80/"
    page = inside(
        converged, "buoi-pc-1", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "https://dvctt.tayho.example/"
    )
    assert page == "200"


def test_packages_come_from_the_signed_mirror(converged: Lab) -> None:
    update = inside(converged, "buoi-pc-1", "apt-get", "update", "-o", "APT::Update::Error-Mode=any")
    assert "http://10.20.200.80" in update
    policy = inside(converged, "monitoring", "apt-cache", "policy", "prometheus")
    assert "10.20.200.80" in policy


def test_ssh_lets_in_by_key_alone_and_relays_nothing(converged: Lab) -> None:
    for host in ("buoi-gw", "buoi-pc-1"):
        settings = dict(
            line.split(" ", 1) for line in inside(converged, host, "sshd", "-T").splitlines() if " " in line
        )
        assert settings["passwordauthentication"] == "no"
        assert settings["kbdinteractiveauthentication"] == "no"
        assert settings["permitrootlogin"] == "no"
        assert settings["allowtcpforwarding"] == "no"


def test_prometheus_scrapes_both_agents_of_every_gateway(converged: Lab) -> None:
    query = 'up{job=~"wardnet-(link|software)"}'
    command = ["curl", "-sS", "--retry", "20", "--retry-delay", "1", "--retry-all-errors", "--fail-with-body",
               "--get", "--data-urlencode", f"query={query}", "http://10.30.200.30:9090/api/v1/query"]  # fmt: skip
    wanted = {(gateway, job) for gateway in ("buoi-gw", "tay-ho-gw") for job in ("wardnet-link", "wardnet-software")}

    def up() -> set[tuple[str, str]]:
        answer = json.loads(inside(converged, "monitoring", *command))["data"]["result"]
        return {(row["metric"]["gateway"], row["metric"]["job"]) for row in answer if row["value"][1] == "1"}

    assert eventually(lambda: up() == wanted), up()


def test_nothing_of_the_packages_own_configuration_was_ever_run(converged: Lab) -> None:
    log = inside(converged, "monitoring", "journalctl", "--unit", "prometheus", "--output", "cat", "--no-pager")
    assert "0.0.0.0:9090" not in log
    assert "address=10.30.200.30:9090" in log
