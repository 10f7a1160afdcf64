"""Renders the page's regions as HTML; text from the user, a sheet or the platform is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from types import MappingProxyType
from typing import Any, Protocol

from invoca_bulk.config.options import NESTED_MODES
from invoca_bulk.config.secrets import TOKEN_ENV_VARIABLE
from invoca_bulk.config.settings import setting_from_environment
from invoca_bulk.journal import RunState, RunSummary
from invoca_bulk.reports import html as displays
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.results import Results, describe_run_totals, describe_state, describe_totals, format_time
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, RESOURCES
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome
from invoca_bulk.web.help import region_link, render_explanations
from invoca_bulk.web.run_progress import Progress
from invoca_bulk.web.wording import LABELS, page_words
from invoca_bulk.wording import count_of, plural_of, word

#: The regions from top to bottom; empty ones are hidden.
REGIONS = ("connect", "sheet", "issues", "plan", "run", "results", "runs", "help")
_MAX_RUNS_SHOWN = 50
#: Settings in the connect form.
_NETWORK_FIELDS = ("network_id", "base_url", "api_version")
#: Regions within the region of a run, updated separately.
_RUN_SUBREGIONS = '<div data-region="progress"></div><div data-region="stop"></div>'
#: How to treat an advertiser's existing users and sites, as the form words it.
_NESTED_MODE_LABELS = {
    "merge": "merge: keep those that the sheet does not mention",
    "replace": "replace: remove those that the sheet does not mention",
}


class RegionRenderer(Protocol):
    """Shows HTML in a region, and moves the focus there if asked."""

    def __call__(self, region: str, html: str, *, focus: bool = False) -> None:  # noqa: D102  see the class
        ...


def render_layout(style: str) -> str:
    """The whole page with empty regions; `style` is the CSS of the reports that it shows."""
    regions = "".join(f'<section data-region="{region}" hidden></section>' for region in REGIONS)
    return (
        f"<style>{style}</style><header><h1>invoca-bulk</h1>"
        f"<p>Create and manage advertisers and promo numbers from a spreadsheet. {_button('help', 'Help')}</p></header>"
        f"<main>{regions}</main>"
    )


def render_connect_form(problem: str = "", form_values: Mapping[str, Any] = MappingProxyType({})) -> str:
    """The form that connects to the sandbox or to a network, with its earlier values, but never with the token."""
    values = {name: str(form_values.get(name) or setting_from_environment(name) or "") for name in _NETWORK_FIELDS}
    versions = "".join(
        f"<option{' selected' if version == values['api_version'] else ''}>{version}</option>"
        for version in reversed(API_VERSIONS)
    )
    is_network = form_values.get("where") == "network"
    return f"""
<h2>1. Connect</h2>
{_problem_message(problem)}
<form data-do="connect">
  <fieldset><legend>Connect to</legend>
    <label class="choice"><input type="radio" name="where" value="sandbox" id="where-sandbox" data-shows
      {"" if is_network else "checked"}>
      <span><b>Sandbox</b>: rehearse on this machine. The numbers are made up; nothing is bought.</span></label>
    <label class="choice"><input type="radio" name="where" value="network" id="where-network" data-shows
      {"checked" if is_network else ""}>
      <span><b>Network</b>: the real platform, with your token.</span></label>
  </fieldset>
  <div class="fields" data-shown-by="where-network" {"" if is_network else "hidden"}>
    {_text_input("network_id", "Network id", values["network_id"])}
    {_text_input("base_url", "Base URL", values["base_url"])}
    <label>Token<input type="password" name="token" autocomplete="off" spellcheck="false"
      aria-describedby="about-token"></label>
    <p class="hint" id="about-token">The token is kept in memory only; after a reload you enter it again. If left blank,
      the environment variable {TOKEN_ENV_VARIABLE} is used.</p>
  </div>
  <div class="fields">
    <label>API version<select name="api_version">{versions}</select></label>
  </div>
  <button class="main">Connect</button>
</form>
{region_link("connect")}"""


def _text_input(name: str, label: str, value: str) -> str:
    return f'<label>{label}<input name="{name}" value="{escape(value)}" autocomplete="off" spellcheck="false"></label>'


def render_connected(network_name: str, version: str) -> str:
    """The network that the page is connected to."""
    return f"""
<h2>1. Connected</h2>
<p>To <b>{escape(network_name)}</b> (API version {version}). {_button("leave", "Change")}</p>"""


def render_upload_form(file_name: str = "", problem: str = "") -> str:
    """Downloads of the templates, and the upload of a sheet."""
    templates = " ".join(
        _button("template", f"Template for {resource.replace('_', ' ')}", resource=resource)
        for resource in reversed(RESOURCES)
    )
    current_file = f'<p class="chosen">Current file: <b>{escape(file_name)}</b></p>' if file_name else ""
    return f"""
