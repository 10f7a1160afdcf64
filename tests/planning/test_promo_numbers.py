"""Plans of promo numbers against the numbers of their campaigns: the plan, and the requests."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from invoca_bulk import planning, sheets, validation
from invoca_bulk.planning import PlatformState
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION, Action
from invoca_bulk.schema.outcomes import Outcome
from tests.examples import OF_THE_PLAN_OF_NUMBERS, advertiser, book, frame_of, site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.planning import PlanData, PlannedRow, Scope, Step

OLDEST, NEWEST = API_VERSIONS[0], API_VERSIONS[-1]
CAMPAIGN: Scope = ("advertisers", "A-1", "advertiser_campaigns", "C-1")
OTHER: Scope = ("advertisers", "A-2", "advertiser_campaigns", "C-2")
SIBLING: Scope = ("advertisers", "A-1", "advertiser_campaigns", "C-2")
AFFILIATE: Scope = (*CAMPAIGN, "affiliates", "F-1", "affiliate_campaigns")
OWN, NUMBER = "id_from_network", "promo_number"
TO_ADVERTISER, TO_CAMPAIGN = (f"destination_{name}_id_from_network" for name in ("advertiser", "advertiser_campaign"))
TO_OTHER = {TO_ADVERTISER: "A-2", TO_CAMPAIGN: "C-2"}

#: A number of the platform's, with all that makes an update hard.
THERE = {
    "id": 21,
    "id_from_network": "4531",
    "promo_number": "8005550100",
    "description": "Spring sale",
    "media_type": "Online: Display",
    "object_url": "https://example.com/21",
    "promo_type": None,
    "custom_data": {"channel": "Online lead", "region": "West", "count": 5},
}
#: What a row says of it when it changes nothing.
SAME = {NUMBER: "8005550100", "description": "Spring sale", "media_type": "Online: Display"}


def observed_of(*objects: Mapping[str, Any], scope: Scope = CAMPAIGN) -> dict[Scope, PlatformState]:
    return {scope: PlatformState(objects=objects)}


def plan_of(
    source: Any, observed: Mapping[Scope, PlatformState] | None = None, version: str = DEFAULT_API_VERSION
) -> PlanData:
    """The plan; campaigns without a given state have no numbers."""
    validated_book = validation.validate(sheets.load(source), version=version)
    empty = {scope: PlatformState() for scope in planning.required_scopes(validated_book)}
    return planning.build_plan(validated_book, empty | dict(observed or observed_of(THERE)))


def plan(
    *rows: Mapping[str, Any], observed: Mapping[Scope, PlatformState] | None = None, version: str = DEFAULT_API_VERSION
) -> PlanData:
    """The plan of rows with the given cells and their campaign."""
    blank = {"advertiser_id_from_network": "A-1", "advertiser_campaign_id_from_network": "C-1"}
    return plan_of(frame_of(*rows, base=blank), observed, version)


def only(plan_data: PlanData) -> tuple[PlannedRow, Step | None]:
    """The one row of a plan, and its step."""
    (row,) = plan_data.rows
    assert len(plan_data.steps) == (row.step is not None)
    return row, plan_data.steps[0] if plan_data.steps else None


def changes(plan_data: PlanData) -> list[tuple[str, str, str]]:
    return [(change.column, change.old, change.new) for change in plan_data.changes]


def errors(plan_data: PlanData) -> list[tuple[int, str, str]]:
    found = plan_data.issues[plan_data.issues["level"] == "error"]
    return [
        (int(row), column, code) for row, column, code in zip(found["row"], found["column"], found["code"], strict=True)
    ]


# What a row comes to


@pytest.mark.parametrize(
    ("row", "action"),
    [
        pytest.param(SAME, "unchanged", id="same"),
        pytest.param({NUMBER: "8005550100"}, "unchanged", id="blank-cells-leave-things-as-they-are"),
        pytest.param({NUMBER: "(800) 555-0100"}, "unchanged", id="punctuation"),
        pytest.param({NUMBER: "+1 800 555 0100"}, "unchanged", id="country-code"),
        pytest.param({**SAME, "action": "update"}, "unchanged", id="update-of-nothing"),
        pytest.param({OWN: "4531"}, "unchanged", id="own-id-alone"),
        pytest.param({OWN: " 4531 "}, "unchanged", id="own-id-with-spaces"),
        pytest.param({**SAME, OWN: "4531", "id": "21", "object_url": "x"}, "unchanged", id="as-exported"),
        pytest.param({NUMBER: "8005550100", "promo_type": "[]"}, "unchanged", id="cleared-already"),
        pytest.param({NUMBER: "8005550100", "custom_data.none": "[]"}, "unchanged", id="custom-data-cleared-already"),
        pytest.param({NUMBER: "8005550100", "custom_data.count": "5"}, "unchanged", id="a-number-as-text"),
        pytest.param({NUMBER: "8005550100", "media_type": "online: display"}, "unchanged", id="choice-cleaned"),
        pytest.param({NUMBER: "8005550100", "quantity": "1"}, "unchanged", id="quantity-of-one"),
        pytest.param({NUMBER: "8005550100", "description": "Other"}, "update", id="description"),
        pytest.param({OWN: "4531", "description": "Other"}, "update", id="by-own-id"),
        pytest.param({NUMBER: "8005550100", "custom_data.channel": "[]"}, "update", id="custom-data-cleared"),
        pytest.param({NUMBER: "8005550100", **TO_OTHER}, "move", id="move"),
        pytest.param({OWN: "4531", "action": "move", **TO_OTHER}, "move", id="move-by-own-id"),
        pytest.param(
            {NUMBER: "8005550100", TO_ADVERTISER: "A-1", TO_CAMPAIGN: "C-1"}, "unchanged", id="moves-to-where-it-is"
        ),
        pytest.param({NUMBER: "8005550100", "action": "delete"}, "delete", id="delete"),
        pytest.param({OWN: "4531", "action": "delete"}, "delete", id="delete-by-own-id"),
        pytest.param({OWN: "X", "description": "d", "media_type": "Online: Display"}, "create", id="own-id-is-new"),
        pytest.param({"description": "d", "media_type": "Online: Display"}, "create", id="request"),
    ],
)
def test_action(row: dict[str, str], action: str) -> None:
    """A row's action follows from its identifier, its requested action and the campaign's numbers."""
    plan_data = plan(row)
    found, step = only(plan_data)
    assert errors(plan_data) == []
    assert found.action == action
    assert (found.outcome is Outcome.UNCHANGED) is (action == "unchanged") is (step is None)
    phase = 2 if action == "delete" else 1
    assert step is None or (step.action == action and step.resource == "promo_numbers" and step.phase == phase)
    assert action in {"unchanged", "delete"} or plan_data.changes
    assert action == "create" or found.object_label == "8005550100"
    assert found.assigned_values is None or found.assigned_values["promo_number"] == "8005550100"
    assert (found.assigned_values is not None) is (action == "unchanged" and found.object_label == "8005550100")


@pytest.mark.parametrize(
    ("row", "verb", "address"),
    [
        pytest.param({**SAME, "description": "x"}, "PUT", (*CAMPAIGN, "promo_numbers", "8005550100"), id="update"),
        pytest.param(
            {OWN: "4531", "description": "x"}, "PUT", (*CAMPAIGN, "promo_numbers_by_id", "4531"), id="update-by-own-id"
        ),
        pytest.param(
            {**SAME, OWN: "4531", "description": "x"},
            "PUT",
            (*CAMPAIGN, "promo_numbers", "8005550100"),
            id="both-names",
        ),
        pytest.param({**SAME, **TO_OTHER}, "PUT", (*CAMPAIGN, "promo_numbers", "8005550100"), id="move"),
        pytest.param({**SAME, "action": "delete"}, "DELETE", (*CAMPAIGN, "promo_numbers", "8005550100"), id="delete"),
        pytest.param(
            {OWN: "4531", "action": "delete"},
            "DELETE",
            (*CAMPAIGN, "promo_numbers_by_id", "4531"),
            id="delete-by-own-id",
        ),
    ],
)
def test_address(row: dict[str, str], verb: str, address: tuple[str, ...]) -> None:
    """A step's path uses the identifier of the row, and the step can be sent twice."""
    _, step = only(plan(row))
    assert step is not None
    assert (step.verb, step.path, step.non_idempotent, step.snapshot) == (verb, address, False, THERE)
    assert (step.body is None) is (verb == "DELETE")


