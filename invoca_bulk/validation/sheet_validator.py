"""The checks of one sheet: headers, cells, columns of a row against each other, rows against rows.

Each check runs once for each distinct text of a column, or distinct combination of several, and is broadcast to the
rows: a sheet of 100,000 rows has some dozens of media types.
"""

from __future__ import annotations

import difflib
import re
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk.schema import PART_KEY, Action, Role, paths
from invoca_bulk.schema.field_types import Reading, control_character, plain
from invoca_bulk.schema.issue_catalog import Problem, Refused, problem_of_mark
from invoca_bulk.schema.model import fold_header
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS
from invoca_bulk.schema.result_columns import DONE, Outcome, outcome_of
from invoca_bulk.validation.issue_frame import found
from invoca_bulk.validation.model import CheckedColumn, CheckedSheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from invoca_bulk.schema import Column, Field, Resource, Rule
    from invoca_bulk.sheets import Sheet
    from invoca_bulk.validation.issue_frame import Found
    from invoca_bulk.validation.model import Codes, Mask


#: Similarity (difflib) from which an unknown header is taken for a misspelt known one.
_MISSPELT = 0.85
_ROWS_NAMED = 8
#: So many texts are looked at together.
_TOGETHER = 1_000


class SheetCheck:
    """The validation of one sheet; `run` first, then the attributes hold what was found.

    Args:
        sheet: what was read.
        number: which one it is in its book, from 0.
        version: the API version that the rows are meant for.
        auto_ids: whether the network gives ids to objects that come without one.

    Attributes:
        found: the issues.
        columns: the known columns, in the sheet's order.
        pending: row position to whether there is anything to do.
        unknown: row position to whether an earlier run could not tell what became of the row.
    """

    def __init__(self, sheet: Sheet, number: int, version: str, *, auto_ids: bool) -> None:
        self.sheet = sheet
        self.number = number
        self.auto_ids = auto_ids
        self.resource: Resource = sheet.resource
        self.version = version
        self.found: list[Found] = []
        self.headers = list(sheet.frame.columns)
        self.order = {header: number for number, header in enumerate(self.headers)}
        self.columns: list[CheckedColumn] = []
        self.by_path: dict[str, CheckedColumn] = {}
        self.pending = np.ones(len(sheet.frame), dtype=bool)
        self.unknown = ~self.pending
        #: Row number to why reading refused the whole row; a file that is read again no longer tells.
        self.why_refused = {one.row: one.problem for one in sheet.findings if one.row is not None}
        #: Position of a row that reading refused to its only issue: the row's cells stand in wrong columns.
        self.refused_rows: dict[int, Found] = {}

    @property
    def blocked(self) -> bool:
        """Whether the headers have errors, so that no row can be trusted."""
        return any(one.position < 0 and one.level == "error" for one in self.found)

    def run(self) -> None:
        """Look at everything."""
        known = self._match_headers()
        self._look_at_earlier_results(known)
        self._report_findings()
        for column in known:
            self._read_column(column)
        self._require_columns()
        for one in self.columns:
            self._check_field(one)
        if not self.resource.parts:  # else a rule looks at all the rows of an object: `records`
            for rule in self.resource.rules:
                self._apply(rule)
        self._compare_rows()

    def checked(self) -> CheckedSheet:
        """The sheet, before it is known which of its rows are invalid."""
        columns = tuple(self.columns)
        return CheckedSheet(
            sheet=self.sheet, columns=columns, pending=self.pending, unknown=self.unknown, creates=self._creates
        )

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
            if field.path not in self.by_path and (self._is_key(field) or self._requires(field)[self.pending].any()):
                self._add(-1, field.path, "", Problem(code="column_missing", details={"known": field.path}))

    # Cells

    def _look_at_earlier_results(self, known: Iterable[Column]) -> None:
        """Rows that an earlier run did, or could not settle, are left alone."""
        status = next((column for column in known if column.path == "result_status"), None)
        if status is None:
            return
        codes, texts = self.sheet.distinct(status.header)
        outcomes = [outcome_of(text) for text in texts]
        self.unknown = np.array([one is Outcome.UNKNOWN for one in outcomes], dtype=bool)[codes]
        done = np.array([one in DONE for one in outcomes], dtype=bool)[codes]
        unsettled = self.unknown & ~self._names_its_object(known)
        self.pending = ~(done | unsettled)
        runs = next((self.sheet.frame[one.header] for one in known if one.path == "result_run"), None)
        strange = np.array([one is None and bool(plain(text)) for one, text in zip(outcomes, texts, strict=True)])
        for position in np.flatnonzero(strange.astype(bool)[codes]):
            text = texts[codes[position]]
            self._add(position, status.header, text, Problem(code="status_unknown", details={"value": text}))
        for position in np.flatnonzero(unsettled):
            run = str(runs.iloc[position]).strip() if runs is not None else ""
            details = {"run": run or "not named"}
            self._add(position, status.header, Outcome.UNKNOWN, Problem(code="unsettled_row", details=details))

    def _names_its_object(self, known: Iterable[Column]) -> Mask:
        """Row position to whether the row names what it is about, so that doing it again is harmless."""
        columns = {one.path: one for one in known}
        named = self._where(columns.get(self.resource.named_by), lambda text: bool(plain(text)))
        for collection in self.resource.collections:  # without an action, an id of one's own may ask for a new object
            own = self._where(columns.get(collection.key), lambda text: bool(plain(text)))
            named |= own & self._where(columns.get("action"), _changes_an_object)
        return named

    def _where(self, column: Column | None, holds: Callable[[str], bool]) -> Mask:
        """Row position to whether something holds of the cell's text; of no cell where the sheet lacks the column."""
        if column is None:
            return np.zeros(len(self.sheet.frame), dtype=bool)
        codes, texts = self.sheet.distinct(column.header)
        return np.array([holds(text) for text in texts], dtype=bool)[codes]

    def _read_column(self, column: Column) -> None:
        codes, texts = self.sheet.distinct(column.header)
        read = {at: _read(column.field, texts[at], name=self.resource.named_by) for at in _doubted(column.field, texts)}
        refused = np.zeros(len(texts), dtype=bool)
        refused[[at for at, (_, problem) in read.items() if problem]] = True
        meant = {at: reading for at, (reading, _) in read.items()}
        checked = CheckedColumn(column=column, codes=codes, texts=texts, meant=meant, refused=refused)
        self.columns.append(checked)
        self.by_path[column.path] = checked
        problems = {at: problem or (reading.warning if reading else None) for at, (reading, problem) in read.items()}
        self._add_distinct(checked, {at: problem for at, problem in problems.items() if problem})

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
        self._add_where(self._requires(field) & ~one.filled, one, self._required(field))
        if not field.known_in(self.version):
            details = {"known": path, "version": self.version, "which": field.which_versions}
            named = self._exists if path in self._keys else np.zeros(len(self.pending), dtype=bool)
            self._add_where(one.filled & ~named, one, Problem(code="column_unsupported", details=details))
        elif field.read_only and path != self.resource.named_by and (one.filled & self.pending).any():
            self._add(-1, one.column.header, "", Problem(code="read_only", details={"known": path}))
        elif not field.on_update:
            self._add_where(one.filled & self._exists, one, Problem(code="not_on_update", details={"known": path}))

    @property
    def _keys(self) -> set[str]:
        """The fields that name an object: read with a version that cannot write them, they harm nobody."""
        return {collection.key for collection in self.resource.collections}

    def _is_key(self, field: Field) -> bool:
        """Whether no row of this sheet can do without a field; `auto_ids` leaves it to the network to give ids."""
        given = self.auto_ids and field.path == self.resource.named_by
        return (field.always_required and not given) or (self.resource.is_part and field.path == PART_KEY)

    def _required(self, field: Field) -> Problem:
        """What a blank cell keeps from being done."""
        one = self.resource.one
        purposes = {
            Role.PATH: "tell where the row goes",
            Role.PARENT: f"tell whose {one} it is",
            Role.BODY: f"tell which {one} it is" if field.always_required or self.resource.is_part else Action.CREATE,
        }
        way_out = ", or choose --auto-ids (auto_ids=True) if the network gives the ids"
        example = f", e.g. {field.example}" if field.example else way_out if self._can_be_given(field) else ""
        details = {"known": field.path, "action": purposes.get(field.role, Action.CREATE), "example": example}
        return Problem(code="required", details=details)

    def _can_be_given(self, field: Field) -> bool:
        """Whether the network can choose it when an object is created."""
        return bool(self.resource.parts) and field.path == self.resource.named_by and not self.auto_ids

    def _requires(self, field: Field) -> Mask:
        """Row position to whether the row cannot do without a field; only what can be told without the platform."""
        if self._is_key(field):
            return np.ones(len(self.pending), dtype=bool)
        if field.always_required:
            return self._asks_for(Action.UPDATE, Action.DELETE)  # the network gives ids to what is new, and to no other
        on_create = Action.CREATE in field.required_on and not self.resource.parts and not self.resource.is_part
        return self._creates if on_create else np.zeros(len(self.pending), dtype=bool)

    @cached_property
    def _exists(self) -> Mask:
        """Row position to whether the row names an object by what only the platform gives."""
        name = self.by_path.get(self.resource.named_by)
        given = name is not None and name.column.field.read_only
        return name.filled if name is not None and given else np.zeros(len(self.pending), dtype=bool)

    @cached_property
    def _creates(self) -> Mask:
        """Row position to whether the row certainly asks for a new object."""
        named = self._exists.copy()
        for collection in self.resource.collections:
            if one := self.by_path.get(collection.key):
                named |= one.filled
        action = self.by_path.get("action")
        return ~named if action is None else self._asks_for(Action.CREATE) | (~named & ~action.filled)

    def _asks_for(self, *actions: Action) -> Mask:
        """Row position to whether the row names one of these actions."""
        action = self.by_path.get("action")
        if action is None:
            return np.zeros(len(self.pending), dtype=bool)
        readings = map(action.reading, range(len(action.texts)))
        asked = [reading is not None and reading.value in actions for reading in readings]
        return np.array(asked, dtype=bool)[action.codes]

    # Several columns

    def _apply(self, rule: Rule) -> None:
        columns = [one for one in self.columns if paths.pattern(one.column.path) in rule.fields]
        if not columns:
            return
        groups = _combined([one.states if _is_given(rule, one) else one.codes for one in columns])
        judged = self.pending & self._creates if rule.whole else self.pending
        problems = [list(_judge(rule, columns, position)) for position in _firsts(groups)]
        has = np.array([bool(found) for found in problems], dtype=bool)
        for position in np.flatnonzero(has[groups] & judged):
            for problem in problems[groups[position]]:
                self._add_row_problem(position, problem, columns)

    # Rows against rows

    def _compare_rows(self) -> None:
        if self.resource.parts or self.resource.is_part:
            return  # rows that share an id are one object: `records`
        scope = [one for one in self.columns if one.column.field.role is Role.PATH]
        for key, code in (("id_from_network", "duplicate_own_id"), (self.resource.named_by, "duplicate_number")):
            if one := self.by_path.get(key):
                self._refuse_repeated([*scope, one], one, code)
        same = [one for one in self.columns if one.column.field.role is not Role.RESULT]
        own = self.by_path.get("id_from_network")
        alone = self._creates & ~own.filled if own is not None else self._creates
        for positions in self._repeated(same, only=alone):
            problem = Problem(code="identical_rows", details={"rows": self._rows(positions)})
            first = self._found(positions[0], "", "", problem)  # worded once: a group may be the whole sheet
            self.found += [first._replace(position=int(position)) for position in positions]

    def _refuse_repeated(self, columns: Sequence[CheckedColumn], key: CheckedColumn, code: str) -> None:
        for positions in self._repeated(columns, only=key.filled):
            details = {"value": key.texts[key.codes[positions[0]]].strip(), "rows": self._rows(positions)}
            problem = Problem(code=code, details=details)
            for position in positions:
                self._add(position, key.column.header, key.texts[key.codes[position]], problem)

    def _repeated(self, columns: Sequence[CheckedColumn], *, only: Mask) -> Iterator[npt.NDArray[np.int64]]:
        """Positions of rows that are equal in some columns, a group at a time."""
        positions = np.flatnonzero(only & self.pending)
        for one in columns:  # most rows differ from all others in one column alone, and need not be compared in all
            codes = one.meanings[positions]
            positions = positions[np.bincount(codes)[codes] > 1]
        if not columns or not len(positions):
            return
        groups = _combined([one.meanings[positions] for one in columns])
        order = np.argsort(groups, kind="stable")
        ends = np.cumsum(np.bincount(groups))[:-1]
        yield from (group for group in np.split(positions[order], ends) if len(group) > 1)

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

    def _found(self, position: int | np.integer, header: str, value: str, problem: Problem) -> Found:
        return found(self.number, int(position), (self.order.get(header, -1), header, value), problem)

    def _add_where(self, mask: Mask, one: CheckedColumn, problem: Problem) -> None:
        for position in np.flatnonzero(mask & self.pending):
            self._add(position, one.column.header, one.texts[one.codes[position]], problem)

    def _add_distinct(self, one: CheckedColumn, problems: Mapping[int, Problem]) -> None:
        """`problems`: index of a text to what is wrong with it."""
        has = np.zeros(len(one.texts), dtype=bool)
        has[list(problems)] = True
        for position in np.flatnonzero(has[one.codes] & self.pending):
            code = int(one.codes[position])
            self._add(position, one.column.header, one.texts[code], problems[code])

    def _add_row_problem(self, position: int | np.integer, problem: Problem, columns: Sequence[CheckedColumn]) -> None:
        """A rule names a column by its path, the analyst knows it by its header; one that the sheet lacks has no cell.

        Then the problem is shown at the first cell that the rule looked at.
        """
        one = self.by_path.get(problem.column or "") or next(one for one in columns if one.filled[position])
        self._add(position, one.column.header, one.texts[one.codes[position]], problem)

    def told(self) -> list[Found]:
        """What was found; of a row that reading refused, only that."""
        return [one for one in self.found if self.refused_rows.get(one.position, one) is one]


