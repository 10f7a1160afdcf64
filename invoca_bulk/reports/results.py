"""Outcomes -> frame, totals, workbook: the sheet comes back with the outcome and the assigned number on each row."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.reports import html, save
from invoca_bulk.reports.results_view import STYLES, View
from invoca_bulk.reports.xlsx import Cell, Page, Style
from invoca_bulk.schema import SHEETS, Role, payloads
from invoca_bulk.schema.result_columns import DONE, OUTCOME_HELP, RESULT_FIELDS, VALIDATION_FIELDS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from invoca_bulk.journal import RowRecord, RunRecord
    from invoca_bulk.planning import PlannedSheet
    from invoca_bulk.schema import Resource

_WIDTHS = {0: 44, 1: 44, 2: 100}
_RESULT = tuple(one.path for one in RESULT_FIELDS)
_STALE = frozenset(one.path for one in VALIDATION_FIELDS)


@dataclass(frozen=True, kw_only=True)
class Results:
    """What became of a run.

    Attributes:
        run: the run, as the journal has it.
        rows: the rows, in the sheet's order.
    """

    run: RunRecord
    rows: Sequence[RowRecord]

    @property
    def frame(self) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The sheet with its outcomes; where several were read, a dict of them by the name of what they hold.

        Returns:
            A frame of texts whose index `row` is the spreadsheet's row number (the rows of a `quantity` share it). Its
            columns are the sheet's own, under their own titles, then what the platform assigned (`promo_number`, `id`,
            `id_from_network`, `object_url`), then the `result_` columns.
        """
        frames = self._frames
        return frames if len(frames) > 1 else next(iter(frames.values()))

    @property
    def _frames(self) -> html.Frames:
        return html.Frames({sheet.resource: frame for sheet, _, frame in self.tables})

    @property
    def view(self) -> View:
        """The results to be looked at, as `ib.view` gives them."""
        frames = self._frames
        named = frames if len(frames) > 1 else dict(zip([""], frames.values(), strict=True))
        return View(frames=named, rest="all are in the results file")

    def _repr_html_(self) -> str:
        return self.view._repr_html_()

    @cached_property
    def tables(self) -> list[tuple[PlannedSheet, list[RowRecord], pd.DataFrame]]:
        """Each sheet with its rows and their frame."""
        rows: list[list[RowRecord]] = [[] for _ in self.run.sheets]
        for row in self.rows:
            rows[row.sheet].append(row)
        return [(sheet, own, self._frame(sheet, own)) for sheet, own in zip(self.run.sheets, rows, strict=True)]

    def _frame(self, sheet: PlannedSheet, rows: Sequence[RowRecord]) -> pd.DataFrame:
        resource = SHEETS[sheet.resource]
        headers = _headers(resource, sheet.headers)
        known = _paths(resource, sheet.headers)
        records = (self._texts(resource, known, row) for row in rows)
        index = pd.Index([row.row for row in rows], name="row", dtype="int64")
        frame = pd.DataFrame(records, columns=list(headers), index=index, dtype="str").fillna("")
        return frame.rename(columns=headers)

    def _texts(self, resource: Resource, known: Sequence[str], row: RowRecord) -> dict[str, str]:
        """Path or title to text of one row."""
        texts = dict(zip(known, row.cells, strict=True))
        if row.carried:
            return texts
        if row.outcome in DONE and isinstance(row.answer, dict) and not resource.is_part:
            texts |= payloads.read_only_texts(resource, row.answer)
        meaning, advice = ("", "") if row.outcome in DONE else OUTCOME_HELP[row.outcome]
        return texts | {
            "result_status": row.outcome.value,
            "result_error": row.error or meaning if meaning else "",
            "result_fix": row.fix or advice if advice else "",
            "result_http_status": str(row.http_status or ""),
            "result_attempts": str(row.attempts),
            "result_at": iso(row.ended_at),
            "result_run": row.step_run or self.run.run,
        }

    @cached_property
    def totals(self) -> dict[Outcome, int]:
        """Outcome to number of rows, in the order of the closed set, those without rows left out."""
        counts = Counter(row.outcome for row in self.rows)
        return {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}

    @property
    def all_done(self) -> bool:
        """Whether nothing is left to do."""
        return all(outcome in DONE for outcome in self.totals)

    def by_place(self) -> dict[tuple[str, ...], dict[Outcome, int]]:
        """Where the rows go (advertiser, campaign, affiliate) to outcome to number of rows."""
        counts: dict[tuple[str, ...], Counter[Outcome]] = {}
        for sheet, rows, _ in self.tables:
            resource = SHEETS[sheet.resource]
            titles = {path: at for at, path in enumerate(_paths(resource, sheet.headers))}
            places = [titles[one.path] for one in resource.fields if one.role is Role.PATH and one.path in titles]
            for row in rows if places else ():
                counts.setdefault(tuple(row.cells[at].strip() for at in places), Counter())[row.outcome] += 1
        return {place: dict(count) for place, count in counts.items()}

    def save(self, path: str | Path, *, not_over: Iterable[Path] = ()) -> Path:
        """Write the results: `.xlsx` with a summary, or `.csv`; where that place takes no file, at another one.

        Returns:
            The file that was written.

        Raises:
            OutputUnwritable: no place takes it; the results stay in the journal.
        """
        tables = len(self.run.sheets)
        return save.save(path, functools.partial(pages, self), not_over=not_over, or_elsewhere=True, tables=tables)