def test_ids_in_paths_are_verbatim() -> None:
    """The id in a path is the platform's id verbatim, although a cell cannot hold its trailing space."""
    _, step = only(plan({OWN: "X", "description": "x"}, observed=observed_of(THERE | {OWN: "X "})))
    assert step is not None
    assert step.path[-1] == "X "


def test_a_row_of_an_affiliate() -> None:
    """A number is looked up only in the row's campaign."""
    row = {**SAME, "affiliate_id_from_network": "F-1", "description": "x"}
    assert errors(plan(row)) == [(2, NUMBER, "number_not_found")]
    _, step = only(plan(row, observed=observed_of(THERE, scope=AFFILIATE)))
    assert step is not None
    assert step.path == (*AFFILIATE, "promo_numbers", "8005550100")


# What is sent, and what is told of it


@pytest.mark.parametrize(
    ("row", "body", "told"),
    [
        pytest.param(
            {"description": "Other"},
            {"description": "Other", "media_type": "Online: Display"},
            [("description", "Spring sale", "Other")],
            id="required-fields-are-filled-from-the-platform",
        ),
        pytest.param(
            {"custom_data.channel": "Radio"},
            {
                "description": "Spring sale",
                "media_type": "Online: Display",
                "custom_data": {"channel": "Radio", "region": "West", "count": 5},
            },
            [("custom_data.channel", "Online lead", "Radio")],
            id="custom-data-is-merged-by-key",
        ),
        pytest.param(
            {"custom_data.channel": "[]", "custom_data.new": "x", "custom_data.region": "West"},
            {
                "description": "Spring sale",
                "media_type": "Online: Display",
                "custom_data": {"channel": None, "region": "West", "count": 5, "new": "x"},
            },
            [("custom_data.channel", "Online lead", ""), ("custom_data.new", "", "x")],
            id="custom-data-cleared-and-added",
        ),
        pytest.param(
            {"promo_type": "Mobile"},
            {"description": "Spring sale", "media_type": "Online: Display", "promo_type": "Mobile"},
            [("promo_type", "", "Mobile")],
            id="a-field-that-was-null",
        ),
        pytest.param(
            {"media_type": "Google Call Extension", "adwords_account_id": "627-345-9815"},
            {
                "description": "Spring sale",
                "media_type": "Google Call Extension",
                "adwords_account_id": "627-345-9815",
            },
            [("media_type", "Online: Display", "Google Call Extension"), ("adwords_account_id", "", "627-345-9815")],
            id="two-fields-that-go-together",
        ),
        pytest.param(
            TO_OTHER,
            {"description": "Spring sale", "media_type": "Online: Display", **TO_OTHER},
            [(TO_ADVERTISER, "A-1", "A-2"), (TO_CAMPAIGN, "C-1", "C-2")],
            id="move",
        ),
        pytest.param(
            {TO_ADVERTISER: "A-1", TO_CAMPAIGN: "C-2", "description": "Other"},
            {"description": "Other", "media_type": "Online: Display", TO_ADVERTISER: "A-1", TO_CAMPAIGN: "C-2"},
            [("description", "Spring sale", "Other"), (TO_CAMPAIGN, "C-1", "C-2")],
            id="move-and-change-to-a-campaign-of-the-same-advertiser",
        ),
    ],
)
def test_what_an_update_sends(row: dict[str, str], body: dict[str, Any], told: list[tuple[str, str, str]]) -> None:
    """An update sends the changes, the required fields, and whole objects that it changes in part."""
    plan_data = plan({NUMBER: "8005550100"} | row)
    _, step = only(plan_data)
    assert step is not None
    assert step.body == body
    assert changes(plan_data) == told