def _changes_an_object(text: str) -> bool:
    """Whether a text of `action` asks for something that only an object that exists can have done to it."""
    return plain(text).casefold() in {Action.UPDATE, Action.MOVE, Action.DELETE}


def _doubted(field: Field, texts: Sequence[str]) -> Iterable[int]:
    """The indexes of the texts that have to be read: all that do not obviously mean themselves.

    Many at a time are matched as the lines of one text, in a fifth of the time; only where that fails, each by itself.
    """
    form = field.kind.as_is
    if form is None:
        return range(len(texts))
    lines = re.compile(rf"(?:{form.pattern}\n)*+")
    doubted: list[int] = []
    for start in range(0, len(texts), _TOGETHER):
        some = texts[start : start + _TOGETHER]
        together = "\n".join([*some, ""])
        if together.count("\n") > len(some) or not lines.fullmatch(together):
            doubted += [at for at, text in enumerate(some, start) if not form.fullmatch(text)]
    return doubted


def _read(field: Field, text: str, *, name: str) -> tuple[Reading | None, Problem | None]:
    """Read one distinct text: its meaning, and the error if it has none. Blank: neither.

    Args:
        field: what it is about.
        text: of the cell.
        name: the field by which rows name their object; it is read although only the platform sets it.
    """
    bare = plain(text)
    spoilt = None if field.role is Role.RESULT else _spoilt(bare)
    if spoilt or not bare:
        return None, spoilt
    if field.role is Role.RESULT or (field.read_only and field.path != name):
        return Reading(value=text), None
    try:
        reading = field.kind.read(text)
    except Refused as refused:
        return None, refused.problem
    if reading.value in (None, []) and (not field.clearable or field.path == name):
        return None, Problem(code="cannot_clear", details={"known": field.path})
    return reading, None


