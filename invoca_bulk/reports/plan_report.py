"""A plan for people: as DataFrames, in a terminal, in a notebook, as a workbook with old and new values, as JSON."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from invoca_bulk.config.network import Network, network_address
from invoca_bulk.config.options import Options
from invoca_bulk.exit_codes import ALL_DONE, NOTHING_SENT, PLAN_HAS_CHANGES, PLAN_HAS_ERRORS
from invoca_bulk.planning import REFUSED, UNCHANGED, FieldChange, PlanData, PlannedRow, Removal, SavedPlan, Step
from invoca_bulk.reports import html, save
from invoca_bulk.reports.html import Html
from invoca_bulk.reports.plan_file import write_saved_plan
from invoca_bulk.reports.results import format_time
from invoca_bulk.reports.validation_report import Report, all_integers, label_rows, render_issues, word_issues
from invoca_bulk.reports.xlsx import BLANK, Cell, Style, WorksheetSpec
from invoca_bulk.schema import PROMO_NUMBERS, REMOVE_ACTION, Action
from invoca_bulk.schema.field_types import Json
from invoca_bulk.sheets.row_labels import RowLabels, to_stored_label
from invoca_bulk.validation import ValidatedBook
from invoca_bulk.wording import count_of, limit_lines, plural_of, word

if TYPE_CHECKING:
    _RowChanges = tuple[PlannedRow, Sequence[FieldChange], Sequence[Removal]]

#: Action of a row to its style, in the order of the counts.
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
#: Mode for users and sites to its description.
_NESTED_HELP = {
    "merge": "merge: keeps users and sites that the sheet does not mention",
    "replace": "replace: removes users and sites that the sheet does not mention",
}
ROW_COLUMNS = ("sheet", "row", "action", "object", "error", "fix")
_CHANGE_COLUMNS = ("sheet", "row", "action", "object", "part", "column", "old", "new")
_REMOVAL_COLUMNS = ("sheet", "row", "what", "of")
#: Maximum number of changes, warnings and refused rows shown in a terminal.
MAX_TERMINAL_LINES = 20
_SUMMARY_WIDTHS = {0: 34.0, 1: 70.0}
_REASON_WIDTH = 70.0  # in characters
#: Number of columns of the plan's worksheet from `action` on.
_DETAIL_COLUMN_COUNT = 8


@dataclass(frozen=True, kw_only=True, repr=False, eq=False)
class Plan:
    """What a run will do.

    Attributes:
        data: the plan itself, for the next stage.
        validated_book: the validated sheets that are planned.
        network: the network that is planned for.
        options: the options of the plan.
        read_arguments: the arguments `sheet`, `resource` and `encoding` that the sheet was read with.
        made_at: when the plan was made (UTC, ISO 8601).
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
        """One row for each row of the results (a `quantity` is expanded): `sheet` (empty if there is only one), `row`,
        `action` (`create`, `update`, `move`, `delete`, `remove`, `unchanged`, `refused`), `object`, `error`, `fix`.

        `row` is the spreadsheet's row number (int64), or the label in the index of your own DataFrame (int64 for whole
        numbers, else object). The index has the same labels, so that a column fits the sheet, if there is only one.
        """  # noqa: D205  the columns are the summary
        frame = build_frame([self._row_values(row) for row in self.data.rows], ROW_COLUMNS)
        return frame if len(self.data.sheets) > 1 else frame.set_axis(self._rows_index(), axis="index")

    def _rows_index(self) -> pd.Index:
        """The index of `rows`; a name that is also a column's would be ambiguous."""
        index = self._labels(0).select([row.row for row in self.data.rows])
        return index.set_names([None if name in ROW_COLUMNS else name for name in index.names])

    @cached_property
    def changes(self) -> pd.DataFrame:
        """One row for each field that changes: `sheet`, `row` (as in `rows`), `action`, `object`, `part` (the user or
        site), `column` (its title in the sheet), `old`, `new` (cell texts; empty: no value), in the sheet's order.
        """  # noqa: D205  the columns are the summary
        records = [
            (*self._row_values(row)[:4], change.part, change.column, change.old, change.new)
            for row, changes, _ in self.iter_row_changes()
            for change in changes
        ]
        return build_frame(records, _CHANGE_COLUMNS)

    @cached_property
    def removals(self) -> pd.DataFrame:
        """One row for each user or site to remove: `sheet`, `row` (as in `rows`), `what`, `of` (the advertiser)."""
        records = [
            (
                self.sheet_name(removal.sheet),
                self._labels(removal.sheet).label(removal.row),
                removal.part,
                removal.advertiser,
            )
            for removal in self.data.removals
        ]
        return build_frame(records, _REMOVAL_COLUMNS)

    @cached_property
    def numbered_issues(self) -> pd.DataFrame:
        """The issues with the rows as `Sheet` numbers them; columns as in `issues`."""
        return word_issues(self.data.issues)

    @cached_property
    def issues(self) -> pd.DataFrame:
        """The issues of validation and of planning, in the columns of `Report.issues`."""
        return label_rows(self.numbered_issues, self.validated_book)

    @property
    def ok(self) -> bool:
        """Whether no row is refused."""
        return not (self.issues["level"] == "error").any()

    @property
    def counts(self) -> dict[str, int]:
        """Action to number of rows, in a fixed order; actions without rows are omitted."""
        return {str(action): count for action in ACTION_STYLES if (count := self.data.action_counts[action])}

    @property
    def requests(self) -> int:
        """Number of requests that a run sends, not counting that it reads each advertiser before updating it."""
        return len(self.data.steps)

    @property
    def new_numbers_by_campaign(self) -> dict[str, int]:
        """Campaign (`A-1 / C-1`, with an affiliate `A-1 / C-1 / F-1`) to number of promo numbers to buy."""
        purchases = (
            step for step in self.data.steps if (step.resource, step.action) == (PROMO_NUMBERS.name, Action.CREATE)
        )
        return dict(Counter(map(_campaign_label, purchases)))

    @property
    def summary(self) -> str:
        """The counts in one sentence."""
        counts = ", ".join(f"{count:,} {action}" for action, count in self.counts.items()) or "nothing to do"
        return f"{count_of(len(self.data.rows), 'row')}: {counts}; {count_of(self.requests, 'request')}."

    def exit_code(self, *, detailed: bool = False) -> int:
        """The exit code of the command line: 0, or 2 if a row is refused.

        Args:
            detailed: return 0 if there is nothing to do, 1 if a row is refused, 2 if there is something to do.
        """
        if detailed:
            return PLAN_HAS_ERRORS if not self.ok else PLAN_HAS_CHANGES if self.requests else ALL_DONE
        return ALL_DONE if self.ok else NOTHING_SENT

    # In a terminal

    def lines(self) -> list[str]:
        """The counts, what cannot be undone, the first changes, the first warnings, and the refused rows."""
        found = [*self._from_results_lines(), *self._irreversible_lines(), *self._change_lines()]
        return [self.summary, *found, *self._warning_lines(), *self._refused_lines()]

    def _from_results_lines(self) -> list[str]:
        """A note on rows that are skipped as done; issues tell what has been edited since."""
        count = sum(row.from_results for row in self.data.rows)
        verbs = plural_of(count, "has", "have"), plural_of(count, "is", "are")
        text = "  {:,} of the unchanged rows {} an outcome of an earlier run and {} skipped.".format(count, *verbs)
        return [text] if count else []

    def _irreversible_lines(self) -> list[str]:
        """What cannot be undone: numbers to buy by campaign, deletions and removals by name."""
        if not (actions := self.data.irreversible):
            return []
        numbers = [
            f"  {campaign}: {count_of(count, 'number')} to buy"
            for campaign, count in self.new_numbers_by_campaign.items()
        ]
        deletions = [f"  deletes {name}" for name in self.deleted_objects()]
        removals = [f"  {removal.advertiser}: removes {removal.part}" for removal in self.data.removals]
        return [f"Cannot be undone: {', '.join(actions)}.", *numbers, *deletions, *removals]

    def deleted_objects(self) -> list[str]:
        """The labels of the objects to delete, without duplicates."""
        return list(dict.fromkeys(self.object_label(row) for row in self.data.rows if row.action == Action.DELETE))

    def _change_lines(self) -> list[str]:
        """The first changes; the fields of new objects are only in the workbook."""
        lines = [
            f"  {self._row_label(row)}, {change.column} ({change.part or row.object_label}): "
            f"{change.old or BLANK} -> {change.new or BLANK}"
            for row, changes, _ in self.iter_row_changes()
            if row.action != Action.CREATE
            for change in changes
        ]
        return ["Changes:", *limit_lines(lines, MAX_TERMINAL_LINES)] if lines else []

    def _warning_lines(self) -> list[str]:
        """The first warnings; those of planning before those of validation."""
        from_validation = self.numbered_issues["code"].isin(self.validated_book.issues["code"])
        issues = self.numbered_issues.loc[from_validation.sort_values(kind="stable").index]
        lines = self._report(issues).issue_lines(MAX_TERMINAL_LINES, "warning")
        return ["Warnings:", *lines] if lines else []

    def _refused_lines(self) -> list[str]:
        report = self._report(self.numbered_issues)
        # If users or sites would be lost, every one of them is named.
        has_losses = bool((report.errors["code"] == "would_be_removed").any())
        lines = report.issue_lines(len(report.errors) if has_losses else MAX_TERMINAL_LINES)
        return ["Refused:", *lines] if lines else []

    def _report(self, issues: pd.DataFrame) -> Report:
        return Report(replace(self.validated_book, issues=issues))

    def __repr__(self) -> str:
        return f"<{self.summary} See .rows and .changes>"

    # In a notebook

    def _repr_html_(self) -> str:
        """Show what cannot be undone, the issues, and old and new values side by side."""
        return html.container(*self.html_parts())

    def html_parts(
        self, overflow_note: str = 'all are in the workbook: `plan.to_excel("plan.xlsx")`'
    ) -> Iterator[Html]:
        """The parts of the notebook display.

        Args:
            overflow_note: where to find the lines that are not shown, as in `html.table`.
        """
        yield html.heading(self.summary)
        yield html.badges(self.counts, ACTION_STYLES)
        effects = [f"A run {'; '.join(self.data.effects)}."] if self.data.effects else []
        yield html.bullet_list("", [*map(str.strip, self._from_results_lines()), *effects])
        if self.data.irreversible:
            title, *lines = map(str.strip, self._irreversible_lines())
            yield html.bullet_list(title, lines, Style.WARNING, overflow_note=overflow_note)
        yield from render_issues(self._report(self.numbered_issues), overflow_note=overflow_note)
        yield _render_changes(self, overflow_note)

    # In a file

    def to_excel(self, path: str | Path) -> Path:
        """Write the plan as `.xlsx` with coloured old and new values and a summary, or as `.csv` without the summary.

        An existing file is replaced, but never the planned sheet.

        Raises:
            OutputError: the file cannot be written, or the plan is too large for an `.xlsx`.
        """
        inputs = [validated.sheet.path for validated in self.validated_book.sheets if validated.sheet.path]
        return save.save_worksheets(path, self.build_worksheets, protected_paths=inputs)

    def build_worksheets(self) -> list[WorksheetSpec]:
        """New worksheets: one line per change, and a summary."""
        has_sheets, header = _worksheet_header(self)
        widths = {} if self.ok else {len(header) - 2: _REASON_WIDTH, len(header) - 1: _REASON_WIDTH}
        rows = _worksheet_rows(self, self.iter_row_changes(), has_sheets=has_sheets)
        return [
            WorksheetSpec(name="plan", header=header, rows=rows, widths=widths),
            WorksheetSpec(
                name="summary", header=["summary", ""], rows=_summary_rows(self), is_table=False, widths=_SUMMARY_WIDTHS
            ),
        ]

    def save(self, path: str | Path) -> Path:
        """Save the plan to a `.json` file, to be run later: `ib.run("plan.json", network)`.

        The file contains the sheet, but not the token. An existing file is never overwritten.

        Returns:
            The path of the written file: `path`, or the first unused one with `-2`, `-3` and so on.

        Raises:
            OutputError: the file cannot be written.
        """
        return write_saved_plan(self.saved_plan, path)

    @property
    def saved_plan(self) -> SavedPlan:
        """The plan in the form that is saved."""
        return SavedPlan(
            base_url=self.network.base_url,
            network_id=self.network.network_id,
            api_version=self.network.api_version,
            choices=self.options.plan_options,
            read_arguments=dict.fromkeys(("sheet", "resource", "encoding")) | dict(self.read_arguments),
            source=self.data.source,
            path=self.validated_book.sheets[0].sheet.path,
            made_at=self.made_at,
            sheets=tuple(validated.sheet for validated in self.validated_book.sheets),
            rows=self.data.rows,
            steps=self.data.steps,
        )

    def to_json(self, *, detailed: bool = False) -> dict[str, Json]:
        """The plan as JSON.

        Args:
            detailed: as in `exit_code`.

        Returns:
            `counts` (action to number of rows), `requests`, `new_numbers` (number to buy), `effects` (all that
            is written, as texts), `irreversible` (those of them that cannot be undone), `removals`, `rows` (each with
            its `changes`), `issues` (`row` null: the header or the sheet), `exit_code`.
        """
        return {
            "counts": self.counts,
            "requests": self.requests,
            "new_numbers": self.data.new_number_count,
            "effects": self.data.effects,
            "irreversible": self.data.irreversible,
            "removals": json_records(self.removals),
            "rows": [self._row_to_json(row, changes) for row, changes, _ in self.iter_row_changes()],
            "issues": json_records(self.issues),
            "exit_code": self.exit_code(detailed=detailed),
        }

    def _row_to_json(self, row: PlannedRow, changes: Sequence[FieldChange]) -> dict[str, Json]:
        fields = [{name: getattr(change, name) for name in ("part", "column", "old", "new")} for change in changes]
        values = dict(zip(ROW_COLUMNS, self._row_values(row), strict=True))
        return {**values, "row": to_stored_label(values["row"]), "changes": fields}

    # Rows, their changes and labels

    def _row_values(self, row: PlannedRow) -> tuple[str, Any, str, str, str, str]:
        """The values of `ROW_COLUMNS`."""
        label = self._labels(row.sheet).label(row.row)
        return self.sheet_name(row.sheet), label, row.action, self.object_label(row), word(row.error), word(row.fix)

    def _labels(self, sheet: int) -> RowLabels:
        """What the user calls the rows of a sheet."""
        return self.validated_book.sheets[sheet].sheet.labels

    def row_name(self, row: PlannedRow) -> str:
        """A row's number, label or position."""
        return str(self._labels(row.sheet).name(row.row))

    def iter_row_changes(self) -> Iterator[tuple[PlannedRow, list[FieldChange], list[Removal]]]:
        """Each row with its changes and removals; of the identical rows of a `quantity`, only the first has them."""
        changes, removals = _group_by_row(self.data.changes), _group_by_row(self.data.removals)
        for row in self.data.rows:
            yield row, changes.pop((row.sheet, row.row), []), removals.pop((row.sheet, row.row), [])

    def sheet_name(self, number: int) -> str:
        """The name of a sheet by its number; empty if there is only one."""
        return self.data.sheets[number].name

    def _row_label(self, row: PlannedRow) -> str:
        return f"{self.sheet_name(row.sheet)} {self._labels(row.sheet).describe(row.row)}".strip()

    def object_label(self, row: PlannedRow) -> str:
        """The name of the row's object; for a number to buy, its campaign."""
        step = None if row.step is None else self.data.steps[row.step]
        return row.object_label or (_campaign_label(step) if step and step.resource == PROMO_NUMBERS.name else "")


