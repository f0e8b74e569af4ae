"""Connections that a gateway keeps: those between the channels are told, and no others.

The lines are as a kernel printed them for connections forwarded between two namespaces, with other addresses.
"""

from __future__ import annotations

import pytest

from collectors.parsers.artefact import Artefact, ParseError
from collectors.parsers.conntrack import parse_connections
from collectors.parsers.linux import parse_device
from tests.unit.audit_support import GATEWAY, Artefacts, gateway, gateway_policy, policy, verdict
from wardnet.audit.connections import connections_of
from wardnet.audit.places import channel_networks
from wardnet.audit.records import Verdict

TCP = (
    "ipv4     2 tcp      6 431998 ESTABLISHED src={0} dst={1} sport=53816 dport={2} src={1} dst={0} sport={2} "
    "dport=53816 [ASSURED] mark=0 zone=0 use=2\n"
)
UDP = (
    "ipv4     2 udp      17 28 src={0} dst={1} sport=37719 dport={2} src={1} dst={0} sport={2} dport=37719 "
    "mark=0 zone=0 use=2\n"
)
ICMP = "ipv4     2 icmp     1 29 src={0} dst={1} type=8 code=0 id=7 src={1} dst={0} type=0 code=0 id=7 mark=0 use=2\n"
TCP6 = TCP.replace("ipv4     2", "ipv6     10")
CLERK, CITIZEN, PORTAL, WEB = "10.20.1.11", "172.20.1.11", "10.20.200.10", "203.0.113.80"


def keeping(*lines: str) -> Artefacts:
    return {**gateway(), "connections.txt": "".join(lines).encode()}


def told(*lines: str) -> list[str]:
    """What is open about a gateway that keeps these."""
    device = parse_device(GATEWAY, keeping(*lines))
    places = channel_networks(policy().devices)
    return [point.reason for point in connections_of(device, gateway_policy(), places)]


def test_connections_within_a_channel_are_not_told() -> None:
    """A citizen's to the web is masqueraded; the gateway's own are its own."""
    masqueraded = (
        f"ipv4     2 tcp      6 99 ESTABLISHED src={CITIZEN} dst={WEB} sport=5 dport=443 "
        f"src={WEB} dst=198.51.100.6 sport=443 dport=5 [ASSURED] mark=0 zone=0 use=2\n"
    )
    lines = [
        TCP.format(CLERK, PORTAL, 443),
        masqueraded,
        TCP.format(WEB, "198.51.100.6", 22),
        ICMP.format(CLERK, PORTAL),
        TCP6.format("fd20:20:1::11", "fd20:20:200::10", 443),
    ]
    assert told(*lines) == []
    coverage = parse_device(GATEWAY, keeping(*lines)).coverage
    listing = next(c for c in coverage if c.artefact == "connections.txt")
    assert (listing.modelled, listing.unknown) == (len(lines), 0)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (TCP.format(CLERK, CITIZEN, 445), "from 10.20.1.11 (wan) to 172.20.1.11 (internet), tcp 445"),
        (UDP.format(CITIZEN, PORTAL, 53), "from 172.20.1.11 (internet) to 10.20.200.10 (wan), udp 53"),
        (ICMP.format(CITIZEN, CLERK), "from 172.20.1.11 (internet) to 10.20.1.11 (wan), icmp"),
        (TCP.format(CLERK, WEB, 443), "from 10.20.1.11 (wan) to 203.0.113.80 (nothing says where), tcp 443"),
        (
            TCP6.format("fd20:20:1::11", "2001:db8:20:1::11", 80),
            "from fd20:20:1::11 (wan) to 2001:db8:20:1::11 (internet)",
        ),
    ],
)
def test_a_connection_between_the_channels_is_told_with_its_ends(line: str, words: str) -> None:
    (reason,) = told(TCP.format(CLERK, PORTAL, 443), line)
    assert words in reason


def test_a_connection_that_is_told_leaves_nothing_proved() -> None:
    result = verdict(keeping(TCP.format(CLERK, CITIZEN, 445)))
    assert result.verdict is Verdict.UNKNOWN
    assert [str(problem.span) for problem in result.problems] == [f"{GATEWAY} connections.txt line 1"]


@pytest.mark.parametrize(
    "line",
    [
        UDP.format(CITIZEN, PORTAL, 53).replace(" src=10.20.200.10", " [UNREPLIED] src=10.20.200.10"),
        TCP.format(CLERK, CITIZEN, 445).replace("ESTABLISHED", "TIME_WAIT"),
    ],
)
def test_what_nobody_answered_or_both_have_closed_is_none(line: str) -> None:
    """Its next packet is a new one, which rules are asked about."""
    assert told(line) == []
    coverage = parse_device(GATEWAY, keeping(line)).coverage
    assert next(c for c in coverage if c.artefact == "connections.txt").irrelevant == 1


def test_where_its_destination_was_translated_who_answers_counts() -> None:
    line = (
        f"ipv4     2 tcp      6 99 ESTABLISHED src={CITIZEN} dst=198.51.100.6 sport=5 dport=80 "
        f"src={CLERK} dst={CITIZEN} sport=8080 dport=5 [ASSURED] mark=0 zone=0 use=2\n"
    )
    (reason,) = told(line)
    assert "from 172.20.1.11 (internet) to 10.20.1.11 (wan), tcp 8080" in reason


def test_what_an_exception_grants_is_not_told() -> None:
    """The citizens' scan: from there, to that scanner, at its port."""
    assert told(TCP.format(CITIZEN, "10.20.1.20", 80)) == []
    for other in ((CITIZEN, "10.20.1.20", 22), ("10.20.1.20", CITIZEN, 80)):
        (reason,) = told(TCP.format(*other))
        assert "no exception covers it" in reason


def test_of_very_many_their_number_is_told() -> None:
    found = told(*(TCP.format(CLERK, CITIZEN, port) for port in range(1, 31)))
    assert len(found) == 21
    assert found[-1].startswith("10 more connections are between the channels")


@pytest.mark.parametrize(
    "content",
    [b"nonsense\n", TCP.encode()[:-1], b"ipv4     2 tcp      6 9 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2\n",
     TCP.format("10.0.0", PORTAL, 1).encode(), TCP.format(CLERK, PORTAL, "x").encode()],
)  # fmt: skip
def test_a_line_that_is_no_connection_is_an_error_with_its_place(content: bytes) -> None:
    with pytest.raises(ParseError, match=r"connections\.txt"):
        parse_connections(Artefact(GATEWAY, "connections.txt", content))
