"""Refuse before touching: what is looked at between the plan and the first request."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import Database
from invoca_bulk.errors import NotConfirmed, PlanUnusable, SettingInvalid, SheetInvalid
from invoca_bulk.journal import REHEARSAL
from invoca_bulk.planning import plan_diff
from invoca_bulk.reports import save
from invoca_bulk.reports.validation_report import RowsInvalid
from invoca_bulk.schema import SHEETS, Action
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from invoca_bulk.config.options import Choices, Options
    from invoca_bulk.config.settings import Network, Place
    from invoca_bulk.journal import RowRecord, RunRecord
    from invoca_bulk.planning import Kept, Plan, PlannedRow, PlannedSheet
    from invoca_bulk.reports.validation_report import Report

_ERRORS_SHOWN = 5
_REMOVALS_SHOWN = 200
_CHANGES_SHOWN = 20
_SPANS_SHOWN = 10


def refuse_errors(report: Report, *, skip: bool) -> None:
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
            *report.lines(len(errors) if losses else _ERRORS_SHOWN),
        ]
    )
    raise RowsInvalid(text, report)


def refuse_rehearsals(report: Report, network: Network) -> None:
    """The numbers of a rehearsal are made up; on a real network its results would pass for done.

    Raises:
        SheetInvalid: the sheet holds results of a sandbox.
    """
    runs = {text for one in report.checked.sheets for text in one.texts("result_run")}
    if not network.made_up and any(text.startswith(REHEARSAL) for text in runs):
        msg = "Nothing was sent: these are the results of a rehearsal, with made-up numbers. Run the original sheet."
        raise SheetInvalid(msg)


def refuse_other_network(kept: Kept, network: Network) -> None:
    """A plan says what one network needs, and nothing about any other.

    Raises:
        PlanUnusable: the kept plan was made for another one.
    """
    made_for = (kept.network_id, kept.base_url, kept.api_version)
    given = (network.network_id, network.base_url, network.api_version)
    if made_for != given:
        shown = ("network {} at {} (API version {})".format(*one) for one in (made_for, given))
        msg = "Nothing was sent: the plan was made for {}, and this run is for {}. Give the same, or plan again."
        raise PlanUnusable(msg.format(*shown))


def refuse_drift(kept: Kept, plan: Plan) -> None:
    """Do what was looked at, or nothing.

    Raises:
        PlanUnusable: the same sheet would be done in another way now.
    """
    if found := plan_diff.differences(kept, plan):
        more = [f"… and {len(found) - _CHANGES_SHOWN:,} more"] if len(found) > _CHANGES_SHOWN else []
        msg = f"Nothing was sent: the platform has changed since the plan was made ({kept.made_at}). Plan again."
        raise PlanUnusable("\n  ".join([msg, *found[:_CHANGES_SHOWN], *more]))


def refuse_other_run(record: RunRecord, network: Network) -> None:
    """A run goes on where it began.

    Raises:
        SettingInvalid: the network given is another one.
    """
    began, given = (record.network_id, record.base_url), (network.network_id, network.base_url)
    if began != given:
        msg = "Nothing was sent: run {} is one of network {} at {}, and {} at {} was given."
        raise SettingInvalid(msg.format(record.run, *began, *given))


def refuse_other_choices(record: RunRecord, network: Network, options: Options) -> None:
    """A run that was interrupted goes on as it began, or not at all.

    Raises:
        NotConfirmed: this one is wanted in another way.
    """
    began = (record.api_version, record.choices)
    if began != (network.api_version, options.choices):
        msg = (
            f"Nothing was sent: run {record.run} of this sheet was interrupted, and it was begun with other choices "
            f"(API version {record.api_version}, {_choices_text(record.choices)}). Let it go on: invoca-bulk resume "
            f"{record.run}. To start anew: --again (again=True)."
        )
        raise NotConfirmed(msg)


def _choices_text(choices: Choices) -> str:
    return ", ".join(f"{name}={value}" for name, value in vars(choices).items())


def refuse_repeats(plan: Plan, options: Options) -> str:
    """The same content again would buy the same numbers again; updates and deletes may be repeated freely.

    Returns:
        A sentence that names the rows that earlier runs have done, while others are left; empty: there are none.

    Raises:
        NotConfirmed: nothing is left to do, and `again` was not given.
    """
    done = [row for row in plan.rows if row.earlier and not row.carried]
    if not done:
        return ""
    runs = list(dict.fromkeys(row.earlier.run for row in done if row.earlier))
    counts = Counter(row.outcome.value for row in done if row.outcome)
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
    again = "To buy their numbers once more: --again (again=True)."
    by = f"run{'s' if len(runs) > 1 else ''} {', '.join(runs)}"
    if plan.steps or Outcome.UNKNOWN in counts:
        return f"{_rows_text(plan, done)} done already by {by} ({told}); their outcome is shown. {again}"
    journal = f" --journal {options.journal}" if options.journal and not _has_password(options.journal) else ""
    commands = [f"  invoca-bulk results {run} -o results.xlsx{journal}" for run in runs]
    told = "\n".join(
        [
            f"Nothing was sent: {_rows_text(plan, done).lower()} done already by {by} ({told}). The results:",
            *commands,
            again,
        ]
    )
    raise NotConfirmed(told)


def _has_password(place: str | Place) -> bool:
    """Whether a place of journals cannot be named in a command; the environment has it."""
    return isinstance(place, Database) and place.has_password


def _rows_text(plan: Plan, rows: Sequence[PlannedRow]) -> str:
    """`Rows 2-61 and 64 were`, by sheet where there are several."""
    by_sheet: dict[int, set[int]] = {}
    for row in rows:
        by_sheet.setdefault(row.sheet, set()).add(row.row)
    texts = [f"{plan.sheets[sheet].name} {_ranges(sorted(some))}".strip() for sheet, some in by_sheet.items()]
    many = len(rows) > 1
    return f"Row{'s' if many else ''} {'; '.join(texts)} {'were' if many else 'was'}"


def _ranges(numbers: Sequence[int]) -> str:
    """`2-61, 64`; at most a few."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    texts = [f"{first}-{last}" if last > first else str(first) for first, last in spans]
    more = f" and {len(texts) - _SPANS_SHOWN:,} more" if len(texts) > _SPANS_SHOWN else ""
    return ", ".join(texts[:_SPANS_SHOWN]) + more


