"""Plans of advertisers against the platform's state: the plan, the requests and the reported changes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk import planning, sheets, validation
from invoca_bulk.config.options import PlanOptions
from invoca_bulk.planning import PlatformState, merge
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, DEFAULT_API_VERSION, Action
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.wording import option
from tests.examples import (
    OF_THE_PLAN_OF_ADVERTISERS,
    SHAPES,
    advertiser,
    book,
    numbered,
    place,
    repeated,
    site,
    user,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.planning import PlanData

each_shape = pytest.mark.parametrize("shape", list(SHAPES))
EMAIL, NOTIFIED = "email_settings.1.email_address", "email_settings.1.use_for_notifications"


def person(own_id: str = "U-1", **more: Any) -> dict[str, Any]:
    """A user as the platform shows one."""
    return {
        "id_from_network": own_id,
        "email_settings": [{"email_address": f"{own_id.lower()}@example.com", "use_for_notifications": True}],
        "first_name": "Chris",
        "last_name": f"Dean {own_id}",
        "phone_number": "805\u2010555\u20100100",
        "role": "Super",
        "notify_on_budgets": False,
        "can_login_via_platform": True,
    } | more


def platform_advertiser(own_id: str = "A-1", **more: Any) -> dict[str, Any]:
    """An advertiser as the platform shows it; `advertiser()` of the same id changes nothing of it."""
    return {
        "id": 43838,
        "id_from_network": own_id,
        "name": f"Business {own_id}",
        "approval_status": "Approved",
        "web_integration_phone_number": "8004377950",
        "default_creative_id_from_network": 222,
        "object_url": "https://example.com/43838",
        "sites": [{"id_from_network": 315, "name": "Site 315"}, {"id_from_network": "996", "name": ""}],
        "users": [person("U-1"), person("U-2")],
        "custom_data": {"channel": "Online lead"},
    } | more


def plan(source: Any, *objects: Mapping[str, Any], version: str = DEFAULT_API_VERSION, **choices: Any) -> PlanData:
    """The plan of sheets, where the platform has these advertisers."""
    chosen = PlanOptions(**choices)
    loaded = sheets.load(source, resource=None if isinstance(source, dict) else "advertisers")
    validated_book = validation.validate(loaded, version=version, auto_ids=chosen.auto_ids)
    return planning.build_plan(
        validated_book,
        {scope: PlatformState(objects=objects) for scope in planning.required_scopes(validated_book)},
        chosen,
    )


def only(plan_data: PlanData) -> planning.Step:
    (step,) = plan_data.steps
    return step


def actions(plan_data: PlanData) -> list[tuple[str, int, str]]:
    return [(plan_data.sheets[row.sheet].name, row.row, row.action) for row in plan_data.rows]


def change_tuples(plan_data: PlanData) -> list[tuple[str, int, str, str, str, str]]:
    """The changes: sheet, row, column, whose, old, new."""
    return [
        (plan_data.sheets[change.sheet].name, change.row, change.column, change.part, change.old, change.new)
        for change in plan_data.changes
    ]


def errors(plan_data: PlanData) -> list[tuple[str, int, str, str]]:
    found = plan_data.issues[plan_data.issues["level"] == "error"]
    return list(zip(found["sheet"], map(int, found["row"]), found["column"], found["code"], strict=True))


def body_of(plan_data: PlanData) -> dict[str, Any]:
    return dict(only(plan_data).body or {})


def sent(**more: Any) -> dict[str, Any]:
    """What goes back of `platform_advertiser()`, to the letter, under the names for it."""
    users = []
    for own_id in ("U-1", "U-2"):
        one = {
            name: value
            for name, value in person(own_id).items()
            if name not in {"phone_number", "can_login_via_platform"}
        }
        users.append(one | {"contact_phone_number": "8055550100"})
    return {
        "name": "Business A-1",
        "approval_status": "Approved",
        "web_integration_phone_number": "8004377950",
        "default_creative_id_from_network": 222,
        "sites": [{"id_from_network": 315, "name": "Site 315"}, {"id_from_network": "996", "name": ""}],
        "users": users,
        "custom_data": {"channel": "Online lead"},
    } | more


# What becomes of an advertiser


@pytest.mark.parametrize(
    ("one", "objects", "action"),
    [
        pytest.param(advertiser(), (platform_advertiser(),), "unchanged", id="same"),
        pytest.param(advertiser(name="", sites=[], users=[]), (platform_advertiser(),), "unchanged", id="named-alone"),
        pytest.param(advertiser(action="update"), (platform_advertiser(),), "unchanged", id="update-of-nothing"),
        pytest.param(advertiser(name="Other"), (platform_advertiser(),), "update", id="name"),
        pytest.param(advertiser(sites=[site("7")], users=[]), (platform_advertiser(),), "update", id="a-site-more"),
        pytest.param(advertiser(), (), "create", id="new"),
        pytest.param(advertiser(action="create"), (), "create", id="create"),
        pytest.param(advertiser("a-1"), (platform_advertiser(name="X"),), "create", id="another-case-is-another"),
        pytest.param(advertiser("01"), (platform_advertiser("1"),), "create", id="a-zero-makes-another"),
        pytest.param(advertiser(action="delete"), (platform_advertiser(),), "delete", id="delete"),
        pytest.param(
            {"id_from_network": "A-1", "action": "delete"}, (platform_advertiser(),), "delete", id="delete-by-its-id"
        ),
        pytest.param(advertiser(action="delete"), (), "unchanged", id="gone-already"),
        pytest.param(
            advertiser(custom_data__channel="[]"),
            (platform_advertiser(custom_data={}),),
            "unchanged",
            id="cleared-already",
        ),
        pytest.param(
            advertiser(web_integration_phone_number="+1 800 437-7950"),
            (platform_advertiser(),),
            "unchanged",
            id="other-form",
        ),
        pytest.param(
            advertiser(sites=[site("999", action="remove")]),
            (platform_advertiser(),),
            "unchanged",
            id="removed-already",
        ),
        pytest.param(advertiser(users=[user(action="remove")]), (platform_advertiser(),), "update", id="remove"),
    ],
)
@each_shape
def test_action(shape: str, one: dict[str, str], objects: tuple[Mapping[str, Any], ...], action: str) -> None:
    """An advertiser's plan follows from its rows and the platform's state, in every sheet layout."""
    plan_data = plan(SHAPES[shape](one), *objects)
    assert errors(plan_data) == []
    assert plan_data.rows[0].action == action
    assert (plan_data.rows[0].outcome is Outcome.UNCHANGED) is (action == "unchanged")
    assert [step.action for step in plan_data.steps] == ([] if action == "unchanged" else [action])
    if action == "unchanged":
        assert (plan_data.changes, plan_data.removals) == ((), ())
        assert all(row.step is None for row in plan_data.rows)


@each_shape
def test_create(shape: str) -> None:
    """A new advertiser is one request that may be sent twice; each value is listed for its cell."""
    one = advertiser(users=[user(role="Manager"), user("U-2", action="remove")], sites=[site("2"), site("1")])
    plan_data = plan(SHAPES[shape](one))
    step = only(plan_data)
    assert (step.verb, step.path, step.own_id, step.non_idempotent, step.phase) == (
        "POST",
        ("advertisers",),
        "A-1",
        False,
        0,
    )
    assert (step.patch, step.snapshot) == (None, None)
    assert step.body == {
        "id_from_network": "A-1",
        "name": "Business A-1",
        "sites": [{"id_from_network": "2", "name": "Site 2"}, {"id_from_network": "1", "name": "Site 1"}],
        "users": [
            {
                "id_from_network": "U-1",
                "email_settings": [{"email_address": "u-1@example.com", "use_for_notifications": True}],
                "first_name": "Chris",
                "last_name": "Dean U-1",
                "contact_phone_number": "8055550100",
                "role": "Manager",
            }
        ],
    }
    cells = {
        ("name", "", "Business A-1"),
        ("users.1.role", "user Chris Dean U-1 (U-1)", "Manager"),
        ("sites.2.name", "site Site 1 (1)", "Site 1"),
    }
    for path, part, new in cells:
        assert (*place(shape, [one], 0, path), part, "", new) in change_tuples(plan_data)
    assert {row.object_label for row in plan_data.rows} == {"Business A-1 (A-1)"}


def test_rows_of_a_create() -> None:
    """Each row of a new advertiser has its step, except a row that removes a part that does not exist."""
    plan_data = plan(book(advertiser(users=[user(), user("U-2", action="remove")])))
    assert actions(plan_data) == [
        ("advertisers", 2, "create"),
        ("sites", 2, "create"),
        ("users", 2, "create"),
        ("users", 3, "unchanged"),
    ]


@each_shape
def test_update(shape: str) -> None:
    """One changed cell changes its value, and everything else is sent back as on the platform."""
    one = {"id_from_network": "A-1", "web_integration_phone_number": "805-555-0101"}
    plan_data = plan(SHAPES[shape](one), platform_advertiser(), platform_advertiser("A-2"))
    step = only(plan_data)
    assert (step.verb, step.path, step.own_id, step.non_idempotent) == ("PUT", ("advertisers", "A-1"), "A-1", False)
    assert step.snapshot == platform_advertiser()
    assert step.body == sent(web_integration_phone_number="8055550101")
    assert change_tuples(plan_data) == [("", 2, "web_integration_phone_number", "", "8004377950", "8055550101")]
    assert plan_data.rows[0].object_label == "Business A-1 (A-1)"


@each_shape
def test_the_patch_makes_the_body(shape: str) -> None:
    """An update's patch rebuilds its body from the snapshot, and changes nothing when applied to the body."""
    one = advertiser(
        name="Other", users=[user("U-2", first_name="Jim"), user("U-3")], sites=[site("996", action="remove")]
    )
    step = only(plan(SHAPES[shape](one), platform_advertiser()))
    assert step.patch is not None
    merged = merge.merge_patch(ADVERTISERS, step.patch, platform_advertiser(), DEFAULT_API_VERSION)
    assert merged.body == step.body
    assert not merge.merge_patch(ADVERTISERS, step.patch, merged.body, DEFAULT_API_VERSION).has_changes


