"""Remedies as buttons and fields of the page: how the page tells a person what to do."""

from __future__ import annotations

from invoca_bulk.wording import UNKNOWN_RUN, Remedy

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
#: Option to the label of its field; the page has no others.
LABELS = {
    "again": "Buy again what earlier runs have bought",
    "allow_unlisted": "Send media types that are not in the list",
    "allow_no_sites": "Let advertisers be without a site",
    "allow_removals": "Let replace remove users and sites",
    "api_version": "API version",
    "apply_edits": "Send the edits of rows that were done before",
    "assign_ids": "Generate an id for each new number without one",
    "auto_ids": "The network assigns ids to new advertisers",
    "nested": "Users and sites",
    "resend_absent": "Buy again what was not found on the platform",
    "skip_invalid": "Leave out the refused rows",
}
#: Option without a field to what a person does instead.
_INSTEAD = {
    "encoding": "a file saved as CSV UTF-8 or .xlsx",
    "sheet": "a file with only that sheet",
    "yes": "the confirmation",
}


def page_words(remedy: Remedy) -> str:
    """A remedy as what to press or fill in."""
    options = [option for option in remedy.options if not option.startswith(("output=", "cluster"))]
    fields = " and ".join(map(_to_field, options))
    if remedy.action in {"option", "setting"}:
        return fields
    is_on_page = remedy.action in _ACTIONS and all(option.partition("=")[0] in LABELS for option in options)
    if not is_on_page:
        command = " ".join(filter(None, [remedy.action, remedy.subject, *options]))
        return f"ask the person who started the page to run “{command}”"
    text = _ACTIONS[remedy.action]
    if remedy.action in _RUN_ACTIONS:
        text = f"show {'the run' if remedy.subject == UNKNOWN_RUN else f'run {remedy.subject}'} and {text}"
    return f"{text}, with {fields}" if fields else text


def _to_field(option: str) -> str:
    """`skip_invalid` -> its label; `nested=merge` -> its label and the value; without a field: what to do instead."""
    name, _, value = option.partition("=")
    label = f"“{LABELS[name]}”" if name in LABELS else _INSTEAD.get(name, f"the option {name}")
    return label if value in {"", "…"} else f"{label}: {value}"
