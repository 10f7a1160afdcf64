"""The plan of an undo as people look at it: any plan, and what of the run it leaves as it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from invoca_bulk.reports import html, plan_report
from invoca_bulk.reports.html import Html
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.xlsx import Cell, Style, WorksheetSpec
from invoca_bulk.schema.field_types import Json
from invoca_bulk.sheets.row_labels import Naming, format_label
from invoca_bulk.wording import limit_lines

if TYPE_CHECKING:
    import pandas as pd

_SENTENCE_COLUMN_WIDTH = 90.0


@dataclass(frozen=True, kw_only=True)
class NotUndone:
    """Something that the run did, or may have done, and that is not undone."""

    sheet: str  # of its first row in the run; empty if only one was read
    row: Any  # its number, or its label in the DataFrame that was run
    naming: Naming
    action: str  # the action of the run
    object_label: str  # empty if it is not known
    error: str
    fix: str

    @property
    def row_label(self) -> str:
        """The row's sheet and number, such as `users row 3`."""
        return f"{self.sheet} {self.naming} {format_label(self.row)}".strip()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Undo(Plan):
    """What takes a run back; `ib.run` does it. Each object is restored completely or not at all.

    Attributes:
        run: the run's id.
        not_undone_items: what is not undone.
        notes: sentences on what an undo cannot restore, and on what needs no undo.
    """

    run: str
    not_undone_items: tuple[NotUndone, ...]
    notes: tuple[str, ...]

    @property
    def not_undone(self) -> pd.DataFrame:
        """One row for each object that is not undone: `sheet`, `row` (as in `rows`) and `action` of the run, `object`,
        `error`, `fix`.
        """  # noqa: D205  the columns are the summary
        records = [
            (item.sheet, item.row, item.action, item.object_label, item.error, item.fix)
            for item in self.not_undone_items
        ]
        return plan_report.build_frame(records, plan_report.ROW_COLUMNS)

    @property
    def ok(self) -> bool:
        """Whether everything that the run did is undone."""
        return super().ok and not self.not_undone_items

    @property
    def summary(self) -> str:
        """What would be done, in a sentence."""
        not_undone = f" {len(self.not_undone_items):,} not undone." if self.not_undone_items else ""
        return f"Undo of run {self.run}: {super().summary}{not_undone}"

    def lines(self) -> list[str]:
        """The lines of any plan, the notes, and what is not undone, by row of the run."""
        lines = [
            f"  {item.row_label}, {item.action} {item.object_label}".rstrip() + f": {item.error} {item.fix}"
            for item in self.not_undone_items
        ]
        not_undone = ["Not undone:", *limit_lines(lines, plan_report.MAX_TERMINAL_LINES)] if lines else []
        return [*super().lines(), *self.notes, *not_undone]

    def html_parts(
        self, overflow_note: str = 'all are in the workbook: `plan.to_excel("undo.xlsx")`'
    ) -> Iterator[Html]:
        """The parts of any plan's display, the notes, and what is not undone."""
        yield from super().html_parts(overflow_note)
        yield html.bullet_list("Not restored by the undo", self.notes, Style.WARNING)
        worksheet = _not_undone_worksheet(self)
        yield html.table(
            worksheet.header,
            worksheet.rows,
            caption="Not undone (row numbers of the run)",
            total=len(self.not_undone_items),
            overflow_note=overflow_note,
        )

    def build_worksheets(self) -> list[WorksheetSpec]:
        """The worksheets of any plan, and one with what is not undone and the notes."""
        spec = _not_undone_worksheet(self)
        spec = replace(spec, rows=chain(spec.rows, (["", "", "", "", note, ""] for note in self.notes)))
        return [*super().build_worksheets(), *([spec] if self.not_undone_items or self.notes else [])]

    def to_json(self, *, detailed: bool = False) -> dict[str, Json]:
        """The plan for programs: like any other, with `run`, `not_undone` and `notes`."""
        undo = {"run": self.run, "not_undone": plan_report.json_records(self.not_undone), "notes": list(self.notes)}
        return undo | super().to_json(detailed=detailed)


def _not_undone_worksheet(undo: Undo) -> WorksheetSpec:
    rows: list[list[str | Cell]] = []
    for item in undo.not_undone_items:
        action, reason = (Cell(text=text, style=Style.ERROR) for text in (item.action, item.error))
        rows.append([item.sheet, str(format_label(item.row)), action, item.object_label, reason, item.fix])
    header = ["sheet", "row", "action", "object", "reason", "fix"]
    widths = {4: _SENTENCE_COLUMN_WIDTH, 5: _SENTENCE_COLUMN_WIDTH}
    return WorksheetSpec(name="not undone", header=header, rows=rows, widths=widths)
