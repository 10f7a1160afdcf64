"""Where a process can be killed: labelled points around the journal's commits and in the middle of a request.

The parts of the product are wrapped in the child process only; the product itself knows nothing of it.
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

#: When, of each of the journal's transactions; `inside`: all is written, and not committed yet.
MOMENTS = ("before", "inside", "after")
#: Methods of the journal that write in a transaction of their own.
_WHOLE = ("recover_from_crash", "start_run", "resume_run", "end_run", "save_rate")
#: What a step goes from and to, to the name of that commit; `anew`: what was not found earlier is looked for again.
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
#: Any of the journal's transactions.
ANY = "commit"
COMMITS = (*_WHOLE, *dict.fromkeys(_CHANGES.values()))
#: Events of the transport, to where a request then is.
_EVENTS = {
    "send_request_headers.started": "headers before",
    "send_request_headers.complete": "headers after",
    "send_request_body.complete": "body after",
    "receive_response_headers.complete": "answer begun",
    "receive_response_body.complete": "answer whole",
}
_VERBS = {"POST": "post", "GET": "get"}
REQUESTS = tuple(f"{verb} {place}" for verb in _VERBS.values() for place in _EVENTS.values())
#: Just after the n-th table or index of a new journal was made.
TABLE = "table made"
#: All points of a run, by name.
POINTS = (
    *(f"{name} {moment}" for name in COMMITS for moment in MOMENTS),
    *REQUESTS,
    "results before",
    "results after",
)


class Killer:
    """Kills this process when a point is reached for the n-th time.

    Args:
        point: one of `POINTS`, `TABLE`, or `commit before` and such for any commit; empty: none.
        nth: counts from 1.
    """

    def __init__(self, point: str, nth: int) -> None:
        self._point = point
        self._nth = nth
        self._reached: Counter[str] = Counter()
        self.inside: list[str] = []

    def at(self, *points: str) -> None:
        """Say that these points are reached."""
        for point in points:
            self._reached[point] += 1
            if point == self._point and self._reached[point] == self._nth:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()


def plant(point: str, nth: int) -> None:
    """Have this process killed at a point."""
    killer = Killer(point, nth)
    for name in _WHOLE:
        _wrap_commit(killer, name, lambda name, _: [name])
    _wrap_commit(
        killer, "apply_transitions", lambda _, changes: [_CHANGES[one.from_state, one.to_state] for one in changes]
    )
    sa.event.listen(sa.Engine, "commit", lambda _: killer.at(*killer.inside))
    _heed_tables(killer)
    _wrap_requests(killer)
    _wrap_saving(killer)


def replaced(owner: type, name: str, method: Any) -> None:
    """Give a class another method, in this process only."""
    setattr(owner, name, method)


def _wrap_commit(killer: Killer, name: str, named: Callable[[str, Any], Iterable[str]]) -> None:
    original = getattr(Journal, name)

    @functools.wraps(original)
    def wrapped(book: Journal, *args: Any, **options: Any) -> Any:
        names = [ANY, *named(name, args[0] if args else None)]
        killer.at(*(f"{one} before" for one in names))
        killer.inside = [f"{one} inside" for one in names]
        result = original(book, *args, **options)
        killer.inside = []
        killer.at(*(f"{one} after" for one in names))
        return result

    replaced(Journal, name, wrapped)


def _heed_tables(killer: Killer) -> None:
    @sa.event.listens_for(sa.Engine, "after_cursor_execute")
    def _made(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("CREATE"):
            killer.at(TABLE)


def _wrap_requests(killer: Killer) -> None:
    original = httpx.AsyncClient.send

    @functools.wraps(original)
    async def send(client: httpx.AsyncClient, request: httpx.Request, **options: Any) -> httpx.Response:
        verb, trace = _VERBS.get(request.method, "other"), request.extensions["trace"]

        async def traced(event: str, info: Any) -> None:
            await trace(event, info)
            if place := _EVENTS.get(event.partition(".")[2]):
                killer.at(f"{verb} {place}")

        request.extensions["trace"] = traced
        return await original(client, request, **options)

    replaced(httpx.AsyncClient, "send", send)


def _wrap_saving(killer: Killer) -> None:
    original = Results.save

    @functools.wraps(original)
    def save(results: Results, *args: Any, **options: Any) -> Any:
        killer.at("results before")
        saved = original(results, *args, **options)
        killer.at("results after")
        return saved

    replaced(Results, "save", save)
