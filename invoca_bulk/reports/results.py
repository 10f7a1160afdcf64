"""Results: the sheet with the outcome and the assigned number of each row, as DataFrame, totals and workbook."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import pandas as pd

from invoca_bulk.config.network import network_address
from invoca_bulk.journal import SANDBOX_RUN_PREFIX, RowRecord, RunRecord, RunSummary, undone_run_id
from invoca_bulk.planning import PlannedSheet
from invoca_bulk.reports import html, save
from invoca_bulk.reports.results_view import OUTCOME_STYLES, ResultsView
from invoca_bulk.reports.xlsx import Cell, Style, WorksheetSpec
from invoca_bulk.schema import SHEET_RESOURCES, Resource, Role, payloads
from invoca_bulk.schema.outcomes import OUTCOME_HELP, SUCCESS_OUTCOMES, Outcome
from invoca_bulk.schema.result_columns import RESULT_FIELDS, VALIDATION_FIELDS
from invoca_bulk.sheets.row_labels import RowLabels, from_stored
from invoca_bulk.wording import remedy, word

_SUMMARY_WIDTHS = {0: 44, 1: 44, 2: 100}
_SENTENCE_COLUMNS = frozenset({"result_error", "result_fix"})
_SENTENCE_WIDTH = 70.0  # in characters
_RESULT_COLUMNS = tuple(field.path for field in RESULT_FIELDS)
_ADDED_COLUMNS = (*payloads.ASSIGNED_FIELDS, *_RESULT_COLUMNS)
_VALIDATION_COLUMNS = frozenset(field.path for field in VALIDATION_FIELDS)


@dataclass(frozen=True, kw_only=True)
class Results:
    """The results of a run."""

    run: RunRecord
    rows: Sequence[RowRecord]  # in the order of the sheet
    own_labels: Sequence[RowLabels | None] = ()  # of each sheet, as this process has them; empty: only the journal has
    kept_flags: Sequence[str] = ()  # sentences about flags that were sent and that the platform kept as they were
    undone_by: str = ""  # the later run that has undone the run; empty: none

    @property
    def frame(self) -> pd.DataFrame | dict[str, pd.DataFrame]:
        """The sheet with its outcomes; for several sheets, a dict with the resource names as keys.

        A DataFrame of texts whose index `row` is the spreadsheet row number, or for the rows of a DataFrame its own
        index; the rows of a `quantity` share a label. Its columns are those of the sheet with their titles, then the
        values that the platform assigned (`promo_number`, `id`, `id_from_network`, `object_url`), then the `result_`
        columns.
        """
        frames = self._frame_by_resource
        return frames if len(frames) > 1 else next(iter(frames.values()))

    @property
    def _frame_by_resource(self) -> html.FrameDict:
        labels = self.own_labels or [None] * len(self.tables)
        return html.FrameDict(
            {
                sheet.resource: _with_index(sheet, rows, frame, sheet_labels)
                for (sheet, rows, frame), sheet_labels in zip(self.tables, labels, strict=True)
            }
        )

    @property
    def view(self) -> ResultsView:
        """The display of the results, as `ib.view` returns it."""
        frames = self._frame_by_resource
        frame_by_name = frames if len(frames) > 1 else dict(zip([""], frames.values(), strict=True))
        return ResultsView(frames=frame_by_name, overflow_note="all are in the results file")

    def _repr_html_(self) -> str:
        return self.view._repr_html_()

    @cached_property
    def tables(self) -> list[tuple[PlannedSheet, list[RowRecord], pd.DataFrame]]:
        """Each sheet with its rows and their DataFrame."""
        rows: list[list[RowRecord]] = [[] for _ in self.run.sheets]
        for row in self.rows:
            rows[row.sheet].append(row)
        return [
            (sheet, sheet_rows, self._build_frame(sheet, sheet_rows))
            for sheet, sheet_rows in zip(self.run.sheets, rows, strict=True)
        ]

    def _build_frame(self, sheet: PlannedSheet, rows: Sequence[RowRecord]) -> pd.DataFrame:
        resource = SHEET_RESOURCES[sheet.resource]
        headers = _result_headers(resource, sheet.headers)
        paths = _column_paths(resource, sheet.headers)
        records = (self._row_texts(resource, paths, row) for row in rows)
        index = pd.Index([row.row for row in rows], name="row", dtype="int64")
        frame = pd.DataFrame(records, columns=list(headers), index=index, dtype="str").fillna("")
        return frame.rename(columns=headers)

    def _row_texts(self, resource: Resource, paths: Sequence[str], row: RowRecord) -> dict[str, str]:
        """The texts of a row by path, or by title for unknown columns."""
        texts = dict(zip(paths, row.cells, strict=True))
        if row.from_results:
            return texts
        is_done = row.outcome in SUCCESS_OUTCOMES
        if is_done and isinstance(row.answer, dict) and not resource.is_subresource:
            texts |= payloads.assigned_texts(resource, row.answer)
        run_id = row.step_run or self.run.run
        meaning, advice = OUTCOME_HELP[row.outcome]
        return texts | {
            "result_status": row.outcome.value,
            "result_error": "" if is_done else word(row.error or meaning, run_id),
            "result_fix": "" if is_done else word(row.fix or advice, run_id),
            "result_http_status": str(row.http_status or ""),
            "result_attempts": str(row.attempts),
            "result_at": format_time(row.ended_at),
            "result_run": run_id,
        }

    @cached_property
    def totals(self) -> dict[Outcome, int]:
        """Outcome to number of rows, in the order of `Outcome`; outcomes without rows are omitted."""
        return self._count(self.rows)

    @staticmethod
    def _count(rows: Iterable[RowRecord]) -> dict[Outcome, int]:
        counts = Counter(row.outcome for row in rows)
        return {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}

    @cached_property
    def own_totals(self) -> dict[Outcome, int]:
        """As `totals`, of the rows that the run itself did, or tried to."""
        return self._count(row for row in self.rows if not row.is_of_earlier_run(self.run.run))

    @cached_property
    def earlier_totals(self) -> dict[Outcome, int]:
        """As `totals`, of the rows that earlier runs had done."""
        return self._count(row for row in self.rows if row.is_of_earlier_run(self.run.run))

    @property
    def sheet_warnings(self) -> list[str]:
        """As `Report.sheet_warnings`, in the words of the door."""
        return [word(warning, self.run.run) for warning in self.run.warnings]

    @property
    def warnings(self) -> list[str]:
        """All that was warned of: about the sheet, and what the platform did not take."""
        return [*self.sheet_warnings, *self.kept_flags]

    @property
    def rehearsal_note(self) -> str:
        """What a rehearsal is not, and what to do next; empty: the run was none."""
        if not self.run.run.startswith(SANDBOX_RUN_PREFIX):
            return ""
        is_undo = bool(undone_run_id(self.run.source))
        advice = "" if is_undo else f" For the real run, correct {self._original_name} and not these results."
        like = remedy("sandbox", "like=export.xlsx")
        return word(
            "This was a rehearsal on a sandbox: nothing was bought, and the numbers are made up. A sandbox does not "
            f"know your campaigns, unless it is started like an export: {like}.{advice}"
        )

    @property
    def _original_name(self) -> str:
        """What was run first: results of a rehearsal that were run again are no sheet for a real network either."""
        columns = (_column_paths(SHEET_RESOURCES[sheet.resource], sheet.headers) for sheet in self.run.sheets)
        if any("result_run" in paths for paths in columns):
            return "the original sheet"
        return self.run.source or "the original DataFrame"

    @property
    def all_done(self) -> bool:
        """Whether every row is done."""
        return all(outcome in SUCCESS_OUTCOMES for outcome in self.totals)

    def counts_by_campaign(self) -> dict[tuple[str, ...], dict[Outcome, int]]:
        """The campaign of the rows (ids of advertiser, campaign, affiliate) to outcome to number of rows."""
        counts: dict[tuple[str, ...], Counter[Outcome]] = {}
        for sheet, rows, _ in self.tables:
            resource = SHEET_RESOURCES[sheet.resource]
            column_by_path = {path: column for column, path in enumerate(_column_paths(resource, sheet.headers))}
            campaign_paths = (field.path for field in resource.fields if field.role is Role.PATH)
            columns = [column_by_path[path] for path in campaign_paths if path in column_by_path]
            for row in rows if columns else ():
                campaign = tuple(row.cells[column].strip() for column in columns)
                counts.setdefault(campaign, Counter())[row.outcome] += 1
        return {campaign: dict(outcome_counts) for campaign, outcome_counts in counts.items()}

    def save(self, path: str | Path, *, protected_paths: Iterable[Path] = (), plain_csv: bool = False) -> Path:
        """Write the results as `.xlsx` with a summary, or as `.csv`; if that fails, to another folder or name."""
        build, count = functools.partial(build_worksheets, self), len(self.run.sheets)
        return save.save_worksheets(
            path,
            build,
            protected_paths=protected_paths,
            allow_fallback=True,
            table_count=count,
            plain_csv=plain_csv,
        )


def _with_index(
    sheet: PlannedSheet, rows: Sequence[RowRecord], frame: pd.DataFrame, labels: RowLabels | None
) -> pd.DataFrame:
    """The table with the index of the DataFrame that was run, without the columns that its levels became.

    Columns that all results have stay, too.
    """
    if not sheet.index_names:
        return frame
    numbers = [row.row for row in rows]
    index = labels.select(numbers) if labels else from_stored([row.label for row in rows], sheet.index_names)
    paths = _column_paths(SHEET_RESOURCES[sheet.resource], sheet.index_columns)
    level_columns = [
        title for title, path in zip(sheet.index_columns, paths, strict=True) if path not in _ADDED_COLUMNS
    ]
    return frame.drop(columns=level_columns, errors="ignore").set_axis(index, axis="index")


def build_worksheets(results: Results) -> list[WorksheetSpec]:
    """New worksheets: the rows of each sheet, and a summary."""
    specs = [
        WorksheetSpec(
            name="results" if len(results.tables) == 1 else sheet.resource,
            header=list(frame.columns),
            rows=_styled_rows(SHEET_RESOURCES[sheet.resource], rows, frame),
            widths={column: _SENTENCE_WIDTH for column, title in enumerate(frame) if title in _SENTENCE_COLUMNS},
        )
        for sheet, rows, frame in results.tables
    ]
    summary = WorksheetSpec(
        name="summary", header=["summary", "", ""], rows=_summary_rows(results), is_table=False, widths=_SUMMARY_WIDTHS
    )
    return [*specs, summary]


def _styled_rows(resource: Resource, rows: Sequence[RowRecord], frame: pd.DataFrame) -> Iterator[list[str | Cell]]:
    """The rows of the DataFrame; of a row that is done, only the status is coloured, of others every cell."""
    status_column = _column_paths(resource, frame.columns).index("result_status")
    columns = (frame.iloc[:, column].to_numpy(dtype=object) for column in range(frame.shape[1]))
    for row, texts in zip(rows, zip(*columns, strict=True), strict=True):
        style = OUTCOME_STYLES[row.outcome]
        is_done = row.outcome in SUCCESS_OUTCOMES
        yield [
            text if is_done and column != status_column else Cell(text=text, style=style)
            for column, text in enumerate(texts)
        ]


def _summary_rows(results: Results) -> Iterator[list[str | Cell]]:
    run = results.run
    yield ["run", run.run]
    yield ["file", run.source or "a DataFrame"]
    yield ["network", network_address(run.network_id, run.base_url)]
    yield ["API version", run.api_version]
    yield ["started (UTC)", format_time(run.started_at)]
    yield ["ended (UTC)", format_time(run.ended_at)]
    yield ["state", run.state]
    for line in results.warnings:
        yield [Cell(text="warning", style=Style.WARNING), line]
    if results.rehearsal_note:
        yield ["rehearsal", results.rehearsal_note]
    if results.undone_by:
        yield ["undone by", results.undone_by]
    yield []
    yield [Cell(text="outcome", style=Style.BOLD), Cell(text="rows", style=Style.BOLD)]
    for outcome, count in results.totals.items():
        meaning, advice = OUTCOME_HELP[outcome]
        text = meaning if outcome in SUCCESS_OUTCOMES else word(f"{meaning} {advice}", run.run)
        yield [Cell(text=outcome, style=OUTCOME_STYLES[outcome]), f"{count:,}", text]
    for line in describe_totals(results.own_totals, results.earlier_totals):
        yield [line]
    campaigns = results.counts_by_campaign()
    if campaigns:
        yield []
        yield [Cell(text="advertiser / campaign / affiliate", style=Style.BOLD), Cell(text="rows", style=Style.BOLD)]
    for campaign, counts in campaigns.items():
        totals = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.items())
        yield [" / ".join(filter(None, campaign)), totals]


def _result_headers(resource: Resource, headers: Sequence[str]) -> dict[str, str]:
    """Path (or title, for unknown columns) to title, in the order of the results' columns."""
    titles = {
        path: header
        for path, header in zip(_column_paths(resource, headers), headers, strict=True)
        if path not in _VALIDATION_COLUMNS
    }
    added_paths = (path for path in _ADDED_COLUMNS if path in resource.by_path)
    return titles | {path: titles.get(path, path) for path in added_paths}


