"""A gateway with a kernel, a clock and a disk of its own: ports are tagged, the clock is stepped, the power goes."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lab import Lab
from lab.layout import FABRIC
from lab.qemu import Guest
from tests.qemu.district import LINE_TAG, TAGGED
from tests.qemu.guests import (
    GOES_BACK,
    PATIENCE,
    PORTAL,
    PUBLIC_WEB,
    both,
    changing,
    converge,
    must_not_reach,
    must_reach,
    ruleset,
    said,
    set_right,
)
from tests.roles.roles_support import eventually

pytestmark = [pytest.mark.lab, pytest.mark.slow]

CLERK, CITIZEN, VISITOR = "buoi-pc-1", "buoi-citizen-1", "buoi-wifi-1"
CLERKS_PC = both("tcp", "10.20.1.11", "fd20:20:1::11", 22)
SCANNER = both("tcp", "10.20.1.20", "fd20:20:1::20", 80)  # by an exception that ends on 2027-12-31
SSH = both("tcp", "10.30.1.1", "fd20:30:1::1", 22)

# Cuts the manager off.
HARMFUL = """flush ruleset
table inet wardnet {
  chain input {
    type filter hook input priority filter; policy drop;
    iifname "lo" accept
    ct state established,related accept
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
  }
}
"""

# Says on the console when the change is armed, does something to the gateway then, and notes when it is over.
WATCH = """cat > /run/watch <<'END'
armed=/var/lib/wardnet/undo/armed.json
until [ -e $armed ]; do sleep 0.2; done
cut -d' ' -f1 /proc/uptime > /run/armed-at; echo ARMED-@MARK@ > /dev/ttyS0
@THEN@
while [ -e $armed ]; do sleep 0.2; done
cut -d' ' -f1 /proc/uptime > /run/back-at
END
rm -f /run/armed-at /run/back-at
systemd-run --quiet --collect --unit=watch-@MARK@ /bin/sh /run/watch
"""


def watch(guest: Guest, mark: str, then: str) -> None:
    guest.shell(WATCH.replace("@MARK@", mark).replace("@THEN@", then))


def last_rollback(guest: Guest) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(guest.shell("cat /var/lib/wardnet/last-rollback.json"))
    return report


def test_the_second_run_changes_nothing(lab: Lab, tagged: Guest) -> None:
    again = converge(lab, gateway=TAGGED)
    assert (again.status, again.changed) == (0, {}), again.tail
    assert tagged.shell("systemctl --failed --no-legend --plain").strip() == ""


def test_tagged_ports_carry_the_channels(lab: Lab, tagged: Guest) -> None:
    shown = json.loads(tagged.shell("ip -d -j link show type vlan"))
    found = {link["ifname"]: (link["link"], link["linkinfo"]["info_data"]["id"]) for link in shown}
    assert found == {
        "clerks0": ("lan0", 10),
        "citizen0": ("lan0", 20),
        "wifi0": ("lan0", 40),
        "inet0": ("up0", LINE_TAG),
    }
    must_reach(lab, CLERK, PORTAL)
    must_reach(lab, CITIZEN, PUBLIC_WEB)
    must_reach(lab, VISITOR, PUBLIC_WEB)
    must_reach(lab, CITIZEN, SCANNER)
    must_not_reach(lab, CLERK, PUBLIC_WEB)
    must_not_reach(lab, CITIZEN, [*PORTAL, *CLERKS_PC])
    must_not_reach(lab, VISITOR, [*PORTAL, *CLERKS_PC, *SCANNER])


def test_frames_are_tagged_on_the_wire(lab: Lab, tagged: Guest) -> None:
    """What the switch has learned of the gateway's cards, by VLAN: on a trunk it takes no frame without a tag."""
    must_reach(lab, CLERK, PORTAL)
    must_reach(lab, CITIZEN, PUBLIC_WEB)
    must_reach(lab, VISITOR, PUBLIC_WEB)
    control = lab.state / "ovs" / "switch.ctl"
    done = lab.run(FABRIC, ["ovs-appctl", "-t", str(control), "fdb/show", f"guest{tagged.number}"])
    assert done.returncode == 0, done.stderr.decode()
    learned = {
        (mac, int(vlan)) for vlan, mac in re.findall(r"^ *\d+ +(\d+) +(\S+)", done.stdout.decode(), re.MULTILINE)
    }
    links = {link["ifname"]: link["address"] for link in json.loads(tagged.shell("ip -j link show"))}
    assert {(links["lan0"], 10), (links["lan0"], 20), (links["lan0"], 40), (links["up0"], LINE_TAG)} <= learned
    assert {vlan for mac, vlan in learned if mac == links["lan0"]} <= {10, 20, 40}


