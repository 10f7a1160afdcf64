"""The choice of numbers: plausible ones, each issued once."""

from __future__ import annotations

import random
from itertools import chain, repeat
from typing import TYPE_CHECKING

from invoca_bulk.sandbox_server import area_codes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from invoca_bulk.schema.field_types import Json

#: 800 is left out: next to nothing of it is free in reality.
TOLL_FREE = ("833", "844", "855", "866", "877", "888")
#: N11 are services, 555 is fiction, the others are used for tests and for recorded information.
_NOT_IN_USE = {"211", "311", "411", "511", "555", "611", "711", "811", "911", "950", "958", "959", "976"}
_EXCHANGES = tuple(str(number) for number in range(200, 1000) if str(number) not in _NOT_IN_USE)
_LINES = 10_000
#: Has no divisor in common with `_LINES`, so that its multiples come to every line once.
_STRIDE = 7919


class NumberPool:
    """Gives out numbers, never the same one twice; not thread-safe.

    Args:
        seed: the same seed gives the same numbers in the same order.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._toll_free = chain.from_iterable(repeat(TOLL_FREE))
        self._free: dict[str, Iterator[str]] = {}

    def take(self, body: Mapping[str, Json]) -> str | None:
        """The next number that a request's body allows, 10 digits; None when there is none.

        Without a local center a toll-free one, as the documentation says; the whitelist then has no meaning.
        """
        center = {name: value for name, value in (body.get("local_center") or {}).items() if value}
        if not center:
            return self._next(next(self._toll_free))
        codes = area_codes.serving(center)
        if whitelist := body.get("tn_prefix_whitelist"):
            codes &= frozenset(whitelist)
        numbers = (self._next(code) for code in sorted(codes))
        return next((number for number in numbers if number), None)

    def _next(self, code: str) -> str | None:
        if code not in self._free:
            shuffled = random.Random(f"{self._seed}/{code}")  # noqa: S311  scattered, not secret
            self._free[code] = _numbers(code, shuffled.sample(_EXCHANGES, len(_EXCHANGES)))
        return next(self._free[code], None)


def _numbers(code: str, exchanges: list[str]) -> Iterator[str]:
    """Every number of an area code, one from each exchange in turn."""
    for turn in range(_LINES):
        for exchange in tuple(exchanges):
            if turn or _exists(code, exchange):
                line = (turn + int(exchange)) * _STRIDE % _LINES
                yield f"{code}{exchange}{line:04}"
            else:
                exchanges.remove(exchange)


def _exists(code: str, exchange: str) -> bool:
    """Whether the number plan has opened an exchange; it never looks at the digits after it."""
    import phonenumbers  # noqa: PLC0415  heavy, and `--help` does not need it

    return phonenumbers.is_valid_number(phonenumbers.parse(f"+1{code}{exchange}0000"))
