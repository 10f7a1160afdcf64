"""Remedies as buttons and fields of the page: how the page tells a person what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from invoca_bulk.wording import Remedy

#: Action of a remedy to what a person does on the page; `{}` is the run.
_ACTIONS = {
    "plan": "press “Plan”",
    "results": "show run {} and download its results",
    "resume": "show run {} and press “Resume this run”",
    "run": "plan and run the sheet",
    "runs": "see the list of runs",
    "sandbox": "choose the sandbox under “1. Connect”",
    "stop": "show run {} and press “Stop”",
    "undo": "show run {} and press “Plan to undo this run”",
}
#: Option to its field on the page; the others can be set by the person who started the page.
_FIELDS = {
    "again": "“Buy again what earlier runs have bought”",
    "allow_removals": "“Let replace remove users and sites”",
    "api_version": "“API version”",
    "assign_ids": "“Generate an id for each new number without one”",
    "auto_ids": "“The network assigns ids to new advertisers”",
    "nested": "“Users and sites”",
    "resend_absent": "“Buy again what was not found on the platform”",
    "skip_invalid": "“Leave out the refused rows”",
    "yes": "the confirmation",
}


def page_words(remedy: Remedy) -> str:
    """A remedy as what to press or fill in."""
    fields = " and ".join(map(_to_field, remedy.options))
    if remedy.action == "option":
        return fields
    action = _ACTIONS.get(remedy.action, f"ask the person who started the page to run “{remedy.action}”")
    text = action.format(remedy.run or "it")
    return f"{text}, with {fields}" if fields and "output=" not in fields else text


def _to_field(option: str) -> str:
    """`skip_invalid` -> its label; `nested=merge` -> its label and the value."""
    name, _, value = option.partition("=")
    label = _FIELDS.get(name, name.replace("_", " "))
    return label if value in {"", "…"} else f"{label}: {value}"
