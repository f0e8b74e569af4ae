"""What is published for hosts that pull: signed, unchanged where nothing has changed, never with a secret."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins_support import ROOT, gateway, load

publishing = load("action", "wardnet_publish")
published = load("module_utils", "wardnet_published")
signature = load("module_utils", "wardnet_signature")
filters = load("filter", "wardnet")

NOW = 1_800_000_000
DAY = 86400
STEPS = [{"role": "r", "part": "files", "files": [{"path": "/etc/x", "content": "one\n"}]}]


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "publisher"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture
def publish(key: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def run(steps: list[dict[str, Any]], now: float = NOW, check: bool = False, **given: Any) -> dict[str, Any]:
        words = {
            "folder": tmp_path / "out",
            "key": key,
            "host": "pc-1",
            "model_sha256": "a" * 64,
            "as_of": "2026-11-30",
        }
        made: dict[str, Any] = publishing.publish(publishing.read_inputs({**words, **given}), steps, now, check)
        return made

    return run


def test_a_bundle_is_written_with_its_signature(publish: Callable[..., Any], key: Path, tmp_path: Path) -> None:
    made = publish(STEPS)
    assert made["changed"]
    data = (tmp_path / "out" / "pc-1.bundle").read_bytes()
    assert signature.is_signed_with(data, (tmp_path / "out" / "pc-1.bundle.sig").read_bytes(), key)
    bundle = published.read_bundle(data)
    assert (bundle.host, bundle.serial, bundle.valid_until) == ("pc-1", NOW, NOW + 30 * DAY)
    assert bundle.steps == STEPS
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["pc-1.bundle", "pc-1.bundle.sig"]


def test_what_has_not_changed_is_published_anew_when_half_of_its_time_is_over(
    publish: Callable[..., Any], tmp_path: Path
) -> None:
    publish(STEPS)
    before = (tmp_path / "out" / "pc-1.bundle").read_bytes()
    assert not publish(STEPS, NOW + 15 * DAY, model_sha256="b" * 64, as_of="2026-12-15")["changed"]
    assert (tmp_path / "out" / "pc-1.bundle").read_bytes() == before
    made = publish(STEPS, NOW + 15 * DAY + 1)
    assert (made["changed"], made["serial"]) == (True, NOW + 15 * DAY + 1)
    assert "is valid until" in made["why"]


def test_what_has_changed_is_published_with_the_next_serial(publish: Callable[..., Any]) -> None:
    publish(STEPS)
    steps = [{**STEPS[0], "files": [{"path": "/etc/x", "content": "two\n"}]}]
    made = publish(steps)
    assert (made["serial"], made["why"]) == (NOW + 1, "it has changed")
    assert made["diff"]["before"] != made["diff"]["after"]
    assert "two" not in str(made), "what is in files is not for the journal"
    assert publish(steps, probes=[{"port": "wan0", "channel": "wan"}])["serial"] == NOW + 2


def test_what_somebody_else_has_touched_is_published_anew(publish: Callable[..., Any], tmp_path: Path) -> None:
    for name, content in (("pc-1.bundle", b"{}"), ("pc-1.bundle.sig", b"x"), ("pc-1.bundle", b"")):
        publish(STEPS)
        (tmp_path / "out" / name).write_bytes(content)
        assert publish(STEPS, NOW + 5)["changed"]
        assert not publish(STEPS, NOW + 5)["changed"]


def test_a_check_writes_nothing(publish: Callable[..., Any], tmp_path: Path) -> None:
    assert publish(STEPS, check=True)["changed"]
    assert not (tmp_path / "out").exists()


def test_a_secret_is_never_published(publish: Callable[..., Any], tmp_path: Path) -> None:
    steps = [*STEPS, {"role": "dialled_lines", "part": "files",
                      "files": [{"path": "/etc/ppp/x.secret", "content": "hush-hush", "secret": True}]}]  # fmt: skip
    with pytest.raises(publishing.PublishError, match=r"role dialled_lines wants the secret file /etc/ppp/x.secret"):
        publish(steps)
    assert not (tmp_path / "out").exists()


def test_signers_without_the_key_that_signs_are_never_published(
    publish: Callable[..., Any], key: Path, tmp_path: Path
) -> None:
    def steps(*keys: Path) -> list[dict[str, Any]]:
        lines = [f'publisher namespaces="wardnet-bundle" {path.read_text()}' for path in keys]
        return [{"role": "pull", "part": "files",
                 "files": [{"path": "/etc/wardnet/pull-signers", "content": "".join(lines)}]}]  # fmt: skip

    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other], check=True)
    mine, others = key.with_name(f"{key.name}.pub"), tmp_path / "other.pub"
    with pytest.raises(publishing.PublishError, match="signers of whom none has signed it"):
        publish(steps(others))
    assert not (tmp_path / "out").exists()
    assert publish(steps(others, mine))["changed"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folder": ""}, "wardnet_publish_folder is not given"),
        ({"key": ""}, "wardnet_publish_key is not given"),
        ({"key": ROOT / "inventory" / "key"}, "the key that signs lies in the checkout"),
        ({"keys": "x"}, "wardnet_publish has no keys"),
    ],
)
def test_wrong_inputs_are_refused(publish: Callable[..., Any], given: dict[str, Any], said: str) -> None:
    with pytest.raises(publishing.PublishError, match=said):
        publish(STEPS, **given)


def test_a_key_without_its_public_half_says_so(publish: Callable[..., Any], key: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "lonely"
    lonely.write_bytes(key.read_bytes())
    lonely.chmod(0o600)
    publish(STEPS)
    with pytest.raises(signature.SignatureError, match="public half of the key that signs must lie beside it"):
        publish(STEPS, key=lonely)


def test_far_ends_of_internet_lines_are_never_pinged_and_the_hub_is() -> None:
    """No filter lets a gateway speak with the provider's end: a ping of it would be told as unanswered in each run."""
    wan, internet = filters.asked_probes(gateway("buoi-gw"))
    assert (wan["channel"], internet["channel"]) == ("wan", "internet")
    assert "10.31.1.1" in wan["targets"]
    assert "peers" not in wan
    assert internet["peers"] == ["198.51.100.5", "2001:db8:ff:1::1"]
    assert not set(internet["peers"]) & set(internet["targets"])
    assert internet["targets"]


