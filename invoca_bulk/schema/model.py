"""The parts of the one table: what a field, a rule and a resource are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from itertools import count, product
from string import Formatter
from typing import TYPE_CHECKING

from invoca_bulk.schema import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from invoca_bulk.schema.field_types import FieldType, Json
    from invoca_bulk.schema.issue_catalog import Problem

#: The versions in which the Network Integration API changed, oldest first (../README.md, "API versions").
API_VERSIONS = ("2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01")
DEFAULT_API_VERSION = "2022-08-01"


class Action(StrEnum):
    """What a row asks for."""

    CREATE = "create"
    UPDATE = "update"
    MOVE = "move"
    DELETE = "delete"


class Role(StrEnum):
    """Where a field's value goes."""

    BODY = "body"  # into the JSON object
    PATH = "path"  # into the address
    LOCAL = "own"  # nowhere: it tells this package what to do
    PARENT = "parent"  # nowhere: on the sheet of a part (a user, a site) it names the object that the part belongs to
    RESULT = "result"  # nowhere: this package wrote it


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One verb of the platform.

    Attributes:
        verb: the HTTP method.
        on_single_object: whether the address names one object, or the collection.
        success_status: the status that says it was done.
    """

    verb: str
    on_single_object: bool
    success_status: int


#: Source: the table of paths; the same for every collection.
OPERATIONS: Mapping[str, Operation] = {
    "list": Operation(verb="GET", on_single_object=False, success_status=200),
    "read": Operation(verb="GET", on_single_object=True, success_status=200),
    Action.CREATE: Operation(verb="POST", on_single_object=False, success_status=201),
    Action.UPDATE: Operation(verb="PUT", on_single_object=True, success_status=200),
    Action.MOVE: Operation(verb="PUT", on_single_object=True, success_status=200),
    Action.DELETE: Operation(verb="DELETE", on_single_object=True, success_status=200),
}


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column of a sheet and one leaf of the JSON object.

    Attributes:
        path: column title and JSON path; `#` stands for the number of a record, `*` for a key of the network's own.
        field_type: what its text can mean.
        help: one or two sentences for the template's note and the README.
        role: where the value goes.
        required_on: the actions that cannot do without it.
        applies_on_create: whether it has a meaning when an object is created.
        applies_on_update: whether it has a meaning for an object that exists; what only chose the number has none.
        read_only: the platform sets it; it is never sent.
        secret: never shown, exported, journaled or logged.
        since: first API version that knows it.
        until: last API version that documents it; None: still documented.
        example: a value for the template.
        aliases: other headers seen for it.
        response_name: its name in the platform's answers, where that differs; else empty.
        clearable: whether `[]` may clear it.
        default: what the platform documents that it takes where it has no value; None: nothing.
        template_columns: how many numbered columns the template has for it (0: none).
    """

    path: str
    field_type: FieldType
    help: str
    role: Role = Role.BODY
    required_on: frozenset[Action] = frozenset()
    applies_on_create: bool = True
    applies_on_update: bool = True
    read_only: bool = False
    secret: bool = False
    since: str = API_VERSIONS[0]
    until: str | None = None
    example: str = ""
    aliases: tuple[str, ...] = ()
    response_name: str = ""
    clearable: bool = True
    default: Json = None
    template_columns: int = 1

    def is_known_in(self, version: str) -> bool:
        """Whether an API version documents this field."""
        return self.since <= version and (self.until is None or version <= self.until)

    @property
    def is_always_required(self) -> bool:
        """Whether no row can do without it, whatever it asks for."""
        return self.required_on == frozenset(Action)

    @property
    def is_sent(self) -> bool:
        """Whether a sheet's value of it goes into the body of a request."""
        return self.role is Role.BODY and not self.read_only and not self.secret

    @property
    def versions_text(self) -> str:
        """The versions that know this field, as part of a sentence."""
        if self.until is None:
            return f"{self.since} and later ones do"
        return f"{self.since} to {self.until} do" if self.since != self.until else f"{self.since} does"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A field as one sheet has it.

    Attributes:
        path: the field's path with its numbers and keys filled in.
        header: the title as the analyst wrote it.
        field: the field of the table.
    """

    path: str
    header: str
    field: Field


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over several columns of one row.

    Attributes:
        fields: patterns of the fields that it looks at; it runs once for each distinct combination of their values.
        check: takes path to JSON value of the cells that are not blank, gives the problems.
        needs_whole_object: whether it holds for a whole object only: for what is created, or for what an update comes
            to, and not for the few fields that a row changes.
        presence_only: those of the fields of which it only matters whether they have a value: `check` may be given True
            for it. So rows that differ in nothing else, such as their own ids, are judged once.
    """

    fields: tuple[str, ...]
    check: Callable[[Mapping[str, Json]], Iterable[Problem]]
    needs_whole_object: bool = False
    presence_only: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Collection:
    """One way to address the objects of a resource.

    Attributes:
        name: the last part of the collection's path.
        identifier_field: the field that names one object in it.
        since: first API version that has it.
    """

    name: str
    identifier_field: str
    since: str = API_VERSIONS[0]


