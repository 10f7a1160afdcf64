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
        help,  # noqa: A004  it is called as `ib.help`
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

#: Public name to the module that has it; all others are exceptions or in `api`.
_MODULES = {
    "Plan": "reports.plan_report",
    "Report": "reports.validation_report",
    "ResultsView": "reports.results_view",
    "RowsInvalid": "reports.validation_report",
    "Undo": "service.undo",
    "page": "web",
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
    "help",
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
    if name in __all__:
        for module_name in ("errors", _MODULES.get(name, "api")):
            module = importlib.import_module(f"{__name__}.{module_name}")
            if hasattr(module, name):
                return getattr(module, name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return list(__all__)