@each_shape
def test_parts(shape: str) -> None:
    """Users and sites are changed, added and removed by id, and each change is listed for its cell."""
    one = advertiser(
        sites=[site("996", name="New"), site("7")],
        users=[user("U-2", first_name="Jim", role="Observer"), user("U-3"), user("U-1", action="remove")],
    )
    plan_data = plan(SHAPES[shape](one), platform_advertiser())
    body = body_of(plan_data)
    assert body["sites"] == [
        {"id_from_network": 315, "name": "Site 315"},
        {"id_from_network": "996", "name": "New"},
        {"id_from_network": "7", "name": "Site 7"},
    ]
    assert [user["id_from_network"] for user in body["users"]] == ["U-2", "U-3"]
    assert body["users"][0] == sent()["users"][1] | {"first_name": "Jim", "role": "Observer"}
    found = change_tuples(plan_data)
    jim = "user Jim Dean U-2 (U-2)"
    assert (*place(shape, [one], 0, "sites.1.name"), "site New (996)", "", "New") in found
    assert (*place(shape, [one], 0, "users.1.first_name"), jim, "Chris", "Jim") in found
    assert (*place(shape, [one], 0, "users.1.role"), jim, "Super", "Observer") in found
    assert (*place(shape, [one], 0, f"users.2.{NOTIFIED}"), "user Chris Dean U-3 (U-3)", "", "TRUE") in found
    assert not [record for record in found if "U-1" in record[3]]
    (removal,) = plan_data.removals
    assert (removal.part, removal.advertiser) == ("user Chris Dean U-1 (U-1)", "Business A-1 (A-1)")
    sheet, row, _ = place(shape, [one], 0, "users.3.action")
    assert (plan_data.sheets[removal.sheet].name, removal.row) == (sheet, row)


