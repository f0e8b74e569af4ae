"""The files of role public_wifi for the sample's access point of ward Bưởi, rendered as Ansible would."""

from __future__ import annotations

from typing import Any

import jinja2

from tests.unit.compile_support import sample_plan
from tests.unit.plugins_support import ROOT, load
from wardnet.compile.plain import to_plain

POINT_IPV4, POINT_IPV6 = "172.21.1.2/24", "2001:db8:21:1::2/64"


def rendered(template: str, *, by_hand: bool = False, **wifi: Any) -> str:
    """`wifi` is what the network's differs in."""
    host = to_plain(sample_plan().host("buoi-wifi-1"))
    host["wifi"].update(wifi)
    folder = ROOT / "roles" / "public_wifi" / "templates"
    environment = jinja2.Environment(  # noqa: S701 - the output is no HTML
        loader=jinja2.FileSystemLoader(folder), trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(load("filter", "wardnet_wifi").FilterModule().filters())
    text: str = environment.get_template(template).render(
        {
            "public_wifi_host": host,
            "public_wifi_radio": "wlan0",
            "public_wifi_driver": "nl80211",
            "public_wifi_clients": 64,
            "__public_wifi_plan": host["wifi"],
            "__public_wifi_bridge": "br-wifi",
            "__public_wifi_port": host["ports"][0],
            "__public_wifi_second": "wlan0-owe",
            "__public_wifi_by_hand": by_hand,
            "__public_wifi_passphrase": "" if by_hand or not wifi.get("passphrase") else "correct horse",
            "__public_wifi_kept": "/etc/wardnet/wifi-passphrase",
        }
    )
    return text + "\n"


def ruleset(**wifi: Any) -> str:
    return rendered("etc/nftables.conf.j2", **wifi)
