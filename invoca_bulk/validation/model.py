"""The records that validation passes to the next stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from invoca_bulk.schema import Action, Column, Resource, paths
from invoca_bulk.schema.field_types import ASSIGNED_NUMBER, PHONE, Json, ParsedValue, normalize_text
from invoca_bulk.sheets import Sheet

Codes: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]


class RowRef(NamedTuple):
    """The location of a row."""

    sheet_index: int  # from 0
    position: int  # of the row in the sheet, from 0


def strip_country_code(number: str) -> str:
    """A phone number without the country code of the USA and Canada, whose numbers can be sent with and without it."""
    return number.removeprefix("+1")


@dataclass(frozen=True, kw_only=True)
class ValidatedColumn:
    """One known column; each distinct text is parsed once."""

    column: Column
    codes: Codes  # row position to the index of its text in `texts`
    texts: Sequence[str]  # the distinct texts
    parsed: Mapping[int, ParsedValue | None]  # by index of a text; None: blank or invalid; missing: the text itself
    has_error: Mask  # index of a text to whether it has an error

    @cached_property
    def filled(self) -> Mask:
        """Row position to whether the cell is not blank; it may be invalid."""
        filled = np.ones(len(self.texts), dtype=bool)
        for index in self.parsed:
            filled[index] = bool(normalize_text(self.texts[index]))
        return filled[self.codes]

    @cached_property
    def value_states(self) -> Codes:
        """Row position to 1 if the cell has a value, 2 if it has an error, 0 if it is blank or clears the field."""
        states = np.ones(len(self.texts), dtype="int64")
        for index, parsed in self.parsed.items():
            states[index] = parsed is not None and parsed.value not in (None, [])
        states[self.has_error] = 2
        return states[self.codes]

    @cached_property
    def value_codes(self) -> Codes:
        """Row position to a code that is equal for cells with the same value, such as `X` and `X `."""
        if not self.parsed:
            return self.codes
        is_phone = self.column.field.field_type in (PHONE, ASSIGNED_NUMBER)
        values = np.array(self.texts, dtype="object")
        for index, parsed in self.parsed.items():
            text = str(parsed.value) if parsed else normalize_text(self.texts[index])
            values[index] = strip_country_code(text) if is_phone else text
        codes, _ = pd.factorize(values)
        return codes[self.codes]

    def parsed_text(self, text_index: int) -> ParsedValue | None:
        """The value of a text, by its index; None: blank or invalid."""
        return self.parsed[text_index] if text_index in self.parsed else ParsedValue(value=self.texts[text_index])

    def parsed_cell(self, position: int | np.integer) -> ParsedValue | None:
        """The value of a row's cell; None: blank or invalid."""
        return self.parsed_text(int(self.codes[position]))

    def cell_text(self, position: int | np.integer) -> str:
        """The text of a row's cell."""
        return self.texts[int(self.codes[position])]

    def cell_has_error(self, position: int | np.integer) -> bool:
        """Whether a row's cell has an error."""
        return bool(self.has_error[self.codes[position]])