def _spoilt(bare: str) -> Problem | None:
    """What the text itself says is wrong with the cell: an error of the spreadsheet, or a mark of reading."""
    if bare in SPREADSHEET_ERRORS:
        return Problem(code="cell_error", details={"value": bare})
    return problem_of_mark(bare)


def _combined(codes: Sequence[Codes]) -> Codes:
    """One code for each distinct combination, from 0 on; made anew at each column, so that it never overflows."""
    groups, _ = pd.factorize(codes[0])
    for more in codes[1:]:
        groups, _ = pd.factorize(groups * (int(more.max(initial=0)) + 1) + more)
    return groups


def _firsts(groups: Codes) -> Codes:
    """Code to the position of the first row that has it."""
    firsts = np.zeros(int(groups.max(initial=-1)) + 1, dtype="int64")
    firsts[groups[::-1]] = np.arange(len(groups))[::-1]  # of positions with the same code, the last one written stays
    return firsts


def _is_given(rule: Rule, one: CheckedColumn) -> bool:
    """Whether it only matters to a rule that a column has a value, not which."""
    return paths.pattern(one.column.path) in rule.given


def _judge(rule: Rule, columns: Sequence[CheckedColumn], position: int | np.integer) -> Iterator[Problem]:
    """Apply a rule to one combination; a cell with an error of its own would only mislead it."""
    if any(one.refused[one.codes[position]] for one in columns):
        return
    values = {}
    for one in columns:
        reading = one.value(position)
        if reading and reading.value not in (None, []):
            values[one.column.path] = _is_given(rule, one) or reading.value
    yield from rule.check(values)
