"""Which rows ask for what an earlier run has bought already: equal requests are counted, one purchase for each row.

Rows of a results file stand for the purchases that they show, so those come first; what is left serves rows that ask
for the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING

from invoca_bulk.validation import national

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from invoca_bulk.planning.model import Purchase
    from invoca_bulk.schema.kinds import Json


def identity_of(path: Sequence[str], body: Mapping[str, Json]) -> str:
    """The same for equal requests, in whatever order their columns stood.

    Args:
        path: of the collection that the object is to be in.
        body: the JSON object, an own id included.
    """
    content = json.dumps([list(path), body], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


class Earlier:
    """The purchases of earlier runs that no row stands for yet.

    Args:
        purchases: the oldest first.
        claims: whether rows that ask for the same again are taken for done; else only results rows are matched.
    """

    def __init__(self, purchases: Iterable[Purchase] = (), *, claims: bool = True) -> None:
        self._claims = claims
        self._left: dict[str, list[Purchase]] = defaultdict(list)
        for one in purchases:
            self._left[one.identity].append(one)

    def __bool__(self) -> bool:
        return any(self._left.values())

    def shown(self, numbers: Iterable[str]) -> None:
        """The purchases of these numbers stand on rows of the sheet already."""
        shown = {national(number) for number in numbers}
        for identity, some in self._left.items():
            self._left[identity] = [one for one in some if not one.number or national(one.number) not in shown]

    def of_run(self, identity: str, run: str) -> Purchase | None:
        """Take the purchase that a row of a run's results could not tell the outcome of."""
        return self._taken(identity, lambda one: one.run == run)

    def claim(self, identity: str) -> Purchase | None:
        """Take a purchase for a row that asks for the same; None: it has to be bought."""
        return self._taken(identity, lambda _: True) if self._claims else None

    def _taken(self, identity: str, fits: Callable[[Purchase], bool]) -> Purchase | None:
        some = self._left.get(identity, [])
        found = next((one for one in some if fits(one)), None)
        if found is not None:
            some.remove(found)
        return found