def test_unchanged_values_are_sent_verbatim() -> None:
    """A value that the row does not change is sent back verbatim, including a soft hyphen."""
    there = THERE | {"media_type": "Offline: In\u00adCall Ad"}
    assert (
        only(plan({NUMBER: "8005550100", "media_type": "Offline: InCall Ad"}, observed=observed_of(there)))[1] is None
    )
    _, step = only(plan({NUMBER: "8005550100", "description": "x"}, observed=observed_of(there)))
    assert step is not None
    assert step.body == {"description": "x", "media_type": "Offline: In\u00adCall Ad"}


SCHEDULE = "hours_of_operation.schedules"


def day(number: int, name: str, opens: str, closes: str) -> dict[str, str]:
    times = {"day_of_week": name, "open_time": opens, "close_time": closes}
    return {f"{SCHEDULE}.{number}.{field}": text for field, text in times.items()}


HOURS = {
    "open_24_7": False,
    "time_zone": "Pacific Time (US & Canada)",
    "schedules": [
        {"day_of_week": "Monday", "open_time": "08:00", "close_time": "17:00"},
        {"day_of_week": "Tuesday", "open_time": "08:00", "close_time": "17:00"},
    ],
}


@pytest.mark.parametrize(
    ("row", "hours"),
    [
        pytest.param({**day(1, "monday", "8:00", "17:00"), "hours_of_operation.open_24_7": "no"}, None, id="same"),
        pytest.param(
            day(2, "Tuesday", "08:00", "12:00"),
            HOURS | {"schedules": [HOURS["schedules"][0], HOURS["schedules"][1] | {"close_time": "12:00"}]},  # type: ignore[index]
            id="one-time-of-one-day",
        ),
        pytest.param(
            {f"{SCHEDULE}.2.close_time": "12:00"},
            HOURS | {"schedules": [HOURS["schedules"][0], HOURS["schedules"][1] | {"close_time": "12:00"}]},  # type: ignore[index]
            id="one-time-alone",
        ),
        pytest.param(
            day(3, "Friday", "8:00", "9:30"),
            HOURS
            | {
                "schedules": [
                    *HOURS["schedules"],  # type: ignore[misc]
                    {"day_of_week": "Friday", "open_time": "08:00", "close_time": "09:30"},
                ]
            },
            id="a-day-more",
        ),
        pytest.param({"hours_of_operation": "[]"}, None, id="all-cleared"),
        pytest.param(
            {
                "hours_of_operation": "[]",
                "hours_of_operation.open_24_7": "yes",
                "hours_of_operation.time_zone": "Hawaii",
            },
            {"open_24_7": True, "time_zone": "Hawaii"},
            id="cleared-and-set-anew",
        ),
    ],
)
def test_hours_of_operation(row: dict[str, str], hours: Any) -> None:
    """Hours are sent whole: days that the row does not name are kept."""
    there = THERE | {"hours_of_operation": HOURS}
    _, step = only(plan({NUMBER: "8005550100"} | row, observed=observed_of(there), version=NEWEST))
    assert (step.body or {}).get("hours_of_operation") == hours if step else hours is None
    assert "hours_of_operation" not in row or (step is not None and "hours_of_operation" in (step.body or {}))


