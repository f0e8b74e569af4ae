"""wardnet-pull: this host fetches its own candidate from the mirror on the internet and comes to it, by the same engine
as a host that Ansible reaches. Nothing of a bundle is read before its signature is checked; and a change after which
the mirror is not reached over a new connection is taken back. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_exc
from typing import Any

from ansible.module_utils import wardnet_fetch as fetch
from ansible.module_utils import wardnet_pull_mirrors as from_where
from ansible.module_utils import wardnet_pull_state as state
from ansible.module_utils.wardnet_bundle_entries import BundleError
from ansible.module_utils.wardnet_candidate import CandidateError, Step, read_steps
from ansible.module_utils.wardnet_engine import Options, TakenBackError, commit, confirm
from ansible.module_utils.wardnet_host import CommandError, Host
from ansible.module_utils.wardnet_part import PartError, RefusedError
from ansible.module_utils.wardnet_published import (
    LARGEST,
    LARGEST_SIGNATURE,
    SIGNATURE_SUFFIX,
    SUFFIX,
    BundleRefusedError,
    Published,
    check_bundle,
    read_bundle,
    stamp,
)
from ansible.module_utils.wardnet_pull_words import say, tell
from ansible.module_utils.wardnet_signature import keeps_its_signer, verify
from ansible.module_utils.wardnet_transaction import HeldError, Transaction, locked

PAUSE = 3.0  # seconds before something is asked again
MARGIN = 8  # seconds before the host's own timer: then the change is taken back here, with the reason
BREATH = (20.0, 40.0)  # seconds before the mirror is tried anew after a boot: the PCs of a building come up together
PATIENCE = 600.0  # seconds for another wardnet-pull to end
CLOCK_SET = Path("/run/systemd/timesync/synchronized")  # there once the time client has heard from a source
KEPT = (
    "serial",
    "valid_until",
    "valid_until_at",
    "last_success",
    "last_success_at",
    "updates_at",
)  # until something takes its place


class LostError(Exception):
    """The change was made, it could not be confirmed, as where the mirror was not reached after it, and the host is as
    before."""


@dataclass
class Attempt:
    """One run: what it is told, where it keeps things, and what it says."""

    config: state.Config
    host: Host
    again: bool = False
    said: dict[str, Any] = field(default_factory=dict)
    mirrors: list[from_where.Mirror] = field(default_factory=list)  # the one that gave the bundle first

    def run(self) -> str:
        """How it came out; `said` has the rest."""
        try:
            return self._run()
        except fetch.NotReachedError as error:
            return self._end(state.NOT_REACHED, f"{error}; nothing was touched")
        except fetch.NotThereError as error:
            return self._end(state.NOT_PUBLISHED, f"nothing is published for this host: {error}")
        except (fetch.AnswerRefusedError, BundleRefusedError, CandidateError) as error:
            return self._end(state.REFUSED, f"{error}; nothing was touched")
        except HeldError as error:
            return self._end(state.HELD, str(error))
        except RefusedError as error:
            return self._end(state.FAILED, str(error))
        except (LostError, TakenBackError) as error:
            return self._end(state.TAKEN_BACK, str(error))
        except (PartError, CommandError, BundleError, OSError) as error:
            return self._end(state.FAILED, str(error))
        except Exception as error:  # what was armed goes back by its timer
            print(format_exc(), file=sys.stderr)
            return self._end(state.FAILED, f"this is an error of wardnet itself: {error!r}")

    def _end(self, result: str, why: str) -> str:
        self.said["why"] = why
        return result

    def _run(self) -> str:
        name = socket.gethostname()
        if name != self.config.host:
            raise BundleRefusedError(f"this machine calls itself {name}, and its configuration says {self.config.host}")
        taken = state.read_taken(self.host.state)
        data, bundle = self._fetch(taken)
        self.said.update(
            serial=bundle.serial, model_sha256=bundle.model_sha256, as_of=bundle.as_of,
            published=stamp(bundle.published), valid_until=stamp(bundle.valid_until), valid_until_at=bundle.valid_until,
        )  # fmt: skip
        steps = read_steps(bundle.steps)
        if not self.host.check_mode:
            taken.serial, taken.sha256 = bundle.serial, hashlib.sha256(data).hexdigest()
            state.write_taken(self.host.state, taken)  # before it is tried: what is older is never taken after it
        waits = "" if self.again else taken.waits(bundle.content_sha256, time.time())
        if waits:
            raise RefusedError(f"serial {bundle.serial}: {waits}")
        try:
            result = self._bring(bundle, steps)
        except (LostError, TakenBackError) as error:
            taken.went_bad(bundle.content_sha256, time.time(), str(error))
            state.write_taken(self.host.state, taken)
            raise
        if taken.bad and not self.host.check_mode:
            taken.bad = None
            state.write_taken(self.host.state, taken)
        self.said.update(
            changed=result["parts"], drift=result["drift"], actions=result["actions"],
            last_rollback=result.get("last_rollback"), updates_at=result.get("updates_at"),
        )  # fmt: skip
        return state.CHANGED if result["changed"] else state.CONVERGED

    # ---- fetched and believed ----

    def _agent(self) -> str:
        """What it sends with each request tells the operator of the mirror how the host is: its log has it."""
        former = state.read_status(self.host.state)
        words = [str(former.get("serial") or 0), str(former.get("result") or "new")]
        if former.get("updates_at"):
            words.append(f"updates-of-{stamp(int(former['updates_at']))[:10]}")
        return f"wardnet-pull/1 ({' '.join(words)})"

    def _fetch(self, taken: state.Taken) -> tuple[bytes, Published]:
        """The bytes of the bundle, and the bundle, which this host may take: of the first mirror that has one."""
        self.mirrors = from_where.mirrors(self.config.mirror, self.host.state)
        found, mirror, failed = from_where.first(self.mirrors, lambda mirror: self._fetch_from(mirror, taken))
        self.mirrors.sort(key=lambda other: other != mirror)
        self.said["mirror"] = mirror.url
        if failed:
            self.said["mirror_failed"] = failed
        if not self.host.check_mode:
            from_where.gave(self.host.state, mirror)
        return found

    def _fetch_from(self, mirror: from_where.Mirror, taken: state.Taken) -> tuple[bytes, Published]:
        server, name = mirror.server(self._agent()), self.config.host
        signers = state.read_file(self.config.signers)
        for last in (False, True):
            signature = server.fetch(name + SIGNATURE_SUFFIX, LARGEST_SIGNATURE)
            data = server.fetch(name + SUFFIX, LARGEST)
            try:
                self.said["signer"] = verify(data, signature, signers)
                break
            except BundleRefusedError:
                if last:
                    raise
                time.sleep(PAUSE)  # the two may just be being replaced
        bundle = read_bundle(data)
        check_bundle(bundle, name, time.time(), taken.serial)
        keeps_its_signer(data, signature, bundle.steps, str(self.config.signers))
        taken.check_bytes(bundle.serial, hashlib.sha256(data).hexdigest())
        return data, bundle

    # ---- brought about ----

    def _bring(self, bundle: Published, steps: tuple[Step, ...]) -> dict[str, Any]:
        run = f"pull-{bundle.serial}"
        options = Options(
            who="wardnet-pull",
            run=run,
            host=bundle.host,
            confirm_within=int(bundle.arguments.get("confirm_within", 80)),
            probes=tuple(bundle.arguments.get("probes", ())),
            min_free=16,
        )
        self.host.settle = float(bundle.arguments.get("settle", 30))
        with nullcontext() if self.host.check_mode else locked(self.host, options.who, run):
            result = commit(self.host, steps, options)
            if not result["armed"]:
                return result
            try:
                self._ask_anew(float(result["goes_back_within"]))
                second = confirm(self.host, steps, options, result["token"])
            except (LostError, TakenBackError, HeldError):
                raise
            except Exception as error:  # armed: the host is not left to its timer, and the pause grows
                report = Transaction(self.host).take_back(str(error))
                if report or getattr(error, "facts", {}).get("taken_back"):
                    raise LostError(_taken_back(str(error) or repr(error), report)) from error
                raise  # the change had been confirmed, and lasts
        return {**result, "actions": list(dict.fromkeys([*result["actions"], *second["actions"]]))}

    def _ask_anew(self, within: float) -> None:
        """Returns once the mirror has answered over a connection that began after the change. The names are looked up
        anew as well: who cannot ask the mirror any more could never be mended."""
        deadline = time.monotonic() + max(within - MARGIN, within / 2)
        why = "no time was left"
        while time.monotonic() < deadline:
            for mirror in self.mirrors:
                left = max(1.0, deadline - time.monotonic())
                try:
                    mirror.server(self._agent()).fetch(
                        self.config.host + SIGNATURE_SUFFIX, LARGEST_SIGNATURE, within=left
                    )
                except fetch.NotThereError:
                    return  # it is the mirror that says so
                except (fetch.NotReachedError, fetch.AnswerRefusedError, OSError) as error:
                    why = str(error)
                else:
                    return
            time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))
        lost = f"the mirror was not reached over a new connection after the change: {why}"
        raise LostError(_taken_back(lost, Transaction(self.host).take_back(lost)))


def _taken_back(why: str, report: dict[str, Any] | None) -> str:
    failed = (report or {}).get("failed")
    steps = f"; of the way back these steps failed: {', '.join(failed)}" if failed else ""
    return f"{why}; the former state is back{steps}"


@contextmanager
def alone(lock: Path, patience: float = 0.0) -> Iterator[None]:
    """Never two at once: BlockingIOError where another one is at it for longer than `patience`, in seconds."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.5)
        yield
    finally:
        os.close(descriptor)


