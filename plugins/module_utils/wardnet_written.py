"""When runs have written which file since the boot, by the steady clock, which no setting of the time moves: a unit
that was started before that is to take it up, whatever the file's date says. Standard library only.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import suppress

from ansible.module_utils import wardnet_undo as undo
from ansible.module_utils.wardnet_bundle import Change
from ansible.module_utils.wardnet_host import Host

WRITTEN = "written"  # beside the lock, where nothing outlives a boot; units do not either


def note_written(host: Host, changes: Iterable[Change]) -> None:
    """That the files of these are being written now. Rights are not taken up again, nor what says the same."""
    paths = [str(change.path) for change in changes if change.kind == "write" and not change.quiet]
    if paths:
        host.lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        record = {**read_written(host), **dict.fromkeys(paths, time.monotonic())}
        undo.write(host.lock.with_name(WRITTEN), json.dumps(record) + "\n", 0o600)


def read_written(host: Host) -> dict[str, float]:
    """By path, in seconds of the steady clock."""
    now = time.monotonic()
    with suppress(OSError, ValueError, TypeError, AttributeError):
        record = json.loads(host.lock.with_name(WRITTEN).read_text())
        return {str(path): float(at) for path, at in record.items() if float(at) <= now}
    return {}
