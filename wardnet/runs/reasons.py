"""Why a host is not well, in the reader's language. Pure.

Hosts and Ansible's plugins say it in English, with the host's own values in it; journals keep that as it was said. The
sentences that people meet are known here as templates and told in the reader's language; others stay as they are, since
nft's or ssh's own words are what one searches for. A test holds the templates against the sources that say them.
"""

from __future__ import annotations

import re
from functools import cache

from wardnet.locale import N_, _

TEMPLATES = (
    # a change that nobody could confirm
    N_("no new connection came through in that time"),
    N_("{hosts} no longer answered through it"),
    N_("{hosts} no longer answered through it: playbooks/renumber.yml changes both ends of its line"),
    N_("{hosts} was not confirmed, at the other end of its line"),
    N_("no longer answered: {lines}"),
    N_("nobody confirmed the change over a new connection within {seconds} s"),
    N_("nobody confirmed the change"),
    N_("the change was not finished within {seconds} s"),
    N_("the host was started again before the change was confirmed"),
    N_("the change cut the connection that made it ({reason})"),
    N_("the change was not confirmed in time: the host has taken it back by itself: {reason} ({when})"),
    # one that did not come about
    N_("the kernel does not come to what is intended: see missing, foreign and not_usable"),
    N_("FRR does not come to what is intended: see missing and foreign"),
    N_("the switch does not come to what is intended: see missing and foreign"),
    N_("the packet filter still differs after it was loaded: something else changes it"),
    N_("settings do not keep their values: {names}"),
    # refused
    N_("nothing was touched: {hosts} has not changed, at the other end of its line"),
    N_("the ruleset is refused: {said}"),
    N_("{program} refuses it, nothing was touched: {said}"),
    N_("the file system of {folder} is read-only: nothing was touched"),
    N_("this machine calls itself {name}, not {expected}: nothing was touched"),
    N_("{who} is at work here since {when} (run {run}): nothing was touched"),
    # not reached
    N_("does not answer since its change, which it was to take back by itself after {seconds} s: {reason}"),
    N_("the connection broke before anything was changed: {reason}"),
    N_(
        "the connection broke while it was at work; what was done by then stays, and running it again is safe: {reason}"
    ),
    N_("the connection broke, and it is not known whether anything was changed; running it again is safe: {reason}"),
    N_("Failed to connect to the host via ssh: {said}"),
)
_NESTED = "reason"  # a placeholder that holds a reason itself


def in_words(why: str) -> str:
    """The reason, one line, in the reader's language where it is known; else as it was said."""
    for template in TEMPLATES:
        found = _pattern(template).fullmatch(why)
        if found:
            values = {name: in_words(value) if name == _NESTED else value for name, value in found.groupdict().items()}
            return _(template).format(**values)
    return why


@cache
def _pattern(template: str) -> re.Pattern[str]:
    """`{name}` stands for whatever the host put there; the rest is word for word."""
    pieces = re.split(r"\{(\w+)\}", template)
    return re.compile("".join(f"(?P<{piece}>.+?)" if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces)))