def test_rows_of_an_update() -> None:
    """On their own sheets, each row of a user or site has its own action."""
    frames = book(
        advertiser(
            sites=[site("315"), site("996", action="remove"), site("7"), site("999", action="remove")],
            users=[user("U-1"), user("U-2", first_name="Jim"), user("U-3")],
        )
    )
    plan_data = plan(frames, platform_advertiser())
    assert actions(plan_data) == [
        ("advertisers", 2, "update"),
        ("sites", 2, "unchanged"),
        ("sites", 3, "remove"),
        ("sites", 4, "create"),
        ("sites", 5, "unchanged"),
        ("users", 2, "unchanged"),
        ("users", 3, "update"),
        ("users", 4, "create"),
    ]
    assert {row.step for row in plan_data.rows if row.action == "unchanged"} == {None}


def test_two_rows_of_one_user() -> None:
    """A user on two rows is one user."""
    frames = book(
        advertiser(
            users=[{"id_from_network": "U-2", "first_name": "Jim"}, {"id_from_network": "U-2", "role": "Member"}]
        )
    )
    plan_data = plan(frames, platform_advertiser())
    assert body_of(plan_data)["users"][1] == sent()["users"][1] | {"first_name": "Jim", "role": "Member"}
    assert [(row, column) for _, row, column, *_ in change_tuples(plan_data)] == [(2, "first_name"), (3, "role")]


def warnings(plan_data: PlanData) -> list[tuple[str, int, str, str]]:
    found = plan_data.issues[plan_data.issues["level"] == "warning"]
    return list(zip(found["sheet"], map(int, found["row"]), found["column"], found["code"], strict=True))


@each_shape
def test_a_delete_of_what_is_not_there(shape: str) -> None:
    """Deleting a missing advertiser, which may be a wrong id, is a warning in its cell."""
    plan_data = plan(SHAPES[shape]({"id_from_network": "A-7", "action": "delete"}), platform_advertiser())
    assert plan_data.steps == ()
    assert [row.action for row in plan_data.rows] == ["unchanged"]
    assert warnings(plan_data) == [(plan_data.sheets[0].name, 2, "id_from_network", "already_gone")]
    assert plan_data.issues["message"][0] == "The platform has no advertiser 'A-7', so there is nothing to delete."


@each_shape
@pytest.mark.parametrize(
    ("sites", "choices", "at"),
    [
        pytest.param([site("996", name=""), site("315", action="remove")], {}, "sites.2.action", id="removed"),
        pytest.param(
            [site("996", name=""), site("315", action="remove")],
            {"nested": "replace"},
            "sites.2.action",
            id="removed-with-replace",
        ),
        pytest.param(
            [site("996", name="")], {"nested": "replace", "allow_removals": True}, "name", id="lost-with-replace"
        ),
        pytest.param([site("996", name=""), site("315")], {"nested": "replace"}, "name", id="other-order"),
        pytest.param([site("996", name=""), site("315")], {}, None, id="merged-in-another-order"),
        pytest.param([site("315"), site("996", action="remove")], {}, None, id="the-second-removed"),
    ],
)
def test_another_default_site(shape: str, sites: list[dict[str, str]], choices: dict[str, Any], at: str | None) -> None:
    """A change of the default site is a warning at the row that removes the old one."""
    one = advertiser(sites=sites, users=[user("U-1"), user("U-2")])
    plan_data = plan(SHAPES[shape](one), platform_advertiser(), **choices)
    assert errors(plan_data) == []
    expected = [(*place(shape, [one], 0, at)[:2], "", "default_site_changes")] if at else []
    assert warnings(plan_data) == expected
    assert not at or "default site changes from '315' to '996'" in plan_data.issues["message"][0]


@pytest.mark.parametrize(
    ("cells", "there_", "changed"),
    [
        pytest.param({"approval_status": "[]"}, {}, False, id="the-default-already"),
        pytest.param({"approval_status": "[]"}, {"approval_status": "Applied"}, True, id="cleared"),
        pytest.param({"approval_status": "Approved"}, {"approval_status": None}, False, id="nothing-is-the-default"),
        pytest.param({"users": [user("U-2", role="[]")]}, {}, False, id="role-already"),
        pytest.param({"users": [user("U-2", role="[]")]}, {"users": [person("U-2", role="Member")]}, True, id="role"),
        pytest.param({"users": [user("U-2", notify_on_budgets="[]")]}, {}, False, id="flag"),
    ],
)
def test_cleared_is_the_default(cells: dict[str, Any], there_: dict[str, Any], *, changed: bool) -> None:
    """A cleared value that reads back as the platform's default is not cleared again."""
    plan_data = plan(numbered(advertiser(**({"users": []} | cells))), platform_advertiser(**there_))
    assert [row.action for row in plan_data.rows] == ["update" if changed else "unchanged"]


def test_the_default_site() -> None:
    """The first site is the default; added sites come after it, whatever the sheet's order."""
    plan_data = plan(numbered(advertiser(sites=[site("7"), site("315")], users=[])), platform_advertiser())
    assert [site["id_from_network"] for site in body_of(plan_data)["sites"]] == [315, "996", "7"]


# Losses


@each_shape
def test_replace_is_refused(shape: str) -> None:
    """With replace, users and sites missing in the sheet are named and nothing is sent."""
    plan_data = plan(SHAPES[shape](advertiser(name="Other")), platform_advertiser(), nested="replace")
    assert plan_data.steps == ()
    assert [code for *_, code in errors(plan_data)] == ["would_be_removed"]
    assert "would lose site 996, user Chris Dean U-2 (U-2)." in plan_data.rows[0].error
    assert str(option("allow_removals")) in plan_data.rows[0].fix


