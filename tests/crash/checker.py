"""Compares the numbers that the platform issued with the journal and the results.

It reads the journal's file directly, so that it shares no mistake with the package.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.crash import ways

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.sandbox_server.platform_model import LedgerEntry
    from tests.crash.ways import Row

_OUTCOMES = {"created", "unchanged", "rejected", "failed", "unknown", "not_sent"}
#: Outcomes of rows that have their number; a row with an own id that is run again finds it on the platform.
_BOUGHT = {"created", "unchanged"}
#: States of steps that may have bought a number.
_OPEN = {"in_doubt", "absent"}
#: Prefix of generated ids.
_GENERATED_PREFIX = "ib-"


class Request(NamedTuple):
    """The values by which requests for a number are equal."""

    advertiser: str
    campaign: str
    affiliate: str
    description: str
    own_id: str
    zipcode: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A sheet and its results.

    Attributes:
        rows: rows of the sheet.
        results: rows of its final results file.
        run: the run id; empty: there is no journal.
    """

    rows: Sequence[Row]
    results: Sequence[Row]
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The result of a comparison.

    Attributes:
        rows: requested numbers.
        issued: numbers that the platform issued.
        created: rows that are `created`, or `unchanged` because the number existed already.
        unknown: rows that are `unknown`.
        duplicates: numbers issued beyond what was requested, counted by equal requests.
        lost: numbers that are on no row and have no `unknown` row of the same request.
        problems: all other errors, as texts.
    """

    rows: int
    issued: int
    created: int
    unknown: int
    duplicates: int
    lost: int
    problems: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Whether each number was bought once, and none is lost."""
        return not (self.duplicates or self.lost or self.problems)


def check(sheets: Sequence[Asked], ledger: Iterable[LedgerEntry], journal: Path | None = None) -> Figures:
    """Compare the issued numbers with the sheets and the journal.

    Args:
        sheets: all sheets that were run on the network.
        ledger: all numbers that were issued there.
        journal: the network's journal file; None: there is none, as for the plain loop.
    """
    issued = {entry.number: _issued_request(entry) for entry in ledger}
    requests = [_row_request(row) for sheet in sheets for row in ways.expanded(sheet.rows)]
    results = [row for sheet in sheets for row in sheet.results]
    duplicates, lost = _count_errors(requests, results, issued)
    outcomes = Counter(row["result_status"] for row in results)
    return Figures(
        rows=len(requests),
        issued=len(issued),
        created=sum(outcomes[outcome] for outcome in _BOUGHT),
        unknown=outcomes["unknown"],
        duplicates=duplicates,
        lost=lost,
        problems=(
            *_result_problems(requests, results, issued),
            *(_journal_problems(journal, ledger, sheets) if journal else ()),
        ),
    )


def _issued_request(entry: LedgerEntry) -> Request:
    own_id = entry.own_id or ""
    return Request(
        advertiser=entry.campaign.advertiser_id,
        campaign=entry.campaign.campaign_id,
        affiliate=entry.campaign.affiliate_id or "",
        description=str(entry.body["description"]),
        own_id="" if own_id.startswith(_GENERATED_PREFIX) else own_id,
        zipcode=(entry.body.get("local_center") or {}).get("zipcode", ""),
    )


def _row_request(row: Row) -> Request:
    return Request(
        advertiser=row["advertiser_id_from_network"],
        campaign=row["advertiser_campaign_id_from_network"],
        affiliate=row.get("affiliate_id_from_network", ""),
        description=row["description"],
        own_id=row.get("id_from_network", ""),
        zipcode=row.get("local_center.zipcode", ""),
    )


def _count_errors(
    requests: Sequence[Request], results: Sequence[Row], issued: Mapping[str, Request]
) -> tuple[int, int]:
    """Numbers of duplicates and lost numbers, compared by request; no number is both."""
    rows = Counter(requests)
    unknown = Counter(
        request for request, row in zip(requests, results, strict=False) if row["result_status"] == "unknown"
    )
    shown = {row["promo_number"] for row in results if row["result_status"] in _BOUGHT}
    bought = Counter(issued.values())
    on_no_row = Counter(request for number, request in issued.items() if number not in shown)
    duplicates = {request: max(0, count - rows[request]) for request, count in bought.items()}
    lost = sum(max(0, on_no_row[request] - unknown[request] - duplicates[request]) for request in bought)
    return sum(duplicates.values()), lost


# The results


