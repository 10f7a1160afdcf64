"""Rows -> frames and worksheets, with the template's columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from invoca_bulk.reports import templates
from invoca_bulk.reports.xlsx import WorksheetSpec
from invoca_bulk.schema import SHEET_RESOURCES, Role, paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.service.export.object_rows import Row

_FIRST_DATA_ROW = 2
_SOURCE = "source_promo_number"


class ExportTables:
    """The rows of an export as tables.

    Args:
        resource: what they are about.
        rows: its rows, the parts numbered.
        version: the API version whose columns they have.
        for_migration: whether they are meant for another network.
    """

    def __init__(self, resource: Resource, rows: Sequence[Row], version: str, *, for_migration: bool) -> None:
        self._resource = resource
        self._version = version
        self._object_rows = [_without_parts(resource, row) for row in rows]
        self._part_rows = {part.name: [_split_part_rows(part, row) for row in rows] for part in resource.subresources}
        self._identifier_field = _SOURCE if for_migration and _SOURCE in resource.by_path else resource.identifier_field

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """A frame for the resource and for each of its parts, by their names."""
        own = {self._resource.name: _to_frame(self._object_columns(), self._object_rows)}
        return own | {part.name: self._part_frame(part) for part in self._resource.subresources}

    def to_worksheets(self, *, flat: bool) -> list[WorksheetSpec]:
        """The worksheets of a workbook; `flat`: one only, with numbered columns for the parts."""
        if flat:
            frame = self._flat_frame()
            return [WorksheetSpec(name=self._resource.name, header=list(frame.columns), rows=_to_lists(frame))]
        return [_to_worksheet(SHEET_RESOURCES[name], frame) for name, frame in self.to_frames().items()]

    def _object_columns(self) -> list[str]:
        return _used_columns(self._resource, self._version, self._object_rows, self._identifier_field)

    def _part_columns(self, part: Resource) -> list[str]:
        rows = [row for of_one in self._part_rows[part.name] for row in of_one]
        return _used_columns(part, self._version, rows, part.identifier_field)

    def _part_frame(self, part: Resource) -> pd.DataFrame:
        (parent,) = (one.path for one in part.fields if one.role is Role.PARENT)
        named = zip(self._object_rows, self._part_rows[part.name], strict=True)
        rows = [{parent: own[self._resource.identifier_field], **row} for own, of_one in named for row in of_one]
        return _to_frame(self._part_columns(part), rows)

    def _flat_frame(self) -> pd.DataFrame:
        columns, rows = self._object_columns(), [dict(row) for row in self._object_rows]
        for part in self._resource.subresources:
            most = max(map(len, self._part_rows[part.name]), default=0)
            own = [
                path
                for path in self._part_columns(part)
                if part.by_path[paths.to_pattern(path)].role is not Role.PARENT
            ]
            columns += [f"{part.name}.{number}.{path}" for number in range(1, max(most, 1) + 1) for path in own]
            for row, of_one in zip(rows, self._part_rows[part.name], strict=True):
                for number, one in enumerate(of_one, 1):
                    row.update({f"{part.name}.{number}.{path}": text for path, text in one.items()})
        return _to_frame(columns, rows)


def _without_parts(resource: Resource, row: Row) -> Row:
    elsewhere = tuple(f"{part.name}." for part in resource.subresources)
    return {path: text for path, text in row.items() if not path.startswith(elsewhere)} if elsewhere else row


def _split_part_rows(part: Resource, row: Row) -> list[Row]:
    """The rows of an object's parts, in the order of their numbers."""
    found: dict[int, Row] = {}
    for path, text in row.items():
        name, _, rest = path.partition(".")
        if name == part.name:
            number, _, column = rest.partition(".")
            found.setdefault(int(number), {})[column] = text
    return [found[number] for number in sorted(found)]


def _used_columns(resource: Resource, version: str, rows: Iterable[Row], named_by: str) -> list[str]:
    """The template's columns and those in use: one for each key of custom data, as many numbers as there are."""
    template = [
        path for path, one in templates.template_columns(resource, version).items() if not one.path.endswith("*")
    ]
    if (
        named_by == resource.identifier_field
    ):  # what exists can be deleted or moved; what is meant for another network cannot
        template += [one.path for one in resource.fields if _is_only_for_existing(one, version)]
    used = [path for row in rows for path in row]
    return sorted(dict.fromkeys([*template, named_by, *used]), key=_column_sort_key(resource))


def _is_only_for_existing(one: Field, version: str) -> bool:
    return one.path == "action" or (not one.applies_on_create and one.is_known_in(version))


def _column_sort_key(resource: Resource) -> Callable[[str], tuple[int, int, int]]:
    """A column's place: that of its field in the table; the fields of one record of a list stay together."""
    order = {one.path: at for at, one in enumerate(resource.fields)}

    def rank(path: str) -> tuple[int, int, int]:
        pattern = paths.to_pattern(path)
        parent, mark, _ = pattern.partition("#")
        if not mark:
            return order[pattern], 0, 0
        first = min(at for other, at in order.items() if other.startswith(parent))
        return first, int(path.removeprefix(parent).partition(".")[0]), order[pattern]

    return rank


def _to_frame(columns: Sequence[str], rows: Sequence[Row]) -> pd.DataFrame:
    index = pd.RangeIndex(_FIRST_DATA_ROW, _FIRST_DATA_ROW + len(rows)).astype("int64").rename("row")
    return pd.DataFrame({path: [row.get(path, "") for row in rows] for path in columns}, index=index, dtype=str)


def _to_worksheet(resource: Resource, frame: pd.DataFrame) -> WorksheetSpec:
    columns = {path: resource.by_path[paths.to_pattern(path)] for path in frame.columns}
    return templates.build_worksheet(resource, columns, _to_lists(frame))


def _to_lists(frame: pd.DataFrame) -> list[list[str]]:
    return list(map(list, zip(*(frame[path] for path in frame.columns), strict=True)))
