"""Sheets for the page, and what the platform and the results say of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox


def sheet(folder: Path, rows: int, name: str = "requests.xlsx", **columns: Any) -> Path:
    """A workbook of so many good requests; named columns replace theirs."""
    frame = pd.DataFrame(
        {
            "advertiser_id_from_network": "A-1",
            "advertiser_campaign_id_from_network": [f"C-{number % 3}" for number in range(rows)],
            "description": [f"Number {number + 1}" for number in range(rows)],
            "media_type": "Online: Display",
            **columns,
        }
    )
    path = folder / name
    frame.to_excel(path, index=False)
    return path


def read(path: Path) -> pd.DataFrame:
    """The first worksheet, all of it text."""
    return pd.read_excel(path, dtype=str, keep_default_na=False, engine="calamine")


def numbers(path: Path) -> list[str]:
    """The numbers of a results file."""
    return sorted(filter(None, read(path)["promo_number"]))


def issued(box: Sandbox) -> list[str]:
    """What the platform really issued."""
    return sorted(one.number for one in box.store.ledger)


def left(box: Sandbox) -> int:
    """How many numbers the platform still has."""
    return sum(len(one.numbers) for one in box.store.networks[box.network_id].campaigns.values())
