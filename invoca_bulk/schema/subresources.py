"""Nested records that can have their own sheet (users, sites), derived from the fields of the whole object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from invoca_bulk.schema.model import Field, Resource, Role
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS


def make_subresource(
    name: str, *, singular: str, object_fields: Sequence[Field], parent: Field, examples: tuple[Mapping[str, str], ...]
) -> Resource:
    """Make the resource of a sheet of nested records: `users` has the object's fields `users.#.…`."""
    prefix = f"{name}.#."
    fields = [_without_prefix(prefix, field) for field in object_fields if field.path.startswith(prefix)]
    return Resource(
        name=name,
        singular=singular,
        fields=(replace(parent, role=Role.PARENT), *fields, *OUTPUT_FIELDS),
        path_templates=(),
        collections=(),
        identifier_field="id_from_network",
        examples=examples,
    )


def _without_prefix(prefix: str, field: Field) -> Field:
    aliases = (alias.removeprefix(prefix) for alias in field.aliases)
    return replace(field, path=field.path.removeprefix(prefix), aliases=tuple(aliases))
