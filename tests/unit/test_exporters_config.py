"""The agent's configuration: good ones are read whole, bad ones are refused with file and key, all at once."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest

from exporters.config import ConfigError, Family, Service, parse_config, parse_url, read_config
from exporters.link import main as link_main
from tests.unit.exporters_support import configuration, parsed
from wardnet.compile import compile_agent, compile_plan
from wardnet.inventory import read_district

ROOT = Path(__file__).resolve().parents[2]


def problems(document: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(document if isinstance(document, str) else json.dumps(document), "agent.json")
    return caught.value.problems


def test_reads_every_part() -> None:
    config = parsed(configuration())
    assert [c.id for c in config.channels] == ["wan", "internet"]
    assert config.channels[0].source(Family.IPV6) == "::1"
    assert config.reflectors[1].address(Family.IPV4) == "127.0.0.2"
    assert str(config.services[1].url) == "http://www.tayho.example/page"


def test_what_the_compiler_writes_is_read() -> None:
    district = read_district(ROOT / "inventory" / "tay-ho")
    plan = compile_plan(district, date(2026, 11, 24))
    managed = [
        site.gateway.id
        for _, site in district.sites
        if site.gateway.management_network is not None and len(site.circuits) == 2
    ]
    assert managed
    for gateway in managed:
        config = parsed(compile_agent(district, plan, gateway))
        assert config.gateway == gateway
        assert {c.id for c in config.channels} == {"wan", "internet"}
        assert config.reflectors
        assert config.services


def test_target_is_found_by_id_only() -> None:
    config = parsed(configuration())
    found = config.target("portal")
    assert isinstance(found, Service)
    for free in ("", "127.0.0.1", "https://portal.tayho.example/", "portal.tayho.example", "PORTAL", "portal "):
        assert config.target(free) is None


def change(path: str, value: object) -> dict[str, object]:
    """The configuration with one place changed; `path` is like channels.0.ipv4."""
    document = configuration()
    place: object = document
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]  # type: ignore[index]
    assert isinstance(place, dict)
    place[last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("extra", 1, "agent.json: extra: unknown key"),
        ("lisen", [], "agent.json: lisen: unknown key; did you mean 'listen'?"),
        ("link_port", "9807", "agent.json: link_port: must be an integer, is a text"),
        ("link_port", True, "agent.json: link_port: must be an integer, is a boolean"),
        ("link_port", 0, "agent.json: link_port: must be from 1 to 65535, is 0"),
        ("link_port", 9808, "agent.json: software_port: is the same as link_port (9808)"),
        ("interval_seconds", None, "agent.json: interval_seconds: must be a number, is null"),
        ("interval_seconds", 0.1, "agent.json: interval_seconds: must be from 1 to 3600, is 0.1"),
        ("listen", [], "agent.json: listen: must not be empty"),
        ("listen", ["10.30.1.1", "all"], "agent.json: listen[1]: 'all' is not an IP address"),
        ("listen", ["0.0.0.0"], "agent.json: listen[0]: must be one address of this host, not 0.0.0.0"),
        ("listen", ["::"], "agent.json: listen[0]: must be one address of this host, not ::"),
        ("listen", ["::1", "::1"], "agent.json: listen[1]: ::1 is listed twice"),
        ("model_sha256", "abc", "agent.json: model_sha256: 'abc' does not have the form [0-9a-f]{64}"),
        ("channels", {}, "agent.json: channels: must be a list, is an object"),
        ("channels.0.ipv4", "::1", "agent.json: channels[0].ipv4: '::1' is not an IPv4 address"),
        ("channels.0.ipv6", 6, "agent.json: channels[0].ipv6: must be a text, is an integer"),
        ("channels.0.interface", "a-name-that-is-too-long", "agent.json: channels[0].interface: "),
        ("channels.0.interface", "wan0/../x", "agent.json: channels[0].interface: "),
        ("channels.0.vlan", 10, "agent.json: channels[0].vlan: unknown key"),
        ("channels.0.resolvers", [53], "agent.json: channels[0].resolvers[0]: 53 is not an IP address"),
        ("channels.1.id", "wan", "agent.json: channels[1].id: 'wan' is used twice"),
        ("reflectors.0.channel", "lan", "agent.json: reflectors[0].channel: 'lan' is none of: internet, wan"),
        ("reflectors.0.id", "a b", "agent.json: reflectors[0].id: 'a b' does not have the form"),
        ("services.0.id", "hub", "agent.json: services: the id 'hub' is used twice; targets of /probe need"),
        ("services.0.url", "ftp://x/", "agent.json: services[0].url: must begin with http:// or https://"),
        ("services.0.url", "https://u:p@x/", "agent.json: services[0].url: must not carry a user name or password"),
        ("services.0.url", "https:///path", "agent.json: services[0].url: has no host"),
        ("services.0.url", "https://x:99999/", "agent.json: services[0].url: Port out of range"),
        ("services.0.url", "https://x/ y", "agent.json: services[0].url: must be printable ASCII"),
        ("services.0.url", "https://d\u1ecbch.example/", "agent.json: services[0].url: must be printable ASCII"),
    ],
)
def test_bad_value_is_named(path: str, value: object, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(change(path, value)))


@pytest.mark.parametrize("key", sorted(configuration()))
def test_missing_key_is_named(key: str) -> None:
    document = configuration()
    del document[key]
    assert f"agent.json: {key}: is missing" in problems(document)


def test_all_problems_are_reported_together() -> None:
    document = change("channels.0.ipv4", "x")
    document["more"] = 1
    del document["ward"]
    assert len(problems(document)) == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "agent.json:1: is not JSON: Expecting value (column 1)"),
        ('{\n"a": }', "agent.json:2: is not JSON: Expecting value (column 6)"),
        ("[]", "agent.json: must hold an object, holds a list"),
        ('{"ward": "a", "ward": "b"}', "agent.json: key 'ward' is written twice"),
        ("[" * 100_000, "agent.json: is nested too deeply"),
    ],
)
def test_text_that_is_no_configuration(text: str, expected: str) -> None:
    assert expected in problems(text)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"agent\.json: cannot be read: No such file"):
        read_config(tmp_path / "agent.json")
    (tmp_path / "agent.json").write_bytes(b"\xff{}")
    with pytest.raises(ConfigError, match="is not UTF-8 text: invalid start byte at byte 0"):
        read_config(tmp_path / "agent.json")


def test_config_check_says_good_or_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "agent.json"
    options = ["--config.file", str(file), "--config.check", "--config.ca-dir", str(tmp_path / "ca.d")]
    file.write_text(json.dumps(configuration()))
    assert link_main(options) == 0
    assert capsys.readouterr().out == f"{file}: good, for buoi-gw: 2 channels, 2 reflectors, 2 services, 1 scanners\n"

    file.write_text(json.dumps(configuration(ward=None)))
    assert link_main(options) == 1
    assert capsys.readouterr().err == f"{file}: ward: must be a text, is null\n"


def test_config_check_refuses_a_bad_authority(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, folder = tmp_path / "agent.json", tmp_path / "ca.d"
    file.write_text(json.dumps(configuration()))
    folder.mkdir()
    (folder / "city.crt").write_text("not a certificate")
    (folder / "README").write_text("nobody reads this")
    assert link_main(["--config.file", str(file), "--config.check", "--config.ca-dir", str(folder)]) == 1
    assert f"{folder}/city.crt: is not a certificate authority in PEM form" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "authority", "port", "path"),
    [
        ("https://dvctt.tayho.example", "dvctt.tayho.example", 443, "/"),
        ("https://dvctt.tayho.example:443/a?b=c#d", "dvctt.tayho.example", 443, "/a?b=c"),
        ("http://Host.Example:8080/x", "host.example:8080", 8080, "/x"),
        ("https://[2001:db8::1]:8443/", "[2001:db8::1]:8443", 8443, "/"),
    ],
)
def test_url(text: str, authority: str, port: int, path: str) -> None:
    url = parse_url(text)
    assert (url.authority, url.port, url.path) == (authority, port, path)
