"""The full object that an update sends: the patch's changes, with everything else kept."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.planning import merge
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, PROMO_NUMBERS, payloads
from invoca_bulk.schema.field_types import BOOLEAN

if TYPE_CHECKING:
    from collections.abc import Callable

VERSION = "2022-08-01"
FLAGS = [field.path.removeprefix("users.#.") for field in ADVERTISERS.fields if ".notify_on_" in field.path]


def user(number: int, **more: Any) -> dict[str, Any]:
    """A user in writable form, with two email addresses."""
    addresses = [(f"u{number}@example.com", True), (f"u{number}b@example.com", False)]
    return {
        "id_from_network": f"U-{number}",
        "email_settings": [{"email_address": text, "use_for_notifications": used} for text, used in addresses],
        "first_name": "Jim",
        "last_name": f"Williams {number}",
        "contact_phone_number": f"805555010{number}",
        "role": "Observer",
        **dict.fromkeys(FLAGS, False),
        "notify_on_budgets": True,
        **more,
    }


#: As it is written; `sites` are not in the order of their ids.
ADVERTISER: dict[str, Any] = {
    "id_from_network": "A-1",
    "name": "Acme Tickets & Sons",
    "approval_status": "Approved",
    "web_integration_phone_number": "8004377950",
    "default_creative_id_from_network": "222",
    "sites": [{"id_from_network": "996", "name": "two"}, {"id_from_network": "315", "name": "one"}],
    "users": [user(1), user(2), user(3)],
    "custom_data": {"channel": "Offline lead", "a.b": "dots"},
}


def read(**more: Any) -> dict[str, Any]:
    """The same advertiser as the platform returns it."""
    shown = copy.deepcopy({**ADVERTISER, **more})
    for user in shown["users"]:
        phone = user.pop("contact_phone_number")
        user["phone_number"] = f"{phone[:3]}\u2010{phone[3:6]}\u2010{phone[6:]}"
        user["oauth_refresh_token"] = "token" * 7
        user["can_login_via_platform"] = True
    return {"id": 43838, "object_url": "https://example.com", "oauth_refresh_token": "747464", **shown}


def patch(values: dict[str, Any] | None = None, *parts: dict[str, Any], nested: str = "merge") -> dict[str, Any]:
    return {"nested": nested, "values": values or {}, "parts": list(parts)}


def part(
    collection: str, part_id: str, values: dict[str, Any] | None = None, *, remove: bool = False
) -> dict[str, Any]:
    return {"collection": collection, "id": part_id, "remove": remove, "values": values or {}}


def apply(change: dict[str, Any], current: Any, version: str = VERSION) -> merge.MergeResult:
    """The body without the id, which is in the address."""
    before = copy.deepcopy((change, current))
    merged = merge.merge_patch(ADVERTISERS, change, current, version)
    assert (change, current) == before
    return merged


def body(**more: Any) -> dict[str, Any]:
    """The body to send when `more` differs."""
    return {name: value for name, value in {**ADVERTISER, **more}.items() if name != "id_from_network"}


def change_tuples(merged: merge.MergeResult) -> list[Any]:
    return [(change.part, change.path, change.old, change.new) for change in merged.changes]


# What is sent back


def test_writable_form() -> None:
    """An object is sent back whole: write names, phone numbers as digits, no token, no read-only fields."""
    assert merge.to_writable(ADVERTISERS, read(), VERSION) == ADVERTISER


@pytest.mark.parametrize("version", API_VERSIONS)
def test_only_fields_of_the_version(version: str) -> None:
    """What the version no longer has goes back as it was read; no patch can change it."""
    reports = {flag for flag in FLAGS if "performance" in flag}
    change = patch({}, part("users", "U-1", {"notify_on_performance_notifications": True, "role": "Super"}))
    merged = apply(change, read(), version)
    for user in merged.body["users"]:
        assert reports <= set(user)
        assert user["notify_on_performance_notifications"] is (
            version < "2026-02-01" and user["id_from_network"] == "U-1"
        )
    assert len(merged.changes) == 1 + (version < "2026-02-01")


def test_free_texts_are_verbatim() -> None:
    """Spaces around ids and names are sent back: without them, the user would be another one."""
    odd = read(name=" Acme ", users=[user(1, id_from_network=" U-1 ")])
    merged = apply(patch({"name": "Acme"}, part("users", "U-1", {"role": "Super"})), odd)
    assert merged.body["name"] == " Acme "
    assert [user["id_from_network"] for user in merged.body["users"]] == [" U-1 "]
    assert change_tuples(merged) == [(("users", "U-1"), "role", "Observer", "Super")]


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"custom_data": None, "users": None, "sites": None}, id="null"),
        pytest.param({"custom_data": {}, "users": [], "sites": []}, id="empty"),
        pytest.param({}, id="missing"),
    ],
)
def test_empty_advertiser(values: dict[str, Any]) -> None:
    """An advertiser without parts gets empty sets; its custom data are sent as they are."""
    merged = apply(patch({"name": "B", "custom_data.channel": None}), {"id_from_network": "A-1", "name": "A", **values})
    shown = {name: value for name, value in values.items() if name == "custom_data"}
    assert merged.body == {"name": "B", "users": [], "sites": [], **shown}
    assert change_tuples(merged) == [(None, "name", "A", "B")]


# Values of the object itself


@pytest.mark.parametrize("name", ["approval_status"])
@pytest.mark.parametrize("there", [None, "", "Approved"], ids=["null", "blank", "default"])
@pytest.mark.parametrize("asked", [None, "Approved"], ids=["cleared", "default-asked"])
def test_defaults(name: str, there: str | None, asked: str | None) -> None:
    """A missing value equals the platform's default: requesting one where the other is set changes nothing."""
    assert not apply(patch({name: asked}), read(**{name: there})).has_changes


