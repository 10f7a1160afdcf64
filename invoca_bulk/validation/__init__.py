"""Sheets -> validated rows and issues: everything that can be checked before the first request.

`sheet_validator` checks headers, cells and rows of each sheet; `record_builder` combines the rows of an object with
subresources (an advertiser), from one sheet or several, and checks them together; `completeness` checks what a whole
object needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from invoca_bulk.schema import RESOURCES
from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.sheets import Sheet
from invoca_bulk.validation import issue_frame
from invoca_bulk.validation.completeness import (
    NO_SITE_IF_CREATED,
    NO_SITE_ON_CREATE,
    check_whole_object,
    find_missing_fields,
    to_sheet_terms,
)
from invoca_bulk.validation.issue_frame import Issue, make_issue
from invoca_bulk.validation.model import (
    Mask,
    Record,
    RowRef,
    Subrecord,
    ValidatedBook,
    ValidatedSheet,
    strip_country_code,
)
from invoca_bulk.validation.record_builder import RecordBuilder, describe_row, locate_cell
from invoca_bulk.validation.sheet_validator import SheetValidator

__all__ = [
    "NO_SITE_IF_CREATED",
    "NO_SITE_ON_CREATE",
    "Record",
    "RowRef",
    "Subrecord",
    "ValidatedBook",
    "ValidatedSheet",
    "check_whole_object",
    "describe_row",
    "find_missing_fields",
    "locate_cell",
    "strip_country_code",
    "to_sheet_terms",
    "validate",
]


def validate(  # noqa: PLR0913  the options that the checks depend on
    sheets: Sequence[Sheet],
    *,
    version: str,
    auto_ids: bool = False,
    allow_unlisted: bool = False,
    allow_no_sites: bool = False,
    allow_no_rows: bool = False,
) -> ValidatedBook:
    """Check every row of every sheet. Problems in the data are values in `issues`, never exceptions.

    `allow_no_rows`: for sheets that this program has made, such as an undo that has nothing to do.
    """
    validators = [
        SheetValidator(sheet, index, version, auto_ids=auto_ids, allow_unlisted=allow_unlisted)
        for index, sheet in enumerate(sheets)
    ]
    for validator in validators:
        validator.run()
    validated_sheets = [validator.to_validated_sheet() for validator in validators]
    builders = [
        RecordBuilder(resource, validated_sheets, auto_ids=auto_ids, allow_no_sites=allow_no_sites)
        for resource in RESOURCES.values()
        if resource.subresources
    ]
    records = tuple(chain.from_iterable(builder.build_records() for builder in builders))
    builder_issues = chain.from_iterable(builder.issues for builder in builders)
    issues = [
        *chain.from_iterable(validator.reported_issues(validator.all_issues) for validator in validators),
        *chain.from_iterable(validators[issue.sheet_index].reported_issues([issue]) for issue in builder_issues),
    ]
    if not allow_no_rows and all(sheet.frame.empty for sheet in sheets):
        issues.append(make_issue(0, -1, (-1, "", ""), Problem(code="no_rows")))
    masks = _invalid_masks(validators, issues, records)
    return ValidatedBook(
        sheets=tuple(replace(sheet, invalid=mask) for sheet, mask in zip(validated_sheets, masks, strict=True)),
        version=version,
        auto_ids=auto_ids,
        allow_unlisted=allow_unlisted,
        allow_no_sites=allow_no_sites,
        records=records,
        issues=issue_frame.build_issue_frame(issues, sheets),
    )


def _invalid_masks(
    validators: Sequence[SheetValidator], issues: Iterable[Issue], records: Iterable[Record]
) -> list[Mask]:
    """For each sheet, row position to whether nothing may be sent for the row.

    An object with an invalid row is not sent in part, and a header with errors on any sheet makes all rows invalid.
    """
    has_header_errors = any(validator.has_header_errors for validator in validators)
    masks = [np.full(len(validator.pending), has_header_errors, dtype=bool) for validator in validators]
    for issue in issues:
        if issue.level == "error" and issue.position >= 0:
            masks[issue.sheet_index][issue.position] = True
    for record in records:
        if any(masks[row_ref.sheet_index][row_ref.position] for row_ref in record.row_refs):
            for row_ref in record.row_refs:
                masks[row_ref.sheet_index][row_ref.position] = True
    return [mask & validator.pending for mask, validator in zip(masks, validators, strict=True)]
