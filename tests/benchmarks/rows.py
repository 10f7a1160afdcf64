"""The rows that are measured: requests of promo numbers in 12 columns, of which 1 in 20 has an error.

As in real sheets, some columns hold few distinct texts (a media type), some many (a description), and one another text
on every row (an own id), which is the hardest case for a validation that works once for each distinct text.
"""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from invoca_bulk.schema import field_types, regions
from invoca_bulk.schema.promo_numbers import GOOGLE_CALL_EXTENSION, MEDIA_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

EVERY = 20  # 1 in so many rows has an error
_SEED = 7
_LOCAL = ("local_center.tn_prefix", "local_center.zipcode", "local_center.city", "local_center.state")

#: What is wrong with a row: the cells that differ from a good one's. The errors take turns.
_ERRORS = (
    {"advertiser_campaign_id_from_network": ""},
    {"advertiser_id_from_network": "."},
    {"description": ""},
    {"custom_data.channel": "#REF!"},
    {"media_type": "Online: Displai"},
    {"media_type": "#N/A"},
    dict.fromkeys(_LOCAL, "") | {"local_center.tn_prefix": "800"},
    dict.fromkeys(_LOCAL, "") | {"local_center.zipcode": "93101-1234"},
    dict.fromkeys(_LOCAL, "") | {"local_center.zipcode": "93101", "local_center.tn_prefix": "805"},
    dict.fromkeys(_LOCAL, "") | {"local_center.city": "Toronto"},
    dict.fromkeys(_LOCAL, "") | {"local_center.city": "Toronto", "local_center.state": "Ontaria"},
    # Of two rows that share an own id both have the error: the next row is such an error too.
    *[dict.fromkeys(_LOCAL, "") | {"advertiser_id_from_network": "A-1", "id_from_network": "N-twice-{pair}"}] * 2,
)


@functools.cache
def area_codes() -> tuple[str, ...]:
    """All that a local number can have."""
    local = {"US", "CA", "PR", "GU", "VI", "AS", "MP"}
    return tuple(one for one in map(str, range(200, 1000)) if field_types.area_code_region(one) in local)


def frame(rows: int) -> pd.DataFrame:
    """So many rows, always the same ones: texts, blank cells empty."""
    columns = _good(rows, np.random.default_rng(_SEED))
    for number, at in enumerate(range(EVERY // 2, rows, EVERY)):
        wrong = _ERRORS[number % len(_ERRORS)]
        for title, text in wrong.items():
            columns[title][at] = text.format(pair=number // len(_ERRORS))
        if "id_from_network" in wrong:  # own ids are compared within a campaign
            columns["advertiser_campaign_id_from_network"][at] = "C-1"
            columns["affiliate_id_from_network"][at] = ""
    return pd.DataFrame(columns, dtype="str")


def _good(rows: int, chance: np.random.Generator) -> dict[str, np.ndarray]:
    def some(texts: Sequence[str]) -> np.ndarray:
        return np.array(texts, dtype=object)[chance.integers(len(texts), size=rows)]

    def where(way: int, texts: np.ndarray) -> np.ndarray:
        return np.where(ways == way, texts, "").astype(object)

    ways = chance.choice(5, size=rows, p=[0.45, 0.2, 0.15, 0.1, 0.1])
    cities = [f"City {number}" for number in range(2_000)]
    media = [one for one in MEDIA_TYPES if one != GOOGLE_CALL_EXTENSION]
    return {
        "action": some(["create"]),
        "advertiser_id_from_network": some([f"A-{number}" for number in range(400)]),
        "advertiser_campaign_id_from_network": some([f"C-{number}" for number in range(4_000)]),
        "affiliate_id_from_network": some(["", *(f"F-{number}" for number in range(60))]),
        "id_from_network": np.array([f"N-{number:07}" for number in range(rows)], dtype=object),
        "description": some([f"Store {number:05}, spring sale" for number in range(20_000)]),
        "media_type": some(media),
        "local_center.tn_prefix": where(1, some(area_codes())),
        "local_center.zipcode": where(2, some([f"{number:05}" for number in range(10_000, 18_000)])),
        "local_center.city": where(3, some(cities)),
        "local_center.state": where(3, some(list(regions.STATES))),
        "custom_data.channel": some([f"Channel {number}" for number in range(12)]),
    }


def write_csv(path: str | Path, rows: int) -> None:
    """The rows as any program writes them."""
    frame(rows).to_csv(path, index=False)


def write_workbook(path: str | Path, rows: int) -> None:
    """The rows in a workbook like Excel's own: each distinct text is stored once, in the table of shared strings."""
    frame(rows).to_excel(path, index=False, engine="xlsxwriter")


Place = tuple[int, str]


def digest(places: Iterator[Place] | set[Place]) -> list[object]:
    """The rows and columns of the errors, to compare ours with a peer's: how many, and a sum that tells any other."""
    import hashlib  # noqa: PLC0415  this alone needs it

    found = sorted(set(places))
    text = "\n".join(f"{row}\t{column}" for row, column in found)
    first = [f"{row}:{column}" for row, column in itertools.islice(found, 20)]
    return [len(found), hashlib.sha256(text.encode()).hexdigest(), *first]


def same(ours: object, peers: object) -> None:
    """Refuse to compare the time of two that do not find the same."""
    if ours != peers:
        msg = f"Not the same findings:\n{ours}\n{peers}"
        raise AssertionError(msg)
