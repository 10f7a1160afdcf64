"""The one table agrees with itself, and finds its columns whatever the header looks like.

Facts of the platform are not repeated here: `contract` holds them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import chain, combinations, product
from string import Formatter
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk import sheets, validation
from invoca_bulk.schema import (
    ADVERTISERS,
    API_VERSIONS,
    DEFAULT_API_VERSION,
    OPERATIONS,
    PROMO_NUMBERS,
    RESOURCES,
    SHEET_RESOURCES,
    Action,
    Role,
    paths,
    regions,
)
from invoca_bulk.schema.model import fold_header
from invoca_bulk.schema.result_columns import OUTCOME_HELP, OUTPUT_FIELDS, SUCCESS_OUTCOMES, Outcome, parse_outcome

if TYPE_CHECKING:
    from invoca_bulk.schema import Field, Resource

each_resource = pytest.mark.parametrize(
    "resource", [pytest.param(one, id=name) for name, one in SHEET_RESOURCES.items()]
)
FIELDS = [(resource, field) for resource in SHEET_RESOURCES.values() for field in resource.fields]
each_field = pytest.mark.parametrize(
    ("resource", "field"), [pytest.param(*pair, id=f"{pair[0].name}-{pair[1].path}") for pair in FIELDS]
)

# The table agrees with itself


@each_field
def test_default(resource: Resource, field: Field) -> None:
    """A default that counts is one that the field's help names, and a value of its kind."""
    if field.default is not None:
        assert resource.name in {"advertisers", "users"}
        shown = field.field_type.to_text(field.default)
        assert f"the platform's default is {shown}." in field.help
        assert field.field_type.parse_cell(shown).value == field.default


@each_resource
def test_names_are_unique(resource: Resource) -> None:
    """No header stands for two fields: not by path, not by alias, in no spelling."""
    named = {(fold_header(name), field.path) for field in resource.fields for name in (field.path, *field.aliases)}
    names = [name for name, _ in named]
    assert sorted(names) == sorted(set(names))


@each_field
def test_field(resource: Resource, field: Field) -> None:
    """A field's versions exist, its help is a sentence, and what only the platform sets is never asked for."""
    assert field.since in API_VERSIONS
    assert field.until is None or field.until in API_VERSIONS
    assert field.is_known_in(field.since)
    assert field.help.endswith(".")
    assert not (field.read_only and field.required_on)
    # A list within a record shrinks that way: [] in the second address takes it away.
    in_list = field.path.count("#") > (0 if resource.is_subresource else 1)
    assert in_list or not (field.required_on and field.clearable), "[] in a required cell would send nothing for it"
    assert field.role is Role.BODY or not field.clearable or field in OUTPUT_FIELDS
    assert resource.by_path[paths.to_pattern(field.path)] is field


@each_resource
def test_rules_name_fields(resource: Resource) -> None:
    """A rule looks at fields that exist; a misspelt one would silence it."""
    assert {name for rule in resource.rules for name in rule.fields} <= resource.by_path.keys()


@each_resource
def test_what_a_rule_only_asks_for_does_not_matter_to_it(resource: Resource) -> None:
    """Of the fields that a rule lists as `given`, True says as much as a value: what it finds is the same."""
    for rule in resource.rules:
        assert set(rule.presence_only) <= set(rule.fields)
        for names in chain.from_iterable(combinations(rule.fields, many) for many in (1, 2, 3)):
            for texts in product(*([*resource.by_path[name].field_type.choices[:4], "7"] for name in names)):
                values = {name.replace("#", "1"): text for name, text in zip(names, texts, strict=True)}
                values |= {"quantity": 7} if "quantity" in values else {}
                seen = {path: paths.to_pattern(path) in rule.presence_only or value for path, value in values.items()}
                assert list(rule.check(seen)) == list(rule.check(values))