@pytest.mark.parametrize(
    ("values", "differs"),
    [
        pytest.param({"name": "B"}, {"name": "B"}, id="text"),
        pytest.param({"custom_data.channel": "x"}, {"custom_data": {"channel": "x", "a.b": "dots"}}, id="key"),
        pytest.param(
            {"custom_data.new": "x"}, {"custom_data": {**ADVERTISER["custom_data"], "new": "x"}}, id="new-key"
        ),
        pytest.param({"custom_data.a.b": None}, {"custom_data": {"channel": "Offline lead", "a.b": None}}, id="no-key"),
        pytest.param({"web_integration_phone_number": None}, {"web_integration_phone_number": None}, id="cleared"),
    ],
)
def test_one_value(values: dict[str, Any], differs: dict[str, Any]) -> None:
    """One value changes (custom data by key, null if cleared); everything else is sent unchanged."""
    merged = apply(patch(values), read())
    ((path, new),) = values.items()
    assert merged.body == body(**differs)
    assert change_tuples(merged) == [(None, path, dict(payloads.flatten_object(ADVERTISER)).get(path), new)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(patch(), id="nothing"),
        pytest.param(patch({"name": ADVERTISER["name"]}), id="same-text"),
        pytest.param(patch({"web_integration_phone_number": "+18004377950"}), id="same-number"),
        pytest.param(patch({"id_from_network": "A-1"}), id="own-id"),
        pytest.param(patch({"oauth_refresh_token": "x", "object_url": "x"}), id="secret-and-read-only"),
        pytest.param(patch({"custom_data.channel": "Offline lead", "custom_data.none": None}), id="custom-data"),
        pytest.param(patch({}, part("users", "U-1")), id="part-without-values"),
        pytest.param(patch({}, part("users", "U-1", {"notify_on_call_activities": None})), id="cleared-flag"),
        pytest.param(patch({}, part("users", "U-9", remove=True)), id="removed-and-not-there"),
        pytest.param(patch({}, part("users", "U-1", {"email_settings.3.email_address": None})), id="no-third-address"),
        pytest.param(
            patch({}, part("users", "U-1", {"email_settings.3.email_address": "u1b@example.com"})), id="same-address"
        ),
        pytest.param(patch({}, part("sites", "315", {"name": "one"})), id="same-site"),
    ],
)
def test_nothing_to_do(change: dict[str, Any]) -> None:
    """Requesting the current values changes nothing, and everything is sent back."""
    merged = apply(change, read())
    assert not merged.has_changes
    assert merged.body == body()


