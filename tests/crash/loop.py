"""What a user might write instead: a loop that retries after any error, and writes the results at the end."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Mapping

_CAMPAIGN_PATH = "advertisers/{advertiser_id_from_network}/advertiser_campaigns/{advertiser_campaign_id_from_network}"


def buy(job: Mapping[str, Any]) -> dict[str, Any]:
    """Buy a number for each row."""
    network = job["network"]
    base = f"{network['base_url']}/api/{network['api_version']}/{network['network_id']}"
    with Path(job["sheet"]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with httpx.Client(headers={"Authorization": network["token"]}, timeout=10, trust_env=False) as client:
        results = [{**row, "promo_number": _buy_number(client, base, row), "result_status": "created"} for row in rows]
    with Path(job["output"]).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(results[0]))
        writer.writeheader()
        writer.writerows(results)
    return {"state": "finished", "code": 0, "saved": job["output"]}


def _buy_number(client: httpx.Client, base: str, row: Mapping[str, str]) -> str:
    body = {name: row[name] for name in ("description", "media_type")}
    while True:
        try:
            response = client.post(f"{base}/{_CAMPAIGN_PATH.format(**row)}/promo_numbers.json", json=body)
            response.raise_for_status()
            return str(response.json()["promo_number"])
        except (httpx.HTTPError, ValueError):
            time.sleep(0.01)
