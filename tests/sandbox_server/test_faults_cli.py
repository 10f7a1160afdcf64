"""`invoca-bulk sandbox --faults`: a process that fails on purpose, and tells what it really did."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx

from invoca_bulk.sandbox_server import FAULT_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = "/api/2022-08-01/1234/advertisers/A-100/advertiser_campaigns/C-100/promo_numbers.json"
BODY = {"description": "d", "media_type": "Online: Display"}


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[httpx.Client, str]]:
    """A process with a sandbox, and what it printed when it was ready."""
    command = [sys.executable, "-u", "-m", "invoca_bulk", "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stdout
        try:
            told = "".join(process.stdout.readline() for _ in range(4 if "--faults" in arguments else 3))
            url, token = re.findall(r"INVOCA_BASE_URL=(\S+) .* INVOCA_API_TOKEN=(\S+)", told)[0]
            with httpx.Client(base_url=url, headers={"Authorization": token}) as http:
                yield http, told
        finally:
            process.terminate()


def seen(http: httpx.Client, count: int) -> list[object]:
    def one() -> object:
        try:
            return http.post(NUMBERS, json=BODY).status_code
        except httpx.TransportError as error:
            return type(error)

    return [one() for _ in range(count)]


def test_faults_by_flag() -> None:
    """The flags decide what goes wrong, the same each time; the ledger knows all; PUT ends it."""
    flags = ("--faults", "drop_after=30%,429=30%", "--seed", "5")
    with serving(*flags) as (http, told):
        first = seen(http, 30)
        assert set(first) == {201, 429, httpx.RemoteProtocolError}
        ledger = http.get("/sandbox/ledger").json()
        assert len(ledger) == 30 - first.count(429)
        assert "/sandbox/ledger" in told
        assert http.put("/sandbox/faults", json={"rate": 0}).status_code == 200
        assert seen(http, 10) == [201] * 10
    with serving(*flags) as (http, _):
        assert seen(http, 30) == first
        assert http.get("/sandbox/ledger").json() == ledger


def test_none_by_default() -> None:
    """Without the flag nothing goes wrong."""
    with serving() as (http, told):
        assert seen(http, 10) == [201] * 10
        assert http.get("/sandbox/state").json()["faults"]["counts"] == {}
    assert "on purpose" not in told


def test_wrong_faults(cli: Callable[..., Any]) -> None:
    """A misspelt fault ends it with a sentence and exit 2 before it listens."""
    ran = cli("sandbox", "--port", "0", "--faults", "dorp=5%")
    assert (ran.code, ran.out) == (2, "")
    assert "no fault 'dorp'" in ran.err


def test_help_lists_the_kinds(cli: Callable[..., Any]) -> None:
    """The help names every kind and what it does."""
    help_text = cli("sandbox", "--help").out
    for name, kind in FAULT_TYPES.items():
        assert re.search(rf"{name} +{re.escape(kind.help)}", help_text)
