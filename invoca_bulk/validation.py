"""Sheet -> checked rows and issues: everything that can be known about the rows before the first request.

Each check runs once for each distinct text of a column, or distinct combination of several, and is broadcast to the
rows: a sheet of 100,000 rows has some dozens of media types.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from invoca_bulk.issues import ISSUE_COLUMNS, Problem, Refused, problem_of_mark, shortened
from invoca_bulk.schema import Action, Role, paths
from invoca_bulk.schema.kinds import Reading, control_character, plain
from invoca_bulk.schema.model import fold_header
from invoca_bulk.schema.outputs import DONE, Outcome, outcome_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from invoca_bulk.schema import Column, Field, Resource, Rule
    from invoca_bulk.schema.kinds import Json
    from invoca_bulk.sheets import Sheet

    Codes = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

#: What spreadsheet programs put into a cell whose formula went wrong.
SPREADSHEET_ERRORS = frozenset(
    {
        "#BLOCKED!",
        "#BUSY!",
        "#CALC!",
        "#CONNECT!",
        "#DIV/0!",
        "#ERROR!",
        "#FIELD!",
        "#GETTING_DATA",
        "#N/A",
        "#NAME?",
        "#NULL!",
        "#NUM!",
        "#REF!",
        "#SPILL!",
        "#UNKNOWN!",
        "#VALUE!",
    }
)

#: Similarity (difflib) from which an unknown header is taken for a misspelt known one.
_MISSPELT = 0.85
_ROWS_NAMED = 8


class _Found(NamedTuple):
    """One issue, its texts made once for all the rows that share it. `position` -1: not in a row."""

    position: int
    order: int
    column: str
    level: str
    code: str
    value: str
    message: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class CheckedColumn:
    """One known column, each distinct text read once.

    Attributes:
        column: which column it is.
        codes: row position to the index of its text in `texts`.
        texts: the distinct texts.
        readings: what each of them means; None: blank, or not readable.
        refused: whether each of them has an error.
    """

    column: Column
    codes: Codes
    texts: Sequence[str]
    readings: Sequence[Reading | None]
    refused: Mask

    @cached_property
    def filled(self) -> Mask:
        """Row position to whether the cell holds anything, readable or not."""
        return np.array([bool(plain(text)) for text in self.texts], dtype=bool)[self.codes]

    @cached_property
    def meanings(self) -> Codes:
        """Row position to a number that rows share whose cells mean the same, such as `X` and `X ` do."""
        pairs = zip(self.texts, self.readings, strict=True)
        meant = [str(reading.value) if reading else plain(text) for text, reading in pairs]
        codes, _ = pd.factorize(np.array(meant, dtype="object"))
        return codes[self.codes]

    def value(self, position: int | np.integer) -> Reading | None:
        """What the cell of a row means; None: blank, or not readable."""
        return self.readings[int(self.codes[position])]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A sheet that was validated.

    Attributes:
        sheet: what was read.
        version: the API version that it was checked for.
        columns: the known columns, in the sheet's order.
        pending: row position to whether there is anything to do; False where an earlier run's outcome stands.
        issues: one row an issue, columns `issues.ISSUE_COLUMNS`, in the order of rows and columns.
        blocked: whether the headers have errors, so that no row can be trusted.
    """

    sheet: Sheet
    version: str
    columns: tuple[CheckedColumn, ...]
    pending: Mask
    issues: pd.DataFrame
    blocked: bool

    @cached_property
    def invalid(self) -> Mask:
        """Row position to whether the row has errors, or cannot be trusted because the headers have."""
        errors = self.issues.loc[self.issues["level"] == "error", "row"].dropna()
        rows: Mask = self.sheet.frame.index.isin(errors.to_numpy(dtype="int64"))
        return (rows | self.blocked) & self.pending

    def texts(self, path: str) -> Sequence[str]:
        """The distinct texts of a column; none when the sheet does not have it."""
        return next((one.texts for one in self.columns if one.column.path == path), ())

    def values(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are neither blank nor cleared: a create has nothing to clear."""
        readings = ((one.column.path, one.value(position)) for one in self.columns)
        return {path: reading.value for path, reading in readings if reading and reading.value not in (None, [])}


def validate(sheet: Sheet, *, version: str) -> Checked:
    """Check every row of a sheet at once.

    Args:
        sheet: what `sheets.load` gave.
        version: the API version that the rows are meant for.

    Returns:
        The checked sheet; problems in the data are values in its `issues`, never exceptions.
    """
    check = _Check(sheet, version)
    check.run()
    return Checked(
        sheet=sheet,
        version=version,
        columns=tuple(check.columns),
        pending=check.pending,
        issues=check.issues(),
        blocked=check.blocked,
    )


class _Check:
    """One validation: collects what it finds."""

    def __init__(self, sheet: Sheet, version: str) -> None:
        self.sheet = sheet
        self.resource: Resource = sheet.resource
        self.version = version
        self.found: list[_Found] = []
        self.headers = list(sheet.frame.columns)
        self.order = {header: number for number, header in enumerate(self.headers)}
        self.columns: list[CheckedColumn] = []
        self.by_path: dict[str, CheckedColumn] = {}
        self.pending = np.ones(len(sheet.frame), dtype=bool)
        #: Row number to why reading refused the whole row; a file that is read again no longer tells.
        self.why_refused = {one.row: one.problem for one in sheet.findings if one.row is not None}
        #: Position of a row that reading refused to its only issue: the row's cells stand in wrong columns.
        self.refused_rows: dict[int, _Found] = {}

    @property
    def blocked(self) -> bool:
        return any(one.position < 0 and one.level == "error" for one in self.found)

    def run(self) -> None:
        known = self._match_headers()
        self._look_at_earlier_results(known)
        self._report_findings()
        for column in known:
            self._read_column(column)
        self._require_columns()
        for one in self.columns:
            self._check_field(one)
        for rule in self.resource.rules:
            self._apply(rule)
        self._compare_rows()

    # Headers

    def _match_headers(self) -> list[Column]:
        known: dict[str, Column] = {}
        for header in self.headers:
            column = self.resource.column(header)
            if column is None:
                continue
            if column.path in known:
                first = known[column.path].header
                details = {"first": first, "value": header, "known": column.path}
                self._add(-1, header, header, Problem(code="column_repeated", details=details))
            elif character := control_character(column.path):
                self._add(-1, header, header, Problem(code="cell_control", details={"name": character}))
            else:
                known[column.path] = column
        for header in self.headers:
            if self.resource.column(header) is None:
                self._unknown(header, known)
        return list(known.values())

    def _unknown(self, header: str, known: Mapping[str, Column]) -> None:
        """An unknown header is misspelt if it looks like a title, or like another header of a missing column.

        A column `Campaign`, with names, is common beside the campaign's id.
        """
        names = {fold_header(name): name for name in self.resource.known_columns() if not name.endswith("*")}
        near = [names[one] for one in difflib.get_close_matches(fold_header(header), names, n=1, cutoff=_MISSPELT)]
        meant = [name for name in near if name in self.resource.by_path or self._is_missing(name, known)]
        code = "column_misspelt" if meant else "column_unknown"
        details = {"value": header, "known": meant[0] if meant else ""}
        self._add(-1, header, header, Problem(code=code, details=details))

    def _is_missing(self, name: str, known: Mapping[str, Column]) -> bool:
        column = self.resource.column(name)
        return column is not None and column.path not in known

    def _require_columns(self) -> None:
        for field in self.resource.fields:
            if Action.CREATE in field.required_on and "#" not in field.path and field.path not in self.by_path:
                self._add(-1, field.path, "", Problem(code="column_missing", details={"known": field.path}))

    # Cells

    def _look_at_earlier_results(self, known: Iterable[Column]) -> None:
        """Rows that an earlier run did, or could not settle, are left alone."""
        status = next((column for column in known if column.path == "result_status"), None)
        if status is None:
            return
        codes, texts = pd.factorize(self.sheet.frame[status.header])
        outcomes = [outcome_of(str(text)) for text in texts]
        unknown = np.array([one is Outcome.UNKNOWN for one in outcomes], dtype=bool)
        done = np.array([one in DONE for one in outcomes], dtype=bool)
        self.pending = ~(done | unknown)[codes]
        runs = next((self.sheet.frame[one.header] for one in known if one.path == "result_run"), None)
        strange = np.array([one is None and bool(plain(str(text))) for one, text in zip(outcomes, texts, strict=True)])
        for position in np.flatnonzero(strange.astype(bool)[codes]):
            text = str(texts[codes[position]])
            self._add(position, status.header, text, Problem(code="status_unknown", details={"value": text}))
        for position in np.flatnonzero(unknown[codes]):
            run = str(runs.iloc[position]).strip() if runs is not None else ""
            details = {"run": run or "not named"}
            self._add(position, status.header, Outcome.UNKNOWN, Problem(code="unsettled_row", details=details))

    def _read_column(self, column: Column) -> None:
        codes, texts = pd.factorize(self.sheet.frame[column.header])
        results = [_read(column.field, str(text)) for text in texts]
        checked = CheckedColumn(
            column=column,
            codes=codes,
            texts=[str(text) for text in texts],
            readings=[reading for reading, _ in results],
            refused=np.array([problem is not None for _, problem in results], dtype=bool),
        )
        self.columns.append(checked)
        self.by_path[column.path] = checked
        self._add_distinct(checked, [problem or (reading.warning if reading else None) for reading, problem in results])

    def _report_findings(self) -> None:
        """What reading found about the sheet; what it found in a row stands in the row's cells."""
        for finding in self.sheet.findings:
            if finding.row is None:
                self._add(-1, "", "", finding.problem)

    def _check_field(self, one: CheckedColumn) -> None:
        """What can be wrong with any text in this field, and with none."""
        field, path = one.column.field, one.column.path
        if field.role is Role.RESULT:
            return
        if Action.CREATE in field.required_on and "#" not in path:
            example = f", e.g. {field.example}" if field.example else ""
            details = {"known": path, "action": Action.CREATE, "example": example}
            self._add_where(~one.filled, one, Problem(code="required", details=details))
        if not field.known_in(self.version):
            details = {"known": path, "version": self.version, "which": field.which_versions}
            self._add_where(one.filled, one, Problem(code="column_unsupported", details=details))
        elif not field.on_create:
            self._add_where(one.filled, one, Problem(code="not_on_create", details={"known": path}))
        elif field.read_only:
            self._check_read_only(one)
        elif path == "action":
            self._refuse_other_actions(one)

    def _check_read_only(self, one: CheckedColumn) -> None:
        path = one.column.path
        names_it = path in {collection.key for collection in self.resource.collections}
        code = "names_existing" if names_it else "read_only"
        for position in np.flatnonzero(one.filled & self.pending & ~one.refused[one.codes]):
            text = one.texts[one.codes[position]]
            self._add(position, one.column.header, text, Problem(code=code, details={"known": path, "value": text}))

    def _refuse_other_actions(self, one: CheckedColumn) -> None:
        values = [reading.value if reading else Action.CREATE for reading in one.readings]
        self._add_distinct(
            one,
            [
                None if value == Action.CREATE else Problem(code="action_unsupported", details={"value": value})
                for value in values
            ],
        )

    # Several columns

    def _apply(self, rule: Rule) -> None:
        columns = [one for one in self.columns if paths.pattern(one.column.path) in rule.fields]
        if not columns:
            return
        groups = _combined([one.codes for one in columns])
        problems: dict[int, list[Problem]] = {}
        _, firsts = np.unique(groups, return_index=True)
        for position in firsts:
            if found := list(_judge(rule, columns, position)):
                problems[int(groups[position])] = found
        for position in np.flatnonzero(np.isin(groups, list(problems)) & self.pending):
            for problem in problems[int(groups[position])]:
                self._add_row_problem(position, problem, columns)

    # Rows against rows

    def _compare_rows(self) -> None:
        scope = [one for one in self.columns if one.column.field.role is Role.PATH]
        own = self.by_path.get("id_from_network")
        if own is not None and self.resource.collections[0].key == "id_from_network":
            for positions in self._repeated([*scope, own], only=own.filled):
                details = {"value": own.texts[own.codes[positions[0]]].strip(), "rows": self._rows(positions)}
                for position in positions:
                    text = own.texts[own.codes[position]]
                    self._add(position, own.column.header, text, Problem(code="duplicate_own_id", details=details))
        same = [one for one in self.columns if one.column.field.role is not Role.RESULT]
        alone = ~own.filled if own is not None else np.ones(len(self.pending), dtype=bool)
        for positions in self._repeated(same, only=alone):
            problem = Problem(code="identical_rows", details={"rows": self._rows(positions)})
            first = self._found(positions[0], "", "", problem)  # worded once: a group may be the whole sheet
            self.found += [first._replace(position=int(position)) for position in positions]

    def _repeated(self, columns: Sequence[CheckedColumn], *, only: Mask) -> Iterator[npt.NDArray[np.int64]]:
        """Positions of rows that are equal in some columns, a group at a time."""
        if not columns:
            return
        groups = pd.Series(_combined([one.meanings for one in columns]))[only & self.pending]
        repeats = groups[groups.duplicated(keep=False)]
        for _, group in repeats.groupby(repeats, sort=False):
            yield group.index.to_numpy()

    def _rows(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> str:
        rows = [str(self.sheet.frame.index[position]) for position in positions[:_ROWS_NAMED]]
        more = len(positions) - len(rows)
        return ", ".join(rows) + (f" and {more} more" if more else "")

    # Collecting

    def _add(self, position: int | np.integer, header: str, value: str, problem: Problem) -> None:
        if position >= 0 and not self.pending[position] and problem.code != "unsettled_row":
            return
        refused = problem.code == "row_marked"
        if refused:
            problem = self.why_refused.get(int(self.sheet.frame.index[int(position)]), problem)
        found = self._found(position, header, value, problem)
        self.found.append(found)
        if refused:
            self.refused_rows[found.position] = found

    def _found(self, position: int | np.integer, header: str, value: str, problem: Problem) -> _Found:
        shown = (header, problem.level, problem.code, shortened(value), problem.message, problem.fix)
        return _Found(int(position), self.order.get(header, -1), *shown)

    def _add_where(self, mask: Mask, one: CheckedColumn, problem: Problem) -> None:
        for position in np.flatnonzero(mask & self.pending):
            self._add(position, one.column.header, one.texts[one.codes[position]], problem)

    def _add_distinct(self, one: CheckedColumn, problems: Sequence[Problem | None]) -> None:
        has = np.array([problem is not None for problem in problems], dtype=bool)
        for position in np.flatnonzero(has[one.codes] & self.pending):
            code = one.codes[position]
            if problem := problems[code]:
                self._add(position, one.column.header, one.texts[code], problem)

    def _add_row_problem(self, position: int | np.integer, problem: Problem, columns: Sequence[CheckedColumn]) -> None:
        """A rule names a column by its path, the analyst knows it by its header; one that the sheet lacks has no cell.

        Then the problem is shown at the first cell that the rule looked at.
        """
        one = self.by_path.get(problem.column or "") or next(one for one in columns if one.filled[position])
        self._add(position, one.column.header, one.texts[one.codes[position]], problem)

    def issues(self) -> pd.DataFrame:
        """All that was found, as a frame."""
        told = (one for one in self.found if self.refused_rows.get(one.position, one) is one)
        found = sorted(dict.fromkeys(told), key=lambda one: (one.position, one.order))
        index = self.sheet.frame.index
        rows = pd.array([index[one.position] if one.position >= 0 else None for one in found], dtype="Int64")
        texts = {name: pd.Series([getattr(one, name) for one in found], dtype="str") for name in ISSUE_COLUMNS[1:]}
        return pd.DataFrame({"row": rows} | texts, columns=list(ISSUE_COLUMNS))


def _read(field: Field, text: str) -> tuple[Reading | None, Problem | None]:
    """Read one distinct text: its meaning, and the error if it has none. Blank: neither."""
    bare = plain(text)
    spoilt = None if field.role is Role.RESULT else _spoilt(bare)
    if spoilt or not bare:
        return None, spoilt
    if field.role is Role.RESULT or field.read_only:
        return Reading(value=text), None
    try:
        reading = field.kind.read(text)
    except Refused as refused:
        return None, refused.problem
    if reading.value in (None, []) and not field.clearable:
        return None, Problem(code="cannot_clear", details={"known": field.path})
    return reading, None


def _spoilt(bare: str) -> Problem | None:
    """What the text itself says is wrong with the cell: an error of the spreadsheet, or a mark of reading."""
    if bare in SPREADSHEET_ERRORS:
        return Problem(code="cell_error", details={"value": bare})
    return problem_of_mark(bare)


def _combined(codes: Sequence[Codes]) -> Codes:
    """One code for each distinct combination; made anew at each column, so that it never overflows."""
    groups = codes[0]
    for more in codes[1:]:
        groups, _ = pd.factorize(groups * (int(more.max(initial=0)) + 1) + more)
    return groups


def _judge(rule: Rule, columns: Sequence[CheckedColumn], position: int | np.integer) -> Iterator[Problem]:
    """Apply a rule to one combination; a cell with an error of its own would only mislead it."""
    if any(one.refused[one.codes[position]] for one in columns):
        return
    readings = {one.column.path: one.value(position) for one in columns}
    yield from rule.check({path: one.value for path, one in readings.items() if one and one.value not in (None, [])})
