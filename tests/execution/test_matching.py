"""Whose are the numbers that a campaign has got: steps in doubt against the list."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.execution.matching import MatchResult, PendingRequest, match_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from invoca_bulk.execution.matching import Ambiguity

    Body = Mapping[str, Any]

RADIO = {"description": "Radio", "media_type": "Offline: Radio"}
PRESS = {"description": "Press", "media_type": "Offline: Newspaper"}
OLD = frozenset({"8330000000"})
#: Two requests that differ only in what chose the number, which no answer shows.
BOSTON, SALEM = ({**RADIO, "local_center": {"tn_prefix": code}} for code in ("617", "978"))
CHANNEL, SHOP, PHONE = ({**RADIO, "custom_data": {"channel": one}} for one in ("Web", "Shop", "Phone"))


def number(last: int) -> str:
    return f"833555{last:04}"


def shown(last: int, body: Body, **more: Any) -> dict[str, Any]:
    """A number as a list shows it: what chose it is not echoed."""
    echo = {name: value for name, value in body.items() if name != "local_center"}
    known = {"id": last, "id_from_network": str(last), "promo_number": number(last), "object_url": ""}
    return {**known, **echo, **more}


def doubts(*bodies: Body, baseline: frozenset[str] = OLD, first: int = 0) -> list[PendingRequest[int]]:
    """Steps of one run, numbered from `first`, on the rows 2 and following."""
    return [
        PendingRequest(key=step, body=body, baseline=baseline, label=f"row {step + 2}")
        for step, body in enumerate(bodies, first)
    ]


def summary(settled: MatchResult[int]) -> tuple[dict[int, int], list[int], list[int]]:
    """The ids of the numbers found, the absent steps, and the open ones."""
    return {step: one["id"] for step, one in settled.matched.items()}, list(settled.not_found), list(settled.ambiguous)


def test_nothing_in_doubt() -> None:
    """Where nothing is in doubt, nothing has to be explained."""
    assert match_requests([], [shown(1, RADIO)], set()) == MatchResult()


@pytest.mark.parametrize(
    ("steps", "listed", "expected"),
    [
        pytest.param([RADIO], [], ({}, [0], []), id="nothing-came"),
        pytest.param([RADIO], [shown(1, RADIO)], ({0: 1}, [], []), id="one-came"),
        pytest.param([RADIO] * 3, [shown(1, RADIO), shown(2, RADIO)], ({0: 1, 1: 2}, [2], []), id="two-of-three-equal"),
        pytest.param([RADIO, PRESS], [shown(1, PRESS), shown(2, RADIO)], ({0: 2, 1: 1}, [], []), id="distinct"),
        pytest.param([RADIO, PRESS], [shown(1, PRESS)], ({1: 1}, [0], []), id="one-of-two-distinct"),
        pytest.param(
            [RADIO],
            [shown(1, RADIO, custom_data={"channel": "x"}, promo_type="Local")],
            ({0: 1}, [], []),
            id="more-shown",
        ),
        pytest.param(
            [CHANNEL],
            [shown(1, CHANNEL, custom_data={"channel": "Web", "b": "x"})],
            ({0: 1}, [], []),
            id="defaults-on-top",
        ),
        pytest.param(
            [CHANNEL, RADIO],
            [shown(1, RADIO, custom_data={"channel": "default"}), shown(2, CHANNEL)],
            ({0: 2, 1: 1}, [], []),
            id="default-or-asked-for",
        ),
        pytest.param(
            [CHANNEL, RADIO],
            [shown(1, RADIO), shown(2, CHANNEL)],
            ({0: 2, 1: 1}, [], []),
            id="not-shown-but-of-another",
        ),
        pytest.param([CHANNEL, RADIO], [shown(1, RADIO)], ({}, [], [0, 1]), id="not-shown-of-any-says-nothing"),
        pytest.param([CHANNEL, RADIO], [shown(1, CHANNEL)], ({}, [], [0, 1]), id="asked-for-or-default"),
        pytest.param([BOSTON, SALEM], [], ({}, [0, 1], []), id="never-shown-none-came"),
        pytest.param([BOSTON, SALEM], [shown(1, BOSTON)], ({}, [], [0, 1]), id="never-shown-one-came"),
        pytest.param(
            [BOSTON, SALEM], [shown(1, BOSTON), shown(2, SALEM)], ({}, [], [0, 1]), id="never-shown-both-came"
        ),
        pytest.param(
            [BOSTON, PRESS, SALEM, PRESS],
            [shown(1, SALEM), shown(2, PRESS)],
            ({1: 2}, [3], [0, 2]),
            id="a-part-is-settled",
        ),
        pytest.param(
            [RADIO, CHANNEL, RADIO, CHANNEL],
            [shown(1, {**RADIO, "custom_data": {"channel": "x"}}), shown(2, CHANNEL)],
            ({0: 1}, [], [1, 2, 3]),
            id="what-is-sure-of-a-contested-request",
        ),
        pytest.param(
            [RADIO, RADIO, CHANNEL, CHANNEL, SHOP, SHOP],
            [shown(1, CHANNEL), shown(2, SHOP), shown(3, PHONE), shown(4, PHONE)],
            ({0: 3, 1: 4, 2: 1, 4: 2}, [3, 5], []),
            id="those-that-fit-elsewhere-make-room",
        ),
        pytest.param([RADIO], [shown(1, PRESS)], ({}, [], [0]), id="a-stranger"),
        pytest.param([RADIO, CHANNEL], [shown(1, RADIO), shown(2, PRESS)], ({}, [], [0, 1]), id="a-stranger-beside"),
        pytest.param([RADIO], [shown(1, RADIO), shown(2, RADIO)], ({}, [], [0]), id="one-too-many"),
        pytest.param(
            [RADIO, PRESS], [shown(1, RADIO), shown(2, RADIO), shown(3, PRESS)], ({1: 3}, [], [0]), id="too-many-of-one"
        ),
        pytest.param(
            [CHANNEL, RADIO, RADIO],
            [shown(1, RADIO), shown(2, RADIO), shown(3, RADIO, custom_data={"channel": "Web"}), shown(4, CHANNEL)],
            ({}, [], [0, 1, 2]),
            id="too-many-for-both",
        ),
        pytest.param(
            [RADIO], [shown(1, RADIO, promo_number=None, custom_data={})], ({}, [], [0]), id="an-entry-without-a-number"
        ),
        pytest.param([RADIO], [shown(1, PRESS, promo_number="")], ({}, [0], []), id="which-does-not-fit"),
    ],
)
def test_one_run(steps: list[Body], listed: list[Body], expected: Any) -> None:
    """Found and absent is what is so in every way to account for the numbers; all else is open."""
    settled = match_requests(doubts(*steps), [shown(0, PRESS, promo_number="8330000000"), *listed], set())
    assert summary(settled) == expected
    taken = {one["promo_number"] for one in settled.matched.values()}
    assert list(settled.unattributed) == [
        one["promo_number"] for one in listed if one["promo_number"] and one["promo_number"] not in taken
    ]


@pytest.mark.parametrize(
    ("body", "echo"),
    [
        pytest.param(RADIO, {"description": "Radio ", "media_type": "offline: radio"}, id="spaces-and-case"),
        pytest.param(
            {**RADIO, "media_type": "Offline: InCall Ad"}, {"media_type": "Offline: In\u00adCall Ad"}, id="soft-hyphen"
        ),
        pytest.param(
            {**RADIO, "adwords_account_id": "627-345-9815"}, {"adwords_account_id": "6273459815"}, id="dashes"
        ),
        pytest.param({**RADIO, "custom_data": {"store": "12"}}, {"custom_data": {"store": 12}}, id="a-number-as-text"),
        pytest.param(
            {**RADIO, "custom_data": {"store": None}}, {"custom_data": {"store": "12"}}, id="null-asks-for-nothing"
        ),
        pytest.param({**RADIO, "promo_type": ""}, {"promo_type": "Local"}, id="blank-asks-for-nothing"),
        pytest.param(BOSTON, {"local_center": None}, id="null-shows-nothing"),
        pytest.param(BOSTON, {"local_center": {"tn_prefix": 617, "city": None}}, id="shown-after-all"),
    ],
)
def test_forms(body: Body, echo: Body) -> None:
    """How the platform writes a value is of no account."""
    assert match_requests(doubts(body), [shown(1, body, **echo)], set()).matched


@pytest.mark.parametrize(
    ("body", "echo"),
    [
        pytest.param(RADIO, {"description": "Radio 2"}, id="text"),
        pytest.param(CHANNEL, {"custom_data": {"channel": "web"}}, id="custom-data"),
        pytest.param(BOSTON, {"local_center": {"tn_prefix": "978"}}, id="shown-after-all"),
        pytest.param({**RADIO, "promo_type": "Local"}, {"promo_type": "Mobile"}, id="choice"),
    ],
)
def test_other_values(body: Body, echo: Body) -> None:
    """A number that shows another value than was sent is not the step's, and no step is called absent beside it."""
    settled = match_requests(doubts(body), [shown(1, body, **echo)], set())
    assert (settled.matched, settled.not_found, list(settled.ambiguous)) == ({}, (), [0])


