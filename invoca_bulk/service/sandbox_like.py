"""The advertisers and campaigns of an export, for a sandbox that knows just these."""

from __future__ import annotations

from collections.abc import Iterator

from invoca_bulk import sheets
from invoca_bulk.errors import InvalidSheetError
from invoca_bulk.schema import ADVERTISERS, PROMO_NUMBERS
from invoca_bulk.sheets import Sheet

#: Resource of a sheet to the columns with the ids of advertiser, campaign and affiliate.
_ID_COLUMNS = {
    PROMO_NUMBERS.name: (
        "advertiser_id_from_network",
        "advertiser_campaign_id_from_network",
        "affiliate_id_from_network",
    ),
    ADVERTISERS.name: ("id_from_network", "", ""),
}


def read_campaigns(source: sheets.Source) -> dict[str, dict[str, list[str]]]:
    """Advertiser id to campaign id to affiliate ids, of an export of advertisers or of promo numbers."""
    known: dict[str, dict[str, list[str]]] = {}
    for sheet in sheets.load(source):
        for advertiser, campaign, affiliate in _read_ids(sheet):
            campaigns = known.setdefault(advertiser, {})
            if campaign:
                affiliates = campaigns.setdefault(campaign, [])
                affiliates += [affiliate] if affiliate else []
    if not known:
        msg = "The export names no advertisers and no campaigns. Use a file that an export of the network has written."
        raise InvalidSheetError(msg)
    return known


def _read_ids(sheet: Sheet) -> Iterator[tuple[str, str, str]]:
    """The distinct ids of the rows: advertiser, campaign and affiliate; empty: the row has none."""
    names = _ID_COLUMNS.get(sheet.resource.name, ("", "", ""))
    headers = {
        column.path: column.header for title in sheet.frame.columns if (column := sheet.resource.column_for(title))
    }
    blank = [""] * len(sheet.frame)
    columns = [sheet.frame[headers[name]].str.strip().tolist() if name in headers else blank for name in names]
    yield from (ids for ids in dict.fromkeys(zip(*columns, strict=True)) if ids[0])
