"""Takes back what was published for hosts that do not pull any more: they have left the inventory, or are reached now.
On the controller alone, once a run. What this key has not signed is not wardnet's to remove; it is named.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

UTILS = str(Path(__file__).parents[1] / "module_utils")
if UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(UTILS)
published = importlib.import_module("ansible.module_utils.wardnet_published")
signature = importlib.import_module("ansible.module_utils.wardnet_signature")

Result = dict[str, Any]


class ActionModule(ActionBase):
    """`folder` and `key` as of wardnet_publish. Reads the group `pulled` of the whole inventory, whatever the limit."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        variables = task_vars or {}
        result: Result = super().run(tmp, variables)
        folder, key = (str(self._task.args.get(word) or "") for word in ("folder", "key"))
        if not folder or not key:
            return {**result, "changed": False}  # what cannot publish has said so
        keep: set[str] = set()
        for host in variables["groups"].get("pulled", []):
            keep |= {host, str(variables["hostvars"][host].get("publish_hostname", host))}
        try:
            made = withdraw(Path(folder).expanduser(), Path(key).expanduser(), keep, self._task.check_mode)
        except (signature.SignatureError, OSError) as error:
            raise AnsibleActionFail(
                f"what is published for hosts that have left could not be removed: {error}"
            ) from error
        for text in made["told"]:
            Display().display(text)
        return {**result, **made}


def withdraw(folder: Path, key: Path, keep: Iterable[str], check: bool) -> Result:
    """Removes the bundles in `folder` that `key` has signed for hosts that are not in `keep`."""
    kept = frozenset(keep)
    gone: list[str] = []
    told: list[str] = []
    for path in sorted(folder.glob(f"*{published.SUFFIX}")):
        host = path.name.removesuffix(published.SUFFIX)
        if host in kept or not published.HOST.fullmatch(host):
            continue
        if signature.read_signed(folder, host, key) is None:
            told.append(f"{path}: {host} does not pull, and this key has not signed it: remove it by hand if it may go")
            continue
        gone += [path.name, f"{host}{published.SIGNATURE_SUFFIX}"]
        told.append(f"{'would be removed' if check else 'removed'}: {path}, since {host} does not pull any more")
        if not check:
            path.unlink()
            path.with_name(f"{host}{published.SIGNATURE_SUFFIX}").unlink(missing_ok=True)
    header = f"published in {folder}"
    diff = {"before_header": header, "after_header": f"{header}, for hosts that pull", "after": ""}
    return {
        "changed": bool(gone),
        "withdrawn": gone,
        "told": told,
        **({"diff": {**diff, "before": "".join(f"{name}\n" for name in gone)}} if gone else {}),
    }
