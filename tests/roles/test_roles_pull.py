"""Hosts that have only the internet come by themselves to what is published for them, refuse whatever is not for them,
and go back where they would be cut off."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from tests.roles.roles_support import Probe, Run, eventually, inside, play, wait_until
from tests.unit.plugins_support import load

pytestmark = pytest.mark.lab

PC, GATEWAY, MIRROR = "buoi-building-citizen-1", "buoi-building-gw", "public-mirror"
MIRROR_ADDRESSES = ("203.0.113.90", "2001:db8:cafe::90")
CONFIRM_WITHIN = 60

# In the mirror's place, with its certificate.
REDIRECTS = """
import http.server, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", "https://www.congcong.example/" + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.ThreadingHTTPServer(("0.0.0.0", 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/etc/lab-tls/certificate.pem", "/etc/lab-tls/key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Published:
    """What stands at the mirror, changed as an operator or a stranger would."""

    def __init__(self, lab: Lab) -> None:
        self._bundles = load("module_utils", "wardnet_published")
        self._signature = load("module_utils", "wardnet_signature")
        self.folder = lab.layout.published
        self._key = lab.layout.ssh / "publisher"
        self.serial = 0

    def path(self, host: str, suffix: str = ".bundle") -> Path:
        return self.folder / f"{host}{suffix}"

    def read(self, host: str) -> Any:
        return self._bundles.read_bundle(self.path(host).read_bytes())

    def put(self, host: str, bundle: Any, key: Path | None = None) -> Any:
        self.serial = max(self.serial, bundle.serial)
        data = self._bundles.write_bundle(bundle)
        self.path(host).write_bytes(data)
        self.path(host, ".bundle.sig").write_bytes(self._signature.sign(data, key or self._key))
        return bundle

    def anew(self, host: str, **changes: Any) -> Any:
        """The host's bundle as of now, changed; the next serial."""
        former, now = self.read(host), time.time()
        serial = self._bundles.next_serial(max(self.serial, former.serial), now)
        fresh = {"serial": serial, "published": int(now), "valid_until": int(now) + 86400}
        return self.put(host, replace(former, **{**fresh, **changes}))

    def with_file(self, host: str, path: str, change: Callable[[str], str]) -> list[dict[str, Any]]:
        """The steps of the host's bundle with one file's content changed."""
        steps: list[dict[str, Any]] = json.loads(json.dumps(self.read(host).steps))
        (file,) = [file for step in steps for file in step.get("files", []) if file["path"] == path]
        file["content"] = change(file["content"])
        return steps


@pytest.fixture(scope="module")
def first(converged: Lab) -> Run:
    """The first run of the playbook that publishes."""
    return play(converged, "publish.yml", "--limit", "ward_buoi")


@pytest.fixture(scope="module")
def mirror(converged: Lab, first: Run) -> Published:
    assert first.status == 0, first.tail
    return Published(converged)


@pytest.fixture
def kept(mirror: Published) -> Iterator[Published]:
    """What is published is as before, with newer serials, when the test is over."""
    former = {host: mirror.read(host) for host in (PC, GATEWAY)}
    yield mirror
    for host, bundle in former.items():
        mirror.put(host, bundle)
        mirror.anew(host)


def pulled(lab: Lab, host: str) -> dict[str, Any]:
    """What an attempt that begins now comes to. One that was at work already, by its timer, is let end first.

    systemd's number of the attempt tells it from the former one: clocks are set, and starts in quick succession
    are refused for some seconds.
    """

    def number_of_attempt() -> str:
        return inside(lab, host, "systemctl", "show", "--property", "InvocationID", "wardnet-pull.service")

    def at_work() -> bool:
        return lab.shell(host, ["systemctl", "is-active", "wardnet-pull.service"]).stdout.strip() == "activating"

    assert eventually(lambda: not at_work(), seconds=600)
    former = number_of_attempt()
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        lab.shell(host, ["systemctl", "start", "wardnet-pull.service"], timeout=600)
        if number_of_attempt() != former:
            return status_of(lab, host)
        time.sleep(1)
    pytest.fail(f"{host} does not pull: {inside(lab, host, 'journalctl', '-u', 'wardnet-pull', '-n', '30')}")


def status_of(lab: Lab, host: str) -> dict[str, Any]:
    done = lab.shell(host, ["cat", "/var/lib/wardnet/pull.json"])
    return dict(json.loads(done.stdout)) if done.returncode == 0 and done.stdout else {}


def untouched(lab: Lab, host: str) -> str:
    """What nothing that is refused may change."""
    files = inside(lab, host, "find", "/etc", "/usr/local", "-type", "f", "-printf", "%p %s %T@\\n")
    kept = inside(lab, host, "cat", "/var/lib/wardnet/confirmed.json", "/var/lib/wardnet/pull-taken.json")
    return f"{files}\n{ruleset(lab, host)}\n{kept}"


