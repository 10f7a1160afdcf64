"""Values that must exist once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from invoca_bulk.journal.thread_safe_cache import thread_safe_cache


def test_threads_get_the_same_value() -> None:
    """The function is called once for each argument, also if threads ask for the same value at once."""
    start, second_call = threading.Barrier(2), threading.Event()
    calls = []

    @thread_safe_cache
    def make(name: str) -> object:
        calls.append(name)
        if len(calls) == 2:
            second_call.set()
        second_call.wait(0.2)  # so that a second thread has the time to call it too
        return object()

    def ask(_: int) -> object:
        start.wait()
        return make("a")

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(ask, range(2))
    assert first is second
    assert calls == ["a"]
    assert make("b") is not first
