"""The stand-in platform: a real HTTP server that behaves as the platform's documentation says, and keeps a ledger.

    with Sandbox() as sandbox:
        ...  # talk to sandbox.base_url with sandbox.token and sandbox.network_id
    sandbox.store.ledger  # every number that was really issued

It takes nothing from the client side of this package but the table of fields; addresses, verbs and statuses are
written down a second time in `routes`, so that an error on one side is seen by the other.
"""

from __future__ import annotations

from invoca_bulk.stand_in.records import CampaignKey, Issued
from invoca_bulk.stand_in.serve import Sandbox, run
from invoca_bulk.stand_in.store import Store

__all__ = ["CampaignKey", "Issued", "Sandbox", "Store", "run"]