def ruleset(lab: Lab, host: str) -> str:
    return inside(lab, host, "nft", "--stateless", "list", "ruleset")


def test_a_second_run_publishes_nothing_anew(converged: Lab, first: Run, mirror: Published) -> None:
    assert {PC, GATEWAY, "buoi-citizen-1"} <= set(first.hosts)
    assert all(mirror.path(host).exists() for host in (PC, GATEWAY, "buoi-citizen-1"))
    before = {path.name: path.read_bytes() for path in mirror.folder.iterdir()}
    again = play(converged, "publish.yml", "--limit", "ward_buoi")
    assert again.status == 0, again.tail
    assert again.changed == {}
    assert {path.name: path.read_bytes() for path in mirror.folder.iterdir()} == before


def test_a_bundle_holds_what_the_roles_of_its_host_want_and_no_more(mirror: Published) -> None:
    roles = {host: {step["role"] for step in mirror.read(host).steps} for host in (PC, GATEWAY)}
    assert {"base", "zone_firewall", "channel_ports", "pull"} <= roles[GATEWAY]
    assert not {"probe_agent", "audit_account", "wan_channel"} & roles[GATEWAY], "nobody comes to it"
    assert {"base", "pull"} <= roles[PC]
    assert not {"zone_firewall", "channel_ports"} & roles[PC]


@pytest.mark.parametrize("host", [GATEWAY, PC, "buoi-citizen-1"])
def test_a_host_comes_to_what_is_published_and_then_changes_nothing(
    converged: Lab, mirror: Published, host: str
) -> None:
    first = pulled(converged, host)
    assert first["result"] in ("changed", "converged"), first
    assert first["serial"] == mirror.read(host).serial
    assert inside(converged, host, "date", "+%Z%z") == "+07+0700"
    sources = inside(converged, host, "sh", "-c", "cat /etc/apt/sources.list.d/* | grep URIs")
    assert sources == "URIs: https://public-mirror.tayho.example/"
    again = pulled(converged, host)
    assert again["result"] == "converged", again
    assert inside(converged, host, "systemctl", "--failed", "--no-legend", "--plain") == ""


def test_the_gateway_of_a_building_filters_and_forwards(converged: Lab, mirror: Published) -> None:
    assert pulled(converged, GATEWAY)["result"] in ("changed", "converged")
    assert inside(converged, GATEWAY, "nft", "list", "tables") == "table inet wardnet"
    assert "bootstrap" not in inside(converged, GATEWAY, "ls", "/etc/systemd/network").replace("bootstrap-tcp", "")
    assert wait_until(converged, PC, Probe("tcp", MIRROR_ADDRESSES[0], 443))
    assert not wait_until(converged, PC, Probe("tcp", MIRROR_ADDRESSES[0], 22), seconds=1)


def test_what_was_changed_by_hand_is_named_and_healed(converged: Lab, mirror: Published) -> None:
    assert pulled(converged, GATEWAY)["result"] in ("changed", "converged")
    inside(converged, GATEWAY, "nft", "add", "table", "ip", "helper")
    inside(converged, GATEWAY, "sh", "-c", "echo UTC > /etc/timezone")
    status = pulled(converged, GATEWAY)
    assert status["result"] == "changed", status
    assert {item["part"] for item in status["drift"]} >= {"filter", "files"}
    assert any("helper" in item["what"] for item in status["drift"])
    assert inside(converged, GATEWAY, "nft", "list", "tables") == "table inet wardnet"
    assert inside(converged, GATEWAY, "cat", "/etc/timezone") == "Asia/Ho_Chi_Minh"
    assert "changed by hand: filter: foreign: table ip helper" in inside(
        converged, GATEWAY, "journalctl", "-u", "wardnet-pull", "-o", "cat", "-n", "40"
    )


def test_a_host_that_was_off_comes_up_on_the_newest(converged: Lab, kept: Published) -> None:
    assert pulled(converged, PC)["result"] in ("changed", "converged")
    converged.power(PC, "off")
    for number in (1, 2):
        line = f"// number {number}\n"
        newest = kept.anew(
            PC, steps=kept.with_file(PC, "/etc/apt/apt.conf.d/90wardnet", lambda text, line=line: text + line)
        )
    converged.power(PC, "on")
    assert eventually(lambda: status_of(converged, PC).get("serial") == newest.serial, seconds=300)
    assert eventually(lambda: status_of(converged, PC)["result"] in ("changed", "converged"), seconds=300)
    assert inside(converged, PC, "tail", "-n", "1", "/etc/apt/apt.conf.d/90wardnet") == "// number 2"