def test_a_flag_that_is_not_shown_is_false() -> None:
    """FALSE for a flag that the platform does not show is no change; TRUE is one."""
    current = read()
    del current["users"][0]["notify_on_budgets"]
    flag = {value: apply(patch({}, part("users", "U-1", {"notify_on_budgets": value})), current) for value in (0, 1)}
    assert not flag[0].has_changes
    assert change_tuples(flag[1]) == [(("users", "U-1"), "notify_on_budgets", None, True)]


# Parts


def test_parts_are_merged() -> None:
    """Users and sites keep their order, a named one changes, a removed one goes, a new one comes last."""
    new = {"first_name": "Ann", "role": None}
    merged = apply(
        patch(
            {},
            part("users", "U-9", new),
            part("users", "U-3", {"first_name": "Ann"}),
            part("users", "U-2", remove=True),
            part("sites", "996", remove=True),
            part("sites", "7"),
        ),
        read(),
    )
    sites = [ADVERTISER["sites"][1], {"id_from_network": "7"}]
    users = [user(1), user(3, first_name="Ann"), {"id_from_network": "U-9", "first_name": "Ann"}]
    assert merged.body == body(sites=sites, users=users)
    assert merged.removed == (
        merge.RemovedPart(collection="sites", id="996", name="two"),
        merge.RemovedPart(collection="users", id="U-2", name="Jim Williams 2"),
    )
    assert merged.added == (("sites", "7"), ("users", "U-9"))
    assert change_tuples(merged) == [
        (("sites", "7"), "id_from_network", None, "7"),
        (("users", "U-3"), "first_name", "Jim", "Ann"),
        (("users", "U-9"), "id_from_network", None, "U-9"),
        (("users", "U-9"), "first_name", None, "Ann"),
    ]


def test_parts_are_replaced() -> None:
    """With `replace` only the sheet's parts remain, in its order; their blank cells keep the platform's values."""
    change = patch(
        {},
        part("users", "U-3", {"first_name": "Ann"}),
        part("users", "U-1"),
        part("users", "U-2", remove=True),
        part("users", "U-9", {"first_name": "New"}),
        nested="replace",
    )
    merged = apply(change, read())
    users = [user(3, first_name="Ann"), user(1), {"id_from_network": "U-9", "first_name": "New"}]
    assert merged.body == body(sites=[], users=users)
    assert [(removed_part.collection, removed_part.name) for removed_part in merged.removed] == [
        ("sites", "two"),
        ("sites", "one"),
        ("users", "Jim Williams 2"),
    ]
    assert merged.added == (("users", "U-9"),)


@pytest.mark.parametrize(
    ("nested", "changes"), [("merge", []), ("replace", [(None, "sites.1.id_from_network", "996", "315")])]
)
def test_the_default_site(nested: str, changes: list[Any]) -> None:
    """The first site is the default: only `replace` changes it, and lists the change."""
    users = [part("users", user["id_from_network"]) for user in reversed(ADVERTISER["users"])]
    merged = apply(patch({}, part("sites", "315"), part("sites", "996"), *users, nested=nested), read())
    assert change_tuples(merged) == changes
    assert [site["id_from_network"] for site in merged.body["sites"]] == (["315", "996"] if changes else ["996", "315"])