@pytest.mark.parametrize("step", ["+1 year", "-1 year"])
def test_a_clock_that_is_stepped_moves_no_rollback(
    lab: Lab, tagged: Guest, untouched: str, tmp_path: Path, step: str
) -> None:
    """A timer by the wall clock would go back at once, or in a year."""
    mark = "ahead" if step.startswith("+") else "behind"
    watch(tagged, mark, f"date --set='{step}' > /run/stepped")
    try:
        with changing(lab, TAGGED, HARMFUL, tmp_path) as run:
            assert run.wait(PATIENCE) != 0, said(tmp_path)
        assert "rolled back" in said(tmp_path)
        tagged.wait_for(lambda: tagged.shell("cat /run/back-at 2>/dev/null || true").strip() != "", "to go back")
        armed, back = (float(tagged.shell(f"cat /run/{name}-at")) for name in ("armed", "back"))
        assert abs(int(tagged.shell("date +%Y")) - datetime.now(UTC).year) in (0, 1)
        assert abs(int(tagged.shell("date +%s")) - time.time()) > 300 * 24 * 3600, "the clock was not stepped"
    finally:
        set_right(tagged)
    assert ruleset(tagged) == untouched
    assert back - armed > GOES_BACK - 1, "it did not wait for its confirmation"
    report = last_rollback(tagged)
    assert "nobody confirmed the change" in report["why"]
    assert report["failed"] == []
    must_reach(lab, "controller", SSH)


def test_a_power_cut_in_the_midst_comes_up_on_the_former_state(
    lab: Lab, tagged: Guest, untouched: str, tmp_path: Path
) -> None:
    """With a disk and a page cache of its own: what was not flushed is gone."""
    disk = tagged.shell("cat /etc/nftables.conf")
    watch(tagged, "cut", ":")
    with changing(lab, TAGGED, HARMFUL, tmp_path) as run:
        assert eventually(lambda: "ARMED-cut" in tagged.console.read_text(errors="replace"), PATIENCE), said(tmp_path)
        tagged.cut()
        assert run.poll() is None, said(tmp_path)
    tagged.start()
    assert ruleset(tagged) == untouched
    assert tagged.shell("cat /etc/nftables.conf") == disk
    report = last_rollback(tagged)
    assert (report["boot"], report["failed"]) == (True, [])
    assert tagged.shell("ls /var/lib/wardnet/undo").strip() == ""
    must_reach(lab, "controller", SSH)
    must_reach(lab, CLERK, PORTAL)
    again = converge(lab, "--check", gateway=TAGGED)
    assert (again.status, again.changed) == (0, {}), again.tail


def test_a_clock_that_boots_years_back_opens_no_exception_again(lab: Lab, tagged: Guest) -> None:
    must_reach(lab, CITIZEN, SCANNER)
    # Nobody tells it the time, as where its lines do not come up.
    tagged.shell("systemctl disable --quiet --now chrony.service")
    tagged.shell("date --set='2028-02-01 00:00:00 UTC'; /usr/local/lib/wardnet/clock keep; sync")
    try:
        must_not_reach(lab, CITIZEN, SCANNER)
        tagged.cut()
        tagged.start(clock=datetime(2024, 1, 1, tzinfo=UTC))
        assert int(tagged.shell("date +%Y")) == 2028
        assert "behind the time that was kept" in tagged.shell("journalctl --boot --identifier=wardnet --output=cat")
        shown = "systemctl show --property={} --value {}"
        set_at, loaded_at = (
            int(tagged.shell(shown.format(*which)))
            for which in (
                ("ExecMainExitTimestampMonotonic", "wardnet-clock.service"),
                ("ExecMainStartTimestampMonotonic", "nftables.service"),
            )
        )
        assert 0 < set_at <= loaded_at
        must_reach(lab, CITIZEN, PUBLIC_WEB)  # it forwards, and the way to the scanner has ended
        must_not_reach(lab, CITIZEN, SCANNER)
    finally:
        set_right(tagged)
        tagged.shell("systemctl enable --quiet --now chrony.service")
    must_reach(lab, CITIZEN, SCANNER)