def _result_problems(
    requests: Sequence[Request], results: Sequence[Row], issued: Mapping[str, Request]
) -> Iterator[str]:
    if len(requests) != len(results):
        yield f"{len(requests)} numbers were requested, and the results have {len(results)} rows"
    for request, row in zip(requests, results, strict=False):
        if row["description"] != request.description:
            yield f"the results are out of order at {request}"
        if row["result_status"] not in _OUTCOMES:
            yield f"a row has no outcome or an invalid one: {row['result_status']!r}"
        number = row["promo_number"] if row["result_status"] in _BOUGHT else None
        if number is not None and issued.get(number) != request:
            yield f"{number} is on the row of {request}, and was issued for {issued.get(number)}"
        if number is None and row.get("promo_number"):
            yield f"{row['promo_number']} is on a row that is {row['result_status']}"
    numbers = Counter(row["promo_number"] for row in results if row["result_status"] in _BOUGHT)
    yield from (f"{number} is on {count} rows" for number, count in numbers.items() if count > 1)


# The journal


def _journal_problems(path: Path, ledger: Iterable[LedgerEntry], sheets: Sequence[Asked]) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        if (message := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            yield f"the journal is damaged: {message}"
        steps = [dict(row) for row in connection.execute("SELECT * FROM steps WHERE once")]
        rows = [dict(row) for row in connection.execute("SELECT * FROM rows")]
        open_runs = [row["run"] for row in connection.execute("SELECT run FROM runs WHERE state = 'running'")]
    yield from (f"run {run} has no end" for run in open_runs)
    yield from _step_problems(steps, ledger)
    yield from _row_problems(rows, steps, sheets)


def _step_problems(steps: Sequence[Mapping[str, Any]], ledger: Iterable[LedgerEntry]) -> Iterator[str]:
    """Each issued number is on one step, or an open step has requested the same."""
    issued = {entry.number: (_campaign_path(entry), dict(entry.body)) for entry in ledger}
    done = [(str(json.loads(step["answer"])["promo_number"]), step) for step in steps if step["state"] == "done"]
    yield from (
        f"{number} is on {count} steps" for number, count in Counter(number for number, _ in done).items() if count > 1
    )
    for number, step in done:
        if number not in issued or issued[number][0] != tuple(json.loads(step["path"])[:-1]):
            yield f"step {step['step']} has {number}, which was not issued in its campaign"
        elif issued[number][1] != json.loads(step["body"]):
            yield f"step {step['step']} has {number}, which was issued for {issued[number][1]}"
    yield from (f"step {step['step']} is still sent" for step in steps if step["state"] == "sent")
    open_steps = Counter(
        (tuple(json.loads(step["path"])[:-1]), step["body"]) for step in steps if step["state"] in _OPEN
    )
    done_numbers = {number for number, _ in done}
    unassigned = Counter(
        (path, json.dumps(body)) for number, (path, body) in issued.items() if number not in done_numbers
    )
    yield from (
        f"{count} numbers of {request} are on no step, and {open_steps[request]} steps are open"
        for request, count in unassigned.items()
        if count > open_steps[request]
    )


def _campaign_path(entry: LedgerEntry) -> tuple[str, ...]:
    campaign = entry.campaign
    path = ("advertisers", campaign.advertiser_id, "advertiser_campaigns", campaign.campaign_id)
    return (*path, "affiliates", campaign.affiliate_id, "affiliate_campaigns") if campaign.affiliate_id else path


def _row_problems(
    rows: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], sheets: Sequence[Asked]
) -> Iterator[str]:
    """No step serves two rows of a run, and the results agree with the journal."""
    used = Counter((row["run"], row["step_run"], row["step"]) for row in rows if row["step"] is not None)
    yield from (f"step {step} serves {count} rows" for step, count in used.items() if count > 1)
    states = {(step["run"], step["step"]): step["state"] for step in steps}
    outcomes_by_run: dict[str, list[str]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["run"], row["position"])):
        outcomes_by_run[row["run"]].append(row["outcome"] or _outcome(states.get((row["step_run"], row["step"]))))
    for sheet in sheets:
        if outcomes_by_run.get(sheet.run) != [row["result_status"] for row in sheet.results]:
            yield f"the results of run {sheet.run} do not agree with its journal"


def _outcome(state: str | None) -> str:
    outcomes = {"done": "created", "pending": "not_sent", "rejected": "rejected", "failed": "failed"}
    return outcomes.get(state or "", "unknown")
