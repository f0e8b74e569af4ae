"""What new PCs are installed from: one stick or folder for several, each of which is known by its hardware address."""

from wardnet.media.archive import Entry, write_archive
from wardnet.media.base import SUITES, Base, Recipe, ensure_base
from wardnet.media.contents import Pulling, Wishes, host_files, medium_files
from wardnet.media.errors import MediaError
from wardnet.media.installation import Installation, installations
from wardnet.media.making import make_folder, make_image
from wardnet.media.menus import grub_menu, ipxe_script

__all__ = [
    "SUITES",
    "Base",
    "Entry",
    "Installation",
    "MediaError",
    "Pulling",
    "Recipe",
    "Wishes",
    "ensure_base",
    "grub_menu",
    "host_files",
    "installations",
    "ipxe_script",
    "make_folder",
    "make_image",
    "medium_files",
    "write_archive",
]
