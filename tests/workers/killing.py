"""Workers that are killed and restarted repeatedly, timed by the count of numbers issued."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from random import Random
    from typing import Self

    from forge import ForkedWorker

_POLL_SECONDS = 0.02
#: Maximum random delay before a kill, in seconds, so that it interrupts anything.
_MAX_DELAY_SECONDS = 0.3


@dataclass(kw_only=True)
class Crew:
    """Workers, one of which is killed now and then and replaced immediately.

    Attributes:
        start: starts the worker with an index.
        random: decides which worker is killed, and when.
        size: number of workers.
        kills: number of kills.
        exit_codes: exit code to number of workers that ended on their own.
    """

    start: Callable[[int], subprocess.Popen[str] | ForkedWorker]
    random: Random
    size: int = 3
    kills: int = 0
    exit_codes: Counter[int] = field(default_factory=Counter)
    _workers: list[subprocess.Popen[str] | ForkedWorker] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._workers = [self.start(index) for index in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.kill()
            worker.wait()

    def kill(self) -> None:
        """Kill a random worker, whatever it is doing; it may just have been started."""
        self.restart_ended()
        index = self.random.randrange(self.size)
        worker = self._workers[index]
        worker.send_signal(signal.SIGKILL)
        if (code := worker.wait()) == -signal.SIGKILL:
            self.kills += 1
        else:
            self.exit_codes[code] += 1
        self._workers[index] = self.start(index)

    def restart_ended(self) -> None:
        """Restart workers that ended on their own, as a supervisor does."""
        for index, worker in enumerate(self._workers):
            if (code := worker.poll()) is not None:
                self.exit_codes[code] += 1
                self._workers[index] = self.start(index)

    def wait(self, condition: Callable[[], object], seconds: float) -> None:
        """Wait for a condition, and restart workers meanwhile."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"after {self.kills} kills; exit codes: {dict(self.exit_codes)}"
            self.restart_ended()
            time.sleep(_POLL_SECONDS)

    def pause(self, max_seconds: float = _MAX_DELAY_SECONDS) -> None:
        """Sleep for a random time."""
        time.sleep(self.random.uniform(0, max_seconds))


def kill_thresholds(random: Random, count: int, max_issued: int) -> list[int]:
    """How many numbers must be issued before each kill; below the total, so that each kill happens during the run.

    Few numbers are issued while killed workers restart, so the next kill waits.
    """
    return sorted(random.randint(1, max_issued) for _ in range(count))
