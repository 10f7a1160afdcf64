"""Matches rows with what earlier runs have bought: equal requests are counted, one purchase for each row.

Rows of a results file are matched first, by the numbers they show; the remaining purchases serve rows that ask for the
same.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from invoca_bulk.planning.model import Purchase
from invoca_bulk.schema.field_types import Json
from invoca_bulk.validation import strip_country_code


def request_identity(path: Sequence[str], body: Mapping[str, Json]) -> str:
    """A hash that is the same for equal requests to a collection, whatever the order of their columns."""
    content = json.dumps([list(path), body], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


class PriorPurchases:
    """The purchases of earlier runs that no row has claimed yet, the oldest first.

    Unless `allow_claims`, only results rows are matched: rows that ask for the same again do not count as done.
    """

    def __init__(self, purchases: Iterable[Purchase] = (), *, allow_claims: bool = True) -> None:
        self._allow_claims = allow_claims
        self._unclaimed: dict[str, list[Purchase]] = defaultdict(list)
        for purchase in purchases:
            self._unclaimed[purchase.identity].append(purchase)

    def discard_shown(self, numbers: Iterable[str]) -> set[str]:
        """Remove the purchases whose numbers are in the sheet; returns the numbers that belong to no purchase."""
        unmatched = {strip_country_code(number): number for number in numbers}
        for identity, purchases in self._unclaimed.items():
            created = (purchase for purchase in purchases if purchase.promo_number)
            shown = [purchase for purchase in created if strip_country_code(purchase.promo_number) in unmatched]
            self._unclaimed[identity] = [purchase for purchase in purchases if purchase not in shown]
            for purchase in shown:
                unmatched.pop(strip_country_code(purchase.promo_number), None)
        return set(unmatched.values())

    def claim_from_run(self, identity: str, run: str) -> Purchase | None:
        """Claim the purchase of a row that is `unknown` in its run; None: there is none, or several could be it."""
        purchases = [purchase for purchase in self._unclaimed.get(identity, []) if purchase.run == run]
        # Of several that have numbers by now, nothing says which is the row's.
        candidates = [purchase for purchase in purchases if not purchase.promo_number] or [
            purchase for purchase in purchases if purchase.identical_count == 1
        ]
        return self._claim_first(identity, candidates)

    def claim(self, identity: str) -> Purchase | None:
        """Claim a purchase for a row that asks for the same; None: it has to be bought."""
        return self._claim_first(identity, self._unclaimed.get(identity, [])) if self._allow_claims else None

    def _claim_first(self, identity: str, candidates: Sequence[Purchase]) -> Purchase | None:
        if not candidates:
            return None
        purchase = candidates[0]
        self._unclaimed[identity].remove(purchase)
        return purchase
