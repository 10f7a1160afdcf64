"""The runs on the page: the one under way, whichever process executes it, and the results of earlier ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from invoca_bulk import journal
from invoca_bulk.config.journal_location import JournalLocation
from invoca_bulk.config.network import Network
from invoca_bulk.config.settings import SANDBOX_SETTLE_SECONDS
from invoca_bulk.errors import ConfigError, ConfirmationRequiredError
from invoca_bulk.journal import RunRecord, RunState, RunSummary
from invoca_bulk.service.run_result import load_results
from invoca_bulk.web import jobs, screens
from invoca_bulk.web.journal_locations import JournalLocations
from invoca_bulk.web.run_progress import ProgressMeter
from invoca_bulk.web.screens import RegionRenderer
from invoca_bulk.web.wording import page_words
from invoca_bulk.wording import word

#: On opening, the page shows a run that ended at most this many seconds ago: after a reload the user waits for it.
_RECENT_SECONDS = 600


class RunMonitor:
    """Follows one run at a time: the page's own, or else the latest one that any process executes."""

    def __init__(self, show_region: RegionRenderer, locations: JournalLocations) -> None:
        self._show_region = show_region
        self._locations = locations
        self._job: jobs.Job | None = None
        self._on_start_failed: Callable[[str], None] = lambda _: None
        self._followed_run_id = ""
        self._shown_run_id = ""
        self._progress_meter = ProgressMeter()

    def ensure_idle(self) -> None:
        """Allow one run of this page at a time."""
        if self._job:
            raise ConfirmationRequiredError(
                "Nothing was sent: another run of this page is under way. Wait for its end."
            )

    def start_job(
        self,
        arguments: Sequence[str],
        network: Network,
        folder: Path,
        *,
        on_start_failed: Callable[[str], None],
        resumed_run_id: str = "",
    ) -> None:
        """Start a job and follow it; `on_start_failed` gets the reason if the job ends before its run has started."""
        settle = ["--settle", str(SANDBOX_SETTLE_SECONDS)] if self._locations.is_sandbox(network) else []
        location = self._locations.location_for(network)
        self._on_start_failed = on_start_failed
        self._job = jobs.start_job(
            [*arguments, *settle], network, folder=folder, journal_location=location, resumed_run_id=resumed_run_id
        )
        self._shown_run_id = ""
        self._show_region("results", "")
        self._show_region("run", screens.render_starting(), focus=True)

    def stop(self, run_id: str) -> None:
        """Ask a run to stop, the second time at once; with an empty `run_id`: stop the job that has no run yet."""
        if not run_id:
            if self._job:
                self._job.process.terminate()
            return
        for location in self._locations.all_locations:
            if any(run_summary.record.run == run_id for run_summary in journal.list_active_runs(location)):
                failure_reason = journal.request_stop(location, run_id)
                html = screens.render_stop_button(run_id, failure_reason=failure_reason, is_requested=True)
                self._show_region("stop", html)

    def restore(self) -> RunRecord | None:
        """Show the earlier runs, and the results of one that has just ended; return the latest run."""
        run_summaries = self.show_run_list()
        ended = [run_summary for run_summary in run_summaries if not run_summary.is_in_use]
        recent = [summary for summary in ended if (summary.record.ended_at or 0) > time.time() - _RECENT_SECONDS]
        if recent and not any(run_summary.state == RunState.RUNNING for run_summary in run_summaries):
            self.show_results(recent[-1].record.run)
        return run_summaries[-1].record if run_summaries else None

    def show_run_list(self) -> list[RunSummary]:
        """Show all runs, and return them, oldest first."""
        locations = self._locations.all_locations
        run_summaries = [run_summary for location in locations for run_summary in journal.list_runs(location)]
        run_summaries.sort(key=lambda run_summary: run_summary.record.started_at)
        unreadable_count = sum(len(journal.list_incompatible_journals(location)) for location in locations)
        entries = [(run_summary, self._locations.display_name(run_summary.record)) for run_summary in run_summaries]
        self._show_region("runs", screens.render_run_list(entries, unreadable_count=unreadable_count))
        return run_summaries

    def poll(self) -> None:
        """Show the run that is under way; call it repeatedly."""
        running = {
            run_summary.record.run: run_summary
            for location in self._locations.all_locations
            for run_summary in journal.list_active_runs(location)
        }
        job = self._job
        if job and job.has_ended:
            self._job = None
            self._handle_run_end(str(job.json_report.get("run") or ""), job)
        elif job:  # its run is not under way before it starts, nor while the results are written
            for run_summary in running.values():
                if job.owns(run_summary):
                    self._show_region("issues", "")
                    self._follow(run_summary, focus=True)
        elif self._followed_run_id:
            self._poll_followed_run(running)
        elif running:
            self._follow(list(running.values())[-1])

    def _poll_followed_run(self, running: Mapping[str, RunSummary]) -> None:
        """Follow a run that was not started as a job of this page."""
        if self._followed_run_id in running:
            self._follow(running[self._followed_run_id])
        # Still running: the journal could not be read just now.
        elif self.find_run(self._followed_run_id)[1].state != RunState.RUNNING:
            self._handle_run_end(self._followed_run_id, None)

    def _follow(self, run_summary: RunSummary, *, focus: bool = False) -> None:
        if self._followed_run_id != run_summary.record.run:
            self._followed_run_id, self._progress_meter = run_summary.record.run, ProgressMeter()
            name = f"Run {run_summary.record.run} of {run_summary.record.source or 'a DataFrame'}"
            self._show_region("run", screens.render_run(name), focus=focus)
            self._show_region("stop", screens.render_stop_button(run_summary.record.run))
            self.show_run_list()
        self._show_region("progress", screens.render_progress(self._progress_meter.measure(run_summary.totals)))

    def _handle_run_end(self, run_id: str, job: jobs.Job | None) -> None:
        self._followed_run_id = ""
        for region in ("stop", "progress", "run"):
            self._show_region(region, "")
        if run_id:
            self.show_results(run_id, focus=job is not None)
            if job:
                job.delete_plan()
        elif job:
            self._on_start_failed(job.failure_reason or "The run was stopped before it started. Nothing was sent.")
        self.show_run_list()

    def show_results(self, run_id: str, problem: str = "", *, focus: bool = False) -> None:
        """Show the current results of a run."""
        location, run_summary = self.find_run(run_id)
        busy = screens.render_busy("6. Results", f"Loading the results of run {run_id}")
        self._show_region("results", busy, focus=focus)
        self._shown_run_id = run_id
        html = screens.render_results(
            load_results(run_id, location),
            run_summary,
            self._locations.display_name(run_summary.record),
            blocked_reason=self._blocked_reason(run_summary),
            problem=problem,
        )
        self._show_region("results", html, focus=focus)

    def refresh_results(self) -> None:
        """Show the results again: which actions they offer depends on the connection."""
        if self._shown_run_id:
            self.show_results(self._shown_run_id)

    def _blocked_reason(self, run_summary: RunSummary) -> str:
        """Why a run cannot be resumed or undone now; empty: it can."""
        if run_summary.state == RunState.RUNNING:
            return "This run is under way; you can resume or undo it after it has ended."
        try:
            self._locations.network_for_run(run_summary.record)
        except ConfigError as error:
            return word(error.text, wording=page_words)
        return ""

    def find_run(self, run_id: str) -> tuple[JournalLocation, RunSummary]:
        """A run, and the journals that contain it."""
        for location in self._locations.all_locations:
            if run_summary := journal.find_run_summary(location, run_id):
                return location, run_summary
        raise ConfigError(f"No journal contains the run {run_id}.")
