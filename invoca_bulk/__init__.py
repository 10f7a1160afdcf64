"""Create and manage Invoca advertisers and promo numbers in bulk, from spreadsheets and DataFrames.

    import invoca_bulk as ib

    sheet = ib.read("requests.xlsx")
    print(ib.validate(sheet).issues)
    with ib.sandbox() as network:            # or ib.Network(network_id="1234", token="…")
        results = ib.run(sheet, network)     # the sheet, with promo_number and result_status on each row

Heavy libraries are imported on first use: `import invoca_bulk` costs milliseconds.
"""

from __future__ import annotations

import importlib

TYPE_CHECKING = False  # importing `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from typing import Any

    from invoca_bulk.api import (
        Network,
        Options,
        export,
        plan,
        read,
        results,
        resume,
        run,
        runs,
        sandbox,
        template,
        undo,
        validate,
        view,
    )
    from invoca_bulk.errors import (
        AuthenticationError,
        ConfigError,
        ConfirmationRequiredError,
        InDoubtError,
        InvalidSheetError,
        InvocaBulkError,
        JournalLockedError,
        LeaseLostError,
        NotSentError,
        OutputError,
        PlanError,
        PlatformUnavailableError,
        RequestFailedError,
        RunAborted,
        StepConflictError,
        TooManyFailuresError,
        UnreadableSheetError,
        UserError,
    )
    from invoca_bulk.reports.plan_report import Plan
    from invoca_bulk.reports.results_view import ResultsView
    from invoca_bulk.reports.validation_report import Report, RowsInvalid
    from invoca_bulk.service.undo import Undo
    from invoca_bulk.web import page

#: Public name to the module that has it.
_PUBLIC = {
    "AuthenticationError": "errors",
    "ConfigError": "errors",
    "ConfirmationRequiredError": "errors",
    "InDoubtError": "errors",
    "InvalidSheetError": "errors",
    "InvocaBulkError": "errors",
    "JournalLockedError": "errors",
    "LeaseLostError": "errors",
    "Network": "api",
    "NotSentError": "errors",
    "Options": "api",
    "OutputError": "errors",
    "Plan": "reports.plan_report",
    "PlanError": "errors",
    "PlatformUnavailableError": "errors",
    "Report": "reports.validation_report",
    "RequestFailedError": "errors",
    "ResultsView": "reports.results_view",
    "RowsInvalid": "reports.validation_report",
    "RunAborted": "errors",
    "StepConflictError": "errors",
    "TooManyFailuresError": "errors",
    "Undo": "service.undo",
    "UnreadableSheetError": "errors",
    "UserError": "errors",
    "export": "api",
    "page": "web",
    "plan": "api",
    "read": "api",
    "results": "api",
    "resume": "api",
    "run": "api",
    "runs": "api",
    "sandbox": "api",
    "template": "api",
    "undo": "api",
    "validate": "api",
    "view": "api",
}

__all__ = [
    "AuthenticationError",
    "ConfigError",
    "ConfirmationRequiredError",
    "InDoubtError",
    "InvalidSheetError",
    "InvocaBulkError",
    "JournalLockedError",
    "LeaseLostError",
    "Network",
    "NotSentError",
    "Options",
    "OutputError",
    "Plan",
    "PlanError",
    "PlatformUnavailableError",
    "Report",
    "RequestFailedError",
    "ResultsView",
    "RowsInvalid",
    "RunAborted",
    "StepConflictError",
    "TooManyFailuresError",
    "Undo",
    "UnreadableSheetError",
    "UserError",
    "export",
    "page",
    "plan",
    "read",
    "results",
    "resume",
    "run",
    "runs",
    "sandbox",
    "template",
    "undo",
    "validate",
    "view",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  whatever the name stands for
    if name not in _PUBLIC:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_PUBLIC)