@each_resource
def test_scopes_and_collections_name_fields(resource: Resource) -> None:
    """The places of an address are ids of its path, and collections are keyed by fields."""
    parts = chain.from_iterable(resource.path_templates)
    named = {name for part in parts for _, name, _, _ in Formatter().parse(part) if name}
    assert named == {field.path for field in resource.fields if field.role is Role.PATH}
    assert {one.identifier_field for one in resource.collections} <= resource.by_path.keys()
    assert {one.since for one in resource.collections} <= set(API_VERSIONS)


def test_parts_have_the_fields_of_the_whole() -> None:
    """What a user is on a sheet of its own is what it is in the columns of its advertiser."""
    for whole in RESOURCES.values():
        for part in whole.subresources:
            of_whole = {
                one.path.removeprefix(f"{part.name}.#."): (
                    one.field_type,
                    one.required_on,
                    one.since,
                    one.until,
                    one.role,
                )
                for one in whole.fields
                if one.path.startswith(f"{part.name}.#.")
            }
            own = {
                one.path: (one.field_type, one.required_on, one.since, one.until, one.role)
                for one in part.fields
                if one.role not in {Role.PARENT, Role.RESULT}
            }
            assert own == of_whole
            assert [one.role for one in part.fields].count(Role.PARENT) == 1
            assert part.is_subresource
            assert not whole.is_subresource


def test_sheets_stand_in_the_order_of_the_work() -> None:
    """Advertisers come first, with what is within them, and then what needs them."""
    assert list(SHEET_RESOURCES) == ["advertisers", "sites", "users", "promo_numbers"]


@each_resource
def test_objects_are_named_by_a_field(resource: Resource) -> None:
    """What rows name their object by can be read from a sheet."""
    assert resource.identifier_field in resource.by_path


def test_every_action_has_its_verb() -> None:
    """Whatever a row can ask for has a call to the platform."""
    assert set(Action) | {"list", "read"} == OPERATIONS.keys()


def test_versions_are_in_order() -> None:
    """Versions are compared as texts, so they are dates, oldest first."""
    assert list(API_VERSIONS) == sorted(API_VERSIONS)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", version) for version in API_VERSIONS)
    assert DEFAULT_API_VERSION in API_VERSIONS


@pytest.mark.parametrize("version", [pytest.param(one, id=one) for one in API_VERSIONS])
def test_examples(version: str) -> None:
    """The template's own rows are good, in every version, and nothing in them needs cleaning."""
    frames = {name: pd.DataFrame(list(one.examples)).fillna("") for name, one in SHEET_RESOURCES.items()}
    checked = validation.validate(sheets.load(frames), version=version)
    assert len(checked.sheets) == len(SHEET_RESOURCES)
    assert checked.issues.empty, checked.issues["message"].to_list()


@pytest.mark.parametrize(
    ("since", "until", "known", "words"),
    [
        pytest.param("2017-09-01", None, set(API_VERSIONS), "2017-09-01 and later do", id="always"),
        pytest.param("2026-02-01", None, {"2026-02-01"}, "2026-02-01 and later do", id="newest"),
        pytest.param("2017-09-01", "2018-05-01", set(API_VERSIONS[:2]), "2017-09-01 to 2018-05-01 do", id="ended"),
        pytest.param("2018-11-01", "2018-11-01", {"2018-11-01"}, "2018-11-01 does", id="one-only"),
    ],
)
def test_known_in(since: str, until: str | None, known: set[str], words: str) -> None:
    """A field is known from its first to its last version, both included, and says so in words."""
    field = replace(PROMO_NUMBERS.by_path["description"], since=since, until=until)
    assert {version for version in API_VERSIONS if field.is_known_in(version)} == known
    assert field.versions_text == words


def test_places() -> None:
    """States and provinces are two letters each, and no two share a name; no time zone stands twice."""
    assert all(re.fullmatch("[A-Z]{2}", code) for code in regions.STATES)
    assert len(set(regions.STATES.values())) == len(regions.STATES) == 50 + 1 + 5 + 13
    assert len(set(regions.TIME_ZONES)) == len(regions.TIME_ZONES)