def pull(config: state.Config, host: Host, again: bool = False, metrics: Path = state.METRICS) -> dict[str, Any]:
    """One attempt, with its record written; the record."""
    attempt = Attempt(config, host, again)
    former = state.read_status(host.state)
    now = time.time()
    result = attempt.run()
    kept = {key: former.get(key) for key in KEPT}
    record = {**kept, "host": config.host, "attempt": stamp(now), "result": result, "why": "", **attempt.said}
    if result in (state.CONVERGED, state.CHANGED):
        record.update(last_success=stamp(now), last_success_at=int(now))
    if not host.check_mode:
        state.write_json(host.state / state.STATUS, record)
        state.write_metrics(metrics, record, now)
    return record


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="wardnet-pull", description="brings this host to what is published for it")
    parser.add_argument("--config", type=Path, default=state.CONFIG, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="say what would be changed, and change nothing")
    parser.add_argument("--again", action="store_true", help="try at once what was taken back before")
    parser.add_argument("--until-reached", type=float, default=0, metavar="MINUTES",
                        help="while the mirror is not reached, try for so long")  # fmt: skip
    options = parser.parse_args(arguments)
    os.umask(0o022)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    deadline = time.monotonic() + 60 * options.until_reached
    told = ""
    while True:
        clock_is_waited_for = CLOCK_SET.parent.is_dir() and not CLOCK_SET.exists()
        result, told = once(options, told)
        # A certificate, and a bundle, are of a time: a clock that is not set yet may be all that is wrong.
        again = result == state.NOT_REACHED or (result == state.REFUSED and clock_is_waited_for)
        if not again or time.monotonic() >= deadline:
            return state.CODES[result]
        time.sleep(random.uniform(*BREATH))  # noqa: S311 - no secret


def once(options: argparse.Namespace, told: str = "") -> tuple[str, str]:
    """How one attempt came out, and its words; those that are `told` already are not said anew."""
    host = Host(check_mode=options.check, fetches_first=True)
    try:
        config = state.read_config(options.config)
        state.read_file(config.signers)
        from_where.mirrors(config.mirror, host.state)
        with alone(host.lock.with_name("pull.lock"), PATIENCE):
            record = pull(config, host, options.again)
    except BlockingIOError:
        say(4, "another wardnet-pull is at work on this host")
        return state.HELD, ""
    except (state.ConfigError, ValueError, OSError) as error:
        say(3, f"not configured: {error}")
        if not options.check:
            former = state.read_status(host.state)
            kept = {key: former[key] for key in KEPT if key in former}
            record = {**kept, "attempt": stamp(time.time()), "why": str(error), "result": state.MISCONFIGURED}
            state.write_json(host.state / state.STATUS, record)
        return state.MISCONFIGURED, ""
    words = f"{record['result']}: {record.get('why')}"
    if words != told:
        for message in host.warnings:
            say(5, message)
        tell(record, options.check)
    return record["result"], words


if __name__ == "__main__":
    sys.exit(main())
