"""Generated ids for new numbers without one: with an id, the outcome of a request can be looked up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from invoca_bulk.errors import ConfigError
from invoca_bulk.planning.model import PlanData, Step
from invoca_bulk.schema import PROMO_NUMBERS, Action
from invoca_bulk.wording import option

_OWN_ID = "id_from_network"
#: The collection whose paths identify numbers by their own ids.
OWN_ID_COLLECTION = next(
    collection for collection in PROMO_NUMBERS.collections if collection.identifier_field == _OWN_ID
)


def assign_generated_ids(plan: PlanData, run_id: str, version: str) -> PlanData:
    """The plan with an id for each new number, derived from the run, the row and the request; never random."""
    since = OWN_ID_COLLECTION.since
    if version < since:
        raise ConfigError(f"{option('assign_ids')} needs API version {since} or later; this run uses {version}.")
    return replace(plan, steps=tuple(_assign_id(step, run_id) for step in plan.steps))


def _assign_id(step: Step, run_id: str) -> Step:
    if step.resource != PROMO_NUMBERS.name or step.action is not Action.CREATE or step.own_id:
        return step
    content = json.dumps([run_id, step.number, step.identity])
    own_id = f"ib-{hashlib.sha256(content.encode()).hexdigest()[:20]}"
    body = {**(step.body or {}), _OWN_ID: own_id}
    return replace(step, own_id=own_id, path=(*step.path[:-1], OWN_ID_COLLECTION.name), body=body)
