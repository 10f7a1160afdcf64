"""Which kill points can be reached with which faults, and in which ways."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash import kills
from tests.crash.driving import QUICK
from tests.crash.ways import WAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.crash.driving import Kill, Network
    from tests.crash.ways import Way

ROWS = 12
#: Commits that need a request in doubt or a throttled one, to what they need.
_NEEDS = {"settled": "doubt", "again": "doubt", "anew": "doubt", "back": "refusal", "save_rate": "refusal"}
#: Points that the first process does not reach, or where it has nothing to do, to where that process is killed.
_FIRST: Mapping[str, Kill] = {
    "recover_from_crash": ("post body after", 3),
    "resume_run": ("post body after", 3),
    "anew": ("again before", 1),
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group of faults.

    Attributes:
        kinds: kinds of faults; each affects one of every twelve requests.
        causes: `doubt`, `refusal` or both.
        settle_delay: seconds that the platform continues to work after a fault.
    """

    kinds: Sequence[str] = ()
    causes: frozenset[str] = frozenset()
    settle_delay: float = 0.0

    def script(self, generator: random.Random) -> list[str | None]:
        """The faults of the next requests."""
        dozen = [*self.kinds, *[None] * (ROWS - len(self.kinds))]
        return [kind for _ in range(3) for kind in generator.sample(dozen, ROWS)]


_DOUBT, _REFUSAL = frozenset({"doubt"}), frozenset({"refusal"})
GROUPS: Mapping[str, Group] = {
    "sound": Group(),
    "broken": Group(kinds=("drop_before", "drop_after", "cut", "garbled"), causes=_DOUBT),
    "errors": Group(kinds=("500_before", "500_after", "502_html_before", "502_html_after"), causes=_DOUBT),
    "refused": Group(kinds=("429", "429", "429_retry_after", "429_retry_after"), causes=_REFUSAL),
    "unavailable": Group(kinds=("503_before", "503_after", "429"), causes=_DOUBT | _REFUSAL),
    "late": Group(kinds=("stall_before", "stall_after", "slow"), causes=_DOUBT, settle_delay=0.1),
}
#: The ways in which every row ends with its number.
POINT_WAYS: Sequence[Way] = tuple(way for way in WAYS.values() if way.settles)


def cases() -> Iterator[tuple[str, str]]:
    """All points with all groups with which they are reached."""
    for point in kills.POINTS:
        needs = _NEEDS.get(point.split(maxsplit=1)[0])
        yield from ((point, name) for name, group in GROUPS.items() if needs is None or needs in group.causes)


def sample() -> list[tuple[str, str, Way]]:
    """Each point with up to two of its groups; groups and ways alternate."""
    by_point: dict[str, list[str]] = {}
    for point, group in cases():
        by_point.setdefault(point, []).append(group)
    chosen = [
        (point, groups[(index + shift) % len(groups)])
        for index, (point, groups) in enumerate(by_point.items())
        for shift in range(0, min(len(groups), 4), 3)
    ]
    return [(point, group, POINT_WAYS[index % len(POINT_WAYS)]) for index, (point, group) in enumerate(chosen)]


def run_with_kill(network: Network, point: str, group: str, seed: int) -> int:
    """Run a small sheet with a kill at a point; returns the expected number of kills."""
    script = GROUPS[group].script(random.Random(seed))  # noqa: S311  repeatable, guards nothing
    network.box.faults.change(**QUICK, script=script, settle_delay=GROUPS[group].settle_delay)
    name = point.split(maxsplit=1)[0]
    kill = (point, 1 + seed % 5 if name in {"sent", "status", "outcome", "post"} else 1)
    planned = [*([_FIRST[name]] if name in _FIRST else []), kill]
    network.run_to_end(network.way.rows(f"sheet {seed}", ROWS), f"sheet-{seed}", planned, seed)
    return len(planned)
