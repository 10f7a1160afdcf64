"""Refuse before touching: the checks between the plan and the first request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from invoca_bulk import journal
from invoca_bulk.config.network import Network, describe_network, has_own_host, network_address
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError, ConfirmationRequiredError, InvalidSheetError, PlanError
from invoca_bulk.journal import SANDBOX_RUN_PREFIX, RowRecord, RunRecord
from invoca_bulk.planning import FieldChange, PlanData, PlannedRow, PlannedSheet, SavedPlan, plan_diff
from invoca_bulk.reports import save
from invoca_bulk.reports.validation_report import Report, RowsInvalid
from invoca_bulk.schema import RESOURCES, SHEET_RESOURCES, Action
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.sheets import Sheet
from invoca_bulk.validation import ValidatedBook
from invoca_bulk.wording import count_of, join_limited, limit_lines, option, plural_of, remedy

_MAX_ERRORS_SHOWN = 5
_MAX_REMOVALS_SHOWN = 200
_MAX_CHANGES_SHOWN = 20
_MAX_RANGES_SHOWN = 10
#: More deletions than these are confirmed by typing how many they are.
MAX_DELETED_WITHOUT_COUNT = 5


def reject_invalid_rows(report: Report, *, skip: bool) -> None:
    """Send nothing of a sheet with errors: `RowsInvalid`. With errors in the header no row can be skipped either."""
    errors = report.numbered_issues[report.numbered_issues["level"] == "error"]
    would_remove = bool((errors["code"] == "would_be_removed").any())
    has_header_errors = bool(errors["row"].isna().any())
    if errors.empty or (skip and not has_header_errors):
        return
    if "no_rows" in set(errors["code"]):
        summary = "Nothing was sent: the sheet is empty."
    elif has_header_errors:
        summary = "Nothing was sent: the header has errors. Correct the sheet."
    else:
        rows = len(errors[["sheet", "row"]].drop_duplicates())
        summary = (
            f"Nothing was sent: {count_of(rows, 'row')} {plural_of(rows, 'has', 'have')} errors. Correct the sheet, or "
            f"send the other rows with {option('skip_invalid')}."
        )
    lines = report.issue_lines(len(errors) if would_remove else _MAX_ERRORS_SHOWN)
    raise RowsInvalid("\n".join([summary, *lines]), report)


def describe_skipped_rows(report: Report) -> str:
    """A sentence with the first errors of the rows that are left out; empty: none is."""
    errors = report.errors
    rows = len(errors[["sheet", "row"]].drop_duplicates())
    if not rows:
        return ""
    summary = (
        f"{count_of(rows, 'row')} {plural_of(rows, 'has', 'have')} errors and {plural_of(rows, 'is', 'are')} not sent:"
    )
    return "\n".join([summary, *report.issue_lines(_MAX_ERRORS_SHOWN)])


def reject_template_examples(report: Report, network: Network) -> None:
    """The template's examples are for the sandbox, where their campaigns exist."""
    issues = report.issues
    examples = issues[issues["code"] == "row_example"]
    if examples.empty or network.is_test_network:
        return
    rows = [f"{sheet} {row}".strip() for sheet, row in zip(examples["sheet"], examples["row"], strict=True)]
    raise InvalidSheetError(
        f"Nothing was sent: {plural_of(len(rows), 'row')} {join_limited(rows, _MAX_RANGES_SHOWN)} "
        f"{plural_of(len(rows), 'is an example', 'are examples')} of the template. Replace them with your own rows, or "
        "delete them."
    )


def reject_sandbox_results(report: Report, network: Network) -> None:
    """The numbers of a rehearsal are made up; on a real network its rows would count as done."""
    runs = {run for sheet in report.validated_book.sheets for run in sheet.distinct_texts("result_run")}
    if not network.is_test_network and any(run.startswith(SANDBOX_RUN_PREFIX) for run in runs):
        msg = "Nothing was sent: these are the results of a rehearsal, with made-up numbers. Run the original sheet."
        raise InvalidSheetError(msg)


def require_same_network_form(network: Network, options: Options) -> None:
    """On a host of its own, a network has one journal with its id and another without: use the one that is there.

    Neither knows what runs of the other have bought.
    """
    if network.rehearsal or not has_own_host(network.base_url):
        return
    used_ids = journal.find_network_ids(journal.location_for(network, options.journal), network.base_url)
    others = sorted(used_ids - {network.network_id})
    if network.network_id in used_ids or not others or (network.network_id and "" not in others):
        return
    before, now = (f"network {text}" if text else "no network id" for text in (others[0], network.network_id))
    fix = f"Name it again: {option(f'network_id={others[0]}')}." if others[0] else "Leave the network id out."
    raise ConfigError(
        f"Nothing was sent: earlier runs at {network.base_url} named {before}, and this one names {now}. It would not "
        f"know what they have bought. {fix}"
    )


