"""The one table of the platform's resources and fields; everything else is derived from it."""

from __future__ import annotations

from invoca_bulk.schema.advertisers import ADVERTISERS
from invoca_bulk.schema.model import (
    API_VERSIONS,
    DEFAULT_API_VERSION,
    OPERATIONS,
    REMOVE_ACTION,
    SUBRESOURCE_KEY,
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
SHEET_RESOURCES = {one.name: one for resource in RESOURCES.values() for one in (resource, *resource.subresources)}

__all__ = [
    "ADVERTISERS",
    "API_VERSIONS",
    "DEFAULT_API_VERSION",
    "OPERATIONS",
    "PROMO_NUMBERS",
    "REMOVE_ACTION",
    "RESOURCES",
    "SHEET_RESOURCES",
    "SUBRESOURCE_KEY",
    "Action",
    "Collection",
    "Column",
    "Field",
    "Operation",
    "Resource",
    "Role",
    "Rule",
]
