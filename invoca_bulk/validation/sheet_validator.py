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

from invoca_bulk.schema import SUBRESOURCE_KEY, Action, Role, paths
from invoca_bulk.schema.field_types import ParsedValue, find_control_character, normalize_text
from invoca_bulk.schema.issue_catalog import ParseError, Problem, parse_marker
from invoca_bulk.schema.model import fold_header
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS
from invoca_bulk.schema.result_columns import SUCCESS_OUTCOMES, Outcome, parse_outcome
from invoca_bulk.validation.issue_frame import make_issue
from invoca_bulk.validation.model import ValidatedColumn, ValidatedSheet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from invoca_bulk.schema import Column, Field, Resource, Rule
    from invoca_bulk.sheets import Sheet
    from invoca_bulk.validation.issue_frame import Issue
    from invoca_bulk.validation.model import Codes, Mask


#: Similarity (difflib) from which an unknown header is taken for a misspelt known one.
_MISSPELT_SIMILARITY = 0.85
_MAX_ROWS_NAMED = 8
#: So many texts are looked at together.
_TEXT_BATCH_SIZE = 1_000


class SheetValidator:
    """The validation of one sheet; `run` first, then the attributes hold what was found.

    Args:
        sheet: what was read.
        sheet_index: which one it is in its book, from 0.
        version: the API version that the rows are meant for.
        auto_ids: whether the network gives ids to objects that come without one.

    Attributes:
        all_issues: the issues.
        columns: the known columns, in the sheet's order.
        pending: row position to whether there is anything to do.
        was_unknown: row position to whether an earlier run could not tell what became of the row.
    """

    def __init__(self, sheet: Sheet, sheet_index: int, version: str, *, auto_ids: bool) -> None:
        self.sheet = sheet
        self.sheet_index = sheet_index
        self.auto_ids = auto_ids
        self.resource: Resource = sheet.resource
        self.version = version
        self.all_issues: list[Issue] = []
        self.headers = list(sheet.frame.columns)
        self.column_positions = {header: number for number, header in enumerate(self.headers)}
        self.columns: list[ValidatedColumn] = []
        self.by_path: dict[str, ValidatedColumn] = {}
        self.pending = np.ones(len(sheet.frame), dtype=bool)
        self.was_unknown = ~self.pending
        #: Row number to why reading refused the whole row; a file that is read again no longer tells.
        self.row_problems = {one.row: one.problem for one in sheet.read_issues if one.row is not None}
        #: Position of a row that reading refused to its only issue: the row's cells stand in wrong columns.
        self.row_problem_issues: dict[int, Issue] = {}

    @property
    def has_header_errors(self) -> bool:
        """Whether the headers have errors, so that no row can be trusted."""
        return any(one.position < 0 and one.level == "error" for one in self.all_issues)

    def run(self) -> None:
        """Look at everything."""
        known = self._match_headers()
        self._apply_earlier_results(known)
        self._report_read_issues()
        for column in known:
            self._parse_column(column)
        self._require_columns()
        for one in self.columns:
            self._check_field(one)
        if not self.resource.subresources:  # else a rule looks at all the rows of an object: `records`
            for rule in self.resource.rules:
                self._apply_rule(rule)
        self._check_duplicate_rows()

    def to_validated_sheet(self) -> ValidatedSheet:
        """The sheet, before it is known which of its rows are invalid."""
        columns = tuple(self.columns)
        return ValidatedSheet(
            sheet=self.sheet,
            columns=columns,
            pending=self.pending,
            was_unknown=self.was_unknown,
            is_create=self._is_create,
        )

    # Headers

    def _match_headers(self) -> list[Column]:
        known: dict[str, Column] = {}
        for header in self.headers:
            column = self.resource.column_for(header)
            if column is None:
                continue
            if column.path in known:
                first = known[column.path].header
                details = {"first": first, "value": header, "known": column.path}
                self._add_issue(-1, header, header, Problem(code="column_repeated", details=details))
            elif character := find_control_character(column.path):
                self._add_issue(-1, header, header, Problem(code="cell_control", details={"name": character}))
            else:
                known[column.path] = column
        for header in self.headers:
            if self.resource.column_for(header) is None:
                self._report_unknown_header(header, known)
        return list(known.values())

    def _report_unknown_header(self, header: str, known: Mapping[str, Column]) -> None:
        """An unknown header is misspelt if it looks like a title, or like another header of a missing column.

        A column `Campaign`, with names, is common beside the campaign's id.
        """
        names = {fold_header(name): name for name in self.resource.known_headers() if not name.endswith("*")}
        near = [
            names[one]
            for one in difflib.get_close_matches(fold_header(header), names, n=1, cutoff=_MISSPELT_SIMILARITY)
        ]
        meant = [name for name in near if name in self.resource.by_path or self._is_column_missing(name, known)]
        code = "column_misspelt" if meant else "column_unknown"
        details = {"value": header, "known": meant[0] if meant else ""}
        self._add_issue(-1, header, header, Problem(code=code, details=details))

    def _is_column_missing(self, name: str, known: Mapping[str, Column]) -> bool:
        column = self.resource.column_for(name)
        return column is not None and column.path not in known

    def _require_columns(self) -> None:
        for field in self.resource.fields:
            if field.path not in self.by_path and (
                self._is_required_on_all_rows(field) or self._required_mask(field)[self.pending].any()
            ):
                self._add_issue(-1, field.path, "", Problem(code="column_missing", details={"known": field.path}))

    # Cells

    def _apply_earlier_results(self, known: Iterable[Column]) -> None:
        """Rows that an earlier run did, or could not settle, are left alone."""
        status = next((column for column in known if column.path == "result_status"), None)
        if status is None:
            return
        codes, texts = self.sheet.encode_column(status.header)
        outcomes = [parse_outcome(text) for text in texts]
        self.was_unknown = np.array([one is Outcome.UNKNOWN for one in outcomes], dtype=bool)[codes]
        done = np.array([one in SUCCESS_OUTCOMES for one in outcomes], dtype=bool)[codes]
        unsettled = self.was_unknown & ~self._identifies_object(known)
        self.pending = ~(done | unsettled)
        runs = next((self.sheet.frame[one.header] for one in known if one.path == "result_run"), None)
        strange = np.array(
            [one is None and bool(normalize_text(text)) for one, text in zip(outcomes, texts, strict=True)]
        )
        for position in np.flatnonzero(strange.astype(bool)[codes]):
            text = texts[codes[position]]
            self._add_issue(position, status.header, text, Problem(code="status_unknown", details={"value": text}))
        for position in np.flatnonzero(unsettled):
            run = str(runs.iloc[position]).strip() if runs is not None else ""
            details = {"run": run or "not named"}
            self._add_issue(position, status.header, Outcome.UNKNOWN, Problem(code="unsettled_row", details=details))

    def _identifies_object(self, known: Iterable[Column]) -> Mask:
        """Row position to whether the row names what it is about, so that doing it again is harmless."""
        columns = {one.path: one for one in known}
        named = self._text_mask(columns.get(self.resource.identifier_field), lambda text: bool(normalize_text(text)))
        for collection in self.resource.collections:  # without an action, an id of one's own may ask for a new object
            own = self._text_mask(columns.get(collection.identifier_field), lambda text: bool(normalize_text(text)))
            named |= own & self._text_mask(columns.get("action"), _is_change_action)
        return named

    def _text_mask(self, column: Column | None, predicate: Callable[[str], bool]) -> Mask:
        """Row position to whether something holds of the cell's text; of no cell where the sheet lacks the column."""
        if column is None:
            return np.zeros(len(self.sheet.frame), dtype=bool)
        codes, texts = self.sheet.encode_column(column.header)
        return np.array([predicate(text) for text in texts], dtype=bool)[codes]

    def _parse_column(self, column: Column) -> None:
        codes, texts = self.sheet.encode_column(column.header)
        read = {
            at: _parse_text(column.field, texts[at], identifier_field=self.resource.identifier_field)
            for at in _texts_to_parse(column.field, texts)
        }
        refused = np.zeros(len(texts), dtype=bool)
        refused[[at for at, (_, problem) in read.items() if problem]] = True
        meant = {at: reading for at, (reading, _) in read.items()}
        checked = ValidatedColumn(column=column, codes=codes, texts=texts, parsed=meant, has_error=refused)
        self.columns.append(checked)
        self.by_path[column.path] = checked
        problems = {at: problem or (reading.warning if reading else None) for at, (reading, problem) in read.items()}
        self._add_issues_by_text(checked, {at: problem for at, problem in problems.items() if problem})

    def _report_read_issues(self) -> None:
        """What reading found about the sheet; what it found in a row stands in the row's cells."""
        for finding in self.sheet.read_issues:
            if finding.row is None:
                self._add_issue(-1, "", "", finding.problem)

    def _check_field(self, one: ValidatedColumn) -> None:
        """What can be wrong with any text in this field, and with none."""
        field, path = one.column.field, one.column.path
        if field.role is Role.RESULT:
            return
        self._add_issues_where(self._required_mask(field) & ~one.filled, one, self._required_problem(field))
        if not field.is_known_in(self.version):
            details = {"known": path, "version": self.version, "which": field.versions_text}
            named = self._names_existing if path in self._key_paths else np.zeros(len(self.pending), dtype=bool)
            self._add_issues_where(one.filled & ~named, one, Problem(code="column_unsupported", details=details))
        elif field.read_only and path != self.resource.identifier_field and (one.filled & self.pending).any():
            self._add_issue(-1, one.column.header, "", Problem(code="read_only", details={"known": path}))
        elif not field.applies_on_update:
            self._add_issues_where(
                one.filled & self._names_existing, one, Problem(code="not_on_update", details={"known": path})
            )

    @property
    def _key_paths(self) -> set[str]:
        """The fields that name an object: read with a version that cannot write them, they harm nobody."""
        return {collection.identifier_field for collection in self.resource.collections}

    def _is_required_on_all_rows(self, field: Field) -> bool:
        """Whether no row of this sheet can do without a field; `auto_ids` leaves it to the network to give ids."""
        given = self.auto_ids and field.path == self.resource.identifier_field
        return (field.is_always_required and not given) or (
            self.resource.is_subresource and field.path == SUBRESOURCE_KEY
        )

    def _required_problem(self, field: Field) -> Problem:
        """What a blank cell keeps from being done."""
        one = self.resource.singular
        purposes = {
            Role.PATH: "tell where the row goes",
            Role.PARENT: f"tell whose {one} it is",
            Role.BODY: f"tell which {one} it is"
            if field.is_always_required or self.resource.is_subresource
            else Action.CREATE,
        }
        way_out = ", or choose --auto-ids (auto_ids=True) if the network gives the ids"
        example = f", e.g. {field.example}" if field.example else way_out if self._can_be_assigned(field) else ""
        details = {"known": field.path, "action": purposes.get(field.role, Action.CREATE), "example": example}
        return Problem(code="required", details=details)

    def _can_be_assigned(self, field: Field) -> bool:
        """Whether the network can choose it when an object is created."""
        return bool(self.resource.subresources) and field.path == self.resource.identifier_field and not self.auto_ids

    def _required_mask(self, field: Field) -> Mask:
        """Row position to whether the row cannot do without a field; only what can be told without the platform."""
        if self._is_required_on_all_rows(field):
            return np.ones(len(self.pending), dtype=bool)
        if field.is_always_required:
            return self._has_action(
                Action.UPDATE, Action.DELETE
            )  # the network gives ids to what is new, and to no other
        on_create = (
            Action.CREATE in field.required_on and not self.resource.subresources and not self.resource.is_subresource
        )
        return self._is_create if on_create else np.zeros(len(self.pending), dtype=bool)

    @cached_property
    def _names_existing(self) -> Mask:
        """Row position to whether the row names an object by what only the platform gives."""
        name = self.by_path.get(self.resource.identifier_field)
        given = name is not None and name.column.field.read_only
        return name.filled if name is not None and given else np.zeros(len(self.pending), dtype=bool)

    @cached_property
    def _is_create(self) -> Mask:
        """Row position to whether the row certainly asks for a new object."""
        named = self._names_existing.copy()
        for collection in self.resource.collections:
            if one := self.by_path.get(collection.identifier_field):
                named |= one.filled
        action = self.by_path.get("action")
        return ~named if action is None else self._has_action(Action.CREATE) | (~named & ~action.filled)

    def _has_action(self, *actions: Action) -> Mask:
        """Row position to whether the row names one of these actions."""
        action = self.by_path.get("action")
        if action is None:
            return np.zeros(len(self.pending), dtype=bool)
        readings = map(action.parsed_text, range(len(action.texts)))
        asked = [reading is not None and reading.value in actions for reading in readings]
        return np.array(asked, dtype=bool)[action.codes]

    # Several columns

    def _apply_rule(self, rule: Rule) -> None:
        columns = [one for one in self.columns if paths.to_pattern(one.column.path) in rule.fields]
        if not columns:
            return
        groups = _combine_codes([one.value_states if _is_presence_only(rule, one) else one.codes for one in columns])
        judged = self.pending & self._is_create if rule.needs_whole_object else self.pending
        problems = [list(_check_rule(rule, columns, position)) for position in _first_positions(groups)]
        has = np.array([bool(found) for found in problems], dtype=bool)
        for position in np.flatnonzero(has[groups] & judged):
            for problem in problems[groups[position]]:
                self._add_rule_problem(position, problem, columns)

    # Rows against rows

    def _check_duplicate_rows(self) -> None:
        if self.resource.subresources or self.resource.is_subresource:
            return  # rows that share an id are one object: `records`
        scope = [one for one in self.columns if one.column.field.role is Role.PATH]
        for key, code in (
            ("id_from_network", "duplicate_own_id"),
            (self.resource.identifier_field, "duplicate_number"),
        ):
            if one := self.by_path.get(key):
                self._report_duplicates([*scope, one], one, code)
        same = [one for one in self.columns if one.column.field.role is not Role.RESULT]
        own = self.by_path.get("id_from_network")
        alone = self._is_create & ~own.filled if own is not None else self._is_create
        for positions in self._find_duplicate_groups(same, only=alone):
            problem = Problem(code="identical_rows", details={"rows": self._format_row_numbers(positions)})
            first = self._make_issue(positions[0], "", "", problem)  # worded once: a group may be the whole sheet
            self.all_issues += [first._replace(position=int(position)) for position in positions]

    def _report_duplicates(self, columns: Sequence[ValidatedColumn], key: ValidatedColumn, code: str) -> None:
        for positions in self._find_duplicate_groups(columns, only=key.filled):
            details = {"value": key.texts[key.codes[positions[0]]].strip(), "rows": self._format_row_numbers(positions)}
            problem = Problem(code=code, details=details)
            for position in positions:
                self._add_issue(position, key.column.header, key.texts[key.codes[position]], problem)

    def _find_duplicate_groups(
        self, columns: Sequence[ValidatedColumn], *, only: Mask
    ) -> Iterator[npt.NDArray[np.int64]]:
        """Positions of rows that are equal in some columns, a group at a time."""
        positions = np.flatnonzero(only & self.pending)
        for one in columns:  # most rows differ from all others in one column alone, and need not be compared in all
            codes = one.value_codes[positions]
            positions = positions[np.bincount(codes)[codes] > 1]
        if not columns or not len(positions):
            return
        groups = _combine_codes([one.value_codes[positions] for one in columns])
        order = np.argsort(groups, kind="stable")
        ends = np.cumsum(np.bincount(groups))[:-1]
        yield from (group for group in np.split(positions[order], ends) if len(group) > 1)

    def _format_row_numbers(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> str:
        rows = [str(self.sheet.frame.index[position]) for position in positions[:_MAX_ROWS_NAMED]]
        more = len(positions) - len(rows)
        return ", ".join(rows) + (f" and {more} more" if more else "")

    # Collecting

    def _add_issue(self, position: int | np.integer, header: str, value: str, problem: Problem) -> None:
        if position >= 0 and not self.pending[position] and problem.code != "unsettled_row":
            return
        refused = problem.code == "row_marked"
        if refused:
            problem = self.row_problems.get(int(self.sheet.frame.index[int(position)]), problem)
        found = self._make_issue(position, header, value, problem)
        self.all_issues.append(found)
        if refused:
            self.row_problem_issues[found.position] = found

    def _make_issue(self, position: int | np.integer, header: str, value: str, problem: Problem) -> Issue:
        return make_issue(
            self.sheet_index, int(position), (self.column_positions.get(header, -1), header, value), problem
        )

    def _add_issues_where(self, mask: Mask, one: ValidatedColumn, problem: Problem) -> None:
        for position in np.flatnonzero(mask & self.pending):
            self._add_issue(position, one.column.header, one.texts[one.codes[position]], problem)

    def _add_issues_by_text(self, one: ValidatedColumn, problems: Mapping[int, Problem]) -> None:
        """`problems`: index of a text to what is wrong with it."""
        has = np.zeros(len(one.texts), dtype=bool)
        has[list(problems)] = True
        for position in np.flatnonzero(has[one.codes] & self.pending):
            code = int(one.codes[position])
            self._add_issue(position, one.column.header, one.texts[code], problems[code])

    def _add_rule_problem(
        self, position: int | np.integer, problem: Problem, columns: Sequence[ValidatedColumn]
    ) -> None:
        """A rule names a column by its path, the analyst knows it by its header; one that the sheet lacks has no cell.

        Then the problem is shown at the first cell that the rule looked at.
        """
        one = self.by_path.get(problem.column or "") or next(one for one in columns if one.filled[position])
        self._add_issue(position, one.column.header, one.texts[one.codes[position]], problem)

    def reported_issues(self) -> list[Issue]:
        """What was found; of a row that reading refused, only that."""
        return [one for one in self.all_issues if self.row_problem_issues.get(one.position, one) is one]


def _is_change_action(text: str) -> bool:
    """Whether a text of `action` asks for something that only an object that exists can have done to it."""
    return normalize_text(text).casefold() in {Action.UPDATE, Action.MOVE, Action.DELETE}


def _texts_to_parse(field: Field, texts: Sequence[str]) -> Iterable[int]:
    """The indexes of the texts that have to be read: all that do not obviously mean themselves.

    Many at a time are matched as the lines of one text, in a fifth of the time; only where that fails, each by itself.
    """
    form = field.field_type.passthrough_pattern
    if form is None:
        return range(len(texts))
    lines = re.compile(rf"(?:{form.pattern}\n)*+")
    doubted: list[int] = []
    for start in range(0, len(texts), _TEXT_BATCH_SIZE):
        some = texts[start : start + _TEXT_BATCH_SIZE]
        together = "\n".join([*some, ""])
        if together.count("\n") > len(some) or not lines.fullmatch(together):
            doubted += [at for at, text in enumerate(some, start) if not form.fullmatch(text)]
    return doubted


def _parse_text(field: Field, text: str, *, identifier_field: str) -> tuple[ParsedValue | None, Problem | None]:
    """Read one distinct text: its meaning, and the error if it has none. Blank: neither.

    Args:
        field: what it is about.
        text: of the cell.
        identifier_field: the field by which rows name their object; it is read although only the platform sets it.
    """
    bare = normalize_text(text)
    spoilt = None if field.role is Role.RESULT else _find_cell_damage(bare)
    if spoilt or not bare:
        return None, spoilt
    if field.role is Role.RESULT or (field.read_only and field.path != identifier_field):
        return ParsedValue(value=text), None
    try:
        reading = field.field_type.parse_cell(text)
    except ParseError as refused:
        return None, refused.problem
    if reading.value in (None, []) and (not field.clearable or field.path == identifier_field):
        return None, Problem(code="cannot_clear", details={"known": field.path})
    return reading, None


def _find_cell_damage(bare: str) -> Problem | None:
    """What the text itself says is wrong with the cell: an error of the spreadsheet, or a mark of reading."""
    if bare in SPREADSHEET_ERRORS:
        return Problem(code="cell_error", details={"value": bare})
    return parse_marker(bare)


def _combine_codes(codes: Sequence[Codes]) -> Codes:
    """One code for each distinct combination, from 0 on; made anew at each column, so that it never overflows."""
    groups, _ = pd.factorize(codes[0])
    for more in codes[1:]:
        groups, _ = pd.factorize(groups * (int(more.max(initial=0)) + 1) + more)
    return groups


def _first_positions(groups: Codes) -> Codes:
    """Code to the position of the first row that has it."""
    firsts = np.zeros(int(groups.max(initial=-1)) + 1, dtype="int64")
    firsts[groups[::-1]] = np.arange(len(groups))[::-1]  # of positions with the same code, the last one written stays
    return firsts


def _is_presence_only(rule: Rule, one: ValidatedColumn) -> bool:
    """Whether it only matters to a rule that a column has a value, not which."""
    return paths.to_pattern(one.column.path) in rule.presence_only


def _check_rule(rule: Rule, columns: Sequence[ValidatedColumn], position: int | np.integer) -> Iterator[Problem]:
    """Apply a rule to one combination; a cell with an error of its own would only mislead it."""
    if any(one.has_error[one.codes[position]] for one in columns):
        return
    values = {}
    for one in columns:
        reading = one.parsed_cell(position)
        if reading and reading.value not in (None, []):
            values[one.column.path] = _is_presence_only(rule, one) or reading.value
    yield from rule.check(values)