def build_frame(records: Sequence[tuple[object, ...]], columns: Sequence[str]) -> pd.DataFrame:
    """A DataFrame of texts; the column `row` is int64, or object if a label is no whole number."""
    row_column = columns.index("row")
    row_dtype = "int64" if all_integers(record[row_column] for record in records) else "object"
    dtypes = {name: row_dtype if name == "row" else "str" for name in columns}
    return pd.DataFrame(records, columns=list(columns)).astype(dtypes)


def json_records(frame: pd.DataFrame) -> list[dict[str, Json]]:
    """The rows of a DataFrame as JSON objects; a missing row is null."""
    # Not `to_json`, which fails on lone surrogates.
    cells = {str(name): list(frame[name]) for name in frame.columns}
    cells["row"] = list(map(to_stored_label, cells["row"]))
    return [dict(zip(cells, values, strict=True)) for values in zip(*cells.values(), strict=True)]


def _group_by_row(items: Sequence[_RowItem]) -> dict[tuple[int, int], list[_RowItem]]:
    groups: dict[tuple[int, int], list[_RowItem]] = {}
    for item in items:
        groups.setdefault((item.sheet, item.row), []).append(item)
    return groups


def _campaign_label(step: Step) -> str:
    """The ids of a promo number's advertiser, campaign and affiliate: every second part of the collection's path."""
    return " / ".join(step.path[1:-1:2])