def test_each_refusal_says_why_and_touches_nothing(converged: Lab, kept: Published, tmp_path: Path) -> None:
    good = kept.anew(PC)
    assert pulled(converged, PC)["result"] in ("changed", "converged")
    before = untouched(converged, PC)
    stranger = tmp_path / "stranger"
    converged.run(PC, ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)])
    other = kept.read(GATEWAY)
    steps = kept.with_file(PC, "/etc/timezone", lambda _: "UTC\n")
    later = {"serial": good.serial + 100, "steps": steps}

    def cut() -> None:
        data = kept.path(PC).read_bytes()
        kept.path(PC).write_bytes(data[: len(data) // 2])

    def tamper() -> None:
        data = kept.path(PC).read_bytes()
        kept.path(PC).write_bytes(data.replace(b"Asia/Ho_Chi_Minh", b"Asia/Hovd_Region"))

    cases: list[tuple[Callable[[], Any], str, str]] = [
        (tamper, "refused", "the signature is not one of a signer that this host allows"),
        (cut, "refused", "the signature is not one of a signer that this host allows"),
        (
            lambda: kept.put(PC, replace(good, **later), stranger),
            "refused",
            "not one of a signer that this host allows",
        ),
        (lambda: kept.put(PC, other), "refused", f"the bundle is for {GATEWAY}, and this machine is {PC}"),
        (lambda: kept.put(PC, replace(good, serial=good.serial - 1, steps=steps)), "refused", "holds an old one"),
        (lambda: kept.put(PC, replace(good, **later, valid_until=int(time.time()))), "refused", "published anew"),
        (lambda: kept.path(PC, ".bundle.sig").unlink(), "not_published", "nothing is published for this host"),
    ]
    for arrange, result, said in cases:
        kept.put(PC, good)
        arrange()
        status = pulled(converged, PC)
        assert (status["result"], status["serial"]) == (result, status["serial"]), status
        assert re.search(re.escape(said), status["why"]), status
        assert untouched(converged, PC) == before, said
    kept.put(PC, good)
    status = pulled(converged, PC)
    assert status["result"] == "converged", status


def test_a_mirror_that_is_off_or_sends_elsewhere_is_no_mirror(converged: Lab, kept: Published) -> None:
    assert pulled(converged, PC)["result"] in ("changed", "converged")
    before = untouched(converged, PC)
    inside(converged, MIRROR, "systemctl", "stop", "lab-mirror.service")
    try:
        status = pulled(converged, PC)
        assert (status["result"], "nothing was touched" in status["why"]) == ("not_reached", True), status
        assert inside(converged, PC, "systemctl", "--failed", "--no-legend", "--plain") == "", "it is tried again"
        inside(converged, MIRROR, "systemd-run", "--quiet", "--unit=redirects", "--collect", "python3", "-c", REDIRECTS)
        assert wait_until(converged, PC, Probe("tcp", MIRROR_ADDRESSES[0], 443))
        status = pulled(converged, PC)
        assert status["result"] == "refused", status
        assert "redirects" in status["why"]
        assert untouched(converged, PC) == before
    finally:
        converged.shell(MIRROR, ["systemctl", "stop", "redirects.service"])
        inside(converged, MIRROR, "systemctl", "start", "lab-mirror.service")
    assert wait_until(converged, PC, Probe("tcp", MIRROR_ADDRESSES[0], 443))
    assert pulled(converged, PC)["result"] == "converged"


def test_a_gateway_that_would_cut_itself_off_goes_back(converged: Lab, kept: Published) -> None:
    """Its line still answers, so that only the mirror tells."""
    good = kept.anew(GATEWAY)
    assert pulled(converged, GATEWAY)["result"] in ("changed", "converged")
    before = ruleset(converged, GATEWAY)

    def shut(text: str) -> str:
        four, six = MIRROR_ADDRESSES
        rules = f"\n    ip daddr {four} drop\n    ip6 daddr {six} drop"
        changed, count = re.subn(r"(type filter hook output [^\n]*)", lambda found: found[1] + rules, text, count=1)
        assert count == 1
        return changed

    arguments = {**good.arguments, "confirm_within": CONFIRM_WITHIN}
    kept.anew(GATEWAY, steps=kept.with_file(GATEWAY, "/etc/nftables.conf", shut), arguments=arguments)
    status = pulled(converged, GATEWAY)
    assert status["result"] == "taken_back", status
    assert "the mirror was not reached over a new connection after the change" in status["why"]
    said = inside(converged, GATEWAY, "journalctl", "-t", "wardnet", "-o", "cat", "-n", "5")
    assert "the mirror was not reached over a new connection after the change" in said
    assert ruleset(converged, GATEWAY) == before
    assert wait_until(converged, PC, Probe("tcp", MIRROR_ADDRESSES[0], 443)), "the building's line works"
    again = pulled(converged, GATEWAY)
    assert again["result"] == "failed", again
    assert "it is tried again after" in again["why"]
    kept.anew(GATEWAY, steps=good.steps, arguments=good.arguments)
    assert pulled(converged, GATEWAY)["result"] in ("changed", "converged")
