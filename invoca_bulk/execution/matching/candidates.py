"""Groups of indistinguishable requests, and the listed numbers that fit them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeAlias

from invoca_bulk.execution.matching.model import PendingRequest
from invoca_bulk.schema import PROMO_NUMBERS, Field, field_types, paths, payloads
from invoca_bulk.schema.field_types import Json
from invoca_bulk.validation import strip_country_code

#: A requested or listed value: its path and its canonical JSON.
Fact: TypeAlias = tuple[str, str]
Facts: TypeAlias = frozenset[Fact]

_NUMBER = PROMO_NUMBERS.by_path["promo_number"]


class ListedNumber(NamedTuple):
    """A listed object, with its normalized number (empty: it has none) and its values."""

    number: str
    facts: Facts
    platform_object: Mapping[str, Json]

    @property
    def display_number(self) -> str:
        """The number as the platform writes it."""
        return str(self.platform_object.get("promo_number"))


def parse_listed_number(platform_object: Mapping[str, Json]) -> ListedNumber:
    """Extract the number and the values of one of the platform's objects."""
    number = _normalize_number(platform_object.get("promo_number") or "")
    return ListedNumber(number, _extract_facts(platform_object), platform_object)


def collect_paths(compared: Iterable[ListedNumber | RequestGroup]) -> frozenset[str]:
    """The paths of all values that the numbers show or the requests ask for."""
    return frozenset(path for item in compared for path, _ in item.facts)


def _normalize_number(number: str | int) -> str:
    """A number in the form that is compared: national, digits only; empty stays empty."""
    text = str(number)
    # Almost all numbers have this form already, and parsing a phone number is slow.
    if not text or re.fullmatch(r"[2-9][0-9]{9}", text):
        return text
    return strip_country_code(str(payloads.normalize_value(_NUMBER, text)))


def _extract_facts(tree: Mapping[str, Json]) -> Facts:
    """The writable values of an object; blank values are left out."""
    facts: dict[str, Json] = {}
    records: dict[str, dict[str, dict[str, Json]]] = {}
    for path, value in payloads.flatten_object(tree):
        pattern = paths.to_pattern(path)
        field = PROMO_NUMBERS.by_path.get(pattern)
        comparable = _comparable_value(field, value) if field and field.is_sent else None
        if comparable is None:
            continue
        parent, is_record, _ = pattern.partition(".#.")
        if is_record:
            number, _, leaf = path.removeprefix(f"{parent}.").partition(".")
            records.setdefault(parent, {}).setdefault(number, {})[leaf] = comparable
        else:
            facts[path] = comparable
    # A list of records, in any order, is one fact: additional entries make it a different schedule.
    facts |= {parent: sorted(map(_canonical_json, entries.values())) for parent, entries in records.items()}
    return frozenset((path, _canonical_json(comparable)) for path, comparable in facts.items())


def _comparable_value(field: Field, value: Json) -> Json:
    """A value in the form that is compared; the documentation shows accounts with and without dashes."""
    normalized = payloads.normalize_value(field, value)
    is_account = field.field_type is field_types.ADS_ACCOUNT and isinstance(normalized, str)
    return normalized.replace("-", "") if is_account else normalized


def _canonical_json(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


class KeyedRequest(NamedTuple):
    """A request and its body as canonical JSON."""

    body_key: str
    pending: PendingRequest


@dataclass(frozen=True, kw_only=True, eq=False)
class RequestGroup:
    """Requests that no number can distinguish: the same values where the platform shows them, and the same baseline."""

    facts: Facts
    baseline: frozenset[str]
    keyed_requests: tuple[KeyedRequest, ...]

    @cached_property
    def body_keys(self) -> frozenset[str]:
        """The distinct bodies of its requests."""
        return frozenset(request.body_key for request in self.keyed_requests)


@dataclass(frozen=True, kw_only=True, eq=False)
class NumberGroup:
    """Numbers that fit the same request groups."""

    numbers: tuple[ListedNumber, ...]
    request_groups: tuple[RequestGroup, ...]


def group_requests(pending: Iterable[PendingRequest], shown_paths: Collection[str]) -> list[RequestGroup]:
    """Group indistinguishable requests, in the order of the first request of each group.

    Only the values are compared that the platform shows for at least one number.
    """
    baselines: dict[frozenset[str], frozenset[str]] = {}
    facts_by_body: dict[str, Facts] = {}
    groups: dict[tuple[Facts, frozenset[str]], list[KeyedRequest]] = {}
    for request in pending:
        if request.baseline not in baselines:
            baselines[request.baseline] = frozenset(map(_normalize_number, request.baseline))
        body_key = _canonical_json(request.body)
        if body_key not in facts_by_body:
            facts_by_body[body_key] = frozenset(fact for fact in _extract_facts(request.body) if fact[0] in shown_paths)
        group_key = facts_by_body[body_key], baselines[request.baseline]
        groups.setdefault(group_key, []).append(KeyedRequest(body_key, request))
    return [
        RequestGroup(facts=facts, baseline=baseline, keyed_requests=tuple(requests))
        for (facts, baseline), requests in groups.items()
    ]


def find_unattributed(
    listed: Iterable[ListedNumber], request_groups: Iterable[RequestGroup], attributed_numbers: Iterable[str]
) -> list[ListedNumber]:
    """The distinct numbers that no response has named and that are not in the baselines of all groups."""
    old_numbers = frozenset.intersection(*(group.baseline for group in request_groups))
    known_numbers = old_numbers.union(map(_normalize_number, attributed_numbers))
    return list({item.number: item for item in listed if item.number and item.number not in known_numbers}.values())


def group_numbers(numbers: Sequence[ListedNumber], request_groups: Sequence[RequestGroup]) -> list[NumberGroup]:
    """Group the numbers by the request groups that they fit; those that fit none form a group as well."""
    requested_paths = collect_paths(request_groups)
    facts = {item.number: frozenset(fact for fact in item.facts if fact[0] in requested_paths) for item in numbers}
    fitting = _find_fitting_groups(set(facts.values()), request_groups)
    numbers_by_groups: dict[tuple[RequestGroup, ...], list[ListedNumber]] = {}
    for item in numbers:
        groups = tuple(group for group in fitting[facts[item.number]] if item.number not in group.baseline)
        numbers_by_groups.setdefault(groups, []).append(item)
    return [NumberGroup(numbers=tuple(members), request_groups=groups) for groups, members in numbers_by_groups.items()]


def _find_fitting_groups(
    shown_facts: Collection[Facts], request_groups: Iterable[RequestGroup]
) -> Mapping[Facts, list[RequestGroup]]:
    """Shown facts to the request groups that ask for no more than these; indexed, as there may be thousands of both."""
    facts_by_fact: dict[Fact, set[Facts]] = defaultdict(set)
    for facts in shown_facts:
        for fact in facts:
            facts_by_fact[fact].add(facts)
    fitting: dict[Facts, list[RequestGroup]] = {facts: [] for facts in shown_facts}
    for group in request_groups:
        candidates = sorted((facts_by_fact.get(fact, set()) for fact in group.facts), key=len) or [set(shown_facts)]
        for facts in set.intersection(*candidates):
            fitting[facts].append(group)
    return fitting