def pages(results: Results) -> list[Page]:
    """The worksheets of the results workbook, made anew at each call: the rows of each sheet, and a summary."""
    sheets = [_page(*one, only=len(results.tables) == 1) for one in results.tables]
    summary = Page(name="summary", header=["summary", "", ""], rows=_summary(results), table=False, widths=_WIDTHS)
    return [*sheets, summary]


def _page(sheet: PlannedSheet, rows: Sequence[RowRecord], frame: pd.DataFrame, *, only: bool) -> Page:
    name = "results" if only else sheet.resource
    cells = _cells(SHEETS[sheet.resource], rows, frame)
    return Page(name=name, header=list(frame.columns), rows=cells, widths=_sentence_widths(frame))


def _sentence_widths(frame: pd.DataFrame) -> dict[int, float]:
    return {at: 70.0 for at, column in enumerate(frame.columns) if column in {"result_error", "result_fix"}}


def _cells(resource: Resource, rows: Sequence[RowRecord], frame: pd.DataFrame) -> Iterator[list[str | Cell]]:
    """The rows of the frame; what is not done is coloured throughout, what is done at its status only."""
    status = _paths(resource, frame.columns).index("result_status")
    texts = zip(*(frame.iloc[:, at].to_numpy(dtype=object) for at in range(frame.shape[1])), strict=True)
    for row, cells in zip(rows, texts, strict=True):
        style = STYLES[row.outcome]
        done = row.outcome in DONE
        yield [text if done and at != status else Cell(text=text, style=style) for at, text in enumerate(cells)]


def _summary(results: Results) -> Iterator[list[str | Cell]]:
    run = results.run
    head: list[list[str | Cell]] = [
        ["run", run.run],
        ["file", run.source or "a DataFrame"],
        ["network", f"{run.network_id} at {run.base_url}"],
        ["API version", run.api_version],
        ["started (UTC)", iso(run.started_at)],
        ["ended (UTC)", iso(run.ended_at)],
        ["state", run.state],
        [],
        [Cell(text="outcome", style=Style.BOLD), Cell(text="rows", style=Style.BOLD)],
    ]
    yield from head
    for outcome, count in results.totals.items():
        meaning, advice = OUTCOME_HELP[outcome]
        text = meaning if outcome in DONE else f"{meaning} {advice}"
        yield [Cell(text=outcome, style=STYLES[outcome]), f"{count:,}", text]
    places = results.by_place()
    if places:
        yield []
        yield [Cell(text="advertiser / campaign / affiliate", style=Style.BOLD), Cell(text="rows", style=Style.BOLD)]
    for place, counts in places.items():
        yield [" / ".join(filter(None, place)), ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())]


def _headers(resource: Resource, given: Sequence[str]) -> dict[str, str]:
    """Path (or title, of unknown columns) to title, in the order of the results' columns."""
    titles = {path: header for path, header in zip(_paths(resource, given), given, strict=True) if path not in _STALE}
    added = (path for path in (*payloads.ASSIGNED, *_RESULT) if path in resource.by_path)
    return titles | {path: titles.get(path, path) for path in added}


def _paths(resource: Resource, headers: Iterable[str]) -> list[str]:
    """The path of each known column, the title of each unknown one."""
    return [column.path if (column := resource.column(header)) else header for header in headers]


def iso(seconds: float | None) -> str:
    """A time as the results show it; None: blank."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def totals_text(totals: dict[Outcome, int]) -> str:
    """A small table for the terminal: outcome, rows, what it means."""
    lines = [("outcome", "rows", "")]
    lines += [(outcome, f"{count:,}", OUTCOME_HELP[outcome][0]) for outcome, count in totals.items()]
    return "\n".join(f"  {outcome:<9}  {count:>7}  {text}".rstrip() for outcome, count, text in lines)
