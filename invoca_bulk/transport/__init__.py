"""Requests to the platform: how they are sent, how fast, and how long to wait. The clock is an argument."""

from __future__ import annotations

from invoca_bulk.transport.backoff import backoff, retry_after
from invoca_bulk.transport.circuit_breaker import GIVE_UP_SECONDS, CircuitBreaker
from invoca_bulk.transport.rate_limiter import RateLimiter

__all__ = ["GIVE_UP_SECONDS", "CircuitBreaker", "RateLimiter", "backoff", "retry_after"]
