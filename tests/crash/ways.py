"""Sheets of many shapes, and the options to run them with."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Row: TypeAlias = "dict[str, str]"

_CAMPAIGNS = (("A-1", "C-1", ""), ("A-1", "C-2", ""), ("A-2", "C-1", ""), ("A-1", "C-1", "P-1"))
_QUANTITIES = (1, 4, 2, 7, 1)
_CITIES = ("93101", "10001", "60601")


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to request numbers.

    Attributes:
        name: name in test ids.
        version: API version.
        rows: creates a sheet from a name, which is part of every row, and an approximate count of numbers.
        options: additional `Options`.
        patch: defects in the child; names in `patches.PATCHES`.
        verb: the verb of the first job.
        settles: whether no row may end as `unknown`.
        settle_delay: seconds that the platform continues to work after a fault.
    """

    name: str
    version: str
    rows: Callable[[str, int], list[Row]]
    options: Mapping[str, Any] = field(default_factory=dict)
    patch: Sequence[str] = ()
    verb: str = "run"
    settles: bool = False
    settle_delay: float = 0.0


def _campaign_cells(index: int, *, affiliates: bool = True) -> Row:
    advertiser, campaign, affiliate = _CAMPAIGNS[index % (len(_CAMPAIGNS) if affiliates else 3)]
    cells = {"advertiser_id_from_network": advertiser, "advertiser_campaign_id_from_network": campaign}
    return cells | ({"affiliate_id_from_network": affiliate} if affiliates else {}) | {"media_type": "Online: Display"}


def distinct(name: str, count: int) -> list[Row]:
    """All rows are different."""
    return [{**_campaign_cells(index), "description": f"{name} {index}"} for index in range(count)]


def plain(name: str, count: int) -> list[Row]:
    """Different rows without affiliates, as the plain loop requires."""
    return [{**_campaign_cells(index, affiliates=False), "description": f"{name} {index}"} for index in range(count)]


def alike(name: str, count: int) -> list[Row]:
    """All rows of a campaign are equal."""
    return [{**_campaign_cells(index), "description": name} for index in range(count)]


def quantities(name: str, count: int) -> list[Row]:
    """Rows that request several numbers; some rows are equal."""
    rows: list[Row] = []
    remaining = count
    while remaining:
        quantity = min(remaining, _QUANTITIES[len(rows) % len(_QUANTITIES)])
        description = f"{name} {len(rows) % 6}"
        rows.append({**_campaign_cells(len(rows)), "description": description, "quantity": str(quantity)})
        remaining -= quantity
    return rows


def look_alikes(name: str, count: int) -> list[Row]:
    """Rows that differ only in a field that the platform does not show."""
    return [
        {
            **_campaign_cells(index),
            "description": f"{name} {index // 24}",
            "local_center.zipcode": _CITIES[index // 4 % 3],
        }
        for index in range(count)
    ]


def own_ids(name: str, count: int) -> list[Row]:
    """All rows are equal except for their own ids."""
    return [
        {**_campaign_cells(index), "description": name, "id_from_network": f"{name}/{index}"} for index in range(count)
    ]


_LIST, _BY_ID = "2017-09-01", "2022-08-01"
RESEND = {"resend_absent": True}
ASSIGN = {"assign_ids": True}
#: Requests in doubt are reconciled with the campaign's list.
BY_LIST = {
    way.name: way
    for way in (
        Way(name="list, distinct", version=_LIST, rows=distinct),
        Way(name="list, alike", version=_LIST, rows=alike),
        Way(name="list, quantities", version=_LIST, rows=quantities, settle_delay=0.1),
        Way(name="list, look-alikes", version=_LIST, rows=look_alikes),
        Way(name="list, sent again", version=_LIST, rows=distinct, options=RESEND, settles=True, settle_delay=0.1),
        Way(name="list, alike, sent again", version=_LIST, rows=alike, options=RESEND, settles=True),
    )
}
#: Requests in doubt are looked up by their own ids.
BY_OWN_ID = {
    way.name: way
    for way in (
        Way(name="own ids", version=_BY_ID, rows=own_ids, settles=True, settle_delay=0.1),
        Way(name="assigned ids, alike", version=_BY_ID, rows=alike, options=ASSIGN, settles=True),
        Way(name="assigned ids, quantities", version=_BY_ID, rows=quantities, options=ASSIGN, settles=True),
    )
}
WAYS = BY_LIST | BY_OWN_ID
#: Ways in which the checker must find errors.
CONTROLS = {
    way.name: way
    for way in (
        Way(name="plain loop", version=_LIST, rows=plain, verb="loop"),
        Way(name="settle 0", version=_LIST, rows=distinct, options={"settle": 0.0, **RESEND}, settle_delay=0.4),
        Way(name="pending after a kill", version=_LIST, rows=distinct, patch=("pending after a kill",)),
    )
}


def written(rows: Sequence[Row], path: Path) -> Path:
    """Write rows to a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(title for row in rows for title in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> list[Row]:
    """Read the rows of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def expanded(rows: Sequence[Row]) -> Iterator[Row]:
    """One row for each requested number."""
    for row in rows:
        yield from (row for _ in range(int(row.get("quantity") or 1)))
