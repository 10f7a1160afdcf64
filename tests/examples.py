"""Sheets shared by several tests: promo number requests, and advertisers in the three input layouts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    #: Maps path to cell text for an advertiser; `sites` and `users` are lists of such mappings.
    Advertiser = Mapping[str, Any]

#: A promo number request that is valid in every API version.
GOOD = {
    "advertiser_id_from_network": "A-1",
    "advertiser_campaign_id_from_network": "C-1",
    "description": "Spring sale",
    "media_type": "Online: Display",
}


#: Issue codes that need several sheets or several rows of an object; `test_record_builder` produces each.
OF_RECORDS = {
    "part_without_id",
    "parent_missing",
    "contradiction",
    "duplicate_name",
    "email_repeated",
    "nobody_notified",
    "created_without_site",
    "maybe_without_site",
    "sheet_ignored",
    "sheet_hidden",
}
#: Issue codes that need the platform's state; the tests of the plan produce each.
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
    "no_site",
    "parts_unknown",
    "cannot_keep",
    "country_code_kept",
    "row_beside_invalid",
    "already_gone",
    "default_site_changes",
}
#: Issue codes that need the journal of an earlier run; the tests of the claims produce each.
OF_CLAIMS = {
    "flag_kept",
    "claim_restored",
    "claim_dropped",
    "row_edited",
    "unsettled_row_edited",
    "claim_contradicted",
    "claim_moved",
    "claim_repeated",
    "claim_other_number",
    "claim_elsewhere",
    "claim_unfounded",
    "claim_undone",
    "claim_of_other_network",
    "claim_not_on_platform",
    "replaces_unsettled_row",
}
OF_THE_PLAN = OF_THE_PLAN_OF_NUMBERS | OF_THE_PLAN_OF_ADVERTISERS


def with_row_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with the row numbers of a spreadsheet, as `read` gives it."""
    return frame.set_axis(pd.RangeIndex(2, 2 + len(frame), name="row"), axis="index")


def frame_of(*rows: Mapping[str, Any], base: Mapping[str, Any] = GOOD) -> pd.DataFrame:
    """One row per mapping: `base` updated with it; a cell is blank where a row lacks another row's column."""
    titles = dict.fromkeys(title for row in (base, *rows) for title in row)
    return with_row_numbers(pd.DataFrame([{**base, **row} for row in rows], columns=list(titles)).fillna(""))


# Advertisers


def site(own_id: str = "315", **cells: str) -> dict[str, str]:
    return {"id_from_network": own_id, "name": f"Site {own_id}"} | cells


def user(own_id: str = "U-1", **cells: str) -> dict[str, str]:
    """A valid user; a double underscore in a keyword becomes the dot of a path."""
    good = {
        "id_from_network": own_id,
        "email_settings.1.email_address": f"{own_id.lower().strip('.') or 'someone'}@example.com",
        "email_settings.1.use_for_notifications": "TRUE",
        "first_name": "Chris",
        "last_name": f"Dean {own_id}".strip(),
        "contact_phone_number": "8055550100",
    }
    return good | {name.replace("__", "."): text for name, text in cells.items()}


def advertiser(own_id: str = "A-1", **cells: Any) -> dict[str, Any]:
    """A valid advertiser with a site and a user."""
    return {
        "id_from_network": own_id,
        "name": f"Business {own_id}".strip(),
        "sites": [site()],
        "users": [user()],
    } | {name.replace("__", "."): text for name, text in cells.items()}


PARTS = ("sites", "users")


def _own_cells(advertiser: Advertiser) -> dict[str, str]:
    return {path: text for path, text in advertiser.items() if path not in PARTS}


def _records(advertiser: Advertiser) -> Iterator[tuple[str, int, Mapping[str, str]]]:
    for collection in PARTS:
        yield from ((collection, number, record) for number, record in enumerate(advertiser.get(collection, ()), 1))


def _frame(rows: list[dict[str, str]], *first_columns: str) -> pd.DataFrame:
    titles = dict.fromkeys([*first_columns, *(title for row in rows for title in row)])
    return with_row_numbers(pd.DataFrame(rows, columns=list(titles)).fillna(""))


def book(*advertisers: Advertiser) -> dict[str, pd.DataFrame]:
    """One sheet for the advertisers, one for their sites and one for their users."""
    parent = "advertiser_id_from_network"
    frames = {"advertisers": _frame([_own_cells(advertiser) for advertiser in advertisers])}
    for collection in PARTS:
        rows = [
            {parent: advertiser.get("id_from_network", "")} | dict(record)
            for advertiser in advertisers
            for name, _, record in _records(advertiser)
            if name == collection
        ]
        frames[collection] = _frame(rows, parent, "id_from_network")
    return frames


def numbered(*advertisers: Advertiser) -> pd.DataFrame:
    """One row per advertiser; sites and users are in numbered columns."""
    return _frame(
        [
            _own_cells(advertiser)
            | {
                f"{name}.{number}.{path}": text
                for name, number, record in _records(advertiser)
                for path, text in record.items()
            }
            for advertiser in advertisers
        ]
    )


def repeated(*advertisers: Advertiser) -> pd.DataFrame:
    """One row per site or user; the advertiser's own cells are on its first row only."""
    rows: list[dict[str, str]] = []
    for advertiser in advertisers:
        record_cells = [
            {f"{name}.{path}": text for path, text in record.items()} for name, _, record in _records(advertiser)
        ] or [{}]
        id_cell = {"id_from_network": advertiser.get("id_from_network", "")}
        rows += [_own_cells(advertiser) | record_cells[0], *(id_cell | row for row in record_cells[1:])]
    return _frame(rows)


SHAPES: Mapping[str, Callable[..., Any]] = {"book": book, "numbered": numbered, "repeated": repeated}


def place(shape: str, advertisers: Sequence[Advertiser], position: int, path: str) -> tuple[str, int, str]:
    """Locate a field in a layout: sheet, row and column.

    Args:
        shape: a key of `SHAPES`.
        advertisers: the advertisers that the sheets hold.
        position: index of the advertiser, from 0.
        path: `name`, or `users.2.first_name` for the second of its users.
    """
    collection, number, name = path.split(".", 2) if path.startswith(("sites.", "users.")) else ("", "0", path)
    before = [Counter(part for part, _, _ in _records(advertiser)) for advertiser in advertisers[:position]]
    if shape == "numbered":
        return "", 2 + position, path
    if shape == "book":
        alone = not any(list(_records(advertiser)) for advertiser in advertisers)
        rows = sum(counts[collection] for counts in before) + int(number) - 1 if collection else position
        return collection or ("" if alone else "advertisers"), 2 + rows, name
    sites = len(advertisers[position].get("sites", ())) if collection == "users" else 0
    rows = sum(max(1, counts.total()) for counts in before) + max(0, sites + int(number) - 1)
    return "", 2 + rows, f"{collection}.{name}" if collection else path


# Files


def written(tables: Any, folder: Path, ending: str = ".xlsx") -> Any:
    """Write the tables to a workbook, or a single table to a `.csv` file."""
    path = folder / f"tables{ending}"
    if ending == ".csv":
        tables.to_csv(path, index=False)
        return path
    workbook = openpyxl.Workbook()
    workbook.remove(workbook.worksheets[0])
    for name, frame in (tables if isinstance(tables, dict) else {"Sheet1": tables}).items():
        sheet = workbook.create_sheet(name)
        for row in [list(frame.columns), *frame.to_numpy().tolist()]:
            sheet.append(row)
    workbook.save(path)
    return path
