"""Chooses plausible numbers and issues each one once."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import chain, repeat

from invoca_bulk.sandbox_server import local_centers
from invoca_bulk.schema.field_types import Json

#: Without 800, of which hardly any numbers are free.
TOLL_FREE_CODES = ("833", "844", "855", "866", "877", "888")
#: N11 are service codes, 555 is for fiction, the others are for tests and recorded information.
_UNUSED_EXCHANGES = {"211", "311", "411", "511", "555", "611", "711", "811", "911", "950", "958", "959", "976"}
_EXCHANGES = tuple(str(number) for number in range(200, 1000) if str(number) not in _UNUSED_EXCHANGES)
_LINES_PER_EXCHANGE = 10_000
#: Coprime to `_LINES_PER_EXCHANGE`, so that its multiples visit every line once.
_LINE_STRIDE = 7919


class NumberPool:
    """Issues each number once; the same seed gives the same numbers in the same order. Not thread-safe."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._toll_free_codes = chain.from_iterable(repeat(TOLL_FREE_CODES))
        self._unissued: dict[str, Iterator[str]] = {}

    def allocate(self, body: Mapping[str, Json]) -> str | None:
        """The next number that fits a request's body, 10 digits; None if there is none.

        Without a local center it is toll-free, as documented, and the whitelist is ignored.
        """
        center = {name: value for name, value in (body.get("local_center") or {}).items() if value}
        if not center:
            return self._next_number(next(self._toll_free_codes))
        codes = local_centers.area_codes_for(center)
        if whitelist := body.get("tn_prefix_whitelist"):
            codes &= frozenset(whitelist)
        numbers = (self._next_number(code) for code in sorted(codes))
        return next((number for number in numbers if number), None)

    def _next_number(self, code: str) -> str | None:
        if code not in self._unissued:
            rng = random.Random(f"{self._seed}/{code}")  # noqa: S311  not a secret
            self._unissued[code] = _generate_numbers(code, rng.sample(_EXCHANGES, len(_EXCHANGES)))
        return next(self._unissued[code], None)


def _generate_numbers(code: str, exchanges: list[str]) -> Iterator[str]:
    """Every number of an area code, round-robin over its exchanges."""
    for round_number in range(_LINES_PER_EXCHANGE):
        for exchange in tuple(exchanges):
            if round_number or _is_valid_exchange(code, exchange):
                line = (round_number + int(exchange)) * _LINE_STRIDE % _LINES_PER_EXCHANGE
                yield f"{code}{exchange}{line:04}"
            else:
                exchanges.remove(exchange)


def _is_valid_exchange(code: str, exchange: str) -> bool:
    """Whether an exchange is in use in the number plan, which ignores the digits after it."""
    import phonenumbers  # noqa: PLC0415  heavy, and `--help` does not need it

    return phonenumbers.is_valid_number(phonenumbers.parse(f"+1{code}{exchange}0000"))
