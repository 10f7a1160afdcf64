"""Sheets that several tests share: requests of promo numbers, and advertisers in the three shapes of input."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    #: Path to cell text of an advertiser; `sites` and `users` are lists of the same.
    Advertiser = Mapping[str, Any]

#: A request of a number that is good in every version.
GOOD = {
    "advertiser_id_from_network": "A-1",
    "advertiser_campaign_id_from_network": "C-1",
    "description": "Spring sale",
    "media_type": "Online: Display",
}


#: Codes that rows of several sheets, or several rows of an object, can give: `test_records` finds each.
OF_RECORDS = {
    "part_without_id",
    "parent_missing",
    "contradiction",
    "duplicate_name",
    "email_repeated",
    "nobody_notified",
    "no_site",
    "sheet_ignored",
}
#: Codes that only the platform's state can give: the tests of the plan find each.
OF_THE_PLAN_OF_NUMBERS = {
    "own_id_exists",
    "campaign_not_found",
    "number_not_found",
    "own_id_not_found",
    "own_id_differs",
    "parent_deleted",
}
OF_THE_PLAN_OF_ADVERTISERS = {
    "advertiser_exists",
    "advertiser_not_found",
    "name_taken",
    "would_be_removed",
    "row_beside_invalid",
    "already_gone",
    "default_site_changes",
}
OF_THE_PLAN = OF_THE_PLAN_OF_NUMBERS | OF_THE_PLAN_OF_ADVERTISERS


def frame_of(*rows: Mapping[str, Any], base: Mapping[str, Any] = GOOD) -> pd.DataFrame:
    """Rows that are good but for what is said of each; blank where a row says nothing of another's column."""
    titles = dict.fromkeys(title for row in (base, *rows) for title in row)
    return pd.DataFrame([{**base, **row} for row in rows], columns=list(titles)).fillna("")


# Advertisers


def site(own_id: str = "315", **more: str) -> dict[str, str]:
    return {"id_from_network": own_id, "name": f"Site {own_id}"} | more


def user(own_id: str = "U-1", **more: str) -> dict[str, str]:
    """A user whom every network would take; a double underscore in a name stands for the dot of a path."""
    good = {
        "id_from_network": own_id,
        "email_settings.1.email_address": f"{own_id.lower().strip('.') or 'someone'}@example.com",
        "email_settings.1.use_for_notifications": "TRUE",
        "first_name": "Chris",
        "last_name": f"Dean {own_id}".strip(),
        "contact_phone_number": "8055550100",
    }
    return good | {name.replace("__", "."): text for name, text in more.items()}


def advertiser(own_id: str = "A-1", **more: Any) -> dict[str, Any]:
    """An advertiser that every network would take, with a site and a user."""
    return {
        "id_from_network": own_id,
        "name": f"Business {own_id}".strip(),
        "sites": [site()],
        "users": [user()],
    } | {name.replace("__", "."): text for name, text in more.items()}


PARTS = ("sites", "users")


def _own(one: Advertiser) -> dict[str, str]:
    return {path: text for path, text in one.items() if path not in PARTS}


def _parts(one: Advertiser) -> Iterator[tuple[str, int, Mapping[str, str]]]:
    for collection in PARTS:
        yield from ((collection, number, part) for number, part in enumerate(one.get(collection, ()), 1))


def _frame(rows: list[dict[str, str]], *least: str) -> pd.DataFrame:
    titles = dict.fromkeys([*least, *(title for row in rows for title in row)])
    return pd.DataFrame(rows, columns=list(titles)).fillna("")


def book(*advertisers: Advertiser) -> dict[str, pd.DataFrame]:
    """A sheet for the advertisers and one for each sort of their parts."""
    parent = "advertiser_id_from_network"
    frames = {"advertisers": _frame([_own(one) for one in advertisers])}
    for collection in PARTS:
        rows = [
            {parent: one.get("id_from_network", "")} | dict(part)
            for one in advertisers
            for name, _, part in _parts(one)
            if name == collection
        ]
        frames[collection] = _frame(rows, parent, "id_from_network")
    return frames


def numbered(*advertisers: Advertiser) -> pd.DataFrame:
    """A row for each advertiser, its parts in numbered columns."""
    return _frame(
        [
            _own(one)
            | {f"{name}.{number}.{path}": text for name, number, part in _parts(one) for path, text in part.items()}
            for one in advertisers
        ]
    )


def repeated(*advertisers: Advertiser) -> pd.DataFrame:
    """A row for each part, which names its advertiser; what else is known of that stands on its first row."""
    rows: list[dict[str, str]] = []
    for one in advertisers:
        own = [{f"{name}.{path}": text for path, text in part.items()} for name, _, part in _parts(one)] or [{}]
        named = {"id_from_network": one.get("id_from_network", "")}
        rows += [_own(one) | own[0], *(named | row for row in own[1:])]
    return _frame(rows)


SHAPES: Mapping[str, Callable[..., Any]] = {"book": book, "numbered": numbered, "repeated": repeated}


def place(shape: str, advertisers: Sequence[Advertiser], at: int, path: str) -> tuple[str, int, str]:
    """Where a shape has a field: sheet, row and column.

    Args:
        shape: a key of `SHAPES`.
        advertisers: what the sheets are made of.
        at: which of them, from 0.
        path: `name`, or `users.2.first_name` for the second of its users.
    """
    collection, number, name = path.split(".", 2) if path.startswith(("sites.", "users.")) else ("", "0", path)
    before = [Counter(part for part, _, _ in _parts(one)) for one in advertisers[:at]]
    if shape == "numbered":
        return "", 2 + at, path
    if shape == "book":
        alone = not any(list(_parts(one)) for one in advertisers)
        rows = sum(one[collection] for one in before) + int(number) - 1 if collection else at
        return collection or ("" if alone else "advertisers"), 2 + rows, name
    sites = len(advertisers[at].get("sites", ())) if collection == "users" else 0
    rows = sum(max(1, one.total()) for one in before) + max(0, sites + int(number) - 1)
    return "", 2 + rows, f"{collection}.{name}" if collection else path


# Files


def written(given: Any, folder: Path, ending: str = ".xlsx") -> Any:
    """The same tables as files: a workbook, or `.csv`, which holds one table only."""
    path = folder / f"given{ending}"
    if ending == ".csv":
        given.to_csv(path, index=False)
        return path
    made = openpyxl.Workbook()
    made.remove(made.worksheets[0])
    for name, frame in (given if isinstance(given, dict) else {"Sheet1": given}).items():
        sheet = made.create_sheet(name)
        for row in [list(frame.columns), *frame.to_numpy().tolist()]:
            sheet.append(row)
    made.save(path)
    return path