# Headers


def spelt(title: str, separators: list[str], upper: list[bool]) -> str:
    """A title with other separators and another case."""
    chars = [separators[at % len(separators)] if char in "_ -" else char for at, char in enumerate(title)]
    return "".join(char.upper() if upper[at % len(upper)] else char for at, char in enumerate(chars))


#: Names, since hypothesis shows what it has chosen.
TITLES = [
    (resource.name, field.path, title)
    for resource, field in FIELDS
    for title in (field.path, *field.aliases)
    if not title.endswith("*")
]
SEPARATORS = st.lists(
    st.sampled_from(["_", " ", "-", ".", "", "\u2010", "\u00ad_", "  ", "\n"]), min_size=1, max_size=5
)


@given(
    named=st.sampled_from(TITLES),
    separators=SEPARATORS,
    upper=st.lists(st.booleans(), min_size=1, max_size=5),
    number=st.integers(1, 999),
    around=st.sampled_from(["", " ", "\u00a0", "\n"]),
)
def test_spelling(
    named: tuple[str, str, str], separators: list[str], upper: list[bool], number: int, around: str
) -> None:
    """A header is found in any case, with spaces, dashes, dots or nothing for underscores, numbered, by alias too.

    A number that it leaves out is 1, so that an alias may leave out that of the address.
    """
    resource, path, title = named
    header = f"{around}{spelt(title.replace('#', str(number)), separators, upper)}{around}"
    column = SHEET_RESOURCES[resource].column_for(header)
    assert column is not None
    assert column.field.path == path
    left_out = path.count("#") - title.count("#")
    assert column.path == path.replace("#", str(number), path.count("#") - left_out).replace("#", "1")
    assert column.header == header


@given(named=st.sampled_from([one for one in TITLES if "#" in one[2]]), separators=SEPARATORS)
def test_header_without_numbers(named: tuple[str, str, str], separators: list[str]) -> None:
    """Where rows repeat their object, a user or a site each, no number is needed: `users.first_name` is the first."""
    resource, path, title = named
    column = SHEET_RESOURCES[resource].column_for(spelt(title.replace(".#", ""), separators, [False]))
    assert column is not None
    assert column.path == path.replace("#", "1")


