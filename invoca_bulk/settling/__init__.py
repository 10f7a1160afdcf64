"""Finding out what became of steps in doubt that buy a number under no id of our own."""

from __future__ import annotations

from invoca_bulk.settling.matching import settle
from invoca_bulk.settling.model import Doubted, Settled, Undecided

__all__ = ["Doubted", "Settled", "Undecided", "settle"]
