"""What a run came to, and its results file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from invoca_bulk import journal
from invoca_bulk.config.journal_location import JournalLocation, resolve_journal_location
from invoca_bulk.errors import InvocaBulkError, OutputError
from invoca_bulk.exit_codes import ABORTED, ALL_DONE, INTERRUPTED, ROWS_NOT_DONE
from invoca_bulk.journal import RunState
from invoca_bulk.reports.results import Results
from invoca_bulk.service.kept_flags import describe_kept_flags
from invoca_bulk.sheets.row_labels import RowLabels
from invoca_bulk.validation import ValidatedBook

#: What a process exits with when its run did not finish.
_EXIT_CODE_BY_STATE = {RunState.ABORTED: ABORTED, RunState.INTERRUPTED: INTERRUPTED, RunState.RUNNING: INTERRUPTED}


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run came to."""

    results: Results
    error: InvocaBulkError | None  # why the run was aborted; None: it was not
    output_path: Path | None = None  # None: none was asked for, or none could be written (`write_error`)
    requested_path: Path | None = None  # not `output_path` if that could not be written
    write_error: OutputError | None = None
    is_resumable: bool = False  # whether resuming the run would do something
    is_rehearsal: bool = False  # whether it ran on a sandbox, whose journal ends with this process
    is_detached: bool = False  # whether workers execute it and nobody follows

    @property
    def exit_code(self) -> int:
        """0 all done, or left to workers; 1 some rows not done; 3 aborted; 4 interrupted, or no longer followed."""
        if self.is_running and self.is_detached:
            return ALL_DONE
        if code := _EXIT_CODE_BY_STATE.get(self.results.run.state):
            return code
        return ALL_DONE if self.results.all_done and not self.write_error else ROWS_NOT_DONE

    @property
    def is_running(self) -> bool:
        """Whether workers are still executing it."""
        return self.results.run.state is RunState.RUNNING

    @property
    def notes(self) -> list[str]:
        """What the user has to know in addition to the totals."""
        notes = [str(error) for error in (self.error, self.write_error) if error]
        if self.output_path != self.requested_path:
            notes.append(f"{self.requested_path} could not be written; the results are in another file.")
        return notes


def load_results(run_id: str, location: str | JournalLocation | None) -> Results:
    """The results of any run as they are now, even while another process executes it."""
    resolved_location = resolve_journal_location(location)
    record, rows = journal.find_results(resolved_location, run_id)
    run_summary = journal.find_run_summary(resolved_location, run_id)
    return Results(
        run=record,
        rows=rows,
        kept_flags=describe_kept_flags(record, lambda: journal.find_done_writes(resolved_location, run_id)),
        undone_by=run_summary.undone_by if run_summary else "",
    )


def save_results(
    run_result: RunResult, requested_path: Path | None, input_paths: Sequence[Path], *, plain_csv: bool
) -> RunResult:
    """Write the results file, if one is wanted."""
    if requested_path is None:
        return run_result
    try:
        output_path = run_result.results.save(requested_path, protected_paths=input_paths, plain_csv=plain_csv)
    except OutputError as error:
        return replace(run_result, write_error=error)
    return replace(run_result, output_path=output_path, requested_path=requested_path)


def label_rows(run_result: RunResult, validated_book: ValidatedBook) -> RunResult:
    """Give the rows of the results the labels of the DataFrames that were run.

    The rows have the order of the sheets; a run that is resumed may have numbered them otherwise.
    """
    numbers: dict[int, dict[int, None]] = {}
    for row in run_result.results.rows:
        numbers.setdefault(row.sheet, {})[row.row] = None
    own_labels = [
        sheet.sheet.own_labels
        and RowLabels(
            numbers=pd.Index(numbers.get(index, ()), dtype="int64"),
            index=sheet.sheet.labels.select(sheet.sheet.frame.index),
        )
        for index, sheet in enumerate(validated_book.sheets)
    ]
    return replace(run_result, results=replace(run_result.results, own_labels=own_labels))
