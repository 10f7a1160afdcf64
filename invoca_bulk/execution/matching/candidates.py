"""What is compared: steps that look the same, and the numbers that fit them."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from invoca_bulk.schema import PROMO_NUMBERS, field_types, paths, payloads
from invoca_bulk.validation import national

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from invoca_bulk.execution.matching.model import Doubted
    from invoca_bulk.schema import Field
    from invoca_bulk.schema.field_types import Json

#: One value that was asked for or is shown: its path and its canonical form as JSON.
Fact: TypeAlias = tuple[str, str]
Facts: TypeAlias = frozenset[Fact]

_NUMBER = PROMO_NUMBERS.by_path["promo_number"]


class Seen(NamedTuple):
    """One listed object: its number in one form (empty: it has none), what it shows, and the object itself."""

    number: str
    facts: Facts
    shown: Mapping[str, Json]

    @property
    def text(self) -> str:
        """The number as the platform writes it."""
        return str(self.shown.get("promo_number"))


def seen_as(shown: Mapping[str, Json]) -> Seen:
    """One of the platform's objects."""
    return Seen(number=_plain(shown.get("promo_number") or ""), facts=_facts(shown), shown=shown)


def paths_of(compared: Iterable[Seen | Look]) -> frozenset[str]:
    """The paths of all the values that are shown, or asked for."""
    return frozenset(path for one in compared for path, _ in one.facts)


def _plain(number: str | int) -> str:
    """A number in the one form in which numbers are compared; empty stays empty."""
    text = str(number)
    # Nearly all look like this already, and to read a phone number is dear.
    if not text or re.fullmatch(r"[2-9][0-9]{9}", text):
        return text
    return national(str(payloads.canonical(_NUMBER, text)))


def _facts(tree: Mapping[str, Json]) -> Facts:
    """The values of an object that a request could have asked for; blank ones ask for nothing and show nothing."""
    facts: dict[str, Json] = {}
    records: dict[str, dict[str, dict[str, Json]]] = {}
    for path, value in payloads.leaves(tree):
        pattern = paths.pattern(path)
        known = PROMO_NUMBERS.by_path.get(pattern)
        form = _form(known, value) if known and known.is_sent else None
        if form is None:
            continue
        parent, is_record, _ = pattern.partition(".#.")
        if is_record:
            number, _, leaf = path.removeprefix(f"{parent}.").partition(".")
            records.setdefault(parent, {}).setdefault(number, {})[leaf] = form
        else:
            facts[path] = form
    # A list of records is one fact, whatever its order: shown entries that were not sent would be another schedule.
    facts |= {parent: sorted(map(_text, some.values())) for parent, some in records.items()}
    return frozenset((path, _text(form)) for path, form in facts.items())


def _form(field: Field, value: Json) -> Json:
    """A value as it is compared; the documentation shows accounts with dashes and without."""
    form = payloads.canonical(field, value)
    return form.replace("-", "") if field.kind is field_types.ADS_ACCOUNT and isinstance(form, str) else form


def _text(value: Json) -> str:
    return json.dumps(value, sort_keys=True)


# Steps that look the same, and the numbers that fit them


class Asked(NamedTuple):
    """A step and the text of its body."""

    request: str
    doubted: Doubted[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """Steps that no number can tell apart: they ask for the same as far as it is shown, against the same baseline."""

    facts: Facts
    baseline: frozenset[str]
    steps: tuple[Asked, ...]

    @cached_property
    def requests(self) -> frozenset[str]:
        """The different bodies of its steps."""
        return frozenset(one.request for one in self.steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """Numbers that fit the same looks."""

    numbers: tuple[Seen, ...]
    looks: tuple[Look, ...]


def looks_of(doubted: Iterable[Doubted[Any]], paths_shown: Collection[str]) -> list[Look]:
    """The steps by their looks, in the order of the first step of each.

    Args:
        doubted: the steps.
        paths_shown: what the platform shows of any number; all else says nothing.
    """
    baselines: dict[frozenset[str], frozenset[str]] = {}
    facts: dict[str, Facts] = {}
    found: dict[tuple[Facts, frozenset[str]], list[Asked]] = {}
    for one in doubted:
        if one.baseline not in baselines:
            baselines[one.baseline] = frozenset(map(_plain, one.baseline))
        request = _text(one.body)
        if request not in facts:
            facts[request] = frozenset(fact for fact in _facts(one.body) if fact[0] in paths_shown)
        found.setdefault((facts[request], baselines[one.baseline]), []).append(Asked(request, one))
    return [Look(facts=facts, baseline=base, steps=tuple(steps)) for (facts, base), steps in found.items()]


def unexplained(seen: Iterable[Seen], looks: Iterable[Look], explained: Iterable[str]) -> list[Seen]:
    """Each number once that no answer has named and that some run did not find there when it began."""
    known = frozenset.intersection(*(look.baseline for look in looks)).union(map(_plain, explained))
    return list({one.number: one for one in seen if one.number and one.number not in known}.values())


def groups_of(numbers: Sequence[Seen], looks: Sequence[Look]) -> list[Group]:
    """The numbers by the looks that they fit; those that fit none are a group as well."""
    compared = paths_of(looks)
    facts = {one.number: frozenset(fact for fact in one.facts if fact[0] in compared) for one in numbers}
    fitting = _fitting(set(facts.values()), looks)
    found: dict[tuple[Look, ...], list[Seen]] = {}
    for one in numbers:
        fits = tuple(look for look in fitting[facts[one.number]] if one.number not in look.baseline)
        found.setdefault(fits, []).append(one)
    return [Group(numbers=tuple(some), looks=fits) for fits, some in found.items()]


def _fitting(shown: Collection[Facts], looks: Iterable[Look]) -> Mapping[Facts, list[Look]]:
    """What numbers show to the looks that ask for no more than that; an index, as there may be thousands of both."""
    showing: dict[Fact, set[Facts]] = defaultdict(set)
    for facts in shown:
        for fact in facts:
            showing[fact].add(facts)
    fitting: dict[Facts, list[Look]] = {facts: [] for facts in shown}
    for look in looks:
        candidates = sorted((showing.get(fact, set()) for fact in look.facts), key=len) or [set(shown)]
        for facts in set.intersection(*candidates):
            fitting[facts].append(look)
    return fitting
