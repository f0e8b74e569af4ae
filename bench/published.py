"""Rule sets that others have published, listed by nft itself: each is loaded in a network namespace of its own, and
what `nft -j list ruleset` prints there is kept.

They stay outside this tree; tests/unit/test_audit_public.py reads them.

    python -m bench.published FOLDER_OF_NFT_FILES FOLDER_FOR_LISTINGS       # root

Files that this nft does not load (templates, other versions, names of hosts or interfaces) are told and left out.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

LIST = 'nft -f "$1" && nft -j list ruleset'


def listing(ruleset: Path) -> tuple[bytes, str]:
    """What nft prints of it, or why it does not load."""
    done = subprocess.run(["unshare", "-n", "sh", "-c", LIST, "sh", str(ruleset)], check=False, capture_output=True,
                          timeout=120)  # fmt: skip
    if done.returncode:
        return b"", done.stderr.decode(errors="replace").partition("\n")[0]
    return done.stdout, ""


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or os.geteuid() != 0:
        print("as root: python -m bench.published FOLDER_OF_NFT_FILES FOLDER_FOR_LISTINGS", file=sys.stderr)
        return 2
    source, target = (Path(argument) for argument in arguments)
    target.mkdir(parents=True, exist_ok=True)
    loaded = refused = 0
    for path in sorted(source.rglob("*.nft")):
        found, why = listing(path)
        if why:
            refused += 1
            print(f"{path.relative_to(source)}: {why}", file=sys.stderr)
            continue
        loaded += 1
        (target / f"{'__'.join(path.relative_to(source).parts)}.json").write_bytes(found)
    print(f"{loaded} listed, {refused} that this nft does not load")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