@pytest.mark.parametrize(("nested", "count"), [("merge", 4), ("replace", 1)])
def test_parts_without_an_id_or_with_the_same(nested: str, count: int) -> None:
    """A part without a usable id is kept unless all are replaced; one without a name is labeled by its id."""
    nobody = {name: value for name, value in user(2).items() if name not in {"id_from_network", "last_name"}}
    twin = {"id_from_network": "U-1", "contact_phone_number": "8055550100"}
    merged = apply(patch({}, part("users", "U-1"), nested=nested), read(users=[user(1), nobody, twin, user(4)]))
    assert len(merged.body["users"]) == count
    assert [
        (removed_part.id, removed_part.name) for removed_part in merged.removed if removed_part.collection == "users"
    ] == ([("", "Jim"), ("U-1", "U-1"), ("U-4", "Jim Williams 4")] if nested == "replace" else [])


def test_ids_are_compared_as_texts() -> None:
    """A site with an integer id matches the sheet's text; `0315` is another site."""
    sites = [{"id_from_network": 315, "name": "one"}]
    merged = apply(patch({}, part("sites", "315", {"name": "x"}), part("sites", "0315")), read(sites=sites))
    assert merged.body["sites"] == [{"id_from_network": 315, "name": "x"}, {"id_from_network": "0315"}]


def test_the_naive_update_loses_users(platform: Callable[..., Any]) -> None:
    """Control: a PUT of the edited row alone deletes all users; the merged one changes only the number."""
    change = {"web_integration_phone_number": "8005550199"}
    platform("POST", "advertisers", ADVERTISER)
    before = platform("GET", "advertisers/A-1").json()
    naive = {"name": ADVERTISER["name"], "sites": ADVERTISER["sites"], **change}
    assert platform("PUT", "advertisers/A-1", naive).json()["users"] == []
    platform("PUT", "advertisers/A-1", ADVERTISER)
    current = platform("GET", "advertisers/A-1").json()
    after = platform("PUT", "advertisers/A-1", apply(patch(change), current).body)
    assert after.status_code == 200
    assert without_tokens(after.json()) == without_tokens({**before, **change})


def without_tokens(advertiser: dict[str, Any]) -> dict[str, Any]:
    users = [{key: user[key] for key in user if key != "oauth_refresh_token"} for user in advertiser["users"]]
    return {**advertiser, "users": users}


# Email addresses


def addresses(*texts: str) -> list[dict[str, Any]]:
    return [{"email_address": text, "use_for_notifications": True} for text in texts]


A, B, C = "a@example.com", "b@example.com", "c@example.com"
AB = addresses(A, B)


def emails(**values: Any) -> dict[str, Any]:
    """`_1=A` is the address of the first columns, `used_1` its flag."""
    names = {"used": "use_for_notifications", "": "email_address"}
    at = {name: name.rpartition("_") for name in values}
    return {f"email_settings.{at[name][2]}.{names[at[name][0]]}": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("values", "after", "changes"),
    [
        pytest.param(emails(_1=C), addresses(C, B), [(1, A, C)], id="replaced"),
        pytest.param(emails(_2=C), addresses(A, C), [(2, B, C)], id="replaced-second"),
        pytest.param(emails(_3=C, used_3=True), addresses(A, B, C), [(3, None, C)], id="added"),
        pytest.param(emails(_9=C, used_9=True), addresses(A, B, C), [(9, None, C)], id="added-far-off"),
        pytest.param(emails(_1=B), AB, [], id="the-other-one"),
        pytest.param(emails(_1=B, _2=A), AB, [], id="in-another-order"),
        pytest.param(emails(_1=C, used_1=True, _2=A), addresses(A, B, C), [(1, None, C)], id="place-is-claimed"),
        pytest.param(emails(_1=B.upper()), addresses(A, B.upper()), [(1, B, B.upper())], id="in-capitals"),
        pytest.param(emails(_1=None), addresses(B), [(1, A, None)], id="taken-away"),
        pytest.param(emails(_1=None, used_1=True, _2=B), addresses(B), [(1, A, None)], id="taken-away-with-its-flag"),
        pytest.param(emails(_1=None, _2=C), addresses(C), [(1, A, None), (2, B, C)], id="taken-away-and-replaced"),
        pytest.param(emails(_1=None, _2=A), AB, [], id="kept-by-its-address"),
        pytest.param(emails(_3=None, used_3=True), AB, [], id="not-there"),
    ],
)
def test_addresses(values: dict[str, Any], after: list[Any], changes: list[Any]) -> None:
    """An entry is matched by address, else by number; entries that the sheet does not name are kept."""
    current = read(users=[user(1, email_settings=AB)])
    merged = apply(patch({}, part("users", "U-1", values)), current)
    assert merged.body == body(users=[user(1, email_settings=after)])
    of_addresses = [change for change in merged.changes if change.path.endswith("email_address")]
    assert [(int(record.path.split(".")[1]), record.old, record.new) for record in of_addresses] == changes
    if values.keys() == {"email_settings.1.email_address"}:
        assert len(merged.changes) == len(changes)


