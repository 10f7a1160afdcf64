"""Refuse before touching: what is looked at between the plan and the first request."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from invoca_bulk import drift, saving
from invoca_bulk.annotation import RowsInvalid
from invoca_bulk.errors import NotConfirmed, PlanUnusable, SheetInvalid
from invoca_bulk.journal import REHEARSAL
from invoca_bulk.planning import fingerprint_of
from invoca_bulk.results import iso
from invoca_bulk.schema import SHEETS, Action

if TYPE_CHECKING:
    from pathlib import Path

    from invoca_bulk.annotation import Report
    from invoca_bulk.journal import Journal
    from invoca_bulk.kept import Kept
    from invoca_bulk.options import Options
    from invoca_bulk.planning import Plan
    from invoca_bulk.settings import Network
    from invoca_bulk.validation import Checked

_ERRORS_SHOWN = 5
_REMOVALS_SHOWN = 200
_CHANGES_SHOWN = 20


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
    if found := drift.differences(kept, plan):
        more = [f"… and {len(found) - _CHANGES_SHOWN:,} more"] if len(found) > _CHANGES_SHOWN else []
        msg = f"Nothing was sent: the platform has changed since the plan was made ({kept.made_at}). Plan again."
        raise PlanUnusable("\n  ".join([msg, *found[:_CHANGES_SHOWN], *more]))


def refuse_repeats(checked: Checked, book: Journal, options: Options) -> None:
    """The same content again would buy the same numbers again; updates and deletes may be repeated freely.

    It is asked before the platform is: an own id that the earlier run has taken is no error of the sheet.

    Raises:
        NotConfirmed: an earlier run sent something of it, and `again` was not given.
    """
    to_do = any(one.to_do.any() for one in checked.sheets)
    content = fingerprint_of(one.sheet for one in checked.sheets)
    earlier = book.earlier(content) if to_do and not options.again else []
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
    if output is None:
        return None
    rows = Counter(row.sheet for row in plan.rows)
    columns = (len(one.headers) + len(SHEETS[one.resource].fields) for one in plan.sheets)
    most = {"rows": max(rows.values(), default=0), "columns": max(columns)}  # at most: what is assigned, and results
    return saving.prepared(output, tables=len(plan.sheets), **most)


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
    done = irreversible(plan)
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


def irreversible(plan: Plan) -> list[str]:
    """What a plan does that cannot be undone, each as the end of a sentence: `buys 3 promo numbers`."""
    removed = Counter(one.what.split()[0] for one in plan.removals)
    counts = [
        ("buys", plan.new_numbers, "promo number"),
        ("deletes", plan.steps_of("promo_numbers", Action.DELETE), "promo number"),
        ("deletes", plan.steps_of("advertisers", Action.DELETE), "advertiser"),
        *(("removes", count, one) for one, count in removed.items()),
    ]
    return [f"{verb} {count:,} {one}{'s' if count > 1 else ''}" for verb, count, one in counts if count]


def _named(plan: Plan) -> str:
    """What is deleted or taken away, by name."""
    deleted = dict.fromkeys(row.about for row in plan.rows if row.action == Action.DELETE)
    lost = [*(f"\n  deletes {one}" for one in deleted), *(f"\n  {one.of}: {one.what}" for one in plan.removals)]
    shown = lost[:_REMOVALS_SHOWN]
    more = len(lost) - len(shown)
    return "".join(shown) + (f"\n  … and {more:,} more" if more > 0 else "") + ("\n" if shown else "")
