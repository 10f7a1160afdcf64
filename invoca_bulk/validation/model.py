"""The records that validation hands to the next stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from invoca_bulk.schema import paths
from invoca_bulk.schema.field_types import PHONE, Reading, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from invoca_bulk.schema import Action, Column, Resource
    from invoca_bulk.schema.field_types import Json
    from invoca_bulk.sheets import Sheet

    Codes = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]


class Place(NamedTuple):
    """Where a row stands.

    Attributes:
        sheet: the number of its sheet, from 0.
        position: its position in the sheet, from 0.
    """

    sheet: int
    position: int


def national(number: str) -> str:
    """A phone number without the country code of the USA and Canada: each of theirs has two forms that are sent."""
    return number.removeprefix("+1")


@dataclass(frozen=True, kw_only=True)
class CheckedColumn:
    """One known column, each distinct text read once.

    Attributes:
        column: which column it is.
        codes: row position to the index of its text in `texts`.
        texts: the distinct texts.
        meant: index of a text to what it means; None: blank, or not readable. All others mean themselves.
        refused: whether each of them has an error.
    """

    column: Column
    codes: Codes
    texts: Sequence[str]
    meant: Mapping[int, Reading | None]
    refused: Mask

    @cached_property
    def filled(self) -> Mask:
        """Row position to whether the cell holds anything, readable or not."""
        filled = np.ones(len(self.texts), dtype=bool)
        for at in self.meant:
            filled[at] = bool(plain(self.texts[at]))
        return filled[self.codes]

    @cached_property
    def states(self) -> Codes:
        """Row position to 1 where the cell has a value, 2 where it has an error, 0 where it is blank or clears."""
        states = np.ones(len(self.texts), dtype="int64")
        for at, reading in self.meant.items():
            states[at] = reading is not None and reading.value not in (None, [])
        states[self.refused] = 2
        return states[self.codes]

    @cached_property
    def meanings(self) -> Codes:
        """Row position to a number that rows share whose cells mean the same, such as `X` and `X ` do."""
        if not self.meant:
            return self.codes
        is_phone = self.column.field.kind is PHONE
        meanings = np.array(self.texts, dtype="object")
        for at, reading in self.meant.items():
            text = str(reading.value) if reading else plain(self.texts[at])
            meanings[at] = national(text) if is_phone else text
        codes, _ = pd.factorize(meanings)
        return codes[self.codes]

    def reading(self, at: int) -> Reading | None:
        """What a text means, by its index; None: blank, or not readable."""
        return self.meant[at] if at in self.meant else Reading(value=self.texts[at])

    def value(self, position: int | np.integer) -> Reading | None:
        """What the cell of a row means; None: blank, or not readable."""
        return self.reading(int(self.codes[position]))


@dataclass(frozen=True, kw_only=True)
class CheckedSheet:
    """One sheet that was validated.

    Attributes:
        sheet: what was read.
        columns: the known columns, in the sheet's order.
        pending: row position to whether there is anything to do; False where an earlier run's outcome stands.
        unknown: row position to whether an earlier run could not tell what became of the row.
        creates: row position to whether the row certainly asks for a new object.
        invalid: row position to whether the row has errors, shares its object with one that has, or cannot be trusted
            because the headers have errors. Only pending rows are invalid.
    """

    sheet: Sheet
    columns: tuple[CheckedColumn, ...]
    pending: Mask
    unknown: Mask
    creates: Mask
    invalid: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def to_do(self) -> Mask:
        """Row position to whether the row can be done and has not been done."""
        return self.pending & ~self.invalid

    @cached_property
    def by_path(self) -> dict[str, CheckedColumn]:
        """Path to column."""
        return {one.column.path: one for one in self.columns}

    def title(self, path: str) -> str:
        """The sheet's own title of a field; its path where the sheet does not have it."""
        one = self.by_path.get(path)
        return one.column.header if one else path

    def texts(self, path: str) -> Sequence[str]:
        """The distinct texts of a column; none when the sheet does not have it."""
        one = self.by_path.get(path)
        return one.texts if one else ()

    @cached_property
    def _spoilt(self) -> tuple[CheckedColumn, ...]:
        return tuple(one for one in self.columns if one.refused.any())

    def refused(self, position: int | np.integer) -> tuple[str, ...]:
        """The paths of a row's cells that have errors of their own."""
        return tuple(one.column.path for one in self._spoilt if one.refused[one.codes[position]])

    def values(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are neither blank nor cleared: a create has nothing to clear."""
        return {path: value for path, value in self.changes(position).items() if value not in (None, [])}

    def changes(self, position: int | np.integer) -> dict[str, Json]:
        """Path to JSON value of a row's cells that are not blank; None or an empty list: to be cleared."""
        readings = ((one.column.path, one.value(position)) for one in self.columns)
        return {path: reading.value for path, reading in readings if reading}


@dataclass(frozen=True, kw_only=True)
class Part:
    """What the sheets say of one part of an object: a user or a site.

    Attributes:
        collection: `users` or `sites`.
        id: its id.
        remove: whether it is to be taken away.
        done: whether an earlier run did all of its rows: they say that the object has it, and nothing else.
        fields: path within the part to JSON value; None: to be cleared. The id is among them.
        place: its first row that is to be done; its first row if none is.
        prefix: what stands before its paths on the sheet of that row: `users.2.`; empty on a sheet of its own.
    """

    collection: str
    id: str
    remove: bool
    done: bool
    fields: Mapping[str, Json]
    place: Place
    prefix: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """What the sheets say of one object that has parts, in however many rows.

    Attributes:
        id: its id; empty where the network gives ids.
        action: what its rows ask for; None: to be decided from the platform's state.
        fields: path to JSON value of its own fields, the id among them; None: to be cleared.
        parts: its users and sites, in the order of the rows.
        places: its rows, those that are to be done first, and of these the ones of the object itself.
        cells: path (parts are numbered as by `numbered`) to the row that gives it, and to the path that it has on that
            row's own sheet.
    """

    id: str
    action: Action | None
    fields: Mapping[str, Json]
    parts: tuple[Part, ...]
    places: tuple[Place, ...]
    cells: Mapping[str, tuple[Place, str]] = field(repr=False)

    def flat(self) -> dict[str, Json]:
        """Path to JSON value of all that it holds, the parts numbered; without what is cleared, taken away or done."""
        found = dict(self.fields)
        for number, part in self.numbered():
            found |= {f"{part.collection}.{number}.{path}": value for path, value in part.fields.items()}
        return {path: value for path, value in found.items() if value not in (None, [])}

    def tree(self) -> dict[str, Json]:
        """The same as the JSON object of a create."""
        return paths.nest(self.flat())

    def part_of(self, path: str) -> Part | None:
        """The part that a path of `flat` leads into: the second user for `users.2.first_name`; None: none."""
        return next((part for number, part in self.numbered() if path.startswith(f"{part.collection}.{number}.")), None)

    def numbered(self) -> Iterator[tuple[int, Part]]:
        """The parts that are to be added or changed, each with its number among those of its collection."""
        counts: dict[str, int] = {}
        for part in self.parts:
            if not part.remove and not part.done:
                counts[part.collection] = counts.get(part.collection, 0) + 1
                yield counts[part.collection], part


@dataclass(frozen=True, kw_only=True)
class Checked:
    """All that was read from one source, validated.

    Attributes:
        sheets: the sheets, in the order of the work.
        version: the API version that they were checked for.
        auto_ids: whether advertisers without an id were let through.
        records: the objects that have parts and of which a row is pending, in the order of their first rows.
        issues: one row an issue, columns `issues.ISSUE_COLUMNS`, in the order of sheets, rows and columns.
    """

    sheets: tuple[CheckedSheet, ...]
    version: str
    auto_ids: bool
    records: tuple[Record, ...]
    issues: pd.DataFrame

    @property
    def source(self) -> str:
        """The file's name without its folder; empty for DataFrames."""
        return self.sheets[0].sheet.source

    def of(self, resource: Resource) -> Iterator[tuple[int, CheckedSheet]]:
        """The sheets of one resource, each with its number."""
        return ((at, one) for at, one in enumerate(self.sheets) if one.sheet.resource is resource)

    def is_invalid(self, record: Record) -> bool:
        """Whether a row of an object has errors."""
        return any(self.sheets[place.sheet].invalid[place.position] for place in record.places)
