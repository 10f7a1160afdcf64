"""Rows of a results file, and rows as runs recorded them, in a form in which they can be compared."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from operator import ne

from invoca_bulk.schema import PROMO_NUMBERS, SHEET_RESOURCES, Resource, Role, payloads
from invoca_bulk.schema import paths as schema_paths
from invoca_bulk.schema.field_types import FieldType, Json, normalize_text
from invoca_bulk.schema.issue_catalog import ParseError
from invoca_bulk.schema.outcomes import Outcome, parse_outcome
from invoca_bulk.sheets import Sheet
from invoca_bulk.sheets.row_labels import RowLabels
from invoca_bulk.validation import strip_country_code

STATUS, RUN, NUMBER, OWN_ID = "result_status", "result_run", "promo_number", "id_from_network"
_PLAIN_NUMBER = re.compile(r"[2-9][0-9]{9}")


@dataclass(frozen=True, kw_only=True)
class Undo:
    """That a later run took back what a row did."""

    run: str
    is_deletion: bool  # whether the object is gone; else it has its earlier values


@dataclass(frozen=True, kw_only=True)
class RecordedRow:
    """A row as a run recorded it, or as the platform has its object."""

    run: str  # empty: the platform alone knows it
    row: Json  # its number in the run's sheet, or its label in the DataFrame that was run
    texts: Mapping[str, str]  # path to text, as the results show it now
    outcome: Outcome
    undo: Undo | None = None  # None: nothing has taken it back

    @property
    def number(self) -> str:
        """The promo number in its one form; empty: none."""
        return number_form(self.texts.get(NUMBER, ""))


@dataclass(frozen=True, kw_only=True)
class ClaimedRow:
    """A row of the sheet."""

    position: int  # in the sheet, from 0
    row: int  # its number in the spreadsheet
    texts: Mapping[str, str]  # path to text
    key: tuple[str, ...]  # the values of its request, as `Request.key` gives them

    @property
    def status_text(self) -> str:
        """The text of its `result_status`."""
        return self.texts.get(STATUS, "")

    @property
    def outcome(self) -> Outcome | None:
        """The outcome that it claims; None: none that is known."""
        return parse_outcome(self.status_text)

    @property
    def run(self) -> str:
        """The run that it names; empty: none."""
        return normalize_text(self.texts.get(RUN, ""))

    @property
    def number(self) -> str:
        """The promo number in its one form; empty: none that can be read."""
        return number_form(self.texts.get(NUMBER, ""))

    @property
    def has_claim(self) -> bool:
        """Whether it says anything about an earlier run."""
        return bool(self.run or normalize_text(self.status_text))


@dataclass(frozen=True)
class Request:
    """What the rows of a sheet ask for: the columns that are compared with the recorded rows."""

    resource: Resource
    paths: tuple[str, ...]  # of the sheet's columns that are part of a request
    labels: RowLabels  # what the user calls the rows
    name_paths: tuple[str, ...] = field(init=False)  # the columns that name the row's object
    _scope_positions: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        names = (NUMBER,) if self.resource is PROMO_NUMBERS else _object_paths(self.resource)
        object.__setattr__(self, "name_paths", names)
        positions = tuple(self.paths.index(path) for path in self.scope_paths)
        object.__setattr__(self, "_scope_positions", positions)

    @property
    def scope_paths(self) -> tuple[str, ...]:
        """The columns that say where the object is, such as its campaign."""
        roles = {Role.PATH, Role.PARENT}
        return tuple(item.path for item in self.resource.fields if item.role in roles and item.path in self.paths)

    def key(self, texts: Mapping[str, str]) -> tuple[str, ...]:
        """The values of a request, equal for texts that mean the same."""
        return tuple([canonical(self.resource, path, texts.get(path, "")) for path in self.paths])

    def name(self, texts: Mapping[str, str]) -> tuple[str, ...]:
        """What names the object of a row; empty: nothing does."""
        if self.name_paths == (NUMBER,):
            number = number_form(texts.get(NUMBER, ""))
            return (number,) if number else ()
        values = tuple(canonical(self.resource, path, texts.get(path, "")) for path in self.name_paths)
        return values if values and values[-1] else ()

    def differing_paths(self, claimed: ClaimedRow, recorded: RecordedRow) -> list[str]:
        """The columns in which a row differs from the recorded one."""
        recorded_key = self.key(recorded.texts)
        pairs = zip(self.paths, claimed.key, recorded_key, strict=True)
        return [path for path, claimed_value, recorded_value in pairs if claimed_value != recorded_value]

    def scope(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """Where the object of a request is, such as its campaign."""
        return tuple([key[position] for position in self._scope_positions])


def count_differing(key: Sequence[str], other: Sequence[str]) -> int:
    """In how many cells two requests differ."""
    return sum(map(ne, key, other))


def is_similar(key: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one request may be an edited form of another: at least half of the cells are equal."""
    filled = sum(map(bool, map(max, key, other)))
    return count_differing(key, other) * 2 <= filled


