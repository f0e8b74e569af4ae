"""What is sent to a host in one run of module wardnet_commit: the candidate, a list of steps. Shared by the
controller (action plugins) and the host. Standard library only.

A step is what one task of one role adds:

    role         name of the role that added it; names the step in errors
    part         'files', or a guarded part of wardnet_parts.PARTS: filter, settings, network, access ...
    early        true: the files are put in place before packages are installed (sources of packages, their keys).
                 Only for part 'files'
    packages     names, or name=version; installed before anything is judged
    start        false: installing the packages starts no service
    files        [{path, content | link, mode '0644', owner root, group root, tag, secret}]; content is text.
                 A file with secret: true is never shown, neither in a diff nor in a result
    directories  [{path, mode '0755', owner, group, purge [patterns], tag, lent}]; what matches purge and is no file of
                 the whole candidate goes away; a pattern that ends with / is for the files in folders. lent: true where
                 the folder is another's: it is not made, keeps its rights, and what packages brought stays
    validate     [[argv]]; must succeed on the candidate before anything is touched. '{root}' in an argument is the
                 folder that holds all files of the candidate under their final paths
    units        [{name, state running|off|masked, files [paths], reload_files [paths], line, conditional, waits}]; held
                 after all is confirmed. What adds to a unit that runs, or that files here make, and is no file of a
                 package or of the whole candidate goes away (wardnet_drop_ins.py). line: true where a line goes over
                 it: who answered before it is started again must answer after it. conditional: any where it is enough
                 to have asked for it, as its own conditions may say that it is not for this machine; container where
                 that counts in a container alone. waits: true where somebody may be at it: what has changed it takes
                 up by itself, once it can. It is started where it does not run, and not anew where it does or is just
                 being started
    after        [{tag, command [argv]}]; run when a file of this step with the tag changed, before units. One that
                 fails keeps no other from running; the next run does it, as one that was cut off (wardnet_after.py)
    <part>       the part's own arguments, a dict under the part's name; what is in it, the part's class says

Files of a guarded part are in place before the part is applied, or, where the part loads what it runs from elsewhere
(filter, settings), once the change is confirmed. `units` and `after` of all steps come after the confirmation; a
guarded part that needs a service for its change starts or reloads it in its own apply().

Arguments of wardnet_commit, the module. The action plugin of the same name calls it once, and where the result is
`armed` a second time, over a new connection, with the same arguments, `confirmed: true` and the `token` of the result:

    steps           the candidate
    host            what the machine must call itself; else nothing is touched
    who, run        who changes it (user@controller) and the id of the run; shown to whoever comes second
    confirm_within  80: seconds within which the host is its former self unless a new connection confirms the change,
                    counted from when all is applied; a third of them, at most 20, are for going back
    settle          30: seconds within which what runs must have come to what is intended, and likewise the probes
    probes          [{port, channel, targets [addresses], peers [addresses on the link], device}]: lines of the gateway
                    itself. Targets are pinged out of the port (`device` where that is another, as ppp0), peers asked by
                    ARP or neighbour discovery; without `peers`, the targets are. Whoever answered before the change
                    must answer after it, peers only where no target of the line and family did
    min_free        16: MiB that must be free wherever something is written; less is refused before anything is touched
    partial         false; the candidate is not all that the host is made of: no purge takes away what steps of other
                    roles brought that were confirmed before
    confirmed       false; `token` names the very change that is confirmed

Results (all of them always there, in check mode too, unless said otherwise):

    changed         whether anything differs, or differed
    armed, token    the change is made and waits for its confirmation; token only then, with `goes_back_within`, the
                    seconds after which the host begins to go back
    confirmed       this was the second run, and the change lasts now
    rolled_back     the change was taken back at once by this run (which has failed then); `why` says so in a sentence
    parts           {name: {missing [], foreign [], needs [], changed_paths [], and the part's own facts}}, only parts
                    that differ; 'files' for unguarded ones. Foreign nftables tables: parts.filter.foreign_tables
    changed_paths   of all parts
    packages        installed, or to be installed
    actions         of units and after, as 'restart prometheus.service'; commands that an earlier run left, too
    drift           [{part, what, where 'running' | 'disk'}]: differs from the candidate and from the last confirmed one
    updates_at      when security updates last came to their end there, in seconds since 1970; absent where nothing
                    says so
    last_rollback   {when, why, run, who, parts, failed [steps of the way back], boot}, told by the first run in
                    earnest that comes to its end after it (and by check runs till then); absent where there is none
    held            in check mode: {who, run, since, seconds_left} of a run that holds the host; absent where none does
    last_run        in check mode: id of the run that held the host last since its boot, at work still or not; or ''
    diff            as Ansible shows it

It fails with `msg`; with `held` {who, run, since, seconds_left} where another run holds the host; with `refused: true`
where the candidate, the way back or the disk would not do and nothing was touched, or packages alone; with
`taken_back: true` where there is nothing to confirm any more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from typing import Any

UNGUARDED = "files"
# In the order in which they are applied: nothing is forwarded before the filter is there, the ports are there before
# what speaks over them.
GUARDED = ("filter", "settings", "switch", "bridge", "network", "routing", "shaping", "access", "accounts")


class CandidateError(Exception):
    """A step has not the shape that is described above."""


@dataclass(frozen=True)
class Step:
    role: str
    part: str
    early: bool = False
    packages: tuple[str, ...] = ()
    start: bool = True
    files: tuple[dict[str, Any], ...] = ()
    directories: tuple[dict[str, Any], ...] = ()
    validate: tuple[tuple[str, ...], ...] = ()
    units: tuple[dict[str, Any], ...] = ()
    after: tuple[dict[str, Any], ...] = ()
    arguments: dict[str, Any] = field(default_factory=dict)
    key: str = ""  # role, part and place; the same from run to run
    sha256: str = ""  # of all that is in it

    def __str__(self) -> str:
        return f"role {self.role}, part {self.part}"


# What a step holds many of. A new one is a field of Step: it is read, and kept once it is confirmed, like the others.
LISTS = tuple(one.name for one in fields(Step) if one.default == ())
_KEYS = {"role", "part", "early", "start", *LISTS}


def read_steps(items: list[dict[str, Any]]) -> tuple[Step, ...]:
    """Checked steps, in the order given; CandidateError names the role and what is wrong."""
    counted: dict[str, int] = {}
    steps = []
    for item in items:
        name = f"{item.get('role')}/{item.get('part')}"
        counted[name] = counted.get(name, 0) + 1
        steps.append(read_step(item, f"{name}/{counted[name]}"))
    return tuple(steps)


def read_step(item: dict[str, Any], key: str = "") -> Step:
    """One step; `key` names it from run to run."""
    part = str(item.get("part"))
    where = f"role {item.get('role') or '?'}, part {part}"
    if part not in (UNGUARDED, *GUARDED):
        raise CandidateError(f"{where}: part is one of {', '.join((UNGUARDED, *GUARDED))}")
    unknown = sorted(set(item) - _KEYS - {part})
    if unknown:
        raise CandidateError(f"{where}: unknown: {', '.join(unknown)}")
    if not item.get("role"):
        raise CandidateError(f"{where}: role is missing")
    if item.get("early") and part != UNGUARDED:
        raise CandidateError(f"{where}: only part {UNGUARDED} can be early")
    lists: dict[str, Any] = {name: tuple(item.get(name) or ()) for name in LISTS}
    lists["validate"] = tuple(tuple(str(word) for word in argv) for argv in lists["validate"])
    return Step(
        role=str(item["role"]),
        part=part,
        early=bool(item.get("early", False)),
        start=bool(item.get("start", True)),
        **lists,
        arguments={} if part == UNGUARDED else item.get(part) or {},
        key=key,
        sha256=hashlib.sha256(json.dumps(item, sort_keys=True, default=str).encode()).hexdigest(),
    )
