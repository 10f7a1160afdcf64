"""Rows -> frames and worksheets, with the template's columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pandas as pd

from invoca_bulk.reports import templates
from invoca_bulk.reports.xlsx import WorksheetSpec
from invoca_bulk.schema import SHEET_RESOURCES, Resource, Role, paths
from invoca_bulk.service.export.object_rows import Row, split_part_path

_FIRST_DATA_ROW = 2
_SOURCE = "source_promo_number"


class ExportTables:
    """The rows of an export, with numbered users and sites, as tables."""

    def __init__(self, resource: Resource, rows: Sequence[Row], version: str, *, for_migration: bool) -> None:
        self._resource = resource
        self._version = version
        part_prefixes = tuple(f"{part.name}." for part in resource.subresources)
        self._object_rows = [
            {path: text for path, text in row.items() if not path.startswith(part_prefixes)} for row in rows
        ]
        self._part_rows = {
            part.name: [_split_part_rows(resource, part, row) for row in rows] for part in resource.subresources
        }
        self._identifier_field = _SOURCE if for_migration and _SOURCE in resource.by_path else resource.identifier_field

    def to_frames(self) -> dict[str, pd.DataFrame]:
        """A frame for the resource and for its users and sites, by resource name."""
        frames = {self._resource.name: _to_frame(self._object_columns(), self._object_rows)}
        return frames | {part.name: self._part_frame(part) for part in self._resource.subresources}

    def to_worksheets(self, *, flat: bool) -> list[WorksheetSpec]:
        """The worksheets of a workbook; `flat`: a single one, with numbered columns for users and sites."""
        if flat:
            frame = self._flat_frame()
            return [WorksheetSpec(name=self._resource.name, header=list(frame.columns), rows=_to_lists(frame))]
        return [_to_worksheet(SHEET_RESOURCES[name], frame) for name, frame in self.to_frames().items()]

    def _object_columns(self) -> list[str]:
        return _used_columns(self._resource, self._version, self._object_rows, self._identifier_field)

    def _part_columns(self, part: Resource) -> list[str]:
        rows = [row for part_rows in self._part_rows[part.name] for row in part_rows]
        return _used_columns(part, self._version, rows, part.identifier_field)

    def _part_frame(self, part: Resource) -> pd.DataFrame:
        (parent_column,) = (field.path for field in part.fields if field.role is Role.PARENT)
        rows = [
            {parent_column: object_row[self._resource.identifier_field], **part_row}
            for object_row, part_rows in zip(self._object_rows, self._part_rows[part.name], strict=True)
            for part_row in part_rows
        ]
        return _to_frame(self._part_columns(part), rows)

    def _flat_frame(self) -> pd.DataFrame:
        columns, rows = self._object_columns(), [dict(row) for row in self._object_rows]
        for part in self._resource.subresources:
            max_parts = max(map(len, self._part_rows[part.name]), default=0)
            part_columns = [
                path
                for path in self._part_columns(part)
                if part.by_path[paths.to_pattern(path)].role is not Role.PARENT
            ]
            numbers = range(1, max(max_parts, 1) + 1)
            columns += [f"{part.name}.{number}.{path}" for number in numbers for path in part_columns]
            for row, part_rows in zip(rows, self._part_rows[part.name], strict=True):
                for number, part_row in enumerate(part_rows, 1):
                    row.update({f"{part.name}.{number}.{path}": text for path, text in part_row.items()})
        return _to_frame(columns, rows)


def _split_part_rows(resource: Resource, part: Resource, row: Row) -> list[Row]:
    """The rows of an object's users or sites, by number."""
    part_rows: dict[int, Row] = {}
    for path, text in row.items():
        sheet, number, column = split_part_path(resource, path)
        if sheet == part.name:
            part_rows.setdefault(number, {})[column] = text
    return [part_rows[number] for number in sorted(part_rows)]


def _used_columns(resource: Resource, version: str, rows: Iterable[Row], identifier_field: str) -> list[str]:
    """The template's columns and the columns in use, such as custom data keys and list entry numbers."""
    columns = [
        path for path, field in templates.template_columns(resource, version).items() if not field.path.endswith("*")
    ]
    if identifier_field == resource.identifier_field:  # existing objects can be deleted or moved; migrated ones cannot
        columns += [
            field.path
            for field in resource.fields
            if field.path == "action" or (not field.applies_on_create and field.is_known_in(version))
        ]
    used = [path for row in rows for path in row]
    return sorted(dict.fromkeys([*columns, identifier_field, *used]), key=_column_sort_key(resource))


def _column_sort_key(resource: Resource) -> Callable[[str], tuple[int, int, int]]:
    """Sorts columns by the order of the schema; the fields of one list entry stay together."""
    order = {field.path: index for index, field in enumerate(resource.fields)}

    def rank(path: str) -> tuple[int, int, int]:
        pattern = paths.to_pattern(path)
        list_path, number_mark, _ = pattern.partition("#")
        if not number_mark:
            return order[pattern], 0, 0
        first = min(index for field_path, index in order.items() if field_path.startswith(list_path))
        return first, int(path.removeprefix(list_path).partition(".")[0]), order[pattern]

    return rank


def _to_frame(columns: Sequence[str], rows: Sequence[Row]) -> pd.DataFrame:
    index = pd.RangeIndex(_FIRST_DATA_ROW, _FIRST_DATA_ROW + len(rows)).astype("int64").rename("row")
    return pd.DataFrame({path: [row.get(path, "") for row in rows] for path in columns}, index=index, dtype=str)


def _to_worksheet(resource: Resource, frame: pd.DataFrame) -> WorksheetSpec:
    columns = {path: resource.by_path[paths.to_pattern(path)] for path in frame.columns}
    return templates.build_worksheet(resource, columns, _to_lists(frame))


def _to_lists(frame: pd.DataFrame) -> list[list[str]]:
    return list(map(list, zip(*(frame[path] for path in frame.columns), strict=True)))
