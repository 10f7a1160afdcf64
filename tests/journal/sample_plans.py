"""Plans and transitions for the tests of both kinds of journal."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd

from invoca_bulk.config.network import Network
from invoca_bulk.journal import StepTransition
from invoca_bulk.planning import PlanData, PlannedRow, PlannedSheet, PlatformState, Step
from invoca_bulk.schema import Action
from invoca_bulk.schema.outcomes import Outcome

if TYPE_CHECKING:
    from invoca_bulk.journal import State

NETWORK = Network(base_url="http://127.0.0.1:1", network_id="1234", token="the-secret-token")
SCOPE = ("advertisers", "A-1", "advertiser_campaigns", "C-1")
PATH = (*SCOPE, "promo_numbers")


def make_step(number: int, **attributes: Any) -> Step:
    """A purchase, unless attributes say otherwise."""
    defaults = {
        "number": number,
        "resource": "promo_numbers",
        "action": Action.CREATE,
        "verb": "POST",
        "path": PATH,
        "body": {"description": f"é {number}"},
        "non_idempotent": True,
    }
    return Step(**defaults | attributes)


def make_plan(*steps: Step, rows: tuple[PlannedRow, ...] = ()) -> PlanData:
    """A plan of these steps, by default two, with a row for each step and an invalid row."""
    steps = steps or (make_step(0), make_step(1))
    rows = rows or (
        *(PlannedRow(row=step.number + 2, cells=("A-1", f"é {step.number}"), step=step.number) for step in steps),
        PlannedRow(
            row=len(steps) + 2,
            cells=("A-1", ""),
            outcome=Outcome.INVALID,
            error="blank",
            fix="fill in",
            action="refused",
        ),
    )
    headers = ("advertiser_id_from_network", "description")
    return PlanData(
        resource="promo_numbers",
        source="requests.csv",
        sheets=(PlannedSheet(name="", resource="promo_numbers", headers=headers),),
        titles={},
        rows=rows,
        steps=steps,
        changes=(),
        removals=(),
        issues=pd.DataFrame(),
        platform_state={SCOPE: PlatformState(objects=({"promo_number": "8005550100"},))},
        fingerprint="f" * 64,
    )


def transitions(run: str, step: int, *states: State, **values: Any) -> list[StepTransition]:
    """Transitions of a step through states; each sets the same values."""
    return [StepTransition(run=run, step=step, from_state=a, to_state=b, values=values) for a, b in pairwise(states)]
