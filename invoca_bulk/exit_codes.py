"""What the command line exits with; errors and results carry these codes."""

from __future__ import annotations

ALL_DONE, ROWS_NOT_DONE, NOTHING_SENT, ABORTED, INTERRUPTED = range(5)
#: Exit code to its meaning.
EXIT_CODES = {
    ALL_DONE: "Everything is done.",
    ROWS_NOT_DONE: "The run finished, but some rows are not done.",
    NOTHING_SENT: "Nothing was sent: wrong usage, errors in the sheet, or no confirmation.",
    ABORTED: "The run was aborted, for example because the token was not accepted.",
    INTERRUPTED: "The run was interrupted; `resume` finishes it.",
}
#: `plan --detailed-exitcode`, where 0 means that there is nothing to do, as in other tools that plan.
PLAN_HAS_ERRORS, PLAN_HAS_CHANGES = 1, 2
