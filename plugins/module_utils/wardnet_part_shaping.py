"""Part `shaping`: what leaves by a line is held to the contracted rate, with some of it going first.

    shaping: {shapes: [{port, bits, burst, queue, overhead: 0}]}

One tree for every port: a token bucket (tbf) of `bits` a second and `burst` bytes, which counts `overhead` bytes more
for each packet, and in it three queues of `queue` packets each, the first of which always goes first (pfifo_fast). The
packet filter says which packet belongs where, by its priority. Neither discipline can hold a filter, so that nothing in
the tree could send a packet elsewhere.

Any other discipline that somebody put on a port of the host is foreign and goes. A port that is not there is named in
`without_port`; the boot's unit shapes it when it is.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ansible.module_utils.wardnet_host import IP, CommandError
from ansible.module_utils.wardnet_part import Difference, Part, PartError, RefusedError, Undo, UndoCommand

TC = "/usr/sbin/tc"
ROOT, INNER = "1:", "10:"
INCOMING = ("ingress", "clsact")  # disciplines on which nothing but filters hangs
LEAST_LIMIT = 65536  # bytes; of the bucket's first queue, which the inner discipline replaces at once
GONE = ("",)  # a tree may have gone already, in more ways than there are words for


class Tree:
    """What a port has: its length of queue, and the disciplines that somebody put there."""

    def __init__(self, port: str, queue: int, disciplines: list[dict[str, Any]]) -> None:
        self.port = port
        self.queue = queue
        self.disciplines = disciplines

    def shape(self) -> dict[str, Any] | None:
        """As a shape, where the tree is of the one kind that is described above."""
        if len(self.disciplines) != 2:
            return None
        first, second = sorted(self.disciplines, key=lambda each: not each.get("root"))
        if (first.get("kind"), first.get("handle"), first.get("root")) != ("tbf", ROOT, True):
            return None
        if (second.get("kind"), second.get("handle"), second.get("parent")) != ("pfifo_fast", INNER, f"{ROOT}1"):
            return None
        options = first.get("options") or {}
        bits, burst = int(options.get("rate", 0)) * 8, int(options.get("burst", 0))
        overhead = int(options.get("overhead", 0))
        return {"port": self.port, "bits": bits, "burst": burst, "queue": self.queue, "overhead": overhead}

    def outgoing(self) -> Tree:
        """The same without what takes packets in."""
        return Tree(self.port, self.queue, [each for each in self.disciplines if each.get("kind") not in INCOMING])

    def words(self) -> tuple[str, ...]:
        found = self.shape()
        if found is not None:
            return (words(found),)
        return tuple(f"{each.get('kind')} {each.get('handle', '')} on {self.port}" for each in self.disciplines)


def words(shape: dict[str, Any]) -> str:
    return (
        f"{shape['bits'] // 1000} kbit/s out of {shape['port']}, burst {shape['burst']} bytes, "
        f"queue {shape['queue']} packets"
    )


def parse_trees(disciplines: str, links: str) -> dict[str, Tree]:
    """Every port of the host, from `tc -j qdisc show` and `ip -j link show`. The kernel's own disciplines, which have
    no handle, are left out."""
    trees = {link["ifname"]: Tree(link["ifname"], int(link.get("txqlen", 0)), []) for link in json.loads(links or "[]")}
    for each in json.loads(disciplines or "[]"):
        if each.get("handle", "0:") != "0:" and each.get("dev") in trees:
            trees[each["dev"]].disciplines.append(each)
    return trees


def same(shape: dict[str, Any], other: dict[str, Any] | None) -> bool:
    """The kernel keeps a burst in ticks of its clock: it gives back a little more or less than it was given."""
    if other is None or any(shape.get(key, 0) != other.get(key, 0) for key in ("bits", "queue", "overhead")):
        return False
    return abs(int(shape["burst"]) - int(other["burst"])) <= max(16, int(shape["burst"]) // 100)


def commands(shape: dict[str, Any]) -> list[list[str]]:
    """That build the tree on a port with none. The inner queues take their length from the port when they are made."""
    port, limit = shape["port"], max(LEAST_LIMIT, 2 * int(shape["burst"]))
    bucket = ["tbf", "rate", f"{shape['bits']}bit", "burst", str(shape["burst"]), "limit", str(limit)]
    bucket += ["overhead", str(shape["overhead"])] if shape.get("overhead") else []
    return [
        [IP, "link", "set", "dev", port, "txqueuelen", str(shape["queue"])],
        [TC, "qdisc", "add", "dev", port, "root", "handle", ROOT, *bucket],
        [TC, "qdisc", "add", "dev", port, "parent", f"{ROOT}1", "handle", INNER, "pfifo_fast"],
    ]


def removals(tree: Tree) -> list[list[str]]:
    """That take away what is on the port; what hangs below goes with it."""
    found = []
    for each in tree.disciplines:
        if each.get("root"):
            found.append([TC, "qdisc", "del", "dev", tree.port, "root"])
        elif each.get("kind") in INCOMING:
            found.append([TC, "qdisc", "del", "dev", tree.port, str(each["kind"])])
    return found


class Shaping(Part):
    name = "shaping"

    def read(self) -> None:
        self._shapes = [
            {
                "port": str(shape["port"]),
                **{key: int(shape[key]) for key in ("bits", "burst", "queue")},
                "overhead": int(shape.get("overhead") or 0),
            }
            for step in self.steps
            for shape in step.arguments.get("shapes") or []
        ]
        self._trees = self._look()
        self._differing = self._compare()

    def _look(self) -> dict[str, Tree]:
        return parse_trees(self.host.run([TC, "-j", "qdisc", "show"]), self.host.run([IP, "-j", "link", "show"]))

    def _compare(self) -> list[str]:
        """Ports whose tree is not as intended."""
        intended = {shape["port"]: shape for shape in self._shapes}
        return [
            port
            for port, tree in sorted(self._trees.items())
            if (not same(intended[port], tree.shape()) if port in intended else bool(tree.disciplines))
        ]

    def difference(self) -> Difference:
        return Difference(
            missing=tuple(words(shape) for shape in self._shapes if shape["port"] in self._differing),
            foreign=tuple(line for port in self._differing for line in self._trees[port].words()),
            facts={"without_port": sorted(shape["port"] for shape in self._shapes if shape["port"] not in self._trees)},
        )

    def judge(self, root: Path) -> None:  # noqa: ARG002 - no file is judged, the kernel is
        """The candidate in an empty network namespace, on its loopback. What is there must be of a kind that the way
        back can build again: that is one tree, and whatever takes packets in as long as no filter hangs on it."""
        for port in self._differing:
            lost = self._cannot_build_again(self._trees[port])
            if lost:
                raise RefusedError(
                    f"the way back is refused: it could not bring back as it is: {lost[0]}. Take that away "
                    f"({shlex.join(lost[1])}), then run again: nothing was touched"
                )
        for shape in self._shapes:
            if shape["port"] not in self._differing:
                continue
            lines = [shlex.join(argv) for argv in commands({**shape, "port": "lo"})]
            trial = ["/usr/bin/unshare", "--net", "/bin/sh", "-c", " && ".join(lines)]
            code, _, err = self.host.attempt(trial)
            if code != 0:
                raise RefusedError(f"shaping of {shape['port']} is refused by this kernel or tc: {err.strip()}")

    def _cannot_build_again(self, tree: Tree) -> tuple[str, list[str]] | None:
        """In words, and the command that takes it away."""
        outgoing = tree.outgoing()
        if outgoing.disciplines and outgoing.shape() is None:
            return ", ".join(outgoing.words()), [TC, "qdisc", "del", "dev", tree.port, "root"]
        for kind in (str(each["kind"]) for each in tree.disciplines if each.get("kind") in INCOMING):
            for side in ("ingress", "egress")[: 2 if kind == "clsact" else 1]:
                if self.host.run([TC, "filter", "show", "dev", tree.port, side]).strip():
                    return f"filters of {kind} on {tree.port}", [TC, "qdisc", "del", "dev", tree.port, kind]
        return None

    def undo(self) -> list[Undo]:
        back: list[Undo] = []
        for port in self._differing:
            tree = self._trees[port]
            back += [
                UndoCommand((TC, "qdisc", "del", "dev", port, kind), harmless=GONE) for kind in ("root", *INCOMING)
            ]
            former = tree.outgoing().shape()
            if former is not None:
                back += [UndoCommand(tuple(argv)) for argv in commands(former)]
            elif tree.queue:
                back.append(UndoCommand((IP, "link", "set", "dev", port, "txqueuelen", str(tree.queue))))
            incoming = [str(each["kind"]) for each in tree.disciplines if each.get("kind") in INCOMING]
            back += [UndoCommand((TC, "qdisc", "add", "dev", port, kind)) for kind in incoming]
        return back

    def apply(self) -> None:
        intended = {shape["port"]: shape for shape in self._shapes}
        try:
            self._trees = self._look()  # a VLAN's port has come with part network
            self._differing = self._compare()
            for port in self._differing:
                for argv in removals(self._trees[port]):
                    self.host.run(argv)
                for argv in commands(intended[port]) if port in intended else []:
                    self.host.run(argv)
        except CommandError as error:
            raise PartError(f"shaping: {error}") from error

    def verify(self) -> None:
        self._trees = self._look()
        self._differing = self._compare()
        if self._differing:
            raise PartError(f"what leaves by {', '.join(self._differing)} is still not shaped as intended")
