"""All the ways to give each number a step of its own, as a flow of the groups' numbers to looks with so many places."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.execution.matching.candidates import Group, Look

#: Look to how many numbers of each group it has got.
Held: TypeAlias = "Mapping[Look, Counter[Group]]"


class Part(NamedTuple):
    """Looks and groups that have to do with each other, and with no others."""

    looks: Sequence[Look]
    groups: Sequence[Group]


def parts_of(looks: Iterable[Look], groups: Iterable[Group]) -> Iterator[Part]:
    """The connected parts; a look that no number fits is one by itself."""
    fitting: dict[Look, list[Group]] = {look: [] for look in looks}
    for group in groups:
        for look in group.looks:
            fitting[look].append(group)
    order = {look: number for number, look in enumerate(fitting)}
    reached: set[Look] = set()
    for first in fitting:
        if first not in reached:
            part = _reached_from(first, fitting)
            reached.update(part.looks)
            yield part._replace(looks=sorted(part.looks, key=order.__getitem__))


def _reached_from(first: Look, fitting: Mapping[Look, Sequence[Group]]) -> Part:
    looks: dict[Look, None] = {first: None}
    groups: dict[Group, None] = {}
    waiting = deque(looks)
    while waiting:
        for group in fitting[waiting.popleft()]:
            if group not in groups:
                groups[group] = None
                waiting.extend(look for look in group.looks if look not in looks)
                looks |= dict.fromkeys(group.looks)
    return Part(list(looks), list(groups))


# All ways to account for the numbers of a part


def shared(groups: Iterable[Group]) -> Held | None:
    """One way to give each number a step of its own, earlier looks first; None: there is none."""
    held: Held = {look: Counter() for group in groups for look in group.looks}
    for group in groups:
        left = len(group.numbers)
        while left:
            trail = _trail(group, group.looks, held, lambda look: _room(look, held))
            if not trail:
                return None
            left -= _move(trail, held, left)
    return held


def _room(look: Look, held: Held) -> int:
    return len(look.steps) - held[look].total()


def _trail(group: Group, starts: Iterable[Look], held: Held, is_end: Callable[[Look], int]) -> list[_Hop]:
    """The shortest way for one more number of a group: into one of the looks, from where another one has to go on,
    and so on until it ends; its hops, the last one first. Empty: there is none.
    """  # noqa: D205  one sentence
    hops = {look: _Hop(group, None, look) for look in starts}
    waiting = deque(hops)
    while waiting:
        look = waiting.popleft()
        if is_end(look):
            return list(_back(hops, look))
        for mover in +held[look]:
            for other in mover.looks:
                if other not in hops:
                    hops[other] = _Hop(mover, look, other)
                    waiting.append(other)
    return []


class _Hop(NamedTuple):
    """A number of a group goes from one look (None: it had none yet) to another."""

    group: Group
    source: Look | None
    target: Look


def _back(hops: Mapping[Look, _Hop], end: Look) -> Iterator[_Hop]:
    look: Look | None = end
    while look:
        yield hops[look]
        look = hops[look].source


def _move(trail: Sequence[_Hop], held: Held, wanted: int) -> int:
    """Let as many numbers as can take a trail, and say how many these were."""
    free = (held[hop.source][hop.group] for hop in trail if hop.source)
    count = min(wanted, _room(trail[0].target, held), *free)
    for group, source, target in trail:
        held[target][group] += count
        if source:
            held[source][group] -= count
    return count


def possible(group: Group, held: Held) -> tuple[Look, ...]:
    """The looks that a number of the group can come from, over all ways to account for the numbers of its part."""

    def is_end(look: Look) -> int:
        # There is room, or the number that comes here takes the place that the group's own one has left.
        return _room(look, held) or held[look][group]

    return tuple(look for look in group.looks if _trail(group, [look], held, is_end))
