"""The client of a run on workers: enqueues and follows it. The run continues when the client stops following."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable, Sequence
from types import ModuleType

import sqlalchemy as sa

from invoca_bulk import journal
from invoca_bulk.config.journal_location import Database, JournalLocation
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError, RunAborted
from invoca_bulk.execution import RunCounters
from invoca_bulk.journal import RunState
from invoca_bulk.journal.db_retry import retry_on_disconnect
from invoca_bulk.reports.progress import ProgressBar
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.wording import remedy
from invoca_bulk.workers.tasks import Assignment, QueuedRun, network_key

#: Minimum number of seconds between two queries of the journal.
_POLL_SECONDS = 0.5
#: Seconds after which the user is notified that no worker has picked up the run.
_NO_WORKER_SECONDS = 10.0


def shared_journal_for(network: Network, options: Options) -> Database:
    """The database whose journal a network's workers and clients share."""
    if network.rehearsal:
        raise ConfigError(f"Workers cannot reach a sandbox of this process. Start a separate one: {remedy('sandbox')}")
    return require_shared_journal(journal.location_for(network, options.journal))


def require_shared_journal(location: JournalLocation) -> Database:
    """Check that several machines can reach a journal location; a folder they cannot."""
    if not isinstance(location, Database):
        msg = "Workers share a journal on PostgreSQL. Set INVOCA_JOURNAL=postgresql://… on each of their machines."
        raise ConfigError(msg)
    return location


def create_queues(network: Network, options: Options) -> None:
    """Create the queues of a network; call it before a run for workers is recorded."""
    _import_queue().create_queues(shared_journal_for(network, options), network_key(network))


def enqueue_run(network: Network, options: Options, queued_run: QueuedRun) -> None:
    """Enqueue a run that is recorded as one for workers. Has no effect if it is already enqueued."""
    try:
        _import_queue().enqueue_run(shared_journal_for(network, options), network_key(network), queued_run)
    except ConfigError as error:
        resume = remedy("resume", "cluster", subject=queued_run.run)
        msg = f"{error.text} The run {queued_run.run} is recorded. To give it to the workers: {resume}"
        raise RunAborted(msg) from None


def _import_queue() -> ModuleType:
    """Import the queue's module, whose package is optional."""
    try:
        return importlib.import_module("invoca_bulk.workers.queue")
    except ModuleNotFoundError as error:
        msg = f'Workers need {error.name}. Install it: pip install "invoca-bulk[cluster]"'
        raise ConfigError(msg) from None


def run_worker(assignments: Sequence[Assignment], stop_event: threading.Event) -> None:
    """Run a worker until the event is set."""
    _import_queue().Worker(assignments).run(stop_event)


def follow_run(network: Network, options: Options, run: str, notify: Callable[[str], None]) -> None:
    """Show the progress of a run until it ends or the user presses Ctrl-C, which does not stop the run."""
    database, started_at = shared_journal_for(network, options), time.monotonic()
    find_owner = journal.handle_for(database, network).find_owner
    counters = RunCounters()
    is_notified = False
    with ProgressBar(counters, show=options.progress) as bar:
        try:
            while retry_on_disconnect(lambda: _refresh_counters(database, network, run, counters)):
                polled_at = time.monotonic()
                bar.redraw()
                is_late = polled_at - started_at > _NO_WORKER_SECONDS
                if is_late and not is_notified and retry_on_disconnect(find_owner) is None:
                    is_notified = True
                    notify(
                        f"No worker has picked up this run. Start one on a machine that has the token for "
                        f"{network.label}: {remedy('worker')}"
                    )
                time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - polled_at)))
        except KeyboardInterrupt:
            return
        except sa.exc.SQLAlchemyError:
            msg = f"The journal on {database} no longer responds; run {run} continues on the workers. Follow it later:"
            raise RunAborted(f"{msg} {remedy('resume', 'cluster', subject=run)}") from None


def _refresh_counters(database: Database, network: Network, run: str, counters: RunCounters) -> bool:
    """Update the counters from the journal; returns whether the run is still running."""
    with journal.open_readonly(database, network) as open_journal:
        if open_journal is None:
            return False
        totals = open_journal.outcome_totals(run)[run].all
        counters.total = sum(totals.values())
        counters.outcomes.clear()
        counters.outcomes.update(
            {outcome: count for outcome, count in totals.items() if outcome is not Outcome.NOT_SENT}
        )
        return open_journal.run(run).state is RunState.RUNNING
