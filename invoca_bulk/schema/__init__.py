"""The table of the platform's resources and fields, from which everything else is derived."""

from __future__ import annotations

from invoca_bulk.schema.advertisers import ADVERTISERS
from invoca_bulk.schema.model import (
    API_VERSIONS,
    DEFAULT_API_VERSION,
    OPERATIONS,
    REMOVE_ACTION,
    SUBRESOURCE_KEY,
    Action,
    Column,
    Field,
    Resource,
    Role,
    Rule,
)
from invoca_bulk.schema.promo_numbers import PROMO_NUMBERS

RESOURCES = {resource.name: resource for resource in (ADVERTISERS, PROMO_NUMBERS)}
#: Worksheet name to what it describes: each resource followed by its subresources, which is the order of processing.
SHEET_RESOURCES = {
    described.name: described for resource in RESOURCES.values() for described in (resource, *resource.subresources)
}

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
    "Column",
    "Field",
    "Resource",
    "Role",
    "Rule",
]
