"""The technician's stick: what is on it for static, BGP and VLAN lines, for the hub, and for whom there is none."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.golden.inventory_cases import FOLDER
from tests.unit.compile_support import INVENTORY, sample, sample_plan
from wardnet.bootstrap import BootstrapError, Reach, digits, in_words, reach_of, readme, script, spoken
from wardnet.bootstrap.spoken import as_digits
from wardnet.cli.main import build
from wardnet.compile import compile_plan
from wardnet.inventory import parse_district, read_district
from wardnet.model.intent import Channel, District
from wardnet.model.plan import Plan

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzDhJoeTPqMaZwaAVx80rML0wUry7csQxZ5YJsNtlhc controller"
EVERY_KIND = FOLDER / "bases" / "every-kind"


def reach(plan: Plan, district: District, host: str) -> Reach:
    wan = district.channel(Channel.WAN)
    others = frozenset(each.id for each in plan.hosts) | frozenset(each.id for each in plan.switches)
    return reach_of(plan, host, wan.resolvers, wan.prefixes, others)


def of_sample(host: str) -> Reach:
    return reach(sample_plan(), sample(), host)


@cache
def every_kind() -> District:
    return read_district(EVERY_KIND)


@cache
def every_plan() -> Plan:
    return compile_plan(every_kind(), sample_plan().as_of)


def of_every_kind(host: str) -> Reach:
    return reach(every_plan(), every_kind(), host)


def text_of(found: Reach) -> str:
    return script(found, [KEY], sample_plan().as_of)


def file_in(text: str, path: str) -> str:
    """What the script puts at the path."""
    (found,) = re.findall(rf"(?ms)^    put 0644 {re.escape(path)} <<'WARDNET'\n(.*?)^WARDNET$", text)
    return str(found)


def packet_filter(text: str) -> str:
    (found,) = re.findall(r"(?ms)^packet_filter\(\) \{\n    cat <<'WARDNET'\n(.*?)^WARDNET$", text)
    return str(found)


def test_a_static_line_has_its_address_and_the_way_to_the_whole_channel() -> None:
    unit = file_in(text_of(of_sample("buoi-gw")), "/etc/systemd/network/05-bootstrap-wan0.network")
    assert "Address=10.31.1.2/30\n" in unit
    assert "Destination=10.16.0.0/12\nGateway=10.31.1.1\n" in unit
    assert "Destination=fd20::/16\nGateway=fd20:31:1::1\n" in unit


def test_only_the_line_and_the_management_address_are_configured() -> None:
    found = of_sample("buoi-gw")
    assert [port.name for port in found.reached] == ["wan0", "mgmt0"]
    assert [port.name for port in found.ports if port.at_once] == ["wan0", "mgmt0"]
    assert {port.name for port in found.ports if not port.at_once} == {"inet0", "clerks0", "citizen0", "wifi0"}
    assert "198.51.100" not in text_of(found)


@pytest.mark.parametrize("gateway", [each.id for each in sample_plan().gateways if each.reached])
def test_a_shell_takes_every_script(gateway: str) -> None:
    text = text_of(of_sample(gateway))
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bgp_line_is_static_until_the_roles_come() -> None:
    district = every_kind()
    lines = [(site.gateway.id, circuit) for _ward, site in district.sites for circuit in site.circuits if circuit.bgp]
    assert lines
    for gateway, circuit in lines:
        (line,) = (port for port in of_every_kind(gateway).reached if port.name == circuit.interface)
        assert {via for _destination, via in line.routes} == set(circuit.peers)


def test_vlan_subinterfaces_are_made_on_the_port_that_carries_them() -> None:
    district = every_kind()
    tagged = [
        (site.gateway.id, network)
        for _ward, site in district.sites
        for network in site.networks
        if network.parent and network.id == site.gateway.management_network
    ]
    assert tagged
    for gateway, network in tagged:
        found = of_every_kind(gateway)
        assert network.parent in [port.name for port in found.ports if port.at_once]
        assert network.interface not in [port.name for port in found.ports]
        text = text_of(found)
        unit = file_in(text, f"/etc/systemd/network/05-bootstrap-{network.interface}.netdev")
        assert f"Id={network.vlan}\n" in unit
        carrier = file_in(text, f"/etc/systemd/network/05-bootstrap-parent-{network.parent}.network")
        assert f"VLAN={network.interface}\n" in carrier


@pytest.mark.parametrize("gateway", ["buoi-gw", "tay-ho-gw", "tay-ho-hub"])
def test_nft_takes_the_ruleset(gateway: str, tmp_path: Path) -> None:
    file = tmp_path / "ruleset"
    file.write_text(packet_filter(text_of(of_sample(gateway))))
    if shutil.which("nft") is None:
        pytest.fail("nft is needed: apt-get install nftables")
    apart = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    done = subprocess.run([*apart, "nft", "--check", "--file", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_filter_lets_in_who_the_conduits_name_and_nobody_else() -> None:
    rules = packet_filter(text_of(of_sample("buoi-gw")))
    accepting = [line.split(" accept")[0].strip() for line in rules.splitlines() if "dport" in line]
    assert accepting == [
        'iifname "wan0" ip saddr { 10.30.200.0/24 } ip daddr { 10.30.1.1/32 } tcp dport 22',
        'iifname "wan0" ip6 saddr { fd20:30:200::/64 } ip6 daddr { fd20:30:1::1/128 } tcp dport 22',
    ]
    assert rules.count("policy drop") == 3
    assert "inet0" not in rules


def test_the_hub_is_reached_from_the_server_room() -> None:
    found = of_sample("tay-ho-hub")
    assert [port.name for port in found.reached] == ["servers0", "mgmt0"]
    assert 'iifname "mgmt0" ip saddr { 10.30.200.0/24 }' in packet_filter(text_of(found))


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("buoi-pc-1", "buoi-pc-1 is no gateway"),
        ("buoi-sw", "buoi-sw is no gateway"),
        ("buoi-building-gw", "only on the internet channel: it pulls, as docs/pull.md says (wards/buoi.yml:"),
        ("buoi-gw2", "no gateway buoi-gw2 in the inventory; there are: tay-ho-hub, "),
    ],
)
def test_whoever_cannot_be_made_reachable_so_is_refused(host: str, said: str) -> None:
    with pytest.raises(BootstrapError) as caught:
        of_sample(host)
    assert said in str(caught.value)


def test_a_day_without_the_line_is_refused() -> None:
    text = (INVENTORY / "wards" / "buoi.yml").read_text()
    assert "buoi-wan" in text
    files = {path.relative_to(INVENTORY).as_posix(): path.read_bytes() for path in INVENTORY.glob("*/*.yml")}
    files["district.yml"] = (INVENTORY / "district.yml").read_bytes()
    ending = "        contracted_kbps:\n          - {down: 10000"
    files["wards/buoi.yml"] = text.replace(ending, f"        valid_to: 2026-01-31\n{ending}", 1).encode()
    district = parse_district(files)
    with pytest.raises(BootstrapError, match="buoi-gw has no WAN circuit on 2026-11-24"):
        reach(compile_plan(district, sample_plan().as_of), district, "buoi-gw")


def test_a_machine_that_is_no_debian_is_refused_before_anything_is_touched(tmp_path: Path) -> None:
    """Run as nobody, the script says the first thing that is wrong, in both languages, and ends with 2."""
    file = tmp_path / "stick.sh"
    file.write_text(text_of(of_sample("buoi-gw")))
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(parent.stat().st_mode | 0o055)
    who = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*who, "sh", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done
    assert "phải chạy với quyền root" in done.stdout
    assert "this needs root" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "eth7=enp1s0"], "this gateway has no port 'eth7'; its ports: wan0 mgmt0 inet0"),
        (["--port", "wan0"], "'wan0' is not NAME=PORT"),
        (["--frob"], "'--frob' is not understood"),
        (["--port"], "--port needs NAME=PORT"),
    ],
)
def test_a_wrong_word_is_named(words: list[str], said: str, tmp_path: Path) -> None:
    file = tmp_path / "stick.sh"
    file.write_text(text_of(of_sample("buoi-gw")))
    done = subprocess.run(["sh", str(file), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stdout


def test_the_text_console_gets_vietnamese_without_marks(tmp_path: Path) -> None:
    file = tmp_path / "stick.sh"
    file.write_text(text_of(of_sample("buoi-gw")))
    done = subprocess.run(
        ["sh", str(file), "--port", "wan0"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TERM": "linux"},
    )
    assert "LOI: 'wan0' khong co dang TEN=CONG" in done.stdout
    assert done.stdout.isascii()


def test_what_the_script_reads_out_is_what_trust_compares(tmp_path: Path) -> None:
    (program,) = re.findall(r"(?ms)<<'PYTHON'\n(.*?)^PYTHON$", text_of(of_sample("buoi-gw")))
    public = tmp_path / "key.pub"
    public.write_text(f"{KEY}\n")
    done = subprocess.run(
        [sys.executable, "-c", program, str(public), "xterm"], capture_output=True, text=True, check=True
    )
    key = base64.b64decode(KEY.split()[1])
    groups = spoken(key).split()
    assert [line.split()[1] for line in done.stdout.splitlines() if re.match(r"  \d:", line)] == groups
    for language in ("vi", "en"):
        for words in in_words(spoken(key), language):
            assert words in " ".join(done.stdout.split())


def test_digits_are_understood_however_they_are_grouped() -> None:
    found = digits(base64.b64decode(KEY.split()[1]))
    assert len(found) == 30
    assert as_digits(f" {found[:4]}-{found[4:11]} {found[11:]}.") == found
    assert as_digits(found[:-1]) is None
    assert as_digits("SHA256:abc") is None


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_readme_names_every_port_and_the_script(language: str) -> None:
    found = of_sample("buoi-gw")
    text = readme(found, language)
    assert "wardnet-bootstrap-buoi-gw.sh --check" in text
    assert all(f"    {port.name}" in text for port in found.ports)
    assert "$" not in text


# --- the command


def bootstrap(*arguments: str) -> Result:
    words = ["bootstrap", *arguments, "-i", str(INVENTORY)]
    return CliRunner().invoke(build(words), words)


@pytest.fixture(name="key")
def public_key(tmp_path: Path) -> Path:
    path = tmp_path / "controller.pub"
    path.write_text(f"{KEY}\n")
    return path


def test_the_command_writes_the_stick(key: Path, tmp_path: Path) -> None:
    result = bootstrap("buoi-gw", "-o", str(tmp_path / "stick"), "--key", str(key))
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "stick").iterdir())
    assert names == ["README.en.txt", "README.vi.txt", "wardnet-bootstrap-buoi-gw.sh"]
    assert KEY in (tmp_path / "stick" / "wardnet-bootstrap-buoi-gw.sh").read_text()
    assert "wardnet trust buoi-gw --replaced" in " ".join(result.stdout.split())


def test_the_key_beside_the_controllers_own_is_taken(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARDNET_SSH_KEY", str(key.with_suffix("")))
    assert bootstrap("buoi-gw", "-o", str(tmp_path / "stick")).exit_code == 0
    monkeypatch.delenv("WARDNET_SSH_KEY")
    result = bootstrap("buoi-gw", "-o", str(tmp_path / "stick"))
    assert result.exit_code == 2
    assert "which key may log in?" in result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "is a private key, which stays here"),
        ("hello\n", "is not one public key of SSH"),
        (f"{KEY}\n{KEY}\n", "is not one public key of SSH"),
        (f"{KEY}\nWARDNET\nrm -rf /\n", "is not one public key of SSH"),
    ],
)
def test_what_is_no_public_key_never_reaches_the_stick(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    result = bootstrap("buoi-gw", "-o", str(tmp_path / "stick"), "--key", str(path))
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.split())
    assert not (tmp_path / "stick").exists()


def test_a_host_without_such_a_way_ends_with_2(key: Path, tmp_path: Path) -> None:
    result = bootstrap("buoi-pc-1", "-o", str(tmp_path / "stick"), "--key", str(key))
    assert result.exit_code == 2
    assert "buoi-pc-1 is no gateway" in result.stderr
