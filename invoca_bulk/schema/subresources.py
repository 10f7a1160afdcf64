"""The sorts of records within an object that can have a sheet of their own, made from the object's own fields."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from invoca_bulk.schema.model import Resource, Role
from invoca_bulk.schema.result_columns import OUTPUT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from invoca_bulk.schema.model import Field


def make_subresource(
    name: str, *, singular: str, object_fields: Sequence[Field], parent: Field, examples: tuple[Mapping[str, str], ...]
) -> Resource:
    """A part as the resource of its own sheet.

    Args:
        name: of the list in the object, and of the sheet: `users` has the fields `users.#.…`.
        singular: what one of them is called in a sentence.
        object_fields: the fields of the whole object.
        parent: the field that says which object a row belongs to.
        examples: rows for the template.
    """
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
