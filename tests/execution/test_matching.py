"""Matching requests in doubt to the numbers that a campaign lists."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.execution.matching import PendingRequest, match_requests
from invoca_bulk.execution.matching.model import MatchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from invoca_bulk.execution.matching.model import Ambiguity

    Body = Mapping[str, Any]

RADIO = {"description": "Radio", "media_type": "Offline: Radio"}
PRESS = {"description": "Press", "media_type": "Offline: Newspaper"}
OLD = frozenset({"8330000000"})
#: Two requests that differ only in the location of the number, which no response shows.
BOSTON, SALEM = ({**RADIO, "local_center": {"tn_prefix": code}} for code in ("617", "978"))
CHANNEL, SHOP, PHONE = ({**RADIO, "custom_data": {"channel": channel}} for channel in ("Web", "Shop", "Phone"))


def number(last: int) -> str:
    return f"833555{last:04}"


def shown(last: int, body: Body, **overrides: Any) -> dict[str, Any]:
    """A number as a list shows it, without `local_center`."""
    echo = {name: value for name, value in body.items() if name != "local_center"}
    ids = {"id": last, "id_from_network": str(last), "promo_number": number(last), "object_url": ""}
    return {**ids, **echo, **overrides}


def pending(*bodies: Body, baseline: frozenset[str] = OLD, first: int = 0) -> list[PendingRequest]:
    """Requests of one run, with keys from `first`."""
    return [PendingRequest(key=key, body=body, baseline=baseline) for key, body in enumerate(bodies, first)]


def summary(result: MatchResult) -> tuple[dict[int, int], list[int], list[int]]:
    """The ids of the matched numbers, the requests that were not found, and the ambiguous ones."""
    matched = {key: number["id"] for key, number in result.matched.items()}
    return matched, list(result.not_found), list(result.ambiguous)


def test_no_requests() -> None:
    """Without requests in doubt the result is empty."""
    assert match_requests([], [shown(1, RADIO)], set()) == MatchResult()


@pytest.mark.parametrize(
    ("bodies", "listed", "expected"),
    [
        pytest.param([RADIO], [], ({}, [0], []), id="nothing-created"),
        pytest.param([RADIO], [shown(1, RADIO)], ({0: 1}, [], []), id="one-created"),
        pytest.param([RADIO] * 3, [shown(1, RADIO), shown(2, RADIO)], ({0: 1, 1: 2}, [2], []), id="two-of-three-equal"),
        pytest.param([RADIO, PRESS], [shown(1, PRESS), shown(2, RADIO)], ({0: 2, 1: 1}, [], []), id="distinct"),
        pytest.param([RADIO, PRESS], [shown(1, PRESS)], ({1: 1}, [0], []), id="one-of-two-distinct"),
        pytest.param(
            [RADIO],
            [shown(1, RADIO, custom_data={"channel": "x"}, promo_type="Local")],
            ({0: 1}, [], []),
            id="more-fields-shown",
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
            id="default-or-requested",
        ),
        pytest.param(
            [CHANNEL, RADIO],
            [shown(1, RADIO), shown(2, CHANNEL)],
            ({0: 2, 1: 1}, [], []),
            id="field-shown-for-another-number",
        ),
        pytest.param([CHANNEL, RADIO], [shown(1, RADIO)], ({}, [], [0, 1]), id="field-never-shown-is-ignored"),
        pytest.param([CHANNEL, RADIO], [shown(1, CHANNEL)], ({}, [], [0, 1]), id="requested-or-default"),
        pytest.param([BOSTON, SALEM], [], ({}, [0, 1], []), id="never-shown-none-created"),
        pytest.param([BOSTON, SALEM], [shown(1, BOSTON)], ({}, [], [0, 1]), id="never-shown-one-created"),
        pytest.param(
            [BOSTON, SALEM], [shown(1, BOSTON), shown(2, SALEM)], ({}, [], [0, 1]), id="never-shown-both-created"
        ),
        pytest.param(
            [BOSTON, PRESS, SALEM, PRESS],
            [shown(1, SALEM), shown(2, PRESS)],
            ({1: 2}, [3], [0, 2]),
            id="one-component-is-decided",
        ),
        pytest.param(
            [RADIO, CHANNEL, RADIO, CHANNEL],
            [shown(1, {**RADIO, "custom_data": {"channel": "x"}}), shown(2, CHANNEL)],
            ({0: 1}, [], [1, 2, 3]),
            id="part-of-a-contested-request",
        ),
        pytest.param(
            [RADIO, RADIO, CHANNEL, CHANNEL, SHOP, SHOP],
            [shown(1, CHANNEL), shown(2, SHOP), shown(3, PHONE), shown(4, PHONE)],
            ({0: 3, 1: 4, 2: 1, 4: 2}, [3, 5], []),
            id="augmenting-path",
        ),
        pytest.param([RADIO], [shown(1, PRESS)], ({}, [], [0]), id="unrequested"),
        pytest.param(
            [RADIO, CHANNEL], [shown(1, RADIO), shown(2, PRESS)], ({}, [], [0, 1]), id="unrequested-and-requested"
        ),
        pytest.param([RADIO], [shown(1, RADIO), shown(2, RADIO)], ({}, [], [0]), id="one-too-many"),
        pytest.param(
            [RADIO, PRESS],
            [shown(1, RADIO), shown(2, RADIO), shown(3, PRESS)],
            ({1: 3}, [], [0]),
            id="too-many-for-one-request",
        ),
        pytest.param(
            [CHANNEL, RADIO, RADIO],
            [shown(1, RADIO), shown(2, RADIO), shown(3, RADIO, custom_data={"channel": "Web"}), shown(4, CHANNEL)],
            ({}, [], [0, 1, 2]),
            id="too-many-for-both",
        ),
        pytest.param(
            [RADIO], [shown(1, RADIO, promo_number=None, custom_data={})], ({}, [], [0]), id="entry-without-number"
        ),
        pytest.param([RADIO], [shown(1, PRESS, promo_number="")], ({}, [0], []), id="other-entry-without-number"),
    ],
)
def test_one_run(bodies: list[Body], listed: list[Body], expected: Any) -> None:
    """A request is matched or not found if that holds in every possible assignment; otherwise it is ambiguous."""
    listed = [shown(0, PRESS, promo_number="8330000000"), *listed]
    assert summary(match_requests(pending(*bodies), listed, set())) == expected


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
def test_equal_values(body: Body, echo: Body) -> None:
    """The platform may write a value in another form."""
    assert match_requests(pending(body), [shown(1, body, **echo)], set()).matched


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
    """A number that shows another value than was sent matches no request, and makes the request ambiguous."""
    result = match_requests(pending(body), [shown(1, body, **echo)], set())
    assert (result.matched, result.not_found, list(result.ambiguous)) == ({}, (), [0])


def _hours(*days: str) -> Body:
    schedules = [{"day_of_week": day, "open_time": "09:00", "close_time": "17:00"} for day in days]
    return {**RADIO, "hours_of_operation": {"time_zone": "Alaska", "schedules": schedules}}


def test_schedules() -> None:
    """Schedules are equal in any order; an additional entry is another schedule, not a default."""
    result = match_requests(
        pending(_hours("Monday"), _hours("Monday", "Friday")), [shown(1, _hours("Friday", "Monday"))], set()
    )
    assert summary(result) == ({1: 1}, [0], [])


@pytest.mark.parametrize("form", ["{}", "+1{}", "1{}", "int"])
def test_promo_number_formats(form: str) -> None:
    """A number is recognized in any format, in responses, baselines and lists."""
    listed = [shown(last, PRESS) for last in (1, 2)] + [shown(3, RADIO)]
    for item in listed:
        item["promo_number"] = int(item["promo_number"]) if form == "int" else form.format(item["promo_number"])
    for is_plain in (True, False):
        known_numbers = [
            number(last) if is_plain else f"({number(last)[:3]}) {number(last)[3:6]}\u2010{number(last)[6:]}"
            for last in (1, 2)
        ]
        result = match_requests(pending(RADIO, baseline=frozenset(known_numbers[:1])), listed, set(known_numbers[1:]))
        assert summary(result) == ({0: 3}, [], [])


def test_duplicate_entry_counts_once() -> None:
    """An entry that a list repeats counts as one number."""
    assert summary(match_requests(pending(RADIO, RADIO), [shown(1, RADIO), shown(1, RADIO)], set())) == (
        {0: 1},
        [1],
        [],
    )


# Several runs

NEW = OLD | {number(1)}


@pytest.mark.parametrize(
    ("older", "newer", "listed", "expected"),
    [
        pytest.param([RADIO], [RADIO], [shown(1, RADIO)], ({0: 1}, [9], []), id="created-before-the-newer-run"),
        pytest.param([RADIO], [RADIO], [shown(2, RADIO)], ({0: 2}, [9], []), id="older-run-first"),
        pytest.param([RADIO], [RADIO], [shown(2, RADIO), shown(1, RADIO)], ({0: 1, 9: 2}, [], []), id="both"),
        pytest.param([RADIO], [PRESS], [shown(1, RADIO), shown(2, PRESS)], ({0: 1, 9: 2}, [], []), id="distinct"),
        pytest.param([BOSTON], [SALEM], [shown(1, RADIO)], ({0: 1}, [9], []), id="decided-by-baseline"),
        pytest.param(
            [BOSTON], [SALEM], [shown(1, RADIO), shown(2, RADIO)], ({0: 1, 9: 2}, [], []), id="both-decided-by-baseline"
        ),
        pytest.param([BOSTON], [SALEM], [shown(2, RADIO)], ({}, [], [0, 9]), id="not-decided-by-baseline"),
        pytest.param(
            [RADIO],
            [PRESS],
            [shown(1, CHANNEL | {"description": "?"}), shown(2, PRESS)],
            ({9: 2}, [], [0]),
            id="unrequested-before-the-newer-run",
        ),
        pytest.param(
            [RADIO], [RADIO], [shown(1, PRESS), shown(2, RADIO)], ({}, [], [0, 9]), id="unrequested-and-one-for-either"
        ),
        pytest.param(
            [RADIO], [RADIO], [shown(2, RADIO), shown(3, RADIO), shown(4, RADIO)], ({}, [], [0, 9]), id="too-many"
        ),
    ],
)
def test_two_runs(older: list[Body], newer: list[Body], listed: list[Body], expected: Any) -> None:
    """Numbers of a run's baseline are not its own; of equal requests the older run's gets its number first."""
    requests = [*pending(*older), *pending(*newer, baseline=NEW, first=9)]
    assert summary(match_requests(requests, listed, set())) == expected


# Reasons


def _only_ambiguity(result: MatchResult) -> Ambiguity:
    ambiguities = set(result.ambiguous.values())
    assert len(ambiguities) == 1
    return ambiguities.pop()


SOMEBODY = "so somebody else creates"


@pytest.mark.parametrize(
    ("bodies", "count", "body", "error"),
    [
        ([RADIO], 2, PRESS, f"8335550000 and 8335550001, which no row in doubt asked for, {SOMEBODY} or changes"),
        (
            [RADIO, RADIO],
            3,
            RADIO,
            f"8335550000, 8335550001 and 8335550002, more than 2 rows can account for, {SOMEBODY}",
        ),
        (
            [BOSTON, SALEM],
            1,
            RADIO,
            "8335550000, but 2 rows may have asked for that, and what the platform shows",
        ),
        ([RADIO], 8, RADIO, "8335550004, 8335550005 and 2 more, more than 1 row can account for"),
        ([RADIO], 7, RADIO, "8335550004, 8335550005 and 8335550006, more than 1 row can"),
    ],
    ids=["unrequested", "surplus", "indistinguishable", "shortened", "not shortened"],
)
def test_reasons(bodies: list[Body], count: int, body: Body, error: str) -> None:
    """A reason names the numbers, how many rows they may belong to, and the fix."""
    result = match_requests(pending(*bodies), [shown(last, body) for last in range(count)], set())
    ambiguity = _only_ambiguity(result)
    assert ambiguity.error.startswith("It may have been created: since the run began, its campaign got 8335550000")
    assert error in ambiguity.error
    assert ambiguity.fix.startswith("Look the campaign's new numbers up on the platform.")
    assert list(result.ambiguous) == list(range(len(bodies)))


# Lists of the sandbox


def test_campaign_with_defaults(platform: Any) -> None:
    """The list of a campaign with defaults distinguishes the requests; numbers in responses are attributed."""
    platform.store.add_campaign(
        "A-1", "C-1", network_id=platform.network_id, custom_data={"channel": "Web", "team": "x"}
    )
    path = "advertisers/A-1/advertiser_campaigns/C-1/promo_numbers"
    other = {**RADIO, "custom_data": {"channel": "Shop"}}
    before, answered, _, second, third, _ = (
        platform("POST", path, body).json() for body in (RADIO, RADIO, BOSTON, other, PRESS, RADIO)
    )
    requests = pending(RADIO, other, PRESS, BOSTON, other, baseline=frozenset({before["promo_number"]}))
    result = match_requests(requests, platform("GET", path).json(), {answered["promo_number"]})
    assert summary(result) == ({1: second["id"], 2: third["id"]}, [4], [0, 3])


# Against every possible assignment

BODIES: tuple[Body, ...] = (RADIO, BOSTON, CHANNEL, {**RADIO, "custom_data": {"channel": "Shop"}}, PRESS)
DEFAULTS: tuple[Body, ...] = ({}, {"channel": "Web"}, {"team": "x"})
FOREIGN = {"description": "Foreign", "media_type": "Offline: TV"}


@dataclass(frozen=True)
class Truth:
    """A request, its run (0 is the older), and when it was applied: before the newer run began, since, or never."""

    body: Body
    run: int
    when: str


def _truths() -> st.SearchStrategy[Truth]:
    older = st.builds(Truth, st.sampled_from(BODIES), st.just(0), st.sampled_from(["before", "since", "never"]))
    newer = st.builds(Truth, st.sampled_from(BODIES), st.just(1), st.sampled_from(["since", "never"]))
    return st.one_of(older, newer)


@dataclass(frozen=True)
class World:
    """What really happened, and what matching can see of it."""

    truths: list[Truth]
    pending: list[PendingRequest]
    listed: list[Body]
    attributed: set[str]
    #: Number to the request that it really comes from, without foreign numbers.
    origin: dict[str, int]

    @property
    def bodies(self) -> dict[int, str]:
        return {key: _body_key(truth.body) for key, truth in enumerate(self.truths)}


def _body_key(body: Body) -> str:
    return json.dumps(body, sort_keys=True)


@st.composite
def worlds(draw: st.DrawFn, *, foreign: bool = False) -> World:
    """A campaign with requests in doubt of two runs, and with known numbers."""
    truths = sorted(draw(st.lists(_truths(), max_size=6)), key=lambda truth: truth.run)
    defaults = draw(st.sampled_from(DEFAULTS))
    entries: list[tuple[str, Body, int]] = [("old", RADIO, -1)] * draw(st.integers(0, 1))
    entries += [("known", draw(st.sampled_from(BODIES)), -1)] * draw(st.integers(0, 2))
    entries += [(truth.when, truth.body, key) for key, truth in enumerate(truths) if truth.when != "never"]
    entries += [(draw(st.sampled_from(["before", "since"])), FOREIGN, -1)] * foreign
    numbered = list(enumerate(draw(st.permutations(entries)), 1))
    old_numbers = {number(last) for last, (when, _, _) in numbered if when == "old"}
    before_numbers = {number(last) for last, (when, _, _) in numbered if when == "before"}
    baselines = frozenset(old_numbers), frozenset(old_numbers | before_numbers)
    return World(
        truths=truths,
        pending=[
            PendingRequest(key=key, body=truth.body, baseline=baselines[truth.run]) for key, truth in enumerate(truths)
        ],
        listed=[
            shown(last, body, custom_data={**defaults, **body.get("custom_data", {})})
            for last, (_, body, _) in numbered
        ],
        attributed={number(last) for last, (when, _, _) in numbered if when == "known"},
        origin={number(last): key for last, (_, _, key) in numbered if key >= 0},
    )


def _check_against_truth(world: World, result: MatchResult) -> None:
    bodies, created = world.bodies, Counter(world.bodies[key] for key in world.origin.values())
    matched = {key: item["promo_number"] for key, item in result.matched.items()}
    assert sorted([*matched, *result.not_found, *result.ambiguous]) == list(range(len(world.truths)))
    assert len(set(matched.values())) == len(matched)
    for key, promo_number in matched.items():
        assert bodies[world.origin[promo_number]] == bodies[key]
        assert promo_number not in world.pending[key].baseline
    for body, count in Counter(bodies[key] for key in result.not_found).items():
        assert count <= Counter(bodies.values())[body] - created[body]


@settings(max_examples=300)
@given(world=worlds())
def test_decisions_are_correct(world: World) -> None:
    """If nobody else creates numbers, each decision is correct, up to the interchange of equal requests."""
    _check_against_truth(world, match_requests(world.pending, world.listed, world.attributed))


@settings(max_examples=200)
@given(world=worlds(foreign=True))
def test_decisions_are_correct_with_foreign_numbers(world: World) -> None:
    """A number that somebody else created with other values matches no request and causes no wrong decision."""
    _check_against_truth(world, match_requests(world.pending, world.listed, world.attributed))


def _flat(body: Body) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "custom_data"} | dict(body.get("custom_data", {}))


def _fits(world: World, item: Body, request: PendingRequest) -> bool:
    shown_fields = {field for listed in world.listed for field in _flat(listed)}
    requested = {field: value for field, value in _flat(request.body).items() if field in shown_fields}
    return item["promo_number"] not in request.baseline and requested.items() <= _flat(item).items()


def _assignments(world: World) -> Iterator[dict[str, int]]:
    """Every assignment of the unattributed numbers to different requests."""
    old_numbers = {
        text for text in map(number, range(20)) if all(text in request.baseline for request in world.pending)
    }
    items = [item for item in world.listed if item["promo_number"] not in world.attributed | old_numbers]
    fitting = [[request.key for request in world.pending if _fits(world, item, request)] for item in items]
    for keys in product(*fitting):
        if len(set(keys)) == len(keys):
            yield {item["promo_number"]: key for item, key in zip(items, keys, strict=True)}


@settings(max_examples=200)
@given(world=worlds())
def test_decisions_are_complete(world: World) -> None:
    """A number with the same request in every assignment is matched; only what depends on the assignment is open."""
    result = match_requests(world.pending, world.listed, world.attributed)
    if not world.truths:
        return
    bodies, bodies_by_number = world.bodies, dict[str, set[str]]()
    for assignment in _assignments(world):
        for promo_number, key in assignment.items():
            bodies_by_number.setdefault(promo_number, set()).add(bodies[key])
    decided = {number: next(iter(options)) for number, options in bodies_by_number.items() if len(options) == 1}
    contested = set().union(*(options for options in bodies_by_number.values() if len(options) > 1))
    assert {item["promo_number"]: bodies[key] for key, item in result.matched.items()} == decided
    assert {bodies[key] for key in result.ambiguous} <= contested


# Size


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "make_body",
    [
        pytest.param(lambda _: RADIO, id="equal"),
        pytest.param(lambda key: {**RADIO, "description": f"Store {key}"}, id="distinct"),
        pytest.param(lambda key: {**RADIO, "local_center": {"city": f"City {key}", "state": "CA"}}, id="never-shown"),
        pytest.param(
            lambda key: RADIO if key % 2 else {**RADIO, "custom_data": {"store": f"S{key}"}},
            id="one-fits-all",
        ),
    ],
)
def test_thousands(make_body: Callable[[int], Body]) -> None:
    """Thousands of requests of a campaign are matched in a few seconds; the timeout is far above that."""
    count = 3000
    bodies, baseline = [make_body(key) for key in range(count)], frozenset(number(last) for last in range(9000, 10_000))
    listed = [shown(last, body) for last, body in enumerate(bodies) if last % 3]
    result = match_requests(pending(*bodies, baseline=baseline), listed, set())
    assert len(result.matched) + len(result.not_found) + len(result.ambiguous) == count