def _column_paths(resource: Resource, headers: Iterable[str]) -> list[str]:
    """The path of each known column, and the title of each unknown one."""
    return [column.path if (column := resource.column_for(header)) else header for header in headers]


def format_time(seconds: float | None) -> str:
    """A Unix time in seconds as ISO 8601 in UTC, to the second; None: empty."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def describe_totals(own: Mapping[Outcome, int], earlier: Mapping[Outcome, int]) -> list[str]:
    """What a run did apart from what earlier runs had done: `now: 3 created; before: 12 created`; none: no such rows.

    Adding up what several runs did gives what was bought.
    """
    return [f"now: {join_totals(own) or 'nothing'}; before: {join_totals(earlier)}"] if earlier else []


def describe_run_totals(run_summary: RunSummary) -> str:
    """The totals of a run in a list of runs."""
    own, earlier = (dict(sorted(totals.items())) for totals in (run_summary.totals, run_summary.earlier_totals))
    return next(iter(describe_totals(own, earlier)), join_totals(own))


def describe_state(run_summary: RunSummary) -> str:
    """The state of a run in a list of runs: `finished, undone by RUN`."""
    return f"{run_summary.state}, undone by {run_summary.undone_by}" if run_summary.undone_by else run_summary.state


def join_totals(totals: Mapping[Outcome, int]) -> str:
    """`3 created, 1 rejected`."""
    return ", ".join(f"{count:,} {outcome.value}" for outcome, count in totals.items())


def format_totals(totals: dict[Outcome, int]) -> str:
    """A table for the terminal: outcome, number of rows, meaning."""
    lines = [("outcome", "rows", "")]
    lines += [(outcome, f"{count:,}", OUTCOME_HELP[outcome][0]) for outcome, count in totals.items()]
    return "\n".join(f"  {outcome:<9}  {count:>7}  {text}".rstrip() for outcome, count, text in lines)
