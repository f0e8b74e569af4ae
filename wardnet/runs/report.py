"""A run as a document that a person can print, sign and file: one self-contained page, or plain text. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from wardnet.locale import _, chosen_language
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
    reason,
    run_state,
    table,
)

# Nothing from elsewhere: the page is read on machines without the internet, years later. Black on white for paper.
_STYLE = """
@page { size: A4; margin: 18mm 16mm; }
body { font: 10.5pt/1.45 "Noto Sans", "DejaVu Sans", sans-serif; color: #111;
  max-width: 60em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; margin: 0 0 .2em; }
h2 { font-size: 1.15em; margin: 1.6em 0 .4em; }
h3 { font-size: 1em; margin: 1.2em 0 .2em; }
table { border-collapse: collapse; width: 100%; } thead { display: table-header-group; } tr { break-inside: avoid; }
th, td { text-align: left; vertical-align: top; padding: .25em .6em .25em 0; border-bottom: 1px solid #bbb; }
th { border-bottom: 2px solid #111; } .facts th { border: 0; font-weight: 600; width: 11em; } .facts td { border: 0; }
.state { white-space: nowrap; } .bad { font-weight: 700; }
pre { font: 9pt/1.4 "Noto Sans Mono", "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere;
  margin: .2em 0 .6em; padding: .4em .6em; border-left: 3px solid #999; }
.sign { display: grid; grid-template-columns: 1fr 1fr; gap: 3em; margin-top: 3em; break-inside: avoid; }
.sign div { border-top: 1px solid #111; padding-top: .3em; margin-top: 4em; }
"""


def _facts(run: Run) -> list[tuple[str, str]]:
    facts = [
        (_("run"), run.id),
        (_("state"), run_state(run.state)),
        (_("playbook"), run.playbook + (" " + _("(check only, nothing was changed)") if run.check else "")),
        (_("district"), run.district),
        (_("who"), f"{run.user} ({run.machine})"),
        (_("started"), local(run.started)),
        (_("ended"), local(run.ended)),
        (_("inventory"), _("model {model}, as of {day}").format(model=run.model_sha256 or "?", day=run.as_of)),
        (_("hosts"), counts(run)),
    ]
    if run.resumes:
        facts.append((_("goes on with"), run.resumes))
    if run.limit:
        facts.append((_("limit"), run.limit))
    return facts


def _sections(host: HostOutcome) -> list[tuple[str, list[str]]]:
    """What is told of one host: title and lines."""
    found: list[tuple[str, list[str]]] = []
    if host.rolled_back is not None:
        back = host.rolled_back
        lines = [one_line(back.why)]
        lines += [_("at {when}").format(when=back.when)] if back.when else []
        lines += [_("not undone: {step}").format(step=step) for step in back.failed_steps]
        found.append((_("went back by itself"), lines))
    elif host.message:
        found.append((host_state(host.state), host.message.splitlines()))
    if host.earlier_rollback is not None:
        back = host.earlier_rollback
        found.append((_("had gone back by itself before this run"), [f"{back.when} {one_line(back.why)}".strip()]))
    if host.drift:
        found.append((_("somebody changed by hand"), drift_lines(host.drift)))
    if host.parts:
        found.append((_("brought to what is intended"), part_lines(host.parts)))
    if host.changes:
        found.append((_("other changes"), list(host.changes)))
    return found


def report_text(run: Run) -> str:
    """The report as plain text, 80 columns and more."""
    lines = [_title(run), "=" * len(_title(run)), ""]
    facts = _facts(run)
    width = max(len(name) for name, _value in facts)
    lines += [f"{name.ljust(width)}  {value}" for name, value in facts]
    lines += ["", _("Hosts"), "-" * len(_("Hosts"))]
    rows = [(h.ward, h.host, f"{SIGNS[h.state]} {host_state(h.state)}", reason(h)) for h in _ordered(run.hosts)]
    lines += table([(_("ward"), _("host"), _("state"), _("why")), *rows])
    for host in _ordered(run.hosts):
        sections = _sections(host)
        if sections:
            lines += ["", host.host, "-" * len(host.host)]
            for title, told in sections:
                lines += [f"{title}:", *(f"    {line}" for line in told)]
    lines += ["", "", *(f"{name}: ______________________" for name in _signatures())]
    return "\n".join(lines) + "\n"


def report_html(run: Run) -> str:
    """The report as one page of HTML that loads nothing."""
    facts = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in _facts(run))
    head = "".join(f"<th>{escape(name)}</th>" for name in (_("ward"), _("host"), _("state"), _("why")))
    rows = "".join(_row(host) for host in _ordered(run.hosts))
    details = "".join(_details(host) for host in _ordered(run.hosts))
    signatures = "".join(f"<div>{escape(name)}</div>" for name in _signatures())
    return f"""<!doctype html>
<html lang="{chosen_language()}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(_title(run))}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(_title(run))}</h1>
<table class="facts">{facts}</table>
<h2>{escape(_("Hosts"))}</h2>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
{details}
<div class="sign">{signatures}</div>
</body>
</html>
"""


def _row(host: HostOutcome) -> str:
    kind = "state" if host.state.well else "state bad"
    state = f"{SIGNS[host.state]} {host_state(host.state)}"
    cells = f"<td>{escape(host.ward)}</td><td>{escape(host.host)}</td>"
    return f'<tr>{cells}<td class="{kind}">{escape(state)}</td><td>{escape(reason(host))}</td></tr>'


def _details(host: HostOutcome) -> str:
    sections = _sections(host)
    if not sections:
        return ""
    told = "".join(f"<h3>{escape(title)}</h3><pre>{escape(chr(10).join(lines))}</pre>" for title, lines in sections)
    return f"<section><h2>{escape(host.host)}</h2>{told}</section>"


def _title(run: Run) -> str:
    return _("Report on run {run}").format(run=run.id)


def _signatures() -> tuple[str, str]:
    return _("Made by"), _("Checked by")


def _ordered(hosts: Sequence[HostOutcome]) -> list[HostOutcome]:
    """Those that are not well first, the gravest at the top."""
    grave = (*GRAVE, HostState.CHANGED, HostState.OK)
    return sorted(hosts, key=lambda host: (grave.index(host.state), host.ward, host.host))