def _hours(*days: str) -> Body:
    schedules = [{"day_of_week": day, "open_time": "09:00", "close_time": "17:00"} for day in days]
    return {**RADIO, "hours_of_operation": {"time_zone": "Alaska", "schedules": schedules}}


def test_schedules() -> None:
    """Schedules are the same in any order, and one more is another list, not a default that came on top."""
    settled = match_requests(
        doubts(_hours("Monday"), _hours("Monday", "Friday")), [shown(1, _hours("Friday", "Monday"))], set()
    )
    assert summary(settled) == ({1: 1}, [0], [])


@pytest.mark.parametrize("form", ["{}", "+1{}", "1{}", "int"])
def test_numbers_in_any_form(form: str) -> None:
    """A number is known however an answer, a baseline or the list writes it."""
    listed = [shown(last, PRESS) for last in (1, 2)] + [shown(3, RADIO)]
    for one in listed:
        one["promo_number"] = int(one["promo_number"]) if form == "int" else form.format(one["promo_number"])
    for plain in (True, False):
        known = [
            number(last) if plain else f"({number(last)[:3]}) {number(last)[3:6]}\u2010{number(last)[6:]}"
            for last in (1, 2)
        ]
        settled = match_requests(doubts(RADIO, baseline=frozenset(known[:1])), listed, set(known[1:]))
        assert (summary(settled), settled.unattributed) == (({0: 3}, [], []), ())


