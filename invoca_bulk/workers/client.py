"""The client's side of a run at the workers: handing it out, and following it; to stop following ends nothing."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING

import sqlalchemy as sa

from invoca_bulk import journal
from invoca_bulk.config.settings import Database
from invoca_bulk.errors import RunAborted, SettingInvalid
from invoca_bulk.execution import Tally
from invoca_bulk.journal import RunState
from invoca_bulk.journal.db_retry import patiently
from invoca_bulk.reports.progress import Bar
from invoca_bulk.schema.result_columns import Outcome

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import Network, Place
    from invoca_bulk.workers.tasks import Post, Task

#: Seconds between two looks; more where a look takes long.
_HEARTBEAT = 0.5
#: Seconds after which a run that nobody is at is told of.
_NOBODY = 10.0


def place_of(network: Network, options: Options) -> Database:
    """Where workers and their clients meet.

    Raises:
        SettingInvalid: there is no such place.
    """
    if network.rehearsal:
        msg = "A sandbox of this program cannot be reached by workers. Start one: invoca-bulk sandbox"
        raise SettingInvalid(msg)
    return shared(journal.place_of(network, options.journal))


def shared(place: Place) -> Database:
    """A place of journals that several machines can reach.

    Raises:
        SettingInvalid: it is a folder.
    """
    if not isinstance(place, Database):
        msg = "Workers share a journal on PostgreSQL. Set INVOCA_JOURNAL=postgresql://… on each of their machines."
        raise SettingInvalid(msg)
    return place


def prepare(network: Network, options: Options) -> None:
    """See that a run can be handed to workers, before it is recorded.

    Raises:
        SettingInvalid: it cannot.
    """
    place = place_of(network, options)
    _engine().prepare(place, _key(network))


def hand_out(network: Network, options: Options, task: Task) -> None:
    """Have workers do a run that is recorded as one for them.

    Args:
        network: the run's network.
        options: where the journal is.
        task: the run; twice for the same turn is once.

    Raises:
        RunAborted: the queue cannot be used.
    """
    try:
        _engine().hand_out(place_of(network, options), _key(network), task)
    except SettingInvalid as error:
        msg = f"{error} The run {task.run} is recorded; hand it out with: invoca-bulk resume {task.run} --cluster"
        raise RunAborted(msg) from None


def _engine() -> ModuleType:
    """The queue, which the local path does not need.

    Raises:
        SettingInvalid: it is not installed.
    """
    try:
        return importlib.import_module("invoca_bulk.workers.queue")
    except ModuleNotFoundError as error:
        msg = f"Workers need {error.name}. Install it: pip install 'invoca-bulk[cluster]'"
        raise SettingInvalid(msg) from None


def serve(posts: Sequence[Post], stopped: threading.Event) -> None:
    """Be a worker, until it is stopped.

    Raises:
        SettingInvalid: the queue is not installed, or cannot be used.
    """
    _engine().Worker(posts).serve(stopped)


def _key(network: Network) -> str:
    from invoca_bulk.journal.postgres import schema_of  # noqa: PLC0415  nobody else needs it

    return schema_of(base_url=network.base_url, network_id=network.network_id)


def follow(network: Network, options: Options, run: str, say: Callable[[str], None]) -> None:
    """Show how far a run is until it has ended, or somebody presses Ctrl-C; the run goes on.

    Args:
        network: the run's network.
        options: where the journal is, and whether to show a progress bar.
        run: the run.
        say: tells the user a sentence.

    Raises:
        RunAborted: the journal does not answer any more; the run goes on all the same.
    """
    place, began = place_of(network, options), time.monotonic()
    owner = journal.shelved_of(place, network).owner
    tally = Tally()
    told = False
    with Bar(tally, show=options.progress) as bar:
        try:
            while patiently(lambda: _look(place, network, run, tally)):
                looked = time.monotonic()
                bar.tick()
                if not told and looked - began > _NOBODY and patiently(owner) is None:
                    told = True
                    say(
                        f"No worker is at it yet. Start one where the token of network {network.network_id} at "
                        f"{network.base_url} is: invoca-bulk worker"
                    )
                time.sleep(max(_HEARTBEAT, 4 * (time.monotonic() - looked)))
        except KeyboardInterrupt:
            return
        except sa.exc.SQLAlchemyError:
            msg = f"The journal on {place} does not answer any more; run {run} goes on at the workers. Follow it later:"
            raise RunAborted(f"{msg} invoca-bulk resume {run} --cluster") from None


def _look(place: Database, network: Network, run: str, tally: Tally) -> bool:
    """Count how far it is; whether it is still under way."""
    with journal.reading(place, network) as book:
        if book is None:
            return False
        totals = book.totals(run)[run]
        tally.total = sum(totals.values())
        tally.outcomes.clear()
        tally.outcomes.update({one: count for one, count in totals.items() if one is not Outcome.NOT_SENT})
        return book.run(run).state is RunState.RUNNING