@pytest.mark.parametrize(
    ("resource", "header", "path"),
    [
        pytest.param(ADVERTISERS, "advertiser_name", "name", id="advertiser-name"),
        pytest.param(ADVERTISERS, "advertiser_id_from_network", "id_from_network", id="advertiser-id"),
        pytest.param(
            PROMO_NUMBERS,
            "campaign_id_from_network",
            "advertiser_campaign_id_from_network",
            id="campaign-id-in-the-wild",
        ),
        pytest.param(PROMO_NUMBERS, "Campaign ID", "advertiser_campaign_id_from_network", id="campaign-id"),
        pytest.param(PROMO_NUMBERS, "Zip Code", "local_center.zipcode", id="zip-code"),
        pytest.param(PROMO_NUMBERS, "Area-Code", "local_center.tn_prefix", id="area-code"),
        pytest.param(PROMO_NUMBERS, "Media", "media_type", id="media"),
        pytest.param(PROMO_NUMBERS, "Local Center TN Prefix", "local_center.tn_prefix", id="no-dot"),
        pytest.param(PROMO_NUMBERS, "Qty.", "quantity", id="qty"),
        pytest.param(PROMO_NUMBERS, "Count", "quantity", id="count"),
        pytest.param(PROMO_NUMBERS, "Hours of Operation Open 24/7", None, id="a-slash-separates-nothing"),
        pytest.param(
            PROMO_NUMBERS, "Hours Of Operation Open 24 7", "hours_of_operation.open_24_7", id="a-number-in-a-name"
        ),
        pytest.param(PROMO_NUMBERS, "Own ID", "id_from_network", id="own-id"),
        pytest.param(PROMO_NUMBERS, "Result Status", "result_status", id="our-own"),
        pytest.param(ADVERTISERS, "Users.1.First Name", "users.1.first_name", id="numbered"),
        pytest.param(ADVERTISERS, "Users 1 First Name", "users.1.first_name", id="numbered-without-dots"),
        pytest.param(
            ADVERTISERS,
            "users_2_email_settings_11_email_address",
            "users.2.email_settings.11.email_address",
            id="numbered-twice-without-dots",
        ),
        pytest.param(ADVERTISERS, "users.#.first_name", None, id="a-place-for-a-number"),
        pytest.param(ADVERTISERS, "users.007.role", "users.7.role", id="leading-zeros"),
        pytest.param(
            ADVERTISERS,
            "users.2.email_settings.11.email_address",
            "users.2.email_settings.11.email_address",
            id="numbered-twice",
        ),
        pytest.param(PROMO_NUMBERS, "custom_data.channel", "custom_data.channel", id="custom"),
        pytest.param(PROMO_NUMBERS, "Custom Data.Channel", "custom_data.Channel", id="custom-keeps-the-keys-case"),
        pytest.param(PROMO_NUMBERS, "custom_data. a_b-c ", "custom_data.a_b-c", id="custom-keeps-the-keys-dashes"),
        pytest.param(PROMO_NUMBERS, "custom_data.a.b", "custom_data.a.b", id="custom-with-a-dot"),
        pytest.param(PROMO_NUMBERS, "custom_data.[]", "custom_data.[]", id="custom-brackets"),
        pytest.param(PROMO_NUMBERS, "custom_data.{}", "custom_data.{}", id="custom-braces"),
        pytest.param(PROMO_NUMBERS, "custom_data.1", "custom_data.1", id="custom-number"),
        pytest.param(PROMO_NUMBERS, "custom_data", None, id="custom-without-a-dot"),
        pytest.param(PROMO_NUMBERS, "custom_data.", None, id="custom-without-a-key"),
        pytest.param(PROMO_NUMBERS, "custom_data. \u00a0", None, id="custom-with-a-blank-key"),
        pytest.param(PROMO_NUMBERS, "users.1.first_name", None, id="of-another-resource"),
        pytest.param(ADVERTISERS, "users.999999999999.first_name", None, id="number-beyond-counting"),
        pytest.param(ADVERTISERS, f"users.{'9' * 5_000}.first_name", None, id="number-beyond-int"),
        pytest.param(ADVERTISERS, "users.\u0661.first_name", None, id="other-digits"),
        pytest.param(ADVERTISERS, "users.first_name", "users.1.first_name", id="number-missing"),
        pytest.param(ADVERTISERS, "users.email", "users.1.email_settings.1.email_address", id="email-of-the-first"),
        pytest.param(ADVERTISERS, "users.3.email", "users.3.email_settings.1.email_address", id="email-numbered"),
        pytest.param(
            ADVERTISERS,
            "users.email_settings.2.email_address",
            "users.1.email_settings.2.email_address",
            id="second-address-of-the-first",
        ),
        pytest.param(ADVERTISERS, "Users Phone", "users.1.contact_phone_number", id="phone-of-the-first"),
        pytest.param(ADVERTISERS, "email", None, id="whose-email"),
        pytest.param(ADVERTISERS, "sites.pid", "sites.1.id_from_network", id="pid"),
        pytest.param(SHEET_RESOURCES["users"], "Email", "email_settings.1.email_address", id="email-on-its-own-sheet"),
        pytest.param(SHEET_RESOURCES["users"], "phone", "contact_phone_number", id="phone-on-its-own-sheet"),
        pytest.param(SHEET_RESOURCES["users"], "phone_number", "contact_phone_number", id="phone-as-it-is-read"),
        pytest.param(SHEET_RESOURCES["users"], "advertiser_id", "advertiser_id_from_network", id="parent"),
        pytest.param(SHEET_RESOURCES["users"], "user_id", "id_from_network", id="user-id"),
        pytest.param(
            SHEET_RESOURCES["users"], "users.1.first_name", None, id="path-of-the-whole-on-the-sheet-of-a-part"
        ),
        pytest.param(SHEET_RESOURCES["sites"], "PID", "id_from_network", id="pid-on-its-own-sheet"),
        pytest.param(SHEET_RESOURCES["sites"], "first_name", None, id="of-another-part"),
        pytest.param(ADVERTISERS, "users.-1.first_name", None, id="number-negative"),
        pytest.param(ADVERTISERS, "users.1.name", None, id="no-such-leaf"),
        pytest.param(PROMO_NUMBERS, "", None, id="empty"),
        pytest.param(PROMO_NUMBERS, ".", None, id="dot"),
        pytest.param(PROMO_NUMBERS, "...", None, id="dots"),
        pytest.param(PROMO_NUMBERS, "_-_", None, id="only-separators"),
        pytest.param(PROMO_NUMBERS, "\ud800", None, id="surrogate"),
        pytest.param(PROMO_NUMBERS, "x" * 200_000, None, id="huge"),
    ],
)
def test_header(resource: Resource, header: str, path: str | None) -> None:
    """Each of these headers names its column, or none."""
    column = resource.column_for(header)
    assert (column.path if column else None) == path


