"""What a medium shows before it installs: menus of GRUB for sticks, of iPXE for the network. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from wardnet.media.installation import Installation

FOLDER = "/wardnet"  # on a stick
LINUX, INITRD, HOSTS, BASE = "linux", "initrd.img", "hosts.cpio", "base.cpio"
WORDS = "boot=wardnet quiet loglevel=3 panic=0"
ERASE = "wardnet.erase=yes"
SECONDS = 10
_EMPTY_ENTRY = "INSTALL onto an empty disk / cai len o dia trong"
_ERASE_ENTRY = "ERASE the disk and install / XOA o dia roi cai"
_LOCAL_ENTRY = "Start from this PC's own disk / khoi dong tu o dia cua may"


def grub_menu(found: Sequence[Installation], words: str) -> str:
    """For BIOS and UEFI. What erases is never chosen by itself. The serial console is there where `words` name one."""
    lines = [f"# wardnet: installs {', '.join(each.host.id for each in found)}"]
    if "console=ttyS" in words:
        lines += ["serial --unit=0 --speed=115200", "terminal_input console serial", "terminal_output console serial"]
    lines += [f"set timeout={SECONDS}", "set default=0", ""]
    for title, more in ((_EMPTY_ENTRY, ""), (_ERASE_ENTRY, ERASE)):
        kernel = " ".join(filter(None, (WORDS, more, words)))
        lines += [
            f'menuentry "{title}" {{',
            '    echo "Loading, about a minute / dang nap, khoang mot phut ..."',
            f"    linux {FOLDER}/{LINUX} {kernel}",
            f"    initrd {FOLDER}/{INITRD} {FOLDER}/{HOSTS} {FOLDER}/{BASE}",
            "}",
        ]
    return "\n".join(lines) + "\n"


def ipxe_script(found: Sequence[Installation], words: str) -> str:
    """By the hardware address of the card that it started from; any other PC starts from its own disk. What lies beside
    the script is fetched from where it came from."""
    archives = (INITRD, HOSTS, BASE)
    kernel = " ".join(filter(None, (*(f"initrd={name}" for name in archives), WORDS, "${erase}", words)))
    lines = ["#!ipxe", "# wardnet: which PC is this?"]
    for each in found:
        for _port, mac in each.macs:
            lines.append(
                f"iseq ${{netX/mac:hexhyp}} {mac.replace(':', '-')} && set host {each.host.id} && goto known ||"
            )
    lines += [
        "echo wardnet: the MAC address ${netX/mac} is not on this medium: the PC starts from its own disk",
        "echo wardnet: MAC ${netX/mac} khong co trong bo cai dat: may khoi dong tu o dia cua no",
        "sleep 5",
        "exit",
        "",
        ":known",
        "menu wardnet: ${host}",
        f"item empty {_EMPTY_ENTRY}",
        f"item erase {_ERASE_ENTRY}",
        f"item local {_LOCAL_ENTRY}",
        f"choose --timeout {SECONDS * 1000} --default empty chosen || goto local",
        "goto ${chosen}",
        "",
        ":erase",
        f"set erase {ERASE}",
        ":empty",
        *(f"initrd --name {name} {name} || goto failed" for name in archives),
        f"kernel {LINUX} {kernel} || goto failed",
        "boot || goto failed",
        "",
        ":failed",
        "echo wardnet: not loaded; the disk was not touched / khong nap duoc; o dia chua bi dong den",
        "prompt",
        ":local",
        "exit",
    ]
    return "\n".join(lines) + "\n"