@each_shape
def test_replace_when_it_is_allowed(shape: str) -> None:
    """With replace and removals allowed, only the sheet's set is sent, in its order; removed parts are named."""
    one = advertiser(users=[user("U-3"), user("U-1")], sites=[site("7")])
    plan_data = plan(SHAPES[shape](one), platform_advertiser(), nested="replace", allow_removals=True)
    body = body_of(plan_data)
    assert [user["id_from_network"] for user in body["users"]] == ["U-3", "U-1"]
    assert body["users"][1] == sent()["users"][0]
    assert [site["id_from_network"] for site in body["sites"]] == ["7"]
    assert {(removal.part, removal.row) for removal in plan_data.removals} == {
        ("site Site 315 (315)", 2),
        ("site 996", 2),
        ("user Chris Dean U-2 (U-2)", 2),
    }


def test_replace_with_all_there_is() -> None:
    """Replace removes nothing if the sheet is complete; removals that a row requests need no permission."""
    whole = advertiser(sites=[site("315"), site("996", name="")], users=[user("U-1"), user("U-2")])
    assert plan(numbered(whole), platform_advertiser(), nested="replace").steps == ()
    asked = advertiser(sites=[site("315"), site("996", action="remove")], users=[user("U-1"), user("U-2")])
    plan_data = plan(numbered(asked), platform_advertiser(), nested="replace")
    assert errors(plan_data) == []
    assert [removal.part for removal in plan_data.removals] == ["site 996"]
    both = advertiser(sites=[site("315"), site("996", action="remove")], users=[user("U-1")])
    plan_data = plan(numbered(both), platform_advertiser(), nested="replace")
    assert "would lose user Chris Dean U-2 (U-2)." in plan_data.rows[0].error


# Refusals


REFUSALS = [
    pytest.param(
        [advertiser(action="create")],
        (platform_advertiser(),),
        "id_from_network",
        "advertiser_exists",
        "'A-1': Business A-1.",
        id="create-of-what-exists",
    ),
    pytest.param(
        [advertiser(action="update")],
        (),
        "id_from_network",
        "advertiser_not_found",
        "'A-1'",
        id="update-of-what-is-not-there",
    ),
    pytest.param(
        [advertiser(name="Taken")],
        (platform_advertiser("A-9", name="Taken"),),
        "name",
        "name_taken",
        "'A-9' on the platform",
        id="new-with-a-name-that-is-taken",
    ),
    pytest.param(
        [advertiser(name="Taken")],
        (platform_advertiser(), platform_advertiser("A-9", name="Taken")),
        "name",
        "name_taken",
        "'A-9'",
        id="renamed-to-one",
    ),
    pytest.param(
        [advertiser(name="Other", sites=[], users=[])],
        (platform_advertiser(),),
        "",
        "would_be_removed",
        "would lose",
        id="replace",
    ),
    pytest.param(
        [advertiser(name="Other", sites=[], users=[])],
        (platform_advertiser(users=[person("U-1", contact_phone_number="8055550199")]),),
        "",
        "cannot_keep",
        "of user Chris Dean U-1 (U-1), which differ",
        id="two-phone-numbers",
    ),
    pytest.param(
        [advertiser(name="Other")],
        (platform_advertiser(users=None), platform_advertiser("A-2")),
        "",
        "parts_unknown",
        "does not show the users of",
        id="users-unknown",
    ),
]


@each_shape
@pytest.mark.parametrize(("given", "objects", "column", "code", "text"), REFUSALS)
def test_refused(
    *,
    shape: str,
    given: list[dict[str, Any]],
    objects: tuple[Mapping[str, Any], ...],
    column: str,
    code: str,
    text: str,
) -> None:
    """A conflict with the platform's state is reported in its cell; the other rows name that row."""
    plan_data = plan(SHAPES[shape](*given), *objects, nested="replace" if code == "would_be_removed" else "merge")
    sheet, row, _ = place(shape, given, 0, column or "name")
    assert errors(plan_data) == [(sheet, row, column, code)]
    assert plan_data.steps == ()
    first, *others = plan_data.rows
    assert text in first.error
    assert first.fix.endswith(".")
    where = f"{sheet} row {row}".strip()
    for record in others:
        assert record.error == f"Another row of the same advertiser has errors ({where}), so none of its rows is sent."
        assert record.fix == "Correct that row."


def test_every_code_is_found() -> None:
    """Each issue code that depends on the platform's advertisers has a case above."""
    found = {case.values[3] for case in REFUSALS}  # noqa: PD011  a set of parameters
    elsewhere = {"row_beside_invalid", "already_gone", "default_site_changes", "country_code_kept", "no_site"}
    assert found | elsewhere == OF_THE_PLAN_OF_ADVERTISERS


@pytest.mark.parametrize(
    ("cells", "codes"),
    [
        pytest.param({}, [], id="not-asked"),
        pytest.param({"contact_phone_number": "2135550100"}, ["country_code_kept"], id="number-alone"),
        pytest.param({"contact_phone_number": "2135550100", "contact_country_code": "1"}, [], id="both"),
        pytest.param({"contact_phone_number": "2135550100", "contact_country_code": "[]"}, [], id="cleared"),
        pytest.param({"contact_phone_number": "+448055550100"}, [], id="same-number"),
    ],
)
def test_a_number_beside_a_country_code(cells: dict[str, str], codes: list[str]) -> None:
    """A new number that would be dialled in the country of the old one is an error in its cell."""
    british = platform_advertiser(users=[person("U-1", contact_country_code="44")])
    rows = [{"id_from_network": "A-1", "users.1.id_from_network": "U-1"}]
    rows[0] |= {f"users.1.{name}": text for name, text in cells.items()}
    plan_data = plan(pd.DataFrame(rows), british)
    assert [(column, code) for _, _, column, code in errors(plan_data)] == [
        ("users.1.contact_phone_number", code) for code in codes
    ]


