"""Refuse before touching: what is looked at between the plan and the first request."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import Database
from invoca_bulk.errors import ConfigError, ConfirmationRequiredError, InvalidSheetError, PlanError
from invoca_bulk.journal import SANDBOX_RUN_PREFIX
from invoca_bulk.planning import plan_diff
from invoca_bulk.reports import save
from invoca_bulk.reports.validation_report import RowsInvalid
from invoca_bulk.schema import SHEET_RESOURCES, Action
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoca_bulk.config.options import Options, PlanOptions
    from invoca_bulk.config.settings import JournalLocation, Network
    from invoca_bulk.journal import RowRecord, RunRecord
    from invoca_bulk.planning import PlanData, PlannedRow, PlannedSheet, SavedPlan
    from invoca_bulk.reports.validation_report import Report

_MAX_ERRORS_SHOWN = 5
_MAX_REMOVALS_SHOWN = 200
_MAX_CHANGES_SHOWN = 20
_MAX_RANGES_SHOWN = 10


def reject_invalid_rows(report: Report, *, skip: bool) -> None:
    """Send nothing of a sheet with errors; of one with a bad header not even when rows may be skipped.

    Raises:
        RowsInvalid: with the report.
    """
    errors = report.errors
    losses = bool((errors["code"] == "would_be_removed").any())
    in_header = bool(errors["row"].isna().any())
    if errors.empty or (skip and not in_header):
        return
    rows = len(errors[["sheet", "row"]].drop_duplicates())
    what = "the header has errors" if in_header else f"{rows:,} row{'s have' if rows > 1 else ' has'} errors"
    way_out = "" if in_header else ", or send the other rows with --skip-invalid (skip_invalid=True)"
    text = "\n".join(
        [
            f"Nothing was sent: {what}. Correct the sheet{way_out}.",
            *report.issue_lines(len(errors) if losses else _MAX_ERRORS_SHOWN),
        ]
    )
    raise RowsInvalid(text, report)


def reject_sandbox_results(report: Report, network: Network) -> None:
    """The numbers of a rehearsal are made up; on a real network its results would pass for done.

    Raises:
        InvalidSheetError: the sheet holds results of a sandbox.
    """
    runs = {text for one in report.validated_book.sheets for text in one.distinct_texts("result_run")}
    if not network.is_test_network and any(text.startswith(SANDBOX_RUN_PREFIX) for text in runs):
        msg = "Nothing was sent: these are the results of a rehearsal, with made-up numbers. Run the original sheet."
        raise InvalidSheetError(msg)


def require_plan_network(saved_plan: SavedPlan, network: Network) -> None:
    """A plan says what one network needs, and nothing about any other.

    Raises:
        PlanError: the kept plan was made for another one.
    """
    made_for = (saved_plan.network_id, saved_plan.base_url, saved_plan.api_version)
    given = (network.network_id, network.base_url, network.api_version)
    if made_for != given:
        shown = ("network {} at {} (API version {})".format(*one) for one in (made_for, given))
        msg = "Nothing was sent: the plan was made for {}, and this run is for {}. Give the same, or plan again."
        raise PlanError(msg.format(*shown))


def require_unchanged_plan(saved_plan: SavedPlan, plan: PlanData) -> None:
    """Do what was looked at, or nothing.

    Raises:
        PlanError: the same sheet would be done in another way now.
    """
    if found := plan_diff.diff_plans(saved_plan, plan):
        more = [f"… and {len(found) - _MAX_CHANGES_SHOWN:,} more"] if len(found) > _MAX_CHANGES_SHOWN else []
        msg = f"Nothing was sent: the platform has changed since the plan was made ({saved_plan.made_at}). Plan again."
        raise PlanError("\n  ".join([msg, *found[:_MAX_CHANGES_SHOWN], *more]))


def require_run_network(record: RunRecord, network: Network) -> None:
    """A run goes on where it began.

    Raises:
        ConfigError: the network given is another one.
    """
    began, given = (record.network_id, record.base_url), (network.network_id, network.base_url)
    if began != given:
        msg = "Nothing was sent: run {} is one of network {} at {}, and {} at {} was given."
        raise ConfigError(msg.format(record.run, *began, *given))


def require_same_plan_options(record: RunRecord, network: Network, options: Options) -> None:
    """A run that was interrupted goes on as it began, or not at all.

    Raises:
        ConfirmationRequiredError: this one is wanted in another way.
    """
    began = (record.api_version, record.choices)
    if began != (network.api_version, options.choices):
        msg = (
            f"Nothing was sent: run {record.run} of this sheet was interrupted, and it was begun with other choices "
            f"(API version {record.api_version}, {_format_plan_options(record.choices)}). Let it go on: "
            f"invoca-bulk resume {record.run}. To start anew: --again (again=True)."
        )
        raise ConfirmationRequiredError(msg)


def _format_plan_options(choices: PlanOptions) -> str:
    return ", ".join(f"{name}={value}" for name, value in vars(choices).items())


def reject_already_bought(plan: PlanData, options: Options) -> str:
    """The same content again would buy the same numbers again; updates and deletes may be repeated freely.

    Returns:
        A sentence that names the rows that earlier runs have done, while others are left; empty: there are none.

    Raises:
        ConfirmationRequiredError: nothing is left to do, and `again` was not given.
    """
    done = [row for row in plan.rows if row.prior_purchase and not row.from_results]
    if not done:
        return ""
    runs = list(dict.fromkeys(row.prior_purchase.run for row in done if row.prior_purchase))
    counts = Counter(row.outcome.value for row in done if row.outcome)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    again = "To buy their numbers once more: --again (again=True)."
    by = f"run{'s' if len(runs) > 1 else ''} {', '.join(runs)}"
    if plan.steps or Outcome.UNKNOWN in counts:
        return f"{_format_rows(plan, done)} done already by {by} ({told}); their outcome is shown. {again}"
    journal = f" --journal {options.journal}" if options.journal and not _has_password(options.journal) else ""
    commands = [f"  invoca-bulk results {run} -o results.xlsx{journal}" for run in runs]
    told = "\n".join(
        [
            f"Nothing was sent: {_format_rows(plan, done).lower()} done already by {by} ({told}). The results:",
            *commands,
            again,
        ]
    )
    raise ConfirmationRequiredError(told)


def _has_password(place: str | JournalLocation) -> bool:
    """Whether a place of journals cannot be named in a command; the environment has it."""
    return isinstance(place, Database) and place.has_password


def _format_rows(plan: PlanData, rows: Sequence[PlannedRow]) -> str:
    """`Rows 2-61 and 64 were`, by sheet where there are several."""
    by_sheet: dict[int, set[int]] = {}
    for row in rows:
        by_sheet.setdefault(row.sheet, set()).add(row.row)
    texts = [f"{plan.sheets[sheet].name} {_format_ranges(sorted(some))}".strip() for sheet, some in by_sheet.items()]
    many = len(rows) > 1
    return f"Row{'s' if many else ''} {'; '.join(texts)} {'were' if many else 'was'}"


def _format_ranges(numbers: Sequence[int]) -> str:
    """`2-61, 64`; at most a few."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [f"{first}-{last}" if last > first else str(first) for first, last in spans]
    more = f" and {len(texts) - _MAX_RANGES_SHOWN:,} more" if len(texts) > _MAX_RANGES_SHOWN else ""
    return ", ".join(texts[:_MAX_RANGES_SHOWN]) + more