#: The field of a part (a user, a site) by which it is known within its object.
SUBRESOURCE_KEY = "id_from_network"
#: Says on a part's row that the part is to be taken away.
REMOVE_ACTION = "remove"

#: A record's number within a path. More digits are no number that anybody counts to, and more than 4,300 break `int`.
_RECORD_NUMBER = re.compile(r"(?<=[\s._])[0-9]{1,9}(?=[\s._])")


def fold_header(header: str) -> str:
    """A header as it is compared: without case, spaces, dots, dashes and underscores."""
    return re.sub(r"[\s._\-\u00ad\u200b\ufeff\u2010-\u2015]+", "", header).casefold()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One sort of object that the platform manages, and everything known about it.

    Attributes:
        name: `advertisers` or `promo_numbers`.
        singular: what one of them is called in a sentence.
        fields: every field once, in the order of the template's columns.
        rules: the rules over several columns.
        path_templates: path parts above the collection; the first one whose places are all filled is taken.
        collections: ways to address its objects; none for a part.
        identifier_field: the field by which a row names an object that exists; doing such a row again is harmless.
        subresources: the sorts of records within one of them that can have a sheet of their own: sites, users.
        examples: rows for the template, path to text.
    """

    name: str
    singular: str
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    path_templates: tuple[tuple[str, ...], ...]
    collections: tuple[Collection, ...]
    identifier_field: str
    subresources: tuple[Resource, ...] = ()
    examples: tuple[Mapping[str, str], ...] = field(default=(), repr=False)

    @cached_property
    def by_path(self) -> dict[str, Field]:
        """Pattern to field."""
        return {one.path: one for one in self.fields}

    @cached_property
    def is_subresource(self) -> bool:
        """Whether it has sheets of its own, but no address: a user or a site."""
        return not self.collections

    @cached_property
    def _fields_by_folded_header(self) -> dict[str, tuple[Field, tuple[int, ...]]]:
        """Folded header to the field and to which of its path's `#` the header's numbers stand for.

        A number that the header leaves out is 1: `users.first_name` where each user has a row.
        """
        titles = {
            fold: found for one in self.fields for alias in one.aliases for fold, found in _folded_titles(alias, one)
        }
        return titles | {fold: found for one in self.fields for fold, found in _folded_titles(one.path, one)}

    def column_for(self, header: str) -> Column | None:
        """The column that a header names, or None when nobody knows it."""
        text = header.strip()
        parent, dot, key = text.partition(".")
        if dot and fold_header(parent) == fold_header(paths.CUSTOM_DATA) and key.strip():
            free = self.by_path.get(f"{paths.CUSTOM_DATA}.*")
            return Column(path=f"{paths.CUSTOM_DATA}.{key.strip()}", header=header, field=free) if free else None
        # A number may also be part of a name (`open_24_7`), so the header as it is goes first.
        plain, numbered = (
            self._fields_by_folded_header.get(fold_header(text)),
            self._fields_by_folded_header.get(fold_header(_RECORD_NUMBER.sub("#", text))),
        )
        found = plain or numbered
        if found is None or found[0].path.endswith("*") or "#" in text:
            return None
        given = dict(zip(found[1], _RECORD_NUMBER.findall(text) if numbered is found else (), strict=False))
        places = count()
        path = re.sub("#", lambda _: str(int(given.get(next(places), 1))), found[0].path)
        return Column(path=path, header=header, field=found[0])

    def scope_for(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The path parts above the collection, filled from a row's values.

        Raises:
            KeyError: no scope can be filled; validation has made sure that one can.
        """
        for parts in self.path_templates:
            if all(values.get(name) for name in _placeholders(parts)):
                return tuple(part.format_map(values) for part in parts)
        raise KeyError(self.path_templates[-1])

    def known_headers(self) -> Iterator[str]:
        """Every header that is known, for the search of misspelt ones: titles and aliases."""
        for one in self.fields:
            yield one.path
            yield from one.aliases


def _folded_titles(title: str, one: Field) -> Iterator[tuple[str, tuple[Field, tuple[int, ...]]]]:
    """The folded forms of a title, with each of its `#` or without."""
    first, *rest = title.split("#.")
    for given in product((True, False), repeat=len(rest)):
        text = first + "".join(f"#.{part}" if kept else part for kept, part in zip(given, rest, strict=True))
        yield fold_header(text), (one, tuple(at for at, kept in enumerate(given) if kept))


def _placeholders(parts: Iterable[str]) -> list[str]:
    return [name for part in parts for _, name, _, _ in Formatter().parse(part) if name]
