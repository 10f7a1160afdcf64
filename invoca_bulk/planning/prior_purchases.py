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
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.planning.model import Purchase
    from invoca_bulk.schema.field_types import Json


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

    def shown(self, numbers: Iterable[str]) -> set[str]:
        """Take the purchases whose numbers stand on rows of the sheet.

        Returns:
            The numbers that no purchase names, as they were given.
        """
        shown = {national(number): number for number in numbers}
        for identity, some in self._left.items():
            known = [one for one in some if one.number and national(one.number) in shown]
            self._left[identity] = [one for one in some if one not in known]
            for one in known:
                shown.pop(national(one.number), None)
        return set(shown.values())

    def of_run(self, identity: str, run: str) -> Purchase | None:
        """Take the purchase of a row whose run could not tell its outcome; None: there is none, or no single one."""
        some = [one for one in self._left.get(identity, []) if one.run == run]
        # Of several that have numbers by now, nothing says which is the row's.
        fitting = [one for one in some if not one.number] or [one for one in some if one.alike == 1]
        return self._taken(identity, fitting[:1])

    def claim(self, identity: str) -> Purchase | None:
        """Take a purchase for a row that asks for the same; None: it has to be bought."""
        return self._taken(identity, self._left.get(identity, [])[:1]) if self._claims else None

    def _taken(self, identity: str, found: Sequence[Purchase]) -> Purchase | None:
        for one in found:
            self._left[identity].remove(one)
            return one
        return None
