"""Finding out what became of steps in doubt that buy a number under no id of our own."""

from __future__ import annotations

from invoca_bulk.execution.matching.match import settle
from invoca_bulk.execution.matching.model import Doubted, Settled, Undecided

__all__ = ["Doubted", "Settled", "Undecided", "settle"]
