"""A run as a document that a person can print, sign and file: one self-contained page, or plain text. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import shorten

from wardnet.locale import _, chosen_language
from wardnet.runs.reasons import in_words
from wardnet.runs.records import HostOutcome, HostState, Run
from wardnet.runs.words import (
    GRAVE,
    SIGNS,
    counts,
    drift_lines,
    host_state,
    local,
    one_line,
    part_lines,
    part_name,
    reason,
    run_state,
    said,
    table,
    told_at,
)

# Nothing from elsewhere: the page is read on machines without the internet, years later. Black on white for paper.
_STYLE = """
@page { size: A4; margin: 18mm 16mm 20mm; @bottom-left { content: "RUN"; font: 8pt sans-serif; color: #444; }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #444; } }
body { font: 10.5pt/1.45 "Noto Sans", "DejaVu Sans", sans-serif; color: #111;
  max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0; } .subtitle { margin: .2em 0 1.2em; font-size: 1.1em; }
h2 { font-size: 1.15em; margin: 1.8em 0 .4em; }
h3 { font-size: 1em; margin: 1em 0 .2em; } h2, h3 { break-after: avoid; }
table { border-collapse: collapse; width: 100%; } thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { text-align: left; vertical-align: top; padding: .25em .8em .25em 0; border-bottom: 1px solid #bbb; }
th { border-bottom: 2px solid #111; } .facts th { border: 0; font-weight: 600; width: 11em; } .facts td { border: 0; }
.name { white-space: nowrap; } .bad { font-weight: 700; } .exact { font-size: .85em; overflow-wrap: anywhere; }
.note { font-size: .85em; margin: .6em 0 0; }
pre { font: 9pt/1.4 "Noto Sans Mono", "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  margin: .2em 0 .6em; padding: .4em .6em; border-left: 3px solid #999; orphans: 3; widows: 3; }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 3em; margin-top: 3em; break-inside: avoid;
  text-align: center; }
.sign div { padding-bottom: 7em; } .sign small { display: block; font-style: italic; }
@media print { body { margin: 0; padding: 0; max-width: none; } }
"""
LONGEST_WHY = 240  # characters in a table
_EXACT = "exact"  # what is copied rather than read: hashes, commands, paths


def _facts(run: Run) -> list[tuple[str, str, str]]:
    """What is said of the run as a whole: name, text, class of its cell."""
    facts = [
        (_("run"), run.id, ""),
        (_("playbook"), run.playbook + (" " + _("(check only, nothing was changed)") if run.check else ""), ""),
        (_("district"), run.district_name or run.district, ""),
        (_("who"), _("{who} on {machine}").format(who=run.user, machine=run.machine), ""),
        (_("started"), local(run.started, run.timezone), ""),
        (_("ended"), local(run.ended, run.timezone), ""),
        (_("inventory"), _("as of {day}").format(day=run.as_of), ""),
        (_("its hash"), run.model_sha256 or "?", _EXACT),
        (_("command"), shlex.join((Path(run.program).name, *run.argv)), _EXACT),
        (_("journal"), str(run.path), _EXACT),
    ]
    if run.resumes:
        facts.insert(1, (_("goes on with"), run.resumes, ""))
    return facts


def sections(run: Run, host: HostOutcome) -> list[tuple[str, list[str]]]:
    """What is told of one host: title and lines."""
    zone = run.timezone
    found: list[tuple[str, list[str]]] = []
    if host.rolled_back is not None:
        back = host.rolled_back
        lines = [in_words(one_line(back.why))]
        lines += [_("at {when}").format(when=told_at(back.when, zone))] if back.when else []
        if back.parts:
            lines.append(_("as before: {parts}").format(parts=", ".join(map(part_name, back.parts))))
        lines += [_("not undone: {step}").format(step=step) for step in back.failed_steps]
        found.append((_("went back by itself"), lines))
    elif host.message and not host.state.well:
        lines = host.message.splitlines()
        found.append((host_state(host.state), lines if len(lines) > 1 else [in_words(said(host))]))
    if host.earlier_rollback is not None:
        back = host.earlier_rollback
        told = f"{told_at(back.when, zone)} {in_words(one_line(back.why))}".strip()
        found.append((_("had gone back by itself before this run"), [told]))
    if host.drift:
        found.append((_("somebody changed by hand"), drift_lines(host.drift)))
    if host.parts:
        found.append((_brought(run, host), part_lines(host.parts)))
    if host.changes:
        found.append((_("other changes"), list(host.changes)))
    return found


def _brought(run: Run, host: HostOutcome) -> str:
    if run.check:
        return _("differs from what is intended, and was left so")
    return _("brought to what is intended") if host.state.well else _("was to be brought to what is intended")


def report_text(run: Run) -> str:
    """The report as plain text, 80 columns and more."""
    lines = [_title(run), "=" * len(_title(run)), _subtitle(run), ""]
    facts = _facts(run)
    width = max(len(name) for name, _value, _class in facts)
    lines += [f"{name.ljust(width)}  {value}" for name, value, _class in facts]
    lines += ["", _("Hosts"), "-" * len(_("Hosts"))]
    lines += table([_head(), *(_cells(run, host) for host in _ordered(run.hosts))])
    for host in _ordered(run.hosts):
        told = sections(run, host)
        if told:
            lines += ["", host.host, "-" * len(host.host)]
            for title, about in told:
                lines += [f"{title}:", *(f"    {line}" for line in about)]
    lines += ["", _legend()] if any(host.parts for host in run.hosts) else []
    lines += ["", "", *(f"{name} {_how()}: ______________________" for name in _signatures())]
    return "\n".join(lines) + "\n"


def report_html(run: Run) -> str:
    """The report as one page of HTML that loads nothing."""
    facts = "".join(_fact(*fact) for fact in _facts(run))
    head = "".join(f"<th>{escape(name)}</th>" for name in _head())
    rows = "".join(_row(run, host) for host in _ordered(run.hosts))
    details = "".join(_details(run, host) for host in _ordered(run.hosts))
    legend = f'<p class="note">{escape(_legend())}</p>' if any(host.parts for host in run.hosts) else ""
    signatures = "".join(f"<div>{escape(name)}<small>{escape(_how())}</small></div>" for name in _signatures())
    return f"""<!doctype html>
<html lang="{chosen_language()}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_title(run))}</title>
<style>{_STYLE.replace("RUN", run.id)}</style>
</head>
<body>
<h1>{escape(_title(run))}</h1>
<p class="subtitle">{escape(_subtitle(run))}</p>
<table class="facts">{facts}</table>
<h2>{escape(_("Hosts"))}</h2>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
{details}
{legend}
<div class="sign">{signatures}</div>
</body>
</html>
"""


def _fact(name: str, value: str, kind: str) -> str:
    return f'<tr><th>{escape(name)}</th><td class="{kind}">{escape(value)}</td></tr>'


def _head() -> tuple[str, str, str, str]:
    return _("ward"), _("host"), _("state"), _("why")


def _cells(run: Run, host: HostOutcome) -> tuple[str, str, str, str]:
    why = shorten(reason(host), LONGEST_WHY, placeholder=" …")  # whole in the host's own section
    return run.ward_name(host.ward), host.host, f"{SIGNS[host.state]} {host_state(host.state, run.check)}", why


def _row(run: Run, host: HostOutcome) -> str:
    kinds = ("name", "name", "name" if host.state.well else "name bad", "")
    cells = zip(kinds, _cells(run, host), strict=True)
    return "<tr>" + "".join(f'<td class="{kind}">{escape(text)}</td>' for kind, text in cells) + "</tr>"


def _details(run: Run, host: HostOutcome) -> str:
    told = sections(run, host)
    if not told:
        return ""
    about = "".join(f"<h3>{escape(title)}</h3><pre>{escape(chr(10).join(lines))}</pre>" for title, lines in told)
    ward = f" ({run.ward_name(host.ward)})" if host.ward else ""
    return f"<section><h2>{escape(host.host + ward)}</h2>{about}</section>"


def _title(run: Run) -> str:
    return _("Report on run {run}").format(run=run.id)


def _subtitle(run: Run) -> str:
    return f"{run_state(run.state)}: {counts(run)}"


def _legend() -> str:
    return _("+ was missing; - was there and is not intended; ~ a file or service that was changed")


def _signatures() -> tuple[str, str]:
    return _("Made by"), _("Checked by")


def _how() -> str:
    return _("(signature, full name, date)")


def _ordered(hosts: Sequence[HostOutcome]) -> list[HostOutcome]:
    """Those that are not well first, the gravest at the top."""
    grave = (*GRAVE, HostState.CHANGED, HostState.OK)
    return sorted(hosts, key=lambda host: (grave.index(host.state), host.ward, host.host))
