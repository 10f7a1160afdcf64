"""What each region of the page shows, as HTML; whatever comes from a person, a sheet or the platform is escaped."""

from __future__ import annotations

from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from invoca_bulk.config.settings import TOKEN_VARIABLE, from_environment
from invoca_bulk.journal import RunState
from invoca_bulk.reports import html as displays
from invoca_bulk.reports.results import iso
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, RESOURCES
from invoca_bulk.schema.result_columns import DONE, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.journal import Listed
    from invoca_bulk.reports.plan_report import Preview
    from invoca_bulk.reports.results import Results
    from invoca_bulk.reports.validation_report import Report
    from invoca_bulk.web.run_progress import Progress

#: The regions from top to bottom; what has nothing to show is hidden.
REGIONS = ("connect", "sheet", "issues", "plan", "run", "results", "runs")
#: What says where to, besides the token.
_WHERE = ("network_id", "base_url", "api_version")
#: Regions within others, that change by themselves.
_RUN = '<div data-region="progress"></div><div data-region="stop"></div>'


class Show(Protocol):
    """Shows HTML in a region, and leads the person there if asked."""

    def __call__(self, region: str, html: str, *, focus: bool = False) -> None:  # noqa: D102  the class says it
        ...


def layout(style: str) -> str:
    """The whole page, all its regions empty.

    Args:
        style: the CSS of the displays.
    """
    regions = "".join(f'<section data-region="{one}" hidden></section>' for one in REGIONS)
    return (
        f"<style>{style}</style><header><h1>invoca-bulk</h1>"
        "<p>Advertisers and promo numbers from a spreadsheet: checked, planned, run once, written back.</p></header>"
        f"<main>{regions}</main>"
    )