def test_a_flag_goes_by_number() -> None:
    """Without an address in the sheet, the flag of the second address is the second one's."""
    current = read(users=[user(1, email_settings=AB)])
    merged = apply(patch({}, part("users", "U-1", emails(used_2=False))), current)
    assert merged.body["users"][0]["email_settings"] == [AB[0], {**AB[1], "use_for_notifications": False}]
    assert change_tuples(merged) == [(("users", "U-1"), "email_settings.2.use_for_notifications", True, False)]


def test_a_flag_without_an_address_is_not_dropped() -> None:
    """A flag without an address is sent, so that the platform rejects it instead of it being lost."""
    merged = apply(patch({}, part("users", "U-1", emails(used_3=True))), read(users=[user(1, email_settings=AB)]))
    assert merged.body["users"][0]["email_settings"] == [*AB, {"use_for_notifications": True}]
    assert merged.has_changes


@pytest.mark.parametrize(
    ("values", "now", "after"),
    [
        pytest.param(emails(_1=None), [B], [B], id="taken-away-already"),
        pytest.param(emails(_1=None), [C, A, B], [C, B], id="moved"),
        pytest.param(emails(_1=C), [B], [B, C], id="replaced-one-is-gone"),
        pytest.param(emails(_1=C), [C, B], [C, B], id="replaced-already"),
        pytest.param(
            emails(_3=C, used_3=True), [A, B, "d@example.com"], [A, B, "d@example.com", C], id="place-is-taken"
        ),
    ],
)
def test_bound_patches_keep_their_addresses(values: dict[str, Any], now: list[str], after: list[str]) -> None:
    """A bound patch still means the planned addresses after the addresses have changed."""
    planned = read(users=[user(1, email_settings=AB)])
    change = merge.bind_entries(
        ADVERTISERS, patch({}, part("users", "U-1", values), part("users", "U-9")), planned, VERSION
    )
    merged = apply(change, read(users=[user(1, email_settings=addresses(*now))]))
    assert [entry["email_address"] for entry in merged.body["users"][0]["email_settings"]] == after


# Creating


def test_create() -> None:
    """A new object has all values, including FALSE, and its id in the body; nulls are left out."""
    values = {
        "id_from_network": "A-9",
        "name": "N",
        "approval_status": None,
        "custom_data.x": "y",
        "custom_data.z": None,
    }
    flags = {"notify_on_budgets": False, "role": None}
    change = patch(
        values, part("sites", "1", {"name": "s"}), part("users", "U", flags), part("users", "V", remove=True)
    )
    merged = apply(change, None)
    assert merged.body == {
        "id_from_network": "A-9",
        "name": "N",
        "custom_data": {"x": "y"},
        "sites": [{"id_from_network": "1", "name": "s"}],
        "users": [{"id_from_network": "U", "notify_on_budgets": False}],
    }
    assert all(change.old is None for change in merged.changes)
    assert len(merged.changes) == 7
    assert merged.added == (("sites", "1"), ("users", "U"))
    assert merged.has_changes
    assert merge.bind_entries(ADVERTISERS, change, None, VERSION)["values"] == values


