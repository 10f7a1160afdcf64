"""The plan of an undo as people look at it: any plan, and what of the run it leaves as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from invoca_bulk.reports import html, plan_report
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.xlsx import Cell, Style, WorksheetSpec
from invoca_bulk.schema.wording import limit_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd

    from invoca_bulk.reports.html import Html
    from invoca_bulk.schema.field_types import Json

#: Stands before the run's id as the name of the sheet that an undo makes.
_SOURCE_PREFIX = "undo of "
_SENTENCE_COLUMN_WIDTH = 90.0


def undo_source_name(run: str) -> str:
    """The name of the sheet that undoes a run, for the lists of runs and the results."""
    return f"{_SOURCE_PREFIX}{run}"


def undone_run_id(source: str) -> str:
    """The run that a sheet with this name undoes; empty: it undoes none."""
    return source.removeprefix(_SOURCE_PREFIX) if source.startswith(_SOURCE_PREFIX) else ""


@dataclass(frozen=True, kw_only=True)
class NotUndone:
    """Something that the run has done, or may have, and that stays.

    Attributes:
        step: the number of its step in the run.
        sheet: the sheet of its first row in the run; empty where one was read.
        row: the number of that row.
        action: what the run did: `create`, `update`, `move` or `delete`.
        object_label: the object; empty when it is not known.
        error: why it stays.
        fix: what to do about it.
    """

    step: int
    sheet: str
    row: int
    action: str
    object_label: str
    error: str
    fix: str

    @property
    def row_label(self) -> str:
        """The row as the analyst sees it."""
        return f"{self.sheet} row {self.row}".strip()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Undo(Plan):
    """What takes a run back; `ib.run` does it. An object goes back whole or stays, and what stays is told.

    Attributes:
        run: the run's id.
        not_undone_items: what is not taken back.
        notes: sentences on what no undo brings back, and on what there is nothing to do about.
    """

    run: str
    not_undone_items: tuple[NotUndone, ...]
    notes: tuple[str, ...]

    @property
    def not_undone(self) -> pd.DataFrame:
        """What of the run stays, a row each object: `sheet`, `row` (int64) and `action` are those of the run; `object`,
        `error`, `fix`.
        """  # noqa: D205  the columns are the summary
        records = [
            (one.sheet, one.row, one.action, one.object_label, one.error, one.fix) for one in self.not_undone_items
        ]
        return plan_report.build_frame(records, plan_report.ROW_COLUMNS)

    @property
    def ok(self) -> bool:
        """Whether all that the run has done is taken back."""
        return super().ok and not self.not_undone_items

    @property
    def summary(self) -> str:
        """What would be done, in a sentence."""
        stays = f" {len(self.not_undone_items):,} not undone." if self.not_undone_items else ""
        return f"Undo of run {self.run}: {super().summary}{stays}"

    def lines(self) -> list[str]:
        """The lines of any plan, what no undo brings back, and what is not undone, by its row in the run."""
        lines = [
            f"  {one.row_label}, {one.action} {one.object_label}".rstrip() + f": {one.error} {one.fix}"
            for one in self.not_undone_items
        ]
        not_undone = ["Not undone:", *limit_lines(lines, plan_report.MAX_TERMINAL_LINES)] if lines else []
        return [*super().lines(), *self.notes, *not_undone]

    def html_parts(self, overflow_note: str = 'all are in the workbook: `plan.save("undo.xlsx")`') -> Iterator[Html]:
        """The parts of any plan's display, what no undo brings back, and what stays as it is."""
        yield from super().html_parts(overflow_note)
        yield html.bullet_list("What no undo brings back", self.notes, Style.WARNING)
        page = _not_undone_worksheet(self)
        caption = "Not undone (the rows are those of the run)"
        yield html.table(
            page.header, page.rows, caption=caption, total=len(self.not_undone_items), overflow_note=overflow_note
        )

    def build_worksheets(self) -> list[WorksheetSpec]:
        """The worksheets of any plan, and one with what is not undone and the notes."""
        spec = _not_undone_worksheet(self)
        spec = replace(spec, rows=chain(spec.rows, (["", "", "", "", note, ""] for note in self.notes)))
        return [*super().build_worksheets(), *([spec] if self.not_undone_items or self.notes else [])]

    def to_json(self, *, detailed: bool = False) -> dict[str, Json]:
        """The plan for programs: as any other, with `run`, `not_undone` and `notes`."""
        told = {"run": self.run, "not_undone": plan_report.json_records(self.not_undone), "notes": list(self.notes)}
        return told | super().to_json(detailed=detailed)


def _not_undone_worksheet(undo: Undo) -> WorksheetSpec:
    header = ["sheet", "row", "action", "object", "reason", "fix"]
    return WorksheetSpec(
        name="not undone",
        header=header,
        rows=_not_undone_rows(undo),
        widths={4: _SENTENCE_COLUMN_WIDTH, 5: _SENTENCE_COLUMN_WIDTH},
    )


def _not_undone_rows(undo: Undo) -> Iterator[Sequence[str | Cell]]:
    for one in undo.not_undone_items:
        reason = Cell(text=one.error, style=Style.ERROR)
        yield [one.sheet, str(one.row), Cell(text=one.action, style=Style.ERROR), one.object_label, reason, one.fix]
