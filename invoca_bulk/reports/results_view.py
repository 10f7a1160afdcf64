"""Results as people look at them: a chart, what each outcome means, and the rows, those that are not done first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.errors import ConfigError
from invoca_bulk.reports import html as displays
from invoca_bulk.reports.xlsx import Cell, Style
from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.schema.result_columns import OUTCOME_HELP, OUTPUT_FIELDS, SUCCESS_OUTCOMES, Outcome, parse_outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoca_bulk.reports.html import Html

#: Outcome to how it looks, in workbooks too.
OUTCOME_STYLES: Mapping[Outcome, Style] = {
    **dict.fromkeys(SUCCESS_OUTCOMES, Style.OK),
    **dict.fromkeys((Outcome.INVALID, Outcome.REJECTED, Outcome.FAILED, Outcome.UNKNOWN), Style.ERROR),
    Outcome.NOT_SENT: Style.WARNING,
}
#: Told of rows that no run has seen, which were added to results.
_NO_OUTCOME = ("no outcome", "No run has seen the row yet.", "Run the results: the row is done then.")
#: These stand beside the row's number, in this order.
_FIRST_COLUMNS = ("result_status", "result_error", "result_fix", "promo_number")
#: These are for programs, or stand in another column already.
_HIDDEN_COLUMNS = frozenset(one.path for one in OUTPUT_FIELDS) - {*_FIRST_COLUMNS}


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class ResultsView:
    """Results, to be looked at: in a notebook as HTML, in a terminal with `print`.

    Attributes:
        frames: name to results; a single one may have an empty name.
        output_path: the file that was written; empty: none, or it is not known.
        overflow_note: where all rows are, if not all can be shown and there is no file.
    """

    frames: Mapping[str, pd.DataFrame]
    output_path: str = ""
    overflow_note: str = "all are in the DataFrame"

    @cached_property
    def totals(self) -> dict[Outcome | None, int]:
        """Outcome to number of rows, in the order of the closed set; None: rows that have none yet."""
        found = Counter(one for frame in self.frames.values() for one in _row_outcomes(frame))
        return {one: found[one] for one in (*Outcome, None) if found[one]}

    @property
    def summary(self) -> str:
        """How much is done, in a sentence."""
        total = sum(self.totals.values())
        done = sum(count for outcome, count in self.totals.items() if outcome in SUCCESS_OUTCOMES)
        return f"{done:,} of {total:,} row{' is' if total == 1 else 's are'} done."

    def __repr__(self) -> str:
        lines = (f"  {_outcome_help(one)[0]}: {_outcome_text(one)}" for one in self.totals)
        return "\n".join([self.summary, displays.chart_text(self.bars), *lines])

    def _repr_html_(self) -> str:
        """What a notebook shows: the chart, what the outcomes mean, and the rows, those that are not done first."""
        return displays.container(*self.overview_parts(), *self.row_tables())

    def to_rich_text(self, notes: Sequence[str]) -> displays.RichText:
        """What is shown at the end of a run, besides the frame that it returns.

        Args:
            notes: what has to be told besides.
        """
        where = [f"Results: {self.output_path}"] if self.output_path else []
        html = displays.container(
            *self.overview_parts(),
            displays.notices(notes),
            displays.bullet_list("", where),
        )
        return displays.RichText(html=html, text="\n".join([repr(self), *notes, *where]))

    @property
    def bars(self) -> list[displays.ChartBar]:
        """The bars of the chart."""
        return [
            displays.ChartBar(label=_outcome_help(one)[0], count=count, style=_outcome_style(one))
            for one, count in self.totals.items()
        ]

    def overview_parts(self) -> Iterator[Html]:
        """The display without the rows."""
        yield displays.heading(self.summary)
        yield displays.chart(self.bars)
        yield displays.legend([(bar, _outcome_text(one)) for bar, one in zip(self.bars, self.totals, strict=True)])

    def row_tables(self) -> Iterator[Html]:
        """The rows of each frame as a table."""
        rest = f"all are in the file `{self.output_path}`" if self.output_path else self.overflow_note
        return (_render_table(name, frame, rest) for name, frame in self.frames.items())


def view(results: object) -> ResultsView:
    """What `run` or `resume` gave, to be looked at.

    Args:
        results: a frame with the column `result_status`, or a dict of them.

    Raises:
        ConfigError: it is none.
    """
    given = results if isinstance(results, dict) else {"": results}
    frames = {str(name): _require_results(one) for name, one in given.items()}
    saved = next((str(one.attrs["output"]) for one in frames.values() if one.attrs.get("output")), "")
    return ResultsView(frames=frames, output_path=saved)


def _require_results(results: object) -> pd.DataFrame:
    if isinstance(results, pd.DataFrame) and "result_status" in _column_paths(results):
        return results
    msg = "These are no results: there is no column result_status. Give what ib.run or ib.resume returned."
    raise ConfigError(msg)


def _outcome_help(outcome: Outcome | None) -> tuple[str, str, str]:
    """The word for an outcome, what it means, and what to do."""
    return _NO_OUTCOME if outcome is None else (outcome.value, *OUTCOME_HELP[outcome])


def _outcome_text(outcome: Outcome | None) -> str:
    _, meaning, advice = _outcome_help(outcome)
    return meaning if outcome in SUCCESS_OUTCOMES else f"{meaning} {advice}"


def _outcome_style(outcome: Outcome | None) -> Style:
    return Style.PLAIN if outcome is None else OUTCOME_STYLES[outcome]


def _column_paths(frame: pd.DataFrame) -> list[str]:
    """The path of each column, whatever its spelling; empty: not known. All resources share those that matter here."""
    known = (PROMO_NUMBERS.column_for(str(header)) for header in frame.columns)
    return [one.path if one else "" for one in known]


def _row_outcomes(frame: pd.DataFrame) -> list[Outcome | None]:
    texts = frame.iloc[:, _column_paths(frame).index("result_status")]
    known = {text: parse_outcome(str(text)) for text in texts.unique()}
    return [known[text] for text in texts]


def _render_table(name: str, frame: pd.DataFrame, overflow_note: str) -> Html:
    outcomes, paths = _row_outcomes(frame), _column_paths(frame)
    order = sorted(range(len(frame)), key=lambda at: outcomes[at] in SUCCESS_OUTCOMES)[: displays.MAX_ROWS_SHOWN]
    columns = _shown_columns(paths)
    shown = frame.iloc[order, columns].fillna("").astype(str)
    rows = (
        _render_row(str(row), outcomes[at], dict(zip(columns, cells, strict=True)), paths)
        for at, row, cells in zip(order, shown.index, shown.itertuples(index=False, name=None), strict=True)
    )
    not_done = ", those that are not done first" if set(outcomes) - SUCCESS_OUTCOMES else ""
    return displays.table(
        ["row", *(str(frame.columns[at]) for at in columns)],
        rows,
        caption=f"{name} rows{not_done}".strip().capitalize(),
        total=len(frame),
        overflow_note=overflow_note,
    )


def _shown_columns(paths: Sequence[str]) -> list[int]:
    """The positions of the columns that are shown, in their order."""
    first = [paths.index(path) for path in _FIRST_COLUMNS if path in paths]
    return [*first, *(at for at, path in enumerate(paths) if at not in first and path not in _HIDDEN_COLUMNS)]


def _render_row(
    number: str, outcome: Outcome | None, cells: Mapping[int, str], paths: Sequence[str]
) -> list[str | Cell]:
    """A row; of one that is not done, its number is coloured like its outcome."""
    style = _outcome_style(outcome)
    styles = {"result_status": style, "result_error": Style.WRAP, "result_fix": Style.WRAP}
    first = number if outcome in SUCCESS_OUTCOMES else Cell(text=number, style=style)
    return [first, *(Cell(text=text, style=styles.get(paths[at], Style.PLAIN)) for at, text in cells.items())]
