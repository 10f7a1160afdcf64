"""All the ways to give each number a step of its own, as a flow of the groups' numbers to looks with so many places."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from invoca_bulk.execution.matching.candidates import NumberGroup, RequestGroup

#: Group of requests to how many numbers of each group of numbers it has got.
Flow: TypeAlias = "Mapping[RequestGroup, Counter[NumberGroup]]"


class Component(NamedTuple):
    """Looks and groups that have to do with each other, and with no others."""

    request_groups: Sequence[RequestGroup]
    number_groups: Sequence[NumberGroup]


def connected_components(
    request_groups: Iterable[RequestGroup], number_groups: Iterable[NumberGroup]
) -> Iterator[Component]:
    """The connected parts; a look that no number fits is one by itself."""
    fitting: dict[RequestGroup, list[NumberGroup]] = {look: [] for look in request_groups}
    for group in number_groups:
        for look in group.request_groups:
            fitting[look].append(group)
    order = {look: number for number, look in enumerate(fitting)}
    reached: set[RequestGroup] = set()
    for first in fitting:
        if first not in reached:
            part = _collect_component(first, fitting)
            reached.update(part.request_groups)
            yield part._replace(request_groups=sorted(part.request_groups, key=order.__getitem__))


def _collect_component(first: RequestGroup, fitting: Mapping[RequestGroup, Sequence[NumberGroup]]) -> Component:
    looks: dict[RequestGroup, None] = {first: None}
    groups: dict[NumberGroup, None] = {}
    waiting = deque(looks)
    while waiting:
        for group in fitting[waiting.popleft()]:
            if group not in groups:
                groups[group] = None
                waiting.extend(look for look in group.request_groups if look not in looks)
                looks |= dict.fromkeys(group.request_groups)
    return Component(list(looks), list(groups))


# All ways to account for the numbers of a part


def assign_numbers(number_groups: Iterable[NumberGroup]) -> Flow | None:
    """One way to give each number a step of its own, earlier looks first; None: there is none."""
    held: Flow = {look: Counter() for group in number_groups for look in group.request_groups}
    for group in number_groups:
        left = len(group.numbers)
        while left:
            trail = _find_augmenting_path(group, group.request_groups, held, lambda look: _free_capacity(look, held))
            if not trail:
                return None
            left -= _augment_flow(trail, held, left)
    return held


def _free_capacity(request_group: RequestGroup, flow: Flow) -> int:
    return len(request_group.keyed_requests) - flow[request_group].total()


def _find_augmenting_path(
    number_group: NumberGroup, starts: Iterable[RequestGroup], flow: Flow, is_end: Callable[[RequestGroup], int]
) -> list[_Hop]:
    """The shortest way for one more number of a group: into one of the looks, from where another one has to go on,
    and so on until it ends; its hops, the last one first. Empty: there is none.
    """  # noqa: D205  one sentence
    hops = {look: _Hop(number_group, None, look) for look in starts}
    waiting = deque(hops)
    while waiting:
        look = waiting.popleft()
        if is_end(look):
            return list(_trace_back(hops, look))
        for mover in +flow[look]:
            for other in mover.request_groups:
                if other not in hops:
                    hops[other] = _Hop(mover, look, other)
                    waiting.append(other)
    return []


class _Hop(NamedTuple):
    """A number of a group goes from one look (None: it had none yet) to another."""

    number_group: NumberGroup
    source: RequestGroup | None
    target: RequestGroup


def _trace_back(hops: Mapping[RequestGroup, _Hop], end: RequestGroup) -> Iterator[_Hop]:
    look: RequestGroup | None = end
    while look:
        yield hops[look]
        look = hops[look].source


def _augment_flow(path: Sequence[_Hop], flow: Flow, wanted: int) -> int:
    """Let as many numbers as can take a trail, and say how many these were."""
    free = (flow[hop.source][hop.number_group] for hop in path if hop.source)
    count = min(wanted, _free_capacity(path[0].target, flow), *free)
    for group, source, target in path:
        flow[target][group] += count
        if source:
            flow[source][group] -= count
    return count


def feasible_request_groups(number_group: NumberGroup, flow: Flow) -> tuple[RequestGroup, ...]:
    """The looks that a number of the group can come from, over all ways to account for the numbers of its part."""

    def is_end(look: RequestGroup) -> int:
        # There is room, or the number that comes here takes the place that the group's own one has left.
        return _free_capacity(look, flow) or flow[look][number_group]

    return tuple(
        look for look in number_group.request_groups if _find_augmenting_path(number_group, [look], flow, is_end)
    )
