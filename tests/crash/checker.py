"""Compares what the platform really issued with what the journal and the results say of it.

It reads the journal's file by itself, so that it shares no mistake with the program.
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

    from invoca_bulk.sandbox_server import LedgerEntry
    from tests.crash.ways import Row

_OUTCOMES = {"created", "unchanged", "rejected", "failed", "unknown", "not_sent"}
#: Outcomes of rows that have their number; a row with an own id that is run once more finds it there.
_BOUGHT = {"created", "unchanged"}
#: States of a step in the journal that may have bought a number.
_OPEN = {"in_doubt", "absent"}
#: Begins the ids that the program gives by itself.
_ASSIGNED = "ib-"


class Request(NamedTuple):
    """What makes one request for a number equal to another."""

    advertiser: str
    campaign: str
    affiliate: str
    description: str
    own_id: str
    zipcode: str


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One sheet and what came back.

    Attributes:
        rows: of the sheet.
        results: of its final results file.
        run: the run that it is of; empty: there is no journal.
    """

    rows: Sequence[Row]
    results: Sequence[Row]
    run: str = ""


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What was found.

    Attributes:
        rows: numbers asked for.
        issued: numbers that the platform issued.
        created: rows told `created`, or `unchanged` where the number was there already.
        unknown: rows told `unknown`.
        duplicates: issued beyond what rows asked for, counted by equal requests.
        lost: issued, on no row, and no `unknown` row of the same request stands for it.
        problems: whatever else is wrong, in words.
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
    """Compare.

    Args:
        sheets: all sheets that were run on the network.
        ledger: all numbers that were issued there.
        journal: the network's journal; None: there is none, as for the plain loop.
    """
    issued = {one.number: _issued(one) for one in ledger}
    wanted = [_asked(row) for one in sheets for row in ways.expanded(one.rows)]
    results = [row for one in sheets for row in one.results]
    duplicates, lost = _counted(wanted, results, issued)
    outcomes = Counter(row["result_status"] for row in results)
    return Figures(
        rows=len(wanted),
        issued=len(issued),
        created=sum(outcomes[one] for one in _BOUGHT),
        unknown=outcomes["unknown"],
        duplicates=duplicates,
        lost=lost,
        problems=(*_of_results(wanted, results, issued), *(_of_journal(journal, ledger, sheets) if journal else ())),
    )


def _issued(one: LedgerEntry) -> Request:
    own_id = one.own_id or ""
    return Request(
        advertiser=one.campaign.advertiser_id,
        campaign=one.campaign.campaign_id,
        affiliate=one.campaign.affiliate_id or "",
        description=str(one.body["description"]),
        own_id="" if own_id.startswith(_ASSIGNED) else own_id,
        zipcode=(one.body.get("local_center") or {}).get("zipcode", ""),
    )


def _asked(row: Row) -> Request:
    return Request(
        advertiser=row["advertiser_id_from_network"],
        campaign=row["advertiser_campaign_id_from_network"],
        affiliate=row.get("affiliate_id_from_network", ""),
        description=row["description"],
        own_id=row.get("id_from_network", ""),
        zipcode=row.get("local_center.zipcode", ""),
    )


def _counted(wanted: Sequence[Request], results: Sequence[Row], issued: Mapping[str, Request]) -> tuple[int, int]:
    """Duplicates and lost numbers, request by request; no number is both."""
    rows = Counter(wanted)
    unknown = Counter(one for one, row in zip(wanted, results, strict=False) if row["result_status"] == "unknown")
    shown = {row["promo_number"] for row in results if row["result_status"] in _BOUGHT}
    bought = Counter(issued.values())
    on_no_row = Counter(request for number, request in issued.items() if number not in shown)
    beyond = {one: max(0, count - rows[one]) for one, count in bought.items()}
    lost = sum(max(0, on_no_row[one] - unknown[one] - beyond[one]) for one in bought)
    return sum(beyond.values()), lost


# The results


