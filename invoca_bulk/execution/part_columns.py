"""Which columns of the sheet the users and sites of a request come from, to word the platform's errors about them.

The platform counts users as the request has them. A sheet may count otherwise: some of its users are blank, users that
the platform had come first, and a row of its own may have each user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import NamedTuple

from invoca_bulk.journal import Journal
from invoca_bulk.planning import Step, merge
from invoca_bulk.planning.display_values import id_text
from invoca_bulk.schema import ADVERTISERS, SUBRESOURCE_KEY, Resource, paths
from invoca_bulk.schema.field_types import Json, normalize_text

_PART_NAMES = tuple(f"{part.name}." for part in ADVERTISERS.subresources)
#: A row as path to text.
_Row = Mapping[str, str]


class _SheetPart(NamedTuple):
    """A user or site in a row: the start of its paths there, such as `users.3.`."""

    row: _Row
    prefix: str


class PartColumns:
    """The columns of one run's rows, which the journal has; used in the thread that owns its connection."""

    def __init__(self, journal: Journal, run: str) -> None:
        self._journal = journal
        self._run = run

    def titles_for(self, step: Step, body: Mapping[str, Json], titles: Mapping[str, str]) -> Mapping[str, str]:
        """The titles by the paths of a request's body; without those of users and sites that no row has."""
        rows = list(self._rows(step))
        translated = {path: title for path, title in titles.items() if not path.startswith(_PART_NAMES) or "#" in path}
        for part in ADVERTISERS.subresources:
            for number, record in enumerate(body.get(part.name) or (), 1):
                if sheet_part := _find_part(rows, part, id_text(part, record)):
                    translated |= _translate_titles(titles, sheet_part, f"{part.name}.{number}.", record)
        return translated

    @cached_property
    def _positions(self) -> Mapping[int, list[int]]:
        return self._journal.row_positions(self._run)

    @cached_property
    def _paths(self) -> list[list[str]]:
        """The path of each column of each sheet of advertisers, or its header where it has none."""
        return [
            [column.path if (column := ADVERTISERS.column_for(header)) else header for header in sheet.headers]
            if sheet.resource == ADVERTISERS.name
            else []
            for sheet in self._journal.run(self._run).sheets
        ]

    def _rows(self, step: Step) -> Iterator[_Row]:
        positions = self._positions.get(step.number, [])
        for sheet, cells in self._journal.row_cells(self._run, positions):
            yield dict(zip(self._paths[sheet], cells, strict=False))


def _find_part(rows: list[_Row], part: Resource, own_id: str) -> _SheetPart | None:
    pattern = f"{part.name}.#.{SUBRESOURCE_KEY}"
    for row in rows:
        for path, text in row.items():
            if paths.to_pattern(path) == pattern and normalize_text(text) == own_id.strip():
                return _SheetPart(row, path.removesuffix(SUBRESOURCE_KEY))
    return None


def _translate_titles(
    titles: Mapping[str, str], sheet_part: _SheetPart, body_prefix: str, record: Mapping[str, Json]
) -> dict[str, str]:
    """The titles of a part, by the numbers that the body gives to it and to its email addresses."""
    row, prefix = sheet_part
    translated = {}
    entries = _entry_prefixes(row, prefix, record)
    for path, title in titles.items():
        if path.startswith(prefix):
            rest = path.removeprefix(prefix)
            entry = next((entry for entry in entries if rest.startswith(entry)), "")
            translated[body_prefix + entries.get(entry, "") + rest.removeprefix(entry)] = title
    return translated


def _entry_prefixes(row: _Row, prefix: str, record: Mapping[str, Json]) -> dict[str, str]:
    """The start of the paths of an email address in the row to that in the body, by the address itself."""
    prefixes: dict[str, str] = {}
    for name, key in merge.ENTRY_KEY_FIELDS.items():
        sent = {merge.entry_key(entry.get(key)): number for number, entry in enumerate(record.get(name) or (), 1)}
        for path, text in row.items():
            entry = path.removeprefix(prefix).removesuffix(key)
            if path.startswith(f"{prefix}{name}.") and path.endswith(f".{key}"):
                number = sent.get(merge.entry_key(normalize_text(text)))
                prefixes |= {entry: f"{name}.{number}."} if number else {}
    return prefixes