def test_create_without_parts() -> None:
    """A new advertiser without parts has no sets; merging does not judge whether that is valid."""
    assert apply(patch({"name": "N"}), None).body == {"name": "N"}


# Promo numbers


def test_a_promo_number() -> None:
    """A promo number is merged the same way, without its ids and the fields that only chose it."""
    current = {"id": 5, "id_from_network": "5", "promo_number": "8004377950", "description": "old", "promo_type": None}
    change = patch({"description": "new", "local_center.tn_prefix": "805", "hours_of_operation.open_24_7": True})
    merged = merge.merge_patch(PROMO_NUMBERS, change, current, "2026-02-01")
    assert merged.body == {"description": "new", "promo_type": None, "hours_of_operation": {"open_24_7": True}}
    assert [(change.path, change.old, change.new) for change in merged.changes] == [
        ("description", "old", "new"),
        ("hours_of_operation.open_24_7", None, True),
    ]


# Any advertiser, any patch

NAMES = st.text(alphabet=st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=5)
USER_IDS = st.lists(st.sampled_from([f"U-{number}" for number in range(6)]), max_size=4, unique=True)
SITE_IDS = st.lists(st.sampled_from([str(number) for number in range(300, 306)]), max_size=4, unique=True)
EMAILS = st.sampled_from([f"{name}@example.com" for name in "abcde"])
PHONES = st.from_regex("[2-9][0-9]{9}", fullmatch=True)
ROLES = st.sampled_from(["Super", "Manager", "Member", "Observer"])


def user_records(part_id: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "id_from_network": st.just(part_id),
            "email_settings": st.lists(EMAILS, min_size=1, max_size=3, unique=True).map(lambda some: addresses(*some)),
            "first_name": NAMES,
            "last_name": NAMES,
            "contact_phone_number": PHONES,
            "role": ROLES,
            **dict.fromkeys(FLAGS, st.booleans()),
        }
    )


def site_records(part_id: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"id_from_network": st.just(part_id), "name": NAMES})


def each(ids: list[str], record: Callable[[str], st.SearchStrategy[Any]]) -> st.SearchStrategy[list[Any]]:
    return st.tuples(*map(record, ids)).map(list)


OBJECTS = st.fixed_dictionaries(
    {
        "id_from_network": st.just("A-1"),
        "name": NAMES,
        "approval_status": st.sampled_from(["Applied", "Approved"]),
        "sites": SITE_IDS.filter(bool).flatmap(lambda ids: each(ids, site_records)),
        "users": USER_IDS.flatmap(lambda ids: each(ids, user_records)),
        "custom_data": st.dictionaries(NAMES, NAMES, max_size=3),
    },
    optional={"web_integration_phone_number": PHONES, "default_creative_id_from_network": st.just("7")},
)
USER_VALUES = st.fixed_dictionaries(
    {},
    optional={
        "first_name": NAMES,
        "contact_phone_number": PHONES,
        "role": ROLES | st.none(),
        "notify_on_budgets": st.booleans() | st.none(),
        **{f"email_settings.{number}.email_address": EMAILS | st.none() for number in (1, 2)},
        "email_settings.1.use_for_notifications": st.booleans(),
    },
)


def part_patches(collection: str, values: st.SearchStrategy[Any]) -> Callable[[str], st.SearchStrategy[Any]]:
    return lambda part_id: st.builds(part, st.just(collection), st.just(part_id), values, remove=st.booleans())


def have_each_address_once(change: dict[str, Any]) -> bool:
    """As validation sees to it."""
    for part in change["parts"]:
        texts = [value for path, value in part["values"].items() if path.endswith("email_address") and value]
        if len(set(texts)) < len(texts):
            return False
    return True


