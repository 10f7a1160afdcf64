"""Determines which numbers of a campaign come from which requests in doubt, where no own id identifies them."""

from __future__ import annotations

from invoca_bulk.execution.matching.match import match_requests
from invoca_bulk.execution.matching.model import PendingRequest

__all__ = ["PendingRequest", "match_requests"]