def require_plan_network(saved_plan: SavedPlan, network: Network) -> None:
    """A plan is valid for one network only."""
    planned = (saved_plan.network_id, saved_plan.base_url, saved_plan.api_version)
    requested = (network.network_id, network.base_url, network.api_version)
    if planned != requested:
        texts = (
            f"{describe_network(network_id, base_url)} (API version {version})"
            for network_id, base_url, version in (planned, requested)
        )
        msg = "Nothing was sent: the plan was made for {}, but this run is for {}. Use the same network, or plan again."
        raise PlanError(msg.format(*texts))


def require_unchanged_plan(saved_plan: SavedPlan, plan: PlanData) -> None:
    """Do what was reviewed, or nothing."""
    if differences := plan_diff.diff_plans(saved_plan, plan):
        msg = f"Nothing was sent: the platform has changed since the plan was made ({saved_plan.made_at}). Plan again."
        raise PlanError("\n  ".join([msg, *limit_lines(differences, _MAX_CHANGES_SHOWN, "… and {:,} more")]))


def require_run_network(record: RunRecord, network: Network) -> None:
    """A run continues on the network where it started."""
    started, requested = (record.network_id, record.base_url), (network.network_id, network.base_url)
    if started != requested:
        raise ConfigError(
            f"Nothing was sent: run {record.run} belongs to {describe_network(*started)}, but the network passed is "
            f"{network_address(*requested)}."
        )


def require_same_plan_options(record: RunRecord, network: Network, options: Options) -> None:
    """An interrupted run continues with the options it started with, or not at all."""
    if (record.api_version, record.choices) != (network.api_version, options.plan_options):
        plan_options = ", ".join(f"{name}={value}" for name, value in vars(record.choices).items())
        raise ConfirmationRequiredError(
            f"Nothing was sent: run {record.run} of this sheet was interrupted, and it was started with other options "
            f"(API version {record.api_version}, {plan_options}). "
            f"To continue it: {remedy('resume', subject=record.run)}. To start over: {option('again')}."
        )


def reject_already_bought(plan: PlanData, validated_book: ValidatedBook) -> str:
    """The same content run again would buy the same numbers again; updates and deletes may be repeated freely.

    Returns a sentence that names the rows that earlier runs have done, if other rows are left; empty: there are none.
    """
    done_rows = [row for row in plan.rows if row.prior_purchase and not row.from_results]
    if not done_rows:
        return ""
    runs = list(dict.fromkeys(row.prior_purchase.run for row in done_rows if row.prior_purchase))
    counts = Counter(row.outcome.value for row in done_rows if row.outcome)
    totals = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
    count = len({(row.sheet, row.row) for row in done_rows})
    rows = f"{plural_of(count, 'Row')} {_format_rows(validated_book, done_rows)} {plural_of(count, 'was', 'were')}"
    sent_by = f"already sent by {plural_of(len(runs), 'run')} {', '.join(runs)} ({totals})"
    pronoun = plural_of(count, "its", "their")
    again = f"To buy {pronoun} numbers again: {option('again')}."
    if plan.steps or Outcome.UNKNOWN in counts:
        return f"{rows} {sent_by}; {pronoun} outcome is shown. {again}"
    lines = [
        f"Nothing was sent: {rows[0].lower()}{rows[1:]} {sent_by}. The results:",
        *(f"  {remedy('results', 'output=results.xlsx', subject=run)}" for run in runs),
        again,
    ]
    raise ConfirmationRequiredError("\n".join(lines))


def _format_rows(validated_book: ValidatedBook, rows: Sequence[PlannedRow]) -> str:
    """`2-61, 64`, by sheet if there are several."""
    numbers_by_sheet: dict[int, set[int]] = {}
    for row in rows:
        numbers_by_sheet.setdefault(row.sheet, set()).add(row.row)
    sheets = [validated.sheet for validated in validated_book.sheets]
    return "; ".join(
        f"{sheets[sheet].name} {_format_ranges(list(map(sheets[sheet].labels.name, sorted(numbers))))}".strip()
        + sheets[sheet].labels.list_suffix
        for sheet, numbers in numbers_by_sheet.items()
    )


def _format_ranges(names: Sequence[int | str]) -> str:
    """`2-61, 64`, limited in length."""
    ranges: list[list[int | str]] = []
    for name in names:
        last = ranges[-1][-1] if ranges else None
        if isinstance(name, int) and isinstance(last, int) and name == last + 1:
            ranges[-1] = [ranges[-1][0], name]
        else:
            ranges.append([name])
    return join_limited(["-".join(map(str, ends)) for ends in ranges], _MAX_RANGES_SHOWN)


