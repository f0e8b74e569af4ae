"""Scanners in the ward's network: the agent on the gateway says how each is, and the one flow that crosses the channels
carries a page. What PCs and boxes do with them is in test_roles_scanning.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from lab import Lab
from tests.roles.pictures import read_png
from tests.roles.roles_support import Probe, answered, eventually, inside

pytestmark = pytest.mark.lab

SCANNER, ADDRESS, CITIZEN = "buoi-scanner-1", "10.20.1.20", "buoi-citizen-1"
AGENT = "http://10.30.1.1:9808"
SETTINGS = (
    "<scan:ScanSettings><pwg:Width>400</pwg:Width><pwg:Height>400</pwg:Height>"
    "<scan:DocumentFormatExt>image/png</scan:DocumentFormatExt></scan:ScanSettings>"
)


def ail(lab: Lab, scanner: str, **control: object) -> None:
    """Makes the lab's scanner ail so from now on; in no way without arguments."""
    inside(lab, scanner, "sh", "-c", 'printf %s "$1" > /run/lab-scanner/control.json', "sh", json.dumps(control))


@pytest.fixture(autouse=True)
def _well(converged: Lab) -> Iterator[None]:
    yield
    ail(converged, SCANNER)


def states(lab: Lab, agent: str = AGENT) -> dict[str, str]:
    """The state of each scanner, as the agent of the site has it."""
    text = inside(lab, "monitoring", "curl", "-sS", "-m", "30", f"{agent}/metrics")
    found = re.findall(r"^wardnet_scanner_state_info\{(.*)\} 1\.0$", text, re.MULTILINE)
    labels = [dict(re.findall(r'(\w+)="([^"]*)"', each)) for each in found]
    return {each["scanner"]: each["state"] for each in labels}


def asked(lab: Lab) -> str:
    """What the agent of the ward's gateway says when it asks the scanner now."""
    probe = f"{AGENT}/probe?module=scanner&target={SCANNER}&debug=true"
    return inside(lab, "monitoring", "curl", "-sS", "-m", "60", probe)


def test_the_agent_of_the_gateway_keeps_how_the_wards_scanner_is(converged: Lab) -> None:
    assert eventually(lambda: states(converged).get(SCANNER) == "ready", 180), states(converged)


@pytest.mark.parametrize(
    ("control", "state", "success"),
    [({}, "ready", 1), ({"fault": "busy"}, "busy", 1), ({"fault": "jam"}, "jam", 0), ({"fault": "open"}, "open", 0),
     ({"fault": "garbage"}, "garbage", 0), ({"fault": "off"}, "silent", 0), ({"fault": "refusing"}, "refusing", 0)],
)  # fmt: skip
def test_it_asks_from_the_port_that_the_scanner_stands_at_and_tells_what_ails_it(
    converged: Lab, control: dict[str, str], state: str, success: int
) -> None:
    ail(converged, SCANNER, **control)
    said = asked(converged)
    assert f'probe_scanner_state_info{{state="{state}"}} 1.0' in said
    assert f"probe_success {success}.0" in said
    egress = re.search(r"^probe_egress_info\{(.*)\} 1\.0$", said, re.MULTILINE)
    assert egress is not None, said
    assert 'interface="clerks0",source="10.20.1.1"' in egress[1]


def test_the_gateway_itself_gets_to_no_other_port_or_host_of_the_clerks(converged: Lab) -> None:
    probes = [Probe("tcp", ADDRESS, 80, "10.20.1.1"), Probe("tcp", ADDRESS, 443, "10.20.1.1"),
              Probe("tcp", "10.20.1.11", 80, "10.20.1.1")]  # fmt: skip
    assert list(answered(converged, "buoi-gw", probes).values()) == [True, False, False]


def test_a_resident_scans_through_the_gateway_while_the_exception_lasts(converged: Lab) -> None:
    made = inside(
        converged, CITIZEN, "curl", "-sS", "-m", "60", "-D-", "-o", "/dev/null", "-d", SETTINGS,
        f"http://{ADDRESS}/eSCL/ScanJobs",
    )  # fmt: skip
    job = next(line.split()[1] for line in made.splitlines() if line.startswith("Location:"))
    assert job.startswith(f"http://{ADDRESS}/eSCL/ScanJobs/")
    page = converged.shell(CITIZEN, ["curl", "-sS", "-m", "60", f"{job}/NextDocument"]).stdout
    assert read_png(page).size == (400, 400)
    # That port of that scanner, and from that PC alone.
    assert answered(converged, CITIZEN, [Probe("tcp", ADDRESS, 6566)]) == {f"tcp {ADDRESS} port 6566": False}
    assert answered(converged, "buoi-wifi-1", [Probe("tcp", ADDRESS, 80)]) == {f"tcp {ADDRESS} port 80": False}