def test_a_number_listed_twice_is_one() -> None:
    """A list that repeats an entry does not make it two numbers."""
    assert summary(match_requests(doubts(RADIO, RADIO), [shown(1, RADIO), shown(1, RADIO)], set())) == ({0: 1}, [1], [])


# Several runs

NEW = OLD | {number(1)}


@pytest.mark.parametrize(
    ("older", "newer", "listed", "expected"),
    [
        pytest.param([RADIO], [RADIO], [shown(1, RADIO)], ({0: 1}, [9], []), id="came-before-the-newer"),
        pytest.param([RADIO], [RADIO], [shown(2, RADIO)], ({0: 2}, [9], []), id="either-the-older-first"),
        pytest.param([RADIO], [RADIO], [shown(2, RADIO), shown(1, RADIO)], ({0: 1, 9: 2}, [], []), id="both"),
        pytest.param([RADIO], [PRESS], [shown(1, RADIO), shown(2, PRESS)], ({0: 1, 9: 2}, [], []), id="distinct"),
        pytest.param([BOSTON], [SALEM], [shown(1, RADIO)], ({0: 1}, [9], []), id="the-baseline-tells"),
        pytest.param(
            [BOSTON], [SALEM], [shown(1, RADIO), shown(2, RADIO)], ({0: 1, 9: 2}, [], []), id="and-so-the-other"
        ),
        pytest.param([BOSTON], [SALEM], [shown(2, RADIO)], ({}, [], [0, 9]), id="the-baseline-does-not-tell"),
        pytest.param(
            [RADIO],
            [PRESS],
            [shown(1, CHANNEL | {"description": "?"}), shown(2, PRESS)],
            ({9: 2}, [], [0]),
            id="a-stranger-before-the-newer",
        ),
        pytest.param(
            [RADIO], [RADIO], [shown(1, PRESS), shown(2, RADIO)], ({}, [], [0, 9]), id="a-stranger-and-one-for-either"
        ),
        pytest.param(
            [RADIO], [RADIO], [shown(2, RADIO), shown(3, RADIO), shown(4, RADIO)], ({}, [], [0, 9]), id="too-many"
        ),
    ],
)
def test_two_runs(older: list[Body], newer: list[Body], listed: list[Body], expected: Any) -> None:
    """What a run found when it began is not its own; equal requests of two runs are served the older first."""
    steps = [*doubts(*older), *doubts(*newer, baseline=NEW, first=9)]
    assert summary(match_requests(steps, listed, set())) == expected


