"""The table is consistent, and finds its columns by any spelling of a header.

Facts about the platform are in `tests/contract`.
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
from invoca_bulk.schema.outcomes import OUTCOME_HELP, SUCCESS_OUTCOMES, Outcome, parse_outcome
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS

if TYPE_CHECKING:
    from invoca_bulk.schema import Field, Resource

each_resource = pytest.mark.parametrize(
    "resource", [pytest.param(resource, id=name) for name, resource in SHEET_RESOURCES.items()]
)
FIELDS = [(resource, field) for resource in SHEET_RESOURCES.values() for field in resource.fields]
each_field = pytest.mark.parametrize(
    ("resource", "field"), [pytest.param(*pair, id=f"{pair[0].name}-{pair[1].path}") for pair in FIELDS]
)

# Consistency of the table


@each_field
def test_default(resource: Resource, field: Field) -> None:
    """The field's help names its default, which is a valid value."""
    if field.default is not None:
        assert resource.name in {"advertisers", "users"}
        text = field.field_type.to_text(field.default)
        assert f"the platform's default is {text}." in field.help
        assert field.field_type.parse_cell(text).value == field.default


@each_resource
def test_names_are_unique(resource: Resource) -> None:
    """No header means two fields, by path or alias, in any spelling."""
    names_and_paths = {
        (fold_header(name), field.path) for field in resource.fields for name in (field.path, *field.aliases)
    }
    names = [name for name, _ in names_and_paths]
    assert sorted(names) == sorted(set(names))


@each_field
def test_field(resource: Resource, field: Field) -> None:
    """A field's versions exist, its help is a sentence, and no read-only field is required."""
    assert field.since in API_VERSIONS
    assert field.until is None or field.until in API_VERSIONS
    assert field.is_known_in(field.since)
    assert field.help.endswith(".")
    assert not (field.read_only and field.required_on)
    # [] removes a record from a list within a record, such as the second email address.
    in_list = field.path.count("#") > (0 if resource.is_subresource else 1)
    assert in_list or not (field.required_on and field.clearable), "[] in a required cell would send nothing for it"
    assert field.role is Role.BODY or not field.clearable or field in OUTPUT_FIELDS
    assert resource.by_path[paths.to_pattern(field.path)] is field


@each_resource
def test_rules_name_fields(resource: Resource) -> None:
    """The fields of a rule exist; a misspelt field would disable the rule."""
    assert {name for rule in resource.rules for name in rule.fields} <= resource.by_path.keys()


@each_resource
def test_presence_only_fields(resource: Resource) -> None:
    """For the `presence_only` fields of a rule, True gives the same problems as any value."""
    for rule in resource.rules:
        assert set(rule.presence_only) <= set(rule.fields)
        for names in chain.from_iterable(combinations(rule.fields, count) for count in (1, 2, 3)):
            for texts in product(*([*resource.by_path[name].field_type.choices[:4], "7"] for name in names)):
                values = {name.replace("#", "1"): text for name, text in zip(names, texts, strict=True)}
                values |= {"quantity": 7} if "quantity" in values else {}
                masked = {path: paths.to_pattern(path) in rule.presence_only or value for path, value in values.items()}
                assert list(rule.check(masked)) == list(rule.check(values))


@each_resource
def test_scopes_and_collections_name_fields(resource: Resource) -> None:
    """The placeholders of path templates are path fields, and collections are keyed by fields."""
    parts = chain.from_iterable(resource.path_templates)
    placeholders = {name for part in parts for _, name, _, _ in Formatter().parse(part) if name}
    assert placeholders == {field.path for field in resource.fields if field.role is Role.PATH}
    assert {collection.identifier_field for collection in resource.collections} <= resource.by_path.keys()
    assert {collection.since for collection in resource.collections} <= set(API_VERSIONS)


