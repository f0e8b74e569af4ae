"""A medium from its parts: a folder for a web server that iPXE asks, or one file for a stick. Nothing needs root."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from wardnet.locale import _
from wardnet.media.archive import Entry, write_archive
from wardnet.media.base import Base, run
from wardnet.media.errors import MediaError
from wardnet.media.installation import Installation
from wardnet.media.menus import BASE, FOLDER, HOSTS, INITRD, LINUX, grub_menu, ipxe_script

VOLUME = "WARDNET"
_EFI_KB = 12 << 10


def make_folder(
    folder: Path, base: Base, found: Sequence[Installation], entries: Mapping[str, Entry], words: str, readme: str
) -> list[Path]:
    """Write what iPXE loads; returns the files. The script last: who finds it finds all else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in ((LINUX, "linux"), (INITRD, "initrd"), (BASE, "base.cpio")):
        _replace(folder / name, lambda making, part=part: _copied(base.part(part), making))  # type: ignore[misc]
    _replace(folder / HOSTS, lambda making: _archive(making, entries))
    _replace(folder / "README.txt", lambda making: _written(making, readme))
    _replace(folder / "boot.ipxe", lambda making: _written(making, ipxe_script(found, words)))
    return [folder / name for name in (LINUX, INITRD, BASE, HOSTS, "README.txt", "boot.ipxe")]


def make_image(
    image: Path, base: Base, found: Sequence[Installation], entries: Mapping[str, Entry], words: str, readme: str
) -> None:
    """Write one file that BIOS and UEFI start, from a stick or a disc. MediaError where a program for it is missing or
    fails."""
    for program, package in (("xorriso", "xorriso"), ("mformat", "mtools")):
        if shutil.which(program) is None:
            raise MediaError(
                _("a stick is made by {program}: apt-get install {package}").format(program=program, package=package)
            )
    image.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{image.name}.", dir=image.parent) as scratch:
        tree, efi, made = Path(scratch) / "tree", Path(scratch) / "efi.img", Path(scratch) / "made.iso"
        for name in (".disk", "boot/grub", "wardnet"):
            (tree / name).mkdir(parents=True)
        menu = grub_menu(found, words)
        _written(tree / ".disk/info", "wardnet\n")
        _written(tree / "boot/grub/grub.cfg", menu)
        _written(tree / "README.txt", readme)
        shutil.copyfile(base.part("bios.img"), tree / "boot/grub/bios.img")
        _archive(tree / f"wardnet/{HOSTS}", entries)
        _efi_image(efi, base)
        run(xorriso_argv(made, tree, efi, base), _("the stick could not be made"))
        made.replace(image)


def xorriso_argv(made: Path, tree: Path, efi: Path, base: Base) -> list[str]:
    """The large parts are taken from where they are. The MBR and the second partition make of the disc a stick."""
    large = [f"{FOLDER}/{name}={base.part(part)}" for name, part in
             ((LINUX, "linux"), (INITRD, "initrd"), (BASE, "base.cpio"))]  # fmt: skip
    return [
        *("xorriso", "-as", "mkisofs", "-quiet", "-r", "-iso-level", "3", "-V", VOLUME, "-o", str(made)),
        *("--grub2-mbr", str(base.part("mbr.img")), "-partition_offset", "16"),
        *("-appended_part_as_gpt", "-append_partition", "2", "0xef", str(efi)),
        *("-c", "boot/boot.cat", "-b", "boot/grub/bios.img", "-no-emul-boot", "-boot-load-size", "4"),
        *("-boot-info-table", "--grub2-boot-info", "-eltorito-alt-boot"),
        *("-e", "--interval:appended_partition_2:all::", "-no-emul-boot"),
        *("-graft-points", f"/={tree}", *large),
    ]


def _efi_image(path: Path, base: Base) -> None:
    failed = _("the stick could not be made")
    with path.open("wb") as file:
        file.truncate(_EFI_KB << 10)
    run(["mformat", "-i", str(path), "-T", str(_EFI_KB * 2), "-h", "16", "-s", "63", "-v", "EFI", "::"], failed)
    run(["mmd", "-i", str(path), "::/EFI", "::/EFI/BOOT"], failed)
    for part, name in (("shim.efi", "BOOTX64.EFI"), ("grub.efi", "grubx64.efi"), ("mm.efi", "mmx64.efi")):
        run(["mcopy", "-i", str(path), str(base.part(part)), f"::/EFI/BOOT/{name}"], failed)


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Whole or not at all: a PC may be reading it."""
    making = path.with_name(f".{path.name}.new")
    try:
        write(making)
        making.chmod(0o644)
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _copied(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _written(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _archive(path: Path, entries: Mapping[str, Entry]) -> None:
    with path.open("wb") as out:
        write_archive(out, entries)
