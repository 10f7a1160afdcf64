"""The types that the table of resources is made of: fields, rules and resources."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import StrEnum
from functools import cached_property
from itertools import count, product
from string import Formatter

from invoca_bulk.schema import paths
from invoca_bulk.schema.field_types import FieldType, Json
from invoca_bulk.schema.invisible import remove_invisible, strip_invisible
from invoca_bulk.schema.issue_catalog import Problem

#: The versions in which the Network Integration API changed, oldest first (the manual, topic versions).
API_VERSIONS = ("2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01")
DEFAULT_API_VERSION = "2022-08-01"


@functools.lru_cache
def rules_version(version: str) -> str:
    """The version whose rules apply to a date: the newest known one that is not later.

    The platform takes dates between its versions, as its users' programs show.
    """
    return max(known for known in API_VERSIONS if known <= version)


class Action(StrEnum):
    """What a row asks for."""

    CREATE = "create"
    UPDATE = "update"
    MOVE = "move"
    DELETE = "delete"


class Role(StrEnum):
    """Where a field's value goes."""

    BODY = "body"  # sent in the JSON object
    PATH = "path"  # sent in the URL
    LOCAL = "own"  # not sent: an instruction for this package
    PARENT = "parent"  # not sent: on a sheet of users or sites, the object that the row belongs to
    RESULT = "result"  # not sent: written by this package


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation of the platform."""

    verb: str  # the HTTP method
    on_single_object: bool  # whether the URL names one object rather than the collection
    success_status: int


#: The same for every collection. Source: the documentation's table of paths.
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
    """One column of a sheet and one leaf of the JSON object."""

    path: str  # column title and JSON path; `#`: the number of a record, `*`: a key that the network chose
    field_type: FieldType
    help: str  # one or two sentences for the template's note and the manual
    role: Role = Role.BODY
    required_on: frozenset[Action] = frozenset()
    applies_on_create: bool = True
    applies_on_update: bool = True  # False: it only affects which number is assigned
    read_only: bool = False  # set by the platform and never sent
    secret: bool = False  # never shown, exported, journaled or logged
    since: str = API_VERSIONS[0]  # first API version that has it
    until: str | None = None  # last API version that documents it; None: still documented
    example: str = ""
    aliases: tuple[str, ...] = ()  # other accepted headers
    response_name: str = ""  # its name in the platform's responses if it differs
    clearable: bool = True  # whether `[]` clears it
    may_be_unlisted: bool = False  # whether real accounts have values outside of the published list
    may_be_kept: bool = False  # whether the platform may answer with the default, whatever was sent
    default: Json = None  # the platform's documented default; None: none
    template_columns: int = 1  # how many (numbered) columns the template has for it; 0: none

    def is_known_in(self, version: str) -> bool:
        """Whether an API version documents this field; dates between two versions have the rules of the earlier one."""
        return self.since <= version and (self.until is None or rules_version(version) <= self.until)

    @property
    def is_always_required(self) -> bool:
        """Whether every action needs it."""
        return self.required_on == frozenset(Action)

    @property
    def is_sent(self) -> bool:
        """Whether its cells are sent in the body of a request."""
        return self.role is Role.BODY and not self.read_only and not self.secret

    @property
    def versions_text(self) -> str:
        """The API versions that support this field, as part of a sentence."""
        if self.until is None:
            return f"{self.since} and later do"
        return f"{self.since} to {self.until} do" if self.since != self.until else f"{self.since} does"


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a sheet, matched to its field."""

    path: str  # the field's path with its numbers and key filled in
    header: str  # the title as the analyst wrote it
    field: Field


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule over several columns of one row."""

    fields: tuple[str, ...]  # paths; it runs once for each distinct combination of their values
    check: Callable[[Mapping[str, Json]], Iterable[Problem]]  # takes path to JSON value of the cells that are not blank
    needs_whole_object: bool = False  # for an object being created or the result of an update, not a part
    #: Those of the fields of which only the presence matters: `check` may get True instead of the value, so that rows
    #: that differ only in these fields, such as in their own ids, are checked once.
    presence_only: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Collection:
    """One way to address the objects of a resource."""

    name: str  # the last part of the collection's path
    identifier_field: str  # the field that identifies one object in it
    since: str = API_VERSIONS[0]  # first API version that has it


#: The field that identifies a user or a site within its advertiser.
SUBRESOURCE_KEY = "id_from_network"
#: The action that removes a user or a site from its advertiser.
REMOVE_ACTION = "remove"

#: A record's number within a path, of at most 9 digits (`int` refuses more than 4,300).
_RECORD_NUMBER = re.compile(r"(?<=[\s._])[0-9]{1,9}(?=[\s._])")


#: Written around titles: whether the column is required, and marks such as a star or a colon.
_MARKS_BEFORE_TITLE = re.compile(r"[\s*:'\"]+")
_MARK_CLASS = r"\s*:;!?'\"\u2020\u2731"
#: Looked for where the first of them is, once: a cell above the header may have thousands of spaces.
_MARKS_AFTER_TITLE = re.compile(
    rf"(?<![{_MARK_CLASS}])(?:[{_MARK_CLASS}]|[(\[]\s*(?:required|mandatory|optional|req|opt)\.?\s*\*?[)\]])++$",
    re.IGNORECASE,
)
#: Similarity (difflib) from which an unknown header counts as a misspelt known one.
_MISSPELT_SIMILARITY = 0.85


def fold_header(header: str) -> str:
    """Fold a header for comparison: drop case, spaces, dots, dashes, underscores, what nobody sees, and outer marks."""
    visible = header if header.isascii() else remove_invisible(header)
    start = _MARKS_BEFORE_TITLE.match(visible)
    text = _MARKS_AFTER_TITLE.sub("", visible[start.end() :] if start else visible) or visible
    return re.sub(r"[\s._\-\u2010-\u2015]+", "", text).casefold()


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One type of object that the platform manages, and everything known about it."""

    name: str  # `advertisers` or `promo_numbers`
    singular: str  # the noun for one object
    fields: tuple[Field, ...]  # every field once, in the order of the template's columns
    rules: tuple[Rule, ...] = ()
    path_templates: tuple[tuple[str, ...], ...]  # path parts above the collection; the first that can be filled is used
    collections: tuple[Collection, ...]  # ways to address its objects; empty for a subresource
    identifier_field: str  # the field by which a row names an existing object; repeating such a row is harmless
    subresources: tuple[Resource, ...] = ()  # nested records that can have their own sheet: sites, users
    examples: tuple[Mapping[str, str], ...] = dataclass_field(default=(), repr=False)  # template rows, path to text

    @cached_property
    def by_path(self) -> dict[str, Field]:
        """Path with `#` and `*` to field."""
        return {field.path: field for field in self.fields}

    @cached_property
    def is_subresource(self) -> bool:
        """Whether it has its own sheet but no URL: users and sites."""
        return not self.collections

    @cached_property
    def _fields_by_folded_header(self) -> dict[str, tuple[Field, tuple[int, ...]]]:
        """Folded header to the field and the indexes of the path's `#` that the header's numbers fill.

        A number that the header omits is 1: `users.first_name` where each user has a row.
        """
        titled_fields = [(alias, field) for field in self.fields for alias in field.aliases]
        titled_fields += [(field.path, field) for field in self.fields]  # last, since paths win over aliases
        return {folded: (field, indexes) for title, field in titled_fields for folded, indexes in _folded_titles(title)}

    @cached_property
    def parent_field(self) -> Field:
        """On a sheet of users or sites: the field that names the object that a row belongs to."""
        return next(field for field in self.fields if field.role is Role.PARENT)

    def column_for(self, header: str) -> Column | None:
        """The column that a header names, or None if it is unknown."""
        text = strip_invisible(header)
        parent, dot, key = text.partition(".")
        if dot and fold_header(parent) == fold_header(paths.CUSTOM_DATA) and strip_invisible(key):
            custom_field = self.by_path.get(f"{paths.CUSTOM_DATA}.*")
            path = f"{paths.CUSTOM_DATA}.{strip_invisible(key)}"
            return Column(path=path, header=header, field=custom_field) if custom_field else None
        # A number may also be part of a name (`open_24_7`), so the unchanged header takes precedence.
        numbered_match = self._fields_by_folded_header.get(fold_header(_RECORD_NUMBER.sub("#", text)))
        match = self._fields_by_folded_header.get(fold_header(text), numbered_match)
        if match is None or match[0].path.endswith("*") or "#" in text:
            return None
        field, indexes = match
        numbers = dict(zip(indexes, _RECORD_NUMBER.findall(text) if match is numbered_match else (), strict=False))
        index = count()
        path = re.sub("#", lambda _: str(int(numbers.get(next(index), 1))), field.path)
        return Column(path=path, header=header, field=field)

    def scope_for(self, values: Mapping[str, str]) -> tuple[str, ...]:
        """The path parts above the collection, filled from a row's values; validated rows always fill a template."""
        for parts in self.path_templates:
            names = [name for part in parts for _, name, _, _ in Formatter().parse(part) if name]
            if all(map(values.get, names)):
                return tuple(part.format_map(values) for part in parts)
        raise KeyError(self.path_templates[-1])

    def find_similar_header(self, header: str) -> str:
        """The known header that an unknown one resembles; empty: there is none."""
        matches = difflib.get_close_matches(
            fold_header(header), self._headers_by_folded_form, n=1, cutoff=_MISSPELT_SIMILARITY
        )
        return self._headers_by_folded_form[matches[0]] if matches else ""

    @cached_property
    def _headers_by_folded_form(self) -> dict[str, str]:
        return {fold_header(name): name for name in self.known_headers() if not name.endswith("*")}

    def known_headers(self) -> Iterator[str]:
        """Every known header, titles and aliases, to compare misspelt headers with."""
        return (title for field in self.fields for title in (field.path, *field.aliases))


def _folded_titles(title: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The folded forms of a title with and without each of its `#`, and the indexes of the `#` that each form has."""
    first, *numbered_parts = title.split("#.")
    for has_numbers in product((True, False), repeat=len(numbered_parts)):
        parts = [
            f"#.{part}" if has_number else part for has_number, part in zip(has_numbers, numbered_parts, strict=True)
        ]
        yield fold_header(first + "".join(parts)), tuple(index for index, is_in in enumerate(has_numbers) if is_in)
