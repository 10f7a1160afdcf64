"""Pages of a list. The documentation shows lists without pages; a list that says that it goes on is read to its end."""

from __future__ import annotations

from typing import NamedTuple

from invoca_bulk.schema.field_types import Json


class Page(NamedTuple):
    """One page of a list."""

    items: list[Json]
    next_url: str  # of the next page; empty: it is the last one


def parse_page(body: Json, next_url: str) -> Page | None:
    """The page that a body holds, as an array or as the only array of an envelope with `next`; None: it is no list.

    `next_url`: what the header Link says.
    """
    if isinstance(body, list):
        return Page(body, next_url)
    if not isinstance(body, dict) or "next" not in body:
        return None
    arrays = [value for value in body.values() if isinstance(value, list)]
    named_url = body["next"] or next_url
    return Page(arrays[0], named_url) if len(arrays) == 1 and isinstance(named_url, str) else None
