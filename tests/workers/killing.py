"""Workers that are killed again and again, at moments told by what the platform has issued, and started again."""

from __future__ import annotations

import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    import subprocess
    from collections.abc import Callable
    from typing import Self

    from forge import Forged

_LOOK = 0.02
#: Seconds that pass at most from the number that a kill waits for to the kill: it may meet anything.
_LATER = 0.3


@dataclass(kw_only=True)
class Crew:
    """Workers, of which one is killed now and then; another one takes its place at once.

    Attributes:
        start: starts the worker of a place.
        luck: decides who is killed, and when.
        size: how many there are.
        kills: how many were killed.
        fallen: exit codes of those that had ended by themselves, and how often.
    """

    start: Callable[[int], subprocess.Popen[str] | Forged]
    luck: random.Random
    size: int = 3
    kills: int = 0
    fallen: Counter[int] = field(default_factory=Counter)
    _at_work: list[subprocess.Popen[str] | Forged] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._at_work = [self.start(place) for place in range(self.size)]
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._at_work:
            one.kill()
            one.wait()

    def kill(self) -> None:
        """Kill one of them, whatever it is at: it may just have been started."""
        self.stand_in()
        place = self.luck.randrange(self.size)
        victim = self._at_work[place]
        victim.send_signal(signal.SIGKILL)
        if (code := victim.wait()) == -signal.SIGKILL:
            self.kills += 1
        else:
            self.fallen[code] += 1
        self._at_work[place] = self.start(place)

    def stand_in(self) -> None:
        """Start again those that have ended by themselves, as a supervisor does."""
        for place, one in enumerate(self._at_work):
            if (code := one.poll()) is not None:
                self.fallen[code] += 1
                self._at_work[place] = self.start(place)

    def wait(self, true: Callable[[], object], seconds: float) -> None:
        """Wait for a state, with workers that are there."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"after {self.kills} kills; ended by themselves: {dict(self.fallen)}"
            self.stand_in()
            time.sleep(_LOOK)

    def pause(self, seconds: float = _LATER) -> None:
        """Let a random time pass, of so many seconds at most."""
        time.sleep(self.luck.uniform(0, seconds))


def moments(luck: random.Random, count: int, most: int) -> list[int]:
    """How many numbers have to be issued before each kill: all before the last ones are, so that it meets the run.

    A worker takes a while to start; while many are being killed, little is issued, and the next kill waits.
    """
    return sorted(luck.randint(1, most) for _ in range(count))
