"""wardnet bootstrap: what a technician takes to a new gateway on a USB stick."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from wardnet.bootstrap import BootstrapError, reach_of, readme, script
from wardnet.bootstrap.render import script_name
from wardnet.cli.check import day_of
from wardnet.cli.console import DEFAULT_INVENTORY, Exit, fail, load_district, out
from wardnet.compile import compile_plan
from wardnet.locale import _
from wardnet.model.intent import Channel

PUBLIC_KEY = re.compile(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-\S+) [A-Za-z0-9+/]+=*(?: [^\r\n']*)?"
)


def bootstrap(
    host: Annotated[str, typer.Argument(help=_("the gateway's id in the inventory"))],
    output: Annotated[Path, typer.Option("--output", "-o", help=_("folder for the files, such as a USB stick's"))],
    key: Annotated[
        list[Path] | None,
        typer.Option("--key", help=_("public key that may log in; the one beside WARDNET_SSH_KEY if not given")),
    ] = None,
    inventory: Annotated[Path, typer.Option("--inventory", "-i", help=_("the inventory's folder"))] = DEFAULT_INVENTORY,
    as_of: Annotated[str, typer.Option(help=_("the day to compile for; today if not given"))] = "",
) -> None:
    """Write a script that makes a new Debian machine reachable for the controller as this gateway, with what the
    technician does in Vietnamese and English. Nothing in it is secret. Ends with 0; with 2 where there is no such way
    to this host."""
    district = load_district(inventory, Exit.USAGE)
    day = day_of(as_of, district)
    plan = compile_plan(district, day)
    wan = district.channel(Channel.WAN)
    others = frozenset(each.id for each in plan.hosts) | frozenset(each.id for each in plan.switches)
    try:
        reach = reach_of(plan, host, wan.resolvers, wan.prefixes, others)
    except BootstrapError as error:
        fail(str(error))
    keys = [public_key(path) for path in key or [key_of_the_controller()]]
    texts = {script_name(host): script(reach, keys, day)}
    texts |= {f"README.{language}.txt": readme(reach, language) for language in ("vi", "en")}
    try:
        output.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            _write(output / name, text)
    except OSError as error:
        fail(_("cannot write {output}: {why}").format(output=output, why=error.strerror))
    for name in texts:
        out.print(str(output / name), markup=False, soft_wrap=True)
    out.print(
        _(
            "The technician runs {script} as root at the new machine and reads six groups of digits out. "
            "Then here: wardnet trust {host} --replaced"
        ).format(script=script_name(host), host=host),
        markup=False,
        soft_wrap=True,
    )


def key_of_the_controller() -> Path:
    """The public key beside WARDNET_SSH_KEY. Ends the command where that is not set."""
    private = os.environ.get("WARDNET_SSH_KEY")
    if not private:
        fail(_("which key may log in? --key FILE.pub, or WARDNET_SSH_KEY with a .pub beside it"))
    return Path(f"{private}.pub")


def public_key(path: Path) -> str:
    """One public key as authorized_keys has it. Ends the command where the file is no such key."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except OSError as error:
        fail(f"{path}: {error.strerror}")
    except UnicodeDecodeError:
        lines = []
    if any("PRIVATE KEY" in line for line in lines):
        fail(_("{path} is a private key, which stays here: name its .pub").format(path=path))
    if len(lines) != 1 or not PUBLIC_KEY.fullmatch(lines[0]):
        fail(_("{path} is not one public key of SSH").format(path=path))
    return lines[0]


def _write(path: Path, text: str) -> None:
    """Whole or not at all: sticks are pulled early."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
