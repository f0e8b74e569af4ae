"""Programs that could join the channels past all forward rules: what answers names or time on a gateway is followed to
whom it asks, and by which port."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.servers import parse_servers
from collectors.parsers.sshd import parse_sshd
from tests.unit.audit_support import (
    Artefacts,
    edit_json,
    gateway,
    iif,
    meta,
    payload,
    verdict,
    with_rule,
    with_setting,
)
from tests.unit.zone_services_support import listed, service, serving
from wardnet.audit.records import DeviceResult, Verdict

LANS = {"clerks0": ("10.20.1.1", "fd20:20:1::1"), "citizen0": ("172.20.1.1", "2001:db8:20:1::1")}
ACCEPT = {"accept": None}


def sockets(port: str, first_pid: int) -> str:
    """What the three processes of a network hold, as ss prints it."""
    lines = []
    for shift, (name, number) in enumerate((("dnsmasq", 67), ("dnsmasq", 53), ("chronyd", 123))):
        users = f'users:(("{name}",pid={first_pid + shift},fd=4))'
        if number == 67:
            lines.append(f"udp UNCONN 0 0 0.0.0.0%{port}:67 0.0.0.0:* {users}")
            lines.append(f"udp UNCONN 0 0 [::]%{port}:547 [::]:* {users}")
            lines.append(f"raw UNCONN 0 0 *:58 *:* {users}")
            continue
        for address in LANS[port]:
            text = f"[{address}]" if ":" in address else address
            lines.append(f"udp UNCONN 0 0 {text}{f'%{port}' if number == 123 else ''}:{number} [::]:* {users}")
    return "".join(f"{line}\n" for line in lines)


def served(listeners: str = "", services: bytes | None = None) -> Artefacts:
    """A gateway that serves a LAN of each channel; or with other sockets or configurations."""
    plain = serving(service("clerks0"), service("citizen0"))
    return {
        **gateway(),
        "listeners.txt": (listeners or sockets("clerks0", 10) + sockets("citizen0", 20)).encode(),
        "services.txt": listed(plain) if services is None else services,
    }


def said(result: DeviceResult) -> list[str]:
    return [point.reason for point in result.problems]


def test_processes_that_keep_to_their_channel_leave_the_proof_whole() -> None:
    result = verdict(served())
    assert said(result) == []
    assert result.verdict is Verdict.PROVED


def test_one_process_at_addresses_of_both_channels_is_named() -> None:
    both = 'udp UNCONN 0 0 10.20.1.1:67 *:* users:(("dnsmasq",pid=7,fd=4))\n'
    both += 'udp UNCONN 0 0 0.0.0.0%citizen0:67 *:* users:(("dnsmasq",pid=7,fd=5))\n'
    result = verdict(served(both))
    (reason,) = said(result)
    assert reason.startswith("dnsmasq (pid 7) has to do with citizen0 (internet) and clerks0 (wan): what it passes on")
    assert result.verdict is Verdict.UNKNOWN
    assert result.problems[0].span.artefact == "listeners.txt"


def test_a_question_on_its_way_by_the_other_line_is_seen() -> None:
    result = verdict(
        served(sockets("clerks0", 10) + 'udp UNCONN 0 0 *%inet0:40123 *:* users:(("dnsmasq",pid=11,fd=9))\n')
    )
    assert len(said(result)) == 1
    assert "dnsmasq (pid 11) has to do with inet0 (internet) and clerks0 (wan)" in said(result)[0]


def test_a_resolver_that_asks_over_the_other_channel_is_named_with_its_line() -> None:
    result = verdict(served(services=served()["services.txt"].replace(b"@inet0", b"@wan0")))
    assert len(said(result)) == 2
    assert said(result)[0] == (
        "dnsmasq (pid 21) answers on citizen0 (internet) and asks 203.0.113.53 by wan0 (wan): "
        "/etc/wardnet/zones/citizens.names.conf"
    )
    assert str(result.problems[0].span).startswith("buoi-gw services.txt line ")


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (b"@wan0", b"", "zones/clerks.names.conf: what it asks 10.20.200.53 is bound to no port"),
        (b"@wan0", b"@eth9", "is bound to eth9, a port of no channel"),
        (b"@wan0", b"@10.31.1.2", "is bound to no port"),
        (b":no-resolv\n", b":no-poll\n", "without no-resolv it also asks whom /etc/resolv.conf names"),
        (b":cache-size=1000\n", b":servers-file=/tmp/x\n", "option servers-file is not modelled"),
        (b":bindacqdevice wan0\n", b":cmdport 0\n", "chronyd (pid 12), /etc/wardnet/zones/clerks.time.conf: what"),
        (b":cmdport 0\n", b":pool example.org\n", "option pool is not modelled"),
    ],
)  # fmt: skip
def test_what_is_not_bound_or_not_modelled_is_unknown(before: bytes, after: bytes, expected: str) -> None:
    whole = served()["services.txt"]
    assert before in whole
    result = verdict(served(services=whole.replace(before, after)))
    assert any(expected in reason for reason in said(result)), said(result)
    assert result.verdict is Verdict.UNKNOWN


def test_a_resolver_without_its_configuration_is_unknown() -> None:
    without = {name: content for name, content in served().items() if name != "services.txt"}
    result = verdict(without)
    assert len(said(result)) == 4  # names and time of both networks
    assert "dnsmasq (pid 11) answers names, and nothing in the snapshot says whom it asks itself" in said(result)


EVERYWHERE = 'udp UNCONN 0 0 {}:53 0.0.0.0:* users:(("unbound",pid=5,fd=4))\n'


@pytest.mark.parametrize("address", ["0.0.0.0", "[::]", "*"])
def test_who_listens_everywhere_belongs_to_all_that_may_reach_it(address: str) -> None:
    opened = with_rule(gateway(), [payload("udp", "dport", 53), ACCEPT], chain="input")
    result = verdict({**opened, "listeners.txt": EVERYWHERE.format(address).encode()})
    assert any("unbound (pid 5) has to do with" in reason and "(internet) and " in reason for reason in said(result))


def test_who_listens_everywhere_and_is_reached_from_one_channel_is_that_channels() -> None:
    sshd = b'tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=5,fd=3))\n'
    sshd += b'tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=5,fd=4))\n'
    assert verdict({**gateway(), "listeners.txt": sshd}).verdict is Verdict.PROVED


AT_ONE = 'tcp LISTEN 0 128 10.30.1.1:22 0.0.0.0:* users:(("sshd",pid=5,fd=3))\n'
AT_ONE += 'tcp LISTEN 0 128 [fd20:30:1::1]:22 [::]:* users:(("sshd",pid=5,fd=4))\n'


def test_who_listens_at_addresses_of_one_channel_that_the_other_does_not_reach_is_that_channels() -> None:
    assert verdict({**gateway(), "listeners.txt": AT_ONE.encode()}).verdict is Verdict.PROVED


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_who_listens_at_an_address_of_one_channel_and_is_reached_from_the_other_is_named(family: str) -> None:
    """Linux takes a packet to any of its addresses by whichever port it comes: where it listens is not all."""
    opened = with_rule(
        gateway(), [meta("nfproto", family), iif("inet0"), payload("tcp", "dport", 22), ACCEPT], chain="input"
    )
    result = verdict({**opened, "listeners.txt": AT_ONE.encode()})
    assert any("sshd (pid 5) has to do with inet0 (internet) and mgmt0" in reason for reason in said(result)), said(
        result
    )


def test_who_listens_on_loopback_is_nobodys() -> None:
    chronyc = b'udp UNCONN 0 0 127.0.0.1:53 0.0.0.0:* users:(("x",pid=5,fd=3))\n'
    assert verdict({**gateway(), "listeners.txt": chronyc}).verdict is Verdict.PROVED


def test_a_line_of_no_configuration_is_an_error() -> None:
    with pytest.raises(ParseError, match="line 1: not a line of a configuration"):
        parse_servers(Artefact("gw", "services.txt", b"nonsense\n"))


# --- relays


def reached(name: str, port: int = 3128) -> Artefacts:
    """A program that the clerks may reach, and nobody else."""
    line = f'tcp LISTEN 0 128 10.20.1.1:{port} 0.0.0.0:* users:(("{name}",pid=5,fd=3))\n'
    opened = with_rule(gateway(), [iif("clerks0"), payload("tcp", "dport", port), ACCEPT], chain="input")
    return {**opened, "listeners.txt": line.encode()}


@pytest.mark.parametrize("name", ["squid", "socat", "ssh", "python3", "my-own-thing", "wardnet-link"])
def test_a_program_that_one_channel_reaches_is_unknown(name: str) -> None:
    """It listens on one channel, and may connect by whichever line it likes."""
    result = verdict(reached(name))
    assert result.verdict is Verdict.UNKNOWN
    assert said(result) == [f"{name} (pid 5) is reached from wan: whether it passes on what it is given is not known"]


@pytest.mark.parametrize(("name", "port"), [("wardnet-link-ex", 9807), ("wardnet-softwar", 9808), ("bgpd", 179)])
def test_a_program_that_answers_by_itself_is_no_relay(name: str, port: int) -> None:
    assert said(verdict(reached(name, port))) == []


def test_who_answers_names_is_a_relay_still_at_another_port() -> None:
    both = reached("unbound")
    names = b'udp UNCONN 0 0 10.20.1.1:53 0.0.0.0:* users:(("unbound",pid=5,fd=4))\n'
    reasons = said(verdict({**both, "listeners.txt": both["listeners.txt"] + names}))
    assert "unbound (pid 5) is reached from wan: whether it passes on what it is given is not known" in reasons


def test_a_relay_that_nobody_on_a_channel_reaches_is_none() -> None:
    squid = b'tcp LISTEN 0 128 0.0.0.0:3128 0.0.0.0:* users:(("squid",pid=5,fd=3))\n'
    squid += b'tcp LISTEN 0 128 127.0.0.1:3129 0.0.0.0:* users:(("haproxy",pid=6,fd=3))\n'
    assert verdict({**gateway(), "listeners.txt": squid}).verdict is Verdict.PROVED


SQUID = "squid (pid 5) is reached from wan: whether it passes on what it is given is not known"


def at(address: str, artefacts: Artefacts) -> Artefacts:
    return {**artefacts, "listeners.txt": artefacts["listeners.txt"].replace(b"10.20.1.1", address.encode())}


def test_a_relay_on_loopback_is_nobodys_until_packets_from_a_wire_get_there() -> None:
    artefacts = at("127.0.0.1", reached("squid"))
    assert said(verdict(artefacts)) == []
    result = verdict(with_setting(artefacts, "net.ipv4.conf.clerks0.route_localnet", "1"))
    assert (result.verdict, said(result)) == (Verdict.UNKNOWN, [SQUID])


def test_a_resolver_on_loopback_is_asked_whom_it_asks_where_somebody_reaches_it() -> None:
    names = b'udp UNCONN 0 0 127.0.0.1:53 0.0.0.0:* users:(("dnsmasq",pid=5,fd=3))\n'
    opened = with_rule(gateway(), [iif("clerks0"), payload("udp", "dport", 53), ACCEPT], chain="input")
    artefacts = with_setting({**opened, "listeners.txt": names}, "net.ipv4.conf.clerks0.route_localnet", "1")
    assert said(verdict(artefacts)) == [
        "dnsmasq (pid 5) answers names, and nothing in the snapshot says whom it asks itself"
    ]


@pytest.mark.parametrize("listed", [True, False])
def test_a_relay_at_an_address_of_no_port_is_reached_by_any(listed: bool) -> None:
    """One of loopback's own, or one that only a local route makes the device's."""
    artefacts = at("192.0.2.1", reached("squid"))
    route = {"type": "local", "dst": "192.0.2.1", "dev": "lo", "table": "local", "protocol": "kernel", "flags": []}
    artefacts = edit_json(artefacts, "ip-route.json", lambda routes: routes.append(route))
    if listed:
        own = {"family": "inet", "local": "192.0.2.1", "prefixlen": 32, "scope": "global"}
        artefacts = edit_json(artefacts, "ip-addr.json", lambda links: links[0]["addr_info"].append(own))
    result = verdict(artefacts)
    assert (result.verdict, said(result)) == (Verdict.UNKNOWN, [SQUID])


def with_sshd(change: Callable[[bytes], bytes]) -> Artefacts:
    return {**gateway(), "listeners.txt": AT_ONE.encode(), "sshd.txt": change(gateway()["sshd.txt"])}


def test_an_ssh_server_that_forwards_nothing_is_no_relay() -> None:
    """As a real sshd printed it with the role's files, and with each kind of forwarding switched off by itself."""
    assert verdict(with_sshd(lambda content: content)).verdict is Verdict.PROVED
    apart = verdict(with_sshd(lambda content: content.replace(b"disableforwarding yes", b"disableforwarding no")))
    assert apart.verdict is Verdict.PROVED
    copied = b"/etc/ssh/sshd_config.dpkg-old:"  # nobody reads it
    copy = verdict(with_sshd(lambda old: old + copied + b"Match all\n" + copied + b"DisableForwarding no\n"))
    assert copy.verdict is Verdict.PROVED


