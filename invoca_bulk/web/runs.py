"""The runs on the page: what is under way, whoever has started it, what it came to, and what there was before."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from invoca_bulk import journal
from invoca_bulk.config.settings import REHEARSAL_SETTLE
from invoca_bulk.errors import NotConfirmed, SettingInvalid
from invoca_bulk.journal import RunState
from invoca_bulk.service import pipeline
from invoca_bulk.web import jobs, screens
from invoca_bulk.web.run_progress import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.config.settings import Network, Place
    from invoca_bulk.journal import Listed, RunRecord
    from invoca_bulk.reports.results import Results
    from invoca_bulk.web.journal_locations import Places
    from invoca_bulk.web.screens import Show

#: A run that ended within so many seconds before the page came is shown: whoever has reloaded it waits for that.
_LATELY = 600


class Runs:
    """Follows one run at a time: the page's own, or else the latest that any process is at.

    Args:
        show: shows HTML in a region.
        places: where the journals are.
    """

    def __init__(self, show: Show, places: Places) -> None:
        self._show = show
        self._places = places
        self._job: jobs.Job | None = None
        self._failed: Callable[[str], None] = lambda _: None
        self._followed = ""
        self._shown = ""
        self._meter = Meter()

    # Beginning and stopping

    def refuse_second(self) -> None:
        """One run of this page at a time.

        Raises:
            NotConfirmed: one is under way.
        """
        if self._job:
            raise NotConfirmed("Nothing was sent: a run of this page is under way. Wait until it has ended.")

    def begin(
        self, arguments: Sequence[str], network: Network, own: Path, *, failed: Callable[[str], None], run: str = ""
    ) -> None:
        """Start a job, and follow it.

        Args:
            arguments: of the command line, as for `jobs.start`.
            network: whose token it gets.
            own: the job's folder.
            failed: called with the reason, should it end before a run has begun.
            run: the run that goes on; empty: a new one begins.
        """
        settle = ["--settle", str(REHEARSAL_SETTLE)] if self._places.is_sandbox(network) else []
        journals = self._places.place(network)
        self._failed = failed
        self._job = jobs.start([*arguments, *settle], network, folder=own, journals=journals, run=run)
        self._shown = ""
        self._show("results", "")
        self._show("run", screens.starting(), focus=True)

    def stop(self, run: str) -> None:
        """Stop a run softly, and at the second time at once; without a run: the job that has not begun one yet."""
        if not run:
            if self._job:
                self._job.process.terminate()
            return
        for place in self._places.all:
            if any(one.record.run == run for one in journal.running(place)):
                self._show("stop", screens.stop(run, why_not=journal.stop(place, run), asked=True))

    # Looking

    def welcome(self) -> RunRecord | None:
        """What was there before the page: its runs, and the one that somebody may be waiting for.

        Returns:
            The latest run; None: there is none.
        """
        found = self.show_all()
        lately = [one for one in found if (one.record.ended_at or 0) > time.time() - _LATELY and not one.held]
        if lately and not any(one.state == RunState.RUNNING for one in found):
            self.show_results(lately[-1].record.run)
        return found[-1].record if found else None

    def show_all(self) -> list[Listed]:
        """Show all runs, and give them, the oldest first."""
        found = [one for place in self._places.all for one in journal.listed(place)]
        found.sort(key=lambda one: one.record.started_at)
        unread = sum(len(journal.foreign(place)) for place in self._places.all)
        self._show("runs", screens.runs([(one, self._places.name(one.record)) for one in found], unread=unread))
        return found

    def look(self) -> None:
        """See what is under way, and show it; to be called again and again."""
        running = {one.record.run: one for place in self._places.all for one in journal.running(place)}
        job = self._job
        if job and job.ended:
            self._job = None
            self._ended(str(job.told.get("run") or ""), job)
        elif job:  # before its run begins and after it, while the results are written, there is nothing to follow
            for one in running.values():
                if job.is_at(one):
                    self._show("issues", "")
                    self._follow(one, focus=True)
        elif self._followed:
            self._look_on(running)
        elif running:
            self._follow(list(running.values())[-1])

    def _look_on(self, running: Mapping[str, Listed]) -> None:
        """A run that another process is at."""
        if self._followed in running:
            self._follow(running[self._followed])
        elif self._found(self._followed)[1].state != RunState.RUNNING:  # else it could just not be read
            self._ended(self._followed, None)

    def _follow(self, one: Listed, *, focus: bool = False) -> None:
        if self._followed != one.record.run:
            self._followed, self._meter = one.record.run, Meter()
            name = f"Run {one.record.run} of {one.record.source or 'a DataFrame'}"
            self._show("run", screens.run(name), focus=focus)
            self._show("stop", screens.stop(one.record.run))
            self.show_all()
        self._show("progress", screens.progress(self._meter.read(one.totals)))

    def _ended(self, run: str, job: jobs.Job | None) -> None:
        self._followed = ""
        for region in ("stop", "progress", "run"):
            self._show(region, "")
        if run:
            self.show_results(run, focus=job is not None)
            if job:
                job.tidy()
        elif job:
            self._failed(job.problem or "It was stopped before it began. Nothing was sent.")
        self.show_all()

    # Results

    def show_results(self, run: str, problem: str = "", *, focus: bool = False) -> None:
        """What a run came to, as it stands now.

        Raises:
            SettingInvalid: no journal knows it.
        """
        place, one = self._found(run)
        self._show("results", screens.busy("6. Results", f"Gathering the results of run {run}"), focus=focus)
        self._shown = run
        where = self._places.name(one.record)
        html = screens.results(pipeline.results_of(run, place), one, where, why_not=self._why_not(one), problem=problem)
        self._show("results", html, focus=focus)

    def show_again(self) -> None:
        """The run that is shown, since what can be done about it depends on the connection."""
        if self._shown:
            self.show_results(self._shown)

    def _why_not(self, one: Listed) -> str:
        """Why a run cannot be gone on with or undone now; empty: it can."""
        if one.state == RunState.RUNNING:
            return "It is under way; it can be gone on with or undone once it has ended."
        try:
            self._places.network_of(one.record)
        except SettingInvalid as error:
            return str(error)
        return ""

    def results_of(self, run: str) -> tuple[Results, Listed]:
        """The results of a run.

        Raises:
            SettingInvalid: no journal knows it.
        """
        place, one = self._found(run)
        return pipeline.results_of(run, place), one

    def network_of(self, run: str) -> tuple[Network, Listed]:
        """The network of a run.

        Raises:
            SettingInvalid: no journal knows it, or the page does not have the network's token.
        """
        _, one = self._found(run)
        return self._places.network_of(one.record), one

    def _found(self, run: str) -> tuple[Place, Listed]:
        for place in self._places.all:
            if one := journal.find(place, run):
                return place, one
        raise SettingInvalid(f"No journal here knows the run {run}.")