PATCHES = st.builds(
    lambda values, users, sites, nested: patch(values, *users, *sites, nested=nested),
    st.fixed_dictionaries({}, optional={"name": NAMES, "custom_data.x": NAMES | st.none()}),
    USER_IDS.flatmap(lambda ids: each(ids, part_patches("users", USER_VALUES))),
    SITE_IDS.flatmap(lambda ids: each(ids, part_patches("sites", st.fixed_dictionaries({"name": NAMES})))),
    st.sampled_from(["merge", "replace"]),
).filter(have_each_address_once)
VERSIONS = st.sampled_from(API_VERSIONS)


def by_id(advertiser: Any, collection: str) -> dict[str, Any]:
    return {record["id_from_network"]: record for record in advertiser[collection]}


@given(current=OBJECTS, version=VERSIONS)
def test_an_empty_patch_changes_nothing(current: dict[str, Any], version: str) -> None:
    """An empty patch changes nothing and keeps every part; the writable form is stable."""
    merged = merge.merge_patch(ADVERTISERS, patch(), current, version)
    written = merge.to_writable(ADVERTISERS, current, version)
    assert not merged.has_changes
    assert {**merged.body, "id_from_network": "A-1"} == written
    assert merge.to_writable(ADVERTISERS, written, version) == written
    assert written == current


@given(current=OBJECTS, change=PATCHES, version=VERSIONS)
def test_unnamed_parts_are_kept(current: dict[str, Any], change: dict[str, Any], version: str) -> None:
    """For any patch, parts that it does not name are sent unchanged in their order, or listed as removed."""
    merged = merge.merge_patch(ADVERTISERS, change, current, version)
    old = merge.to_writable(ADVERTISERS, current, version)
    for collection in ("users", "sites"):
        there, after = by_id(old, collection), by_id(merged.body, collection)
        named = {part["id"] for part in change["parts"] if part["collection"] == collection}
        removed = {removed_part.id for removed_part in merged.removed if removed_part.collection == collection}
        added = {part_id for name, part_id in merged.added if name == collection}
        assert after.keys() == (there.keys() - removed) | added
        assert all(after[part_id] == there[part_id] for part_id in after if part_id not in named)
        if change["nested"] == "merge":
            assert removed <= named
            assert [part_id for part_id in after if part_id in there] == [record for record in there if record in after]


@given(current=OBJECTS, change=PATCHES, version=VERSIONS)
def test_bound_patches_are_idempotent(current: dict[str, Any], change: dict[str, Any], version: str) -> None:
    """Applied to its result, a bound patch changes nothing: an update whose response was lost can be repeated."""
    once_bound = merge.bind_entries(ADVERTISERS, change, current, version)
    first = merge.merge_patch(ADVERTISERS, once_bound, current, version)
    assert first == merge.merge_patch(ADVERTISERS, change, current, version)
    second = merge.merge_patch(ADVERTISERS, once_bound, first.body, version)
    assert not second.has_changes
    assert merge.to_writable(ADVERTISERS, second.body, version) == merge.to_writable(ADVERTISERS, first.body, version)


@given(current=OBJECTS, change=PATCHES, version=VERSIONS)
def test_a_change_is_a_difference(current: dict[str, Any], change: dict[str, Any], version: str) -> None:
    """There is a change exactly when the body differs from the one of an empty patch."""
    merged = merge.merge_patch(ADVERTISERS, change, current, version)
    unchanged = merge.merge_patch(ADVERTISERS, patch(), current, version)
    assert merged.has_changes is (sets_by_id(merged.body) != sets_by_id(unchanged.body))


def sets_by_id(sent: Any) -> dict[str, Any]:
    """Of a replaced set, only the first site's position is significant: it is the default."""
    return {**sent, "users": by_id(sent, "users"), "sites": by_id(sent, "sites"), "first": sent["sites"][:1]}