<h2>2. Sheet</h2>
{_problem_message(problem)}
<p>Fill in a template, or use your own sheet. {templates}</p>
<label class="drop" for="file"><span><b>Drop a file here</b>, or choose one: Excel, OpenDocument or CSV.</span>
  <input type="file" id="file" aria-label="The sheet to upload"
    accept=".xlsx,.xlsm,.xlsb,.xls,.ods,.csv,.tsv,.txt"></label>
<p role="status" data-region="upload"></p>
{current_file}
{region_link("sheet")}"""


def render_busy(title: str, activity: str) -> str:
    """What the page is doing right now."""
    return f'<h2>{title}</h2><p role="status" class="busy">{escape(activity)} …</p>'


def render_issues(report: Report, form_values: Mapping[str, Any], problem: str = "") -> str:
    """The result of the check, and the form that continues with the plan."""
    in_header = bool(report.errors["row"].isna().any())
    note = "" if report.ok else _HEADER_ERRORS_NOTE if in_header else _ROW_ERRORS_NOTE
    annotated = "" if report.issues.empty else _button("annotated", "Download the annotated workbook")
    plan_form = "" if in_header else _plan_form(report, form_values)
    return f"""
<h2>3. Check</h2>
{_problem_message(problem)}
{displays.container(*report.html_parts("all are in the annotated workbook, which you can download below"))}
{note}
<p>{annotated}</p>
{render_explanations(report.issues["code"].unique())}
{region_link("issues")}
{plan_form}"""


_HEADER_ERRORS_NOTE = '<p class="bad"><b>The header has errors</b>: correct the sheet and upload it again.</p>'
_ROW_ERRORS_NOTE = (
    '<p class="note">Correct the sheet or the annotated workbook and upload it again. Or continue without the rows '
    "with errors: the results list them with the reason.</p>"
)


def _plan_form(report: Report, form_values: Mapping[str, Any]) -> str:
    has_advertisers = any(validated.sheet.resource is ADVERTISERS for validated in report.validated_book.sheets)
    nested_modes = "".join(
        f'<option value="{mode}"{" selected" if form_values.get("nested") == mode else ""}>{_NESTED_MODE_LABELS[mode]}'
        "</option>"
        for mode in NESTED_MODES
    )
    advertiser_options = f"""
    <label>{LABELS["nested"]}<select name="nested">{nested_modes}</select></label>
    {_checkbox("allow_removals", form_values)}
    {_checkbox("auto_ids", form_values)}"""
    return f"""
<form data-do="plan">
  <details{" open" if any(form_values.values()) else ""}><summary>More options</summary><div class="fields">
    {advertiser_options if has_advertisers else ""}
    {_checkbox("again", form_values)}
    {_checkbox("apply_edits", form_values)}
    {_checkbox("assign_ids", form_values)}
    {_checkbox("allow_unlisted", form_values)}
    {_checkbox("allow_no_sites", form_values)}
  </div></details>
  <p>The plan compares the sheet with the platform and shows what would be done. Nothing is sent yet.</p>
  <button class="main">Plan</button>
</form>"""


def _checkbox(name: str, form_values: Mapping[str, Any], details: str = "") -> str:
    checked = " checked" if form_values.get(name) else ""
    label = f"{LABELS[name]}{details}"
    return f'<label class="choice"><input type="checkbox" name="{name}"{checked}><span>{label}</span></label>'


def render_plan(plan: Plan, network_name: str, problem: str = "") -> str:
    """What a run would do, and the form that starts it."""
    return f"""
<h2>4. Plan</h2>
{_problem_message(problem)}
{displays.container(*plan.html_parts("all are in the plan, which you can download below"))}
<p>{_button("plan_workbook", "Download the plan")}</p>
{_prior_runs_note(plan)}
{region_link("plan")}
{_run_form(plan, network_name)}"""


def _prior_runs_note(plan: Plan) -> str:
    """The rows that earlier runs have completed."""
    prior_runs = [row.prior_purchase.run for row in plan.data.rows if row.prior_purchase and not row.from_results]
    runs = list(dict.fromkeys(prior_runs))
    if not runs:
        return ""
    buttons = " ".join(_button("show", f"Show run {run}", run=run) for run in runs[:5])
    return (
        f'<p class="note">{count_of(len(prior_runs), "row")} already completed by '
        f"{count_of(len(runs), 'earlier run')}: the outcome is kept, and nothing is sent again. {buttons}</p>"
    )


def _run_form(plan: Plan, network_name: str) -> str:
    new_numbers = plan.data.new_number_count
    refused = plan.counts.get("refused", 0)
    if not plan.requests and refused:
        return (
            f'<p class="bad">There is nothing to send: {count_of(refused, "row")} {plural_of(refused, "is", "are")} '
            "refused, and the others need no change. Correct the sheet and upload it again.</p>"
        )
    skip_input = '<input type="checkbox" name="skip_invalid" required>'
    skip_label = f"{LABELS['skip_invalid']} ({refused:,})"
    skip = f'<label class="choice">{skip_input}<span>{skip_label}</span></label>' if refused else ""
    return f"""