def test_subresources_have_the_fields_of_their_resource() -> None:
    """Users and sites have the same fields on their own sheet as in the columns of their advertiser."""
    for resource in RESOURCES.values():
        for subresource in resource.subresources:
            nested_fields = {
                field.path.removeprefix(f"{subresource.name}.#."): _facts(field)
                for field in resource.fields
                if field.path.startswith(f"{subresource.name}.#.")
            }
            own_fields = {
                field.path: _facts(field)
                for field in subresource.fields
                if field.role not in {Role.PARENT, Role.RESULT}
            }
            assert own_fields == nested_fields
            assert [field.role for field in subresource.fields].count(Role.PARENT) == 1
            assert subresource.is_subresource
            assert not resource.is_subresource


def _facts(field: Field) -> tuple[object, ...]:
    return field.field_type, field.required_on, field.since, field.until, field.role


def test_sheet_order() -> None:
    """Advertisers come first, then their sites and users, then promo numbers."""
    assert list(SHEET_RESOURCES) == ["advertisers", "sites", "users", "promo_numbers"]


@each_resource
def test_identifier_is_a_field(resource: Resource) -> None:
    """The identifier of a resource is one of its fields."""
    assert resource.identifier_field in resource.by_path


def test_every_action_has_its_verb() -> None:
    """Every action has an operation of the platform."""
    assert set(Action) | {"list", "read"} == OPERATIONS.keys()


def test_versions_are_in_order() -> None:
    """Versions are ISO dates, which compare as texts, oldest first."""
    assert list(API_VERSIONS) == sorted(API_VERSIONS)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", version) for version in API_VERSIONS)
    assert DEFAULT_API_VERSION in API_VERSIONS


@pytest.mark.parametrize("version", API_VERSIONS)
def test_examples(version: str) -> None:
    """The template's examples are valid in every version and need no cleaning."""
    frames = {name: pd.DataFrame(list(resource.examples)).fillna("") for name, resource in SHEET_RESOURCES.items()}
    validated_book = validation.validate(sheets.load(frames), version=version)
    assert len(validated_book.sheets) == len(SHEET_RESOURCES)
    assert set(validated_book.issues["code"]) == {"row_example"}, validated_book.issues["message"].to_list()


@pytest.mark.parametrize(
    ("since", "until", "versions", "words"),
    [
        pytest.param("2017-09-01", None, set(API_VERSIONS), "2017-09-01 and later do", id="always"),
        pytest.param("2026-02-01", None, {"2026-02-01"}, "2026-02-01 and later do", id="newest"),
        pytest.param("2017-09-01", "2018-05-01", set(API_VERSIONS[:2]), "2017-09-01 to 2018-05-01 do", id="ended"),
        pytest.param("2018-11-01", "2018-11-01", {"2018-11-01"}, "2018-11-01 does", id="one-only"),
    ],
)
def test_known_in(since: str, until: str | None, versions: set[str], words: str) -> None:
    """A field is known from its first to its last version, both included, and describes this range."""
    field = replace(PROMO_NUMBERS.by_path["description"], since=since, until=until)
    assert {version for version in API_VERSIONS if field.is_known_in(version)} == versions
    assert field.versions_text == words


def test_regions() -> None:
    """State and province codes have two letters, no two share a name, and time zones are unique."""
    assert all(re.fullmatch("[A-Z]{2}", code) for code in regions.STATES)
    assert len(set(regions.STATES.values())) == len(regions.STATES) == 50 + 1 + 5 + 13
    assert len(set(regions.TIME_ZONES)) == len(regions.TIME_ZONES)


# Headers


def spelt(title: str, separators: list[str], upper: list[bool]) -> str:
    """A title with other separators and another case."""
    chars = [separators[index % len(separators)] if char in "_ -" else char for index, char in enumerate(title)]
    return "".join(char.upper() if upper[index % len(upper)] else char for index, char in enumerate(chars))