@given(current=OBJECTS.filter(lambda one: one["users"]), data=st.data(), version=VERSIONS)
def test_one_leaf(current: dict[str, Any], data: st.DataObject, version: str) -> None:
    """One value that differs is exactly one change, and all other leaves of the body are the same."""
    number = data.draw(st.integers(0, len(current["users"]) - 1))
    one = current["users"][number]
    old = merge.merge_patch(ADVERTISERS, patch(), current, version).body
    fixed = {"id_from_network", *(flag for flag in FLAGS if version >= "2026-02-01" and "performance" in flag)}
    own = [path for path, _ in payloads.flatten_object(old["users"][number]) if path not in fixed]
    path = data.draw(st.sampled_from(own))
    kind = ADVERTISERS.by_path[f"users.#.{payloads.paths.to_pattern(path)}"].field_type
    before = dict(payloads.flatten_object(one))[path]
    new = not before if kind is BOOLEAN else "Member" if before == "Super" else OTHER.get(kind.name, "Super")
    merged = merge.merge_patch(
        ADVERTISERS, patch({}, part("users", one["id_from_network"], {path: new})), current, version
    )
    assert change_tuples(merged) == [(("users", one["id_from_network"]), path, before, new)]
    expected = dict(payloads.flatten_object(old)) | {f"users.{number + 1}.{path}": new}
    assert dict(payloads.flatten_object(merged.body)) == expected


#: Name of a kind to a value that no generated user has.
OTHER = {"text": "another text", "phone number": "+448081570192", "email address": "z@example.com"}


# Over HTTP


@pytest.mark.parametrize("version", API_VERSIONS)
def test_the_platform_accepts_the_merged_body(platform: Callable[..., Any], version: str) -> None:
    """In every version, one change can be written, and everything else is read back unchanged."""
    assert platform("POST", "advertisers", ADVERTISER, VERSION).status_code == 201
    before = platform("GET", "advertisers/A-1", version=version).json()
    nothing = merge.merge_patch(ADVERTISERS, patch(), before, version)
    answer = platform("PUT", "advertisers/A-1", nothing.body, version)
    assert (answer.status_code, answer.json()) == (200, before)
    change = patch({"custom_data.channel": None}, part("users", "U-2", {"role": "Super", **emails(_2=None)}))
    merged = merge.merge_patch(ADVERTISERS, change, before, version)
    assert platform("PUT", "advertisers/A-1", merged.body, version).status_code == 200
    after = platform("GET", "advertisers/A-1", version=version).json()
    expected = copy.deepcopy(before)
    expected["users"][1] |= {"role": "Super", "email_settings": expected["users"][1]["email_settings"][:1]}
    del expected["custom_data"]["channel"]
    assert after == expected
    assert not merge.merge_patch(ADVERTISERS, change, after, version).has_changes


@given(data=st.data(), version=VERSIONS)
@settings(max_examples=25)
def test_any_advertiser_over_http(sandbox: Any, http: Any, data: st.DataObject, version: str) -> None:
    """Any advertiser that is read and written back stays the same; a site's change keeps the users and the order."""
    network_id = "merging"
    sandbox.store.add_network(network_id, empty=True)
    url = f"/api/{version}/{network_id}/advertisers"
    sent = merge.to_writable(ADVERTISERS, data.draw(OBJECTS), version)
    assert http.post(f"{url}.json", json=sent).status_code == 201
    before = http.get(f"{url}/A-1.json").json()
    assert (
        http.put(f"{url}/A-1.json", json=merge.merge_patch(ADVERTISERS, patch(), before, version).body).json() == before
    )
    change = patch({}, part("sites", "300", {"name": "changed"}))
    after = http.put(f"{url}/A-1.json", json=merge.merge_patch(ADVERTISERS, change, before, version).body).json()
    sites = {site["id_from_network"]: site for site in before["sites"]} | {
        "300": {"id_from_network": "300", "name": "changed"}
    }
    assert after == {**before, "sites": list(sites.values())}
    assert http.delete(f"{url}/A-1.json").status_code == 200
