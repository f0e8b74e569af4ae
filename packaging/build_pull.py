"""Builds wardnet-pull_VERSION_all.deb: with it a host that has only the internet fetches and applies its configuration.

It is the engine of the module wardnet_commit, as it is in plugins/module_utils, under the name that its files import
each other by; Python's own library is all that they need. The same sources give the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from build_agent import ROOT, File, write_as_asked, write_package

SOURCES = Path(__file__).resolve().parent / "pull"
LIBRARY = "usr/lib/wardnet-pull"
DOCUMENTS = "usr/share/doc/wardnet-pull"
UNITS = ("wardnet-pull.service", "wardnet-pull.timer", "wardnet-pull-boot.service", "wardnet-pull-boot.timer")
# What the controller alone needs.
CONTROLLERS = frozenset({"wardnet_gathered.py", "wardnet_outcome.py", "wardnet_reach.py"})

LAUNCHER = f"""\
#!/usr/bin/python3 -IS
# Isolated: no site packages, no environment, no current directory; only Python's own library and what comes with this.
import sys

sys.path.insert(0, "/{LIBRARY}")
from ansible.module_utils.wardnet_pull import main

sys.exit(main())
"""

CONTROL = """\
Package: wardnet-pull
Version: {version}
Architecture: all
Maintainer: wardnet maintainers <maintainers@wardnet.example>
Installed-Size: {kilobytes}
Depends: python3 (>= 3.11), openssh-client, ca-certificates
Section: admin
Priority: optional
Description: brings a host to the configuration that its district has published
 For PCs, access points and gateways that have only the internet, and are not
 reached by the district's controller. At boot and while it is up the host fetches
 one signed bundle from its mirror, checks signature, name, validity and serial,
 and comes to it. What could cut it off is taken back unless the mirror is reached
 again. Does nothing before /etc/wardnet/pull.json is there.
"""


def main() -> int:
    return write_as_asked("wardnet-pull", __doc__ or "", build)


def build(output: Path) -> Path:
    """Writes the package into a folder and gives its path. Raises BuildError and OSError."""
    scripts = [File(name, (SOURCES / name).read_bytes(), 0o755) for name in ("postinst", "prerm", "postrm")]
    return write_package(output, "wardnet-pull", CONTROL, collect(), scripts)


def collect() -> list[File]:
    """Everything that the package installs."""
    engine = ROOT / "plugins" / "module_utils"
    files = [
        File(f"{LIBRARY}/ansible/module_utils/{path.name}", path.read_bytes())
        for path in engine.glob("wardnet_*.py")
        if path.name not in CONTROLLERS
    ]
    files += [File(f"{LIBRARY}/ansible/{name}", b"") for name in ("__init__.py", "module_utils/__init__.py")]
    files.append(File("usr/bin/wardnet-pull", LAUNCHER.encode(), 0o755))
    files += [File(f"usr/lib/systemd/system/{unit}", (SOURCES / unit).read_bytes()) for unit in UNITS]
    files.append(File(f"{DOCUMENTS}/pull.md", (ROOT / "docs" / "pull.md").read_bytes()))
    licence = b"wardnet-pull: Apache-2.0, see /usr/share/common-licenses/Apache-2.0\n"
    files.append(File(f"{DOCUMENTS}/copyright", licence))
    return files


if __name__ == "__main__":
    raise SystemExit(main())
