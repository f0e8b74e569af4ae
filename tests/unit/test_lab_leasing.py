"""A provider of the lab that leases addresses: one lease a line, and the way back to it."""

from __future__ import annotations

import dataclasses
from datetime import date
from pathlib import Path

import pytest

from lab import bootstrap, leasing
from lab.outside import FILE, parse_outside
from lab.topology import compile_topology
from wardnet.compile import compile_plan
from wardnet.inventory import read_district
from wardnet.inventory.problems import InventoryErrors
from wardnet.model.intent import Addressing, Circuit, District

TAY_HO = Path(__file__).parents[2] / "inventory" / "tay-ho"


def leased(*names: str) -> District:
    def changed(circuit: Circuit) -> Circuit:
        if circuit.id not in names:
            return circuit
        return dataclasses.replace(
            circuit, addressing=Addressing.DHCP, ipv4=None, ipv6=None, ipv4_peer=None, ipv6_peer=None
        )

    district = read_district(TAY_HO)
    wards = []
    for ward in district.wards:
        sites = [dataclasses.replace(site, circuits=tuple(map(changed, site.circuits))) for site in ward.sites]
        wards.append(dataclasses.replace(ward, sites=tuple(sites)))
    return dataclasses.replace(district, wards=tuple(wards))


def provider(district: District) -> dict[str, str]:
    """Files of the provider's router."""
    outside = parse_outside((TAY_HO / FILE).read_text(), district)
    plan = compile_plan(district, date(2026, 11, 24))
    topology = compile_topology(district, plan, outside, 1)
    files = bootstrap.files(topology.node("isp"), topology, plan, outside, ())
    return {file.path: file.content.decode() for file in files}


def test_a_line_is_leased_one_address_of_each_family_and_its_lans_are_behind_it() -> None:
    files = provider(leased("buoi-internet"))
    configuration = files[leasing.CONFIGURATION].splitlines()
    ranges = [line for line in configuration if line.startswith("dhcp-range=")]
    assert ranges[0].endswith(",198.51.100.194,198.51.100.194,255.255.255.252,12h")
    assert ranges[1] == "dhcp-range=2001:db8:ff:f000::2,2001:db8:ff:f000::2,64,12h"
    (unit,) = [text for text in files.values() if "198.51.100.193/30" in text]
    assert "Address=2001:db8:ff:f000::1/64" in unit
    assert "Destination=2001:db8:20:1::/64\nGateway=2001:db8:ff:f000::2" in unit


def test_lines_with_addresses_of_their_own_are_as_ever() -> None:
    files = provider(read_district(TAY_HO))
    assert leasing.CONFIGURATION not in files
    assert [text for text in files.values() if "198.51.100.5/30" in text]


def test_too_few_leases_are_an_error_of_the_file() -> None:
    text = (TAY_HO / FILE).read_text()
    without = "".join(line for line in text.splitlines(keepends=True) if "leases:" not in line)
    with pytest.raises(InventoryErrors) as caught:
        parse_outside(without, leased("buoi-internet", "tay-ho-internet"))
    assert "2 circuits have addressing dhcp, and there are leases for 0" in str(caught.value)
