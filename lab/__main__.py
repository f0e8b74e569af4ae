"""`python -m lab`: see lab.cli. `run` and `shell` skip the rest of the command line, for speed."""

from __future__ import annotations

import os
import sys

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # not on everybody's PATH, also not on root's after a bare `su`


def main() -> int:
    os.environ["PATH"] = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SBIN))
    if len(sys.argv) > 1 and sys.argv[1] in ("run", "shell"):
        from lab import access
        from lab.errors import LabError

        try:
            return access.main(sys.argv[1], sys.argv[2:])
        except LabError as error:
            print(f"lab: {error}", file=sys.stderr)
            return 1
    from lab.cli import run_cli

    return run_cli()


if __name__ == "__main__":
    sys.exit(main())