<form data-do="run">
  {skip}
  {_confirmation_input(plan, network_name)}
  <button class="main">{"Buy and run" if new_numbers else "Run"}</button>
</form>"""


def _confirmation_input(plan: Plan, network_name: str) -> str:
    """The confirmation: the count is typed when numbers are bought, else a box is ticked for what needs it."""
    new_numbers = plan.data.new_number_count
    warning = f"This {escape('; '.join(plan.data.effects))} on {escape(network_name)}."
    if new_numbers:
        return f"""
  <p class="note">{warning} The cost of numbers is not refunded, even if you delete them later.</p>
  <div class="fields"><label><span>Type <b>{new_numbers}</b> to confirm how many numbers to buy</span>
    <input name="confirmed" inputmode="numeric" autocomplete="off" required></label></div>"""
    if plan.data.needs_confirmation:
        loss = " This cannot be undone." if plan.data.irreversible else ""
        return f"""
  <p class="note">{warning}{loss}</p>
  <label class="choice"><input type="checkbox" name="confirmed" required><span>Yes, do it.</span></label>"""
    return ""


def render_starting() -> str:
    """A run that is about to start; it makes the plan once more first."""
    busy = render_busy("5. Run", "Starting: comparing the plan with the platform")
    return f"{busy}<p>{_button('stop', 'Stop', run='')}</p>"


def render_run(run_title: str) -> str:
    """The frame of a run that is under way; its progress is a region of its own."""
    note = "You can close this page: the run continues, and reopening the page shows it again."
    return f"<h2>5. Run</h2><p>{escape(run_title)}. {note}</p>{_RUN_SUBREGIONS}"


def render_failure(title: str, problem: str) -> str:
    """A region that shows only why it has nothing to show."""
    return f"<h2>{title}</h2>{_problem_message(problem)}"


def render_progress(progress: Progress) -> str:
    """The progress of a run."""
    rate = f"{progress.rate:,.1f} rows per second" if progress.rate else ""
    time_left = f"about {_format_duration(progress.eta_seconds)} left" if progress.eta_seconds is not None else ""
    in_flight = f"{progress.in_flight:,} waiting for a response" if progress.in_flight else ""
    counts = (f"{progress.done:,} done", f"{progress.not_done:,} not done", in_flight)
    parts = filter(None, (*counts, rate, time_left))
    message = f'<p class="said">{escape(progress.message)}</p>' if progress.message else ""
    return f"""
<p><b class="count">{progress.completed:,} of {progress.total:,}</b> rows</p>
<progress max="{max(1, progress.total)}" value="{progress.completed}" aria-label="Completed rows"></progress>
<p class="rate">{" · ".join(parts)}</p>{message}"""


def _format_duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def render_stop_button(run_id: str, *, is_requested: bool = False, failure_reason: str = "") -> str:
    """The button that stops a run, and after that the one that stops it at once.

    `failure_reason`: why the run could not be asked to stop; empty: it could.
    """
    if failure_reason or not is_requested:
        alert = f'<p role="alert">{escape(failure_reason)}</p>' if failure_reason else ""
        return _button("stop", "Stop", run=run_id, element_id="stop") + alert
    return (
        '<p role="status">Stopping: nothing more is sent; waiting for open requests.</p>'
        + _button("stop", "Stop at once", run=run_id, element_id="stop")
        + '<p class="hint">Stopping at once abandons open requests; their rows become unknown.</p>'
    )


def render_results(
    results: Results, run_summary: RunSummary, network_name: str, *, blocked_reason: str, problem: str = ""
) -> str:
    """The results of a run, their downloads, and what can be done next.

    `blocked_reason`: why the run cannot be resumed or undone now; empty: it can.
    """
    run = results.run
    heading = f"Run {run.run} of {run.source or 'a DataFrame'} on {network_name}: {describe_state(run_summary)}."
    totals = "".join(f"<p>{escape(line)}</p>" for line in describe_totals(results.own_totals, results.earlier_totals))
    rehearsal = f'<p class="note">{escape(results.rehearsal_note)}</p>' if results.rehearsal_note else ""
    warnings = displays.notices(results.warnings)
    note = f'<p class="bad">{escape(word(run.note, run.run, wording=page_words))}</p>' if run.note else ""
    xlsx = _button("download", "Download the results (Excel)", run=run.run, ending=".xlsx", css_class="main")
    csv = _button("download", "CSV", run=run.run, ending=".csv") if len(run.sheets) == 1 else ""
    return f"""
