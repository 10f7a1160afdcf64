"""What is compared: steps that look the same, and the numbers that fit them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from invoca_bulk.schema import PROMO_NUMBERS, field_types, paths, payloads
from invoca_bulk.validation import strip_country_code

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from invoca_bulk.execution.matching.model import PendingRequest
    from invoca_bulk.schema import Field
    from invoca_bulk.schema.field_types import Json

#: One value that was asked for or is shown: its path and its canonical form as JSON.
Fact: TypeAlias = tuple[str, str]
Facts: TypeAlias = frozenset[Fact]

_NUMBER = PROMO_NUMBERS.by_path["promo_number"]


class ListedNumber(NamedTuple):
    """One listed object: its number in one form (empty: it has none), what it shows, and the object itself."""

    number: str
    facts: Facts
    platform_object: Mapping[str, Json]

    @property
    def display_number(self) -> str:
        """The number as the platform writes it."""
        return str(self.platform_object.get("promo_number"))


def parse_listed_number(platform_object: Mapping[str, Json]) -> ListedNumber:
    """One of the platform's objects."""
    return ListedNumber(
        number=_normalize_number(platform_object.get("promo_number") or ""),
        facts=_extract_facts(platform_object),
        platform_object=platform_object,
    )


def collect_paths(compared: Iterable[ListedNumber | RequestGroup]) -> frozenset[str]:
    """The paths of all the values that are shown, or asked for."""
    return frozenset(path for one in compared for path, _ in one.facts)


def _normalize_number(number: str | int) -> str:
    """A number in the one form in which numbers are compared; empty stays empty."""
    text = str(number)
    # Nearly all look like this already, and to read a phone number is dear.
    if not text or re.fullmatch(r"[2-9][0-9]{9}", text):
        return text
    return strip_country_code(str(payloads.normalize_value(_NUMBER, text)))


def _extract_facts(tree: Mapping[str, Json]) -> Facts:
    """The values of an object that a request could have asked for; blank ones ask for nothing and show nothing."""
    facts: dict[str, Json] = {}
    records: dict[str, dict[str, dict[str, Json]]] = {}
    for path, value in payloads.flatten_object(tree):
        pattern = paths.to_pattern(path)
        known = PROMO_NUMBERS.by_path.get(pattern)
        form = _comparable_value(known, value) if known and known.is_sent else None
        if form is None:
            continue
        parent, is_record, _ = pattern.partition(".#.")
        if is_record:
            number, _, leaf = path.removeprefix(f"{parent}.").partition(".")
            records.setdefault(parent, {}).setdefault(number, {})[leaf] = form
        else:
            facts[path] = form
    # A list of records is one fact, whatever its order: shown entries that were not sent would be another schedule.
    facts |= {parent: sorted(map(_canonical_json, some.values())) for parent, some in records.items()}
    return frozenset((path, _canonical_json(form)) for path, form in facts.items())


def _comparable_value(field: Field, value: Json) -> Json:
    """A value as it is compared; the documentation shows accounts with dashes and without."""
    form = payloads.normalize_value(field, value)
    return form.replace("-", "") if field.field_type is field_types.ADS_ACCOUNT and isinstance(form, str) else form


def _canonical_json(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


# Steps that look the same, and the numbers that fit them


class KeyedRequest(NamedTuple):
    """A step and the text of its body."""

    body_key: str
    pending: PendingRequest[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestGroup:
    """Steps that no number can tell apart: they ask for the same as far as it is shown, against the same baseline."""

    facts: Facts
    baseline: frozenset[str]
    keyed_requests: tuple[KeyedRequest, ...]

    @cached_property
    def body_keys(self) -> frozenset[str]:
        """The different bodies of its steps."""
        return frozenset(one.body_key for one in self.keyed_requests)


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberGroup:
    """Numbers that fit the same looks."""

    numbers: tuple[ListedNumber, ...]
    request_groups: tuple[RequestGroup, ...]


def group_requests(pending: Iterable[PendingRequest[Any]], shown_paths: Collection[str]) -> list[RequestGroup]:
    """The steps by their looks, in the order of the first step of each.

    Args:
        pending: the steps.
        shown_paths: what the platform shows of any number; all else says nothing.
    """
    baselines: dict[frozenset[str], frozenset[str]] = {}
    facts: dict[str, Facts] = {}
    found: dict[tuple[Facts, frozenset[str]], list[KeyedRequest]] = {}
    for one in pending:
        if one.baseline not in baselines:
            baselines[one.baseline] = frozenset(map(_normalize_number, one.baseline))
        request = _canonical_json(one.body)
        if request not in facts:
            facts[request] = frozenset(fact for fact in _extract_facts(one.body) if fact[0] in shown_paths)
        found.setdefault((facts[request], baselines[one.baseline]), []).append(KeyedRequest(request, one))
    return [
        RequestGroup(facts=facts, baseline=base, keyed_requests=tuple(steps)) for (facts, base), steps in found.items()
    ]


def find_unattributed(
    listed: Iterable[ListedNumber], request_groups: Iterable[RequestGroup], attributed_numbers: Iterable[str]
) -> list[ListedNumber]:
    """Each number once that no answer has named and that some run did not find there when it began."""
    known = frozenset.intersection(*(look.baseline for look in request_groups)).union(
        map(_normalize_number, attributed_numbers)
    )
    return list({one.number: one for one in listed if one.number and one.number not in known}.values())


def group_numbers(numbers: Sequence[ListedNumber], request_groups: Sequence[RequestGroup]) -> list[NumberGroup]:
    """The numbers by the looks that they fit; those that fit none are a group as well."""
    compared = collect_paths(request_groups)
    facts = {one.number: frozenset(fact for fact in one.facts if fact[0] in compared) for one in numbers}
    fitting = _find_fitting_groups(set(facts.values()), request_groups)
    found: dict[tuple[RequestGroup, ...], list[ListedNumber]] = {}
    for one in numbers:
        fits = tuple(look for look in fitting[facts[one.number]] if one.number not in look.baseline)
        found.setdefault(fits, []).append(one)
    return [NumberGroup(numbers=tuple(some), request_groups=fits) for fits, some in found.items()]


def _find_fitting_groups(
    shown_facts: Collection[Facts], request_groups: Iterable[RequestGroup]
) -> Mapping[Facts, list[RequestGroup]]:
    """What numbers show to the looks that ask for no more than that; an index, as there may be thousands of both."""
    showing: dict[Fact, set[Facts]] = defaultdict(set)
    for facts in shown_facts:
        for fact in facts:
            showing[fact].add(facts)
    fitting: dict[Facts, list[RequestGroup]] = {facts: [] for facts in shown_facts}
    for look in request_groups:
        candidates = sorted((showing.get(fact, set()) for fact in look.facts), key=len) or [set(shown_facts)]
        for facts in set.intersection(*candidates):
            fitting[facts].append(look)
    return fitting
