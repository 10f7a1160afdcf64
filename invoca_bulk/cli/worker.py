"""`invoca-bulk worker`: do what `run --cluster` hands out."""

from __future__ import annotations

import os
import signal
import sys
import threading

import click

from invoca_bulk.cli import common


@click.command()
@common.journal_option()
def command(journal: str | None) -> None:
    """Do what `run --cluster` hands out, until Ctrl-C; what is under way then is awaited.

    The networks are those whose tokens are in the environment: INVOCA_API_TOKEN_1234 for network 1234 (and
    INVOCA_BASE_URL_1234, where it is elsewhere), or INVOCA_NETWORK_ID with INVOCA_API_TOKEN. The journal is on
    PostgreSQL: INVOCA_JOURNAL=postgresql://… Start as many workers as you like, on as many machines.
    """
    from invoca_bulk.config.settings import resolve_journal_location
    from invoca_bulk.workers import assignments, client

    place = client.require_shared_journal(resolve_journal_location(journal))
    posts = assignments.assignments_from_env(place)
    stopped = threading.Event()
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: _handle_stop_signal(stopped))
    names = ", ".join(f"{one.network.network_id} at {one.network.base_url}" for one in posts)
    networks = "networks" if len(posts) > 1 else "network"
    click.echo(f"Working for {networks} {names} with the journal on {place}. Ctrl-C ends it.")
    sys.stdout.flush()
    client.run_worker(posts, stopped)
    os._exit(0)  # not by the interpreter, which would wait for threads of the queue that wait for other workers


def _handle_stop_signal(stop_requested: threading.Event) -> None:
    """What is under way is awaited; at the second signal it is not."""
    if stop_requested.is_set():
        os._exit(4)
    stop_requested.set()
