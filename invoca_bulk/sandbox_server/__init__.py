"""The sandbox: an HTTP server that behaves as Invoca's documentation says and keeps a ledger of issued numbers.

    with Sandbox() as sandbox:
        ...  # talk to sandbox.base_url with sandbox.token and sandbox.network_id
    sandbox.store.ledger  # every number that was issued
    sandbox.faults.change(rate=0.2, kinds=["drop_after", "429"])  # from now on, a fifth of the writes meet a fault

Over HTTP, with the same token: `GET /sandbox/ledger`, `GET /sandbox/state`, `GET` and `PUT /sandbox/faults`.

It shares only the table of fields with the rest of this package. Paths, verbs and statuses are written down a second
time in `routes`, so that tests reveal a mistake on either side.
"""

from __future__ import annotations

from invoca_bulk.sandbox_server.faults import Faults
from invoca_bulk.sandbox_server.serve import Sandbox

__all__ = ["Faults", "Sandbox"]
