"""The words of the model: channels, kinds of sites and devices, addresses, and the place a record was written at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPInterface = IPv4Interface | IPv6Interface
IPNetwork = IPv4Network | IPv6Network


class Channel(StrEnum):
    """The two lines of a site that must stay apart."""

    WAN = "wan"
    INTERNET = "internet"

    @property
    def other(self) -> Channel:
        return Channel.INTERNET if self is Channel.WAN else Channel.WAN


class Addressing(StrEnum):
    """Where a circuit's addresses come from. All but `static` are of the internet channel."""

    STATIC = "static"
    DHCP = "dhcp"  # a lease: IPv4 by DHCP, IPv6 by router advertisement and DHCPv6
    PPPOE = "pppoe"  # a session that the gateway dials


class Routing(StrEnum):
    """Where the routes of a WAN circuit come from."""

    STATIC = "static"
    BGP = "bgp"


class PortMode(StrEnum):
    """What a port of an access switch carries."""

    ACCESS = "access"  # one network, untagged
    TRUNK = "trunk"  # listed networks, all tagged: none is native
    UNUSED = "unused"  # off


class SiteKind(StrEnum):
    SERVER_ROOM = "server_room"  # the hub router and the district's servers
    DISTRICT_OFFICE = "district_office"
    WARD_OFFICE = "ward_office"
    APARTMENT_BUILDING = "apartment_building"


class Platform(StrEnum):
    LINUX = "linux"
    FRR = "frr"
    CISCO_IOS = "cisco_ios"
    HUAWEI_VRP = "huawei_vrp"
    MIKROTIK_ROUTEROS = "mikrotik_routeros"
    UNMANAGED = "unmanaged"  # the provider's own box


class SwitchPlatform(StrEnum):
    OPENVSWITCH = "openvswitch"
    UNMANAGED = "unmanaged"  # nobody here configures it


class WifiSecurity(StrEnum):
    """How visitors' frames are kept from each other's eyes. A transition takes older devices too."""

    OWE = "owe"  # nobody is asked for anything, and each client has a key of its own
    OWE_TRANSITION = "owe_transition"  # beside it the same name without encryption, which leads to it
    WPA3 = "wpa3"  # one passphrase for all, from which nobody learns another's key (SAE)
    WPA3_TRANSITION = "wpa3_transition"  # WPA2 with the same passphrase too


class HostRole(StrEnum):
    COUNTER = "counter"
    CITIZEN = "citizen"
    TOUCH_SCREEN = "touch_screen"
    SCANNER = "scanner"
    ACCESS_POINT = "access_point"
    PORTAL = "portal"
    RESOLVER = "resolver"
    MIRROR = "mirror"
    MONITORING = "monitoring"
    CONTROLLER = "controller"
    AUDITOR = "auditor"


class OperatingSystem(StrEnum):
    LINUX = "linux"
    WINDOWS = "windows"
    FIRMWARE = "firmware"  # a device's own, nothing to log in to


@dataclass(frozen=True, slots=True)
class Source:
    """Where a record was written. `file` is relative to the inventory's folder; `line` counts from 1."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"
