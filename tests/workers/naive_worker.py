"""A naive worker that trusts the engine: one workflow per row, with a step that is retried after any error.

python naive_worker.py enqueue SHEET            enqueues a sheet's rows
python naive_worker.py work NAME                processes them, as the worker of that name
python naive_worker.py collect SHEET RESULTS    writes the results
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
_PATH = (
    "api/2022-08-01/{network}/advertisers/{advertiser_id_from_network}"
    "/advertiser_campaigns/{advertiser_campaign_id_from_network}/promo_numbers.json"
)


@DBOS.step(retries_allowed=True, interval_seconds=0.1, max_attempts=20, backoff_rate=1.2)
def post(row: dict[str, str]) -> str:
    url = f"{os.environ['INVOCA_BASE_URL']}/{_PATH.format(network=os.environ['INVOCA_NETWORK_ID'], **row)}"
    body = {name: row[name] for name in ("description", "media_type")}
    headers = {"Authorization": os.environ["INVOCA_API_TOKEN"]}
    response = httpx.post(url, json=body, headers=headers, timeout=10, trust_env=False)
    response.raise_for_status()
    return str(response.json()["promo_number"])


@DBOS.workflow(name="buy", max_recovery_attempts=None)
def buy(row: dict[str, str]) -> str:
    return post(row)


def _read_rows(sheet: str) -> list[dict[str, str]]:
    with Path(sheet).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def enqueue(sheet: str) -> None:
    DBOS.migrate(os.environ["INVOCA_JOURNAL"])
    client = DBOSClient(system_database_url=os.environ["INVOCA_JOURNAL"], application_name=_NAME)
    client.register_queue(_QUEUE, worker_concurrency=8, polling_interval_sec=0.1)
    for index, row in enumerate(_read_rows(sheet)):
        client.enqueue(
            {"workflow_name": "buy", "queue_name": _QUEUE, "workflow_id": f"row {index}", "app_version": _VERSION}, row
        )
    client.destroy()


def work(name: str) -> None:
    """Run a worker; the engine repeats what a killed worker of the same name was doing."""
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
    workflows = {workflow.workflow_id: workflow for workflow in client.list_workflows()}
    result_rows = []
    for index, row in enumerate(_read_rows(sheet)):
        workflow = workflows[f"row {index}"]
        outcome = {"SUCCESS": "created", "ERROR": "failed"}.get(workflow.status, "unknown")
        result_rows.append({**row, "promo_number": workflow.output or "", "result_status": outcome})
    client.destroy()
    with Path(results).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(result_rows[0]))
        writer.writeheader()
        writer.writerows(result_rows)


if __name__ == "__main__":
    {"enqueue": enqueue, "work": work, "collect": collect}[sys.argv[1]](*sys.argv[2:])