@pytest.mark.parametrize(
    ("row", "there", "column", "code"),
    [
        pytest.param(
            day(3, "Monday", "09:00", "10:00"),
            {"hours_of_operation": HOURS},
            f"{SCHEDULE}.3.open_time",
            "schedules_overlap",
            id="overlaps-a-day-of-the-platforms",
        ),
        pytest.param(
            {f"{SCHEDULE}.3.day_of_week": "Friday", f"{SCHEDULE}.3.close_time": "10:00"},
            {"hours_of_operation": HOURS},
            f"{SCHEDULE}.3.open_time",
            "schedule_incomplete",
            id="part-of-a-day-that-is-new",
        ),
        pytest.param(
            {f"{SCHEDULE}.1.open_time": "08:15"},
            {"hours_of_operation": HOURS | {"time_zone": None}},
            "hours_of_operation.time_zone",
            "hours_incomplete",
            id="without-a-time-zone",
        ),
        pytest.param(
            {"adwords_account_id": "627-345-9815"},
            {},
            "adwords_account_id",
            "ads_account_media_type",
            id="media-type-of-the-platform",
        ),
        pytest.param(
            {"media_type": "Offline: TV"},
            {"media_type": "Google Call Extension", "adwords_account_id": "627-345-9815"},
            "adwords_account_id",
            "ads_account_media_type",
            id="account-of-the-platform",
        ),
        pytest.param(
            {"promo_type": "Local"}, {"description": None}, "description", "required", id="no-description-there"
        ),
        pytest.param({"promo_type": "Local"}, {"media_type": ""}, "media_type", "required", id="no-media-type-there"),
    ],
)
def test_rules_apply_to_the_updated_number(row: dict[str, str], there: dict[str, Any], column: str, code: str) -> None:
    """The rules apply to the updated number, before it is sent; the problem names the field."""
    plan_data = plan({NUMBER: "8005550100"} | row, observed=observed_of(THERE | there), version=NEWEST)
    assert errors(plan_data) == [(2, column, code)]
    assert plan_data.rows[0].object_label == "8005550100"
    assert plan_data.steps == ()


