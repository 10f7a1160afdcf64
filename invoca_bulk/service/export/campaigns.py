"""The campaigns to export: the API cannot list them, so a sheet or the caller names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

import pandas as pd

from invoca_bulk import sheets, validation
from invoca_bulk.errors import ConfigError, InvalidSheetError
from invoca_bulk.planning import Scope
from invoca_bulk.schema import DEFAULT_API_VERSION, PROMO_NUMBERS, Role
from invoca_bulk.sheets import Sheet
from invoca_bulk.wording import limit_lines, option

#: A sheet that names campaigns, or a list of dicts, one for each campaign.
CampaignSource: TypeAlias = "sheets.Source | list[Mapping[str, str]]"

#: The columns that identify a campaign; the last one may be missing or blank.
_ADDRESS_COLUMNS = tuple(field.path for field in PROMO_NUMBERS.fields if field.role is Role.PATH)
_DESTINATION_PREFIX = "destination_"
_MAX_ERRORS_SHOWN = 5

_NO_CAMPAIGNS_TEXT = (
    f"Which campaigns? Name them with {option('campaigns=…')}: a sheet with the columns {_ADDRESS_COLUMNS[0]}, "
    f"{_ADDRESS_COLUMNS[1]} and, for affiliates, {_ADDRESS_COLUMNS[2]}, such as the sheet that was run."
)


def read_scopes(campaigns: CampaignSource | None) -> dict[Scope, dict[str, str]]:
    """The scope of each campaign, once, to its cells; only the columns that identify a campaign are read."""
    if campaigns is None:
        raise ConfigError(_NO_CAMPAIGNS_TEXT)
    (sheet,) = sheets.load(_to_source(campaigns), resource=PROMO_NUMBERS.name)
    addresses = [*_read_addresses(sheet), *_read_addresses(_destination_sheet(sheet))]
    if not addresses:
        raise ConfigError(f"No row names a campaign. {_NO_CAMPAIGNS_TEXT}")
    return {PROMO_NUMBERS.scope_for(address): address for address in addresses}


def _to_source(campaigns: CampaignSource) -> sheets.Source:
    if not isinstance(campaigns, list):
        return campaigns
    if not all(isinstance(campaign, Mapping) for campaign in campaigns):
        raise ConfigError(f"The list of campaigns must contain dicts with the keys {', '.join(_ADDRESS_COLUMNS)}.")
    return pd.DataFrame(
        [dict(campaign) for campaign in campaigns] or {name: [] for name in _ADDRESS_COLUMNS}, dtype=object
    )


def _destination_sheet(sheet: Sheet) -> Sheet:
    """The rows that move a number, with their destinations as the campaign."""
    titles = {path: title for title in sheet.frame.columns if (path := _destination_column(sheet, str(title)))}
    frame = sheet.frame[list(titles.values())].set_axis(list(titles), axis="columns")
    moves = frame[(frame.apply(lambda column: column.str.strip()) != "").any(axis="columns")] if titles else frame[:0]
    return replace(sheet, frame=moves.reindex(columns=list(_ADDRESS_COLUMNS), fill_value=""), read_issues=())


def _destination_column(sheet: Sheet, title: str) -> str:
    """The campaign column that a destination column stands for; empty for other columns."""
    column = sheet.resource.column_for(title)
    path = column.path if column else ""
    return path.removeprefix(_DESTINATION_PREFIX) if path.startswith(_DESTINATION_PREFIX) else ""


def _read_addresses(sheet: Sheet) -> list[dict[str, str]]:
    """The campaign of each row, validated as in any sheet; other columns are ignored."""
    columns = [(title, sheet.resource.column_for(title)) for title in map(str, sheet.frame.columns)]
    titles = [title for title, column in columns if column and column.path in _ADDRESS_COLUMNS]
    validated_book = validation.validate([replace(sheet, frame=sheet.frame[titles])], version=DEFAULT_API_VERSION)
    issues = validated_book.issues
    errors = issues[(issues["level"] == "error") & issues["column"].isin([*titles, *_ADDRESS_COLUMNS])]
    lines = [
        f"  {sheet.labels.describe(issue.row)}: {issue.problem.message} {issue.problem.fix}"
        for issue in sheet.read_issues
        if issue.row and not issue.column
    ]
    lines += [
        f"  {'header' if row is pd.NA else sheet.labels.describe(row)}, {column}: {message} {fix}"
        for row, column, message, fix in errors[["row", "column", "message", "fix"]].itertuples(index=False)
    ]
    if lines:
        text = "\n".join(limit_lines(lines, _MAX_ERRORS_SHOWN))
        raise InvalidSheetError(f"The sheet's campaigns have errors. Correct them:\n{text}")
    (validated_sheet,) = validated_book.sheets
    return [validated_sheet.values(position) for position in range(len(validated_sheet.pending))]