def resolve_output_path(
    output: Path | None, sheets: Sequence[PlannedSheet], rows: Sequence[PlannedRow | RowRecord]
) -> Path | None:
    """The path of the results file, where it can be written; None: no file is wanted."""
    if output is None:
        return None
    row_counts = Counter(row.sheet for row in rows)
    # The most columns that the results can have: the sheet's own, and all that the platform and the run add.
    column_counts = (len(sheet.headers) + len(SHEET_RESOURCES[sheet.resource].fields) for sheet in sheets)
    row_count = max(row_counts.values(), default=0)
    return save.resolve_output(output, table_count=len(sheets), rows=row_count, columns=max(column_counts))


def enforce_cap(new_number_count: int, options: Options) -> None:
    """Buy no more numbers than the user has allowed."""
    cap = options.max_new_numbers
    if cap is not None and new_number_count > cap:
        raise ConfirmationRequiredError(
            f"Nothing was sent: the sheet buys {new_number_count:,} numbers, and the cap is {cap:,}. "
            f"If that is intended, raise {option('max_new_numbers=…')}."
        )


def confirm_effects(plan: PlanData, sheets: Sequence[Sheet], network: Network, options: Options) -> None:
    """Enforce the cap, name all that would be written, and ask for confirmation where the plan needs it."""
    enforce_cap(plan.new_number_count, options)
    if not plan.needs_confirmation or options.yes or network.rehearsal:
        return
    effects = f"{'; '.join(plan.effects)} on {network.label}"
    details = _list_details(plan, sheets)
    warning = ", which cannot be undone" if plan.irreversible else ""
    if options.confirm is None:
        msg = f"Nothing was sent: the sheet {effects}{warning}.{details}To confirm: {option('yes')}."
        raise ConfirmationRequiredError(msg)
    cost = "It costs money and cannot" if plan.new_number_count else "It cannot"
    question = f"This {effects}.{details}{f'{cost} be undone. ' if plan.irreversible else ''}"
    if not _ask(question, plan, options):
        raise ConfirmationRequiredError("Nothing was sent: not confirmed.")


def _ask(question: str, plan: PlanData, options: Options) -> bool:
    """Ask; what deletes more than a few objects is confirmed by its count, which nobody types by mistake."""
    assert options.confirm is not None  # noqa: S101  tells mypy what `confirm_effects` has checked
    deleted = sum(plan.count_steps(resource, Action.DELETE) for resource in RESOURCES)
    if deleted <= MAX_DELETED_WITHOUT_COUNT or options.ask_text is None:
        return options.confirm(f"{question}Continue?")
    typed = options.ask_text(f"{question}Type {deleted} to confirm how many are deleted")
    return typed.replace(",", "").strip() == str(deleted)


def _list_details(plan: PlanData, sheets: Sequence[Sheet]) -> str:
    """What is deleted, removed and changed, a line each; a space if there is nothing of it."""
    losses = [
        *dict.fromkeys(_describe_deletion(plan, sheets, row) for row in plan.rows if row.action == Action.DELETE),
        *(f"  {removal.advertiser}: {removal.part}" for removal in plan.removals),
    ]
    shown = plan.updates[: _MAX_CHANGES_SHOWN + 1]  # a label is searched for each
    changes = [f"  {_describe_change(plan, sheets, change)}" for change in shown]
    if len(plan.updates) > _MAX_CHANGES_SHOWN:
        changes[-1] = f"  … and {len(plan.updates) - _MAX_CHANGES_SHOWN:,} more"
    lines = [*limit_lines(losses, _MAX_REMOVALS_SHOWN), *changes]
    return "".join(f"\n{line}" for line in lines) + ("\n" if lines else " ")


def _describe_deletion(plan: PlanData, sheets: Sequence[Sheet], row: PlannedRow) -> str:
    """`deletes 8055550100 (Radio, A-100 / C-100, row 4)`."""
    step = plan.steps[row.step] if row.step is not None else None
    current = (step.snapshot if step else None) or {}
    campaign = " / ".join(step.path[1:-2:2]) if step else ""
    place = sheets[row.sheet].describe_row(row.row)
    details = ", ".join(filter(None, [str(current.get("description") or ""), campaign, place]))
    return f"  deletes {row.object_label} ({details})"


def _describe_change(plan: PlanData, sheets: Sequence[Sheet], change: FieldChange) -> str:
    """`row 4, 8055550100: user Pat Lee, description Radio -> TV`."""
    labels = (row.object_label for row in plan.rows if (row.sheet, row.row) == (change.sheet, change.row))
    place = ", ".join(filter(None, [sheets[change.sheet].describe_row(change.row), next(labels, "")]))
    what = ", ".join(filter(None, [change.part, change.column]))
    return f"{place}: {what} {change.old or 'blank'} -> {change.new or 'blank'}"
