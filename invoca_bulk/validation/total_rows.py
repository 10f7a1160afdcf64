"""Rows that look like totals of the rows above them, such as `Total | | | 5`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from invoca_bulk.schema import Action, Resource, Role
from invoca_bulk.schema.field_types import normalize_text
from invoca_bulk.sheets import Sheet
from invoca_bulk.validation.model import ValidatedColumn

#: The words of the spreadsheet programs in several languages, with which a total's label begins or ends.
_WORD = (
    r"(?:(?:grand|sub|over[ -]?all|sous|running|column|net)[ -]*)?"
    r"(?:totals?|totale|totaal|sums?|summe|somme|suma|somma)"
    r"|(?:gesamt|zwischen|end)(?:summe|ergebnis)?|(?:sub|eind)tota(?:al|les)"
)
#: The whole text is a label: `Total`, `TOTAL:`, `Grand total (5)`. Possessive, or many spaces would take hours.
_LABEL = re.compile(rf"\W*(?:{_WORD})(?:\s+(?:g[eé]n[eé]ral|complessivo))?\W*+(?:\d[\d.,\s]*+\W*+)?", re.IGNORECASE)
#: The text ends with a label, as Excel's subtotals do in the column that it groups by: `A-1 Total`.
_GROUP_LABEL = re.compile(rf".+\s(?:{_WORD})\W*", re.IGNORECASE)
#: Finds out whether any line of a text may be a label, without a look at each line.
_ANY_LABEL = re.compile(rf"\n[^\w\n]*+(?i:{_WORD})\b")
_NUMBER = re.compile(r"[-+(]?\s*[$€£]?\s*\d[\d.,'\s]*\s*[%€)]?")
#: Of the columns beside the label, at most one in this many may hold a text that is not a number.
_COLUMNS_PER_TEXT = 4


def find_total_rows(sheet: Sheet, columns: Mapping[str, ValidatedColumn]) -> Iterator[tuple[int, str]]:
    """The position of each row that looks like a total, with the title of the column that says so.

    A row whose `action` is `create`, or that is complete, is none, whatever it is called. `columns`: path to column.
    """
    required = [field.path for field in sheet.resource.fields if Action.CREATE in field.required_on]
    if all(path in columns and columns[path].filled.all() for path in required if "#" not in path):
        return  # the normal sheet: no text of it needs to be looked at
    roles = {header: _role(sheet.resource, header) for header in sheet.frame.columns}
    headers = [header for header, role in roles.items() if role is not Role.RESULT]
    labels = {header: positions for header in headers if (positions := _find_labels(sheet, header, roles[header]))}
    for position in sorted(set().union(*labels.values())):
        cells = {header: normalize_text(sheet.frame.iloc[position][header]) for header in headers}
        label_headers = [header for header, positions in labels.items() if position in positions]
        if _is_total(sheet.resource, cells, label_headers):
            yield position, label_headers[0]


def _role(resource: Resource, header: str) -> Role | None:
    column = resource.column_for(header)
    return column.field.role if column else None


def _find_labels(sheet: Sheet, header: str, role: Role | None) -> set[int]:
    """The positions of the rows whose cell in a column is a total's label."""
    codes, texts = sheet.encode_column(header)
    groups_rows = role in {Role.PATH, Role.PARENT}
    lines = "\n".join(["", *texts])
    if not (_ANY_LABEL.search(lines) or (groups_rows and "total" in lines.casefold())):
        return set()
    indexes = [
        index
        for index, text in enumerate(texts)
        if _LABEL.fullmatch(text) or (groups_rows and _GROUP_LABEL.fullmatch(text))
    ]
    return set(np.flatnonzero(np.isin(codes, indexes)).tolist())


def _is_total(resource: Resource, cells: Mapping[str, str], label_headers: Sequence[str]) -> bool:
    paths = {header: column.path for header in cells if (column := resource.column_for(header))}
    texts = {path: cells[header] for header, path in paths.items()}
    if texts.get("action", "").casefold() == Action.CREATE or _is_complete(resource, texts, label_headers, paths):
        return False
    others = [text for header, text in cells.items() if header not in label_headers]
    texts_beside = [text for text in others if text and not _NUMBER.fullmatch(text)]
    return len(texts_beside) * _COLUMNS_PER_TEXT <= len(others)


def _is_complete(
    resource: Resource, texts: Mapping[str, str], label_headers: Iterable[str], paths: Mapping[str, str]
) -> bool:
    """Whether the row has all that a new object needs, or says with other cells than labels what it is about."""
    label_paths = {paths.get(header) for header in label_headers}
    fields = [field for field in resource.fields if "#" not in field.path]
    return all(texts.get(field.path) for field in fields if Action.CREATE in field.required_on) or all(
        texts.get(field.path) and field.path not in label_paths for field in fields if field.is_always_required
    )