def test_existing_problems_are_ignored() -> None:
    """An existing problem does not prevent the update of other fields."""
    there = THERE | {"media_type": "Offline: TV", "adwords_account_id": "627-345-9815"}
    assert only(plan({NUMBER: "8005550100", "description": "x"}, observed=observed_of(there)))[1] is not None


# Refusals


NOWHERE = PlatformState(refusal_reason="Could not find C-2.")


REFUSALS = [
    pytest.param({NUMBER: "8005550199"}, {}, NUMBER, "number_not_found", "has no promo number 8005550199", id="number"),
    pytest.param(
        {NUMBER: "8005550199", **TO_OTHER},
        {},
        NUMBER,
        "number_not_found",
        "8005550199",
        id="neither-here-nor-there",
    ),
    pytest.param({OWN: "X", "action": "update"}, {}, OWN, "own_id_not_found", "'X'", id="own-id"),
    pytest.param({OWN: "X", **TO_OTHER}, {}, OWN, "own_id_not_found", "'X'", id="own-id-to-move"),
    pytest.param(
        {OWN: "4531", "action": "create", "description": "d", "media_type": "Online: Display"},
        {},
        OWN,
        "own_id_exists",
        "'4531': 8005550100.",
        id="create-of-what-exists",
    ),
    pytest.param(
        {NUMBER: "8005550100", OWN: "X"}, {}, OWN, "own_id_differs", "'4531' on the platform", id="other-own-id"
    ),
    pytest.param(
        {NUMBER: "8005550100", OWN: "X", "action": "delete"},
        {},
        OWN,
        "own_id_differs",
        "'4531'",
        id="delete-of-which",
    ),
    pytest.param(
        {NUMBER: "8005550199", "action": "delete"}, {}, NUMBER, "number_not_found", "8005550199", id="delete-number"
    ),
    pytest.param({OWN: "X", "action": "delete"}, {}, OWN, "own_id_not_found", "'X'", id="delete-own-id"),
    pytest.param(
        {NUMBER: "8005550100", **TO_OTHER},
        {OTHER: NOWHERE},
        TO_CAMPAIGN,
        "campaign_not_found",
        "does not find the campaign: Could not find C-2.",
        id="destination",
    ),
    pytest.param(
        {NUMBER: "8005550100"}, {CAMPAIGN: NOWHERE}, "", "campaign_not_found", "Could not find C-2.", id="campaign"
    ),
    pytest.param(
        {NUMBER: "8005550100", "action": "delete"},
        {CAMPAIGN: NOWHERE},
        "",
        "campaign_not_found",
        "Could not",
        id="delete",
    ),
]


@pytest.mark.parametrize(("row", "observed", "column", "code", "text"), REFUSALS)
def test_refused(row: dict[str, str], observed: dict[Scope, PlatformState], column: str, code: str, text: str) -> None:
    """A conflict with the platform's state is reported in its cell, with a reason and a fix."""
    plan_data = plan(row, observed=observed_of(THERE) | observed)
    assert errors(plan_data) == [(2, column, code)]
    (found,) = plan_data.rows
    assert (found.action, found.outcome, found.step) == ("refused", Outcome.INVALID, None)
    assert text in found.error
    assert found.fix.endswith(".")
    assert "remove the row if" in found.fix or not code.endswith("not_found") or code == "campaign_not_found"
    assert found.object_label == (row.get(NUMBER) or row[OWN])


def test_every_code_is_found() -> None:
    """Each issue code that depends on a campaign's numbers has a case above."""
    assert {case.values[3] for case in REFUSALS} | {"parent_deleted"} == OF_THE_PLAN_OF_NUMBERS  # noqa: PD011  a set of parameters


