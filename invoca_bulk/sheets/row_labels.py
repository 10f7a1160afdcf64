"""What a user calls the rows of a sheet: their numbers in a spreadsheet, or the labels of a DataFrame's own index.

Everything between reading and reporting knows a row by its number. Only what a user sees or gets back has the labels.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import truncate
from invoca_bulk.wording import join_limited

#: The first row below the header, as in pandas' to_excel; the rows of a DataFrame are numbered from here.
FIRST_ROW_NUMBER = 2
ROW_INDEX_NAME = "row"
_MAX_LABEL_CHARACTERS = 60
#: How many rows a message names.
MAX_ROWS_NAMED = 8

#: How messages name rows.
Naming: TypeAlias = Literal["row", "index", "position"]
#: Naming to what follows a list of rows: `rows 2, 3`, `rows 'a', 'b' of the index`.
_LIST_SUFFIXES: Mapping[Naming, str] = {"row": "", "index": " of the index", "position": " by position"}


@dataclass(frozen=True, kw_only=True, eq=False)
class RowLabels:
    """The label of each row of a sheet."""

    numbers: pd.Index  # the row numbers, each once; blank rows may be among them
    index: pd.Index  # the label of each; the numbers themselves for a spreadsheet
    columns: tuple[str, ...] = ()  # the titles of the sheet's columns that are levels of the index

    @property
    def is_spreadsheet(self) -> bool:
        """Whether the row numbers are those that a spreadsheet shows."""
        return self.index is self.numbers

    @cached_property
    def naming(self) -> Naming:
        """How messages name a row; by position, from 0, if its label does not say which row is meant."""
        if self.is_spreadsheet:
            return "row"
        return "index" if self.index.is_unique else "position"

    def select(self, numbers: list[int] | pd.Index) -> pd.Index:
        """The labels of rows, given by their numbers."""
        return self.index.take(self.numbers.get_indexer(pd.Index(np.asarray(numbers, dtype="int64"))))

    def label(self, number: int) -> Any:  # noqa: ANN401  labels have any type
        """The label of a row."""
        return int(number) if self.is_spreadsheet else self.index[self.numbers.get_loc(number)]

    def name(self, number: int) -> int | str:
        """A row's number, label or position, as messages show it."""
        if self.naming == "position":
            return int(number) - FIRST_ROW_NUMBER
        return format_label(self.label(number))

    def describe(self, number: int) -> str:
        """A row in a message: `row 5`, `index 'a'`, `position 3`."""
        return f"{self.naming} {self.name(number)}"

    @property
    def list_suffix(self) -> str:
        """What follows the names of several rows in a message."""
        return _LIST_SUFFIXES[self.naming]

    def name_all(self, numbers: Sequence[int] | npt.NDArray[np.int64] | pd.Index) -> str:
        """Several rows in a message: `2, 5 and 3 more`, `'a', 'b' of the index`."""
        names = [str(self.name(number)) for number in numbers[:MAX_ROWS_NAMED]]
        unnamed = [""] * (len(numbers) - len(names))  # only counted: they may be the whole sheet
        return join_limited([*names, *unnamed], MAX_ROWS_NAMED) + self.list_suffix


def number_rows(numbers: pd.Index) -> RowLabels:
    """The labels of the rows of a spreadsheet."""
    return RowLabels(numbers=numbers, index=numbers)


def label_positions(index: pd.Index, columns: tuple[str, ...] = ()) -> RowLabels:
    """The labels of the rows of a DataFrame, numbered by position."""
    numbers = pd.RangeIndex(FIRST_ROW_NUMBER, FIRST_ROW_NUMBER + len(index))
    return RowLabels(numbers=numbers, index=index, columns=columns)


def format_label(label: object) -> int | str:
    """A label in a message: a whole number as it is, text in quotes, the levels of a MultiIndex with slashes."""
    if isinstance(label, tuple | list):
        return " / ".join(str(format_label(level)) for level in label)
    if isinstance(label, int | np.integer) and not isinstance(label, bool | np.timedelta64):
        return int(label)
    return repr(truncate(label, _MAX_LABEL_CHARACTERS)) if isinstance(label, str) else _to_text(label)


def _to_text(label: object) -> str:
    return truncate(" ".join(str(label).split()), _MAX_LABEL_CHARACTERS)


# In the journal and in saved plans


def to_stored_label(label: Any) -> Json:  # noqa: ANN401  labels have any type
    """A label as JSON: numbers, texts and truth values as they are, others as text; a missing one is null."""
    if isinstance(label, tuple):
        return [to_stored_label(level) for level in label]
    value = label.item() if isinstance(label, np.integer | np.floating | np.bool_) else label
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return str(value) if isinstance(value, str) else value
    is_missing = pd.api.types.is_scalar(value) and pd.isna(value)
    return None if is_missing else _to_text(value)


def to_stored_names(index: pd.Index) -> tuple[str | None, ...]:
    """The names of an index as JSON."""
    return tuple(None if name is None else str(name) for name in index.names)


def from_stored(labels: Iterable[Any], names: Sequence[str | None]) -> pd.Index:
    """An index from its labels and names as JSON."""
    hashable = [_to_hashable(label) for label in labels]
    if len(names) > 1:
        return pd.MultiIndex.from_tuples(hashable, names=list(names))
    index: pd.Index = pd.Index(hashable, name=names[0], tupleize_cols=False)
    return index


def _to_hashable(label: Any) -> Any:  # noqa: ANN401  labels have any type
    """A label that was a tuple, which JSON stores as a list."""
    return tuple(map(_to_hashable, label)) if isinstance(label, list) else label
