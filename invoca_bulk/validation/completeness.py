"""Checks of a whole object: one to be created, or the result of an update."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from invoca_bulk.schema import Action, Resource, paths
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import Problem

#: The warnings of advertisers without a site: surely new ones, and ones that may be new.
NO_SITE_ON_CREATE, NO_SITE_IF_CREATED = "created_without_site", "maybe_without_site"


def find_missing_fields(resource: Resource, flat: Mapping[str, Json], *, auto_ids: bool) -> Iterator[Problem]:
    """A problem for each required field that an object, given as path to value, lacks."""
    tree = paths.nest(flat)
    for field in resource.fields:
        is_assigned = auto_ids and field.path == resource.identifier_field
        if Action.CREATE not in field.required_on or not field.is_sent or is_assigned:
            continue
        example = f", e.g. {field.example}" if field.example else ""
        for path in paths.missing_paths(field.path, tree):
            details = {"known": path, "action": Action.CREATE, "example": example}
            yield Problem(code="required", column=path, details=details)


def to_sheet_terms(resource: Resource, problem: Problem, title: str, verb: str = "add") -> Problem:
    """A problem that names a missing field by the sheet's title of it, and what needs it.

    `verb` is the action on a user or site that needs the field.
    """
    column = problem.column or ""
    if problem.code != "required" or problem.details.get("known") != column:
        return problem
    noun = next((part.singular for part in resource.subresources if column.startswith(f"{part.name}.")), "")
    action = f"{verb} the {noun}" if noun else problem.details["action"]
    return replace(problem, details={**problem.details, "known": title, "action": action})


def check_whole_object(resource: Resource, flat: Mapping[str, Json]) -> Iterator[tuple[Collection[str], Problem]]:
    """The problems that whole-object rules find, each with the patterns of the rule's fields."""
    for rule in resource.rules:
        if rule.needs_whole_object:
            yield from ((rule.fields, problem) for problem in rule.check(flat))