def test_all_missing_fields_of_a_create_are_reported() -> None:
    """All missing fields of a row with an own id are reported at once, with the sheet's titles."""
    frame = frame_of({"Own ID": "X", "media_type": ""}).rename(
        columns={"description": "Description", "media_type": "Media"}
    )
    frame["Description"] = ""
    plan_data = plan_of(frame)
    assert errors(plan_data) == [(2, "Description", "required"), (2, "Media", "required")]
    assert plan_data.rows[0].error == (
        "Description: 'Description' is required to create a number (the campaign has none with this id). | "
        "Media: 'Media' is required to create a number (the campaign has none with this id)."
    )


def test_a_new_number_needs_whole_schedules() -> None:
    """A row that creates a number must contain complete schedules."""
    row = {OWN: "X", "description": "d", "media_type": "Online: Display"}
    row |= {"hours_of_operation.time_zone": "Hawaii"}
    plan_data = plan(row | {f"{SCHEDULE}.1.day_of_week": "Monday", f"{SCHEDULE}.1.open_time": "08:00"}, version=NEWEST)
    assert errors(plan_data) == [(2, f"{SCHEDULE}.1.close_time", "schedule_incomplete")]


def test_one_number_under_both_of_its_names() -> None:
    """Of two rows that name one number, one by phone number and one by id, the second is refused."""
    plan_data = plan({NUMBER: "8005550100", "description": "a"}, {OWN: "4531", "description": "b"})
    assert [row.action for row in plan_data.rows] == ["update", "refused"]
    assert errors(plan_data) == [(3, OWN, "duplicate_number")]
    assert "has more than one row: 2, 3." in plan_data.rows[1].error


def test_warning_of_fields_that_only_a_create_sends() -> None:
    """Fields that only choose a new number are not sent for an existing own id, with a warning."""
    plan_data = plan(
        {OWN: "4531", "local_center.tn_prefix": "805"},
        {OWN: "X", "local_center.tn_prefix": "805", "description": "d", "media_type": "Online: Display"},
    )
    assert [row.action for row in plan_data.rows] == ["unchanged", "create"]
    (warning,) = plan_data.issues.to_dict("records")
    assert (warning["row"], warning["column"], warning["code"]) == (2, "local_center.tn_prefix", "not_on_update")
    assert warning["value"] == "805"


# Moves


def test_move() -> None:
    """A move has the destination, and its changes are listed."""
    row, step = only(plan({NUMBER: "8005550100", **TO_OTHER}))
    assert step is not None
    assert (row.action, step.action, step.destination) == ("move", Action.MOVE, (*OTHER, "promo_numbers"))


def test_moved_already() -> None:
    """A number that is already at its destination is not moved again; its other changes are made there."""
    there = observed_of(THERE, scope=OTHER)
    assert only(plan({**SAME, **TO_OTHER}, observed=there))[0].action == "unchanged"
    assert only(plan({**SAME, OWN: "its id before", **TO_OTHER}, observed=there))[0].action == "unchanged"
    row, step = only(plan({**SAME, "description": "x", **TO_OTHER}, observed=there))
    assert step is not None
    assert (row.action, step.path) == ("update", (*OTHER, "promo_numbers", "8005550100"))
    assert TO_ADVERTISER not in (step.body or {})


def test_the_same_id_at_the_destination_is_another_number() -> None:
    """A move changes the id, so a number with the row's id at the destination is another number."""
    plan_data = plan({OWN: "4531", "description": "x", **TO_OTHER}, observed=observed_of(THERE, scope=OTHER))
    assert errors(plan_data) == [(2, OWN, "own_id_not_found")]


# Versions


def test_oldest_version() -> None:
    """In versions without own ids, an exported id next to the number is accepted."""
    _, step = only(plan({**SAME, OWN: "4531", "description": "x"}, version=OLDEST))
    assert step is not None
    assert step.path == (*CAMPAIGN, "promo_numbers", "8005550100")
    assert "id_from_network" not in (step.body or {})
    plan_data = plan({OWN: "4531", "description": "x"}, version=OLDEST)
    assert errors(plan_data) == [(2, OWN, "column_unsupported")]


@pytest.mark.parametrize("version", API_VERSIONS)
def test_updates_in_every_version(version: str) -> None:
    """A number can be changed in every version; fields that the version does not know are not sent."""
    _, step = only(plan({**SAME, "description": "x"}, version=version))
    assert step is not None
    assert step.body == {"description": "x", "media_type": "Online: Display"}


# Advertisers in the same book


