"""From a plain call to asyncio: works in a script, and in a notebook where an event loop already runs.

The coroutine runs in a loop of its own in a background thread. The caller's thread waits for it, draws the progress
bar (a notebook's bar must be made in the cell's own thread) and takes the interrupts: a hard cancel would leave
requests under way without their outcome, so the first interrupt asks softly and only the second one cancels.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from typing import Any

T = TypeVar("T")

#: Seconds between two looks at the progress and at the interrupts.
_POLL_SECONDS = 0.1


#: Ctrl-C, the end of a service, a closed terminal, and Ctrl-Break on Windows, as far as this system has them.
STOP_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]


class Interrupts:
    """Ctrl-C, the notebook's stop button and SIGTERM, counted instead of raised.

    Attributes:
        count: how many there were.
    """

    def __init__(self) -> None:
        self.count = 0

    def handle(self, *_: object) -> None:
        """A signal handler."""
        self.count += 1


@contextlib.contextmanager
def defer_interrupts(*, keep_ignoring: bool = False) -> Iterator[Interrupts]:
    """Count interrupts until the end of the block, so that none can fall between a purchase and its record.

    In any thread but the main one nothing is changed: no interrupt arrives there.

    Args:
        keep_ignoring: ignore them from then on: for a program that has only to tell its results after the block.
    """
    held = Interrupts()
    before = {}
    if threading.current_thread() is threading.main_thread():
        # What is ignored already (nohup, a job in the background) stays ignored; None: not installed from Python.
        heeded = [one for one in STOP_SIGNALS if signal.getsignal(one) not in {signal.SIG_IGN, None}]
        before = {one: signal.signal(one, held.handle) for one in heeded}
    try:
        yield held
    finally:
        for one, handler in before.items():
            signal.signal(one, signal.SIG_IGN if keep_ignoring else handler)


class BackgroundLoop(Generic[T]):
    """A coroutine in a thread of its own.

    Args:
        make_coroutine: makes the coroutine; called in the new thread.
        soft_stop: asks it to come to an end; called in its event loop. None: the first interrupt cancels.
    """

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
        """Run it to its end, and give its result or raise its exception.

        Args:
            interrupts: looked at with each tick.
            tick: called about ten times a second in the caller's thread.
        """
        threading.Thread(target=self._run, name="invoca-bulk", daemon=True).start()
        answered = 0
        while not self._ended.wait(_POLL_SECONDS):
            self._tick(tick)
            # A third one finds nothing more to cancel; it would only disturb the journal's last commit.
            if self._loop and answered < min(interrupts.count, 2):
                answered += 1
                self._stop(softly=answered == 1)
        self._tick(tick)
        if self._error is not None:
            raise self._error
        return self._result

    @staticmethod
    def _tick(tick: Callable[[], None]) -> None:
        """Progress that cannot be shown (a broken pipe, a widget's error) is not worth a run."""
        with contextlib.suppress(Exception):
            tick()

    def _stop(self, *, softly: bool) -> None:
        assert self._loop is not None  # noqa: S101  tells mypy what `run_until_complete` has looked at
        assert self._task is not None  # noqa: S101  set with the loop
        stop = self._soft_stop if softly and self._soft_stop else self._task.cancel
        with contextlib.suppress(RuntimeError):  # the loop has just ended by itself
            self._loop.call_soon_threadsafe(stop)

    def _run(self) -> None:
        try:
            self._result = asyncio.run(self._run_task())
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
    """Run a coroutine from plain code.

    Args:
        make_coroutine: makes the coroutine.
        interrupts: those of a block that holds them already; None: they are held until the coroutine has ended.
        soft_stop: what the first interrupt does, called in the coroutine's loop; None: the first one cancels.
        tick: called about ten times a second in the caller's thread.

    Raises:
        KeyboardInterrupt: it was interrupted and cancelled.
    """
    background = BackgroundLoop(make_coroutine, soft_stop=soft_stop)
    if interrupts is not None:
        return background.run_until_complete(interrupts, tick)
    with defer_interrupts() as held:
        return background.run_until_complete(held, tick)
