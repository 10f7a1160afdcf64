"""What the rows of a results file claim, against what the journal and the platform bear out.

People sort, copy, correct and put together results files, so that what a row says need not be what happened. `evidence`
gives the rows as the runs recorded them, `matching` finds the one that each row of the sheet stands for, `rulings` says
what follows, and `check` makes the sheets that validation and planning go on with: numbers come back, edits are told,
and a claim that nothing bears out is an error. A sheet without result columns passes through.
"""

from __future__ import annotations

from invoca_bulk.service.claims.check import check_claims

__all__ = ["check_claims"]