def test_names_that_are_free() -> None:
    """An advertiser's own name does not count as taken; a deletion ignores the name."""
    objects = (platform_advertiser(), platform_advertiser("A-2", name="None"))
    assert errors(plan(numbered(advertiser()), *objects)) == []
    assert (
        errors(plan(numbered({"id_from_network": "A-3", "action": "delete", "name": "Business A-1"}), *objects)) == []
    )
    assert errors(plan(numbered(advertiser("A-1", name="")), *objects)) == []


@each_shape
def test_all_missing_fields_of_a_create_are_reported(shape: str) -> None:
    """A row that creates reports all missing fields, each in its cell with the reason."""
    one = advertiser(
        name="",
        sites=[],
        users=[
            user(first_name=""),
            user("U-2", contact_phone_number="", email_settings__1__use_for_notifications="no"),
        ],
    )
    plan_data = plan(SHAPES[shape](one))
    assert sorted(errors(plan_data)) == sorted(
        [
            (*place(shape, [one], 0, "name"), "required"),
            (*place(shape, [one], 0, "users.1.first_name"), "required"),
            (*place(shape, [one], 0, "users.2.contact_phone_number"), "required"),
            (*place(shape, [one], 0, f"users.2.{NOTIFIED}"), "nobody_notified"),
        ]
    )
    (message,) = plan_data.issues.loc[plan_data.issues["column"] == "name", "message"]
    assert (
        message
        == "'name' is required to create an advertiser; the platform has none with this id, so the row creates it."
    )


@each_shape
@pytest.mark.parametrize(
    ("lacking", "path", "code"),
    [
        pytest.param({"first_name": ""}, "first_name", "required", id="first-name"),
        pytest.param({"contact_phone_number": ""}, "contact_phone_number", "required", id="phone"),
        pytest.param({EMAIL: "", NOTIFIED: ""}, EMAIL, "required", id="address"),
        pytest.param({NOTIFIED: "no"}, NOTIFIED, "nobody_notified", id="nobody-notified"),
        pytest.param(
            {"email_settings.2.email_address": "U-3@example.com"},
            "email_settings.2.email_address",
            "email_repeated",
            id="address-twice",
        ),
    ],
)
def test_added_users_need_their_fields(shape: str, lacking: dict[str, str], path: str, code: str) -> None:
    """Missing fields of an added user are reported in its row; blank cells of an existing one keep their values."""
    one = advertiser(users=[{"id_from_network": "U-1", "role": "Member"}, user("U-3") | lacking])
    plan_data = plan(SHAPES[shape](one), platform_advertiser())
    assert errors(plan_data) == [(*place(shape, [one], 0, f"users.2.{path}"), code)]
    (message,) = plan_data.issues.loc[plan_data.issues["level"] == "error", "message"]
    if code == "required":
        assert message.endswith("is required to add the user.")
    complete = advertiser(users=[{"id_from_network": "U-1", "role": "Member"}, user("U-3")])
    assert errors(plan(SHAPES[shape](complete), platform_advertiser())) == []


@each_shape
def test_the_last_site_stays(shape: str) -> None:
    """An advertiser keeps at least one site."""
    one = advertiser(sites=[site("315", action="remove"), site("996", action="remove")], users=[])
    plan_data = plan(SHAPES[shape](one), platform_advertiser())
    assert [code for *_, code in errors(plan_data)] == ["no_site"]
    moved = advertiser(sites=[site("315", action="remove"), site("996", action="remove"), site("7")], users=[])
    assert [
        site["id_from_network"] for site in body_of(plan(SHAPES[shape](moved), platform_advertiser()))["sites"]
    ] == ["7"]


@pytest.mark.parametrize(
    "defects",
    [
        pytest.param({"users": [person("U-1"), person("U-2", phone_number=None, first_name="")]}, id="fields"),
        pytest.param({"users": [person("U-1"), person("U-2", email_settings=[])]}, id="no-address"),
        pytest.param({"users": [person("U-1"), person("U-2", email_settings=None)]}, id="null"),
        pytest.param({"sites": []}, id="no-sites"),
        pytest.param({"users": [person("U-2", role="Emperor")]}, id="role"),
    ],
)
@pytest.mark.parametrize("mentioned", [False, True], ids=["not-mentioned", "mentioned"])
def test_existing_problems_are_ignored(defects: dict[str, Any], mentioned: bool) -> None:  # noqa: FBT001  a column of the table
    """Problems of a user or site that the sheet does not change do not prevent other changes."""
    one = {
        "id_from_network": "A-1",
        "name": "Other",
        "users": [{"id_from_network": "U-2"}] if mentioned and defects.get("users") else [],
    }
    plan_data = plan(numbered(one), platform_advertiser(**defects))
    assert errors(plan_data) == []
    assert only(plan_data).action is Action.UPDATE
    unchanged = plan(numbered(one | {"name": ""}), platform_advertiser(**defects))
    assert unchanged.steps == ()
    assert errors(unchanged) == []


def test_a_user_who_is_changed_needs_his_fields() -> None:
    """A changed user must be complete; the row can supply what the platform lacks."""
    lacking = platform_advertiser(users=[person("U-2", phone_number="")])
    plan_data = plan(numbered(advertiser(users=[{"id_from_network": "U-2", "first_name": "Jim"}])), lacking)
    assert errors(plan_data) == [("", 2, "users.1.contact_phone_number", "required")]
    assert "is required to change the user" in plan_data.rows[0].error
    given = advertiser(users=[{"id_from_network": "U-2", "first_name": "Jim", "contact_phone_number": "8055550101"}])
    assert errors(plan(numbered(given), lacking)) == []


