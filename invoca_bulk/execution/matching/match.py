"""Matches the numbers of a campaign to the requests in doubt that may have created them. Pure.

A number is unattributed if it is listed, was not there when the runs began, and no response named it. It may come from
a request if it was not there when that request's run began and shows the values that the request asked for.
Indistinguishable requests form a `RequestGroup`, numbers that fit the same request groups form a `NumberGroup`. An
assignment gives each number to a request group that still has a request without a number. What is the same in every
possible assignment is decided; everything else stays ambiguous.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from invoca_bulk.execution.matching.candidates import (
    KeyedRequest,
    ListedNumber,
    NumberGroup,
    RequestGroup,
    collect_paths,
    find_unattributed,
    group_numbers,
    group_requests,
    parse_listed_number,
)
from invoca_bulk.execution.matching.max_flow import (
    Component,
    Flow,
    assign_numbers,
    connected_components,
    feasible_request_groups,
)
from invoca_bulk.execution.matching.model import Ambiguity, MatchResult, PendingRequest
from invoca_bulk.schema.field_types import Json
from invoca_bulk.wording import count_of, remedy

#: Maximum number of names in a sentence before the rest is counted.
_MAX_NAMED = 6


def match_requests(
    pending: Sequence[PendingRequest], listed: Sequence[Mapping[str, Json]], attributed_numbers: Collection[str]
) -> MatchResult:
    """Find the numbers that requests in doubt, those of older runs first, have created in one campaign.

    A field is compared if the platform shows it for at least one number of the campaign; a field that it never shows
    (such as one that only selects the number) is ignored. The platform may show more than was sent: campaigns have
    defaults.

    Requests with equal bodies are interchangeable, even if they belong to different runs, as long as the number was not
    there before the request's run; those that come first in `pending` get their numbers first. If all numbers can be
    accounted for, a request is matched or not found only if that holds, up to such interchange, in every possible
    assignment. A number that fits no request, or is one too many, comes from somebody else: all requests that could
    have created it are then ambiguous. A number that somebody else created with exactly the values of a request cannot
    be distinguished from the request's own.

    `listed`: the campaign's numbers as the platform shows them after the settle time. `attributed_numbers`: those that
    a response has named as created, updated or moved here; with or without country code.
    """
    if not pending:
        return MatchResult()
    numbers = [parse_listed_number(item) for item in listed]
    request_groups = group_requests(pending, collect_paths(numbers))
    unattributed = find_unattributed(numbers, request_groups, attributed_numbers)
    number_groups = group_numbers(unattributed, request_groups)
    unrequested = _all_numbers(group for group in number_groups if not group.request_groups)
    nameless = [item for item in numbers if not item.number]
    components = connected_components(request_groups, [group for group in number_groups if group.request_groups])
    return _combine_results(pending, [_match_component(component, unrequested, nameless) for component in components])


def _combine_results(pending: Sequence[PendingRequest], results: Sequence[MatchResult]) -> MatchResult:
    """Merge the results of all components, in the order of the requests."""
    matched = {key: number for result in results for key, number in result.matched.items()}
    ambiguous = {key: ambiguity for result in results for key, ambiguity in result.ambiguous.items()}
    not_found = {key for result in results for key in result.not_found}
    keys = [request.key for request in pending]
    return MatchResult(
        matched={key: matched[key] for key in keys if key in matched},
        not_found=tuple(key for key in keys if key in not_found),
        ambiguous={key: ambiguous[key] for key in keys if key in ambiguous},
    )


_NEW_NUMBERS_PREFIX = "It may have been created: since the run began, its campaign got {numbers}, "
_UNREQUESTED_ERROR = (
    _NEW_NUMBERS_PREFIX + "which no row in doubt asked for, so somebody else creates or changes numbers there."
)
_SURPLUS_ERROR = _NEW_NUMBERS_PREFIX + "more than {rows} can account for, so somebody else creates numbers there."
_INDISTINGUISHABLE_ERROR = (
    _NEW_NUMBERS_PREFIX + "but {rows} may have asked for that, and what the platform shows does not tell which did."
)
_HIDDEN_NUMBER_ERROR = "It may have been created: its campaign has an entry that fits, but the entry shows no number."
_LOOK_UP_FIX = (
    "Look the campaign's new numbers up on the platform. If one of them is this row's, type it into promo_number "
    f"and run the results file. If none is, send it again: {remedy('resume', 'resend_unknown')}"
)


def _build_ambiguities(
    requests: Sequence[KeyedRequest], template: str, numbers: Iterable[ListedNumber]
) -> dict[int, Ambiguity]:
    """The same ambiguity for each request; the template may have the placeholders `numbers` and `rows`."""
    names = _join_names([number.display_number for number in numbers])
    error = template.format(numbers=names, rows=count_of(len(requests), "row"))
    ambiguity = Ambiguity(error=error, fix=_LOOK_UP_FIX)
    return {request.pending.key: ambiguity for request in requests}


def _join_names(names: Sequence[str]) -> str:
    """Names as part of a sentence: `a, b and c`, or `a, b and 12 more`."""
    *first, last = names
    if len(first) > _MAX_NAMED:
        first, last = first[:_MAX_NAMED], f"{len(first) - _MAX_NAMED + 1} more"
    return f"{', '.join(first)} and {last}" if first else last


def _match_component(
    component: Component, unrequested: Sequence[ListedNumber], nameless: Sequence[ListedNumber]
) -> MatchResult:
    """Match the requests of a component.

    An unrequested number may come from one of them and have been changed since, unless it was there before.
    """
    groups = component.request_groups
    suspects = [item for item in unrequested if any(item.number not in group.baseline for group in groups)]
    if suspects:
        return _mark_all_ambiguous(component, _UNREQUESTED_ERROR, suspects)
    hidden = [item for item in nameless if any(group.facts <= item.facts for group in groups)]
    if hidden:
        return _mark_all_ambiguous(component, _HIDDEN_NUMBER_ERROR, hidden)
    flow = assign_numbers(component.number_groups)
    if flow is None:
        return _mark_all_ambiguous(component, _SURPLUS_ERROR, _all_numbers(component.number_groups))
    return _assign_component(component, flow)


def _mark_all_ambiguous(component: Component, template: str, numbers: Iterable[ListedNumber]) -> MatchResult:
    requests = [request for group in component.request_groups for request in group.keyed_requests]
    return MatchResult(ambiguous=_build_ambiguities(requests, template, numbers))


def _assign_component(component: Component, flow: Flow) -> MatchResult:
    """Match the requests of a component whose numbers can all be accounted for.

    A number group is contested if its numbers can come from different requests. All requests with such a body that get
    no number of another group are ambiguous; the numbers of the other groups go to the requests that hold them.
    """
    feasible = {
        group: feasible_request_groups(group, flow)
        for group in component.number_groups
        if len(_body_keys(group.request_groups)) > 1
    }
    contested = {group: groups for group, groups in feasible.items() if len(_body_keys(groups)) > 1}
    contested_bodies = {body_key for groups in contested.values() for body_key in _body_keys(groups)}
    remaining = {group: iter(group.numbers) for group in component.number_groups if group not in contested}
    matched: dict[int, Mapping[str, Json]] = {}
    unmatched: list[KeyedRequest] = []
    for request_group in component.request_groups:
        counts = flow[request_group].items() if request_group in flow else ()  # no number fits it
        numbers = [next(remaining[group]) for group, count in counts if group in remaining for _ in range(count)]
        matched |= {
            request.pending.key: number.platform_object
            for request, number in zip(request_group.keyed_requests, numbers, strict=False)
        }
        unmatched += request_group.keyed_requests[len(numbers) :]
    ambiguous = [request for request in unmatched if request.body_key in contested_bodies]
    return MatchResult(
        matched=matched,
        not_found=tuple(request.pending.key for request in unmatched if request.body_key not in contested_bodies),
        ambiguous=_build_ambiguities(ambiguous, _INDISTINGUISHABLE_ERROR, _all_numbers(contested)) if ambiguous else {},
    )


def _body_keys(request_groups: Iterable[RequestGroup]) -> frozenset[str]:
    return frozenset().union(*(group.body_keys for group in request_groups))


def _all_numbers(groups: Iterable[NumberGroup]) -> list[ListedNumber]:
    return [number for group in groups for number in group.numbers]
