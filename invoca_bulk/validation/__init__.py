"""Sheets -> checked rows and issues: everything that can be known about the rows before the first request.

`one_sheet` checks headers, cells and rows of each sheet; `records` gathers the rows that are about one object with
parts (advertisers), from one sheet or several, and checks them together; `wholes` is what a whole object needs.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from invoca_bulk.schema import RESOURCES
from invoca_bulk.validation import issue_frame
from invoca_bulk.validation.completeness import check_whole_object, find_missing_fields, to_sheet_terms
from invoca_bulk.validation.model import (
    Record,
    RowRef,
    Subrecord,
    ValidatedBook,
    ValidatedColumn,
    ValidatedSheet,
    strip_country_code,
)
from invoca_bulk.validation.record_builder import RecordBuilder, describe_row, locate_cell
from invoca_bulk.validation.sheet_validator import SheetValidator

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from invoca_bulk.sheets import Sheet
    from invoca_bulk.validation.issue_frame import Issue
    from invoca_bulk.validation.model import Mask

__all__ = [
    "Record",
    "RowRef",
    "Subrecord",
    "ValidatedBook",
    "ValidatedColumn",
    "ValidatedSheet",
    "check_whole_object",
    "describe_row",
    "find_missing_fields",
    "locate_cell",
    "strip_country_code",
    "to_sheet_terms",
    "validate",
]


def validate(sheets: Sequence[Sheet], *, version: str, auto_ids: bool = False) -> ValidatedBook:
    """Check every row of every sheet at once.

    Args:
        sheets: what `sheets.load` gave.
        version: the API version that the rows are meant for.
        auto_ids: whether the network gives ids to advertisers that come without one.

    Returns:
        The checked sheets; problems in the data are values in `issues`, never exceptions.
    """
    checks = [SheetValidator(sheet, number, version, auto_ids=auto_ids) for number, sheet in enumerate(sheets)]
    for check in checks:
        check.run()
    whole = [one.to_validated_sheet() for one in checks]
    gatherings = [RecordBuilder(one, whole, auto_ids=auto_ids) for one in RESOURCES.values() if one.subresources]
    records = tuple(chain.from_iterable(one.build_records() for one in gatherings))
    issues = [
        *chain.from_iterable(one.reported_issues() for one in checks),
        *chain.from_iterable(one.issues for one in gatherings),
    ]
    invalid = _invalid_masks(checks, issues, records)
    return ValidatedBook(
        sheets=tuple(replace(one, invalid=mask) for one, mask in zip(whole, invalid, strict=True)),
        version=version,
        auto_ids=auto_ids,
        records=records,
        issues=issue_frame.build_issue_frame(issues, sheets),
    )


def _invalid_masks(checks: Sequence[SheetValidator], issues: Iterable[Issue], records: Iterable[Record]) -> list[Mask]:
    """For each sheet, row position to whether nothing may be sent for the row.

    An object with a row that has errors is not sent in parts, and where a header has errors no row can be trusted, on
    whichever sheet it stands.
    """
    blocked = any(one.has_header_errors for one in checks)
    masks = [np.full(len(one.pending), blocked, dtype=bool) for one in checks]
    for one in issues:
        if one.level == "error" and one.position >= 0:
            masks[one.sheet_index][one.position] = True
    for record in records:
        if any(masks[place.sheet_index][place.position] for place in record.row_refs):
            for place in record.row_refs:
                masks[place.sheet_index][place.position] = True
    return [mask & one.pending for mask, one in zip(masks, checks, strict=True)]