def prepared(
    output: Path | None, sheets: Sequence[PlannedSheet], rows: Sequence[PlannedRow | RowRecord]
) -> Path | None:
    """Where the results will go, if they are wanted in a file.

    Raises:
        OutputUnwritable: nothing can be written there.
    """
    if output is None:
        return None
    counts = Counter(row.sheet for row in rows)
    columns = (len(one.headers) + len(SHEETS[one.resource].fields) for one in sheets)
    most = {"rows": max(counts.values(), default=0), "columns": max(columns)}  # at most: what is assigned, and results
    return save.prepared(output, tables=len(sheets), **most)


def refuse_over_cap(new: int, options: Options) -> None:
    """Buy no more than the user has allowed.

    Raises:
        NotConfirmed: it would be more.
    """
    cap = options.max_new_numbers
    if cap is not None and new > cap:
        msg = (
            f"Nothing was sent: the sheet buys {new:,} numbers, and the cap is {cap:,}. "
            "Raise --max-new-numbers (max_new_numbers=…) if that is meant."
        )
        raise NotConfirmed(msg)


def confirm(plan: Plan, network: Network, options: Options) -> None:
    """Count what cannot be undone, hold it against the cap, and have it confirmed.

    Raises:
        NotConfirmed: over the cap, refused, or nobody could be asked.
    """
    new = plan.new_numbers
    refuse_over_cap(new, options)
    done = plan.irreversible
    if not done or options.yes or network.rehearsal:
        return
    what = f"{' and '.join(done)} on network {network.network_id} at {network.base_url}"
    named = _named(plan)
    if options.confirm is None:
        msg = f"Nothing was sent: the sheet {what}, which cannot be undone.{named} Confirm it with --yes (yes=True)."
        raise NotConfirmed(msg)
    money = "It costs money and" if new else "It"
    if not options.confirm(f"This {what}.{named} {money} cannot be undone. Go on?"):
        msg = "Nothing was sent: not confirmed."
        raise NotConfirmed(msg)


def _named(plan: Plan) -> str:
    """What is deleted or taken away, by name."""
    deleted = dict.fromkeys(row.about for row in plan.rows if row.action == Action.DELETE)
    lost = [*(f"\n  deletes {one}" for one in deleted), *(f"\n  {one.of}: {one.what}" for one in plan.removals)]
    shown = lost[:_REMOVALS_SHOWN]
    more = len(lost) - len(shown)
    return "".join(shown) + (f"\n  … and {more:,} more" if more > 0 else "") + ("\n" if shown else "")
