"""What each region of the page shows, as HTML; whatever comes from a person, a sheet or the platform is escaped."""

from __future__ import annotations

from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from invoca_bulk.config.settings import TOKEN_ENV_VARIABLE, setting_from_environment
from invoca_bulk.journal import RunState
from invoca_bulk.reports import html as displays
from invoca_bulk.reports.results import format_time
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, RESOURCES
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.journal import RunSummary
    from invoca_bulk.reports.plan_report import Plan
    from invoca_bulk.reports.results import Results
    from invoca_bulk.reports.validation_report import Report
    from invoca_bulk.web.run_progress import Progress

#: The regions from top to bottom; what has nothing to show is hidden.
REGIONS = ("connect", "sheet", "issues", "plan", "run", "results", "runs")
#: What says where to, besides the token.
_NETWORK_FIELDS = ("network_id", "base_url", "api_version")
#: Regions within others, that change by themselves.
_RUN_SUBREGIONS = '<div data-region="progress"></div><div data-region="stop"></div>'


class RegionRenderer(Protocol):
    """Shows HTML in a region, and leads the person there if asked."""

    def __call__(self, region: str, html: str, *, focus: bool = False) -> None:  # noqa: D102  the class says it
        ...


def render_layout(style: str) -> str:
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


def render_connect_form(problem: str = "", form_values: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Where to: the sandbox, or a network with its token.

    Args:
        problem: why it did not work.
        form_values: what was in the form; the token has to be typed again.
    """
    values = {name: str(form_values.get(name) or setting_from_environment(name) or "") for name in _NETWORK_FIELDS}
    versions = "".join(
        f"<option{' selected' if one == values['api_version'] else ''}>{one}</option>" for one in reversed(API_VERSIONS)
    )
    real = form_values.get("where") == "network"
    return f"""
<h2>1. Connect</h2>
{_problem_message(problem)}
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
    {_text_input("network_id", "Network id", values["network_id"])}
    {_text_input("base_url", "Base URL", values["base_url"])}
    <label>Token<input type="password" name="token" autocomplete="off" spellcheck="false"
      aria-describedby="about-token"></label>
    <p class="hint" id="about-token">It stays in the memory of this page's program, and is asked for again after a
      reload. Blank: {TOKEN_ENV_VARIABLE} of the environment.</p>
  </div>
  <div class="fields">
    <label>API version<select name="api_version">{versions}</select></label>
  </div>
  <button class="main">Connect</button>
</form>"""


def _text_input(name: str, label: str, value: str) -> str:
    return f'<label>{label}<input name="{name}" value="{escape(value)}" autocomplete="off" spellcheck="false"></label>'


def render_connected(network_name: str, version: str) -> str:
    """What the page is connected with."""
    return f"""
<h2>1. Connected</h2>
<p>With <b>{escape(network_name)}</b> (API version {version}). {_button("leave", "Change")}</p>"""


def render_upload_form(file_name: str = "", problem: str = "") -> str:
    """Templates to fill in, and the place for a filled-in one."""
    templates = " ".join(
        _button("template", f"Template of {one.replace('_', ' ')}", resource=one) for one in reversed(RESOURCES)
    )
    chosen = f'<p class="chosen">Now: <b>{escape(file_name)}</b></p>' if file_name else ""
    return f"""
<h2>2. Sheet</h2>
{_problem_message(problem)}
<p>Fill in a template, or use a sheet of your own. {templates}</p>
<label class="drop" for="file"><span><b>Drop a file here</b>, or choose one: Excel, OpenDocument, CSV.</span>
  <input type="file" id="file" aria-label="The sheet to upload"
    accept=".xlsx,.xlsm,.xlsb,.xls,.ods,.csv,.tsv,.txt"></label>
<p role="status" data-region="upload"></p>
{chosen}"""


def render_busy(title: str, activity: str) -> str:
    """Something is under way."""
    return f'<h2>{title}</h2><p role="status" class="busy">{escape(activity)} …</p>'


def render_issues(report: Report, form_values: Mapping[str, Any], problem: str = "") -> str:
    """What the check has found, and on to the plan."""
    in_header = bool(report.errors["row"].isna().any())
    found = "" if report.ok else _HEADER_ERRORS_NOTE if in_header else _ROW_ERRORS_NOTE
    annotated = "" if report.issues.empty else _button("annotated", "Download the annotated workbook")
    on = "" if in_header else _plan_form(report, form_values)
    return f"""
<h2>3. Check</h2>
{_problem_message(problem)}
{displays.container(*report.html_parts("all are in the annotated workbook, to be downloaded below"))}
{found}
<p>{annotated}</p>
{on}"""


_HEADER_ERRORS_NOTE = '<p class="bad"><b>The header has errors</b>: correct the sheet and upload it again.</p>'
_ROW_ERRORS_NOTE = (
    '<p class="note">Correct the sheet, or the annotated workbook, and upload it again. Or go on: the rows with errors '
    "can be left out, and come back in the results with the reason.</p>"
)


def _plan_form(report: Report, form_values: Mapping[str, Any]) -> str:
    """On to the plan; rows with errors can be left out there."""
    several = ADVERTISERS.name in {one.sheet.resource.name for one in report.validated_book.sheets}
    replaced = " selected" if form_values.get("nested") == "replace" else ""
    nested = f"""
    <label>Users and sites<select name="nested"><option value="merge">merge: those that the sheet does not mention stay
      </option><option value="replace"{replaced}>replace: the sheet's are the only ones</option></select></label>
    {_checkbox("allow_removals", "Let replace take users and sites away", form_values)}
    {_checkbox("auto_ids", "The network gives ids to new advertisers", form_values)}"""
    return f"""
<form data-do="plan">
  <details{" open" if any(form_values.values()) else ""}><summary>More choices</summary><div class="fields">
    {nested if several else ""}
    {_checkbox("again", "Buy once more what earlier runs have bought", form_values)}
    {_checkbox("assign_ids", "Give new numbers an id of your own, so that they can be looked up by it", form_values)}
  </div></details>
  <p>The plan looks at the platform and shows what would be done. Nothing is sent yet.</p>
  <button class="main">Plan</button>
</form>"""


def _checkbox(name: str, label: str, form_values: Mapping[str, Any]) -> str:
    checked = " checked" if form_values.get(name) else ""
    return f'<label class="choice"><input type="checkbox" name="{name}"{checked}><span>{label}</span></label>'


def render_plan(plan: Plan, network_name: str, problem: str = "") -> str:
    """What a run would do, and the way to let it."""
    return f"""
<h2>4. Plan</h2>
{_problem_message(problem)}
{displays.container(*plan.html_parts("all are in the plan, to be downloaded below"))}
<p>{_button("plan_workbook", "Download the plan")}</p>
{_prior_runs_note(plan)}
{_run_form(plan, network_name)}"""


def _prior_runs_note(plan: Plan) -> str:
    """Rows that earlier runs have done."""
    done = [row.prior_purchase.run for row in plan.data.rows if row.prior_purchase and not row.from_results]
    runs = list(dict.fromkeys(done))
    if not runs:
        return ""
    shown = " ".join(_button("show", f"Show run {one}", run=one) for one in runs[:5])
    return (
        f'<p class="note">{len(done):,} of the rows were done already by {len(runs):,} earlier '
        f"run{'s' if len(runs) > 1 else ''}; they keep their outcome, and are not done again. {shown}</p>"
    )


def _run_form(plan: Plan, network_name: str) -> str:
    new, done = plan.data.new_number_count, plan.data.irreversible
    refused = plan.counts.get("refused", 0)
    if not plan.requests and refused:
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
  {_confirmation_input(new, done, network_name)}
  <button class="main">{"Buy and run" if new else "Run"}</button>
</form>"""


def _confirmation_input(new_numbers: int, irreversible: Sequence[str], network_name: str) -> str:
    """Typed when numbers are bought, ticked when something else cannot be undone."""
    cost = (
        "What numbers cost is not given back, even if they are deleted later."
        if new_numbers
        else "It cannot be undone."
    )
    what = f"This {escape(' and '.join(irreversible))} on {escape(network_name)}. {cost}"
    if new_numbers:
        return f"""
  <p class="note">{what}</p>
  <div class="fields"><label><span>Type <b>{new_numbers}</b> to confirm how many numbers are bought</span>
    <input name="confirmed" inputmode="numeric" autocomplete="off" required></label></div>"""
    if irreversible:
        return f"""
  <p class="note">{what}</p>
  <label class="choice"><input type="checkbox" name="confirmed" required><span>Yes, do it.</span></label>"""
    return ""


def render_starting() -> str:
    """A run that is about to begin: it plans once more."""
    return (
        render_busy("5. Run", "Starting; the platform is looked at once more")
        + f"<p>{_button('stop', 'Stop', run='')}</p>"
    )


def render_run(run_title: str) -> str:
    """The frame of a run that is under way; its progress changes by itself."""
    note = "You may close this page: the run goes on, and is found again."
    return f"<h2>5. Run</h2><p>{escape(run_title)}. {note}</p>{_RUN_SUBREGIONS}"


def render_failure(title: str, problem: str) -> str:
    """Why there is nothing else to show in a region."""
    return f"<h2>{title}</h2>{_problem_message(problem)}"


def render_progress(progress: Progress) -> str:
    """How far a run is."""
    rate = f"{progress.rate:,.1f} rows a second" if progress.rate else ""
    left = f"about {_format_duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
    parts = [
        f"{progress.done:,} done",
        f"{progress.not_done:,} not done",
        *([f"{progress.in_flight:,} without an answer so far"] if progress.in_flight else []),
        *([rate] if rate else []),
        *([left] if left else []),
    ]
    said = f'<p class="said">{escape(progress.message)}</p>' if progress.message else ""
    return f"""
<p><b class="count">{progress.completed:,} of {progress.total:,}</b> rows</p>
<progress max="{max(1, progress.total)}" value="{progress.completed}" aria-label="Rows that have an outcome"></progress>
<p class="rate">{" · ".join(parts)}</p>{said}"""


def _format_duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def render_stop_button(run_id: str, *, is_requested: bool = False, failure_reason: str = "") -> str:
    """The way to stop a run: softly, and then at once.

    Args:
        run_id: the run.
        is_requested: whether it was asked to stop.
        failure_reason: why that could not be.
    """
    if failure_reason or not is_requested:
        told = f'<p role="alert">{escape(failure_reason)}</p>' if failure_reason else ""
        return _button("stop", "Stop", run=run_id, element_id="stop") + told
    return (
        '<p role="status">Stopping: nothing more is sent, and requests under way are awaited.</p>'
        + _button("stop", "Stop at once", run=run_id, element_id="stop")
        + '<p class="hint">At once: requests under way are given up, and their rows will be unknown.</p>'
    )


def render_results(
    results: Results, run_summary: RunSummary, network_name: str, *, blocked_reason: str, problem: str = ""
) -> str:
    """What a run came to, its file, and what can be done next.

    Args:
        results: the results.
        run_summary: the run.
        network_name: its network.
        blocked_reason: why it cannot be resumed or undone now; empty: it can.
        problem: what went wrong on the page.
    """
    one = results.run
    about = f"Run {one.run} of {one.source or 'a DataFrame'} on {network_name}: {run_summary.state}."
    note = f'<p class="bad">{escape(one.note)}</p>' if one.note else ""
    downloads = _button("download", "Download the results (Excel)", run=one.run, ending=".xlsx", css_class="main")
    csv = _button("download", "CSV", run=one.run, ending=".csv") if len(one.sheets) == 1 else ""
    return f"""
<h2>6. Results</h2>
{_problem_message(problem)}
<p>{escape(about)}</p>
{note}
<p>{downloads} {csv}</p>
{_next_steps_note(results, run_summary)}
{_resume_and_undo_forms(results, run_summary, blocked_reason)}
{results._repr_html_()}"""


def _next_steps_note(results: Results, run_summary: RunSummary) -> str:
    """What to do about rows that are not done."""
    left = set(results.totals) - SUCCESS_OUTCOMES
    if not left or run_summary.state == RunState.RUNNING:
        return ""
    if run_summary.is_resumable:
        return (
            '<p class="note">Some rows are left. The button below does what the commands do that their rows name.</p>'
        )
    return (
        '<p class="note">Correct the rows that are not done <b>in the results file</b>, and upload that: rows that are '
        "done are not done again.</p>"
    )


def _resume_and_undo_forms(results: Results, run_summary: RunSummary, blocked_reason: str) -> str:
    if blocked_reason:
        return f'<p class="hint">{escape(blocked_reason)}</p>'
    run_id = results.run.run
    resend = (
        _checkbox(
            "resend_absent",
            "Buy again what was not found on the platform. Look there first: what is there after all is paid twice.",
            {},
        )
        if Outcome.UNKNOWN in results.totals
        else ""
    )
    resume = f"""
<form data-do="resume" data-run="{escape(run_id)}">{resend}
  <button class="main">Go on with what is left</button></form>"""
    undo = (
        _button("undo", "Plan to undo this run", run=run_id)
        if set(results.totals) & (SUCCESS_OUTCOMES - {Outcome.UNCHANGED})
        else ""
    )
    return f"{resume if run_summary.is_resumable or resend else ''}<p>{undo}</p>"


def render_run_list(
    run_entries: Sequence[tuple[RunSummary, str]], *, unreadable_count: int = 0, limit: int = 50
) -> str:
    """The earlier runs, the latest first.

    Args:
        run_entries: the runs with their networks, the oldest first.
        unreadable_count: how many journals cannot be read.
        limit: how many runs are shown.
    """
    other = (
        f'<p class="note">{unreadable_count:,} journals of another version of this program are not shown.</p>'
        if unreadable_count
        else ""
    )
    if not run_entries:
        return f"<h2>Runs so far</h2>{other}" if other else ""
    rows = "".join(_run_row(one, where) for one, where in run_entries[::-1][:limit])
    more = (
        f"<p class='hint'>{len(run_entries) - limit:,} older ones are not shown.</p>"
        if len(run_entries) > limit
        else ""
    )
    return f"""
<h2>Runs so far</h2>
<div class="wide"><table><thead><tr><th scope="col">run</th><th scope="col">started (UTC)</th>
<th scope="col">state</th><th scope="col">file</th><th scope="col">network</th><th scope="col">rows</th></tr>
</thead><tbody>{rows}</tbody></table></div>{more}{other}"""


def _run_row(run_summary: RunSummary, network_name: str) -> str:
    record = run_summary.record
    totals = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(run_summary.totals.items()))
    rows = "under way" if run_summary.state == RunState.RUNNING else totals  # not sent so far is no outcome
    started = format_time(record.started_at)[:16].replace("T", " ")
    cells = (started, run_summary.state, record.source or "a DataFrame", network_name, rows)
    told = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f"<tr><td>{_button('show', record.run, run=record.run, css_class='link')}</td>{told}</tr>"


def _problem_message(text: str) -> str:
    return f'<p class="problem" role="alert">{escape(text).replace(chr(10), "<br>")}</p>' if text else ""


def _button(command: str, text: str, *, element_id: str = "", css_class: str = "", **data: str) -> str:
    """A button that tells Python what to do, with what it needs to know."""
    told = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    named = f' id="{element_id}"' if element_id else ""
    style = f' class="{css_class}"' if css_class else ""
    return f'<button type="button" data-do="{command}"{style}{named}{told}>{escape(text)}</button>'
