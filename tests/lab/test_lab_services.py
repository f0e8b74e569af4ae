"""What the lab provides for its hosts: names, packages, the portal and the scanner, used as hosts use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab import Lab
from lab.demo import upload
from tests.lab.lab_support import CHECKOUT, NAME, lab_command

pytestmark = pytest.mark.lab

RESOLVE = """
import socket, sys
try: print(sorted({one[4][0] for one in socket.getaddrinfo(sys.argv[1], 443, proto=6)}))
except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)
"""


def resolve(lab: Lab, host: str, name: str) -> str:
    done = lab.run(host, [sys.executable, "-c", RESOLVE, name])
    return done.stdout.decode().strip()


def test_each_channels_resolver_answers_in_both_families_and_knows_nothing_of_the_other(lab: Lab) -> None:
    assert resolve(lab, "controller", "dvctt.tayho.example") == "['10.20.200.10', 'fd20:20:200::10']"
    assert resolve(lab, "controller", "www.congcong.example") == "True"
    assert resolve(lab, "buoi-building-citizen-1", "www.congcong.example") == "['2001:db8:cafe::80', '203.0.113.80']"
    assert resolve(lab, "buoi-building-citizen-1", "dvctt.tayho.example") == "True"


@pytest.mark.parametrize("family", ["-4", "-6"])
@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("controller", "https://dvctt.tayho.example/"),
        ("buoi-building-citizen-1", "https://dichvucong.tayho.example/"),
        ("buoi-building-citizen-1", "https://www.congcong.example/"),
    ],
)
def test_services_are_reached_under_their_names_with_a_certificate_that_is_trusted(
    lab: Lab, host: str, url: str, family: str
) -> None:
    done = lab.shell(host, ["curl", family, "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", url])
    assert (done.stdout, done.stderr) == (b"200", b"")


def test_the_certificate_is_the_labs_own_and_not_trusted_without_it(lab: Lab) -> None:
    argv = ["curl", "-sS", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "https://dvctt.tayho.example/"]
    assert lab.run("controller", argv).returncode == 60
    assert lab.run("controller", [*argv, "--cacert", str(lab.state / "ca.pem")]).stdout == b"200"


APT = """
set -e
mkdir -p /tmp/apt/lists/partial /tmp/apt/cache/archives/partial
cat > /tmp/apt/key.asc
echo "deb [signed-by=/tmp/apt/key.asc] http://10.20.200.80/ $1 main" > /tmp/apt/lab.list
apt="-oDir::State::lists=/tmp/apt/lists -oDir::Cache=/tmp/apt/cache -oDir::Etc::sourcelist=/tmp/apt/lab.list"
apt="$apt -oDir::Etc::sourceparts=/dev/null"
apt-get $apt update -o APT::Update::Error-Mode=any >&2
shift
apt-cache $apt policy "$@"
apt-get $apt install --download-only -y "$@" >&2
ls /tmp/apt/cache/archives/*.deb
rm -r /tmp/apt
"""


def install_from_mirror(lab: Lab, *packages: str, key: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    key = key or (lab.state / "mirror" / "mirror-key.asc").read_bytes()
    return lab.shell("controller", ["sh", "-c", APT, "sh", lab.record.suite, *packages], stdin=key, timeout=120)


def test_packages_come_from_the_mirror_with_a_signature_that_apt_checks(lab: Lab) -> None:
    done = install_from_mirror(lab, "prometheus", "prometheus-alertmanager")
    assert done.returncode == 0, done.stderr.decode()
    assert b"/prometheus_" in done.stdout


def test_the_mirror_is_not_believed_with_another_key(lab: Lab) -> None:
    other = Path("/usr/share/keyrings/debian-archive-keyring.gpg").read_bytes()
    done = install_from_mirror(lab, "prometheus", key=other)
    assert done.returncode != 0
    assert b"not signed" in done.stderr or b"NO_PUBKEY" in done.stderr


def test_a_package_published_while_the_lab_runs_can_be_installed(lab: Lab, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: wardnet-lab-test\nVersion: 1.2.3\nArchitecture: all\nMaintainer: tests <tests@tayho.example>\n"
        "Description: published by a test\n"
    )
    package = tmp_path / "wardnet-lab-test_1.2.3_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", root, package], check=True, capture_output=True)
    done = lab_command("publish", "--name", NAME, str(package))
    assert (done.returncode, done.stdout.strip()) == (0, "published wardnet-lab-test 1.2.3")
    found = install_from_mirror(lab, "wardnet-lab-test")
    assert found.returncode == 0, found.stderr.decode()
    assert b"1.2.3" in found.stdout


def test_what_is_no_package_is_not_published(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_text("no package")
    for path in (tmp_path / "x.deb", tmp_path / "nope.deb"):
        done = lab_command("publish", "--name", NAME, str(path))
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert install_from_mirror(lab, "prometheus").returncode == 0


def test_a_clerk_scans_a_page_and_sends_it_to_the_portal(lab: Lab, tmp_path: Path) -> None:
    scanner = "http://10.20.1.20/eSCL/ScanJobs"
    settings = "<scan:ScanSettings><scan:DocumentFormatExt>image/png</scan:DocumentFormatExt></scan:ScanSettings>"
    made = lab.shell("buoi-pc-1", ["curl", "-sS", "-D-", "-o", "/dev/null", "-d", settings, scanner])
    job = next(line.split()[1].decode() for line in made.stdout.splitlines() if line.startswith(b"Location:"))
    page = lab.shell("buoi-pc-1", ["curl", "-sS", f"{job}/NextDocument"]).stdout
    assert page.startswith(b"\x89PNG")
    scan = tmp_path / "scan.png"
    scan.write_bytes(page)
    password = (lab.state / "portal-password").read_text().strip()
    argv = [sys.executable, upload.__file__, "https://dvctt.tayho.example/", password, str(scan)]
    done = lab.run("controller", [*argv, str(lab.state / "ca.pem")])
    assert done.returncode == 0, done.stderr.decode()
    status, code, board, state = done.stdout.decode().strip().split(" ", 3)
    assert (status, code[:3], board, state) == ("201", "HS-", "yes", "Đã tiếp nhận")


def test_the_window_shows_the_monitoring_hosts_prometheus_port(lab: Lab) -> None:
    """Whatever listens there: before provisioning the lab has nothing, so that the test brings its own."""
    port = lab.record.window
    assert port is not None
    script = (
        "import http.server as h; h.HTTPServer(('10.30.200.30', 9090), h.SimpleHTTPRequestHandler).handle_request()"
    )
    busy = lab.shell("monitoring", ["sh", "-c", "ss -Hltn sport = :9090"]).stdout
    fetch = ["curl", "-sS", "--retry", "20", "--retry-delay", "0", "--retry-all-errors", "-m", "10"]
    fetch += ["-o", "/dev/null", "-w", "%{http_code}", f"http://127.0.0.1:{port}/"]
    if busy:
        done = subprocess.run(fetch, capture_output=True, check=False)
        assert done.stdout[:1] in (b"2", b"3")
        return
    inside = [sys.executable, "-m", "lab", "shell", "--name", NAME, "monitoring", "--", "python3", "-c", script]
    with subprocess.Popen(inside, cwd=CHECKOUT, stderr=subprocess.DEVNULL):
        done = subprocess.run(fetch, capture_output=True, check=False)
    assert done.stdout == b"200"
