"""The plan of an undo as people look at it: any plan, and what of the run it leaves as it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.reports import html, plan_report, save
from invoca_bulk.reports.plan_report import Preview
from invoca_bulk.reports.xlsx import Cell, Page, Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from invoca_bulk.reports.html import Html
    from invoca_bulk.schema.field_types import Json

#: Stands before the run's id as the name of the sheet that an undo makes.
_SOURCE = "undo of "
_COLUMNS = ("sheet", "row", "action", "object", "error", "fix")
#: So many of what is not taken back are shown in a terminal.
_SHOWN = 20
_SENTENCES = 90.0


def source_of(run: str) -> str:
    """The name of the sheet that undoes a run, for the lists of runs and the results."""
    return f"{_SOURCE}{run}"


def run_undone(source: str) -> str:
    """The run that a sheet with this name undoes; empty: it undoes none."""
    return source.removeprefix(_SOURCE) if source.startswith(_SOURCE) else ""


@dataclass(frozen=True, kw_only=True)
class NotUndone:
    """Something that the run has done, or may have, and that stays.

    Attributes:
        step: the number of its step in the run.
        sheet: the sheet of its first row in the run; empty where one was read.
        row: the number of that row.
        action: what the run did: `create`, `update`, `move` or `delete`.
        about: the object; empty when it is not known.
        error: why it stays.
        fix: what to do about it.
    """

    step: int
    sheet: str
    row: int
    action: str
    about: str
    error: str
    fix: str

    @property
    def place(self) -> str:
        """The row as the analyst sees it."""
        return f"{self.sheet} row {self.row}".strip()


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Undo(Preview):
    """What takes a run back; `ib.run` does it. An object goes back whole or stays, and what stays is told.

    Attributes:
        run: the run's id.
        stays: what is not taken back.
        notes: sentences on what no undo brings back, and on what there is nothing to do about.
    """

    run: str
    stays: tuple[NotUndone, ...]
    notes: tuple[str, ...]

    @property
    def not_undone(self) -> pd.DataFrame:
        """What of the run stays, a row each object: `sheet`, `row` (int64) and `action` are those of the run; `object`,
        `error`, `fix`.
        """  # noqa: D205  the columns are the summary
        records = [(one.sheet, one.row, one.action, one.about, one.error, one.fix) for one in self.stays]
        kinds = {name: "int64" if name == "row" else "str" for name in _COLUMNS}
        return pd.DataFrame(records, columns=list(_COLUMNS)).astype(kinds)

    @property
    def ok(self) -> bool:
        """Whether all that the run has done is taken back."""
        return super().ok and not self.stays

    @property
    def summary(self) -> str:
        """What would be done, in a sentence."""
        stays = f" {len(self.stays):,} not undone." if self.stays else ""
        return f"Undo of run {self.run}: {super().summary}{stays}"

    def lines(self) -> list[str]:
        """The lines of any plan, what no undo brings back, and what is not undone, by its row in the run."""
        shown = [
            f"  {one.place}, {one.action} {one.about}".rstrip() + f": {one.error} {one.fix}"
            for one in self.stays[:_SHOWN]
        ]
        more = [f"  … and {len(self.stays) - _SHOWN:,} more"] if len(self.stays) > _SHOWN else []
        return [*super().lines(), *self.notes, *(["Not undone:", *shown, *more] if shown else [])]

    def html(self, rest: str = 'all are in the workbook: `plan.save("undo.xlsx")`') -> Iterator[Html]:
        """The parts of any plan's display, what no undo brings back, and what stays as it is."""
        yield from super().html(rest)
        yield html.sentences("What no undo brings back", self.notes, Style.WARNING)
        page = _stays_page(self)
        caption = "Not undone (the rows are those of the run)"
        yield html.table(page.header, page.rows, caption=caption, total=len(self.stays), rest=rest)

    def save(self, path: str | Path) -> Path:
        """Write the plan as any other; `.xlsx` has a page more: what is not undone. A file that is there is replaced.

        Raises:
            OutputUnwritable: it cannot be written there, or has more lines than an `.xlsx` holds.
        """
        return save.save(path, partial(_pages, self))

    def to_json(self, *, detailed: bool = False) -> dict[str, Json]:
        """The plan for programs: as any other, with `run`, `not_undone` and `notes`."""
        told = {"run": self.run, "not_undone": plan_report.json_records(self.not_undone), "notes": list(self.notes)}
        return told | super().to_json(detailed=detailed)


def _pages(undo: Undo) -> list[Page]:
    page = _stays_page(undo)
    page = replace(page, rows=chain(page.rows, (["", "", "", "", note, ""] for note in undo.notes)))
    return [*plan_report.pages(undo), *([page] if undo.stays or undo.notes else [])]


def _stays_page(undo: Undo) -> Page:
    header = ["sheet", "row", "action", "object", "reason", "fix"]
    return Page(name="not undone", header=header, rows=_lines(undo), widths={4: _SENTENCES, 5: _SENTENCES})


def _lines(undo: Undo) -> Iterator[Sequence[str | Cell]]:
    for one in undo.stays:
        reason = Cell(text=one.error, style=Style.ERROR)
        yield [one.sheet, str(one.row), Cell(text=one.action, style=Style.ERROR), one.about, reason, one.fix]