# The workbook


def _worksheet_header(plan: Plan) -> tuple[bool, list[str]]:
    """Whether there are several sheets, and the column titles."""
    has_sheets = len(plan.data.sheets) > 1
    titles = ["row", "action", "object", "part", "column", "old", "new", "reason", "fix"]
    return has_sheets, ["sheet", *titles] if has_sheets else titles


def _worksheet_rows(plan: Plan, rows: Iterable[_RowChanges], *, has_sheets: bool) -> Iterator[Sequence[str | Cell]]:
    for row, changes, removals in rows:
        location = [*([plan.sheet_name(row.sheet)] if has_sheets else []), plan.row_name(row)]
        for cells in _row_lines(row, plan.object_label(row), changes, removals):
            yield [*location, *cells, *[""] * (_DETAIL_COLUMN_COUNT - len(cells))]


def _row_lines(
    row: PlannedRow, name: str, changes: Sequence[FieldChange], removals: Sequence[Removal]
) -> Iterator[Sequence[str | Cell]]:
    """The lines of a row, from `action` on: one per change and removal, or a single one."""
    action = Cell(text=row.action, style=ACTION_STYLES[row.action])
    for change in changes:
        old = "" if row.action == Action.CREATE else _value_cell(change.old, Style.ERROR)
        yield [action, name, change.part, change.column, old, _value_cell(change.new, Style.OK)]
    for removal in removals:
        yield [Cell(text=REMOVE_ACTION, style=Style.ERROR), name, Cell(text=removal.part, style=Style.ERROR)]
    if row.action == REFUSED:
        reasons = (Cell(text=word(text), style=Style.ERROR) for text in (row.error, row.fix))
        yield [action, name, "", "", "", "", *reasons]
    elif not changes and not removals:
        reason = f"an earlier run: {row.outcome}" if row.from_results and row.outcome else ""
        style = Style.MUTED if row.action == UNCHANGED else Style.PLAIN
        yield [action, *(Cell(text=text, style=style) for text in (name, "", "", "", "", reason))]