def resolve_output_path(
    output: Path | None, sheets: Sequence[PlannedSheet], rows: Sequence[PlannedRow | RowRecord]
) -> Path | None:
    """Where the results will go, if they are wanted in a file.

    Raises:
        OutputError: nothing can be written there.
    """
    if output is None:
        return None
    counts = Counter(row.sheet for row in rows)
    columns = (len(one.headers) + len(SHEET_RESOURCES[one.resource].fields) for one in sheets)
    most = {"rows": max(counts.values(), default=0), "columns": max(columns)}  # at most: what is assigned, and results
    return save.resolve_output(output, table_count=len(sheets), **most)


def enforce_cap(new_number_count: int, options: Options) -> None:
    """Buy no more than the user has allowed.

    Raises:
        ConfirmationRequiredError: it would be more.
    """
    cap = options.max_new_numbers
    if cap is not None and new_number_count > cap:
        msg = (
            f"Nothing was sent: the sheet buys {new_number_count:,} numbers, and the cap is {cap:,}. "
            "Raise --max-new-numbers (max_new_numbers=…) if that is meant."
        )
        raise ConfirmationRequiredError(msg)


def confirm_irreversible(plan: PlanData, network: Network, options: Options) -> None:
    """Count what cannot be undone, hold it against the cap, and have it confirmed.

    Raises:
        ConfirmationRequiredError: over the cap, refused, or nobody could be asked.
    """
    new = plan.new_number_count
    enforce_cap(new, options)
    done = plan.irreversible
    if not done or options.yes or network.rehearsal:
        return
    what = f"{' and '.join(done)} on network {network.network_id} at {network.base_url}"
    named = _list_losses(plan)
    if options.confirm is None:
        msg = f"Nothing was sent: the sheet {what}, which cannot be undone.{named} Confirm it with --yes (yes=True)."
        raise ConfirmationRequiredError(msg)
    money = "It costs money and" if new else "It"
    if not options.confirm(f"This {what}.{named} {money} cannot be undone. Go on?"):
        msg = "Nothing was sent: not confirmed."
        raise ConfirmationRequiredError(msg)


def _list_losses(plan: PlanData) -> str:
    """What is deleted or taken away, by name."""
    deleted = dict.fromkeys(row.object_label for row in plan.rows if row.action == Action.DELETE)
    lost = [*(f"\n  deletes {one}" for one in deleted), *(f"\n  {one.advertiser}: {one.part}" for one in plan.removals)]
    shown = lost[:_MAX_REMOVALS_SHOWN]
    more = len(lost) - len(shown)
    return "".join(shown) + (f"\n  … and {more:,} more" if more > 0 else "") + ("\n" if shown else "")
