"""Ids of our own for new numbers that come without one: with an id, what became of a request can be looked up."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.schema import PROMO_NUMBERS, Action

if TYPE_CHECKING:
    from invoca_bulk.planning.model import Plan, Step

_OWN_ID = "id_from_network"
_BY_ID = next(one for one in PROMO_NUMBERS.collections if one.key == _OWN_ID)


def with_own_ids(plan: Plan, run: str, version: str) -> Plan:
    """A plan whose new numbers all have an id: made from the run, the row and what is asked for, never by chance.

    Args:
        plan: the plan.
        run: the run that is to do it.
        version: the API version.

    Raises:
        SettingInvalid: this version knows no ids of one's own.
    """
    if version < _BY_ID.since:
        msg = f"--assign-ids (assign_ids=True) needs API version {_BY_ID.since} or later; this run uses {version}."
        raise SettingInvalid(msg)
    return replace(plan, steps=tuple(_with_id(step, run) if _lacks(step) else step for step in plan.steps))


def _lacks(step: Step) -> bool:
    return step.resource == PROMO_NUMBERS.name and step.action is Action.CREATE and not step.own_id


def _with_id(step: Step, run: str) -> Step:
    content = json.dumps([run, step.number, step.identity])
    own_id = f"ib-{hashlib.sha256(content.encode()).hexdigest()[:20]}"
    body = {**(step.body or {}), _OWN_ID: own_id}
    return replace(step, own_id=own_id, path=(*step.path[:-1], _BY_ID.name), body=body)