# Reasons


def _only(settled: MatchResult[int]) -> Ambiguity[int]:
    reasons = set(settled.ambiguous.values())
    assert len(reasons) == 1
    return reasons.pop()


SOMEBODY = "so somebody else creates"


@pytest.mark.parametrize(
    ("steps", "count", "body", "error"),
    [
        ([RADIO], 2, PRESS, f"8335550000 and 8335550001, which no row in doubt asked for, {SOMEBODY} or changes"),
        (
            [RADIO, RADIO],
            3,
            RADIO,
            f"8335550000, 8335550001 and 8335550002, more than row 2 and row 3 can account for, {SOMEBODY}",
        ),
        (
            [BOSTON, SALEM],
            1,
            RADIO,
            "8335550000, but row 2 and row 3 may have asked for that, and what the platform shows",
        ),
        ([RADIO], 8, RADIO, "8335550004, 8335550005 and 2 more, more than row 2 can account for"),
        ([RADIO], 7, RADIO, "8335550004, 8335550005 and 8335550006, more than row 2"),
    ],
    ids=["a stranger", "too many", "whose", "many", "not so many"],
)
def test_reasons(steps: list[Body], count: int, body: Body, error: str) -> None:
    """A reason names the numbers and the rows that they may belong to, and what to do."""
    why = _only(match_requests(doubts(*steps), [shown(last, body) for last in range(count)], set()))
    assert why.error.startswith("It may have been created: since the run began, its campaign got 8335550000")
    assert error in why.error
    assert why.fix.startswith("Look the campaign's new numbers up on the platform.")
    assert why.candidate_keys == tuple(range(len(steps)))


def test_reasons_count_rows_without_a_name() -> None:
    """Steps that the caller gives no names are counted."""
    steps = [PendingRequest(key=("run", step), body=body, baseline=OLD) for step, body in enumerate((BOSTON, SALEM))]
    settled = match_requests(steps, [shown(1, RADIO)], set())
    assert "but 2 rows may have asked" in settled.ambiguous["run", 1].error
    assert settled.ambiguous["run", 0].candidate_numbers == (number(1),)


def test_equal_names_are_told_once() -> None:
    """The rows of a quantity share one name."""
    steps = [PendingRequest(key=step, body=RADIO, baseline=OLD, label="row 2") for step in range(3)]
    assert (
        "more than row 2 can account for"
        in _only(match_requests(steps, [shown(one, RADIO) for one in range(4)], set())).error
    )


# The stand-in's own lists