@given(header=st.text() | st.text(alphabet="custom_data.users#*19 "))
def test_any_header(header: str) -> None:
    """No header breaks the search, and the path that it finds belongs to the field."""
    for resource in SHEET_RESOURCES.values():
        column = resource.column_for(header)
        assert column is None or resource.by_path[paths.to_pattern(column.path)] is column.field


# Scopes


IDS = {"advertiser_id_from_network": "A{0}/..", "advertiser_campaign_id_from_network": "C %2F"}


@pytest.mark.parametrize(
    ("values", "scope"),
    [
        pytest.param(IDS, ("advertisers", "A{0}/..", "advertiser_campaigns", "C %2F"), id="advertiser-campaign"),
        pytest.param(
            IDS | {"affiliate_id_from_network": "F"},
            ("advertisers", "A{0}/..", "advertiser_campaigns", "C %2F", "affiliates", "F", "affiliate_campaigns"),
            id="affiliate-campaign",
        ),
        pytest.param(
            IDS | {"affiliate_id_from_network": ""},
            ("advertisers", "A{0}/..", "advertiser_campaigns", "C %2F"),
            id="affiliate-blank",
        ),
    ],
)
def test_scope(values: dict[str, str], scope: tuple[str, ...]) -> None:
    """The ids of a row fill the address as they are, each in a part of its own."""
    assert PROMO_NUMBERS.scope_for(values) == scope


@pytest.mark.parametrize("missing", IDS)
def test_scope_without_ids(missing: str) -> None:
    """A row without an id has no address, rather than half a one."""
    with pytest.raises(KeyError):
        PROMO_NUMBERS.scope_for({name: value for name, value in IDS.items() if name != missing})


# Outcomes


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        *(pytest.param(one.value, one, id=one.value) for one in Outcome),
        pytest.param("Unknown", Outcome.UNKNOWN, id="case"),
        pytest.param(" created\u00a0", Outcome.CREATED, id="space"),
        pytest.param("un\u00adknown", Outcome.UNKNOWN, id="soft-hyphen"),
        pytest.param("", None, id="blank"),
        pytest.param("todo", None, id="no-outcome"),
    ],
)
def test_outcome_of(text: str, outcome: Outcome | None) -> None:
    """A status is known again although a spreadsheet or a hand has touched it."""
    assert parse_outcome(text) is outcome


def test_outcomes_are_explained() -> None:
    """Every outcome has its meaning and what to do; only done ones and unknown are never sent again."""
    assert OUTCOME_HELP.keys() == set(Outcome)
    assert set(Outcome) - SUCCESS_OUTCOMES == {
        Outcome.INVALID,
        Outcome.REJECTED,
        Outcome.FAILED,
        Outcome.UNKNOWN,
        Outcome.NOT_SENT,
    }
