"""The client's side of a run at the workers: handing it out, and following it; to stop following ends nothing."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from invoca_bulk import journal
from invoca_bulk.config.settings import Database
from invoca_bulk.errors import ConfigError, RunAborted
from invoca_bulk.execution import RunCounters
from invoca_bulk.journal import RunState
from invoca_bulk.journal.db_retry import retry_on_disconnect
from invoca_bulk.reports.progress import ProgressBar
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import JournalLocation, Network
    from invoca_bulk.workers.tasks import Assignment, QueuedRun

#: Seconds between two looks; more where a look takes long.
_POLL_SECONDS = 0.5
#: Seconds after which a run that nobody is at is told of.
_NO_WORKER_SECONDS = 10.0


def shared_journal_for(network: Network, options: Options) -> Database:
    """Where workers and their clients meet.

    Raises:
        ConfigError: there is no such place.
    """
    if network.rehearsal:
        msg = "A sandbox of this program cannot be reached by workers. Start one: invoca-bulk sandbox"
        raise ConfigError(msg)
    return require_shared_journal(journal.location_for(network, options.journal))


def require_shared_journal(location: JournalLocation) -> Database:
    """A place of journals that several machines can reach.

    Raises:
        ConfigError: it is a folder.
    """
    if not isinstance(location, Database):
        msg = "Workers share a journal on PostgreSQL. Set INVOCA_JOURNAL=postgresql://… on each of their machines."
        raise ConfigError(msg)
    return location


def create_queues(network: Network, options: Options) -> None:
    """See that a run can be handed to workers, before it is recorded.

    Raises:
        ConfigError: it cannot.
    """
    place = shared_journal_for(network, options)
    _import_queue().prepare(place, _network_key(network))


def enqueue_run(network: Network, options: Options, queued_run: QueuedRun) -> None:
    """Have workers do a run that is recorded as one for them.

    Args:
        network: the run's network.
        options: where the journal is.
        queued_run: the run; twice for the same turn is once.

    Raises:
        RunAborted: the queue cannot be used.
    """
    try:
        _import_queue().hand_out(shared_journal_for(network, options), _network_key(network), queued_run)
    except ConfigError as error:
        command = f"invoca-bulk resume {queued_run.run} --cluster"
        msg = f"{error} The run {queued_run.run} is recorded; hand it out with: {command}"
        raise RunAborted(msg) from None


def _import_queue() -> ModuleType:
    """The queue, which the local path does not need.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module("invoca_bulk.workers.queue")
    except ModuleNotFoundError as error:
        msg = f"Workers need {error.name}. Install it: pip install 'invoca-bulk[cluster]'"
        raise ConfigError(msg) from None


def run_worker(assignments: Sequence[Assignment], stop_event: threading.Event) -> None:
    """Be a worker, until it is stopped.

    Raises:
        ConfigError: the queue is not installed, or cannot be used.
    """
    _import_queue().Worker(assignments).run(stop_event)


def _network_key(network: Network) -> str:
    from invoca_bulk.journal.postgres import schema_name  # noqa: PLC0415  nobody else needs it

    return schema_name(base_url=network.base_url, network_id=network.network_id)


def follow_run(network: Network, options: Options, run: str, notify: Callable[[str], None]) -> None:
    """Show how far a run is until it has ended, or somebody presses Ctrl-C; the run goes on.

    Args:
        network: the run's network.
        options: where the journal is, and whether to show a progress bar.
        run: the run.
        notify: tells the user a sentence.

    Raises:
        RunAborted: the journal does not answer any more; the run goes on all the same.
    """
    place, began = shared_journal_for(network, options), time.monotonic()
    owner = journal.handle_for(place, network).find_owner
    tally = RunCounters()
    told = False
    with ProgressBar(tally, show=options.progress) as bar:
        try:
            while retry_on_disconnect(lambda: _refresh_counters(place, network, run, tally)):
                looked = time.monotonic()
                bar.redraw()
                if not told and looked - began > _NO_WORKER_SECONDS and retry_on_disconnect(owner) is None:
                    told = True
                    notify(
                        f"No worker is at it yet. Start one where the token of network {network.network_id} at "
                        f"{network.base_url} is: invoca-bulk worker"
                    )
                time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - looked)))
        except KeyboardInterrupt:
            return
        except sa.exc.SQLAlchemyError:
            msg = f"The journal on {place} does not answer any more; run {run} goes on at the workers. Follow it later:"
            raise RunAborted(f"{msg} invoca-bulk resume {run} --cluster") from None


def _refresh_counters(database: Database, network: Network, run: str, counters: RunCounters) -> bool:
    """Count how far it is; whether it is still under way."""
    with journal.open_readonly(database, network) as book:
        if book is None:
            return False
        totals = book.outcome_totals(run)[run]
        counters.total = sum(totals.values())
        counters.outcomes.clear()
        counters.outcomes.update({one: count for one, count in totals.items() if one is not Outcome.NOT_SENT})
        return book.run(run).state is RunState.RUNNING