def test_far_ends_of_a_pulled_gateways_lines_are_never_pinged() -> None:
    (probe,) = filters.asked_probes(gateway("buoi-building-gw"))
    assert probe["peers"] == ["198.51.100.69", "2001:db8:ff:101::1"]
    assert not set(probe["peers"]) & set(probe["targets"])
    assert probe["targets"], "somebody behind the line is asked"


# ---- the package ----


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it installs, unpacked by Debian's own tool."""
    built = [_build(tmp_path_factory.mktemp("dist")) for _ in range(2)]
    assert built[0].read_bytes() == built[1].read_bytes(), "the same sources give the same bytes"
    assert built[0].stat().st_size < 200_000
    folder = tmp_path_factory.mktemp("root")
    subprocess.run(["dpkg-deb", "-x", str(built[0]), str(folder)], check=True)
    return folder


def _build(output: Path) -> Path:
    command = [sys.executable, str(ROOT / "packaging" / "build_pull.py"), "--output", str(output)]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


def test_the_package_holds_all_that_it_imports_and_nothing_else_is_taken(package: Path) -> None:
    code = (
        "import sys, sysconfig; tree = sys.argv[1]; sys.path.insert(0, tree);"
        "import ansible.module_utils.wardnet_pull as pull, ansible.module_utils.wardnet_undo as undo;"
        "from ansible.module_utils.wardnet_way_back import source;"
        "assert source() == open(undo.__file__).read();"  # what goes back is written to the host from here
        "own = (tree, sysconfig.get_path('stdlib'));"
        "print([n for n, m in sys.modules.items() if getattr(m, '__file__', None) and not m.__file__.startswith(own)])"
    )
    command = [sys.executable, "-IS", "-c", code, str(package / "usr/lib/wardnet-pull")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_program_says_what_is_missing_in_its_configuration(package: Path, tmp_path: Path) -> None:
    library = package / "usr/lib/wardnet-pull"
    code = f"import sys; sys.path.insert(0, {str(library)!r}); from ansible.module_utils.wardnet_pull import main; main"
    words = f"{code}; sys.exit(main(['--check', '--config', {str(tmp_path / 'no.json')!r}]))"
    done = subprocess.run([sys.executable, "-IS", "-c", words], capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert "not configured: " in done.stdout
    assert "no.json cannot be read" in done.stdout


def test_the_package_brings_what_mirrors_are_believed_by(tmp_path: Path) -> None:
    words = ["dpkg-deb", "-f", str(_build(tmp_path)), "Depends"]
    depends = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "ca-certificates" in depends


def test_the_units_are_ones_that_systemd_takes(package: Path) -> None:
    units = package / "usr/lib/systemd/system"
    names = sorted(path.name for path in units.iterdir())
    services, timers = (
        ["wardnet-pull-boot.service", "wardnet-pull.service"],
        ["wardnet-pull-boot.timer", "wardnet-pull.timer"],
    )
    assert names == sorted(services + timers)
    for name in services:
        service = (units / name).read_text()
        assert "SuccessExitStatus=75" in service
        assert "After=network-online.target" in service
        assert "KillMode=process" in service, "a PC that is switched off does not end dpkg in the middle"
    assert "Type=exec\n" in (units / services[0]).read_text(), "a slow boot does not wait for it"
    boot = re.findall("^ExecStart=/usr/bin/wardnet-pull (.*)$", (units / services[0]).read_text(), re.MULTILINE)
    assert boot == ["--until-reached 15"]
    assert f"Unit={services[0]}\n" in (units / timers[0]).read_text()
    for name in ("wardnet-pull-boot.timer", "wardnet-pull.timer"):
        assert "RandomizedDelaySec=" in (units / name).read_text()
