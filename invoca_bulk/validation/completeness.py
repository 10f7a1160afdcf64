"""What a whole object needs: one that is created, or what an update comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoca_bulk.schema import Action, paths
from invoca_bulk.schema.issue_catalog import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from invoca_bulk.schema import Resource
    from invoca_bulk.schema.field_types import Json


def find_missing_fields(resource: Resource, flat: Mapping[str, Json], *, auto_ids: bool) -> Iterator[Problem]:
    """The required fields that an object does not have.

    Args:
        resource: what it is.
        flat: path to JSON value, the parts numbered; without blank ones.
        auto_ids: whether the network gives ids to objects that come without one.
    """
    tree = paths.nest(flat)
    for field in resource.fields:
        given = auto_ids and field.path == resource.identifier_field
        if Action.CREATE not in field.required_on or not field.is_sent or given:
            continue
        example = f", e.g. {field.example}" if field.example else ""
        for path in _find_absent_paths(field.path, tree):
            details = {"known": path, "action": Action.CREATE, "example": example}
            yield Problem(code="required", column=path, details=details)


def to_sheet_terms(resource: Resource, problem: Problem, title: str, verb: str = "add") -> Problem:
    """A problem in the words of the sheet.

    Args:
        resource: what the object is.
        problem: what is wrong; its column is a path within the object.
        title: the sheet's own title of that field.
        verb: what cannot be done to a user or a site that lacks a field.
    """
    column = problem.column or ""
    if problem.code != "required" or problem.details.get("known") != column:
        return problem
    one = next((part.singular for part in resource.subresources if column.startswith(f"{part.name}.")), "")
    action = f"{verb} the {one}" if one else problem.details["action"]
    return replace(problem, details={**problem.details, "known": title, "action": action})


def _find_absent_paths(pattern: str, tree: Mapping[str, Json]) -> Iterator[str]:
    """The paths of a pattern's leaves that are not there; a list without records misses none."""
    parent, mark, rest = pattern.partition(".#.")
    if not mark:
        if tree.get(pattern) in (None, ""):
            yield pattern
        return
    for number, record in enumerate(tree.get(parent) or (), 1):
        yield from (f"{parent}.{number}.{path}" for path in _find_absent_paths(rest, record))


def check_whole_object(resource: Resource, flat: Mapping[str, Json]) -> Iterator[tuple[Collection[str], Problem]]:
    """What the rules over whole objects say, each with the patterns of the fields that it came from."""
    for rule in resource.rules:
        if rule.needs_whole_object:
            yield from ((rule.fields, one) for one in rule.check(flat))