#: Names instead of objects, because Hypothesis prints its choice.
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
    choice=st.sampled_from(TITLES),
    separators=SEPARATORS,
    upper=st.lists(st.booleans(), min_size=1, max_size=5),
    number=st.integers(1, 999),
    around=st.sampled_from(["", " ", "\u00a0", "\n"]),
)
def test_spelling(
    choice: tuple[str, str, str], separators: list[str], upper: list[bool], number: int, around: str
) -> None:
    """Headers match in any case, with spaces, dashes, dots or nothing for underscores, numbered, and by alias.

    A number that the header omits is 1, such as that of the email address in an alias.
    """
    resource, path, title = choice
    header = f"{around}{spelt(title.replace('#', str(number)), separators, upper)}{around}"
    column = SHEET_RESOURCES[resource].column_for(header)
    assert column is not None
    assert column.field.path == path
    left_out = path.count("#") - title.count("#")
    assert column.path == path.replace("#", str(number), path.count("#") - left_out).replace("#", "1")
    assert column.header == header


@given(choice=st.sampled_from([title for title in TITLES if "#" in title[2]]), separators=SEPARATORS)
def test_header_without_numbers(choice: tuple[str, str, str], separators: list[str]) -> None:
    """A header without a number means the first record: `users.first_name` where each user has a row."""
    resource, path, title = choice
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
        pytest.param(ADVERTISERS, "users.#.first_name", None, id="placeholder-for-a-number"),
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
        pytest.param(SHEET_RESOURCES["users"], "users.1.first_name", None, id="nested-path-on-the-users-sheet"),
        pytest.param(SHEET_RESOURCES["sites"], "PID", "id_from_network", id="pid-on-its-own-sheet"),
        pytest.param(SHEET_RESOURCES["sites"], "first_name", None, id="of-another-subresource"),
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
    """Each header matches the expected column, or none."""
    column = resource.column_for(header)
    assert (column.path if column else None) == path


@given(header=st.text() | st.text(alphabet="custom_data.users#*19 "))
def test_any_header(header: str) -> None:
    """Any header is handled, and the path of its column belongs to the field."""
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
    """The ids of a row fill the path unchanged, each in its own part."""
    assert PROMO_NUMBERS.scope_for(values) == scope


@pytest.mark.parametrize("missing", IDS)
def test_scope_without_ids(missing: str) -> None:
    """A row without an id raises an error instead of giving an incomplete path."""
    with pytest.raises(KeyError):
        PROMO_NUMBERS.scope_for({name: value for name, value in IDS.items() if name != missing})


# Outcomes


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        *(pytest.param(outcome.value, outcome, id=outcome.value) for outcome in Outcome),
        pytest.param("Unknown", Outcome.UNKNOWN, id="case"),
        pytest.param(" created\u00a0", Outcome.CREATED, id="space"),
        pytest.param("un\u00adknown", Outcome.UNKNOWN, id="soft-hyphen"),
        pytest.param("", None, id="blank"),
        pytest.param("todo", None, id="no-outcome"),
    ],
)
def test_parse_outcome(text: str, outcome: Outcome | None) -> None:
    """A status is recognized although a spreadsheet or a person has changed its spelling."""
    assert parse_outcome(text) is outcome


def test_outcomes_are_explained() -> None:
    """Every outcome has a meaning and a next step, and the set of successful outcomes is complete."""
    assert OUTCOME_HELP.keys() == set(Outcome)
    assert set(Outcome) - SUCCESS_OUTCOMES == {
        Outcome.INVALID,
        Outcome.REJECTED,
        Outcome.FAILED,
        Outcome.UNKNOWN,
        Outcome.NOT_SENT,
    }


@pytest.mark.parametrize(
    "title", ["Media Type", "* media_type:", " MEDIA-TYPE (required) (req)*", "media type ( optional )"]
)
def test_marks_around_a_title_do_not_matter(title: str) -> None:
    """Stars, colons and words such as required are no part of a title."""
    assert fold_header(title) == "mediatype"


def test_long_cells_above_a_header_are_folded_at_once() -> None:
    """Thousands of spaces within a text are passed once, and not from each of them anew."""
    assert fold_header("a" + " " * 130_000 + "b*") == "ab"
