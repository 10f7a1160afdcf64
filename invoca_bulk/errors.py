"""Every exception that this package raises on purpose.

InvocaBulkError                      exit code
├── UserError                          2   the user can fix it; nothing was sent
│   ├── UnreadableSheetError                    the file cannot be read as a spreadsheet
│   ├── InvalidSheetError                       the sheet has errors (annotation.RowsInvalid: its rows have)
│   ├── ConfigError                     a flag, variable or argument is wrong
│   ├── PlanError                       a kept plan cannot be read, or is not what would be done now
│   ├── ConfirmationRequiredError                       what cannot be undone was not confirmed, or is over the cap
│   └── OutputError                   a file cannot be written where it was asked for
├── RunAborted                         3   the run cannot go on
│   ├── AuthenticationError                      the platform does not accept the token
│   ├── JournalLockedError                        another process runs on this network
│   └── PlatformUnavailableError                the platform's state could not be read
└── RequestFailedError                         -   one call got no answer (never leaves `execution`)
    ├── NotSentError                            surely nothing reached the platform
    └── InDoubtError                            something may have been applied
"""

from __future__ import annotations


class InvocaBulkError(Exception):
    """The root: catch it to catch all that this package raises.

    Attributes:
        exit_code: what the command line exits with when this error ends it.
    """

    exit_code = 3


class UserError(InvocaBulkError):
    """The user can fix it, and nothing was sent."""

    exit_code = 2


class UnreadableSheetError(UserError):
    """A file cannot be read as a spreadsheet; the message says why and what to do."""


class InvalidSheetError(UserError):
    """A sheet has errors; where its rows have them, `annotation.RowsInvalid` carries the report."""


class ConfigError(UserError):
    """A flag, an environment variable or an argument has a value that cannot be used."""


class PlanError(UserError):
    """A kept plan cannot be read, is for another network, or the platform has changed since it was made."""


class ConfirmationRequiredError(UserError):
    """What cannot be undone was not confirmed, or would be over the cap."""


class OutputError(UserError):
    """A file cannot be written where it was asked for."""


class RunAborted(InvocaBulkError):
    """The run cannot go on; what was done is in the journal and in the results."""


class AuthenticationError(RunAborted):
    """The platform does not accept the token (401)."""


class TooManyFailuresError(RunAborted):
    """More steps were not done than the user wants to see."""


class JournalLockedError(RunAborted):
    """Another process runs on this network."""


class StepConflictError(RunAborted):
    """A step is not where it must be in the journal: somebody else has it."""


class LeaseLostError(RunAborted):
    """This process is taken for a dead one, and others do what it was doing."""


class PlatformUnavailableError(RunAborted):
    """The platform's state could not be read, so no plan can be made."""


class RequestFailedError(InvocaBulkError):
    """One call got no trustworthy answer."""


class NotSentError(RequestFailedError):
    """Surely nothing of the request reached the platform."""


class InDoubtError(RequestFailedError):
    """The platform may have applied the request.

    Attributes:
        status: the HTTP status, where the headers had arrived; else None.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
