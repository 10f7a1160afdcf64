"""How fast, and how long to wait: pure, the clock is passed in."""

from __future__ import annotations

from invoca_bulk.transport.backoff import LONGEST_PAUSE, backoff, retry_after
from invoca_bulk.transport.circuit_breaker import GIVE_UP, Breaker
from invoca_bulk.transport.rate_limiter import Pace

__all__ = ["GIVE_UP", "LONGEST_PAUSE", "Breaker", "Pace", "backoff", "retry_after"]
