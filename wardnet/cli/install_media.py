"""wardnet install-media: what PCs are installed from, each by its hardware address."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from wardnet.cli.bootstrap import key_of_the_controller, public_key
from wardnet.cli.check import day_of
from wardnet.cli.console import DEFAULT_INVENTORY, Exit, fail, load_district, out
from wardnet.compile import compile_plan
from wardnet.locale import _
from wardnet.media import (
    SUITES,
    Installation,
    MediaError,
    Pulling,
    Recipe,
    Wishes,
    ensure_base,
    installations,
    make_folder,
    make_image,
    medium_files,
)
from wardnet.media.base import KERNEL
from wardnet.media.believed import NAMESPACE, is_folder, is_package, says_who_signs
from wardnet.media.readme import readme

CACHE = Path("~/.cache/wardnet/install")
# The district's own source, as the role base writes it; else the machine's.
SOURCES = tuple(
    Path("/etc/apt") / name
    for name in ("sources.list.d/wardnet.sources", "sources.list.d/debian.sources", "sources.list")
)
PULL_PACKAGES = Path("dist")
WORDS = re.compile(r"[A-Za-z0-9_.,:=/@+-]+(?: [A-Za-z0-9_.,:=/@+-]+)*")
DISK = re.compile(r"[a-z0-9]+")
PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")


class Kind(StrEnum):
    USB = "usb"
    IPXE = "ipxe"


def install_media(
    hosts: Annotated[list[str], typer.Argument(help=_("ids of the PCs in the inventory, which has their 'mac'"))],
    output: Annotated[
        Path, typer.Option("--output", "-o", help=_("FILE.iso for a stick, or a folder that iPXE is served from"))
    ],
    kind: Annotated[
        Kind | None, typer.Option(help=_("what to make, where the name of the output does not say"))
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help=_("public key that may log in; the one beside WARDNET_SSH_KEY if not given")),
    ] = None,
    pull_url: Annotated[
        str, typer.Option("--pull-url", help=_("the mirror on the internet, for PCs that pull: https://..."))
    ] = "",
    signers: Annotated[
        Path | None, typer.Option(help=_("file of those whose signature such PCs believe (pull-signers)"))
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help=_("certificate of that mirror's authority, if it is no public one"))
    ] = None,
    pull_package: Annotated[
        Path | None, typer.Option(help=_("the package wardnet-pull; the one in dist/ if not given"))
    ] = None,
    disk: Annotated[str, typer.Option(help=_("the disk's name, where a PC has several: sda, nvme0n1"))] = "",
    append: Annotated[
        str, typer.Option(help=_("words for the kernel, of the installer and of the PC: console=ttyS0"))
    ] = "",
    sources: Annotated[
        Path | None, typer.Option(help=_("APT sources that the system is made from; the machine's own if not given"))
    ] = None,
    suite: Annotated[str, typer.Option(help=_("Debian's: bookworm or trixie; the machine's own if not given"))] = "",
    include: Annotated[
        list[str] | None, typer.Option(help=_("one more package, such as the firmware of a network card"))
    ] = None,
    kernel: Annotated[
        str, typer.Option(help=_("the kernel's package; for virtual machines linux-image-cloud-amd64 is smaller"))
    ] = KERNEL,
    cache: Annotated[
        Path, typer.Option(envvar="WARDNET_INSTALL_CACHE", help=_("folder where the base system is kept"))
    ] = CACHE,
    renew: Annotated[bool, typer.Option("--renew", help=_("make the base system anew, with today's packages"))] = False,
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("the inventory's folder"))] = DEFAULT_INVENTORY,
    as_of: Annotated[str, typer.Option(help=_("the day to compile for; today if not given"))] = "",
) -> None:
    """Make what new PCs are installed from by themselves: one USB stick, or one folder for iPXE, for any number of
    PCs. Each is known by its MAC address; any other PC is left alone, and a disk that is not empty is erased only where
    the technician chooses so. No password and no private key is on it. Ends with 0; with 1 where it could not be made,
    and 2 where a host cannot be installed so."""
    for value, pattern, option in ((append, WORDS, "--append"), (disk, DISK, "--disk")):
        if value and not pattern.fullmatch(value):
            fail(_("{option}: '{value}' is not understood").format(option=option, value=value))
    for name, option in ((kernel, "--kernel"), *((name, "--include") for name in include or [])):
        if not PACKAGE.fullmatch(name):
            fail(_("{option}: '{value}' is not understood").format(option=option, value=name))
    kind = kind or (Kind.USB if output.suffix in (".iso", ".img") else Kind.IPXE)
    district = load_district(inventory, Exit.USAGE)
    plan = compile_plan(district, day_of(as_of, district))
    try:
        found = installations(district, plan, tuple(hosts))
    except MediaError as error:
        fail(str(error))
    pulls, pushed = any(each.host.pulled for each in found), not all(each.host.pulled for each in found)
    wishes = Wishes(
        keys=tuple(public_key(path) for path in key or [key_of_the_controller()]) if pushed else (),
        pulling=_pulling(pull_url, signers, ca, pull_package) if pulls and pull_url else None,
        disk=disk,
        words=append,
    )
    try:
        medium_files(found, wishes, "")  # what is missing is said before minutes are spent
    except MediaError as error:
        fail(str(error))
    recipe = _recipe(sources, suite, tuple(include or ()), kernel)
    try:
        base = ensure_base(recipe, cache.expanduser(), out.print, anew=renew)
        entries = medium_files(found, wishes, base.checksum)
        made = [output]
        if kind is Kind.USB:
            make_image(output, base, found, entries, append, readme(found))
        else:
            made = make_folder(output, base, found, entries, append, readme(found))
    except MediaError as error:
        fail(str(error), Exit.FAILED)
    except OSError as error:
        fail(_("cannot write {output}: {why}").format(output=error.filename or output, why=error.strerror), Exit.FAILED)
    for path in made:
        out.print(str(path), markup=False, soft_wrap=True)
    if base.old:
        out.print(
            _("The base system is of {day}: --renew makes it with today's packages").format(day=base.made.date()),
            markup=False,
            soft_wrap=True,
        )
    _say_what_next(found, output, kind)


def _say_what_next(found: tuple[Installation, ...], output: Path, kind: Kind) -> None:
    for each in found:
        for port, mac in each.macs:
            out.print(f"  {mac}  {each.host.id} ({port})", markup=False, soft_wrap=True)
    if kind is Kind.USB:
        text = _("Onto a stick, which is erased: cp {image} /dev/sdX && sync (lsblk says which it is)")
    else:
        text = _("Serve {image} over HTTP and have iPXE chain boot.ipxe in it")
    out.print(text.format(image=output), markup=False, soft_wrap=True)
    pushed = [each.host.id for each in found if not each.host.pulled]
    if pushed:
        text = _("The screen of an installed PC shows six groups of digits. With them, here: wardnet trust {host}")
        out.print(text.format(host=" | ".join(pushed)), markup=False, soft_wrap=True)


def _pulling(url: str, signers: Path | None, ca: Path | None, package: Path | None) -> Pulling:
    """What the options say about pulling; ends the command where they do not make sense."""
    if not is_folder(url):
        fail(_("{option}: '{value}' is not understood").format(option="--pull-url", value=url))
    if signers is None:
        fail(_("whose signature do PCs that pull believe? --signers FILE, as docs/pull.md says"))
    text = _read(signers).decode(errors="replace")
    if not says_who_signs(text):
        said = _("{path} does not say who may sign: lines as in ssh-keygen(1), ALLOWED SIGNERS").format(path=signers)
        fail(f'{said}\n  publisher namespaces="{NAMESPACE}" ssh-ed25519 AAAA...')
    if package is None:
        built = sorted(PULL_PACKAGES.glob("wardnet-pull_*.deb"))
        if not built:
            fail(
                _("the package wardnet-pull is not in {folder}: make dist, or --pull-package").format(
                    folder=PULL_PACKAGES
                )
            )
        package = built[-1]
    elif not package.is_file():
        fail(_("{path}: no such file").format(path=package))
    if not is_package(package):
        fail(_("{path} is not the package wardnet-pull").format(path=package))
    return Pulling(url if url.endswith("/") else f"{url}/", text, _read(ca) if ca is not None else None, package)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fail(f"{path}: {error.strerror}")


def _recipe(sources: Path | None, suite: str, more: tuple[str, ...], kernel: str) -> Recipe:
    if sources is None:
        sources = next((path for path in SOURCES if path.is_file() and path.read_text().strip()), None)
        if sources is None:
            fail(_("which APT sources? --sources FILE; this machine has none of {paths}").format(
                paths=", ".join(map(str, SOURCES))))  # fmt: skip
    suite = suite or _own_suite()
    if suite not in SUITES:
        fail(_("which Debian? --suite {suites}").format(suites=" | ".join(SUITES)))
    return Recipe(suite, _read(sources).decode(errors="replace"), sources.suffix == ".sources", more, kernel)


def _own_suite() -> str:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(r'(?m)^VERSION_CODENAME="?(\w+)', text)
    return found[1] if found else ""
