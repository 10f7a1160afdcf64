"""`invoca-bulk sandbox --faults`: a process with fault injection and admin endpoints."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = "/api/2022-08-01/1234/advertisers/A-100/advertiser_campaigns/C-100/promo_numbers.json"
BODY = {"description": "d", "media_type": "Online: Display"}


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[httpx.Client, str]]:
    """A process with a sandbox, and its output when it is ready."""
    command = [sys.executable, "-u", "-m", "invoca_bulk", "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout
        try:
            output = "".join(process.stdout.readline() for _ in range(4 if "--faults" in arguments else 3))
            url, token = re.findall(r"INVOCA_BASE_URL=(\S+) .* INVOCA_API_TOKEN=(\S+)", output)[0]
            with httpx.Client(base_url=url, headers={"Authorization": token}) as http:
                yield http, output
        finally:
            process.terminate()


def post_results(http: httpx.Client, count: int) -> list[object]:
    def post_result() -> object:
        try:
            return http.post(NUMBERS, json=BODY).status_code
        except httpx.TransportError as error:
            return type(error)

    return [post_result() for _ in range(count)]


def test_faults_by_flag() -> None:
    """The flags select the faults, the same in each process; the ledger is complete; PUT switches the faults off."""
    flags = ("--faults", "drop_after=30%,429=30%", "--seed", "5")
    with serving(*flags) as (http, output):
        first = post_results(http, 30)
        assert set(first) == {201, 429, httpx.RemoteProtocolError}
        ledger = http.get("/sandbox/ledger").json()
        assert len(ledger) == 30 - first.count(429)
        assert "/sandbox/ledger" in output
        assert http.put("/sandbox/faults", json={"rate": 0}).status_code == 200
        assert post_results(http, 10) == [201] * 10
    with serving(*flags) as (http, _):
        assert post_results(http, 30) == first
        assert http.get("/sandbox/ledger").json() == ledger


def test_none_by_default() -> None:
    """Without the flag there are no faults."""
    with serving() as (http, output):
        assert post_results(http, 10) == [201] * 10
        assert http.get("/sandbox/state").json()["faults"]["counts"] == {}
    assert "on purpose" not in output


def test_wrong_faults(cli: Callable[..., Any]) -> None:
    """A misspelt fault type is an error with exit code 2, before the server starts."""
    ran = cli("sandbox", "--port", "0", "--faults", "dorp=5%")
    assert (ran.code, ran.out) == (2, "")
    assert "no fault 'dorp'" in ran.err


def test_help_lists_the_fault_types(cli: Callable[..., Any]) -> None:
    """The help describes every fault type."""
    help_text = cli("sandbox", "--help").out
    for name, fault_type in FAULT_TYPES.items():
        assert re.search(rf"{name} +{re.escape(fault_type.help)}", help_text)