def test_notifications_of_an_update() -> None:
    """An update cannot leave a user without an address that is notified."""
    one = advertiser(users=[{"id_from_network": "U-2", EMAIL: "u-2@example.com", NOTIFIED: "no"}])
    plan_data = plan(book(one), platform_advertiser())
    assert errors(plan_data) == [("users", 2, NOTIFIED, "nobody_notified")]


# Email addresses


@pytest.mark.parametrize(
    ("cells", "addresses"),
    [
        pytest.param({EMAIL: " u-2@example.com "}, None, id="same"),
        pytest.param({EMAIL: "U-2@Example.com"}, [("U-2@Example.com", True)], id="in-another-case"),
        pytest.param({EMAIL: "new@example.com"}, [("new@example.com", True)], id="changed"),
        pytest.param(
            {"email_settings.2.email_address": "b@example.com", "email_settings.2.use_for_notifications": "no"},
            [("u-2@example.com", True), ("b@example.com", False)],
            id="added",
        ),
        pytest.param(
            {EMAIL: "b@example.com", NOTIFIED: "yes", "email_settings.2.email_address": "u-2@example.com"},
            [("u-2@example.com", True), ("b@example.com", True)],
            id="in-another-order",
        ),
    ],
)
def test_addresses(cells: dict[str, str], addresses: list[tuple[str, bool]] | None) -> None:
    """Addresses are matched by their text, and by their number where they are changed."""
    plan_data = plan(numbered(advertiser(users=[{"id_from_network": "U-2"} | cells])), platform_advertiser())
    assert errors(plan_data) == []
    found = (
        [
            (entry["email_address"], entry["use_for_notifications"])
            for entry in body_of(plan_data)["users"][1]["email_settings"]
        ]
        if plan_data.steps
        else None
    )
    assert found == addresses


@each_shape
@pytest.mark.parametrize(
    ("cells", "path", "code"),
    [
        pytest.param(
            {EMAIL: "b@example.com", NOTIFIED: "", "email_settings.2.email_address": "u-2@example.com"},
            NOTIFIED,
            "required",
            id="new-before-known",
        ),
        pytest.param(
            {
                EMAIL: "b@example.com",
                NOTIFIED: "no",
                "email_settings.2.email_address": "U-2@example.com",
                "email_settings.2.use_for_notifications": "no",
            },
            "email_settings.2.use_for_notifications",
            "nobody_notified",
            id="known-by-its-address",
        ),
    ],
)
def test_problems_use_the_numbers_of_the_sheet(shape: str, cells: dict[str, str], path: str, code: str) -> None:
    """Problems of an address are reported in the sheet's columns for it, whatever its number on the platform."""
    one = advertiser(users=[{"id_from_network": "U-2"} | cells])
    plan_data = plan(SHAPES[shape](one), platform_advertiser())
    assert errors(plan_data) == [(*place(shape, [one], 0, f"users.1.{path}"), code)]


# Ids


def test_ids_in_paths_are_verbatim() -> None:
    """A trailing space is part of an id: the path has it, though no cell can."""
    for action in ("update", "delete"):
        plan_data = plan(
            numbered(advertiser("A-1", action=action, name="X", users=[])), platform_advertiser("A-1 ", name="Y")
        )
        assert only(plan_data).path == ("advertisers", "A-1 ")


def test_an_exact_id_takes_precedence() -> None:
    """Of two ids that differ in a space, the exact match is used."""
    plan_data = plan(
        numbered(advertiser("A-1", name="X", users=[])),
        platform_advertiser("A-1", name="Y"),
        platform_advertiser("A-1 ", name="Z"),
    )
    assert only(plan_data).path == ("advertisers", "A-1")


@pytest.mark.parametrize("version", API_VERSIONS)
def test_versions(version: str) -> None:
    """An update sends back what the version shows, known to it or not; read-only fields stay out."""
    plan_data = plan(
        numbered(advertiser(name="Other")),
        platform_advertiser(users=[person("U-1", notify_on_performance_notifications=True)]),
        version=version,
    )
    (one,) = body_of(plan_data)["users"]
    assert one["notify_on_performance_notifications"] is True
    assert "can_login_via_platform" not in one


@pytest.mark.parametrize("shape", ["numbered", "repeated"])
def test_auto_ids(shape: str) -> None:
    """Where the network assigns ids, an advertiser without one is created once, identified by its name."""
    plan_data = plan(
        SHAPES[shape](advertiser("", name="Smith")).assign(name="Smith"), platform_advertiser(), auto_ids=True
    )
    step = only(plan_data)
    assert (step.action, step.own_id, step.non_idempotent) == (Action.CREATE, "", True)
    assert "id_from_network" not in (step.body or {})
    assert {row.object_label for row in plan_data.rows} == {"Smith"}
    plan_data = plan(SHAPES[shape](advertiser("")).assign(name="Business A-1"), platform_advertiser(), auto_ids=True)
    assert [code for *_, code in errors(plan_data)] == ["name_taken"]
    assert "'A-1'" in plan_data.rows[0].error


def test_an_advertiser_without_an_id() -> None:
    """No row matches an advertiser without an id, but its name is taken."""
    plan_data = plan(numbered(advertiser("", name="Smith")), platform_advertiser("", name="Jones"), auto_ids=True)
    assert only(plan_data).action is Action.CREATE
    plan_data = plan(numbered(advertiser(name="Jones")), platform_advertiser("", name="Jones"))
    assert [code for *_, code in errors(plan_data)] == ["name_taken"]


# Earlier results


def with_status(frames: dict[str, pd.DataFrame], **statuses: list[str]) -> dict[str, pd.DataFrame]:
    return {name: frame.assign(result_status=statuses[name]) for name, frame in frames.items()}


