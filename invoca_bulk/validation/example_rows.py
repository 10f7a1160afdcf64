"""Rows that are examples of the template, left between an analyst's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from invoca_bulk.schema import Resource, Role, paths
from invoca_bulk.validation.model import ValidatedColumn

#: Fields by which no example is recognized: analysts rename the template's custom column, and change what is not sent.
_COMPARED_ROLES = frozenset({Role.PATH, Role.BODY, Role.PARENT})
_CUSTOM_DATA_PREFIX = f"{paths.CUSTOM_DATA}."


def find_example_rows(resource: Resource, columns: Mapping[str, ValidatedColumn]) -> Iterator[int]:
    """The positions of the rows that have all cells of an example; `columns`: path to column."""
    for example in resource.examples:
        compared = {path: text for path, text in example.items() if _is_compared(resource, path)}
        if all(path in columns and text in columns[path].texts for path, text in compared.items()):
            masks = [columns[path].codes == columns[path].texts.index(text) for path, text in compared.items()]
            yield from np.flatnonzero(np.logical_and.reduce(masks)).tolist()


def _is_compared(resource: Resource, path: str) -> bool:
    column = resource.column_for(path)
    return column is not None and column.field.role in _COMPARED_ROLES and not path.startswith(_CUSTOM_DATA_PREFIX)
