"""The one table of the platform's resources and fields; everything else is derived from it."""

from __future__ import annotations

from invoca_bulk.schema.advertisers import ADVERTISERS
from invoca_bulk.schema.model import (
    API_VERSIONS,
    DEFAULT_API_VERSION,
    OPERATIONS,
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

__all__ = [
    "ADVERTISERS",
    "API_VERSIONS",
    "DEFAULT_API_VERSION",
    "OPERATIONS",
    "PROMO_NUMBERS",
    "RESOURCES",
    "Action",
    "Collection",
    "Column",
    "Field",
    "Operation",
    "Resource",
    "Role",
    "Rule",
]
