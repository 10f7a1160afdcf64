"""Sheets of many shapes, and the options that they are run with."""

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
    """One way to ask for numbers.

    Attributes:
        name: what a test calls it.
        version: of the API.
        rows: makes a sheet of about so many numbers; its name is part of every row.
        options: what `Options` is given besides what all ways share.
        patch: what is made worse in the child; names in `patches.PATCHES`.
        verb: what a child is first told to do.
        settles: whether no row may end as `unknown`.
        settle_delay: seconds that the platform goes on working after a fault.
    """

    name: str
    version: str
    rows: Callable[[str, int], list[Row]]
    options: Mapping[str, Any] = field(default_factory=dict)
    patch: Sequence[str] = ()
    verb: str = "run"
    settles: bool = False
    settle_delay: float = 0.0


def _place(at: int, *, affiliates: bool = True) -> Row:
    advertiser, campaign, affiliate = _CAMPAIGNS[at % (len(_CAMPAIGNS) if affiliates else 3)]
    place = {"advertiser_id_from_network": advertiser, "advertiser_campaign_id_from_network": campaign}
    return place | ({"affiliate_id_from_network": affiliate} if affiliates else {}) | {"media_type": "Online: Display"}


def distinct(name: str, count: int) -> list[Row]:
    """No row is like another."""
    return [{**_place(at), "description": f"{name} {at}"} for at in range(count)]


def plain(name: str, count: int) -> list[Row]:
    """The same without affiliates: what the plain loop understands."""
    return [{**_place(at, affiliates=False), "description": f"{name} {at}"} for at in range(count)]


def alike(name: str, count: int) -> list[Row]:
    """All rows of a campaign are the same."""
    return [{**_place(at), "description": name} for at in range(count)]


def quantities(name: str, count: int) -> list[Row]:
    """Rows that ask for several numbers, some rows like others."""
    rows: list[Row] = []
    left = count
    while left:
        quantity = min(left, _QUANTITIES[len(rows) % len(_QUANTITIES)])
        about = f"{name} {len(rows) % 6}"
        rows.append({**_place(len(rows)), "description": about, "quantity": str(quantity)})
        left -= quantity
    return rows


def look_alikes(name: str, count: int) -> list[Row]:
    """Rows that differ only by what the platform does not show afterwards."""
    return [
        {**_place(at), "description": f"{name} {at // 24}", "local_center.zipcode": _CITIES[at // 4 % 3]}
        for at in range(count)
    ]


def own_ids(name: str, count: int) -> list[Row]:
    """Each row has an id of its own, and is like others otherwise."""
    return [{**_place(at), "description": name, "id_from_network": f"{name}/{at}"} for at in range(count)]


_LIST, _BY_ID = "2017-09-01", "2022-08-01"
RESEND = {"resend_absent": True}
ASSIGN = {"assign_ids": True}
#: What became of a request is told from the campaign's list.
BY_LIST = {
    one.name: one
    for one in (
        Way(name="list, distinct", version=_LIST, rows=distinct),
        Way(name="list, alike", version=_LIST, rows=alike),
        Way(name="list, quantities", version=_LIST, rows=quantities, settle_delay=0.1),
        Way(name="list, look-alikes", version=_LIST, rows=look_alikes),
        Way(name="list, sent again", version=_LIST, rows=distinct, options=RESEND, settles=True, settle_delay=0.1),
        Way(name="list, alike, sent again", version=_LIST, rows=alike, options=RESEND, settles=True),
    )
}
#: It is looked up by an id of its own.
BY_OWN_ID = {
    one.name: one
    for one in (
        Way(name="own ids", version=_BY_ID, rows=own_ids, settles=True, settle_delay=0.1),
        Way(name="assigned ids, alike", version=_BY_ID, rows=alike, options=ASSIGN, settles=True),
        Way(name="assigned ids, quantities", version=_BY_ID, rows=quantities, options=ASSIGN, settles=True),
    )
}
WAYS = BY_LIST | BY_OWN_ID
#: What must fail the checker.
CONTROLS = {
    one.name: one
    for one in (
        Way(name="plain loop", version=_LIST, rows=plain, verb="loop"),
        Way(name="settle 0", version=_LIST, rows=distinct, options={"settle": 0.0, **RESEND}, settle_delay=0.4),
        Way(name="pending after a kill", version=_LIST, rows=distinct, patch=("pending after a kill",)),
    )
}


def written(rows: Sequence[Row], path: Path) -> Path:
    """The rows as a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(title for row in rows for title in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def read(path: Path) -> list[Row]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def expanded(rows: Sequence[Row]) -> Iterator[Row]:
    """One row for each number that is asked for."""
    for row in rows:
        yield from (row for _ in range(int(row.get("quantity") or 1)))
