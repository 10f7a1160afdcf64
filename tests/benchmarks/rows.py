"""The benchmark data: promo number requests with 12 columns; 1 row in 20 has an error.

As in real sheets, some columns have few distinct texts (media types), some many (descriptions), and one has a different
text in every row (own ids): the worst case for a validation that checks each distinct text once.
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

ERROR_INTERVAL = 20  # every 20th row has an error
_SEED = 7
_LOCAL = ("local_center.tn_prefix", "local_center.zipcode", "local_center.city", "local_center.state")

#: The cells that make a row invalid. The errors are used in turn.
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
    # Two rows with the same own id both have the error, so there are two such entries.
    *[dict.fromkeys(_LOCAL, "") | {"advertiser_id_from_network": "A-1", "id_from_network": "N-twice-{pair}"}] * 2,
)


@functools.cache
def area_codes() -> tuple[str, ...]:
    """All area codes of local numbers."""
    local = {"US", "CA", "PR", "GU", "VI", "AS", "MP"}
    return tuple(code for code in map(str, range(200, 1000)) if field_types.area_code_region(code) in local)


def frame(rows: int) -> pd.DataFrame:
    """A frame of `rows` rows of text, always the same ones; blank cells are empty texts."""
    columns = _good(rows, np.random.default_rng(_SEED))
    for number, position in enumerate(range(ERROR_INTERVAL // 2, rows, ERROR_INTERVAL)):
        cells = _ERRORS[number % len(_ERRORS)]
        for title, text in cells.items():
            columns[title][position] = text.format(pair=number // len(_ERRORS))
        if "id_from_network" in cells:  # own ids are compared within a campaign
            columns["advertiser_campaign_id_from_network"][position] = "C-1"
            columns["affiliate_id_from_network"][position] = ""
    return pd.DataFrame(columns, dtype="str")


def _good(rows: int, random: np.random.Generator) -> dict[str, np.ndarray]:
    def choose(texts: Sequence[str]) -> np.ndarray:
        return np.array(texts, dtype=object)[random.integers(len(texts), size=rows)]

    def where_variant(variant: int, texts: np.ndarray) -> np.ndarray:
        return np.where(variants == variant, texts, "").astype(object)

    variants = random.choice(5, size=rows, p=[0.45, 0.2, 0.15, 0.1, 0.1])
    cities = [f"City {number}" for number in range(2_000)]
    media = [media_type for media_type in MEDIA_TYPES if media_type != GOOGLE_CALL_EXTENSION]
    return {
        "action": choose(["create"]),
        "advertiser_id_from_network": choose([f"A-{number}" for number in range(400)]),
        "advertiser_campaign_id_from_network": choose([f"C-{number}" for number in range(4_000)]),
        "affiliate_id_from_network": choose(["", *(f"F-{number}" for number in range(60))]),
        "id_from_network": np.array([f"N-{number:07}" for number in range(rows)], dtype=object),
        "description": choose([f"Store {number:05}, spring sale" for number in range(20_000)]),
        "media_type": choose(media),
        "local_center.tn_prefix": where_variant(1, choose(area_codes())),
        "local_center.zipcode": where_variant(2, choose([f"{number:05}" for number in range(10_000, 18_000)])),
        "local_center.city": where_variant(3, choose(cities)),
        "local_center.state": where_variant(3, choose(list(regions.STATES))),
        "custom_data.channel": choose([f"Channel {number}" for number in range(12)]),
    }


def write_csv(path: str | Path, rows: int) -> None:
    """Write the rows to a CSV file."""
    frame(rows).to_csv(path, index=False)


def write_workbook(path: str | Path, rows: int) -> None:
    """Write the rows to a workbook as Excel does: each distinct text is stored once, in the shared strings table."""
    frame(rows).to_excel(path, index=False, engine="xlsxwriter")


Cell = tuple[int, str]


def digest(cells_with_errors: Iterator[Cell] | set[Cell]) -> list[object]:
    """A summary of the cells with errors, to compare ours with a peer's: count, checksum, and the first 20."""
    import hashlib  # noqa: PLC0415  only this function needs it

    cells = sorted(set(cells_with_errors))
    text = "\n".join(f"{row}\t{column}" for row, column in cells)
    first = [f"{row}:{column}" for row, column in itertools.islice(cells, 20)]
    return [len(cells), hashlib.sha256(text.encode()).hexdigest(), *first]


def require_same(ours: object, peers: object) -> None:
    """Raise an error if ours and the peer's errors differ: their times would not be comparable."""
    if ours != peers:
        msg = f"The errors differ:\n{ours}\n{peers}"
        raise AssertionError(msg)
