"""Remedies as buttons and fields of the page: how the page tells a person what to do."""

from __future__ import annotations

from invoca_bulk.wording import Remedy

#: Set in the processes that the page starts, so that they word remedies as the page does.
JOB_VARIABLE = "INVOCA_PAGE_JOB"
#: Action of a remedy to what a person does on the page.
_ACTIONS = {
    "plan": "press “Plan”",
    "results": "download its results",
    "resume": "press “Resume this run”",
    "run": "plan and run the sheet",
    "runs": "see the list of runs",
    "stop": "press “Stop”",
    "validate": "upload it",
}
#: The actions for which a person first shows a run.
_RUN_ACTIONS = frozenset({"results", "resume", "stop"})
#: Option to its field on the page; the others can be set by the person who started the page.
_FIELDS = {
    "again": "“Buy again what earlier runs have bought”",
    "allow_removals": "“Let replace remove users and sites”",
    "api_version": "“API version”",
    "assign_ids": "“Generate an id for each new number without one”",
    "auto_ids": "“The network assigns ids to new advertisers”",
    "nested": "“Users and sites”",
    "resend_unknown": "the option resend_unknown, which only the command line has",
    "resend_absent": "“Buy again what was not found on the platform”",
    "skip_invalid": "“Leave out the refused rows”",
    "yes": "the confirmation",
}


def page_words(remedy: Remedy) -> str:
    """A remedy as what to press or fill in."""
    options = [option for option in remedy.options if not option.startswith(("output=", "cluster"))]
    fields = " and ".join(map(_to_field, options))
    if remedy.action == "option":
        return fields
    text = _ACTIONS.get(remedy.action) or f"ask the person who started the page to run “{remedy.action}”"
    if remedy.action in _RUN_ACTIONS:
        text = f"show {f'run {remedy.subject}' if remedy.subject else 'the run'} and {text}"
    return f"{text}, with {fields}" if fields else text


def _to_field(option: str) -> str:
    """`skip_invalid` -> its label; `nested=merge` -> its label and the value."""
    name, _, value = option.partition("=")
    label = _FIELDS.get(name, name.replace("_", " "))
    return label if value in {"", "…"} else f"{label}: {value}"