def connect(problem: str = "", typed: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Where to: the sandbox, or a network with its token.

    Args:
        problem: why it did not work.
        typed: what was in the form; the token has to be typed again.
    """
    values = {name: str(typed.get(name) or from_environment(name) or "") for name in _WHERE}
    versions = "".join(
        f"<option{' selected' if one == values['api_version'] else ''}>{one}</option>" for one in reversed(API_VERSIONS)
    )
    real = typed.get("where") == "network"
    return f"""
<h2>1. Connect</h2>
{_problem(problem)}
<form data-do="connect">
  <fieldset><legend>Where to?</legend>
    <label class="choice"><input type="radio" name="where" value="sandbox" id="where-sandbox" data-shows
      {"" if real else "checked"}>
      <span><b>Sandbox</b>: rehearse on this machine. The numbers are made up, and nothing is bought.</span></label>
    <label class="choice"><input type="radio" name="where" value="network" id="where-network" data-shows
      {"checked" if real else ""}>
      <span><b>Network</b>: the real platform, with your token.</span></label>
  </fieldset>
  <div class="fields" data-shown-by="where-network" {"" if real else "hidden"}>
    {_text("network_id", "Network id", values["network_id"])}
    {_text("base_url", "Base URL", values["base_url"])}
    <label>Token<input type="password" name="token" autocomplete="off" spellcheck="false"
      aria-describedby="about-token"></label>
    <p class="hint" id="about-token">It stays in the memory of this page's program, and is asked for again after a
      reload. Blank: {TOKEN_VARIABLE} of the environment.</p>
  </div>
  <div class="fields">
    <label>API version<select name="api_version">{versions}</select></label>
  </div>
  <button class="main">Connect</button>
</form>"""


def _text(name: str, label: str, value: str) -> str:
    return f'<label>{label}<input name="{name}" value="{escape(value)}" autocomplete="off" spellcheck="false"></label>'


def connected(where: str, version: str) -> str:
    """What the page is connected with."""
    return f"""
<h2>1. Connected</h2>
<p>With <b>{escape(where)}</b> (API version {version}). {_button("leave", "Change")}</p>"""


def sheet(name: str = "", problem: str = "") -> str:
    """Templates to fill in, and the place for a filled-in one."""
    templates = " ".join(
        _button("template", f"Template of {one.replace('_', ' ')}", resource=one) for one in reversed(RESOURCES)
    )
    chosen = f'<p class="chosen">Now: <b>{escape(name)}</b></p>' if name else ""
    return f"""
<h2>2. Sheet</h2>
{_problem(problem)}
<p>Fill in a template, or use a sheet of your own. {templates}</p>
<label class="drop" for="file"><span><b>Drop a file here</b>, or choose one: Excel, OpenDocument, CSV.</span>
  <input type="file" id="file" aria-label="The sheet to upload"
    accept=".xlsx,.xlsm,.xlsb,.xls,.ods,.csv,.tsv,.txt"></label>
<p role="status" data-region="upload"></p>
{chosen}"""


def busy(title: str, what: str) -> str:
    """Something is under way."""
    return f'<h2>{title}</h2><p role="status" class="busy">{escape(what)} …</p>'


def issues(report: Report, choices: Mapping[str, Any], problem: str = "") -> str:
    """What the check has found, and on to the plan."""
    in_header = bool(report.errors["row"].isna().any())
    found = "" if report.ok else _HEADER if in_header else _CORRECT
    annotated = "" if report.issues.empty else _button("annotated", "Download the annotated workbook")
    on = "" if in_header else _plan_form(report, choices)
    return f"""
<h2>3. Check</h2>
{_problem(problem)}
{displays.block(*report.html("all are in the annotated workbook, to be downloaded below"))}
{found}
<p>{annotated}</p>
{on}"""


_HEADER = '<p class="bad"><b>The header has errors</b>: correct the sheet and upload it again.</p>'
_CORRECT = (
    '<p class="note">Correct the sheet, or the annotated workbook, and upload it again. Or go on: the rows with errors '
    "can be left out, and come back in the results with the reason.</p>"
)


def _plan_form(report: Report, choices: Mapping[str, Any]) -> str:
    """On to the plan; rows with errors can be left out there."""
    several = ADVERTISERS.name in {one.sheet.resource.name for one in report.checked.sheets}
    replaced = " selected" if choices.get("nested") == "replace" else ""
    nested = f"""
    <label>Users and sites<select name="nested"><option value="merge">merge: those that the sheet does not mention stay
      </option><option value="replace"{replaced}>replace: the sheet's are the only ones</option></select></label>
    {_check("allow_removals", "Let replace take users and sites away", choices)}
    {_check("auto_ids", "The network gives ids to new advertisers", choices)}"""
    return f"""
<form data-do="plan">
  <details{" open" if any(choices.values()) else ""}><summary>More choices</summary><div class="fields">
    {nested if several else ""}
    {_check("again", "Buy once more what earlier runs have bought", choices)}
    {_check("assign_ids", "Give new numbers an id of your own, so that they can be looked up by it", choices)}
  </div></details>
  <p>The plan looks at the platform and shows what would be done. Nothing is sent yet.</p>
  <button class="main">Plan</button>
</form>"""


def _check(name: str, label: str, values: Mapping[str, Any]) -> str:
    checked = " checked" if values.get(name) else ""
    return f'<label class="choice"><input type="checkbox" name="{name}"{checked}><span>{label}</span></label>'


def plan(preview: Preview, where: str, problem: str = "") -> str:
    """What a run would do, and the way to let it."""
    return f"""
<h2>4. Plan</h2>
{_problem(problem)}
{displays.block(*preview.html("all are in the plan, to be downloaded below"))}
<p>{_button("plan_workbook", "Download the plan")}</p>
{_earlier(preview)}
{_run_form(preview, where)}"""


def _earlier(preview: Preview) -> str:
    """Rows that earlier runs have done."""
    done = [row.earlier.run for row in preview.plan.rows if row.earlier and not row.carried]
    runs = list(dict.fromkeys(done))
    if not runs:
        return ""
    shown = " ".join(_button("show", f"Show run {one}", run=one) for one in runs[:5])
    return (
        f'<p class="note">{len(done):,} of the rows were done already by {len(runs):,} earlier '
        f"run{'s' if len(runs) > 1 else ''}; they keep their outcome, and are not done again. {shown}</p>"
    )


def _run_form(preview: Preview, where: str) -> str:
    new, done = preview.plan.new_numbers, preview.plan.irreversible
    refused = preview.counts.get("refused", 0)
    if not preview.requests and refused:
        return (
            f'<p class="bad">There is nothing to send: {refused:,} rows are refused, and the others are done, or as '
            "they should be. Correct the sheet and upload it again.</p>"
        )
    skip = (
        '<label class="choice"><input type="checkbox" name="skip_invalid" required><span>Leave out the '
        f"<b>{refused:,}</b> refused row{'s' if refused != 1 else ''}, and send the others.</span></label>"
        if refused
        else ""
    )
    return f"""
<form data-do="run">
  {skip}
  {_confirmation(new, done, where)}
  <button class="main">{"Buy and run" if new else "Run"}</button>
</form>"""


def _confirmation(new: int, done: Sequence[str], where: str) -> str:
    """Typed when numbers are bought, ticked when something else cannot be undone."""
    cost = "What numbers cost is not given back, even if they are deleted later." if new else "It cannot be undone."
    what = f"This {escape(' and '.join(done))} on {escape(where)}. {cost}"
    if new:
        return f"""
  <p class="note">{what}</p>
  <div class="fields"><label><span>Type <b>{new}</b> to confirm how many numbers are bought</span>
    <input name="confirmed" inputmode="numeric" autocomplete="off" required></label></div>"""
    if done:
        return f"""
  <p class="note">{what}</p>
  <label class="choice"><input type="checkbox" name="confirmed" required><span>Yes, do it.</span></label>"""
    return ""


def starting() -> str:
    """A run that is about to begin: it plans once more."""
    return busy("5. Run", "Starting; the platform is looked at once more") + f"<p>{_button('stop', 'Stop', run='')}</p>"


def run(name: str) -> str:
    """The frame of a run that is under way; its progress changes by itself."""
    return f"<h2>5. Run</h2><p>{escape(name)}. You may close this page: the run goes on, and is found again.</p>{_RUN}"


def failed(title: str, problem: str) -> str:
    """Why there is nothing else to show in a region."""
    return f"<h2>{title}</h2>{_problem(problem)}"


def progress(now: Progress) -> str:
    """How far a run is."""
    rate = f"{now.rate:,.1f} rows a second" if now.rate else ""
    left = f"about {_duration(now.left)} left" if now.left is not None else ""
    parts = [
        f"{now.done:,} done",
        f"{now.not_done:,} not done",
        *([f"{now.under_way:,} without an answer so far"] if now.under_way else []),
        *([rate] if rate else []),
        *([left] if left else []),
    ]
    said = f'<p class="said">{escape(now.said)}</p>' if now.said else ""
    return f"""
<p><b class="count">{now.ended:,} of {now.total:,}</b> rows</p>
<progress max="{max(1, now.total)}" value="{now.ended}" aria-label="Rows that have an outcome"></progress>
<p class="rate">{" · ".join(parts)}</p>{said}"""


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def stop(run_id: str, *, asked: bool = False, why_not: str = "") -> str:
    """The way to stop a run: softly, and then at once.

    Args:
        run_id: the run.
        asked: whether it was asked to stop.
        why_not: why that could not be.
    """
    if why_not or not asked:
        told = f'<p role="alert">{escape(why_not)}</p>' if why_not else ""
        return _button("stop", "Stop", run=run_id, ident="stop") + told
    return (
        '<p role="status">Stopping: nothing more is sent, and requests under way are awaited.</p>'
        + _button("stop", "Stop at once", run=run_id, ident="stop")
        + '<p class="hint">At once: requests under way are given up, and their rows will be unknown.</p>'
    )


def results(of: Results, listed: Listed, where: str, *, why_not: str, problem: str = "") -> str:
    """What a run came to, its file, and what can be done next.

    Args:
        of: the results.
        listed: the run.
        where: its network.
        why_not: why it cannot be resumed or undone now; empty: it can.
        problem: what went wrong on the page.
    """
    one = of.run
    about = f"Run {one.run} of {one.source or 'a DataFrame'} on {where}: {listed.state}."
    note = f'<p class="bad">{escape(one.note)}</p>' if one.note else ""
    downloads = _button("download", "Download the results (Excel)", run=one.run, ending=".xlsx", kind="main")
    csv = _button("download", "CSV", run=one.run, ending=".csv") if len(one.sheets) == 1 else ""
    return f"""
<h2>6. Results</h2>
{_problem(problem)}
<p>{escape(about)}</p>
{note}
<p>{downloads} {csv}</p>
{_next(of, listed)}
{_go_on(of, listed, why_not)}
{of._repr_html_()}"""


def _next(of: Results, listed: Listed) -> str:
    """What to do about rows that are not done."""
    left = set(of.totals) - DONE
    if not left or listed.state == RunState.RUNNING:
        return ""
    if listed.is_open:
        return (
            '<p class="note">Some rows are left. The button below does what the commands do that their rows name.</p>'
        )
    return (
        '<p class="note">Correct the rows that are not done <b>in the results file</b>, and upload that: rows that are '
        "done are not done again.</p>"
    )


def _go_on(of: Results, listed: Listed, why_not: str) -> str:
    if why_not:
        return f'<p class="hint">{escape(why_not)}</p>'
    run_id = of.run.run
    resend = (
        _check(
            "resend_absent",
            "Buy again what was not found on the platform. Look there first: what is there after all is paid twice.",
            {},
        )
        if Outcome.UNKNOWN in of.totals
        else ""
    )
    resume = f"""
<form data-do="resume" data-run="{escape(run_id)}">{resend}
  <button class="main">Go on with what is left</button></form>"""
    undo = _button("undo", "Plan to undo this run", run=run_id) if set(of.totals) & (DONE - {Outcome.UNCHANGED}) else ""
    return f"{resume if listed.is_open or resend else ''}<p>{undo}</p>"


def runs(found: Sequence[tuple[Listed, str]], *, unread: int = 0, most: int = 50) -> str:
    """The earlier runs, the latest first.

    Args:
        found: the runs with their networks, the oldest first.
        unread: how many journals cannot be read.
        most: how many runs are shown.
    """
    other = (
        f'<p class="note">{unread:,} journals of another version of this program are not shown.</p>' if unread else ""
    )
    if not found:
        return f"<h2>Runs so far</h2>{other}" if other else ""
    rows = "".join(_run_row(one, where) for one, where in found[::-1][:most])
    more = f"<p class='hint'>{len(found) - most:,} older ones are not shown.</p>" if len(found) > most else ""
    return f"""
<h2>Runs so far</h2>
<div class="wide"><table><thead><tr><th scope="col">run</th><th scope="col">started (UTC)</th>
<th scope="col">state</th><th scope="col">file</th><th scope="col">network</th><th scope="col">rows</th></tr>
</thead><tbody>{rows}</tbody></table></div>{more}{other}"""


def _run_row(one: Listed, where: str) -> str:
    record = one.record
    totals = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(one.totals.items()))
    rows = "under way" if one.state == RunState.RUNNING else totals  # not sent so far is no outcome
    started = iso(record.started_at)[:16].replace("T", " ")
    cells = (started, one.state, record.source or "a DataFrame", where, rows)
    told = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f"<tr><td>{_button('show', record.run, run=record.run, kind='link')}</td>{told}</tr>"


def _problem(text: str) -> str:
    return f'<p class="problem" role="alert">{escape(text).replace(chr(10), "<br>")}</p>' if text else ""


def _button(do: str, text: str, *, ident: str = "", kind: str = "", **data: str) -> str:
    """A button that tells Python what to do, with what it needs to know."""
    told = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    named = f' id="{ident}"' if ident else ""
    style = f' class="{kind}"' if kind else ""
    return f'<button type="button" data-do="{do}"{style}{named}{told}>{escape(text)}</button>'