def _value_cell(text: str, style: Style) -> Cell:
    return Cell(text=text, style=style) if text else Cell(text=BLANK, style=Style.MUTED)


def _summary_rows(plan: Plan) -> Iterator[Sequence[str | Cell]]:
    network, choices = plan.network, plan.options.plan_options
    yield ["file", plan.data.source or "a DataFrame"]
    yield ["network", network_address(network.network_id, network.base_url)]
    yield ["API version", network.api_version]
    yield ["made (UTC)", plan.made_at]
    yield ["users and sites", _NESTED_HELP[choices.nested]]
    yield ["removals allowed", "yes" if choices.allow_removals else "no"]
    yield ["ids given by the network", "yes" if choices.auto_ids else "no"]
    yield ["advertisers without sites", "allowed" if choices.allow_no_sites else "warned of"]
    yield ["unlisted media types", "allowed" if choices.allow_unlisted else "refused"]
    yield from _section_rows(
        "rows",
        ([Cell(text=action, style=ACTION_STYLES[action]), f"{count:,}"] for action, count in plan.counts.items()),
    )
    yield ["requests", f"{plan.requests:,}"]
    yield from _section_rows("a run", ([text] for text in plan.data.effects))
    irreversible = ([Cell(text=text, style=Style.ERROR)] for text in plan.data.irreversible)
    yield from _section_rows("cannot be undone", irreversible)
    purchases = ([campaign, f"{count:,}"] for campaign, count in plan.new_numbers_by_campaign.items())
    yield from _section_rows("numbers to buy for", purchases)
    deletions = [[name, "deleted"] for name in plan.deleted_objects()]
    removals = [[removal.part, f"removed from {removal.advertiser}"] for removal in plan.data.removals]
    yield from _section_rows("deleted or removed", [*deletions, *removals])


