"""wardnet-pull: this host fetches its own candidate from the mirror on the internet and comes to it, by the same engine
as a host that Ansible reaches. Nothing of a bundle is read before its signature is checked; and a change after which
the mirror is not reached over a new connection is taken back. Standard library only.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
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
from ansible.module_utils.wardnet_signature import keeps_its_signer, verify
from ansible.module_utils.wardnet_transaction import HeldError, Transaction, locked

PAUSE = 3.0  # seconds before something is asked again
MARGIN = 8  # seconds before the host's own timer: then the change is taken back here, with the reason
SHOWN = 12  # lines of what was changed
KEPT = ("serial", "valid_until", "valid_until_at", "last_success", "last_success_at")  # until something takes its place


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
            last_rollback=result.get("last_rollback"),
        )  # fmt: skip
        return state.CHANGED if result["changed"] else state.CONVERGED

    # ---- fetched and believed ----

    def _server(self) -> fetch.Server:
        """What it sends with each request tells the operator of the mirror how the host is: its log has it."""
        former = state.read_status(self.host.state)
        words = f"{former.get('serial', 0)} {former.get('result', 'new')}"
        return fetch.Server(self.config.url, self.config.ca, f"wardnet-pull/1 ({words})")

    def _fetch(self, taken: state.Taken) -> tuple[bytes, Published]:
        """The bytes of the bundle, and the bundle, which this host may take."""
        server, name = self._server(), self.config.host
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
            confirm_within=int(bundle.arguments.get("confirm_within", 60)),
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
        while (left := deadline - time.monotonic()) > 0:
            try:
                self._server().fetch(self.config.host + SIGNATURE_SUFFIX, LARGEST_SIGNATURE, within=left)
            except fetch.NotThereError:
                return  # it is the mirror that says so
            except (fetch.NotReachedError, fetch.AnswerRefusedError, OSError) as error:
                why = str(error)
                time.sleep(min(PAUSE, max(0.0, deadline - time.monotonic())))
            else:
                return
        lost = f"the mirror was not reached over a new connection after the change: {why}"
        raise LostError(_taken_back(lost, Transaction(self.host).take_back(lost)))


def _taken_back(why: str, report: dict[str, Any] | None) -> str:
    failed = (report or {}).get("failed")
    steps = f"; of the way back these steps failed: {', '.join(failed)}" if failed else ""
    return f"{why}; the former state is back{steps}"


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """Never two at once: BlockingIOError where another one is at it."""
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
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


def say(level: int, text: str) -> None:
    """To the journal with its level, which it reads in front; to a person without."""
    print(f"<{level}>{text}" if "JOURNAL_STREAM" in os.environ else text)


def tell(record: dict[str, Any], checked: bool = False) -> None:
    """How it came out, in a line, and what was changed."""
    rollback = record.get("last_rollback")
    if rollback:
        say(4, f"this host had gone back by itself at {rollback.get('when')}: {rollback.get('why')}")
    for item in (record.get("drift") or [])[:SHOWN]:
        say(5, f"changed by hand: {item['part']}: {item['what']}")
    result, why = record["result"], record.get("why")
    serial = f"serial {record['serial']}" if record.get("serial") else "no serial yet"
    if result == state.CONVERGED:
        say(6, f"{record['host']} is as published ({serial}, of {record.get('as_of')})")
    elif result == state.CHANGED:
        parts = record.get("changed") or {}
        words = [f"{name}: {_count(part)}" for name, part in sorted(parts.items())]
        doing = "would be changed" if checked else "was changed"
        say(6, f"{record['host']} {doing} to what is published ({serial}): {'; '.join(words) or 'its record'}")
        for action in (record.get("actions") or [])[:SHOWN]:
            say(6, f"  {action}")
    else:
        level = 4 if state.CODES[result] == 75 else 3
        say(level, f"{result.replace('_', ' ')}: {why}")


def _count(part: dict[str, Any]) -> str:
    paths = part.get("changed_paths") or []
    others = [*(part.get("missing") or []), *(part.get("foreign") or []), *(part.get("needs") or [])]
    found = [*paths[:SHOWN], *map(str, others[:SHOWN])]
    more = len(paths) + len(others) - len(found)
    return ", ".join(found) + (f" and {more} more" if more else "")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="wardnet-pull", description="brings this host to what is published for it")
    parser.add_argument("--config", type=Path, default=state.CONFIG, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="say what would be changed, and change nothing")
    parser.add_argument("--again", action="store_true", help="try at once what was taken back before")
    options = parser.parse_args(arguments)
    os.umask(0o022)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    host = Host(check_mode=options.check)
    try:
        config = state.read_config(options.config)
        state.read_file(config.signers)
        fetch.Server(config.url, config.ca)
        with alone(host.lock.with_name("pull.lock")):
            record = pull(config, host, options.again)
    except BlockingIOError:
        say(4, "another wardnet-pull is at work on this host")
        return state.CODES[state.HELD]
    except (state.ConfigError, ValueError, OSError) as error:
        say(3, f"not configured: {error}")
        if not options.check:
            former = state.read_status(host.state)
            kept = {key: former[key] for key in KEPT if key in former}
            record = {**kept, "attempt": stamp(time.time()), "why": str(error), "result": state.MISCONFIGURED}
            state.write_json(host.state / state.STATUS, record)
        return state.CODES[state.MISCONFIGURED]
    tell(record, options.check)
    return state.CODES[record["result"]]


if __name__ == "__main__":
    sys.exit(main())