@dataclass(frozen=True, kw_only=True)
class ValidatedSheet:
    """One validated sheet."""

    sheet: Sheet
    columns: tuple[ValidatedColumn, ...]  # the known columns, in the sheet's order
    pending: Mask  # row position to whether there is anything to do; False if an earlier run's outcome is kept
    was_unknown: Mask  # row position to whether the row's outcome of an earlier run is `unknown`
    is_create: Mask  # row position to whether the row certainly asks for a new object
    #: Row position to whether the row or another row of its object has errors, or the headers have errors. Only pending
    #: rows are invalid.
    invalid: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def actionable(self) -> Mask:
        """Row position to whether the row is pending and valid."""
        return self.pending & ~self.invalid

    @cached_property
    def by_path(self) -> dict[str, ValidatedColumn]:
        """Path to column."""
        return {column.column.path: column for column in self.columns}

    def title(self, path: str) -> str:
        """The sheet's title of a field; its path if the sheet does not have it."""
        column = self.by_path.get(path)
        return column.column.header if column else path

    def distinct_texts(self, path: str) -> Sequence[str]:
        """The distinct texts of a column; empty if the sheet does not have it."""
        column = self.by_path.get(path)
        return column.texts if column else ()

    @cached_property
    def _columns_with_errors(self) -> tuple[ValidatedColumn, ...]:
        return tuple(column for column in self.columns if column.has_error.any())

    def error_paths(self, position: int | np.integer) -> tuple[str, ...]:
        """The paths of a row's cells that have errors."""
        return tuple(column.column.path for column in self._columns_with_errors if column.cell_has_error(position))

    def values(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are neither blank nor cleared: a create has nothing to clear."""
        return {path: value for path, value in self.changes(position).items() if value not in (None, [])}

    def changes(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are not blank; None or an empty list: to be cleared."""
        parsed_cells = ((column.column.path, column.parsed_cell(position)) for column in self.columns)
        return {path: parsed.value for path, parsed in parsed_cells if parsed}


@dataclass(frozen=True, kw_only=True)
class Subrecord:
    """A user or site of an object, from all rows about it."""

    collection: str  # `users` or `sites`
    id: str
    is_removal: bool
    is_done: bool  # whether an earlier run did all of its rows; they then only show that the object has it
    fields: Mapping[str, Json]  # path within the subrecord to JSON value; None: to be cleared. Includes the id
    row_ref: RowRef  # its first pending row; its first row if none is pending
    path_prefix: str  # the prefix of its paths on the sheet of that row: `users.2.`; empty on the sheet `users`


@dataclass(frozen=True, kw_only=True)
class Record:
    """One object with subrecords, from all rows about it."""

    id: str  # empty if the network assigns it
    action: Action | None  # the action that its rows ask for; None: to be decided from the platform's state
    fields: Mapping[str, Json]  # path to JSON value of its own fields, including the id; None: to be cleared
    subrecords: tuple[Subrecord, ...]  # its users and sites, in the order of the rows
    row_refs: tuple[RowRef, ...]  # its rows, pending rows first, and among these the rows of the object itself first
    #: Path (with subrecords numbered as in `numbered_subrecords`) to the row with the value, and to the path of the
    #: value on that row's sheet.
    cell_refs: Mapping[str, tuple[RowRef, str]] = field(repr=False)

    def flat_values(self) -> dict[str, Json]:
        """Path to JSON value, with numbered subrecords; cleared values and removed or done subrecords are left out."""
        values = dict(self.fields)
        for number, subrecord in self.numbered_subrecords():
            values |= {f"{subrecord.collection}.{number}.{path}": value for path, value in subrecord.fields.items()}
        return {path: value for path, value in values.items() if value not in (None, [])}

    def to_json(self) -> dict[str, Json]:
        """The flat values as the JSON object of a create."""
        return paths.nest(self.flat_values())

    def subrecord_at(self, path: str) -> Subrecord | None:
        """The subrecord of a path of `flat_values`: the second user for `users.2.first_name`; None: no subrecord."""
        for number, subrecord in self.numbered_subrecords():
            if path.startswith(f"{subrecord.collection}.{number}."):
                return subrecord
        return None

    def numbered_subrecords(self) -> Iterator[tuple[int, Subrecord]]:
        """The subrecords to be added or changed, each with its number, from 1, within its collection."""
        counts: dict[str, int] = {}
        for subrecord in self.subrecords:
            if not subrecord.is_removal and not subrecord.is_done:
                counts[subrecord.collection] = counts.get(subrecord.collection, 0) + 1
                yield counts[subrecord.collection], subrecord


@dataclass(frozen=True, kw_only=True)
class ValidatedBook:
    """The validated sheets of one source."""

    sheets: tuple[ValidatedSheet, ...]  # in the order of processing
    version: str  # the API version that the rows were checked for
    auto_ids: bool  # whether advertisers without an id are allowed
    allow_unlisted: bool = False  # whether media types and promo types outside the published lists are allowed
    allow_no_sites: bool = False  # whether advertisers may be left without a site
    records: tuple[Record, ...]  # the objects with subrecords that have a pending row, in the order of their first rows
    issues: pd.DataFrame  # one row per issue, by sheet, row and column; columns: `issue_catalog.ISSUE_COLUMNS`

    @property
    def choices(self) -> dict[str, bool]:
        """The options that it was validated with, as `validate` takes them."""
        return {name: getattr(self, name) for name in ("auto_ids", "allow_unlisted", "allow_no_sites")}

    @property
    def source(self) -> str:
        """The file's name without its folder; empty for DataFrames."""
        return self.sheets[0].sheet.source

    def sheets_of(self, resource: Resource) -> Iterator[tuple[int, ValidatedSheet]]:
        """The sheets of one resource, each with its index."""
        return ((index, sheet) for index, sheet in enumerate(self.sheets) if sheet.sheet.resource is resource)

    def is_invalid(self, record: Record) -> bool:
        """Whether a row of an object has errors."""
        return any(self.sheets[row_ref.sheet_index].invalid[row_ref.position] for row_ref in record.row_refs)
