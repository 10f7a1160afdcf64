"""A plan as people look at it: as frames, in a terminal, as a workbook with old and new side by side, as JSON."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import pandas as pd

from invoca_bulk.planning import REFUSED, UNCHANGED, SavedPlan
from invoca_bulk.reports import html, save
from invoca_bulk.reports.plan_file import write_saved_plan
from invoca_bulk.reports.results import format_time
from invoca_bulk.reports.validation_report import Report, render_issues
from invoca_bulk.reports.xlsx import Cell, Style, WorksheetSpec
from invoca_bulk.schema import PROMO_NUMBERS, REMOVE_ACTION, Action

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import FieldChange, PlanData, PlannedRow, Removal, Step
    from invoca_bulk.reports.html import Html
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.validation import ValidatedBook

    #: A row with its changes and removals.
    _RowChanges = tuple[PlannedRow, Sequence[FieldChange], Sequence[Removal]]

#: What a plan says of a row, in the order in which it is counted, to how it looks.
ACTION_STYLES: Mapping[str, Style] = {
    Action.CREATE: Style.OK,
    Action.UPDATE: Style.WARNING,
    Action.MOVE: Style.WARNING,
    Action.DELETE: Style.ERROR,
    REMOVE_ACTION: Style.ERROR,
    UNCHANGED: Style.MUTED,
    REFUSED: Style.ERROR,
}
_RowItem = TypeVar("_RowItem", "FieldChange", "Removal")
#: How a way to treat users and sites is told.
_NESTED_HELP = {
    "merge": "merge: users and sites that the sheet does not mention stay",
    "replace": "replace: an advertiser has the sheet's users and sites, and no others",
}
_ROW_COLUMNS = ("sheet", "row", "action", "object", "error", "fix")
_CHANGE_COLUMNS = ("sheet", "row", "action", "object", "part", "column", "old", "new")
_REMOVAL_COLUMNS = ("sheet", "row", "what", "of")
BLANK = "(blank)"
#: So many changes and refusals are shown in a terminal.
_MAX_TERMINAL_LINES = 20
_SUMMARY_WIDTHS = {0: 34.0, 1: 70.0}
#: The width of a column of sentences, in characters.
_REASON_WIDTH = 70.0
#: How many columns the plan's page has from the action on.
_DETAIL_COLUMN_COUNT = 8


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Plan:
    """What a run is going to do.

    Attributes:
        data: the plan itself, for the next stage.
        validated_book: the checked sheets that it was made from.
        network: the network that it was made for.
        options: how it was wanted.
        read_arguments: `sheet` and `resource`, as the sheet was read with.
        made_at: when it was made (UTC, ISO 8601).
    """

    data: PlanData
    validated_book: ValidatedBook
    network: Network
    options: Options
    read_arguments: Mapping[str, str | None] = field(default_factory=dict)
    made_at: str = field(default_factory=lambda: format_time(time.time()))

    # In pandas

    @cached_property
    def rows(self) -> pd.DataFrame:
        """A row each of the results (a `quantity` is written out): `sheet` (empty where one was read), `row` (int64),
        `action` (`create`, `update`, `move`, `delete`, `remove`, `unchanged`, `refused`), `object`, `error`, `fix`.
        """  # noqa: D205  the columns are the summary
        found = [
            (self.sheet_name(row.sheet), row.row, row.action, self.object_label(row), row.error, row.fix)
            for row in self.data.rows
        ]
        return _build_frame(found, _ROW_COLUMNS)

    @cached_property
    def changes(self) -> pd.DataFrame:
        """One row a field that changes: `sheet`, `row` (int64), `action`, `object`, `part` (the user or site), `column`
        (the sheet's title of it), `old`, `new` (as a cell would show them; empty: none), in the order of the rows.
        """  # noqa: D205  the columns are the summary
        found = [
            (
                self.sheet_name(row.sheet),
                row.row,
                row.action,
                self.object_label(row),
                one.part,
                one.column,
                one.old,
                one.new,
            )
            for row, changes, _ in self.iter_row_changes()
            for one in changes
        ]
        return _build_frame(found, _CHANGE_COLUMNS)

    @cached_property
    def removals(self) -> pd.DataFrame:
        """One row a user or site that is taken away: `sheet`, `row` (int64), `what`, `of` (the advertiser)."""
        found = [(self.sheet_name(one.sheet), one.row, one.part, one.advertiser) for one in self.data.removals]
        return _build_frame(found, _REMOVAL_COLUMNS)

    @property
    def issues(self) -> pd.DataFrame:
        """What is wrong, columns as in `Report.issues`: validation's, and what the platform's state speaks against."""
        return self.data.issues

    @property
    def ok(self) -> bool:
        """Whether nothing is refused."""
        return not (self.issues["level"] == "error").any()

    @property
    def counts(self) -> dict[str, int]:
        """Action to number of rows, in the order of the closed set, those without rows left out."""
        return {str(action): count for action in ACTION_STYLES if (count := self.data.action_counts[action])}

    @property
    def requests(self) -> int:
        """How many requests a run would send; an advertiser is also read again before it is written."""
        return len(self.data.steps)

    @property
    def new_numbers_by_campaign(self) -> dict[str, int]:
        """Campaign (`A-1 / C-1`, with an affiliate `A-1 / C-1 / F-1`) to how many numbers will be bought for it."""
        bought = (one for one in self.data.steps if (one.resource, one.action) == (PROMO_NUMBERS.name, Action.CREATE))
        return dict(Counter(map(_campaign_label, bought)))

    @property
    def summary(self) -> str:
        """What would be done, in a sentence."""
        rows = len(self.data.rows)
        told = ", ".join(f"{count:,} {action}" for action, count in self.counts.items()) or "nothing to do"
        return f"{rows:,} row{'' if rows == 1 else 's'}: {told}; {self.requests:,} request{_plural_s(self.requests)}."

    def exit_code(self, *, detailed: bool = False) -> int:
        """What the command line ends with.

        Args:
            detailed: 0 nothing to do, 1 a row is refused, 2 there is something to do; else 0, or 2 if one is refused.
        """
        if detailed:
            return 1 if not self.ok else 2 if self.requests else 0
        return 0 if self.ok else 2

    # In a terminal

    def lines(self) -> list[str]:
        """The counts, what cannot be undone, the first changes, what to look at, and what is refused."""
        told = (
            self._from_results_lines(),
            self._irreversible_lines(),
            self._change_lines(),
            self._warning_lines(),
            self._refused_lines(),
        )
        return [self.summary, *chain.from_iterable(told)]

    def _from_results_lines(self) -> list[str]:
        """Rows of an earlier run are left alone, which nobody would guess who has edited them since."""
        count = sum(row.from_results for row in self.data.rows)
        told = f"  {count:,} of the unchanged rows have an outcome of an earlier run and are left alone, even if"
        return [f"{told} they were edited since. To change more, edit an export."] if count else []

    def _irreversible_lines(self) -> list[str]:
        """What cannot be undone, each number, deletion and removal by its place or name."""
        if not (done := self.data.irreversible):
            return []
        numbers = [
            f"  {place}: {count:,} number{_plural_s(count)} to buy"
            for place, count in self.new_numbers_by_campaign.items()
        ]
        deleted = [f"  deletes {name}" for name in self.deleted_objects()]
        removed = [f"  {one.advertiser}: removes {one.part}" for one in self.data.removals]
        return [f"Cannot be undone: {', '.join(done)}.", *numbers, *deleted, *removed]

    def deleted_objects(self) -> list[str]:
        """The objects that are deleted, each once."""
        return list(dict.fromkeys(self.object_label(row) for row in self.data.rows if row.action == Action.DELETE))

    def _change_lines(self) -> list[str]:
        """The first changes; a new object's fields are no changes, and fill the workbook only."""
        found = [
            (row, one) for row, changes, _ in self.iter_row_changes() if row.action != Action.CREATE for one in changes
        ]
        shown = [
            f"  {self._row_label(row)}, {one.column} ({one.part or row.object_label}): "
            f"{one.old or BLANK} -> {one.new or BLANK}"
            for row, one in found[:_MAX_TERMINAL_LINES]
        ]
        more = [f"  … and {len(found) - _MAX_TERMINAL_LINES:,} more"] if len(found) > _MAX_TERMINAL_LINES else []
        return ["Changes:", *shown, *more] if found else []

    def _warning_lines(self) -> list[str]:
        """The first warnings; those that only the platform's state gives before those of the cells."""
        of_cells = self.issues["code"].isin(self.validated_book.issues["code"])
        issues = self.issues.loc[of_cells.sort_values(kind="stable").index]
        lines = Report(replace(self.validated_book, issues=issues)).issue_lines(_MAX_TERMINAL_LINES, "warning")
        return ["Warnings:", *lines] if lines else []

    def _refused_lines(self) -> list[str]:
        report = Report(replace(self.validated_book, issues=self.issues))
        losses = bool((report.errors["code"] == "would_be_removed").any())  # who would be lost is told of everybody
        lines = report.issue_lines(len(report.errors) if losses else _MAX_TERMINAL_LINES)
        return ["Refused:", *lines] if lines else []

    def __repr__(self) -> str:
        return f"<{self.summary} See .rows and .changes>"

    # In a notebook

    def _repr_html_(self) -> str:
        """What a notebook shows: what cannot be undone, what is refused, and old and new side by side."""
        return html.container(*self.html_parts())

    def html_parts(self, overflow_note: str = 'all are in the workbook: `plan.save("plan.xlsx")`') -> Iterator[Html]:
        """The parts of it.

        Args:
            overflow_note: where all lines are, if not all can be shown, as `displays.table` takes it.
        """
        yield html.heading(self.summary)
        yield html.badges(self.counts, ACTION_STYLES)
        yield html.bullet_list("", [line.strip() for line in self._from_results_lines()])
        if dangers := self._irreversible_lines():
            yield html.bullet_list(
                dangers[0], [line.strip() for line in dangers[1:]], Style.WARNING, overflow_note=overflow_note
            )
        yield from render_issues(Report(replace(self.validated_book, issues=self.issues)), overflow_note=overflow_note)
        yield _render_changes(self, overflow_note)

    # In a file

    def save(self, path: str | Path) -> Path:
        """Write the plan: `.xlsx` with old and new side by side, coloured, and a summary; or `.csv` without it.

        A file that is there already is replaced, but never the sheet that was planned.

        Raises:
            OutputError: it cannot be written there, or has more lines than an `.xlsx` holds.
        """
        inputs = [one.sheet.path for one in self.validated_book.sheets if one.sheet.path]
        return save.save_worksheets(path, partial(build_worksheets, self), protected_paths=inputs)

    def keep(self, path: str | Path) -> Path:
        """Keep the plan in a `.json` file, to be run later: `ib.run("plan.json", network)`.

        A file that is there already is left alone. The token is not in it, the sheet is.

        Returns:
            The file that was written: the path, or with `-2`, `-3` and so on the first one that is free.

        Raises:
            OutputError: it cannot be written there.
        """
        return write_saved_plan(self.saved_plan, path)

    @property
    def saved_plan(self) -> SavedPlan:
        """The plan as it is kept."""
        return SavedPlan(
            base_url=self.network.base_url,
            network_id=self.network.network_id,
            api_version=self.network.api_version,
            choices=self.options.choices,
            read_arguments={"sheet": None, "resource": None} | dict(self.read_arguments),
            source=self.data.source,
            path=self.validated_book.sheets[0].sheet.path,
            made_at=self.made_at,
            sheets=tuple(one.sheet for one in self.validated_book.sheets),
            rows=self.data.rows,
            steps=self.data.steps,
        )

    def to_json(self, *, detailed: bool = False) -> dict[str, Json]:
        """The plan for programs.

        Args:
            detailed: as for `exit_code`.

        Returns:
            `counts` (action to number of rows), `requests`, `new_numbers`, `irreversible` (texts), `removals`, `rows`
            (each with its `changes`), `issues` (`row` null: the header or the sheet), `exit_code`.
        """
        return {
            "counts": self.counts,
            "requests": self.requests,
            "new_numbers": self.data.new_number_count,
            "irreversible": self.data.irreversible,
            "removals": json_records(self.removals),
            "rows": [self._row_to_json(row, changes) for row, changes, _ in self.iter_row_changes()],
            "issues": json_records(self.issues),
            "exit_code": self.exit_code(detailed=detailed),
        }

    def _row_to_json(self, row: PlannedRow, changes: Sequence[FieldChange]) -> dict[str, Json]:
        told = (self.sheet_name(row.sheet), row.row, row.action, self.object_label(row), row.error, row.fix)
        fields = [{name: getattr(one, name) for name in ("part", "column", "old", "new")} for one in changes]
        return {**dict(zip(_ROW_COLUMNS, told, strict=True)), "changes": fields}

    # Rows and what belongs to them

    def iter_row_changes(self) -> Iterator[tuple[PlannedRow, list[FieldChange], list[Removal]]]:
        """Each row with its changes and removals; of the rows of a `quantity`, all alike, the first has them."""
        changes, removals = _group_by_row(self.data.changes), _group_by_row(self.data.removals)
        for row in self.data.rows:
            yield row, changes.pop((row.sheet, row.row), []), removals.pop((row.sheet, row.row), [])

    def sheet_name(self, number: int) -> str:
        """The name of a sheet; empty where one was read."""
        return self.data.sheets[number].name

    def _row_label(self, row: PlannedRow) -> str:
        return f"{self.sheet_name(row.sheet)} row {row.row}".strip()

    def object_label(self, row: PlannedRow) -> str:
        """The object as people call it; of a number that is to be bought, where it goes."""
        step = None if row.step is None else self.data.steps[row.step]
        return row.object_label or (_campaign_label(step) if step and step.resource == PROMO_NUMBERS.name else "")


def _build_frame(records: Sequence[tuple[object, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame of texts, with the number of the row as an integer."""
    kinds = {name: "int64" if name == "row" else "str" for name in columns}
    return pd.DataFrame(records, columns=list(columns)).astype(kinds)


def json_records(frame: pd.DataFrame) -> list[dict[str, Json]]:
    """A frame's rows as JSON objects; a row number that is missing is null."""
    # Not by `to_json`, which fails at half of a surrogate pair.
    cells = {str(name): list(frame[name]) for name in frame.columns}
    cells["row"] = [None if row is pd.NA else int(row) for row in cells["row"]]
    return [dict(zip(cells, one, strict=True)) for one in zip(*cells.values(), strict=True)]


def _group_by_row(found: Sequence[_RowItem]) -> dict[tuple[int, int], list[_RowItem]]:
    groups: dict[tuple[int, int], list[_RowItem]] = {}
    for one in found:
        groups.setdefault((one.sheet, one.row), []).append(one)
    return groups


def _campaign_label(step: Step) -> str:
    """The ids of the campaign that a number is in: every second part of the address above the collection."""
    return " / ".join(step.path[1:-1:2])


def _plural_s(count: int) -> str:
    return "" if count == 1 else "s"


# The workbook


def build_worksheets(plan: Plan) -> list[WorksheetSpec]:
    """The worksheets of the plan, made anew at each call: a line a change, and a summary."""
    several, header = _worksheet_header(plan)
    widths = {} if plan.ok else {len(header) - 2: _REASON_WIDTH, len(header) - 1: _REASON_WIDTH}
    return [
        WorksheetSpec(
            name="plan",
            header=header,
            rows=_worksheet_rows(plan, plan.iter_row_changes(), several=several),
            widths=widths,
        ),
        WorksheetSpec(
            name="summary", header=["summary", ""], rows=_summary_rows(plan), is_table=False, widths=_SUMMARY_WIDTHS
        ),
    ]


def _worksheet_header(plan: Plan) -> tuple[bool, list[str]]:
    """Whether there are several sheets, and the titles of the plan's columns."""
    several = len(plan.data.sheets) > 1
    where = ["sheet", "row"] if several else ["row"]
    return several, [*where, "action", "object", "part", "column", "old", "new", "reason", "fix"]


def _worksheet_rows(plan: Plan, rows: Iterable[_RowChanges], *, several: bool) -> Iterator[Sequence[str | Cell]]:
    for row, changes, removals in rows:
        place = [*([plan.sheet_name(row.sheet)] if several else []), str(row.row)]
        for one in _row_lines(row, plan.object_label(row), changes, removals):
            yield [*place, *one, *[""] * (_DETAIL_COLUMN_COUNT - len(one))]


def _row_lines(
    row: PlannedRow, name: str, changes: Sequence[FieldChange], removals: Sequence[Removal]
) -> Iterator[Sequence[str | Cell]]:
    """The lines of a row, from the action on: one a change, or a single one."""
    action = Cell(text=row.action, style=ACTION_STYLES[row.action])
    for one in changes:
        yield [action, name, one.part, one.column, *_old_and_new_cells(one, is_new=row.action == Action.CREATE)]
    for gone in removals:
        yield [Cell(text=REMOVE_ACTION, style=Style.ERROR), name, Cell(text=gone.part, style=Style.ERROR)]
    if row.action == REFUSED:
        yield [action, name, "", "", "", "", *(Cell(text=one, style=Style.ERROR) for one in (row.error, row.fix))]
    elif not changes and not removals:
        carried = f"an earlier run: {row.outcome}" if row.from_results and row.outcome else ""
        style = Style.MUTED if row.action == UNCHANGED else Style.PLAIN
        yield [action, *(Cell(text=text, style=style) for text in (name, "", "", "", "", carried))]


def _old_and_new_cells(one: FieldChange, *, is_new: bool) -> list[str | Cell]:
    """Old and new; what is new had nothing before."""
    return ["" if is_new else _value_cell(one.old, Style.ERROR), _value_cell(one.new, Style.OK)]


def _value_cell(text: str, style: Style) -> Cell:
    return Cell(text=text, style=style) if text else Cell(text=BLANK, style=Style.MUTED)


def _summary_rows(plan: Plan) -> Iterator[Sequence[str | Cell]]:
    network, choices = plan.network, plan.options.choices
    yield ["file", plan.data.source or "a DataFrame"]
    yield ["network", f"{network.network_id} at {network.base_url}"]
    yield ["API version", network.api_version]
    yield ["made (UTC)", plan.made_at]
    yield ["users and sites", _NESTED_HELP[choices.nested]]
    yield ["removals allowed", "yes" if choices.allow_removals else "no"]
    yield ["ids given by the network", "yes" if choices.auto_ids else "no"]
    yield from _section_rows("rows", plan.counts, styles=ACTION_STYLES)
    yield ["requests", f"{plan.requests:,}"]
    if done := plan.data.irreversible:
        yield []
        yield [Cell(text="cannot be undone", style=Style.BOLD)]
        yield from ([Cell(text=one, style=Style.ERROR)] for one in done)
    yield from _section_rows("numbers to buy for", plan.new_numbers_by_campaign)
    deleted = [[name, "deleted"] for name in plan.deleted_objects()]
    removed = [[one.part, f"removed from {one.advertiser}"] for one in plan.data.removals]
    if gone := [*deleted, *removed]:
        yield []
        yield [Cell(text="deleted or removed", style=Style.BOLD)]
        yield from gone


def _section_rows(
    title: str, counts: Mapping[str, int], styles: Mapping[str, Style] | None = None
) -> Iterator[Sequence[str | Cell]]:
    if counts:
        yield []
        yield [Cell(text=title, style=Style.BOLD)]
    for name, count in counts.items():
        yield [Cell(text=name, style=(styles or {}).get(name, Style.PLAIN)), f"{count:,}"]


# In a notebook

#: What is looked at first when not all can be shown; what is refused stands with its reason above.
_ACTIONS_BY_SEVERITY = (Action.DELETE, REMOVE_ACTION, Action.MOVE, Action.UPDATE, Action.CREATE)


def _render_changes(plan: Plan, overflow_note: str) -> Html:
    """Old and new side by side; a new object has one line, and what stays as it is has none."""
    rank = {action: at for at, action in enumerate(_ACTIONS_BY_SEVERITY)}
    rows = sorted(
        (one for one in plan.iter_row_changes() if one[0].action in rank), key=lambda one: rank[one[0].action]
    )
    whole = (_collapse_changes(*one) if one[0].action == Action.CREATE else one for one in rows)
    several, header = _worksheet_header(plan)
    total = sum(_row_line_count(*one) for one in rows)
    lines = _worksheet_rows(plan, whole, several=several)
    return html.table(header, lines, caption="What would be done", total=total, overflow_note=overflow_note)


def _row_line_count(row: PlannedRow, changes: Sequence[FieldChange], removals: Sequence[Removal]) -> int:
    """How many lines `_row_lines` makes of a row, where a new object has one."""
    return 1 if row.action == Action.CREATE else len(changes) + len(removals) or 1


def _collapse_changes(row: PlannedRow, changes: Sequence[FieldChange], removals: Sequence[Removal]) -> _RowChanges:
    """A new object's fields as one change."""
    if not changes:
        return row, changes, removals
    fields = (f"{one.part} {one.column}: {one.new}".strip() for one in changes)
    return row, [replace(changes[0], part="", column="", new="; ".join(fields))], removals
