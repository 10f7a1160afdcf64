"""Which labelled points can be reached under which faults, and on what sheets."""

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
#: Commits that come only where a request is in doubt and then not found, was refused for now, or a limit was met.
_NEEDS = {"settled": "doubt", "again": "doubt", "anew": "doubt", "back": "refusal", "save_rate": "refusal"}
#: Points that a first process does not come to, or where it has nothing to do yet, to where it dies.
_FIRST: Mapping[str, Kill] = {
    "recover_from_crash": ("post body after", 3),
    "resume_run": ("post body after", 3),
    "anew": ("again before", 1),
}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Faults that belong together.

    Attributes:
        kinds: kinds of faults; each meets a request in every dozen.
        brings: what they bring about.
        settle_delay: seconds that the platform goes on working after a fault.
    """

    kinds: Sequence[str] = ()
    brings: frozenset[str] = frozenset()
    settle_delay: float = 0.0

    def script(self, luck: random.Random) -> list[str | None]:
        """What becomes of the next requests."""
        dozen = [*self.kinds, *[None] * (ROWS - len(self.kinds))]
        return [kind for _ in range(3) for kind in luck.sample(dozen, ROWS)]


_DOUBT, _REFUSAL = frozenset({"doubt"}), frozenset({"refusal"})
GROUPS: Mapping[str, Group] = {
    "sound": Group(),
    "broken": Group(kinds=("drop_before", "drop_after", "cut", "garbled"), brings=_DOUBT),
    "errors": Group(kinds=("500_before", "500_after", "502_html_before", "502_html_after"), brings=_DOUBT),
    "refused": Group(kinds=("429", "429", "429_retry_after", "429_retry_after"), brings=_REFUSAL),
    "unavailable": Group(kinds=("503_before", "503_after", "429"), brings=_DOUBT | _REFUSAL),
    "late": Group(kinds=("stall_before", "stall_after", "slow"), brings=_DOUBT, settle_delay=0.1),
}
#: Those of which every number can be found or bought in the end.
POINT_WAYS: Sequence[Way] = tuple(one for one in WAYS.values() if one.settles)


def cases() -> Iterator[tuple[str, str]]:
    """All points with all groups under which they are reached."""
    for point in kills.POINTS:
        needs = _NEEDS.get(point.split(maxsplit=1)[0])
        yield from ((point, name) for name, one in GROUPS.items() if needs is None or needs in one.brings)


def few() -> list[tuple[str, str, Way]]:
    """Each point with two of its groups, all groups and ways in turn."""
    by_point: dict[str, list[str]] = {}
    for point, group in cases():
        by_point.setdefault(point, []).append(group)
    chosen = [
        (point, groups[(at + shift) % len(groups)])
        for at, (point, groups) in enumerate(by_point.items())
        for shift in range(0, min(len(groups), 4), 3)
    ]
    return [(point, group, POINT_WAYS[at % len(POINT_WAYS)]) for at, (point, group) in enumerate(chosen)]


def killed_at(network: Network, point: str, group: str, seed: int) -> int:
    """Run a small sheet, killed at a point; gives how many kills there must have been."""
    script = GROUPS[group].script(random.Random(seed))  # noqa: S311  repeatable, guards nothing
    network.box.faults.change(**QUICK, script=script, settle_delay=GROUPS[group].settle_delay)
    name = point.split(maxsplit=1)[0]
    kill = (point, 1 + seed % 5 if name in {"sent", "status", "outcome", "post"} else 1)
    planned = [*([_FIRST[name]] if name in _FIRST else []), kill]
    network.to_the_end(network.way.rows(f"sheet {seed}", ROWS), f"sheet-{seed}", planned, seed)
    return len(planned)
