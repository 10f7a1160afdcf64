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
from invoca_bulk.reports.results_view import OUTCOME_STYLES, ResultsView
from invoca_bulk.reports.xlsx import Cell, Style, WorksheetSpec
from invoca_bulk.schema import SHEET_RESOURCES, Role, payloads
from invoca_bulk.schema.result_columns import OUTCOME_HELP, RESULT_FIELDS, SUCCESS_OUTCOMES, VALIDATION_FIELDS, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from invoca_bulk.journal import RowRecord, RunRecord
    from invoca_bulk.planning import PlannedSheet
    from invoca_bulk.schema import Resource

_SUMMARY_WIDTHS = {0: 44, 1: 44, 2: 100}
_RESULT_COLUMNS = tuple(one.path for one in RESULT_FIELDS)
_VALIDATION_COLUMNS = frozenset(one.path for one in VALIDATION_FIELDS)


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
        frames = self._frame_by_resource
        return frames if len(frames) > 1 else next(iter(frames.values()))

    @property
    def _frame_by_resource(self) -> html.FrameDict:
        return html.FrameDict({sheet.resource: frame for sheet, _, frame in self.tables})

    @property
    def view(self) -> ResultsView:
        """The results to be looked at, as `ib.view` gives them."""
        frames = self._frame_by_resource
        named = frames if len(frames) > 1 else dict(zip([""], frames.values(), strict=True))
        return ResultsView(frames=named, overflow_note="all are in the results file")

    def _repr_html_(self) -> str:
        return self.view._repr_html_()

    @cached_property
    def tables(self) -> list[tuple[PlannedSheet, list[RowRecord], pd.DataFrame]]:
        """Each sheet with its rows and their frame."""
        rows: list[list[RowRecord]] = [[] for _ in self.run.sheets]
        for row in self.rows:
            rows[row.sheet].append(row)
        return [(sheet, own, self._build_frame(sheet, own)) for sheet, own in zip(self.run.sheets, rows, strict=True)]

    def _build_frame(self, sheet: PlannedSheet, rows: Sequence[RowRecord]) -> pd.DataFrame:
        resource = SHEET_RESOURCES[sheet.resource]
        headers = _result_headers(resource, sheet.headers)
        known = _column_paths(resource, sheet.headers)
        records = (self._row_texts(resource, known, row) for row in rows)
        index = pd.Index([row.row for row in rows], name="row", dtype="int64")
        frame = pd.DataFrame(records, columns=list(headers), index=index, dtype="str").fillna("")
        return frame.rename(columns=headers)

    def _row_texts(self, resource: Resource, known: Sequence[str], row: RowRecord) -> dict[str, str]:
        """Path or title to text of one row."""
        texts = dict(zip(known, row.cells, strict=True))
        if row.from_results:
            return texts
        if row.outcome in SUCCESS_OUTCOMES and isinstance(row.answer, dict) and not resource.is_subresource:
            texts |= payloads.assigned_texts(resource, row.answer)
        meaning, advice = ("", "") if row.outcome in SUCCESS_OUTCOMES else OUTCOME_HELP[row.outcome]
        return texts | {
            "result_status": row.outcome.value,
            "result_error": row.error or meaning if meaning else "",
            "result_fix": row.fix or advice if advice else "",
            "result_http_status": str(row.http_status or ""),
            "result_attempts": str(row.attempts),
            "result_at": format_time(row.ended_at),
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
        return all(outcome in SUCCESS_OUTCOMES for outcome in self.totals)

    def counts_by_campaign(self) -> dict[tuple[str, ...], dict[Outcome, int]]:
        """Where the rows go (advertiser, campaign, affiliate) to outcome to number of rows."""
        counts: dict[tuple[str, ...], Counter[Outcome]] = {}
        for sheet, rows, _ in self.tables:
            resource = SHEET_RESOURCES[sheet.resource]
            titles = {path: at for at, path in enumerate(_column_paths(resource, sheet.headers))}
            places = [titles[one.path] for one in resource.fields if one.role is Role.PATH and one.path in titles]
            for row in rows if places else ():
                counts.setdefault(tuple(row.cells[at].strip() for at in places), Counter())[row.outcome] += 1
        return {place: dict(count) for place, count in counts.items()}

    def save(self, path: str | Path, *, protected_paths: Iterable[Path] = ()) -> Path:
        """Write the results: `.xlsx` with a summary, or `.csv`; where that place takes no file, at another one.

        Returns:
            The file that was written.

        Raises:
            OutputError: no place takes it; the results stay in the journal.
        """
        tables = len(self.run.sheets)
        return save.save_worksheets(
            path,
            functools.partial(build_worksheets, self),
            protected_paths=protected_paths,
            allow_fallback=True,
            table_count=tables,
        )


def build_worksheets(results: Results) -> list[WorksheetSpec]:
    """The worksheets of the results workbook, made anew at each call: the rows of each sheet, and a summary."""
    sheets = [_build_worksheet(*one, is_only_sheet=len(results.tables) == 1) for one in results.tables]
    summary = WorksheetSpec(
        name="summary", header=["summary", "", ""], rows=_summary_rows(results), is_table=False, widths=_SUMMARY_WIDTHS
    )
    return [*sheets, summary]


def _build_worksheet(
    sheet: PlannedSheet, rows: Sequence[RowRecord], frame: pd.DataFrame, *, is_only_sheet: bool
) -> WorksheetSpec:
    name = "results" if is_only_sheet else sheet.resource
    cells = _styled_rows(SHEET_RESOURCES[sheet.resource], rows, frame)
    return WorksheetSpec(name=name, header=list(frame.columns), rows=cells, widths=_column_widths(frame))


def _column_widths(frame: pd.DataFrame) -> dict[int, float]:
    return {at: 70.0 for at, column in enumerate(frame.columns) if column in {"result_error", "result_fix"}}


def _styled_rows(resource: Resource, rows: Sequence[RowRecord], frame: pd.DataFrame) -> Iterator[list[str | Cell]]:
    """The rows of the frame; what is not done is coloured throughout, what is done at its status only."""
    status = _column_paths(resource, frame.columns).index("result_status")
    texts = zip(*(frame.iloc[:, at].to_numpy(dtype=object) for at in range(frame.shape[1])), strict=True)
    for row, cells in zip(rows, texts, strict=True):
        style = OUTCOME_STYLES[row.outcome]
        done = row.outcome in SUCCESS_OUTCOMES
        yield [text if done and at != status else Cell(text=text, style=style) for at, text in enumerate(cells)]


def _summary_rows(results: Results) -> Iterator[list[str | Cell]]:
    run = results.run
    head: list[list[str | Cell]] = [
        ["run", run.run],
        ["file", run.source or "a DataFrame"],
        ["network", f"{run.network_id} at {run.base_url}"],
        ["API version", run.api_version],
        ["started (UTC)", format_time(run.started_at)],
        ["ended (UTC)", format_time(run.ended_at)],
        ["state", run.state],
        [],
        [Cell(text="outcome", style=Style.BOLD), Cell(text="rows", style=Style.BOLD)],
    ]
    yield from head
    for outcome, count in results.totals.items():
        meaning, advice = OUTCOME_HELP[outcome]
        text = meaning if outcome in SUCCESS_OUTCOMES else f"{meaning} {advice}"
        yield [Cell(text=outcome, style=OUTCOME_STYLES[outcome]), f"{count:,}", text]
    places = results.counts_by_campaign()
    if places:
        yield []
        yield [Cell(text="advertiser / campaign / affiliate", style=Style.BOLD), Cell(text="rows", style=Style.BOLD)]
    for place, counts in places.items():
        yield [" / ".join(filter(None, place)), ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())]


def _result_headers(resource: Resource, given: Sequence[str]) -> dict[str, str]:
    """Path (or title, of unknown columns) to title, in the order of the results' columns."""
    titles = {
        path: header
        for path, header in zip(_column_paths(resource, given), given, strict=True)
        if path not in _VALIDATION_COLUMNS
    }
    added = (path for path in (*payloads.ASSIGNED_FIELDS, *_RESULT_COLUMNS) if path in resource.by_path)
    return titles | {path: titles.get(path, path) for path in added}


def _column_paths(resource: Resource, headers: Iterable[str]) -> list[str]:
    """The path of each known column, the title of each unknown one."""
    return [column.path if (column := resource.column_for(header)) else header for header in headers]


def format_time(seconds: float | None) -> str:
    """A time as the results show it; None: blank."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def format_totals(totals: dict[Outcome, int]) -> str:
    """A small table for the terminal: outcome, rows, what it means."""
    lines = [("outcome", "rows", "")]
    lines += [(outcome, f"{count:,}", OUTCOME_HELP[outcome][0]) for outcome, count in totals.items()]
    return "\n".join(f"  {outcome:<9}  {count:>7}  {text}".rstrip() for outcome, count, text in lines)
