"""The runs on the page: what is under way, whoever has started it, what it came to, and what there was before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoca_bulk import journal
from invoca_bulk.config.settings import SANDBOX_SETTLE_SECONDS
from invoca_bulk.errors import ConfigError, ConfirmationRequiredError
from invoca_bulk.journal import RunState
from invoca_bulk.service import pipeline
from invoca_bulk.web import jobs, screens
from invoca_bulk.web.run_progress import ProgressMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.config.settings import JournalLocation, Network
    from invoca_bulk.journal import RunRecord, RunSummary
    from invoca_bulk.reports.results import Results
    from invoca_bulk.web.journal_locations import JournalLocations
    from invoca_bulk.web.screens import RegionRenderer

#: A run that ended within so many seconds before the page came is shown: whoever has reloaded it waits for that.
_RECENT_SECONDS = 600


class RunMonitor:
    """Follows one run at a time: the page's own, or else the latest that any process is at.

    Args:
        show_region: shows HTML in a region.
        locations: where the journals are.
    """

    def __init__(self, show_region: RegionRenderer, locations: JournalLocations) -> None:
        self._show_region = show_region
        self._locations = locations
        self._job: jobs.Job | None = None
        self._on_start_failed: Callable[[str], None] = lambda _: None
        self._followed_run_id = ""
        self._shown_run_id = ""
        self._progress_meter = ProgressMeter()

    # Beginning and stopping

    def ensure_idle(self) -> None:
        """One run of this page at a time.

        Raises:
            ConfirmationRequiredError: one is under way.
        """
        if self._job:
            raise ConfirmationRequiredError(
                "Nothing was sent: a run of this page is under way. Wait until it has ended."
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
        """Start a job, and follow it.

        Args:
            arguments: of the command line, as for `jobs.start_job`.
            network: whose token it gets.
            folder: the job's folder.
            on_start_failed: called with the reason, should it end before a run has begun.
            resumed_run_id: the run that goes on; empty: a new one begins.
        """
        settle = ["--settle", str(SANDBOX_SETTLE_SECONDS)] if self._locations.is_sandbox(network) else []
        journals = self._locations.location_for(network)
        self._on_start_failed = on_start_failed
        self._job = jobs.start_job(
            [*arguments, *settle], network, folder=folder, journal_location=journals, resumed_run_id=resumed_run_id
        )
        self._shown_run_id = ""
        self._show_region("results", "")
        self._show_region("run", screens.render_starting(), focus=True)

    def stop(self, run_id: str) -> None:
        """Stop a run softly, and at the second time at once; without a run: the job that has not begun one yet."""
        if not run_id:
            if self._job:
                self._job.process.terminate()
            return
        for place in self._locations.all_locations:
            if any(one.record.run == run_id for one in journal.list_active_runs(place)):
                self._show_region(
                    "stop",
                    screens.render_stop_button(
                        run_id, failure_reason=journal.request_stop(place, run_id), is_requested=True
                    ),
                )

    # Looking

    def restore(self) -> RunRecord | None:
        """What was there before the page: its runs, and the one that somebody may be waiting for.

        Returns:
            The latest run; None: there is none.
        """
        found = self.show_run_list()
        lately = [
            one for one in found if (one.record.ended_at or 0) > time.time() - _RECENT_SECONDS and not one.is_in_use
        ]
        if lately and not any(one.state == RunState.RUNNING for one in found):
            self.show_results(lately[-1].record.run)
        return found[-1].record if found else None

    def show_run_list(self) -> list[RunSummary]:
        """Show all runs, and give them, the oldest first."""
        found = [one for place in self._locations.all_locations for one in journal.list_runs(place)]
        found.sort(key=lambda one: one.record.started_at)
        unread = sum(len(journal.list_incompatible_journals(place)) for place in self._locations.all_locations)
        self._show_region(
            "runs",
            screens.render_run_list(
                [(one, self._locations.display_name(one.record)) for one in found], unreadable_count=unread
            ),
        )
        return found

    def poll(self) -> None:
        """See what is under way, and show it; to be called again and again."""
        running = {
            one.record.run: one for place in self._locations.all_locations for one in journal.list_active_runs(place)
        }
        job = self._job
        if job and job.has_ended:
            self._job = None
            self._handle_run_end(str(job.json_report.get("run") or ""), job)
        elif job:  # before its run begins and after it, while the results are written, there is nothing to follow
            for one in running.values():
                if job.owns(one):
                    self._show_region("issues", "")
                    self._follow(one, focus=True)
        elif self._followed_run_id:
            self._poll_followed_run(running)
        elif running:
            self._follow(list(running.values())[-1])

    def _poll_followed_run(self, running: Mapping[str, RunSummary]) -> None:
        """A run that another process is at."""
        if self._followed_run_id in running:
            self._follow(running[self._followed_run_id])
        elif self._find_run(self._followed_run_id)[1].state != RunState.RUNNING:  # else it could just not be read
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
            self._on_start_failed(job.failure_reason or "It was stopped before it began. Nothing was sent.")
        self.show_run_list()

    # Results

    def show_results(self, run_id: str, problem: str = "", *, focus: bool = False) -> None:
        """What a run came to, as it stands now.

        Raises:
            ConfigError: no journal knows it.
        """
        place, one = self._find_run(run_id)
        self._show_region(
            "results", screens.render_busy("6. Results", f"Gathering the results of run {run_id}"), focus=focus
        )
        self._shown_run_id = run_id
        where = self._locations.display_name(one.record)
        html = screens.render_results(
            pipeline.load_results(run_id, place), one, where, blocked_reason=self._blocked_reason(one), problem=problem
        )
        self._show_region("results", html, focus=focus)

    def refresh_results(self) -> None:
        """The run that is shown, since what can be done about it depends on the connection."""
        if self._shown_run_id:
            self.show_results(self._shown_run_id)

    def _blocked_reason(self, run_summary: RunSummary) -> str:
        """Why a run cannot be gone on with or undone now; empty: it can."""
        if run_summary.state == RunState.RUNNING:
            return "It is under way; it can be gone on with or undone once it has ended."
        try:
            self._locations.network_for_run(run_summary.record)
        except ConfigError as error:
            return str(error)
        return ""

    def load_results(self, run_id: str) -> tuple[Results, RunSummary]:
        """The results of a run.

        Raises:
            ConfigError: no journal knows it.
        """
        place, one = self._find_run(run_id)
        return pipeline.load_results(run_id, place), one

    def network_for_run(self, run_id: str) -> tuple[Network, RunSummary]:
        """The network of a run.

        Raises:
            ConfigError: no journal knows it, or the page does not have the network's token.
        """
        _, one = self._find_run(run_id)
        return self._locations.network_for_run(one.record), one

    def _find_run(self, run_id: str) -> tuple[JournalLocation, RunSummary]:
        for place in self._locations.all_locations:
            if one := journal.find_run_summary(place, run_id):
                return place, one
        raise ConfigError(f"No journal here knows the run {run_id}.")
