"""Points where a process can be killed: around the journal's commits and during a request.

The package is patched in the child process only.
"""

from __future__ import annotations

import functools
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx
import sqlalchemy as sa

from invoca_bulk.journal import Journal, State
from invoca_bulk.reports.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Position relative to a transaction of the journal; `inside`: written, but not committed yet.
MOMENTS = ("before", "inside", "after")
#: Methods of the journal that write in a separate transaction.
_TRANSACTIONS = ("recover_from_crash", "start_run", "resume_run", "end_run", "save_rate")
#: State transition of a step to the name of its commit; `anew`: a step that was not found is looked up again.
_CHANGES = {
    (State.PENDING, State.SENT): "sent",
    (State.SENT, State.SENT): "status",
    (State.SENT, State.DONE): "outcome",
    (State.SENT, State.REJECTED): "outcome",
    (State.SENT, State.FAILED): "outcome",
    (State.SENT, State.IN_DOUBT): "outcome",
    (State.SENT, State.PENDING): "back",
    (State.IN_DOUBT, State.DONE): "settled",
    (State.IN_DOUBT, State.ABSENT): "settled",
    (State.IN_DOUBT, State.IN_DOUBT): "settled",
    (State.ABSENT, State.IN_DOUBT): "anew",
    (State.ABSENT, State.SENT): "again",
    (State.IN_DOUBT, State.SENT): "again",
}
#: Any transaction of the journal.
ANY = "commit"
COMMITS = (*_TRANSACTIONS, *dict.fromkeys(_CHANGES.values()))
#: Event of the transport to the stage of the request.
_EVENTS = {
    "send_request_headers.started": "headers before",
    "send_request_headers.complete": "headers after",
    "send_request_body.complete": "body after",
    "receive_response_headers.complete": "answer begun",
    "receive_response_body.complete": "answer whole",
}
_VERBS = {"POST": "post", "GET": "get"}
REQUESTS = tuple(f"{verb} {stage}" for verb in _VERBS.values() for stage in _EVENTS.values())
#: Just after the n-th table or index of a new journal was created.
TABLE = "table made"
#: The names of all points of a run.
POINTS = (
    *(f"{name} {moment}" for name in COMMITS for moment in MOMENTS),
    *REQUESTS,
    "results before",
    "results after",
)


class Killer:
    """Kills this process when a point is reached for the n-th time.

    Args:
        point: one of `POINTS`, `TABLE`, or `commit before` and so on for any commit; empty: none.
        nth: counts from 1.
    """

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._nth = nth
        self._reached: Counter[str] = Counter()
        self.inside: list[str] = []

    def reach(self, *points: str) -> None:
        """Count these points as reached, and kill the process if it is time."""
        for point in points:
            self._reached[point] += 1
            if point == self._point and self._reached[point] == self._nth:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()


def plant(point: str, nth: int) -> None:
    """Arrange that this process is killed at a point."""
    killer = Killer(point, nth)
    for name in _TRANSACTIONS:
        _wrap_commit(killer, name, lambda name, _: [name])
    _wrap_commit(
        killer,
        "apply_transitions",
        lambda _, changes: [_CHANGES[change.from_state, change.to_state] for change in changes],
    )
    sa.event.listen(sa.Engine, "commit", lambda _: killer.reach(*killer.inside))
    _wrap_table_creation(killer)
    _wrap_requests(killer)
    _wrap_save(killer)


def replace_method(owner: type, name: str, method: Any) -> None:
    """Replace a method of a class, in this process only."""
    setattr(owner, name, method)


def _wrap_commit(killer: Killer, name: str, commit_names: Callable[[str, Any], Iterable[str]]) -> None:
    original = getattr(Journal, name)

    @functools.wraps(original)
    def wrapped(journal: Journal, *args: Any, **options: Any) -> Any:
        commits = [ANY, *commit_names(name, args[0] if args else None)]
        killer.reach(*(f"{commit} before" for commit in commits))
        killer.inside = [f"{commit} inside" for commit in commits]
        result = original(journal, *args, **options)
        killer.inside = []
        killer.reach(*(f"{commit} after" for commit in commits))
        return result

    replace_method(Journal, name, wrapped)


def _wrap_table_creation(killer: Killer) -> None:
    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def _after_execute(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("CREATE"):
            killer.reach(TABLE)


def _wrap_requests(killer: Killer) -> None:
    original = httpx.AsyncClient.send

    @functools.wraps(original)
    async def send(client: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        verb, trace = _VERBS.get(request.method, "other"), request.extensions["trace"]

        async def traced(event: str, info: Any) -> None:
            await trace(event, info)
            if stage := _EVENTS.get(event.partition(".")[2]):
                killer.reach(f"{verb} {stage}")

        request.extensions["trace"] = traced
        return await original(client, request, **options)

    replace_method(httpx.AsyncClient, "send", send)


def _wrap_save(killer: Killer) -> None:
    original = Results.save

    @functools.wraps(original)
    def save(results: Results, *args: Any, **options: Any) -> Any:
        killer.reach("results before")
        path = original(results, *args, **options)
        killer.reach("results after")
        return path

    replace_method(Results, "save", save)
