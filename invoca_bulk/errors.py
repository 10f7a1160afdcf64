"""Every exception that this package raises on purpose.

InvocaBulkError                        exit code
├── UserError                            2   the user can fix it; nothing was sent
│   ├── UnreadableSheetError                 a file cannot be read as a spreadsheet
│   ├── InvalidSheetError                    a sheet has errors
│   │   └── RowsInvalid                      its rows have errors (reports.validation_report)
│   ├── ConfigError                          a flag, an environment variable or an argument is invalid
│   ├── PlanError                            a saved plan cannot be read, or is out of date
│   ├── ConfirmationRequiredError            something that cannot be undone was not confirmed, or is over the cap
│   └── OutputError                          a file cannot be written
├── RunAborted                           3   the run cannot continue
│   ├── AuthenticationError                  the platform does not accept the token
│   ├── TooManyFailuresError                 more steps failed than the user allows
│   ├── JournalLockedError                   another process runs on this network
│   ├── StepConflictError                    another process has changed a step
│   ├── LeaseLostError                       this process counts as dead, and others have taken over
│   └── PlatformUnavailableError             the platform's state could not be read
└── RequestFailedError                   3   a request got no reliable response (never leaves `execution`)
    ├── NotSentError                         nothing reached the platform
    └── InDoubtError                         the platform may have applied the request
"""

from __future__ import annotations

from invoca_bulk.exit_codes import ABORTED, NOTHING_SENT
from invoca_bulk.wording import word


class InvocaBulkError(Exception):
    """The base class: catch it to catch everything that this package raises.

    Attributes:
        exit_code: what the command line exits with when this error ends it.
    """

    exit_code = ABORTED

    @property
    def text(self) -> str:
        """The message as the core wrote it, with remedies as values: what the journal stores."""
        return super().__str__()

    def __str__(self) -> str:
        """The message with its remedies as the door words them: commands, calls or buttons."""
        return word(self.text)


class UserError(InvocaBulkError):
    """The user can fix it, and nothing was sent."""

    exit_code = NOTHING_SENT


class UnreadableSheetError(UserError):
    """A file cannot be read as a spreadsheet; the message says why and what to do."""


class InvalidSheetError(UserError):
    """A sheet has errors; where its rows have them, `RowsInvalid` carries the report."""


class ConfigError(UserError):
    """A flag, an environment variable or an argument has an invalid value."""


class PlanError(UserError):
    """A saved plan cannot be read, is for another network, or is out of date."""


class ConfirmationRequiredError(UserError):
    """Something that cannot be undone was not confirmed, or is over the cap."""


class OutputError(UserError):
    """A file cannot be written."""


class RunAborted(InvocaBulkError):
    """The run cannot continue; what was done is in the journal and in the results."""


class AuthenticationError(RunAborted):
    """The platform does not accept the token (401)."""


class TooManyFailuresError(RunAborted):
    """More steps failed than the user allows."""


class JournalLockedError(RunAborted):
    """Another process runs on this network."""


class StepConflictError(RunAborted):
    """A step is not in the expected state in the journal: another process has changed it."""


class LeaseLostError(RunAborted):
    """This process counts as dead, and others have taken over its work."""


class PlatformUnavailableError(RunAborted):
    """The platform's state could not be read, so there can be no plan."""


class RequestFailedError(InvocaBulkError):
    """A request got no reliable response."""


class NotSentError(RequestFailedError):
    """Nothing of the request reached the platform."""


class InDoubtError(RequestFailedError):
    """The platform may have applied the request.

    Attributes:
        status: the HTTP status, if the headers had arrived; else None.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
