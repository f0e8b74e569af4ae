"""Writes a host's candidate as a signed bundle into a folder, for the host to fetch. On the controller alone: nothing
here touches the host. What is in a bundle, module_utils/wardnet_published.py says.

What has not changed is left as it is, so that a second run changes nothing; it is published anew once half of its time
is over. Secrets never leave the controller so: whoever reaches the mirror reads what is published.
"""

from __future__ import annotations

import importlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible.module_utils
from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

UTILS = str(Path(__file__).parents[1] / "module_utils")
if UTILS not in ansible.module_utils.__path__:
    ansible.module_utils.__path__.append(UTILS)
gathered = importlib.import_module("ansible.module_utils.wardnet_gathered")
published = importlib.import_module("ansible.module_utils.wardnet_published")
signature = importlib.import_module("ansible.module_utils.wardnet_signature")

CHECKOUT = Path(__file__).resolve().parents[2]
DAY = 86400
SIGNERS = "/etc/wardnet/pull-signers"  # where role pull puts them
INPUTS = ("folder", "key", "host", "valid_days", "confirm_within", "settle", "probes", "model_sha256", "as_of")
Result = dict[str, Any]


class PublishError(Exception):
    """The host's bundle cannot be published; the message says why."""


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> Result:
        variables = task_vars or {}
        result: Result = super().run(tmp, variables)
        name = str(variables["inventory_hostname"])
        ward = variables.get("wardnet_ward")
        steps = gathered.take(constants.DEFAULT_LOCAL_TMP, name)
        try:
            made = publish(read_inputs(self._task.args), steps, time.time(), self._task.check_mode)
        except (PublishError, signature.SignatureError, OSError) as error:
            raise AnsibleActionFail(f"{name}{f' (ward {ward})' if ward else ''}: {error}") from error
        return {**result, **made}


@dataclass(frozen=True)
class Inputs:
    folder: Path
    key: Path
    host: str
    valid_days: int
    model_sha256: str
    as_of: str
    arguments: dict[str, Any]


def read_inputs(given: dict[str, Any]) -> Inputs:
    unknown = sorted(set(given) - set(INPUTS))
    if unknown:
        raise PublishError(f"wardnet_publish has no {', '.join(unknown)}; it has {', '.join(INPUTS)}")
    for needed in ("folder", "key"):
        name = f"wardnet_publish_{needed}"
        if not given.get(needed):
            raise PublishError(f"{name} is not given: -e {name}=PATH, or {name.upper()} in the environment")
    key = Path(str(given["key"])).expanduser().resolve()
    if key.is_relative_to(CHECKOUT):
        raise PublishError(
            f"the key that signs lies in the checkout, where it would be committed: move {key} elsewhere"
        )
    return Inputs(
        folder=Path(str(given["folder"])).expanduser(),
        key=key,
        host=str(given["host"]),
        valid_days=int(given.get("valid_days") or 30),
        model_sha256=str(given["model_sha256"]),
        as_of=str(given["as_of"]),
        arguments={
            "confirm_within": int(given.get("confirm_within") or 80),
            "settle": int(given.get("settle") or 30),
            "probes": list(given.get("probes") or []),
        },
    )


def publish(inputs: Inputs, steps: list[dict[str, Any]], now: float, check: bool) -> Result:
    """Writes HOST.bundle and its signature unless what is there says the same and holds for long enough."""
    if not steps:
        raise PublishError("no role of this play wants anything of the host")
    refuse_secrets(steps)
    former = signature.read_signed(inputs.folder, inputs.host, inputs.key)
    content = published.content_hash(inputs.arguments, steps)
    why = reason(inputs, former, content, now)
    if not why:
        return {"changed": False, "serial": former.serial, "valid_until": published.stamp(former.valid_until)}
    bundle = published.Published(
        host=inputs.host,
        serial=published.next_serial(former.serial if former else 0, now),
        published=int(now),
        valid_until=int(now) + inputs.valid_days * DAY,
        as_of=inputs.as_of,
        model_sha256=inputs.model_sha256,
        arguments=inputs.arguments,
        steps=steps,
    )
    try:
        data = published.write_bundle(bundle)
    except ValueError as error:
        raise PublishError(str(error)) from error
    if not check:
        made = signature.sign(data, inputs.key)
        try:
            signature.keeps_its_signer(data, made, steps, SIGNERS)
        except published.BundleRefusedError as error:
            raise PublishError(f"{error}; nothing was published for this host") from None
        inputs.folder.mkdir(parents=True, exist_ok=True)
        put(inputs.folder / f"{inputs.host}{published.SUFFIX}", data)
        put(inputs.folder / f"{inputs.host}{published.SIGNATURE_SUFFIX}", made)
    header = f"published for {inputs.host}"
    return {
        "changed": True,
        "serial": bundle.serial,
        "valid_until": published.stamp(bundle.valid_until),
        "why": why,
        "diff": {
            "before_header": header,
            "after_header": f"{header}: {why}",
            "before": listing(former.steps if former else []),
            "after": listing(steps),
        },
    }


def listing(steps: list[dict[str, Any]]) -> str:
    """The files of a candidate, a line each with a hash of its content."""
    lines = [
        f"{file['path']} {published.content_hash({}, [file])[:12]}"
        for step in steps
        for file in step.get("files") or []
    ]
    return "".join(f"{line}\n" for line in sorted(lines))


def reason(inputs: Inputs, former: Any, content: str, now: float) -> str:
    """Why it is published anew; empty where it is not."""
    if former is None:
        return "nothing that this key has signed is there yet"
    if former.content_sha256 != content:
        return "it has changed"
    if former.valid_until - now < inputs.valid_days * DAY / 2:
        return f"it is valid until {published.stamp(former.valid_until)} alone"
    return ""


def refuse_secrets(steps: list[dict[str, Any]]) -> None:
    for step in steps:
        for file in step.get("files") or []:
            if file.get("secret"):
                raise PublishError(
                    f"role {step['role']} wants the secret file {file['path']}, and whoever reaches the mirror could "
                    "read it: nothing was published for this host"
                )


def put(path: Path, data: bytes) -> None:
    """The whole file or nothing of it."""
    making = path.with_name(f".{path.name}.new")
    with making.open("wb") as stream:
        os.fchmod(stream.fileno(), 0o644)
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    making.replace(path)
