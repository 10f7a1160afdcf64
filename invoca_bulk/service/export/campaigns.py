"""Which campaigns are meant: the platform has no list of them, so that a sheet, or the caller, has to name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from invoca_bulk import sheets, validation
from invoca_bulk.errors import ConfigError, InvalidSheetError
from invoca_bulk.schema import DEFAULT_API_VERSION, PROMO_NUMBERS, Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoca_bulk.planning import Scope
    from invoca_bulk.sheets import Sheet

#: A sheet that names campaigns, or a list with a dict for each.
CampaignSource: TypeAlias = "sheets.Source | list[Mapping[str, str]]"

#: The columns that make up the address of a campaign; the last one may be missing, or blank.
_ADDRESS_COLUMNS = tuple(one.path for one in PROMO_NUMBERS.fields if one.role is Role.PATH)
_DESTINATION_PREFIX = "destination_"
_MAX_ERRORS_SHOWN = 5

_NO_CAMPAIGNS_TEXT = (
    "It is not said which campaigns are meant, and the platform has no list of them. Name them with --campaigns FILE "
    f"(a sheet with the columns {_ADDRESS_COLUMNS[0]}, {_ADDRESS_COLUMNS[1]} and, where "
    f"there are some, {_ADDRESS_COLUMNS[2]}; the sheet that "
    "was run will do), or one with --advertiser and --campaign (campaigns=… in Python)."
)


def read_scopes(campaigns: CampaignSource | None) -> dict[Scope, dict[str, str]]:
    """The campaigns, each once.

    Args:
        campaigns: a sheet in any form, of which only the columns of the address count, or a list of dicts with these.

    Returns:
        The scope of each to the cells of its address.

    Raises:
        ConfigError: no campaign is named.
        UnreadableSheetError: it is no sheet.
        InvalidSheetError: an id is missing, or cannot be one.
    """
    if campaigns is None:
        raise ConfigError(_NO_CAMPAIGNS_TEXT)
    (sheet,) = sheets.load(_to_source(campaigns), resource=PROMO_NUMBERS.name)
    found = [*_read_addresses(sheet), *_read_addresses(_destination_sheet(sheet))]
    if not found:
        raise ConfigError(f"There is no row that names a campaign. {_NO_CAMPAIGNS_TEXT}")
    return {PROMO_NUMBERS.scope_for(one): one for one in found}


def _to_source(campaigns: CampaignSource) -> sheets.Source:
    if not isinstance(campaigns, list):
        return campaigns
    if not all(isinstance(one, Mapping) for one in campaigns):
        raise ConfigError(f"The list of campaigns has to hold dicts with the keys {', '.join(_ADDRESS_COLUMNS)}.")
    return pd.DataFrame([dict(one) for one in campaigns] or {name: [] for name in _ADDRESS_COLUMNS}, dtype=object)


def _destination_sheet(sheet: Sheet) -> Sheet:
    """The same sheet with the rows that move a number, at the campaigns that they move it to."""
    titles = {path: title for title in sheet.frame.columns if (path := _destination_column(sheet, str(title)))}
    frame = sheet.frame[list(titles.values())].set_axis(list(titles), axis="columns")
    moves = frame[(frame.apply(lambda column: column.str.strip()) != "").any(axis="columns")] if titles else frame[:0]
    return replace(sheet, frame=moves.reindex(columns=list(_ADDRESS_COLUMNS), fill_value=""), read_issues=())


def _destination_column(sheet: Sheet, title: str) -> str:
    """The address' column that a destination's title stands for; empty for all others."""
    column = sheet.resource.column_for(title)
    path = column.path if column else ""
    return path.removeprefix(_DESTINATION_PREFIX) if path.startswith(_DESTINATION_PREFIX) else ""


def _read_addresses(sheet: Sheet) -> list[dict[str, str]]:
    """The address of each row, checked as in any sheet; what stands in other columns is nobody's business here."""
    known = [(title, sheet.resource.column_for(title)) for title in map(str, sheet.frame.columns)]
    titles = [title for title, column in known if column and column.path in _ADDRESS_COLUMNS]
    checked = validation.validate([replace(sheet, frame=sheet.frame[titles])], version=DEFAULT_API_VERSION)
    errors = checked.issues[
        (checked.issues["level"] == "error") & checked.issues["column"].isin([*titles, *_ADDRESS_COLUMNS])
    ]
    told = zip(errors["row"], errors["column"], errors["message"], errors["fix"], strict=True)
    problems = [f"row {one.row}: {one.problem.message} {one.problem.fix}" for one in sheet.read_issues if one.row]
    problems += [
        f"{'header' if row is pd.NA else f'row {row}'}, {column}: {message} {fix}" for row, column, message, fix in told
    ]
    if problems:
        raise InvalidSheetError(_format_refusal(problems))
    (one,) = checked.sheets
    return [one.values(position) for position in range(len(one.pending))]


def _format_refusal(problems: Sequence[str]) -> str:
    more = [f"… and {len(problems) - _MAX_ERRORS_SHOWN:,} more"] if len(problems) > _MAX_ERRORS_SHOWN else []
    shown = "\n".join(f"  {line}" for line in [*problems[:_MAX_ERRORS_SHOWN], *more])
    return f"The sheet does not say which campaigns are meant. Correct it:\n{shown}"
