"""The one table of the platform's resources and fields; everything else is derived from it."""

from __future__ import annotations

from invoca_bulk.schema.advertisers import ADVERTISERS
from invoca_bulk.schema.model import (
    API_VERSIONS,
    DEFAULT_API_VERSION,
    OPERATIONS,
    PART_KEY,
    REMOVE,
    Action,
    Collection,
    Column,
    Field,
    Operation,
    Resource,
    Role,
    Rule,
)
from invoca_bulk.schema.promo_numbers import PROMO_NUMBERS

RESOURCES = {one.name: one for one in (ADVERTISERS, PROMO_NUMBERS)}
#: What a worksheet can be about, by its name, in the order of the work: the resources, each followed by its parts.
SHEETS = {one.name: one for resource in RESOURCES.values() for one in (resource, *resource.parts)}

__all__ = [
    "ADVERTISERS",
    "API_VERSIONS",
    "DEFAULT_API_VERSION",
    "OPERATIONS",
    "PART_KEY",
    "PROMO_NUMBERS",
    "REMOVE",
    "RESOURCES",
    "SHEETS",
    "Action",
    "Collection",
    "Column",
    "Field",
    "Operation",
    "Resource",
    "Role",
    "Rule",
]