def _of_results(wanted: Sequence[Request], results: Sequence[Row], issued: Mapping[str, Request]) -> Iterator[str]:
    if len(wanted) != len(results):
        yield f"{len(wanted)} numbers were asked for, and the results have {len(results)} rows"
    for request, row in zip(wanted, results, strict=False):
        if row["description"] != request.description:
            yield f"the results are out of order at {request}"
        if row["result_status"] not in _OUTCOMES:
            yield f"a row has no outcome of the closed set: {row['result_status']!r}"
        number = row["promo_number"] if row["result_status"] in _BOUGHT else None
        if number is not None and issued.get(number) != request:
            yield f"{number} is on the row of {request}, and was issued for {issued.get(number)}"
        if number is None and row.get("promo_number"):
            yield f"{row['promo_number']} is on a row that is {row['result_status']}"
    numbers = Counter(row["promo_number"] for row in results if row["result_status"] in _BOUGHT)
    yield from (f"{number} is on {count} rows" for number, count in numbers.items() if count > 1)


# The journal


def _of_journal(path: Path, ledger: Iterable[LedgerEntry], sheets: Sequence[Asked]) -> Iterator[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as book:
        book.row_factory = sqlite3.Row
        if (said := book.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            yield f"the journal is damaged: {said}"
        steps = [dict(one) for one in book.execute("SELECT * FROM steps WHERE once")]
        rows = [dict(one) for one in book.execute("SELECT * FROM rows")]
        open_runs = [one["run"] for one in book.execute("SELECT run FROM runs WHERE state = 'running'")]
    yield from (f"run {run} has no end" for run in open_runs)
    yield from _of_steps(steps, ledger)
    yield from _of_rows(rows, steps, sheets)


def _of_steps(steps: Sequence[Mapping[str, Any]], ledger: Iterable[LedgerEntry]) -> Iterator[str]:
    """Each number that was issued is on one step, or a step that is open has asked for the same."""
    made = {one.number: (_place_of(one), dict(one.body)) for one in ledger}
    done = [(str(json.loads(one["answer"])["promo_number"]), one) for one in steps if one["state"] == "done"]
    yield from (
        f"{number} is on {count} steps" for number, count in Counter(number for number, _ in done).items() if count > 1
    )
    for number, step in done:
        if number not in made or made[number][0] != tuple(json.loads(step["path"])[:-1]):
            yield f"step {step['step']} has {number}, which was not issued in its campaign"
        elif made[number][1] != json.loads(step["body"]):
            yield f"step {step['step']} has {number}, which was issued for {made[number][1]}"
    yield from (f"step {one['step']} is still sent" for one in steps if one["state"] == "sent")
    still_open = Counter((tuple(json.loads(one["path"])[:-1]), one["body"]) for one in steps if one["state"] in _OPEN)
    known = {number for number, _ in done}
    free = Counter((place, json.dumps(body)) for number, (place, body) in made.items() if number not in known)
    yield from (
        f"{count} numbers of {one} are on no step, and {still_open[one]} steps are open"
        for one, count in free.items()
        if count > still_open[one]
    )


def _place_of(one: LedgerEntry) -> tuple[str, ...]:
    campaign = one.campaign
    place = ("advertisers", campaign.advertiser_id, "advertiser_campaigns", campaign.campaign_id)
    return (*place, "affiliates", campaign.affiliate_id, "affiliate_campaigns") if campaign.affiliate_id else place


def _of_rows(
    rows: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]], sheets: Sequence[Asked]
) -> Iterator[str]:
    """No step serves two rows of a run, and the results say what the journal says."""
    used = Counter((one["run"], one["step_run"], one["step"]) for one in rows if one["step"] is not None)
    yield from (f"step {one} serves {count} rows" for one, count in used.items() if count > 1)
    states = {(one["run"], one["step"]): one["state"] for one in steps}
    by_run: dict[str, list[str]] = defaultdict(list)
    for one in sorted(rows, key=lambda it: (it["run"], it["position"])):
        by_run[one["run"]].append(one["outcome"] or _told(states.get((one["step_run"], one["step"]))))
    for sheet in sheets:
        if by_run.get(sheet.run) != [row["result_status"] for row in sheet.results]:
            yield f"the results of run {sheet.run} are not what its journal says"


def _told(state: str | None) -> str:
    known = {"done": "created", "pending": "not_sent", "rejected": "rejected", "failed": "failed"}
    return known.get(state or "", "unknown")
