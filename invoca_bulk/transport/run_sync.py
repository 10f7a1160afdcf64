"""Runs a coroutine from synchronous code: in a script, or in a notebook where an event loop is already running.

The coroutine runs in an event loop in a background thread. The caller's thread waits for it, draws the progress bar (a
notebook requires the cell's thread for that) and handles interrupts. A hard cancel would lose the results of requests
in flight, so the first interrupt asks the coroutine to stop and only the second one cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

#: Seconds between two updates of the progress and checks for interrupts.
_POLL_SECONDS = 0.1

#: Ctrl-C, a service stop, a closed terminal, and Ctrl-Break on Windows: those that this system has.
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


class Interrupts:
    """Ctrl-C, the notebook's stop button and SIGTERM, counted instead of raised."""

    def __init__(self) -> None:
        self.count = 0

    def handle(self, *_: object) -> None:
        """Count a signal; installed as a signal handler."""
        self.count += 1


@contextlib.contextmanager
def defer_interrupts(*, keep_ignoring: bool = False) -> Iterator[Interrupts]:
    """Count interrupts until the end of the block, so that none can fall between a purchase and its record.

    Does nothing outside the main thread, which receives all signals. `keep_ignoring`: also ignore interrupts after the
    block, for a program that then only prints its results.
    """
    interrupts = Interrupts()
    previous_handlers = {}
    if threading.current_thread() is threading.main_thread():
        # Signals that are already ignored (nohup, a background job) stay ignored; None: not installed from Python.
        handled = [number for number in STOP_SIGNALS if signal.getsignal(number) not in {signal.SIG_IGN, None}]
        previous_handlers = {number: signal.signal(number, interrupts.handle) for number in handled}
    try:
        yield interrupts
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, signal.SIG_IGN if keep_ignoring else handler)


class BackgroundLoop(Generic[T]):
    """Runs a coroutine in a background thread; the arguments are those of `run`."""

    def __init__(
        self, make_coroutine: Callable[[], Coroutine[Any, Any, T]], *, soft_stop: Callable[[], None] | None
    ) -> None:
        self._make_coroutine = make_coroutine
        self._soft_stop = soft_stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._ended = threading.Event()
        self._result: T
        self._error: BaseException | None = None

    def run_until_complete(self, interrupts: Interrupts, tick: Callable[[], None]) -> T:
        """Run the coroutine to its end, and return its result or raise its exception."""
        context = contextvars.copy_context()  # the wording of the caller's messages
        threading.Thread(target=context.run, args=(self._run,), name="invoca-bulk", daemon=True).start()
        handled = 0
        while not self._ended.wait(_POLL_SECONDS):
            self._tick(tick)
            # A third interrupt has nothing more to cancel; it would only disturb the journal's last commit.
            if self._loop and handled < min(interrupts.count, 2):
                handled += 1
                self._stop(softly=handled == 1)
        self._tick(tick)
        if self._error is not None:
            raise self._error
        return self._result

    @staticmethod
    def _tick(tick: Callable[[], None]) -> None:
        """Update the progress; an error in it (a broken pipe, a widget) must not end the run."""
        with contextlib.suppress(Exception):
            tick()

    def _stop(self, *, softly: bool) -> None:
        assert self._loop is not None  # noqa: S101  for mypy: `run_until_complete` has checked it
        assert self._task is not None  # noqa: S101  for mypy: set before the loop
        stop = self._soft_stop if softly and self._soft_stop else self._task.cancel
        with contextlib.suppress(RuntimeError):  # the loop has just ended
            self._loop.call_soon_threadsafe(stop)

    def _run(self) -> None:
        try:
            # Not `asyncio.run`: nest_asyncio replaces it, and looks for a loop that this thread does not have.
            with asyncio.Runner() as runner:
                self._result = runner.run(self._run_task())
        except asyncio.CancelledError:
            self._error = KeyboardInterrupt()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            self._error = error
        finally:
            self._ended.set()

    async def _run_task(self) -> T:
        self._task = asyncio.create_task(self._make_coroutine())
        self._loop = asyncio.get_running_loop()
        return await self._task


def run(
    make_coroutine: Callable[[], Coroutine[Any, Any, T]],
    *,
    interrupts: Interrupts | None = None,
    soft_stop: Callable[[], None] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> T:
    """Run a coroutine, made in a background thread, from synchronous code.

    The first of the `interrupts` (None: they are deferred until the coroutine ends) calls `soft_stop` in the
    coroutine's loop. The next one, or the first without a `soft_stop`, cancels the coroutine and raises
    `KeyboardInterrupt`. `tick` is called about ten times a second in the caller's thread.
    """
    background = BackgroundLoop(make_coroutine, soft_stop=soft_stop)
    if interrupts is not None:
        return background.run_until_complete(interrupts, tick)
    with defer_interrupts() as deferred:
        return background.run_until_complete(deferred, tick)
