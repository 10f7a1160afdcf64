"""The records that validation hands to the next stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from invoca_bulk.schema import paths
from invoca_bulk.schema.field_types import PHONE, ParsedValue, normalize_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from invoca_bulk.schema import Action, Column, Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.sheets import Sheet

    Codes = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


class RowRef(NamedTuple):
    """Where a row stands.

    Attributes:
        sheet_index: the number of its sheet, from 0.
        position: its position in the sheet, from 0.
    """

    sheet_index: int
    position: int


def strip_country_code(number: str) -> str:
    """A phone number without the country code of the USA and Canada: each of theirs has two forms that are sent."""
    return number.removeprefix("+1")


@dataclass(frozen=True, kw_only=True)
class ValidatedColumn:
    """One known column, each distinct text read once.

    Attributes:
        column: which column it is.
        codes: row position to the index of its text in `distinct_texts`.
        texts: the distinct texts.
        parsed: index of a text to what it means; None: blank, or not readable. All others mean themselves.
        has_error: whether each of them has an error.
    """

    column: Column
    codes: Codes
    texts: Sequence[str]
    parsed: Mapping[int, ParsedValue | None]
    has_error: Mask

    @cached_property
    def filled(self) -> Mask:
        """Row position to whether the cell holds anything, readable or not."""
        filled = np.ones(len(self.texts), dtype=bool)
        for at in self.parsed:
            filled[at] = bool(normalize_text(self.texts[at]))
        return filled[self.codes]

    @cached_property
    def value_states(self) -> Codes:
        """Row position to 1 where the cell has a value, 2 where it has an error, 0 where it is blank or clears."""
        states = np.ones(len(self.texts), dtype="int64")
        for at, reading in self.parsed.items():
            states[at] = reading is not None and reading.value not in (None, [])
        states[self.has_error] = 2
        return states[self.codes]

    @cached_property
    def value_codes(self) -> Codes:
        """Row position to a number that rows share whose cells mean the same, such as `X` and `X ` do."""
        if not self.parsed:
            return self.codes
        is_phone = self.column.field.field_type is PHONE
        meanings = np.array(self.texts, dtype="object")
        for at, reading in self.parsed.items():
            text = str(reading.value) if reading else normalize_text(self.texts[at])
            meanings[at] = strip_country_code(text) if is_phone else text
        codes, _ = pd.factorize(meanings)
        return codes[self.codes]

    def parsed_text(self, text_index: int) -> ParsedValue | None:
        """What a text means, by its index; None: blank, or not readable."""
        return self.parsed[text_index] if text_index in self.parsed else ParsedValue(value=self.texts[text_index])

    def parsed_cell(self, position: int | np.integer) -> ParsedValue | None:
        """What the cell of a row means; None: blank, or not readable."""
        return self.parsed_text(int(self.codes[position]))


@dataclass(frozen=True, kw_only=True)
class ValidatedSheet:
    """One sheet that was validated.

    Attributes:
        sheet: what was read.
        columns: the known columns, in the sheet's order.
        pending: row position to whether there is anything to do; False where an earlier run's outcome stands.
        was_unknown: row position to whether an earlier run could not tell what became of the row.
        is_create: row position to whether the row certainly asks for a new object.
        invalid: row position to whether the row has errors, shares its object with one that has, or cannot be trusted
            because the headers have errors. Only pending rows are invalid.
    """

    sheet: Sheet
    columns: tuple[ValidatedColumn, ...]
    pending: Mask
    was_unknown: Mask
    is_create: Mask
    invalid: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def actionable(self) -> Mask:
        """Row position to whether the row can be done and has not been done."""
        return self.pending & ~self.invalid

    @cached_property
    def by_path(self) -> dict[str, ValidatedColumn]:
        """Path to column."""
        return {one.column.path: one for one in self.columns}

    def title(self, path: str) -> str:
        """The sheet's own title of a field; its path where the sheet does not have it."""
        one = self.by_path.get(path)
        return one.column.header if one else path

    def distinct_texts(self, path: str) -> Sequence[str]:
        """The distinct texts of a column; none when the sheet does not have it."""
        one = self.by_path.get(path)
        return one.texts if one else ()

    @cached_property
    def _columns_with_errors(self) -> tuple[ValidatedColumn, ...]:
        return tuple(one for one in self.columns if one.has_error.any())

    def error_paths(self, position: int | np.integer) -> tuple[str, ...]:
        """The paths of a row's cells that have errors of their own."""
        return tuple(one.column.path for one in self._columns_with_errors if one.has_error[one.codes[position]])

    def values(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are neither blank nor cleared: a create has nothing to clear."""
        return {path: value for path, value in self.changes(position).items() if value not in (None, [])}

    def changes(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are not blank; None or an empty list: to be cleared."""
        readings = ((one.column.path, one.parsed_cell(position)) for one in self.columns)
        return {path: reading.value for path, reading in readings if reading}


@dataclass(frozen=True, kw_only=True)
class Subrecord:
    """What the sheets say of one part of an object: a user or a site.

    Attributes:
        collection: `users` or `sites`.
        id: its id.
        is_removal: whether it is to be taken away.
        is_done: whether an earlier run did all of its rows: they say that the object has it, and nothing else.
        fields: path within the part to JSON value; None: to be cleared. The id is among them.
        row_ref: its first row that is to be done; its first row if none is.
        path_prefix: what stands before its paths on the sheet of that row: `users.2.`; empty on a sheet of its own.
    """

    collection: str
    id: str
    is_removal: bool
    is_done: bool
    fields: Mapping[str, Json]
    row_ref: RowRef
    path_prefix: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the sheets say of one object that has parts, in however many rows.

    Attributes:
        id: its id; empty where the network gives ids.
        action: what its rows ask for; None: to be decided from the platform's state.
        fields: path to JSON value of its own fields, the id among them; None: to be cleared.
        subrecords: its users and sites, in the order of the rows.
        row_refs: its rows, those that are to be done first, and of these the ones of the object itself.
        cell_refs: path (parts are numbered as by `numbered_subrecords`) to the row that gives it, and to the path that
            it has on that row's own sheet.
    """

    id: str
    action: Action | None
    fields: Mapping[str, Json]
    subrecords: tuple[Subrecord, ...]
    row_refs: tuple[RowRef, ...]
    cell_refs: Mapping[str, tuple[RowRef, str]] = field(repr=False)

    def flat_values(self) -> dict[str, Json]:
        """Path to JSON value of all that it holds, the parts numbered; without what is cleared, taken away or done."""
        found = dict(self.fields)
        for number, part in self.numbered_subrecords():
            found |= {f"{part.collection}.{number}.{path}": value for path, value in part.fields.items()}
        return {path: value for path, value in found.items() if value not in (None, [])}

    def to_json(self) -> dict[str, Json]:
        """The same as the JSON object of a create."""
        return paths.nest(self.flat_values())

    def subrecord_at(self, path: str) -> Subrecord | None:
        """The part that a path of `flat_values` leads into: the second user for `users.2.first_name`; None: none."""
        return next(
            (part for number, part in self.numbered_subrecords() if path.startswith(f"{part.collection}.{number}.")),
            None,
        )

    def numbered_subrecords(self) -> Iterator[tuple[int, Subrecord]]:
        """The parts that are to be added or changed, each with its number among those of its collection."""
        counts: dict[str, int] = {}
        for part in self.subrecords:
            if not part.is_removal and not part.is_done:
                counts[part.collection] = counts.get(part.collection, 0) + 1
                yield counts[part.collection], part


@dataclass(frozen=True, kw_only=True)
class ValidatedBook:
    """All that was read from one source, validated.

    Attributes:
        sheets: the sheets, in the order of the work.
        version: the API version that they were checked for.
        auto_ids: whether advertisers without an id were let through.
        records: the objects that have parts and of which a row is pending, in the order of their first rows.
        issues: one row an issue, columns `issues.ISSUE_COLUMNS`, in the order of sheets, rows and columns.
    """

    sheets: tuple[ValidatedSheet, ...]
    version: str
    auto_ids: bool
    records: tuple[Record, ...]
    issues: pd.DataFrame

    @property
    def source(self) -> str:
        """The file's name without its folder; empty for DataFrames."""
        return self.sheets[0].sheet.source

    def sheets_of(self, resource: Resource) -> Iterator[tuple[int, ValidatedSheet]]:
        """The sheets of one resource, each with its number."""
        return ((at, one) for at, one in enumerate(self.sheets) if one.sheet.resource is resource)

    def is_invalid(self, record: Record) -> bool:
        """Whether a row of an object has errors."""
        return any(self.sheets[place.sheet_index].invalid[place.position] for place in record.row_refs)
