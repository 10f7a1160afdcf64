"""Which of a campaign's numbers come from which requests in doubt: by list and difference. Pure.

A number is unexplained if it is listed, was not there when the runs began, and no answer named it. It may come from a
request if it was not there when that request's run began and shows what the request asked for. Requests that look the
same from here make one `Look`, numbers that fit the same looks one `Group`; the numbers of the groups flow to the
looks, each of which has room for as many as it has steps. All the ways to do that are possible worlds: what is the same
in each of them is settled, and the rest stays open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from invoca_bulk.execution.matching.candidates import groups_of, looks_of, paths_of, seen_as, unexplained
from invoca_bulk.execution.matching.max_flow import parts_of, possible, shared
from invoca_bulk.execution.matching.model import Settled, Undecided

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from invoca_bulk.execution.matching.candidates import Asked, Group, Look, Seen
    from invoca_bulk.execution.matching.max_flow import Held, Part
    from invoca_bulk.execution.matching.model import Doubted, S
    from invoca_bulk.schema.field_types import Json

#: So many numbers or rows are named in a sentence, and one more where that is the last.
_FEW = 6


def settle(
    doubted: Sequence[Doubted[S]], listed: Sequence[Mapping[str, Json]], explained: Collection[str]
) -> Settled[S]:
    """Find the numbers that steps in doubt have created in one campaign.

    A field that was sent is compared where the platform shows it for any number of the campaign; one that it shows for
    none (such as what only chose the number) says nothing. The platform may show more than was sent: a campaign has
    defaults.

    Steps with equal bodies are interchangeable: which of them gets which of their numbers is of no account, also where
    they belong to different runs, as long as no number was there before the step's run. Those that come first in
    `doubted` are served first. Where all numbers can be accounted for, a step is found or absent if that is so,
    up to such interchange, in every way to account for them. A number that fits no step, or one too many, comes from
    somebody else: then all steps stay open that it could have to do with. A number that somebody else has created with
    the very values of a step cannot be told from the step's own.

    Args:
        doubted: the steps in doubt, those of older runs first.
        listed: the campaign's numbers as the platform shows them now, after the settle time.
        explained: the numbers that an answer has named: created, updated, or moved in. In any form (`+1…` or not).

    Returns:
        What became of each step.
    """
    if not doubted:
        return Settled()
    seen = [seen_as(one) for one in listed]
    looks = looks_of(doubted, paths_of(seen))
    numbers = unexplained(seen, looks, explained)
    groups = groups_of(numbers, looks)
    strangers = [one for group in groups if not group.looks for one in group.numbers]
    nameless = [one for one in seen if not one.number]
    parts = parts_of(looks, [one for one in groups if one.looks])
    return _together(doubted, numbers, [_settled(part, strangers, nameless) for part in parts])


def _together(doubted: Sequence[Doubted[S]], numbers: Iterable[Seen], results: Sequence[Settled[S]]) -> Settled[S]:
    """The results of all parts, in the order of the steps."""
    found = {step: one for result in results for step, one in result.found.items()}
    undecided = {step: why for result in results for step, why in result.open.items()}
    absent = {step for result in results for step in result.absent}
    taken = {id(one) for one in found.values()}
    return Settled(
        found={one.step: found[one.step] for one in doubted if one.step in found},
        absent=tuple(one.step for one in doubted if one.step in absent),
        open={one.step: undecided[one.step] for one in doubted if one.step in undecided},
        unexplained=tuple(one.text for one in numbers if id(one.shown) not in taken),
    )


# Reasons

_BEGIN = "It may have been created: since the run began, its campaign got {numbers}, "
_STRANGE = _BEGIN + "which no row in doubt asked for, so somebody else creates or changes numbers there."
_TOO_MANY = _BEGIN + "more than {rows} can account for, so somebody else creates numbers there."
_WHOSE = _BEGIN + "but {rows} may have asked for that, and what the platform shows does not tell which did."
_NAMELESS = "It may have been created: its campaign has an entry that fits, but the entry shows no number."
_FIX = (
    "Look the campaign's new numbers up on the platform. If one of them is this row's, type it into promo_number "
    "and run the results file. If none is: invoca-bulk resume RUN --resend-unknown (RUN: result_run) sends it again."
)


def _open(
    steps: Iterable[Asked], text: str, told: Sequence[Seen], fitting: Iterable[Seen]
) -> dict[Any, Undecided[Any]]:
    """Steps to why it cannot be told what became of them.

    Args:
        steps: the steps.
        text: the sentence; it may have places for `numbers` and `rows`.
        told: the numbers that it tells of.
        fitting: the numbers that the steps may have got.
    """
    asked = [one.doubted for one in steps]
    names = [one.name for one in asked]
    rows = _few(dict.fromkeys(names)) if all(names) else f"{len(asked)} rows"
    why = Undecided(
        error=text.format(numbers=_few([one.text for one in told]), rows=rows),
        fix=_FIX,
        numbers=tuple(one.text for one in fitting),
        steps=tuple(one.step for one in asked),
    )
    return {one.step: why for one in asked}


def _few(names: Iterable[str]) -> str:
    """Names as part of a sentence: `a, b and c`, or `a, b and 12 more`."""
    *most, last = names
    if len(most) > _FEW:
        most, last = most[:_FEW], f"{len(most) - _FEW + 1} more"
    return f"{', '.join(most)} and {last}" if most else last


# What becomes of a part


def _settled(part: Part, strangers: Sequence[Seen], nameless: Sequence[Seen]) -> Settled[Any]:
    """A number that fits no step may be one of theirs that was changed since, except where it was there before."""
    strange = [one for one in strangers if any(one.number not in look.baseline for look in part.looks)]
    if strange:
        return _all_open(part, _STRANGE, strange)
    unnamed = [one for one in nameless if any(look.facts <= one.facts for look in part.looks)]
    if unnamed:
        return _all_open(part, _NAMELESS, unnamed)
    held = shared(part.groups)
    return _all_open(part, _TOO_MANY, _numbers(part.groups)) if held is None else _shared_out(part, held)


def _all_open(part: Part, text: str, told: Sequence[Seen]) -> Settled[Any]:
    steps = (asked for look in part.looks for asked in look.steps)
    return Settled(open=_open(steps, text, told, _numbers(part.groups)))


def _shared_out(part: Part, held: Held) -> Settled[Any]:
    """The steps of a part whose numbers can all be accounted for.

    A group is doubtful if its numbers can come from different requests. All steps with such a request that no other
    number is for stay open, and the numbers of the other groups go to the steps that hold them.
    """
    open_to_several = {group: possible(group, held) for group in part.groups if len(_requests(group.looks)) > 1}
    doubtful = {group: looks for group, looks in open_to_several.items() if len(_requests(looks)) > 1}
    contested = {request for looks in doubtful.values() for request in _requests(looks)}
    numbers = {group: iter(group.numbers) for group in part.groups if group not in doubtful}
    found: dict[Any, Mapping[str, Json]] = {}
    rest: list[Asked] = []
    for look in part.looks:
        counts = held[look].items() if look in held else ()  # no number fits it
        given = [next(numbers[group]) for group, count in counts if group in numbers for _ in range(count)]
        found |= {asked.doubted.step: one.shown for asked, one in zip(look.steps, given, strict=False)}
        rest += look.steps[len(given) :]
    open_ = [one for one in rest if one.request in contested]
    return Settled(
        found=found,
        absent=tuple(one.doubted.step for one in rest if one.request not in contested),
        open=_open(open_, _WHOSE, _numbers(doubtful), _numbers(doubtful)) if open_ else {},
    )


def _requests(looks: Iterable[Look]) -> frozenset[str]:
    return frozenset().union(*(look.requests for look in looks))


def _numbers(groups: Iterable[Group]) -> list[Seen]:
    return [one for group in groups for one in group.numbers]
