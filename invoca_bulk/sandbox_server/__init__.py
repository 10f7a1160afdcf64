"""The stand-in platform: a real HTTP server that behaves as the platform's documentation says, and keeps a ledger.

    with Sandbox() as sandbox:
        ...  # talk to sandbox.base_url with sandbox.token and sandbox.network_id
    sandbox.store.ledger  # every number that was really issued
    sandbox.faults.change(rate=0.2, kinds=["drop_after", "429"])  # from now on a fifth of the writes goes wrong

Over HTTP, with the same token: `GET /sandbox/ledger`, `GET /sandbox/state`, `GET` and `PUT /sandbox/faults`.

It takes nothing from the client side of this package but the table of fields; addresses, verbs and statuses are
written down a second time in `routes`, so that an error on one side is seen by the other.
"""

from __future__ import annotations

from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES
from invoca_bulk.sandbox_server.faults import FAULT_NAMES, Faults, parse_faults
from invoca_bulk.sandbox_server.platform_model import CampaignKey, LedgerEntry
from invoca_bulk.sandbox_server.serve import Sandbox, serve_forever
from invoca_bulk.sandbox_server.store import Store

__all__ = [
    "FAULT_NAMES",
    "FAULT_TYPES",
    "CampaignKey",
    "Faults",
    "LedgerEntry",
    "Sandbox",
    "Store",
    "parse_faults",
    "serve_forever",
]