def test_what_the_platform_lists(platform: Any) -> None:
    """The list of a campaign with defaults tells the requests apart, and what was answered is explained."""
    platform.store.add_campaign(
        "A-1", "C-1", network_id=platform.network_id, custom_data={"channel": "Web", "team": "x"}
    )
    path = "advertisers/A-1/advertiser_campaigns/C-1/promo_numbers"
    other = {**RADIO, "custom_data": {"channel": "Shop"}}
    before, answered, _, second, third, _ = (
        platform("POST", path, body).json() for body in (RADIO, RADIO, BOSTON, other, PRESS, RADIO)
    )
    steps = doubts(RADIO, other, PRESS, BOSTON, other, baseline=frozenset({before["promo_number"]}))
    settled = match_requests(steps, platform("GET", path).json(), {answered["promo_number"]})
    assert summary(settled) == ({1: second["id"], 2: third["id"]}, [4], [0, 3])


# Against every way to account for the numbers

BODIES: tuple[Body, ...] = (RADIO, BOSTON, CHANNEL, {**RADIO, "custom_data": {"channel": "Shop"}}, PRESS)
DEFAULTS: tuple[Body, ...] = ({}, {"channel": "Web"}, {"team": "x"})
FOREIGN = {"description": "Foreign", "media_type": "Offline: TV"}


@dataclass(frozen=True)
class Truth:
    """A step, its run (0 the older), and when it was carried out: before the newer run began, since, or never."""

    body: Body
    run: int
    when: str


def _truths() -> st.SearchStrategy[Truth]:
    older = st.builds(Truth, st.sampled_from(BODIES), st.just(0), st.sampled_from(["before", "since", "never"]))
    newer = st.builds(Truth, st.sampled_from(BODIES), st.just(1), st.sampled_from(["since", "never"]))
    return st.one_of(older, newer)


@dataclass(frozen=True)
class World:
    """What really happened, and what is seen of it."""

    steps: list[Truth]
    doubted: list[PendingRequest[int]]
    listed: list[Body]
    explained: set[str]
    #: Number to the step that it really comes from; foreign ones are not here.
    origin: dict[str, int]

    @property
    def bodies(self) -> dict[int, str]:
        return {step: _key(one.body) for step, one in enumerate(self.steps)}


def _key(body: Body) -> str:
    return json.dumps(body, sort_keys=True)


@st.composite
def worlds(draw: st.DrawFn, *, foreign: bool = False) -> World:
    """A campaign in which steps of two runs are in doubt, at first with numbers that are known."""
    steps = sorted(draw(st.lists(_truths(), max_size=6)), key=lambda one: one.run)
    defaults = draw(st.sampled_from(DEFAULTS))
    entries: list[tuple[str, Body, int]] = [("old", RADIO, -1)] * draw(st.integers(0, 1))
    entries += [("known", draw(st.sampled_from(BODIES)), -1)] * draw(st.integers(0, 2))
    entries += [(one.when, one.body, step) for step, one in enumerate(steps) if one.when != "never"]
    entries += [(draw(st.sampled_from(["before", "since"])), FOREIGN, -1)] * foreign
    numbered = list(enumerate(draw(st.permutations(entries)), 1))
    olds = {number(last) for last, (when, _, _) in numbered if when == "old"}
    befores = {number(last) for last, (when, _, _) in numbered if when == "before"}
    baselines = frozenset(olds), frozenset(olds | befores)
    return World(
        steps=steps,
        doubted=[
            PendingRequest(key=step, body=one.body, baseline=baselines[one.run]) for step, one in enumerate(steps)
        ],
        listed=[
            shown(last, body, custom_data={**defaults, **body.get("custom_data", {})})
            for last, (_, body, _) in numbered
        ],
        explained={number(last) for last, (when, _, _) in numbered if when == "known"},
        origin={number(last): step for last, (_, _, step) in numbered if step >= 0},
    )