WHOLE = b"disableforwarding yes\n"
DROP_IN = b"/etc/ssh/sshd_config.d/99.conf:"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda old: old.replace(WHOLE, b"").replace(b"tcpforwarding no", b"tcpforwarding yes"), "tcpforwarding yes"),
        (lambda old: old.replace(WHOLE, b"").replace(b"tunnel no", b"tunnel ethernet"), "permittunnel ethernet"),
        (lambda old: old.replace(WHOLE, b"").replace(b"allowstreamlocalforwarding no\n", b""), "forwarding not listed"),
        (lambda old: old + DROP_IN + b"Match User bob\n" + DROP_IN + b"  AllowTcpForwarding local\n",
         "allowtcpforwarding local for some (Match User bob)"),
        (lambda old: old + DROP_IN + b"Match all\n" + DROP_IN + b"DisableForwarding=no\n",
         "disableforwarding no for some (Match all)"),
        (lambda old: old + DROP_IN + b'Match User "bob"\n' + DROP_IN + b"  AllowTcpForwarding yes\n",
         'allowtcpforwarding yes for some (Match User "bob")'),
        (lambda old: old + DROP_IN + b'"Match" User bob\n', "it has a line that is not understood"),
        (lambda old: old + b"/etc/ssh/sshd_config:Include /opt/more/*\n", "it reads other files"),
        (lambda old: old + DROP_IN + b"Match all\n" + DROP_IN + b"Include sshd_config.d/x\n", "it reads other files"),
        (lambda _: b"", "its configuration could not be read"),
    ],
)  # fmt: skip
def test_an_ssh_server_that_may_forward_is_unknown_with_its_line(change: Callable[[bytes], bytes], reason: str) -> None:
    result = verdict(with_sshd(change))
    assert result.verdict is Verdict.UNKNOWN
    assert len(said(result)) == 1
    assert "sshd (pid 5) is reached from wan, and a session may be a relay to the other channel" in said(result)[0]
    assert reason in said(result)[0]


def test_an_ssh_server_that_systemd_listens_for_is_looked_into_too() -> None:
    artefacts = with_sshd(lambda old: old.replace(WHOLE, b"").replace(b"tcpforwarding no", b"tcpforwarding yes"))
    listening = artefacts["listeners.txt"].replace(b'"sshd"', b'"systemd"')
    assert (
        "systemd (pid 5) is reached from wan, and a session"
        in said(verdict({**artefacts, "listeners.txt": listening}))[0]
    )


def test_an_ssh_server_of_an_older_snapshot_is_unknown() -> None:
    artefacts = with_sshd(lambda content: content)
    del artefacts["sshd.txt"]
    assert said(verdict(artefacts)) == [
        "sshd (pid 5) is reached from wan, and the snapshot does not say whether it forwards"
    ]


@pytest.mark.parametrize("line", ["Port 22", "?", "/etc/other:Port 22"])
def test_a_line_that_is_none_of_an_ssh_server_is_an_error(line: str) -> None:
    with pytest.raises(ParseError, match=r"sshd\.txt: line 1: not a line of a configuration"):
        parse_sshd(Artefact("gw", "sshd.txt", f"{line}\n".encode()))