def with_advertisers(*advertisers: Mapping[str, Any], **row: str) -> dict[str, pd.DataFrame]:
    return book(*advertisers) | {"promo_numbers": frame_of(row)}


GONE = {CAMPAIGN: PlatformState(refusal_reason="Could not find A-1")}


def test_numbers_of_an_advertiser_that_the_book_creates() -> None:
    """Their steps depend on the step that creates the advertiser."""
    plan_data = plan_of(with_advertisers(advertiser("A-0", sites=[site("9")]), advertiser("A-1")), GONE)
    assert plan_data.resource == "advertisers+promo_numbers"
    assert [(step.resource, step.action, step.phase, step.depends_on) for step in plan_data.steps] == [
        ("advertisers", "create", 0, None),
        ("advertisers", "create", 0, None),
        ("promo_numbers", "create", 1, 1),
    ]
    assert plan_data.steps[2].path == (*CAMPAIGN, "promo_numbers")


def test_numbers_of_an_advertiser_that_exists() -> None:
    """Their steps depend on no other step."""
    there = {"id_from_network": "A-1", "name": "X", "sites": [{"id_from_network": "1"}], "users": []}
    plan_data = plan_of(with_advertisers(advertiser("A-1")), {(): PlatformState(objects=(there,))})
    assert [(step.resource, step.action, step.depends_on) for step in plan_data.steps] == [
        ("advertisers", "update", None),
        ("promo_numbers", "create", None),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(advertiser(name=""), id="refused-by-the-plan"),
        pytest.param(advertiser(name="#N/A"), id="with-a-spoilt-cell"),
    ],
)
def test_numbers_of_an_advertiser_with_errors(broken: dict[str, Any]) -> None:
    """The number's row names the row with errors, instead of a missing campaign."""
    plan_data = plan_of(with_advertisers(broken), GONE)
    assert plan_data.steps == ()
    number = plan_data.rows[-1]
    assert (
        number.error
        == "Another row of the same advertiser has errors (advertisers row 2), so none of its rows is sent."
    )
    assert number.fix == "Correct that row."


def test_existing_numbers_of_an_advertiser_that_the_book_creates() -> None:
    """An advertiser that does not exist yet cannot have existing numbers."""
    plan_data = plan_of(with_advertisers(advertiser(), promo_number="8005550100"), GONE)
    assert errors(plan_data) == [(2, NUMBER, "number_not_found")]


BOTH_THERE = {
    (): PlatformState(
        objects=tuple(
            {"id_from_network": own_id, "name": own_id, "sites": [], "users": []} for own_id in ("A-1", "A-2")
        )
    )
}


@pytest.mark.parametrize(
    ("deleted", "row", "column"),
    [
        pytest.param("A-1", {}, "advertiser_id_from_network", id="request"),
        pytest.param("A-1", {OWN: "X"}, "advertiser_id_from_network", id="own-id-that-is-new"),
        pytest.param("A-2", {NUMBER: "8005550100", **TO_OTHER}, TO_ADVERTISER, id="move-there"),
        pytest.param("A-2", {}, None, id="another-advertiser"),
        pytest.param("A-1", {NUMBER: "8005550100"}, None, id="number-that-is-there"),
        pytest.param("A-1", {NUMBER: "8005550100", "action": "delete"}, None, id="delete-too"),
    ],
)
def test_numbers_of_an_advertiser_that_the_book_deletes(deleted: str, row: dict[str, str], column: str | None) -> None:
    """No number is bought for, or moved to, an advertiser that the same workbook deletes."""
    rows = {"id_from_network": deleted, "action": "delete"}
    plan_data = plan_of(with_advertisers(rows, **row), BOTH_THERE | observed_of(THERE))
    assert errors(plan_data) == ([(2, column, "parent_deleted")] if column else [])
    assert plan_data.rows[0].action == "delete"
    assert plan_data.rows[-1].error == (f"The same workbook deletes the advertiser {deleted!r}." if column else "")


# Quantities and earlier results


def test_quantity() -> None:
    """A quantity of 3 becomes three steps and three rows, with its changes listed once."""
    plan_data = plan({"quantity": "3", "description": "d", "media_type": "Online: Display"})
    assert [row.action for row in plan_data.rows] == ["create"] * 3
    assert [step.non_idempotent for step in plan_data.steps] == [True] * 3
    assert changes(plan_data) == [("description", "", "d"), ("media_type", "", "Online: Display")]
    assert plan_data.new_number_count == 3


