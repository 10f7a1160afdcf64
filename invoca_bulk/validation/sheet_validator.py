"""The checks of one sheet: headers, cells, columns of a row against each other, rows against rows.

Each check runs once for each distinct text of a column, or distinct combination of several, and is broadcast to the
rows: a sheet of 100,000 rows has a few dozen media types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from invoca_bulk.schema import API_VERSIONS, SUBRESOURCE_KEY, Action, Column, Field, Resource, Role, Rule, paths
from invoca_bulk.schema.field_types import ParsedValue, cleaning_warning, find_control_character, normalize_text
from invoca_bulk.schema.invisible import name_invisible
from invoca_bulk.schema.issue_catalog import ParseError, Problem, Unshortened, parse_marker
from invoca_bulk.schema.model import rules_version
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES, Outcome, parse_outcome
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS
from invoca_bulk.sheets import Sheet
from invoca_bulk.validation.example_rows import find_example_rows
from invoca_bulk.validation.issue_frame import Issue, make_issue
from invoca_bulk.validation.model import Codes, Mask, ValidatedColumn, ValidatedSheet
from invoca_bulk.validation.total_rows import find_total_rows
from invoca_bulk.wording import option, remedy

#: What is said even of rows that are not sent, since it is about their results.
_CODES_OF_DONE_ROWS = frozenset({"unsettled_row", "unsettled_row_edited", "row_edited", "claim_restored"})
#: How many texts are matched at once.
_TEXT_BATCH_SIZE = 1_000


class SheetValidator:
    """The validation of one sheet; `run` fills the attributes."""

    def __init__(
        self, sheet: Sheet, sheet_index: int, version: str, *, auto_ids: bool, allow_unlisted: bool = False
    ) -> None:
        self.sheet = sheet
        self.sheet_index = sheet_index
        self.auto_ids = auto_ids
        self.allow_unlisted = allow_unlisted
        self.resource: Resource = sheet.resource
        self.version = version
        self.all_issues: list[Issue] = []
        self.headers = list(sheet.frame.columns)
        self.column_positions = {header: position for position, header in enumerate(self.headers)}
        self.columns: list[ValidatedColumn] = []
        self.by_path: dict[str, ValidatedColumn] = {}
        #: Paths that misspelt headers resemble: these columns are not missing too.
        self.misspelt_paths: set[str] = set()
        self.pending = np.ones(len(sheet.frame), dtype=bool)
        self.was_unknown = ~self.pending
        #: Row number to the problem of a whole row; unknown if the row was written to a file and read again.
        self.row_problems = {
            issue.row: issue.problem for issue in sheet.read_issues if issue.row is not None and not issue.column
        }
        #: Position of a row with such a problem to its only issue: the row's cells may be in wrong columns.
        self.row_problem_issues: dict[int, Issue] = {}

    @property
    def has_header_errors(self) -> bool:
        """Whether the headers have errors, so that no row can be trusted."""
        return any(issue.position < 0 and issue.level == "error" for issue in self.all_issues)

    def run(self) -> None:
        """Run all checks."""
        if self.sheet_index == 0 and self.version not in API_VERSIONS:
            details = {"version": self.version, "which": rules_version(self.version)}
            self._add_issue(-1, "", "", Problem(code="version_between", details=details))
        known_columns = self._match_headers()
        self._apply_earlier_results(known_columns)
        self._add_read_issues()
        for column in known_columns:
            self._parse_column(column)
        self._require_columns()
        for validated_column in self.columns:
            self._check_field(validated_column)
        if not self.resource.subresources:  # else rules need all rows of an object: `record_builder`
            for rule in self.resource.rules:
                self._apply_rule(rule)
        self._check_duplicate_rows()
        self._check_case_of_own_ids()
        self._report_total_rows()
        self._report_example_rows()

    def to_validated_sheet(self) -> ValidatedSheet:
        """The validated sheet, without the mask of invalid rows."""
        return ValidatedSheet(
            sheet=self.sheet,
            columns=tuple(self.columns),
            pending=self.pending,
            was_unknown=self.was_unknown,
            is_create=self._is_create,
        )

    # Headers

    def _match_headers(self) -> list[Column]:
        known_columns: dict[str, Column] = {}
        for header in self.headers:
            column = self.resource.column_for(header)
            if column is None:
                continue
            if column.path in known_columns:
                first = known_columns[column.path].header
                details = {"first": first, "value": header, "known": column.path}
                self._add_issue(-1, header, header, Problem(code="column_repeated", details=details))
            elif character := find_control_character(column.path) or name_invisible(column.path):
                self._add_issue(-1, header, header, Problem(code="cell_control", details={"name": character}))
            else:
                known_columns[column.path] = column
                if name_invisible(header) and (cleaned := cleaning_warning(header, normalize_text(header))):
                    self._add_issue(-1, header, header, cleaned)
        for header in self.headers:
            if self.resource.column_for(header) is None:
                self._report_unknown_header(header, known_columns)
        return list(known_columns.values())

    def _report_unknown_header(self, header: str, known_columns: Mapping[str, Column]) -> None:
        """Report a header as misspelt if it resembles a path, or an alias of a column that the sheet lacks.

        An alias of a column that is there does not count: a column `Campaign`, with names, is common next to the
        campaign's id.
        """
        name = self.resource.find_similar_header(header)
        column = self.resource.column_for(name) if name else None
        is_missing = column is not None and column.path not in known_columns
        suggestion = name if name in self.resource.by_path or is_missing else ""
        if suggestion and column:
            self.misspelt_paths.add(column.path)
        if not suggestion and header in self.sheet.labels.columns:
            return  # an index names the rows, and need not be sent
        code = "column_misspelt" if suggestion else "column_unknown"
        self._add_issue(-1, header, header, Problem(code=code, details={"value": header, "known": suggestion}))

    def _require_columns(self) -> None:
        for field in self.resource.fields:
            if field.path not in self.by_path.keys() | self.misspelt_paths and (
                self._is_required_on_all_rows(field) or self._required_mask(field)[self.pending].any()
            ):
                self._add_issue(-1, field.path, "", Problem(code="column_missing", details={"known": field.path}))

    # Cells

    def _apply_earlier_results(self, known_columns: Iterable[Column]) -> None:
        """Skip rows that an earlier run did, or whose outcome is unknown and that do not identify their object."""
        columns = {column.path: column for column in known_columns}
        status = columns.get("result_status")
        if status is None:
            return
        codes, texts = self.sheet.encode_column(status.header)
        outcomes = [parse_outcome(text) for text in texts]
        self.was_unknown = np.array([outcome is Outcome.UNKNOWN for outcome in outcomes], dtype=bool)[codes]
        done = np.array([outcome in SUCCESS_OUTCOMES for outcome in outcomes], dtype=bool)[codes]
        unresolved = self.was_unknown & ~self._identifies_object(columns)
        self.pending = ~(done | unresolved) | self._refused_claims(columns.values())
        is_invalid = [
            outcome is None and bool(normalize_text(text)) for outcome, text in zip(outcomes, texts, strict=True)
        ]
        for position in np.flatnonzero(np.array(is_invalid, dtype=bool)[codes]):
            text = texts[codes[position]]
            self._add_issue(position, status.header, text, Problem(code="status_unknown", details={"value": text}))
        runs = self.sheet.frame[columns["result_run"].header] if "result_run" in columns else None
        for position in np.flatnonzero(unresolved):
            run = str(runs.iloc[position]).strip() if runs is not None else ""
            resume = Unshortened(str(remedy("resume", "resend_absent", subject=run)))
            details = {"run": run or "not named", "resume": resume}
            self._add_issue(position, status.header, Outcome.UNKNOWN, Problem(code="unsettled_row", details=details))

    def _refused_claims(self, known_columns: Iterable[Column]) -> Mask:
        """Row position to whether the row claims an outcome that nothing bears out, so that it cannot be skipped."""
        titles = {column.header for column in known_columns if column.field.role is Role.RESULT}
        rows = {
            issue.row
            for issue in self.sheet.read_issues
            if issue.row is not None and issue.column in titles and issue.problem.level == "error"
        }
        return np.isin(self.sheet.frame.index, list(rows))

    def _identifies_object(self, columns: Mapping[str, Column]) -> Mask:
        """Row position to whether the row identifies an existing object, so that sending it again is harmless."""
        identified = self._text_mask(columns.get(self.resource.identifier_field), normalize_text)
        change_actions = {Action.UPDATE, Action.MOVE, Action.DELETE}
        is_change = self._text_mask(
            columns.get("action"), lambda text: normalize_text(text).casefold() in change_actions
        )
        for collection in self.resource.collections:  # without an action, a client id may ask for a new object
            has_client_id = self._text_mask(columns.get(collection.identifier_field), normalize_text)
            identified |= has_client_id & is_change
        return identified

    def _text_mask(self, column: Column | None, predicate: Callable[[str], object]) -> Mask:
        """Row position to whether the predicate is true for the cell's text; all False if the column is missing."""
        if column is None:
            return np.zeros(len(self.sheet.frame), dtype=bool)
        codes, texts = self.sheet.encode_column(column.header)
        return np.array([bool(predicate(text)) for text in texts], dtype=bool)[codes]

    def _parse_column(self, column: Column) -> None:
        codes, texts = self.sheet.encode_column(column.header)
        results = {
            index: self._parse_text(column.field, texts[index]) for index in _texts_to_parse(column.field, texts)
        }
        has_error = np.zeros(len(texts), dtype=bool)
        has_error[[index for index, (_, problem) in results.items() if problem]] = True
        validated_column = ValidatedColumn(
            column=column,
            codes=codes,
            texts=texts,
            parsed={index: parsed for index, (parsed, _) in results.items()},
            has_error=has_error,
        )
        self.columns.append(validated_column)
        self.by_path[column.path] = validated_column
        problems = {
            index: problem or (parsed.warning if parsed else None) for index, (parsed, problem) in results.items()
        }
        self._add_issues_by_text(validated_column, {index: problem for index, problem in problems.items() if problem})

    def _parse_text(self, field: Field, text: str) -> tuple[ParsedValue | None, Problem | None]:
        parsed, problem = _parse_text(field, text, identifier_field=self.resource.identifier_field)
        if problem and problem.code == "not_a_choice" and field.may_be_unlisted and self.allow_unlisted:
            value = normalize_text(text)
            warning = Problem(code="unlisted_value", details={"value": value, "known": field.path})
            return ParsedValue(value=value, warning=warning), None
        return parsed, problem

    def _check_field(self, column: ValidatedColumn) -> None:
        """The checks of a field that do not depend on the text, only on whether the cell is blank."""
        field, path = column.column.field, column.column.path
        if field.role is Role.RESULT:
            return
        self._add_issues_where(self._required_mask(field) & ~column.filled, column, self._required_problem(field))
        if not field.is_known_in(self.version):
            details = {"known": path, "version": self.version, "which": field.versions_text}
            is_key = any(path == collection.identifier_field for collection in self.resource.collections)
            # A client id that cannot be sent is harmless in rows that name their object by the platform's identifier.
            unsupported = column.filled & ~self._names_existing if is_key else column.filled
            self._add_issues_where(unsupported, column, Problem(code="column_unsupported", details=details))
        elif field.read_only and path != self.resource.identifier_field and (column.filled & self.pending).any():
            self._add_issue(-1, column.column.header, "", Problem(code="read_only", details={"known": path}))
        elif not field.applies_on_update:
            problem = Problem(code="not_on_update", details={"known": path})
            self._add_issues_where(column.filled & self._names_existing, column, problem)

    def _is_required_on_all_rows(self, field: Field) -> bool:
        is_assigned = self.auto_ids and field.path == self.resource.identifier_field
        return (field.is_always_required and not is_assigned) or (
            self.resource.is_subresource and field.path == SUBRESOURCE_KEY
        )

    def _required_problem(self, field: Field) -> Problem:
        """The problem of a blank cell in a required field."""
        noun = self.resource.singular
        is_identifier = field.is_always_required or self.resource.is_subresource
        purposes = {
            Role.PATH: "tell where the row goes",
            Role.PARENT: f"tell whose {noun} it is",
            Role.BODY: f"tell which {noun} it is" if is_identifier else Action.CREATE,
        }
        fix_suffix = f", e.g. {field.example}" if field.example else ""
        is_assignable = self.resource.subresources and field.path == self.resource.identifier_field
        if not fix_suffix and is_assignable and not self.auto_ids:
            fix_suffix = f", or use {option('auto_ids')} if the network assigns the ids"
        details = {"known": field.path, "action": purposes.get(field.role, Action.CREATE), "example": fix_suffix}
        return Problem(code="required", details=details)

    def _required_mask(self, field: Field) -> Mask:
        """Row position to whether the row needs a field, as far as known without the platform's state."""
        if self._is_required_on_all_rows(field):
            return np.ones(len(self.pending), dtype=bool)
        if field.is_always_required:  # an id that the network assigns to new objects only
            return self._has_action(Action.UPDATE, Action.DELETE)
        is_required_on_create = (
            Action.CREATE in field.required_on and not self.resource.subresources and not self.resource.is_subresource
        )
        return self._is_create if is_required_on_create else np.zeros(len(self.pending), dtype=bool)

    @cached_property
    def _names_existing(self) -> Mask:
        """Row position to whether the row names an object by an identifier that the platform assigns."""
        identifier = self.by_path.get(self.resource.identifier_field)
        if identifier is None or not identifier.column.field.read_only:
            return np.zeros(len(self.pending), dtype=bool)
        return identifier.filled

    @cached_property
    def _is_create(self) -> Mask:
        """Row position to whether the row certainly asks for a new object."""
        named = self._names_existing.copy()
        for collection in self.resource.collections:
            if identifier := self.by_path.get(collection.identifier_field):
                named |= identifier.filled
        action = self.by_path.get("action")
        return ~named if action is None else self._has_action(Action.CREATE) | (~named & ~action.filled)

    def _has_action(self, *actions: Action) -> Mask:
        """Row position to whether the row names one of these actions."""
        column = self.by_path.get("action")
        if column is None:
            return np.zeros(len(self.pending), dtype=bool)
        parsed_texts = map(column.parsed_text, range(len(column.texts)))
        has_action = [parsed is not None and parsed.value in actions for parsed in parsed_texts]
        return np.array(has_action, dtype=bool)[column.codes]

    # Several columns

    def _apply_rule(self, rule: Rule) -> None:
        columns = [column for column in self.columns if paths.to_pattern(column.column.path) in rule.fields]
        if not columns:
            return
        groups = _combine_codes(
            [column.value_states if _is_presence_only(rule, column) else column.codes for column in columns]
        )
        checked_rows = self.pending & self._is_create if rule.needs_whole_object else self.pending
        first_positions = np.zeros(int(groups.max(initial=-1)) + 1, dtype="int64")
        first_positions[groups[::-1]] = np.arange(len(groups))[::-1]  # reversed: the last write is a group's first row
        problems = [list(_check_rule(rule, columns, position)) for position in first_positions]
        has_problem = np.array(list(map(bool, problems)), dtype=bool)
        for position in np.flatnonzero(has_problem[groups] & checked_rows):
            for problem in problems[groups[position]]:  # at the column that it names, else at the first filled cell
                named = self.by_path.get(problem.column or "")
                column = named or next(column for column in columns if column.filled[position])
                self._add_issue(position, column.column.header, column.cell_text(position), problem)

    # Rows against rows

    def _check_duplicate_rows(self) -> None:
        if self.resource.subresources or self.resource.is_subresource:
            return  # rows that share an id are one object: `record_builder`
        scope = [column for column in self.columns if column.column.field.role is Role.PATH]
        for key, code in (
            ("id_from_network", "duplicate_own_id"),
            (self.resource.identifier_field, "duplicate_number"),
        ):
            if column := self.by_path.get(key):
                self._report_duplicates([*scope, column], column, code)
        compared = [column for column in self.columns if column.column.field.role is not Role.RESULT]
        client_id = self.by_path.get("id_from_network")
        without_id = self._is_create & ~client_id.filled if client_id is not None else self._is_create
        for positions in self._find_duplicate_groups(compared, only=without_id):
            problem = Problem(code="identical_rows", details={"rows": self._name_rows(positions)})
            issue = self._make_issue(positions[0], "", "", problem)  # formatted once: a group may be the whole sheet
            self.all_issues += [issue._replace(position=int(position)) for position in positions]

    def _report_duplicates(self, columns: Sequence[ValidatedColumn], key: ValidatedColumn, code: str) -> None:
        for positions in self._find_duplicate_groups(columns, only=key.filled):
            details = {"value": key.cell_text(positions[0]).strip(), "rows": self._name_rows(positions)}
            problem = Problem(code=code, details=details)
            for position in positions:
                self._add_issue(position, key.column.header, key.cell_text(position), problem)

    def _check_case_of_own_ids(self) -> None:
        """Warn of own ids that differ only in case from another one of the sheet."""
        column = self.by_path.get(SUBRESOURCE_KEY)
        if column is None or self.resource.is_subresource:
            return
        joined = "\0".join(column.texts)  # all at once: they may be 100,000
        if joined.isascii() and joined in {joined.upper(), joined.lower()}:
            return
        if len(set(joined.casefold().split("\0"))) == len(column.texts):
            return
        ids_by_folded: dict[str, dict[str, int]] = {}  # each with the index of its text
        for index, folded_text in enumerate(map(str.casefold, column.texts)):
            if parsed := column.parsed_text(index):
                ids_by_folded.setdefault(folded_text, {})[str(parsed.value)] = index
        problems = {}
        for ids in (ids for ids in ids_by_folded.values() if len(ids) > 1):
            for own_id, index in ids.items():
                other = next(other for other in ids if other != own_id)
                row = self.sheet.frame.index[int(np.argmax(column.codes == ids[other]))]
                details = {"value": own_id, "other": other, "place": f"in {self.sheet.labels.describe(row)}"}
                problems[index] = Problem(code="own_id_case", details=details)
        self._add_issues_by_text(column, problems)

    def _find_duplicate_groups(
        self, columns: Sequence[ValidatedColumn], *, only: Mask
    ) -> Iterator[npt.NDArray[np.int64]]:
        """The positions of rows that are equal in these columns, one array per group."""
        positions = np.flatnonzero(only & self.pending)
        for column in columns:  # most rows have a unique value in some column, and are excluded by it quickly
            codes = column.value_codes[positions]
            positions = positions[np.bincount(codes)[codes] > 1]
        if not columns or not len(positions):
            return
        groups = _combine_codes([column.value_codes[positions] for column in columns])
        order = np.argsort(groups, kind="stable")
        ends = np.cumsum(np.bincount(groups))[:-1]
        yield from (group for group in np.split(positions[order], ends) if len(group) > 1)

    def _name_rows(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> str:
        return self.sheet.labels.name_all(self.sheet.frame.index[positions])

    # Rows that are no requests

    def _report_total_rows(self) -> None:
        for position, header in find_total_rows(self.sheet, self.by_path):
            if self.pending[position] and position not in self.row_problem_issues:
                text = str(self.sheet.frame[header].iloc[position])
                self.row_problem_issues[position] = self._make_issue(position, header, text, Problem(code="row_total"))
                self.all_issues.append(self.row_problem_issues[position])

    def _report_example_rows(self) -> None:
        for position in find_example_rows(self.resource, self.by_path):
            self._add_issue(position, "", "", Problem(code="row_example"))

    # Issues

    def _add_read_issues(self) -> None:
        """Add the read issues, but for those of whole rows, which are in the rows' cells as markers."""
        positions: dict[int, int] = {}
        columns = {issue.column for issue in self.sheet.read_issues if issue.column and issue.row is not None}
        if columns:
            positions = {number: position for position, number in enumerate(self.sheet.frame.index)}
        texts = {title: self.sheet.frame[title].to_numpy() for title in columns.intersection(self.column_positions)}
        for issue in self.sheet.read_issues:
            if issue.row is None:
                if not issue.column or issue.column in self.column_positions:
                    self._add_issue(-1, issue.column, issue.column, issue.problem)
            elif issue.column in self.column_positions and issue.row in positions:
                position = positions[issue.row]
                text = str(texts[issue.column][position])
                if text == issue.problem.details.get("value"):
                    self._add_issue(position, issue.column, text, issue.problem)

    def _add_issue(self, position: int | np.integer, header: str, value: str, problem: Problem) -> None:
        if position >= 0 and not self.pending[position] and problem.code not in _CODES_OF_DONE_ROWS:
            return
        is_row_problem = problem.code == "row_marked"
        if is_row_problem:
            problem = self.row_problems.get(int(self.sheet.frame.index[int(position)]), problem)
        issue = self._make_issue(position, header, value, problem)
        self.all_issues.append(issue)
        if is_row_problem:
            self.row_problem_issues[issue.position] = issue

    def _make_issue(self, position: int | np.integer, header: str, value: str, problem: Problem) -> Issue:
        cell = (self.column_positions.get(header, -1), header, value)
        return make_issue(self.sheet_index, int(position), cell, problem)

    def _add_issues_where(self, mask: Mask, column: ValidatedColumn, problem: Problem) -> None:
        for position in np.flatnonzero(mask & self.pending):
            self._add_issue(position, column.column.header, column.cell_text(position), problem)

    def _add_issues_by_text(self, column: ValidatedColumn, problems: Mapping[int, Problem]) -> None:
        """Add the problems, given by the index of a text, to all rows with that text."""
        has_problem = np.zeros(len(column.texts), dtype=bool)
        has_problem[list(problems)] = True
        for position in np.flatnonzero(has_problem[column.codes] & self.pending):
            index = int(column.codes[position])
            self._add_issue(position, column.column.header, column.texts[index], problems[index])

    def reported_issues(self, issues: Iterable[Issue]) -> list[Issue]:
        """Those of the issues of this sheet that are reported: of a row with a problem as a whole, only that one."""
        return [issue for issue in issues if self.row_problem_issues.get(issue.position, issue) is issue]


def _texts_to_parse(field: Field, texts: Sequence[str]) -> Iterable[int]:
    """The indexes of the texts to parse: those that do not match the field type's passthrough pattern.

    Batches of texts are matched as the lines of one text, which takes a fifth of the time; the texts of a batch that
    does not match are matched one by one.
    """
    pattern = field.field_type.passthrough_pattern
    if pattern is None:
        return range(len(texts))
    lines_pattern = re.compile(rf"(?:{pattern.pattern}\n)*+")
    indexes: list[int] = []
    for start in range(0, len(texts), _TEXT_BATCH_SIZE):
        batch = texts[start : start + _TEXT_BATCH_SIZE]
        lines = "\n".join([*batch, ""])
        if lines.count("\n") > len(batch) or not lines_pattern.fullmatch(lines):
            indexes += [index for index, text in enumerate(batch, start) if not pattern.fullmatch(text)]
    return indexes


def _parse_text(field: Field, text: str, *, identifier_field: str) -> tuple[ParsedValue | None, Problem | None]:
    """Parse one distinct text: its value, or the error if it is invalid. Blank: neither.

    The field by which rows name their object is parsed although only the platform sets it.
    """
    normalized = normalize_text(text)
    damage = None if field.role is Role.RESULT else _find_cell_damage(normalized)
    if damage or not normalized:
        return None, damage
    if field.role is Role.RESULT or (field.read_only and field.path != identifier_field):
        return ParsedValue(value=text), None
    try:
        parsed = field.field_type.parse_cell(text)
    except ParseError as error:
        return None, error.problem
    if parsed.value in (None, []) and (not field.clearable or field.path == identifier_field):
        return None, Problem(code="cannot_clear", details={"known": field.path})
    return parsed, None


def _find_cell_damage(text: str) -> Problem | None:
    """The problem that the text itself names: an error of the spreadsheet, or a marker of `sheets`."""
    if text in SPREADSHEET_ERRORS:
        return Problem(code="cell_error", details={"value": text})
    return parse_marker(text)


def _combine_codes(codes: Sequence[Codes]) -> Codes:
    """One code for each distinct combination, from 0; recoded after each column, so that it never overflows."""
    groups, _ = pd.factorize(codes[0])
    for column_codes in codes[1:]:
        groups, _ = pd.factorize(groups * (int(column_codes.max(initial=0)) + 1) + column_codes)
    return groups


def _is_presence_only(rule: Rule, column: ValidatedColumn) -> bool:
    """Whether a rule only checks that the column has a value."""
    return paths.to_pattern(column.column.path) in rule.presence_only


def _check_rule(rule: Rule, columns: Sequence[ValidatedColumn], position: int | np.integer) -> Iterator[Problem]:
    """Apply a rule to one combination, unless a cell has an error: a second one would mislead."""
    if any(column.cell_has_error(position) for column in columns):
        return
    values = {}
    for column in columns:
        parsed = column.parsed_cell(position)
        if parsed and parsed.value not in (None, []):
            values[column.column.path] = _is_presence_only(rule, column) or parsed.value
    yield from rule.check(values)