<h2>6. Results</h2>
{_problem_message(problem)}
<p>{escape(heading)}</p>
{rehearsal}{note}{totals}{warnings}
<p>{xlsx} {csv}</p>
{_next_steps_note(results, run_summary)}
{_resume_and_undo_forms(results, run_summary, blocked_reason)}
{results._repr_html_()}
{region_link("results")}"""


def _next_steps_note(results: Results, run_summary: RunSummary) -> str:
    """What to do about rows that are not done."""
    if not set(results.totals) - SUCCESS_OUTCOMES or run_summary.state == RunState.RUNNING:
        return ""
    if run_summary.is_resumable:
        return '<p class="note">Some rows are not done. Resume the run with the button below.</p>'
    return (
        '<p class="note">Correct the rows that are not done <b>in the results file</b> and upload that file: rows that '
        "are done are not sent again.</p>"
    )


def _resume_and_undo_forms(results: Results, run_summary: RunSummary, blocked_reason: str) -> str:
    if blocked_reason:
        return f'<p class="hint">{escape(blocked_reason)}</p>'
    run_id = results.run.run
    warning = ". Look there first: you pay twice for a number that exists."
    resend = _checkbox("resend_absent", {}, warning) if Outcome.UNKNOWN in results.totals else ""
    resume = f"""
<form data-do="resume" data-run="{escape(run_id)}">{resend}
  <button class="main">Resume this run</button></form>"""
    has_changes = not run_summary.undone_by and bool(set(results.own_totals) & (SUCCESS_OUTCOMES - {Outcome.UNCHANGED}))
    undo = _button("undo", "Plan to undo this run", run=run_id) if has_changes else ""
    return f"{resume if run_summary.is_resumable or resend else ''}<p>{undo}</p>"


def render_run_list(run_entries: Sequence[tuple[RunSummary, str]], *, unreadable_count: int = 0) -> str:
    """The list of runs, latest first; `run_entries` come with the display names of their networks, oldest first."""
    unreadable = f"Not shown: {count_of(unreadable_count, 'journal')} of another version of this program."
    unreadable_note = f'<p class="note">{unreadable}</p>' if unreadable_count else ""
    if not run_entries:
        return f"<h2>Runs</h2>{unreadable_note}" if unreadable_note else ""
    latest = run_entries[::-1][:_MAX_RUNS_SHOWN]
    rows = "".join(_run_row(run_summary, network_name) for run_summary, network_name in latest)
    hidden_count = len(run_entries) - _MAX_RUNS_SHOWN
    hidden_note = f"<p class='hint'>Not shown: {count_of(hidden_count, 'older run')}.</p>" if hidden_count > 0 else ""
    return f"""
<h2>Runs</h2>
<div class="wide"><table><thead><tr><th scope="col">run</th><th scope="col">started (UTC)</th>
<th scope="col">state</th><th scope="col">file</th><th scope="col">network</th><th scope="col">rows</th></tr>
</thead><tbody>{rows}</tbody></table></div>{hidden_note}{unreadable_note}
{region_link("runs")}"""


def _run_row(run_summary: RunSummary, network_name: str) -> str:
    record = run_summary.record
    totals = describe_run_totals(run_summary)
    rows = "under way" if run_summary.state == RunState.RUNNING else totals  # "not sent" is no final outcome yet
    started = format_time(record.started_at)[:16].replace("T", " ")
    cells = (started, describe_state(run_summary), record.source or "a DataFrame", network_name, rows)
    cells_html = "".join(f"<td>{escape(str(cell))}</td>" for cell in cells)
    return f"<tr><td>{_button('show', record.run, run=record.run, css_class='link')}</td>{cells_html}</tr>"


def _problem_message(text: str) -> str:
    return f'<p class="problem" role="alert">{escape(text).replace(chr(10), "<br>")}</p>' if text else ""


def _button(command: str, text: str, *, element_id: str = "", css_class: str = "", **data: str) -> str:
    """A button that sends a message of type `command` with `data`."""
    data_attributes = "".join(f' data-{name}="{escape(value)}"' for name, value in data.items())
    id_attribute = f' id="{element_id}"' if element_id else ""
    class_attribute = f' class="{css_class}"' if css_class else ""
    attributes = f"{class_attribute}{id_attribute}{data_attributes}"
    return f'<button type="button" data-do="{command}"{attributes}>{escape(text)}</button>'
