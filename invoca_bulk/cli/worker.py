"""`invoca-bulk worker`: a worker process for `run --cluster`."""

from __future__ import annotations

import os
import signal
import sys
import threading

import click

from invoca_bulk.cli import common
from invoca_bulk.exit_codes import ALL_DONE, INTERRUPTED
from invoca_bulk.wording import plural_of


@click.command()
@common.journal_option
def command(journal: str | None) -> None:
    """Work on the runs that `run --cluster` starts. Ctrl-C stops the worker after its open requests have finished.

    A worker serves the networks whose tokens are in its environment: INVOCA_API_TOKEN_1234 for network 1234 (with
    INVOCA_BASE_URL_1234 if it has its own host), or INVOCA_NETWORK_ID with INVOCA_API_TOKEN.

    The journal must be on PostgreSQL, for example INVOCA_JOURNAL=postgresql://user@host/database. Start as many
    workers on as many machines as you like.
    """
    from invoca_bulk.config.journal_location import resolve_journal_location
    from invoca_bulk.config.network import network_address
    from invoca_bulk.transport.run_sync import STOP_SIGNALS
    from invoca_bulk.workers import assignments, client

    location = client.require_shared_journal(resolve_journal_location(journal))
    worker_assignments = assignments.assignments_from_env(location)
    stop_requested = threading.Event()

    def stop(*_: object) -> None:
        """Let open requests finish; a second signal exits at once."""
        if stop_requested.is_set():
            os._exit(INTERRUPTED)
        stop_requested.set()

    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, stop)
    networks = [assignment.network for assignment in worker_assignments]
    names = ", ".join(network_address(network.network_id, network.base_url) for network in networks)
    click.echo(
        f"Working for {plural_of(len(networks), 'network')} {names}, with the journal on {location}. Ctrl-C stops it."
    )
    sys.stdout.flush()
    client.run_worker(worker_assignments, stop_requested)
    os._exit(ALL_DONE)  # sys.exit would wait for threads of the queue, which wait for other workers
