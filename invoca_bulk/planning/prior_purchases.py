"""Which rows ask for what an earlier run has bought already: equal requests are counted, one purchase for each row.

Rows of a results file stand for the purchases that they show, so those come first; what is left serves rows that ask
for the same.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING

from invoca_bulk.validation import strip_country_code

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.planning.model import Purchase
    from invoca_bulk.schema.field_types import Json


def request_identity(path: Sequence[str], body: Mapping[str, Json]) -> str:
    """The same for equal requests, in whatever order their columns stood.

    Args:
        path: of the collection that the object is to be in.
        body: the JSON object, an own id included.
    """
    content = json.dumps([list(path), body], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


class PriorPurchases:
    """The purchases of earlier runs that no row stands for yet.

    Args:
        purchases: the oldest first.
        allow_claims: whether rows that ask for the same again are taken for done; else only results rows are matched.
    """

    def __init__(self, purchases: Iterable[Purchase] = (), *, allow_claims: bool = True) -> None:
        self._allow_claims = allow_claims
        self._unclaimed: dict[str, list[Purchase]] = defaultdict(list)
        for one in purchases:
            self._unclaimed[one.identity].append(one)

    def discard_shown(self, numbers: Iterable[str]) -> set[str]:
        """Take the purchases whose numbers stand on rows of the sheet.

        Returns:
            The numbers that no purchase names, as they were given.
        """
        shown = {strip_country_code(number): number for number in numbers}
        for identity, some in self._unclaimed.items():
            known = [one for one in some if one.promo_number and strip_country_code(one.promo_number) in shown]
            self._unclaimed[identity] = [one for one in some if one not in known]
            for one in known:
                shown.pop(strip_country_code(one.promo_number), None)
        return set(shown.values())

    def claim_from_run(self, identity: str, run: str) -> Purchase | None:
        """Take the purchase of a row whose run could not tell its outcome; None: there is none, or no single one."""
        some = [one for one in self._unclaimed.get(identity, []) if one.run == run]
        # Of several that have numbers by now, nothing says which is the row's.
        fitting = [one for one in some if not one.promo_number] or [one for one in some if one.identical_count == 1]
        return self._take_first(identity, fitting[:1])

    def claim(self, identity: str) -> Purchase | None:
        """Take a purchase for a row that asks for the same; None: it has to be bought."""
        return self._take_first(identity, self._unclaimed.get(identity, [])[:1]) if self._allow_claims else None

    def _take_first(self, identity: str, found: Sequence[Purchase]) -> Purchase | None:
        for one in found:
            self._unclaimed[identity].remove(one)
            return one
        return None
