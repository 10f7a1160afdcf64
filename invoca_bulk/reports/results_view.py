"""A display of results: a chart, the meaning of each outcome, and the rows, unfinished ones first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from invoca_bulk.errors import ConfigError
from invoca_bulk.reports import html, save
from invoca_bulk.reports.html import Html
from invoca_bulk.reports.xlsx import Cell, Style, WorksheetSpec
from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.schema.outcomes import OUTCOME_HELP, SUCCESS_OUTCOMES, Outcome, parse_outcome
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS
from invoca_bulk.sheets.row_labels import ROW_INDEX_NAME, format_label
from invoca_bulk.wording import count_of, word

#: Outcome to style, in displays and workbooks.
OUTCOME_STYLES: Mapping[Outcome, Style] = {
    **dict.fromkeys(SUCCESS_OUTCOMES, Style.OK),
    **dict.fromkeys((Outcome.INVALID, Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN), Style.ERROR),
    Outcome.NOT_SENT: Style.WARNING,
}
#: Label, meaning and fix for rows that were added to results and have not been run.
_NO_OUTCOME = ("no outcome", "The row has not been run yet.", "Run the results to process it.")
#: Shown next to the row number, in this order.
_FIRST_COLUMNS = ("result_status", "result_error", "result_fix", "promo_number")
#: For programs, or shown in another column.
_HIDDEN_COLUMNS = frozenset(field.path for field in OUTPUT_FIELDS) - {*_FIRST_COLUMNS}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ResultsView:
    """A display of results: HTML in a notebook, text with `print`.

    Attributes:
        frames: name to results; the name of a single DataFrame may be empty.
        output_path: the results file; empty: there is none, or it is unknown.
        overflow_note: where to find all rows if not all are shown and there is no file.
    """

    frames: Mapping[str, pd.DataFrame]
    output_path: str = ""
    overflow_note: str = "all are in the DataFrame"

    @cached_property
    def totals(self) -> dict[Outcome | None, int]:
        """Outcome to number of rows, in the order of `Outcome`; None: rows without an outcome."""
        counts = Counter(outcome for frame in self.frames.values() for outcome in _row_outcomes(frame))
        return {outcome: counts[outcome] for outcome in (*Outcome, None) if counts[outcome]}

    @property
    def summary(self) -> str:
        """The number of rows that are done, in one sentence."""
        total = sum(self.totals.values())
        done = sum(count for outcome, count in self.totals.items() if outcome in SUCCESS_OUTCOMES)
        return f"{done:,} of {count_of(total, 'row is', 'rows are')} done."

    def __repr__(self) -> str:
        lines = (f"  {_outcome_help(outcome)[0]}: {self._outcome_text(outcome)}" for outcome in self.totals)
        return "\n".join([self.summary, html.chart_text(self.bars), *lines])

    def _repr_html_(self) -> str:
        """Show the chart, the meaning of each outcome, and the rows, unfinished ones first."""
        return html.container(*self.overview_parts(), *self.row_tables())

    def to_rich_text(self, notes: Sequence[str]) -> html.RichText:
        """The display at the end of a run, without the rows.

        Args:
            notes: sentences that need attention.
        """
        paths = [f"Results: {self.output_path}"] if self.output_path else []
        content = html.container(*self.overview_parts(), html.notices(notes), html.bullet_list("", paths))
        return html.RichText(html=content, text="\n".join([repr(self), *notes, *paths]))

    def to_excel(self, path: str | Path) -> Path:
        """Write the rows as a workbook with coloured outcomes, one worksheet for each frame. Replaces an existing file.

        Raises:
            OutputError: the file cannot be written.
        """
        return save.save_worksheets(path, lambda: [_to_worksheet(name, frame) for name, frame in self.frames.items()])

    @property
    def bars(self) -> list[html.ChartBar]:
        """The bars of the chart."""
        return [
            html.ChartBar(label=_outcome_help(outcome)[0], count=count, style=_outcome_style(outcome))
            for outcome, count in self.totals.items()
        ]

    def overview_parts(self) -> Iterator[Html]:
        """The parts of the display, without the rows."""
        yield html.heading(self.summary)
        yield html.chart(self.bars)
        texts = map(self._outcome_text, self.totals)
        yield html.legend(list(zip(self.bars, texts, strict=True)))

    def _outcome_text(self, outcome: Outcome | None) -> str:
        """What an outcome means and what to do, with the run of its rows if they have one in common."""
        _, meaning, advice = _outcome_help(outcome)
        if outcome in SUCCESS_OUTCOMES:
            return meaning
        runs = set().union(*(_runs_with(outcome, frame) for frame in self.frames.values()))
        return word(f"{meaning} {advice}", run=runs.pop() if len(runs) == 1 else "")

    def row_tables(self) -> Iterator[Html]:
        """The rows of each DataFrame as a table."""
        overflow_note = f"all are in the file `{self.output_path}`" if self.output_path else self.overflow_note
        return (_render_table(name, frame, overflow_note) for name, frame in self.frames.items())


def _to_worksheet(name: str, frame: pd.DataFrame) -> WorksheetSpec:
    frame = _index_to_columns(frame)
    outcomes = _row_outcomes(frame)
    status_column = _column_paths(frame).index("result_status")
    rows = (
        [
            Cell(text=text, style=_outcome_style(outcome)) if column == status_column else text
            for column, text in enumerate(texts)
        ]
        for outcome, texts in zip(outcomes, frame.itertuples(index=False, name=None), strict=True)
    )
    return WorksheetSpec(name=name or "results", header=list(frame.columns), rows=rows)


def _index_to_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """The DataFrame with its named index levels as columns, as a results file has them; not the row numbers."""
    known = {ROW_INDEX_NAME, *map(str, frame.columns)}
    levels = [level for level, name in enumerate(frame.index.names) if name is not None and str(name) not in known]
    return frame.reset_index(level=levels) if levels else frame


def view(results: object) -> ResultsView:
    """A display of what `run` or `resume` returned.

    Args:
        results: a DataFrame with the column `result_status`, or a dict of such DataFrames.

    Raises:
        ConfigError: `results` is something else.
    """
    sources = results if isinstance(results, dict) else {"": results}
    frames = {str(name): _require_results(source) for name, source in sources.items()}
    output_path = next((str(frame.attrs["output"]) for frame in frames.values() if frame.attrs.get("output")), "")
    return ResultsView(frames=frames, output_path=output_path)


def _require_results(results: object) -> pd.DataFrame:
    if isinstance(results, pd.DataFrame) and "result_status" in _column_paths(results):
        return results
    raise ConfigError("Not a results DataFrame (no result_status column). Pass what a run returned, or a results file.")


def _outcome_help(outcome: Outcome | None) -> tuple[str, str, str]:
    """The label of an outcome, its meaning and its fix."""
    return _NO_OUTCOME if outcome is None else (outcome.value, *OUTCOME_HELP[outcome])


def _runs_with(outcome: Outcome | None, frame: pd.DataFrame) -> set[str]:
    """The runs that rows with an outcome come from."""
    paths = _column_paths(frame)
    if "result_run" not in paths:
        return set()
    runs = frame.iloc[:, paths.index("result_run")]
    return {str(run) for run, row_outcome in zip(runs, _row_outcomes(frame), strict=True) if row_outcome is outcome}


def _outcome_style(outcome: Outcome | None) -> Style:
    return Style.PLAIN if outcome is None else OUTCOME_STYLES[outcome]


def _column_paths(frame: pd.DataFrame) -> list[str]:
    """The path of each column, recognized by any of its titles; empty: unknown."""
    # All resources share the columns that matter here.
    columns = (PROMO_NUMBERS.column_for(str(header)) for header in frame.columns)
    return [column.path if column else "" for column in columns]


def _row_outcomes(frame: pd.DataFrame) -> list[Outcome | None]:
    texts = frame.iloc[:, _column_paths(frame).index("result_status")]
    outcomes = {text: parse_outcome(str(text)) for text in texts.unique()}
    return [outcomes[text] for text in texts]


def _render_table(name: str, frame: pd.DataFrame, overflow_note: str) -> Html:
    outcomes, paths = _row_outcomes(frame), _column_paths(frame)
    order = sorted(range(len(frame)), key=lambda index: outcomes[index] in SUCCESS_OUTCOMES)[: html.MAX_ROWS_SHOWN]
    first = [paths.index(path) for path in _FIRST_COLUMNS if path in paths]
    others = (column for column, path in enumerate(paths) if column not in first and path not in _HIDDEN_COLUMNS)
    columns = [*first, *others]
    shown = frame.iloc[order, columns].fillna("").astype(str)
    rows = (
        _render_row(str(format_label(row)), outcomes[index], dict(zip(columns, texts, strict=True)), paths)
        for index, row, texts in zip(order, shown.index, shown.itertuples(index=False, name=None), strict=True)
    )
    sorting = ", unfinished first" if set(outcomes) - SUCCESS_OUTCOMES else ""
    return html.table(
        [
            "row" if frame.index.names == [ROW_INDEX_NAME] else "index",
            *(str(frame.columns[column]) for column in columns),
        ],
        rows,
        caption=f"{name} rows{sorting}".strip().capitalize(),
        total=len(frame),
        overflow_note=overflow_note,
    )


def _render_row(row: str, outcome: Outcome | None, texts: Mapping[int, str], paths: Sequence[str]) -> list[str | Cell]:
    """The cells of a row; unless it is done, its number has the style of its outcome."""
    style = _outcome_style(outcome)
    styles = {"result_status": style, "result_error": Style.WRAP, "result_fix": Style.WRAP}
    row_cell = row if outcome in SUCCESS_OUTCOMES else Cell(text=row, style=style)
    cells = (Cell(text=text, style=styles.get(paths[column], Style.PLAIN)) for column, text in texts.items())
    return [row_cell, *cells]
