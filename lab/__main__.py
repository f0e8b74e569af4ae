"""`python -m lab`: see lab.cli. `run` and `shell` skip the rest of the command line, for speed."""

from __future__ import annotations

import sys


def main() -> int:
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
