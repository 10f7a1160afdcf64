"""Assigns numbers to requests as a maximum flow: from number groups to request groups with limited capacity."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from invoca_bulk.execution.matching.candidates import NumberGroup, RequestGroup

#: Request group to how many numbers of each number group it has.
Flow: TypeAlias = "Mapping[RequestGroup, Counter[NumberGroup]]"


class Component(NamedTuple):
    """Request and number groups that are connected by candidate numbers, and not connected to any others."""

    request_groups: Sequence[RequestGroup]
    number_groups: Sequence[NumberGroup]


def connected_components(
    request_groups: Iterable[RequestGroup], number_groups: Iterable[NumberGroup]
) -> Iterator[Component]:
    """The connected components; a request group that no number fits is a component by itself."""
    fitting: dict[RequestGroup, list[NumberGroup]] = {group: [] for group in request_groups}
    for number_group in number_groups:
        for request_group in number_group.request_groups:
            fitting[request_group].append(number_group)
    order = {group: index for index, group in enumerate(fitting)}
    visited: set[RequestGroup] = set()
    for start in fitting:
        if start not in visited:
            component = _collect_component(start, fitting)
            visited.update(component.request_groups)
            yield component._replace(request_groups=sorted(component.request_groups, key=order.__getitem__))


def _collect_component(start: RequestGroup, fitting: Mapping[RequestGroup, Sequence[NumberGroup]]) -> Component:
    request_groups: dict[RequestGroup, None] = {start: None}  # dicts as ordered sets
    number_groups: dict[NumberGroup, None] = {}
    queue = deque(request_groups)
    while queue:
        for number_group in fitting[queue.popleft()]:
            if number_group not in number_groups:
                number_groups[number_group] = None
                queue.extend(group for group in number_group.request_groups if group not in request_groups)
                request_groups |= dict.fromkeys(number_group.request_groups)
    return Component(list(request_groups), list(number_groups))


def assign_numbers(number_groups: Iterable[NumberGroup]) -> Flow | None:
    """One assignment of every number to a different request, earlier request groups first; None: there is none."""
    flow: Flow = {group: Counter() for number_group in number_groups for group in number_group.request_groups}
    for number_group in number_groups:
        unassigned = len(number_group.numbers)
        while unassigned:
            path = _find_augmenting_path(
                number_group, number_group.request_groups, flow, lambda group: _free_capacity(group, flow)
            )
            if not path:
                return None
            unassigned -= _augment_flow(path, flow, unassigned)
    return flow


def _free_capacity(request_group: RequestGroup, flow: Flow) -> int:
    return len(request_group.keyed_requests) - flow[request_group].total()


def _find_augmenting_path(
    number_group: NumberGroup, starts: Iterable[RequestGroup], flow: Flow, is_end: Callable[[RequestGroup], int]
) -> list[_Hop]:
    """The shortest path that makes room for one more number of a group, the last hop first; empty: there is none.

    The number enters one of `starts`; a number that was there moves to another request group, and so on until `is_end`.
    """
    hops = {group: _Hop(number_group, None, group) for group in starts}
    queue = deque(hops)
    while queue:
        source = queue.popleft()
        if is_end(source):
            return list(_trace_back(hops, source))
        for moving in +flow[source]:
            for target in moving.request_groups:
                if target not in hops:
                    hops[target] = _Hop(moving, source, target)
                    queue.append(target)
    return []


class _Hop(NamedTuple):
    """A number of a group moves from one request group (None: it was unassigned) to another."""

    number_group: NumberGroup
    source: RequestGroup | None
    target: RequestGroup


def _trace_back(hops: Mapping[RequestGroup, _Hop], end: RequestGroup) -> Iterator[_Hop]:
    group: RequestGroup | None = end
    while group:
        yield hops[group]
        group = hops[group].source


def _augment_flow(path: Sequence[_Hop], flow: Flow, max_count: int) -> int:
    """Move as many numbers as possible along a path; returns how many."""
    movable = (flow[hop.source][hop.number_group] for hop in path if hop.source)
    count = min(max_count, _free_capacity(path[0].target, flow), *movable)
    for number_group, source, target in path:
        flow[target][number_group] += count
        if source:
            flow[source][number_group] -= count
    return count


def feasible_request_groups(number_group: NumberGroup, flow: Flow) -> tuple[RequestGroup, ...]:
    """The request groups that a number of the group can belong to, over all assignments of its component."""

    def is_end(group: RequestGroup) -> int:
        # There is free capacity, or a number of the same group can be moved away.
        return _free_capacity(group, flow) or flow[group][number_group]

    return tuple(
        group for group in number_group.request_groups if _find_augmenting_path(number_group, [group], flow, is_end)
    )
