"""What a run has to say in addition to its frame: below a notebook cell, or as warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from invoca_bulk.api.arguments import python_words
from invoca_bulk.config.environment import is_in_kernel
from invoca_bulk.config.options import Options
from invoca_bulk.journal import RunState
from invoca_bulk.reports import html, results_view
from invoca_bulk.reports.results import Results, describe_totals
from invoca_bulk.schema.outcomes import SUCCESS_OUTCOMES
from invoca_bulk.service.execute import notify
from invoca_bulk.service.run_result import RunResult
from invoca_bulk.wording import remedy

if TYPE_CHECKING:
    import pandas as pd


def present_result(run_result: RunResult, options: Options) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """The frame of a run; notes appear below a cell, or as warnings, and what it did with the progress."""
    results = run_result.results
    notes = [*run_result.notes, *results.kept_flags, *_next_step(run_result, options)]
    frame_or_frames = with_attributes(results, str(run_result.output_path or ""))
    totals = describe_totals(results.own_totals, results.earlier_totals)
    closing_lines = [*filter(None, [results.rehearsal_note]), *totals] if options.progress else []
    if is_in_kernel() and options.progress:
        lines = [*closing_lines, *results.sheet_warnings, *notes]
        html.display_below(results_view.view(frame_or_frames).to_rich_text(lines))
        return frame_or_frames
    for line in closing_lines:
        notify(options, line)
    show_notes(notes, stacklevel=5)
    return frame_or_frames


def with_attributes(results: Results, output: str) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """The frame or frames of results; their `attrs` say which run they are of, where its file is, and what it did."""
    now, before = (
        {outcome.value: count for outcome, count in totals.items()}
        for totals in (results.own_totals, results.earlier_totals)
    )
    frame_or_frames = results.frame
    for frame in each_frame(frame_or_frames):
        frame.attrs.update(run=results.run.run, output=output, now=now, before=before, undone_by=results.undone_by)
    return frame_or_frames


def each_frame(frames: pd.DataFrame | dict[str, pd.DataFrame]) -> Iterable[pd.DataFrame]:
    """The frames of a result, which is one frame or a dict of them."""
    return frames.values() if isinstance(frames, dict) else [frames]


def show_notes(notes: Sequence[str], stacklevel: int = 4) -> None:
    """Show notes, while the frames are returned.

    As warnings; below a cell as sentences, since there a warning stands between a file name and a line of code.
    """
    if is_in_kernel():
        html.display_notices(notes)
    else:
        for note in notes:
            warnings.warn(note, stacklevel=stacklevel)


def _next_step(run_result: RunResult, options: Options) -> list[str]:
    """For a run that was stopped: how much is left, and the call that does it."""
    totals, record = run_result.results.totals, run_result.results.run
    if record.state is RunState.FINISHED or run_result.is_detached:
        return []
    done = sum(count for outcome, count in totals.items() if outcome in SUCCESS_OUTCOMES)
    total = sum(totals.values())
    if run_result.is_running:
        follow = python_words(remedy("resume", "cluster", subject=record.run), options.journal)
        return [f"Workers execute run {record.run}: {done:,} of {total:,} rows are done. To follow it: {follow}"]
    summary = f"Run {record.run} was {record.state}: {done:,} rows are done, {total - done:,} are left."
    if not run_result.is_resumable:
        return [summary]
    condition = " (while its sandbox is running)" if run_result.is_rehearsal else ""
    return [f"{summary} To resume it{condition}: {python_words(remedy('resume', subject=record.run), options.journal)}"]
