"""Finding out what became of steps in doubt that buy a number under no id of our own."""

from __future__ import annotations

from invoca_bulk.execution.matching.match import match_requests
from invoca_bulk.execution.matching.model import Ambiguity, MatchResult, PendingRequest

__all__ = ["Ambiguity", "MatchResult", "PendingRequest", "match_requests"]