def test_results_as_input() -> None:
    """Of a results workbook, rows that are done stay done, and the others are planned with their advertiser."""
    frames = book(
        advertiser("A-1", name="Other", users=[user("U-2", first_name="Jim")]),
        advertiser("A-2", users=[user()], sites=[]),
    )
    frames = with_status(
        frames, advertisers=["rejected", "updated"], sites=["unchanged"], users=["rejected", "updated"]
    )
    plan_data = plan(frames, platform_advertiser(), platform_advertiser("A-2"))
    assert [(plan_data.sheets[row.sheet].name, row.row, row.action, row.from_results) for row in plan_data.rows] == [
        ("advertisers", 2, "update", False),
        ("advertisers", 3, "unchanged", True),
        ("sites", 2, "unchanged", True),
        ("users", 2, "update", False),
        ("users", 3, "unchanged", True),
    ]
    assert [row.outcome for row in plan_data.rows if row.from_results] == [
        Outcome.UPDATED,
        Outcome.UNCHANGED,
        Outcome.UPDATED,
    ]


def test_a_done_row_with_an_invalid_sibling() -> None:
    """Rows that are done stay done, even if another row of the same advertiser is refused."""
    frames = with_status(
        book(advertiser(users=[user("U-3", first_name="#N/A")])),
        advertisers=["updated"],
        sites=["unchanged"],
        users=["rejected"],
    )
    plan_data = plan(frames, platform_advertiser())
    assert [(row.outcome, row.from_results) for row in plan_data.rows] == [
        (Outcome.UPDATED, True),
        (Outcome.UNCHANGED, True),
        (Outcome.INVALID, False),
    ]
    frames = with_status(
        book(advertiser(users=[user("U-3", first_name="")])),
        advertisers=["updated"],
        sites=["unchanged"],
        users=["rejected"],
    )
    plan_data = plan(frames, platform_advertiser())
    assert [row.outcome for row in plan_data.rows] == [Outcome.UPDATED, Outcome.UNCHANGED, Outcome.INVALID]
    assert errors(plan_data) == [("users", 2, "first_name", "required")]


def partly_done_plan(**choices: Any) -> PlanData:
    """A run did the advertiser, its sites and the removal of U-1, and not U-2; others have changed it since."""
    frames = book(
        advertiser(
            name="Older name",
            web_integration_phone_number="8005550111",
            sites=[site("996", name="Older"), site("315", action="remove")],
            users=[user("U-1", action="remove"), user("U-2", first_name="Jim"), user("U-9", role="Member")],
        )
    )
    statuses = {
        "advertisers": ["updated"],
        "sites": ["updated", "deleted"],
        "users": ["deleted", "not_sent", "updated"],
    }
    return plan(with_status(frames, **statuses), platform_advertiser(), **choices)


def test_done_rows_are_not_done_again() -> None:
    """With merge, rows that are done change nothing: no value, and no user that was added again."""
    plan_data = partly_done_plan()
    assert errors(plan_data) == []
    assert body_of(plan_data) == sent(users=[sent()["users"][0], sent()["users"][1] | {"first_name": "Jim"}])
    assert change_tuples(plan_data) == [("users", 3, "first_name", "user Jim Dean U-2 (U-2)", "Chris", "Jim")]
    assert plan_data.removals == ()
    assert [row.action for row in plan_data.rows if not row.from_results] == ["update"]


def test_done_rows_are_members_of_a_set() -> None:
    """With replace, a part of a done row is kept; a part that it removed and that exists again would be removed."""
    plan_data = partly_done_plan(nested="replace")
    assert [code for *_, code in errors(plan_data)] == ["would_be_removed"]
    assert "lose site Site 315 (315), user Chris Dean U-1 (U-1)." in plan_data.rows[4].error
    plan_data = partly_done_plan(nested="replace", allow_removals=True)
    assert body_of(plan_data) == sent(
        sites=[{"id_from_network": "996", "name": ""}], users=[sent()["users"][1] | {"first_name": "Jim"}]
    )
    assert [(removal.sheet, removal.row) for removal in plan_data.removals] == [(2, 3)] * 2


@pytest.mark.parametrize("nested", ["merge", "replace"])
def test_every_step_has_a_row(nested: str) -> None:
    """The step is reported on a row, even if the only remaining row changes nothing of its own user."""
    frames = with_status(
        book(advertiser(users=[user("U-2", last_name="Dean U-2")], sites=[site("315")])),
        advertisers=["updated"],
        sites=["unchanged"],
        users=["failed"],
    )
    plan_data = plan(frames, platform_advertiser(), nested=nested, allow_removals=True)
    assert [row.action for row in plan_data.rows if not row.from_results] == [
        "unchanged" if nested == "merge" else "update"
    ]
    assert {row.step for row in plan_data.rows if row.step is not None} == set(range(len(plan_data.steps)))
    assert len(plan_data.removals) == (0 if nested == "merge" else 2)


def test_a_done_advertiser_is_not_recreated() -> None:
    """A done advertiser that no longer exists is not recreated from its remaining rows."""
    frames = with_status(book(advertiser()), advertisers=["created"], sites=["created"], users=["rejected"])
    plan_data = plan(frames)
    assert plan_data.steps == ()
    assert sorted(code for *_, code in errors(plan_data)) == ["required"]
    assert {sheet for sheet, *_ in errors(plan_data)} == {"users"}


@each_shape
@pytest.mark.parametrize("objects", [(), (platform_advertiser(),)], ids=["not-there", "there"])
def test_unknown_creates_are_done_again(shape: str, objects: tuple[Mapping[str, Any], ...]) -> None:
    """An unknown advertiser is created if it does not exist, and left unchanged if it does."""
    frames = SHAPES[shape](advertiser(action="create"))
    frames = (
        {name: item.assign(result_status="unknown") for name, item in frames.items()}
        if isinstance(frames, dict)
        else frames.assign(result_status="unknown")
    )
    plan_data = plan(frames, *objects)
    assert errors(plan_data) == []
    assert {row.action for row in plan_data.rows} == {"unchanged" if objects else "create"}