def _check_against_truth(world: World, settled: MatchResult[int]) -> None:
    bodies, landed = world.bodies, Counter(world.bodies[step] for step in world.origin.values())
    found = {step: one["promo_number"] for step, one in settled.matched.items()}
    assert sorted([*found, *settled.not_found, *settled.ambiguous]) == list(range(len(world.steps)))
    assert len(set(found.values())) == len(found)
    for step, one in found.items():
        assert bodies[world.origin[one]] == bodies[step]
        assert one not in world.doubted[step].baseline
    for body, absent in Counter(bodies[step] for step in settled.not_found).items():
        assert absent <= Counter(bodies.values())[body] - landed[body]


@settings(max_examples=300, deadline=None)
@given(world=worlds())
def test_what_is_settled_is_so(world: World) -> None:
    """Where nobody else creates, what is found or absent really is, up to the interchange of equal requests."""
    settled = match_requests(world.doubted, world.listed, world.explained)
    _check_against_truth(world, settled)
    assert len(settled.unattributed) == len(world.origin) - len(settled.matched)


@settings(max_examples=200, deadline=None)
@given(world=worlds(foreign=True))
def test_nothing_is_taken_from_others(world: World) -> None:
    """A number that somebody else asked for with other values goes to no row, and beside it nothing wrong is told."""
    _check_against_truth(world, match_requests(world.doubted, world.listed, world.explained))


def _flat(body: Body) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "custom_data"} | dict(body.get("custom_data", {}))


def _fits(world: World, one: Body, doubt: PendingRequest[int]) -> bool:
    compared = {key for other in world.listed for key in _flat(other)}
    asked = {key: value for key, value in _flat(doubt.body).items() if key in compared}
    return one["promo_number"] not in doubt.baseline and asked.items() <= _flat(one).items()


def _ways(world: World) -> Iterator[dict[str, int]]:
    """Every way to give each unexplained number a step of its own."""
    known = world.explained | {one for one in map(number, range(20)) if all(one in it.baseline for it in world.doubted)}
    numbers = [one for one in world.listed if one["promo_number"] not in known]
    fitting = [[it.key for it in world.doubted if _fits(world, one, it)] for one in numbers]
    for chosen in product(*fitting):
        if len(set(chosen)) == len(chosen):
            yield {one["promo_number"]: step for one, step in zip(numbers, chosen, strict=True)}


@settings(max_examples=200, deadline=None)
@given(world=worlds())
def test_what_can_be_settled_is(world: World) -> None:
    """A number that comes from one request in every way is found, and only what depends on the way is open."""
    settled = match_requests(world.doubted, world.listed, world.explained)
    if not world.steps:
        return
    bodies, requests = world.bodies, dict[str, set[str]]()
    for way in _ways(world):
        for one, step in way.items():
            requests.setdefault(one, set()).add(bodies[step])
    sure = {one: next(iter(some)) for one, some in requests.items() if len(some) == 1}
    contested = set().union(*(some for some in requests.values() if len(some) > 1))
    assert {one["promo_number"]: bodies[step] for step, one in settled.matched.items()} == sure
    assert {bodies[step] for step in settled.ambiguous} <= contested


# Size


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda _: RADIO, id="equal"),
        pytest.param(lambda step: {**RADIO, "description": f"Store {step}"}, id="distinct"),
        pytest.param(lambda step: {**RADIO, "local_center": {"city": f"City {step}", "state": "CA"}}, id="never-shown"),
        pytest.param(
            lambda step: RADIO if step % 2 else {**RADIO, "custom_data": {"store": f"S{step}"}},
            id="one-fits-all",
        ),
    ],
)
def test_thousands(body: Callable[[int], Body]) -> None:
    """Thousands of steps of a campaign are settled in a few seconds; the limit is far above that."""
    count = 3000
    steps, baseline = [body(step) for step in range(count)], frozenset(number(last) for last in range(9000, 10_000))
    listed = [shown(last, one) for last, one in enumerate(steps) if last % 3]
    settled = match_requests(doubts(*steps, baseline=baseline), listed, set())
    assert len(settled.matched) + len(settled.not_found) + len(settled.ambiguous) == count
