"""What somebody would write who trusts the engine: one workflow a row, and a step that it tries again at any error.

python naive_worker.py hand-out SHEET    hands out a sheet's rows
python naive_worker.py work NAME         does them, as the worker of that name
python naive_worker.py collect SHEET RESULTS    writes what became of them
"""

from __future__ import annotations

import csv
import os
import sys
import threading
from pathlib import Path

import httpx
from dbos import DBOS, DBOSClient

_NAME, _VERSION, _QUEUE = "naive", "1", "rows"
_PLACE = (
    "api/2022-08-01/{network}/advertisers/{advertiser_id_from_network}"
    "/advertiser_campaigns/{advertiser_campaign_id_from_network}/promo_numbers.json"
)


@DBOS.step(retries_allowed=True, interval_seconds=0.1, max_attempts=20, backoff_rate=1.2)
def post(row: dict[str, str]) -> str:
    address = f"{os.environ['INVOCA_BASE_URL']}/{_PLACE.format(network=os.environ['INVOCA_NETWORK_ID'], **row)}"
    body = {name: row[name] for name in ("description", "media_type")}
    token = {"Authorization": os.environ["INVOCA_API_TOKEN"]}
    answer = httpx.post(address, json=body, headers=token, timeout=10, trust_env=False)
    answer.raise_for_status()
    return str(answer.json()["promo_number"])


@DBOS.workflow(name="buy", max_recovery_attempts=None)
def buy(row: dict[str, str]) -> str:
    return post(row)


def _rows(sheet: str) -> list[dict[str, str]]:
    with Path(sheet).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def hand_out(sheet: str) -> None:
    DBOS.migrate(os.environ["INVOCA_JOURNAL"])
    client = DBOSClient(system_database_url=os.environ["INVOCA_JOURNAL"], application_name=_NAME)
    client.register_queue(_QUEUE, worker_concurrency=8, polling_interval_sec=0.1)
    for at, row in enumerate(_rows(sheet)):
        client.enqueue(
            {"workflow_name": "buy", "queue_name": _QUEUE, "workflow_id": f"row {at}", "app_version": _VERSION}, row
        )
    client.destroy()


def work(name: str) -> None:
    """What a worker of this name was at when it was killed, the engine does again."""
    DBOS(
        config={
            "name": _NAME,
            "system_database_url": os.environ["INVOCA_JOURNAL"],
            "application_version": _VERSION,
            "executor_id": name,
            "console_log_level": "ERROR",
        }
    )
    DBOS.listen_queues([_QUEUE])
    DBOS.launch()
    threading.Event().wait()


def collect(sheet: str, results: str) -> None:
    client = DBOSClient(system_database_url=os.environ["INVOCA_JOURNAL"], application_name=_NAME)
    found = {one.workflow_id: one for one in client.list_workflows()}
    done = []
    for at, row in enumerate(_rows(sheet)):
        one = found[f"row {at}"]
        outcome = {"SUCCESS": "created", "ERROR": "failed"}.get(one.status, "unknown")
        done.append({**row, "promo_number": one.output or "", "result_status": outcome})
    client.destroy()
    with Path(results).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(done[0]))
        writer.writeheader()
        writer.writerows(done)


if __name__ == "__main__":
    {"hand-out": hand_out, "work": work, "collect": collect}[sys.argv[1]](*sys.argv[2:])
