"""From a plain call to asyncio: works in a script, and in a notebook where an event loop already runs.

The coroutine runs in a loop of its own in a background thread. The caller's thread waits for it, draws the progress
bar (a notebook's bar must be made in the cell's own thread) and takes the interrupts: a hard cancel would leave
requests under way without their outcome, so the first interrupt asks softly and only the second one cancels.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

T = TypeVar("T")

#: Seconds between two looks at the progress; also how long an interrupt can go unseen on some systems.
_HEARTBEAT = 0.1


class Background(Generic[T]):
    """A coroutine in a thread of its own.

    Args:
        main: makes the coroutine; called in the new thread.
        soft_stop: asks it to come to an end; called in its event loop.
    """

    def __init__(self, main: Callable[[], Coroutine[Any, Any, T]], *, soft_stop: Callable[[], None] | None) -> None:
        self._main = main
        self._soft_stop = soft_stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[T] | None = None
        self._thread = threading.Thread(target=self._run, name="invoca-bulk", daemon=True)
        self._result: T
        self._error: BaseException | None = None
        self._asked = False
        # Not Thread.join: before Python 3.13 an interrupted join takes a living thread for a dead one.
        self._ended = threading.Event()

    def wait(self, tick: Callable[[], None]) -> T:
        """Run it to its end, and give its result or raise its exception.

        Args:
            tick: called about ten times a second in the caller's thread.
        """
        self._thread.start()
        while not self._ended.is_set():
            try:
                self._ended.wait(_HEARTBEAT)
                tick()
            except KeyboardInterrupt:
                self._interrupt()
        tick()
        if self._error is not None:
            raise self._error
        return self._result

    def _interrupt(self) -> None:
        if self._loop is None or self._task is None:
            return
        soft = self._soft_stop if not self._asked else None
        self._asked = True
        self._loop.call_soon_threadsafe(soft or self._task.cancel)

    def _run(self) -> None:
        try:
            self._result = asyncio.run(self._remember())
        except asyncio.CancelledError:
            self._error = KeyboardInterrupt()
        except BaseException as error:  # noqa: BLE001  raised again in the caller's thread
            self._error = error
        finally:
            self._ended.set()

    async def _remember(self) -> T:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._main())
        return await self._task


def run(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    soft_stop: Callable[[], None] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> T:
    """Run a coroutine from plain code.

    Args:
        main: makes the coroutine.
        soft_stop: what the first interrupt does, called in the coroutine's loop; None: the first one cancels.
        tick: called about ten times a second in the caller's thread.

    Raises:
        KeyboardInterrupt: it was interrupted and cancelled.
    """
    return Background(main, soft_stop=soft_stop).wait(tick)
