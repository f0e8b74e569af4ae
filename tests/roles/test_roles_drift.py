"""What somebody changes by hand is found in check mode, named, and healed; all of it in one run of each."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from lab import Lab
from tests.roles.roles_support import Run, inside, play

pytestmark = pytest.mark.lab

LIMIT = ("--limit", "tay-ho-hub,buoi-gw,buoi-pc-1,monitoring")

DELETE_RULE = """handle=$(nft -a list chain inet wardnet forward | awk '/clerks-portal/ {print $NF; exit}')
nft delete rule inet wardnet forward handle $handle"""

# A server with a configuration of its own, in the place of the distribution's, listens at every address.
TELL_SSHD = """printf 'UsePAM yes\\n' > /root/sshd-mine; mkdir -p /etc/systemd/system/ssh.service.d
printf '[Service]\\nExecStart=\\nExecStart=/usr/sbin/sshd -D -f /root/sshd-mine\\n' \\
    > /etc/systemd/system/ssh.service.d/60-mine.conf
systemctl daemon-reload && systemctl restart ssh.service"""
SSHD_BY_HAND = "/usr/sbin/sshd -o ListenAddress=198.51.100.6:22 -o PidFile=/run/sshd-mine.pid"

ADD_TO_A_FILE = """mkdir -p /etc/systemd/network/10-wardnet-wan-wan0.network.d
echo '[Network]' > /etc/systemd/network/10-wardnet-wan-wan0.network.d/mine.conf"""

# With the folder after it.
DROP_IN = r"drop_in() { mkdir -p $1; printf '[Service]\nEnvironment=MINE=1\n' > $1/mine.conf; }; drop_in"
# (host, what somebody does, what the check must say about it)
DRIFT: dict[str, tuple[str, str, str | re.Pattern[str] | None]] = {
    "a rule deleted": (
        "buoi-gw",
        DELETE_RULE,
        re.compile(r'^\+.* comment "clerks-portal', re.MULTILINE),
    ),
    "a rule inserted": (
        "buoi-gw",
        "nft insert rule inet wardnet forward accept",
        re.compile(r"^-\s*accept$", re.MULTILINE),
    ),
    "a table beside ours": ("buoi-gw", "nft add table ip helpful", "-table ip helpful {"),
    "all rules flushed": ("tay-ho-hub", "nft flush ruleset", "+table inet wardnet {"),
    "a policy rule added": (
        "buoi-gw",
        "ip rule add from 10.20.1.11 lookup 200 priority 500",
        "-rule 500 IPv4: from 10.20.1.11/32 lookup 200",
    ),
    "a marked rule added": (
        "buoi-gw",
        "ip rule add fwmark 7 lookup 200 priority 501",
        '-rule 501 IPv4: {"fwmark": "0x7"}',
    ),
    "a policy rule deleted": ("buoi-gw", "ip -6 rule del priority 1900", "+rule 1900 IPv6: iif lo lookup 100"),
    "a table flushed": ("buoi-gw", "ip route flush table 200", "+route unreachable 0.0.0.0/0 metric 4000000 table 200"),
    "a route leaked": (
        "buoi-gw",
        "ip -6 route add fd20:20:1::/64 dev clerks0 table 200",
        "-route fd20:20:1::/64 dev clerks0 metric 1024 table 200",
    ),
    "a default in main": (
        "buoi-gw", "ip route add default via 10.31.1.1 dev wan0", "-route 0.0.0.0/0 via 10.31.1.1 dev wan0",
    ),
    "an address added": ("buoi-gw", "ip address add 10.20.1.99/24 dev clerks0", "-address 10.20.1.99/24 on clerks0"),
    "an address deleted": (
        "buoi-gw", "ip -6 address del fd20:20:1::1/64 dev clerks0", "+address fd20:20:1::1/64 on clerks0",
    ),
    "a route before all rules": (
        "buoi-gw", "ip route add 10.99.0.0/16 via 10.31.1.1 dev wan0 onlink table local",
        "-route 10.99.0.0/16 via 10.31.1.1 dev wan0 metric 0 table 255",
    ),
    "an address on the loopback": (
        "tay-ho-hub", "ip address add 10.20.1.77/32 dev lo", "-address 10.20.1.77/32 on lo",
    ),
    "a rule before ours with the same priority": (
        "buoi-gw", "ip rule add priority 1100 lookup 100", "-rule 1100 IPv4: all lookup 100",
    ),
    "a port switched off": ("buoi-gw", "ip link set dev wifi0 down", "+switch on wifi0"),
    "a port that forwards nothing": (
        "buoi-gw", "echo 0 > /proc/sys/net/ipv4/conf/citizen0/forwarding", "-net/ipv4/conf/citizen0/forwarding = 0",
    ),
    "a port that believes in its own address as sender": (
        "tay-ho-hub", "echo 1 > /proc/sys/net/ipv4/conf/servers0/accept_local",
        "-net/ipv4/conf/servers0/accept_local = 1",
    ),
    "networkd that no boot starts": (
        "tay-ho-hub", "systemctl disable --quiet systemd-networkd.service", "+start systemd-networkd.service",
    ),
    "more in a file of ours": (
        "buoi-gw",
        ADD_TO_A_FILE,
        "before: /etc/systemd/network/10-wardnet-wan-wan0.network.d/mine.conf (remove)",
    ),
    "SSH as a relay": (
        "buoi-gw", "echo 'AllowTcpForwarding yes' > /etc/ssh/sshd_config.d/00-mine.conf",
        "before: /etc/ssh/sshd_config.d/00-mine.conf (remove)",
    ),
    "a kernel setting": (
        "buoi-gw", "echo 1 > /proc/sys/net/ipv4/conf/all/proxy_arp", "-net/ipv4/conf/all/proxy_arp = 1",
    ),
    "forwarding switched off": (
        "tay-ho-hub", "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding", "-net/ipv6/conf/all/forwarding = 0",
    ),
    "a file of another network": (
        "buoi-gw",
        "printf '[Match]\\nName=wan0\\n' > /etc/systemd/network/00-mine.network",
        "before: /etc/systemd/network/00-mine.network (remove)",
    ),
    "the filter's file edited": ("buoi-gw", "echo '# x' >> /etc/nftables.conf", "before: /etc/nftables.conf (write)"),
    "the boot's filter disabled": ("tay-ho-hub", "systemctl disable --quiet nftables", None),
    "rights of the wrapper": (
        "buoi-gw", "chmod 0777 /usr/local/lib/wardnet/audit-read", "before: /usr/local/lib/wardnet/audit-read (mode)",
    ),
    "a key of one's own": (
        "buoi-gw", "echo ssh-ed25519 AAAA >> /etc/ssh/authorized_keys.d/wardnet-audit",
        "before: /etc/ssh/authorized_keys.d/wardnet-audit (write)",
    ),
    "passwords for SSH": (
        "buoi-pc-1", "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/10-wardnet.conf",
        "before: /etc/ssh/sshd_config.d/10-wardnet.conf (write)",
    ),
    "a package source": (
        "buoi-pc-1", "echo 'deb http://192.0.2.1/ x main' > /etc/apt/sources.list.d/more.list",
        "before: /etc/apt/sources.list.d/more.list (remove)",
    ),
    "the time zone": ("buoi-pc-1", "ln -sf /usr/share/zoneinfo/UTC /etc/localtime", "before: /etc/localtime (link)"),
    "the agent's configuration": (
        "buoi-gw", "echo '{}' > /etc/wardnet/agent.json", "before: /etc/wardnet/agent.json (write)",
    ),
    "an exporter stopped": ("buoi-gw", "systemctl disable --quiet --now wardnet-link-exporter", None),
    "an alert rule removed": (
        "monitoring", "rm /etc/prometheus/rules/alerts.yml", "after: /etc/prometheus/rules/alerts.yml (write)",
    ),
    "Prometheus stopped": ("monitoring", "systemctl stop prometheus", None),
    "SSH that listens everywhere": (
        "tay-ho-hub", TELL_SSHD, re.compile(r"^-SSH at 0\.0\.0\.0 port 22\n-SSH at :: port 22$", re.MULTILINE),
    ),
    "SSH by hand on the internet's line": ("buoi-gw", SSHD_BY_HAND, "-SSH at 198.51.100.6 port 22"),
    "a right of one's own": (
        "buoi-gw", "echo 'nobody ALL=(ALL) ALL' > /etc/sudoers.d/mine", "before: /etc/sudoers.d/mine (remove)",
    ),
    "root by the SSH server's own file": (
        "buoi-pc-1", "printf 'Match all\\nPermitRootLogin yes\\n' >> /etc/ssh/sshd_config",
        "before: /etc/ssh/sshd_config (write)",
    ),
    "forwarding before the filter": (
        "tay-ho-hub", "echo net.ipv4.ip_forward=1 > /etc/sysctl.d/zz-mine.conf",
        "before: /etc/sysctl.d/zz-mine.conf (remove)",
    ),
    "redirects believed": (
        "buoi-pc-1", "echo 1 > /proc/sys/net/ipv4/conf/all/accept_redirects", "-net/ipv4/conf/all/accept_redirects = 1",
    ),
    "a service unmasked": ("buoi-pc-1", "systemctl unmask --quiet rpcbind.socket", None),
    "more for the SSH server's unit": (
        "buoi-gw", f"{DROP_IN} /etc/systemd/system/ssh.service.d; systemctl daemon-reload; systemctl restart ssh",
        "before: /etc/systemd/system/ssh.service.d/mine.conf (remove)",
    ),
    # After the server has been started, which sets it.
    "addresses that SSH cannot await": (
        "buoi-gw", "echo 0 > /proc/sys/net/ipv6/ip_nonlocal_bind", "-net/ipv6/ip_nonlocal_bind = 0",
    ),
    "more for networkd": (
        "buoi-gw", f"{DROP_IN} /etc/systemd/system/systemd-networkd.service.d; systemctl daemon-reload",
        "before: /etc/systemd/system/systemd-networkd.service.d/mine.conf (remove)",
    ),
    "more for the filter until the next boot": (
        "tay-ho-hub", f"{DROP_IN} /run/systemd/system/nftables.service.d",
        "before: /run/systemd/system/nftables.service.d/mine.conf (remove)",
    ),
    "more for all servers of names": (
        "buoi-gw", f"{DROP_IN} /etc/systemd/system/wardnet-names@.service.d",
        "before: /etc/systemd/system/wardnet-names@.service.d/mine.conf (remove)",
    ),
    "more for what has a like name": (
        "monitoring", f"{DROP_IN} /usr/local/lib/systemd/system/prometheus-.service.d",
        "before: /usr/local/lib/systemd/system/prometheus-.service.d/mine.conf (remove)",
    ),
    "a unit of one's own in front of the package's": (
        "monitoring",
        "cp /usr/lib/systemd/system/prometheus-alertmanager.service /etc/systemd/system/; systemctl daemon-reload",
        "before: /etc/systemd/system/prometheus-alertmanager.service (remove)",
    ),
    "one in front of the package's on a gateway": (
        "buoi-gw", "cp /usr/lib/systemd/system/ssh.service /etc/systemd/system/",
        "before: /etc/systemd/system/ssh.service (remove)",
    ),
    "a link in front of the package's": (
        "buoi-pc-1",
        "cp /usr/lib/systemd/system/ssh.service /root/; ln -s /root/ssh.service /etc/systemd/system/ssh.service",
        "before: /etc/systemd/system/ssh.service (remove)",
    ),
    "packets beside their connections": (
        "tay-ho-hub", "echo 1 > /proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal",
        "-net/netfilter/nf_conntrack_tcp_be_liberal = 1",
    ),
    "a setting for the next boot where packages have theirs": (
        "buoi-gw", "echo net.ipv4.ip_forward=1 > /usr/lib/sysctl.d/zz-mine.conf",
        "before: /usr/lib/sysctl.d/zz-mine.conf (remove)",
    ),
    "a setting until the next boot": (
        "buoi-pc-1", "mkdir -p /run/sysctl.d; echo net.ipv4.ip_forward=1 > /run/sysctl.d/zz-mine.conf",
        "before: /run/sysctl.d/zz-mine.conf (remove)",
    ),
    "a port of small packets": ("buoi-gw", "ip link set dev wifi0 mtu 1400", "+MTU 1500 on wifi0"),
    "a port that asks for nobody": (
        "buoi-gw", "ip link set dev citizen0 arp off", "+let citizen0 ask for neighbours",
    ),
    "somebody else's MAC address": (
        "buoi-gw", "ip neigh replace 10.20.1.240 lladdr 02:00:00:00:00:99 dev clerks0 nud permanent",
        "-neighbour 10.20.1.240 on clerks0, always 02:00:00:00:00:99",
    ),
    "answers for others": (
        "buoi-gw", "ip neigh add proxy 10.20.1.250 dev clerks0", "-neighbour 10.20.1.250 on clerks0, answered for",
    ),
    "a device upon the internet's port": (
        "buoi-gw", "ip link add mine0 link inet0 type macvlan mode bridge", "-macvlan mine0 upon inet0",
    ),
    "one more key for the administrator": (
        "buoi-pc-1", "echo ssh-ed25519 AAAA mine >> /home/wardnet/.ssh/authorized_keys",
        "before: /home/wardnet/.ssh/authorized_keys (write)",
    ),
    "keys under another name": (
        "buoi-gw", "echo ssh-ed25519 AAAA mine > /home/wardnet/.ssh/authorized_keys2",
        "before: /home/wardnet/.ssh/authorized_keys2 (remove)",
    ),
    "a key for root": (
        "buoi-gw", "mkdir -p /root/.ssh; echo ssh-ed25519 AAAA mine > /root/.ssh/authorized_keys",
        "before: /root/.ssh/authorized_keys (remove)",
    ),
    "another root": (
        "buoi-gw", "useradd --non-unique --uid 0 --gid 0 --no-create-home toor", "-account toor, which is root",
    ),
    "no rules for the audit log": (
        "buoi-gw", "echo -D > /etc/audit/rules.d/zz.rules", "before: /etc/audit/rules.d/zz.rules (remove)",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Drift:
    found: Run
    healed: Run
    after: Run
    networkd: str  # its process before it was healed


def process_of(lab: Lab, host: str, unit: str) -> str:
    return inside(lab, host, "systemctl", "show", "--property=MainPID", "--value", unit)


@pytest.fixture(scope="module")
def drift(converged: Lab) -> Drift:
    for host, command, _ in DRIFT.values():
        inside(converged, host, "sh", "-c", command)
    networkd = process_of(converged, "buoi-gw", "systemd-networkd")
    return Drift(
        play(converged, "site.yml", "--check", "--diff", *LIMIT),
        play(converged, "site.yml", *LIMIT),
        play(converged, "site.yml", "--check", "--diff", *LIMIT),
        networkd,
    )


@pytest.mark.parametrize("name", DRIFT)
def test_drift_is_found_in_check_mode(drift: Drift, name: str) -> None:
    host, _, said = DRIFT[name]
    assert drift.found.status == 0, drift.found.tail
    assert drift.found.changed.get(host), f"nothing was found on {host}"
    if isinstance(said, str):
        assert said in drift.found.output
    elif said is not None:
        assert said.search(drift.found.output)


def test_drift_is_healed(drift: Drift) -> None:
    assert drift.healed.status == 0, drift.healed.tail
    assert set(drift.healed.changed) == {host for host, _, _ in DRIFT.values()}
    assert drift.after.status == 0
    assert drift.after.changed == {}, drift.after.output


def test_services_run_again_with_what_is_intended(drift: Drift, converged: Lab) -> None:
    assert drift.healed.status == 0
    for host, unit in (("buoi-gw", "wardnet-link-exporter"), ("monitoring", "prometheus"), ("tay-ho-hub", "nftables")):
        assert inside(converged, host, "systemctl", "is-active", unit) == "active"
        assert inside(converged, host, "systemctl", "is-enabled", unit) == "enabled"
    for unit in ("ssh", "systemd-networkd", "prometheus"):
        host = "monitoring" if unit == "prometheus" else "buoi-gw"
        assert "mine.conf" not in inside(converged, host, "systemctl", "show", "--property=DropInPaths", unit)
        environment = inside(converged, host, "cat", f"/proc/{process_of(converged, host, unit)}/environ")
        assert "MINE=1" not in environment
    for host in ("buoi-gw", "tay-ho-hub"):
        assert "0.0.0.0:22" not in inside(converged, host, "ss", "-Hltn")
    assert "198.51.100.6:22" not in inside(converged, "buoi-gw", "ss", "-Hltn")
    assert process_of(converged, "buoi-gw", "systemd-networkd") != drift.networkd
    settings = inside(converged, "buoi-pc-1", "sshd", "-T")
    assert "passwordauthentication no" in settings.splitlines()
