"""Refuse before touching: what is looked at between the plan and the first request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk import saving
from invoca_bulk.annotation import RowsInvalid
from invoca_bulk.errors import NotConfirmed, SheetInvalid
from invoca_bulk.journal import REHEARSAL
from invoca_bulk.planning import fingerprint_of
from invoca_bulk.results import iso
from invoca_bulk.schema import RESOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from invoca_bulk.annotation import Report
    from invoca_bulk.journal import Journal
    from invoca_bulk.options import Options
    from invoca_bulk.planning import Plan
    from invoca_bulk.settings import Network
    from invoca_bulk.validation import Checked

_ERRORS_SHOWN = 5


def refuse_errors(report: Report, *, skip: bool) -> None:
    """Send nothing of a sheet with errors; of one with a bad header not even when rows may be skipped.

    Raises:
        RowsInvalid: with the report.
    """
    errors = report.errors
    in_header = bool(errors["row"].isna().any())
    if errors.empty or (skip and not in_header):
        return
    rows = errors["row"].nunique()
    what = "the header has errors" if in_header else f"{rows:,} row{'s have' if rows > 1 else ' has'} errors"
    way_out = "" if in_header else ", or send the other rows with --skip-invalid (skip_invalid=True)"
    text = "\n".join([f"Nothing was sent: {what}. Correct the sheet{way_out}.", *report.lines(_ERRORS_SHOWN)])
    raise RowsInvalid(text, report)


def refuse_rehearsals(report: Report, network: Network) -> None:
    """The numbers of a rehearsal are made up; on a real network its results would pass for done.

    Raises:
        SheetInvalid: the sheet holds results of a sandbox.
    """
    runs = report.checked.texts("result_run")
    if not network.made_up and any(text.startswith(REHEARSAL) for text in runs):
        msg = "Nothing was sent: these are the results of a rehearsal, with made-up numbers. Run the original sheet."
        raise SheetInvalid(msg)


def refuse_repeats(checked: Checked, book: Journal, options: Options) -> None:
    """The same content again would buy the same numbers again.

    It is asked before the platform is: an own id that the earlier run has taken is no error of the sheet.

    Raises:
        NotConfirmed: an earlier run sent something of it, and `again` was not given.
    """
    to_do = bool((checked.pending & ~checked.invalid).any())
    earlier = book.earlier(fingerprint_of(checked.sheet)) if to_do and not options.again else []
    if not earlier:
        return
    journal = f" --journal {options.journal}" if options.journal else ""
    record, counts = earlier[-1]
    told = ", ".join(f"{count:,} {state.replace('_', ' ')}" for state, count in counts.items())
    msg = (
        f"Nothing was sent: this sheet was run before, on {iso(record.started_at)} as {record.run} ({told}).\n"
        f"Its results: invoca-bulk results {record.run} -o results.xlsx{journal}\nRun those to do what is left.\n"
        "To buy its numbers once more: --again (again=True)."
    )
    raise NotConfirmed(msg)


def prepared(output: Path | None, plan: Plan) -> Path | None:
    """Where the results will go, if they are wanted in a file.

    Raises:
        OutputUnwritable: nothing can be written there.
    """
    added = len(RESOURCES[plan.resource].fields)  # at most: what is assigned, and the result columns
    return output and saving.prepared(output, rows=len(plan.rows), columns=len(plan.headers) + added)


def confirm(plan: Plan, network: Network, options: Options) -> None:
    """Count what cannot be undone, hold it against the cap, and have it confirmed.

    Raises:
        NotConfirmed: over the cap, refused, or nobody could be asked.
    """
    new, cap = plan.new_numbers, options.max_new_numbers
    if cap is not None and new > cap:
        msg = (
            f"Nothing was sent: the sheet buys {new:,} numbers, and the cap is {cap:,}. "
            "Raise --max-new-numbers (max_new_numbers=…) if that is meant."
        )
        raise NotConfirmed(msg)
    if not new or options.yes or network.rehearsal:
        return
    what = f"{new:,} promo number{'s' if new > 1 else ''} on network {network.network_id} at {network.base_url}"
    if options.confirm is None:
        msg = f"Nothing was sent: the sheet buys {what}, which cannot be undone. Confirm it with --yes (yes=True)."
        raise NotConfirmed(msg)
    if not options.confirm(f"This buys {what}. It costs money and cannot be undone. Go on?"):
        msg = "Nothing was sent: not confirmed."
        raise NotConfirmed(msg)
