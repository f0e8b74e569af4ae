"""What a hardened host refuses, from outside and from inside; security updates from the mirror; and that nothing is
forwarded before the filter is loaded, whatever the files of sysctl.d say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Lab
from tests.lab.lab_support import lab_command
from tests.roles.roles_support import eventually, inside, play

pytestmark = pytest.mark.lab

GATEWAY, PC = "buoi-gw", "buoi-pc-1"
HOSTS = (GATEWAY, "tay-ho-hub", PC)


def address(lab: Lab, host: str) -> str:
    for line in (lab.state / "known_hosts").read_text().splitlines():
        names = line.split()[0].split(",")
        if names[0] == host:
            return names[1]
    raise LookupError(host)


def ssh(lab: Lab, host: str, *options: str, user: str = "wardnet", command: str = "true") -> tuple[int, str]:
    """Status and words of a login from the controller, by its key."""
    argv = ["ssh", "-F", "/dev/null", "-i", str(lab.state / "ssh" / "controller"), "-o", "BatchMode=yes"]
    argv += ["-o", f"UserKnownHostsFile={lab.state / 'known_hosts'}", "-o", "ConnectTimeout=30", *options]
    done = lab.run("controller", [*argv, f"{user}@{address(lab, host)}", command], stdin=b"", timeout=120)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.parametrize("host", HOSTS)
def test_the_controllers_key_lets_in_and_nothing_else_does(converged: Lab, host: str) -> None:
    assert ssh(converged, host) == (0, "")
    no_key = ("-o", "PubkeyAuthentication=no", "-o", "PreferredAuthentications=password,keyboard-interactive,hostbased")
    code, said = ssh(converged, host, *no_key)
    assert code == 255
    assert "Permission denied (publickey)" in said


def test_root_is_refused_with_a_key_that_would_do(converged: Lab) -> None:
    key = (converged.state / "ssh" / "controller.pub").read_text().strip()
    plant = f"install -d -m 0700 /root/.ssh && echo '{key}' > /root/.ssh/authorized_keys"
    inside(converged, GATEWAY, "sh", "-c", f"{plant} && chmod 0600 /root/.ssh/authorized_keys")
    try:
        code, said = ssh(converged, GATEWAY, user="root")
    finally:
        inside(converged, GATEWAY, "rm", "-r", "/root/.ssh")
    assert code == 255
    assert "Permission denied (publickey)" in said


@pytest.mark.parametrize(
    ("option", "of"),
    [
        ("KexAlgorithms=diffie-hellman-group14-sha256", "key exchange method"),
        ("KexAlgorithms=ecdh-sha2-nistp256", "key exchange method"),
        ("Ciphers=aes256-cbc", "cipher"),
        ("MACs=hmac-sha1", "MAC"),
        ("HostKeyAlgorithms=ssh-rsa", "host key type"),
    ],
)
def test_what_is_weak_is_not_spoken(converged: Lab, option: str, of: str) -> None:
    extra = ("-o", "Ciphers=aes128-ctr") if of == "MAC" else ()  # others bring a check of their own
    code, said = ssh(converged, GATEWAY, "-o", option, *extra)
    assert code == 255
    assert f"no matching {of} found" in said


# The first of each that a client of the release offers, by its ssh(1); every one must be good enough to be spoken.
CLIENTS = {
    "Debian 12": ("sntrup761x25519-sha512@openssh.com", "chacha20-poly1305@openssh.com", "umac-128-etm@openssh.com"),
    "Debian 13 with a server of 12": ("curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com"),
    "an old appliance": ("diffie-hellman-group16-sha512", "aes256-ctr", "hmac-sha2-512-etm@openssh.com"),
}


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_that_are_in_use_come_in(converged: Lab, client: str) -> None:
    kex, cipher, mac = CLIENTS[client]
    options = ("-o", f"KexAlgorithms={kex}", "-o", f"Ciphers={cipher}", "-o", f"MACs={mac}")
    assert ssh(converged, GATEWAY, *options) == (0, "")


def test_the_audits_transport_comes_in(converged: Lab) -> None:
    script = (
        "import paramiko, sys\n"
        "client = paramiko.SSHClient()\n"
        "client.load_host_keys(sys.argv[3])\n"
        "client.connect(sys.argv[1], username='wardnet', key_filename=sys.argv[2], timeout=60, allow_agent=False)\n"
        "print(client.exec_command('echo in')[1].read().decode().strip())\n"
    )
    argv = [sys.executable, "-c", script, address(converged, GATEWAY), str(converged.state / "ssh" / "controller")]
    done = converged.run("controller", [*argv, str(converged.state / "known_hosts")], timeout=120)
    assert done.stdout.decode().strip() == "in", done.stderr.decode()


def test_a_session_is_no_relay(converged: Lab) -> None:
    done, said = ssh(converged, GATEWAY, "-W", f"{address(converged, 'tay-ho-hub')}:22", command="")
    assert done == 255
    assert "administratively prohibited" in said


@pytest.mark.parametrize("host", HOSTS)
def test_only_who_is_named_becomes_root(converged: Lab, host: str) -> None:
    assert ssh(converged, host, command="sudo -n id -u") == (0, "0\n")
    inside(converged, host, "useradd", "--no-create-home", "--groups", "sudo", "somebody")
    try:
        assert "is not allowed to run sudo" in inside(converged, host, "sudo", "-l", "-U", "somebody")
    finally:
        inside(converged, host, "userdel", "somebody")


@pytest.mark.parametrize("host", HOSTS)
def test_nobody_gets_a_core_dump_or_a_program_into_shared_memory(converged: Lab, host: str) -> None:
    assert ssh(converged, host, command="ulimit -Hc") == (0, "0\n")
    code, said = ssh(
        converged, host, command="cp /bin/true /dev/shm/x && /dev/shm/x; code=$?; rm /dev/shm/x; exit $code"
    )
    assert code == 126, said
    assert "Permission denied" in said


def test_what_must_not_run_cannot_be_started(converged: Lab) -> None:
    for unit in ("avahi-daemon.service", "rpcbind.socket", "telnet.socket", "apt-daily-upgrade.timer"):
        done = converged.shell(PC, ["systemctl", "start", unit])
        assert done.returncode != 0
        assert b"is masked" in done.stderr


def test_the_kernel_of_a_pc_believes_no_redirects_and_forwards_nothing(converged: Lab) -> None:
    ask = "cat /proc/sys/net/ipv4/conf/*/accept_redirects /proc/sys/net/ipv6/conf/*/accept_redirects | sort -u"
    assert inside(converged, PC, "sh", "-c", ask) == "0"
    ask = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding | sort -u"
    assert inside(converged, PC, "sh", "-c", ask) == "0"
    assert inside(converged, PC, "cat", "/proc/sys/net/ipv4/conf/default/rp_filter") == "1"


def test_the_audit_log_waits_for_a_machine_of_its_own(converged: Lab) -> None:
    """A container has no audit log: the unit is there, enabled, and says so itself."""
    assert inside(converged, GATEWAY, "systemctl", "is-enabled", "auditd.service") == "enabled"
    shown = inside(converged, GATEWAY, "systemctl", "show", "-p", "ActiveState,ConditionResult", "auditd.service")
    assert set(shown.split()) == {"ActiveState=inactive", "ConditionResult=no"}


# ---------------------------------------------------------------- before the filter is loaded


def forwarding(lab: Lab) -> set[str]:
    return set(inside(lab, GATEWAY, "sh", "-c", "cat /proc/sys/net/ipv[46]/conf/*/forwarding").split())


def test_no_file_of_sysctl_has_a_gateway_forward_without_its_filter(converged: Lab) -> None:
    planted = "/etc/sysctl.d/zz-mine.conf"
    lines = "net.ipv4.ip_forward=1\\nnet.ipv6.conf.all.forwarding=1\\nnet.ipv4.conf.wan0.forwarding=1\\n"
    inside(converged, GATEWAY, "sh", "-c", f"printf '{lines}' > {planted}")
    try:
        inside(converged, GATEWAY, "systemctl", "restart", "systemd-sysctl.service")
        assert forwarding(converged) == {"1"}, "a gateway at work goes on"
        # As it is while a gateway boots, or for good where its ruleset does not load.
        inside(converged, GATEWAY, "systemctl", "stop", "nftables.service")
        inside(converged, GATEWAY, "nft", "flush", "ruleset")
        assert forwarding(converged) == {"0"}
        inside(converged, GATEWAY, "systemctl", "restart", "systemd-sysctl.service")
        assert forwarding(converged) == {"0"}
        checked = play(converged, "site.yml", "--check", "--diff", "--limit", GATEWAY)
        assert f"before: {planted} (remove)" in checked.output
    finally:
        inside(converged, GATEWAY, "rm", planted)
        inside(converged, GATEWAY, "systemctl", "restart", "nftables.service")
    assert forwarding(converged) == {"1"}


# ---------------------------------------------------------------- security updates


def package(folder: Path, version: str, postinst: str = "exit 0") -> Path:
    root = folder / version
    (root / "DEBIAN").mkdir(parents=True)
    fields = {"Package": "wardnet-newer", "Version": version, "Architecture": "all"}
    fields |= {"Maintainer": "nobody <nobody@example.net>", "Description": "for a test of security updates"}
    (root / "DEBIAN" / "control").write_text("".join(f"{key}: {value}\n" for key, value in fields.items()))
    (root / "DEBIAN" / "postinst").write_text(f"#!/bin/sh\n{postinst}\n")
    (root / "DEBIAN" / "postinst").chmod(0o755)
    made = folder / f"wardnet-newer_{version}_all.deb"
    build = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(made)]
    subprocess.run(build, check=True, capture_output=True)
    return made


def version(lab: Lab) -> str:
    return inside(lab, PC, "dpkg-query", "--show", "--showformat=${Version}", "wardnet-newer")


def state(lab: Lab) -> str:
    return inside(lab, PC, "systemctl", "show", "--property=ActiveState", "--value", "wardnet-upgrade.service")


@contextmanager
def older(lab: Lab, folder: Path) -> Iterator[None]:
    """The PC has version 1, the mirror version 2, which is not done until /run/go is there."""
    for made in (package(folder, "1"), package(folder, "2", "until [ -e /run/go ]; do sleep 0.2; done")):
        assert lab_command("publish", "--name", lab.name, str(made)).returncode == 0
        if made.name.endswith("_1_all.deb"):
            inside(
                lab, PC, "sh", "-c", "apt-get -qq update && apt-get -qq --yes install wardnet-newer=1 >/dev/null 2>&1"
            )
    assert version(lab) == "1"
    try:
        yield
    finally:
        away = "touch /run/go; systemctl stop wardnet-upgrade; dpkg --configure -a; dpkg --purge wardnet-newer"
        inside(lab, PC, "sh", "-c", f"{away}; rm -f /run/go /var/lib/wardnet/undo/armed.json")


def test_updates_come_from_the_mirror_but_never_into_an_unconfirmed_change(converged: Lab, tmp_path: Path) -> None:
    with older(converged, tmp_path):
        armed = "mkdir -p /var/lib/wardnet/undo && touch /var/lib/wardnet/undo/armed.json"
        inside(converged, PC, "sh", "-c", armed)
        inside(converged, PC, "systemctl", "start", "--no-block", "wardnet-upgrade.service")
        assert eventually(lambda: state(converged) == "activating")
        # It reads the index only with the lock, and that comes before everything else.
        assert "Starting" in inside(converged, PC, "journalctl", "--unit=wardnet-upgrade", "--output=cat", "--no-pager")
        assert version(converged) == "1"
        inside(converged, PC, "rm", "/var/lib/wardnet/undo/armed.json")

        def unpacked() -> bool:
            return version(converged) == "2"

        assert eventually(unpacked, 300), inside(converged, PC, "journalctl", "--unit=wardnet-upgrade", "--no-pager")
        held = play(converged, "site.yml", "--limit", PC)
        assert held.failed == (PC,)
        assert "security updates is at work here since" in held.said
        inside(converged, PC, "touch", "/run/go")
        assert eventually(lambda: state(converged) == "inactive", 300)
        installed = inside(converged, PC, "dpkg-query", "--show", "--showformat=${db:Status-Status}", "wardnet-newer")
        assert (version(converged), installed) == ("2", "installed")
    assert play(converged, "site.yml", "--limit", PC).changed == {}, "what wardnet keeps is as it was"
