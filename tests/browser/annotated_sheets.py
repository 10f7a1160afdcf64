"""Sheets for the page, and readers of their results and of the platform's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox


def sheet(folder: Path, rows: int, name: str = "requests.xlsx", **columns: Any) -> Path:
    """A workbook with `rows` valid requests; `columns` replace their columns."""
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
    """The first worksheet, with all cells as text."""
    return pd.read_excel(path, dtype=str, keep_default_na=False, engine="calamine")


def numbers(path: Path) -> list[str]:
    """The promo numbers in a results file."""
    return sorted(filter(None, read(path)["promo_number"]))


def issued(box: Sandbox) -> list[str]:
    """The numbers that the platform really issued."""
    return sorted(entry.number for entry in box.store.ledger)


def existing_count(box: Sandbox) -> int:
    """How many numbers the platform has now."""
    return sum(len(campaign.numbers) for campaign in box.store.networks[box.network_id].campaigns.values())