def _object_paths(resource: Resource) -> tuple[str, ...]:
    parents = tuple(item.path for item in resource.fields if item.role is Role.PARENT)
    return (*parents, OWN_ID)


def claimed_rows(sheet: Sheet) -> tuple[Request, list[ClaimedRow]]:
    """The rows of a sheet with what they ask for."""
    headers = column_headers(sheet)
    request_paths = tuple(path for path in headers if _is_request_path(sheet.resource, path))
    request = Request(sheet.resource, request_paths, sheet.labels)
    columns = {path: sheet.frame[header].tolist() for path, header in headers.items()}
    encoded = {path: sheet.encode_column(headers[path]) for path in request.paths}
    values = {path: [canonical(sheet.resource, path, text) for text in texts] for path, (_, texts) in encoded.items()}
    keys = zip(*([values[path][code] for code in encoded[path][0]] for path in request.paths), strict=True)
    rows = zip(sheet.frame.index, zip(*columns.values(), strict=True), keys, strict=True)
    return request, [
        ClaimedRow(position=position, row=int(row), texts=dict(zip(columns, texts, strict=True)), key=key)
        for position, (row, texts, key) in enumerate(rows)
    ]


def column_headers(sheet: Sheet) -> dict[str, str]:
    """Path to title of the sheet's known columns; the first of several that mean the same."""
    headers: dict[str, str] = {}
    for header in sheet.frame.columns:
        if column := sheet.resource.column_for(header):
            headers.setdefault(column.path, header)
    return headers


def _is_request_path(resource: Resource, path: str) -> bool:
    request_field = resource.by_path[schema_paths.to_pattern(path)]
    # The id of an advertiser, a user or a site is the client's own; that of a number may be the platform's.
    is_assigned = path in payloads.ASSIGNED_FIELDS and (path != OWN_ID or resource is PROMO_NUMBERS)
    return request_field.role is not Role.RESULT and not request_field.secret and not is_assigned


@functools.lru_cache(maxsize=1024)
def _field_type(resource_name: str, path: str) -> FieldType:
    return SHEET_RESOURCES[resource_name].by_path[schema_paths.to_pattern(path)].field_type


@functools.lru_cache(maxsize=65_536)
def _parsed_text(resource_name: str, path: str, text: str) -> str:
    clean = normalize_text(text)
    try:
        value = _field_type(resource_name, path).parse_cell(clean).value
    except ParseError:
        return clean
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def canonical(resource: Resource, path: str, text: str) -> str:
    """The value of a cell as a text that is equal for cells that mean the same; empty: blank."""
    if not text or text.isspace():
        return ""
    pattern = _field_type(resource.name, path).passthrough_pattern
    if pattern and "  " not in text and pattern.fullmatch(text):  # each row may have its own text
        return text
    return _parsed_text(resource.name, path, text)


def number_form(text: str) -> str:
    """A promo number in one form, also from `8052000000.0`; empty: it cannot be read, such as `8.052E+09`."""
    clean = normalize_text(text)
    if _PLAIN_NUMBER.fullmatch(clean):  # parsing it takes a hundred times as long
        return clean
    if "e" in clean.casefold():
        return ""
    return strip_country_code(canonical(PROMO_NUMBERS, NUMBER, clean.removesuffix(".0")))


def is_rounded(text: str, number: str) -> bool:
    """Whether a text such as `8.052E+09` is a number as a spreadsheet rounds it."""
    try:
        shown, exact = Decimal(normalize_text(text)), Decimal(number)
    except InvalidOperation:
        return False
    digits = len(shown.as_tuple().digits)
    return Decimal(f"{exact:.{max(digits - 1, 0)}e}") == shown