def test_unknown_rows_are_done_again() -> None:
    """Repeating an advertiser is harmless: the outcome of an unknown request is read from the platform."""
    frame = numbered(advertiser(name="Other")).assign(result_status="unknown", result_run="R")
    assert only(plan(frame, platform_advertiser())).action is Action.UPDATE
    assert plan(frame, platform_advertiser(name="Other")).rows[0].outcome is Outcome.UNCHANGED


def test_delete() -> None:
    """All rows of a deleted advertiser share one request, the last of all."""
    frames = book(advertiser(action="delete"), advertiser("A-2"))
    plan_data = plan(frames, platform_advertiser())
    assert [(step.action, step.phase, step.body) for step in plan_data.steps if step.action is Action.DELETE] == [
        ("delete", 3, None)
    ]
    assert {action for _, row, action in actions(plan_data) if row == 2} == {"delete"}
    assert plan_data.rows[0].object_label == "Business A-1 (A-1)"


# Three shapes, one plan


IDS = st.sampled_from(["1", "2", "3"])
CELL = {
    "role": st.sampled_from(["", "Member", "[]"]),
    "first_name": st.sampled_from(["", "Al", "Bo"]),
    "notify_on_budgets": st.sampled_from(["", "yes", "no", "[]"]),
    "action": st.sampled_from(["", "", "", "remove"]),
    NOTIFIED: st.sampled_from(["", "TRUE", "no"]),
}
USERS = st.lists(
    st.tuples(IDS, st.fixed_dictionaries(CELL)).map(lambda pair: user(f"U-{pair[0]}") | pair[1]),
    max_size=3,
    unique_by=lambda one: one["id_from_network"],
)
SITES = st.lists(
    st.fixed_dictionaries({"id_from_network": IDS, "name": st.sampled_from(["", "x"]), "action": CELL["action"]}),
    max_size=3,
    unique_by=lambda one: one["id_from_network"],
)
ONE = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "X", "Y", "Business A-1"]),
        "approval_status": st.sampled_from(["", "Applied", "[]"]),
        "custom_data.channel": st.sampled_from(["", "x", "[]"]),
        "action": st.sampled_from(["", "", "update", "create", "delete"]),
        "sites": SITES,
        "users": USERS,
    }
)
GIVEN = st.dictionaries(st.sampled_from(["A-1", "A-2", "A-3"]), ONE, min_size=1, max_size=3)
STATE = (
    platform_advertiser("A-1", sites=[{"id_from_network": "1", "name": "x"}], users=[person("U-1", first_name="Al")]),
    platform_advertiser("A-2", name="Y", users=[person("U-1"), person("U-2", email_settings=[])]),
)


@given(given_=GIVEN, nested=st.sampled_from(["merge", "replace"]), allowed=st.booleans())
@settings(max_examples=60)
def test_the_three_shapes_give_the_same_plan(given_: dict[str, Any], nested: str, allowed: bool) -> None:  # noqa: FBT001  drawn
    """Every sheet layout yields the same requests, refusals and reported changes."""
    advertisers = [{"id_from_network": own_id} | item for own_id, item in given_.items()]
    plans = [
        plan(shape(*advertisers), *STATE, nested=nested, allow_removals=allowed) for shape in (numbered, repeated, book)
    ]
    first, *others = plans
    for other in others:
        assert other.steps == first.steps
        assert sorted(code for *_, code in errors(other)) == sorted(code for *_, code in errors(first))
        assert sorted((change.part, change.old, change.new) for change in other.changes) == sorted(
            (change.part, change.old, change.new) for change in first.changes
        )
        assert [(removal.part, removal.advertiser) for removal in other.removals] == [
            (removal.part, removal.advertiser) for removal in first.removals
        ]
    for plan_data in plans:
        assert all((row.step is None) == (row.outcome is not None) for row in plan_data.rows)
        assert all(row.error and row.fix for row in plan_data.rows if row.outcome is Outcome.INVALID)
        assert {row.step for row in plan_data.rows if row.step is not None} == set(range(len(plan_data.steps)))


@given(given_=GIVEN)
@settings(max_examples=60)
def test_planning_again_changes_nothing(given_: dict[str, Any]) -> None:
    """After a plan is executed, planning again changes nothing, and everything else is unchanged."""
    advertisers = [{"id_from_network": own_id} | item for own_id, item in given_.items()]
    plan_data = plan(numbered(*advertisers), *STATE)
    state = {record["id_from_network"]: copy.deepcopy(record) for record in STATE}
    for step in plan_data.steps:
        if step.action is Action.DELETE:
            del state[step.own_id]
        else:
            state[step.own_id] = {"id_from_network": step.own_id} | copy.deepcopy(dict(step.body or {}))
    done = {row.row for row in plan_data.rows if row.step is not None}
    again = plan(numbered(*advertisers), *state.values())
    for row in again.rows:
        if row.row in done and "create" not in row.cells:
            assert row.action == "unchanged"


def test_sheets_of_another_resource() -> None:
    """Done rows of advertisers are kept next to pending promo numbers."""
    frames = book(advertiser(sites=[], users=[])) | {
        "promo_numbers": pd.DataFrame(
            [
                {
                    "advertiser_id_from_network": "A-1",
                    "advertiser_campaign_id_from_network": "C",
                    "description": "d",
                    "media_type": "Online: Display",
                }
            ]
        )
    }
    frames["advertisers"]["result_status"] = "created"
    plan_data = plan({name: frame for name, frame in frames.items() if len(frame)})
    assert [row.action for row in plan_data.rows] == ["unchanged", "create"]
    assert only(plan_data).depends_on is None