def _section_rows(title: str, rows: Iterable[Sequence[str | Cell]]) -> Iterator[Sequence[str | Cell]]:
    """The rows under a title and a blank row; without rows, nothing."""
    if rows := list(rows):
        yield from ([], [Cell(text=title, style=Style.BOLD)], *rows)


# In a notebook

#: In this order if not all can be shown; refused rows are shown with their reasons above.
_ACTIONS_BY_SEVERITY = (Action.DELETE, REMOVE_ACTION, Action.MOVE, Action.UPDATE, Action.CREATE)


def _render_changes(plan: Plan, overflow_note: str) -> Html:
    """Old and new values side by side; a new object has one line, an unchanged one has none."""
    rank = {action: index for index, action in enumerate(_ACTIONS_BY_SEVERITY)}
    changed_rows = sorted(
        (row_changes for row_changes in plan.iter_row_changes() if row_changes[0].action in rank),
        key=lambda row_changes: rank[row_changes[0].action],
    )
    collapsed = (
        _collapse_changes(*row_changes) if row_changes[0].action == Action.CREATE else row_changes
        for row_changes in changed_rows
    )
    has_sheets, header = _worksheet_header(plan)
    return html.table(
        header,
        _worksheet_rows(plan, collapsed, has_sheets=has_sheets),
        caption="What would be done",
        total=sum(
            1 if row.action == Action.CREATE else len(changes) + len(removals) or 1
            for row, changes, removals in changed_rows
        ),
        overflow_note=overflow_note,
    )


def _collapse_changes(row: PlannedRow, changes: Sequence[FieldChange], removals: Sequence[Removal]) -> _RowChanges:
    """The row with the fields of its new object as one change."""
    if not changes:
        return row, changes, removals
    fields = (f"{change.part} {change.column}: {change.new}".strip() for change in changes)
    return row, [replace(changes[0], part="", column="", new="; ".join(fields))], removals