def test_results_as_input() -> None:
    """Of a results file, only rows that are not done are planned."""
    created = {
        NUMBER: "8005550100",
        OWN: "4531",
        "description": "Spring sale",
        "media_type": "Online: Display",
        "id": "21",
    }
    blank = {"description": "d", "media_type": "Online: Display"}
    plan_data = plan(
        created | {"result_status": "created", "description": "typed over since"},
        blank | {"result_status": "not_sent"},
        blank | {"result_status": "rejected", "description": "e"},
        {NUMBER: "8005550100", "description": "x", "result_status": "unknown"},
        blank | {"result_status": "unknown", "description": "f"},
        {NUMBER: "8005550101", "action": "delete", "result_status": "deleted"},
    )
    assert [(row.row, row.action, row.outcome, row.from_results) for row in plan_data.rows] == [
        (2, "unchanged", Outcome.CREATED, True),
        (3, "create", None, False),
        (4, "create", None, False),
        (5, "update", None, False),
        (6, "unchanged", Outcome.UNKNOWN, True),
        (7, "unchanged", Outcome.DELETED, True),
    ]


def test_planning_again_changes_nothing() -> None:
    """After a plan is executed, the same sheet plans no changes."""
    row = {
        NUMBER: "8005550100",
        "description": "x",
        "custom_data.channel": "[]",
        "custom_data.new": "y",
        "promo_type": "Local",
    }
    _, step = only(plan(row))
    assert step is not None
    custom = {key: value for key, value in (step.body or {})["custom_data"].items() if value is not None}
    after = THERE | dict(step.body or {}) | {"custom_data": custom}
    assert only(plan(row, observed=observed_of(after)))[0].action == "unchanged"


def test_titles_of_the_sheet() -> None:
    """Changes and refusals use the column titles of the sheet."""
    frame = pd.DataFrame(
        [{"Advertiser ID": "A-1", "Campaign ID": "C-1", "Promo Number": "8005550100", "Media": "Offline: TV"}]
    )
    assert changes(plan_of(frame)) == [("Media", "Online: Display", "Offline: TV")]
    plan_data = plan_of(frame, observed_of())
    assert errors(plan_data) == [(2, "Promo Number", "number_not_found")]
    assert "clear 'Promo Number'" in plan_data.rows[0].fix


def test_required_scopes_of_moves() -> None:
    """One list of each campaign is read, including destinations of moves; no advertisers."""
    validated_book = validation.validate(
        sheets.load(frame_of({NUMBER: "8005550100", **TO_OTHER}, {NUMBER: "8005550101"}, {TO_ADVERTISER: "A-1"})),
        version=DEFAULT_API_VERSION,
    )
    assert planning.required_scopes(validated_book) == [CAMPAIGN, OTHER]
    assert planning.list_path(CAMPAIGN) == (*CAMPAIGN, "promo_numbers")


def test_no_scopes_for_invalid_and_done_rows() -> None:
    """Rows that have errors or are done need no state of the platform."""
    validated_book = validation.validate(
        sheets.load(frame_of({"quantity": "0"}, {"result_status": "created"})), version=OLDEST
    )
    assert planning.required_scopes(validated_book) == []
    assert planning.build_plan(validated_book, {}).steps == ()


def test_fingerprint_ignores_the_platform() -> None:
    """The platform's state does not affect the fingerprint."""
    assert plan(SAME).fingerprint == plan(SAME, observed=observed_of()).fingerprint
    assert replace(plan(SAME), steps=()).fingerprint != plan(SAME, SAME).fingerprint


@pytest.mark.parametrize(("own_id", "expected"), [("P-1", ["own_id_case"]), ("p-2", []), ("", [])])
def test_an_own_id_that_differs_in_case_from_one_of_the_platform(own_id: str, expected: list[str]) -> None:
    """The number is created, with a warning that names the other id."""
    there = observed_of({**THERE, "id_from_network": "p-1"})
    issues = plan({**SAME, NUMBER: "", OWN: own_id}, observed=there).issues
    assert issues["code"].tolist() == expected
    assert all("'p-1', on the platform" in message for message in issues["message"])
