"""Which of a campaign's numbers come from which requests in doubt: by list and difference. Pure.

A number is unexplained if it is listed, was not there when the runs began, and no answer named it. It may come from a
request if it was not there when that request's run began and shows what the request asked for. Requests that look the
same from here make one `RequestGroup`, numbers that fit the same looks one `NumberGroup`; the numbers of the groups
flow to the looks, each of which has room for as many as it has steps. All the ways to do that are possible worlds: what
is the same in each of them is settled, and the rest stays open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoca_bulk.execution.matching.candidates import (
    collect_paths,
    find_unattributed,
    group_numbers,
    group_requests,
    parse_listed_number,
)
from invoca_bulk.execution.matching.max_flow import assign_numbers, connected_components, feasible_request_groups
from invoca_bulk.execution.matching.model import Ambiguity, MatchResult
from invoca_bulk.wording import remedy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from invoca_bulk.execution.matching.candidates import KeyedRequest, ListedNumber, NumberGroup, RequestGroup
    from invoca_bulk.execution.matching.max_flow import Component, Flow
    from invoca_bulk.execution.matching.model import PendingRequest, S
    from invoca_bulk.schema.field_types import Json

#: So many numbers or rows are named in a sentence, and one more where that is the last.
_MAX_NAMED = 6


def match_requests(
    pending: Sequence[PendingRequest[S]], listed: Sequence[Mapping[str, Json]], attributed_numbers: Collection[str]
) -> MatchResult[S]:
    """Find the numbers that steps in doubt have created in one campaign.

    A field that was sent is compared where the platform shows it for any number of the campaign; one that it shows for
    none (such as what only chose the number) says nothing. The platform may show more than was sent: a campaign has
    defaults.

    Steps with equal bodies are interchangeable: which of them gets which of their numbers is of no account, also where
    they belong to different runs, as long as no number was there before the step's run. Those that come first in
    `pending` are served first. Where all numbers can be accounted for, a step is found or absent if that is so,
    up to such interchange, in every way to account for them. A number that fits no step, or one too many, comes from
    somebody else: then all steps stay open that it could have to do with. A number that somebody else has created with
    the very values of a step cannot be told from the step's own.

    Args:
        pending: the steps in doubt, those of older runs first.
        listed: the campaign's numbers as the platform shows them now, after the settle time.
        attributed_numbers: the numbers that an answer has named: created, updated, or moved in. In any form (`+1…` or
            not).

    Returns:
        What became of each step.
    """
    if not pending:
        return MatchResult()
    seen = [parse_listed_number(one) for one in listed]
    looks = group_requests(pending, collect_paths(seen))
    numbers = find_unattributed(seen, looks, attributed_numbers)
    groups = group_numbers(numbers, looks)
    strangers = [one for group in groups if not group.request_groups for one in group.numbers]
    nameless = [one for one in seen if not one.number]
    parts = connected_components(looks, [one for one in groups if one.request_groups])
    return _combine_results(pending, numbers, [_match_component(part, strangers, nameless) for part in parts])


def _combine_results(
    pending: Sequence[PendingRequest[S]], numbers: Iterable[ListedNumber], results: Sequence[MatchResult[S]]
) -> MatchResult[S]:
    """The results of all parts, in the order of the steps."""
    found = {step: one for result in results for step, one in result.matched.items()}
    undecided = {step: why for result in results for step, why in result.ambiguous.items()}
    absent = {step for result in results for step in result.not_found}
    taken = {id(one) for one in found.values()}
    return MatchResult(
        matched={one.key: found[one.key] for one in pending if one.key in found},
        not_found=tuple(one.key for one in pending if one.key in absent),
        ambiguous={one.key: undecided[one.key] for one in pending if one.key in undecided},
        unattributed=tuple(one.display_number for one in numbers if id(one.platform_object) not in taken),
    )


# Reasons

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
    requests: Iterable[KeyedRequest],
    template: str,
    mentioned: Sequence[ListedNumber],
    candidates: Iterable[ListedNumber],
) -> dict[Any, Ambiguity[Any]]:
    """Steps to why it cannot be told what became of them.

    Args:
        requests: the steps.
        template: the sentence; it may have places for `numbers` and `rows`.
        mentioned: the numbers that it tells of.
        candidates: the numbers that the steps may have got.
    """
    asked = [one.pending for one in requests]
    names = [one.label for one in asked]
    rows = _join_names(dict.fromkeys(names)) if all(names) else f"{len(asked)} rows"
    why = Ambiguity(
        error=template.format(numbers=_join_names([one.display_number for one in mentioned]), rows=rows),
        fix=_LOOK_UP_FIX,
        candidate_numbers=tuple(one.display_number for one in candidates),
        candidate_keys=tuple(one.key for one in asked),
    )
    return {one.key: why for one in asked}


def _join_names(names: Iterable[str]) -> str:
    """Names as part of a sentence: `a, b and c`, or `a, b and 12 more`."""
    *most, last = names
    if len(most) > _MAX_NAMED:
        most, last = most[:_MAX_NAMED], f"{len(most) - _MAX_NAMED + 1} more"
    return f"{', '.join(most)} and {last}" if most else last


# What becomes of a part


def _match_component(
    component: Component, unrequested: Sequence[ListedNumber], nameless: Sequence[ListedNumber]
) -> MatchResult[Any]:
    """A number that fits no step may be one of theirs that was changed since, except where it was there before."""
    strange = [one for one in unrequested if any(one.number not in look.baseline for look in component.request_groups)]
    if strange:
        return _mark_all_ambiguous(component, _UNREQUESTED_ERROR, strange)
    unnamed = [one for one in nameless if any(look.facts <= one.facts for look in component.request_groups)]
    if unnamed:
        return _mark_all_ambiguous(component, _HIDDEN_NUMBER_ERROR, unnamed)
    held = assign_numbers(component.number_groups)
    return (
        _mark_all_ambiguous(component, _SURPLUS_ERROR, _all_numbers(component.number_groups))
        if held is None
        else _assign_component(component, held)
    )


def _mark_all_ambiguous(component: Component, template: str, mentioned: Sequence[ListedNumber]) -> MatchResult[Any]:
    steps = (asked for look in component.request_groups for asked in look.keyed_requests)
    return MatchResult(ambiguous=_build_ambiguities(steps, template, mentioned, _all_numbers(component.number_groups)))


def _assign_component(component: Component, flow: Flow) -> MatchResult[Any]:
    """The steps of a part whose numbers can all be accounted for.

    A group is doubtful if its numbers can come from different requests. All steps with such a request that no other
    number is for stay open, and the numbers of the other groups go to the steps that hold them.
    """
    open_to_several = {
        group: feasible_request_groups(group, flow)
        for group in component.number_groups
        if len(_body_keys(group.request_groups)) > 1
    }
    doubtful = {group: looks for group, looks in open_to_several.items() if len(_body_keys(looks)) > 1}
    contested = {request for looks in doubtful.values() for request in _body_keys(looks)}
    numbers = {group: iter(group.numbers) for group in component.number_groups if group not in doubtful}
    found: dict[Any, Mapping[str, Json]] = {}
    rest: list[KeyedRequest] = []
    for look in component.request_groups:
        counts = flow[look].items() if look in flow else ()  # no number fits it
        given = [next(numbers[group]) for group, count in counts if group in numbers for _ in range(count)]
        found |= {
            asked.pending.key: one.platform_object for asked, one in zip(look.keyed_requests, given, strict=False)
        }
        rest += look.keyed_requests[len(given) :]
    open_ = [one for one in rest if one.body_key in contested]
    return MatchResult(
        matched=found,
        not_found=tuple(one.pending.key for one in rest if one.body_key not in contested),
        ambiguous=_build_ambiguities(open_, _INDISTINGUISHABLE_ERROR, _all_numbers(doubtful), _all_numbers(doubtful))
        if open_
        else {},
    )


def _body_keys(request_groups: Iterable[RequestGroup]) -> frozenset[str]:
    return frozenset().union(*(look.body_keys for look in request_groups))


def _all_numbers(groups: Iterable[NumberGroup]) -> list[ListedNumber]:
    return [one for group in groups for one in group.numbers]
