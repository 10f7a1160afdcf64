"""The page: hears what the person wants, has the stages do it, and shows what came of it.

Three threads. The kernel's own hears; it only puts down what has to be done, so that the page never stands still. One
thread does it, one thing after the other. One looks at the journal for runs, whoever has started them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from invoca_bulk import displays, fetching, journal, kept, pipeline, settings, templates, undoing
from invoca_bulk.app import jobs, rehearsal, screens
from invoca_bulk.app.live import Live
from invoca_bulk.app.watching import Meter
from invoca_bulk.errors import InvocaBulkError, NotConfirmed, SettingInvalid
from invoca_bulk.journal import RunState
from invoca_bulk.options import Options
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.settings import REHEARSAL_SETTLE, TOKEN_VARIABLE, Network
from invoca_bulk.sheets import MAX_FILE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.annotation import Report
    from invoca_bulk.journal import Listed, RunRecord
    from invoca_bulk.previews import Preview

    Message = Mapping[str, Any]

#: Seconds between two looks at the journal.
_HEARTBEAT = 0.5
#: A run that ended within so many seconds before the page came is shown: whoever has reloaded it waits for that.
_LATELY = 600
#: What a region shows of a problem, when there is nothing else to show.
_PLAN, _RUN, _RESULTS, _RUNS = (
    partial(screens.failed, title) for title in ("4. Plan", "5. Run", "6. Results", "Runs so far")
)
#: Choices that a plan depends on, by their names in the form; the others are the run's.
_PLANNED = ("nested", "allow_removals", "auto_ids", "again")


class Page:
    """The upload page, to be displayed in a notebook's cell.

    Args:
        journal: the folder of the journals; None: the user's own.
    """

    def __init__(self, journal: str | Path | None = None) -> None:
        self._journal = settings.journal_folder(journal)
        self._files = tempfile.TemporaryDirectory(prefix="invoca-bulk-page-")
        self._network: Network | None = None
        self._upload: Path | None = None
        self._report: Report | None = None
        self._preview: Preview | None = None
        self._choices: dict[str, Any] = {}
        self._job: jobs.Job | None = None
        self._followed = ""
        self._meter = Meter()
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = False
        self.widget = Live(screens.layout(displays.STYLE), self._hear)
        self._show("connect", screens.connect())

    def _repr_mimebundle_(self, **options: Any) -> Any:  # noqa: ANN401  IPython's protocol
        return self.widget._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return "<the upload page; display it in a notebook, or open it with: invoca-bulk app>"

    # Hearing

    def _hear(self, message: Message, buffers: list[Any]) -> None:
        """In the kernel's own thread: what cannot wait is done, the rest is put down."""
        if not self._started:
            self._started = True
            for loop in (self._work, self._watch):
                threading.Thread(target=loop, name="invoca-bulk page", daemon=True).start()
        what = str(message.get("do"))
        if what == "upload":
            self._take(message, bytes(buffers[0]) if buffers else b"")
        elif what == "stop":
            self._stop(str(message["run"]))
        elif do := self._DO.get(what):
            self._todo.put(lambda: do(self, message))

    def _work(self) -> None:
        while True:
            self._todo.get()()

    def _told(self, region: str, tell: Callable[[str], str], do: Callable[[], None]) -> None:
        """Do something; what goes wrong is said in a region, and the page goes on.

        Args:
            region: where.
            tell: makes what the region shows then, with the problem.
            do: what to do.
        """
        try:
            do()
        except InvocaBulkError as error:
            self._show(region, tell(str(error)))
        except Exception as error:  # noqa: BLE001  a defect must not leave the person with a page that stands still
            self._show(region, tell(f"This is a defect of invoca-bulk ({type(error).__name__}: {error})."))

    def _show(self, region: str, html: str, *, focus: bool = False) -> None:
        self.widget.show(region, html, focus=focus)

    def _clear(self, *regions: str) -> None:
        for region in regions:
            self._show(region, "")

    # 1. Connect

    def _connect(self, message: Message) -> None:
        values = message["values"]
        self._told("connect", screens.connect, lambda: self._connected(values))

    def _connected(self, values: Message) -> None:
        version = str(values["api_version"])
        if values.get("where") == "sandbox":
            network = rehearsal.current().network(version)
        else:
            self._show("connect", screens.busy("1. Connect", "Looking whether the platform takes the token"))
            network = Network(
                network_id=str(values["network_id"]),
                base_url=str(values["base_url"]),
                api_version=version,
                token=str(values["token"]) or os.environ.get(TOKEN_VARIABLE, ""),
            )
            fetching.check(network, Options())
        self._network = network
        self._report = self._preview = None
        self._show("connect", screens.connected(network, sandbox=self._is_sandbox(network)))
        self._clear("issues", "plan")
        self._show("sheet", screens.sheet(), focus=True)
        self._list()
        if self._upload:
            self._check()

    def _leave(self, _: Message) -> None:
        self._network = self._preview = None
        self._clear("sheet", "issues", "plan")
        self._show("connect", screens.connect(), focus=True)

    @staticmethod
    def _is_sandbox(network: Network | RunRecord) -> bool:
        known = rehearsal.known()
        return known is not None and network.base_url == known.base_url

    def _folder(self, network: Network | RunRecord) -> Path:
        """The folder of a network's journal; the sandbox's goes with it."""
        known = rehearsal.known()
        return Path(known.journal) if known and network.base_url == known.base_url else self._journal

    # 2. Sheet

    def _template(self, message: Message) -> None:
        resource, network = RESOURCES[str(message["resource"])], self._network
        path = Path(self._files.name) / f"{resource.name}-template.xlsx"

        def write() -> None:
            version = network.api_version if network else DEFAULT_API_VERSION
            self.widget.download(templates.write_template(resource, path, version=version), f"{resource.name}.xlsx")

        self._told("sheet", lambda problem: screens.sheet(self._name, problem), write)

    @property
    def _name(self) -> str:
        return self._upload.name if self._upload else ""

    def _take(self, message: Message, piece: bytes) -> None:
        """A piece of an upload."""
        at, size = int(message["at"]), int(message["size"])
        path = Path(self._files.name) / "uploads" / _plain_name(str(message["name"]))
        if max(size, at + len(piece)) > MAX_FILE_BYTES:
            self.widget.more(go=False)
            problem = f"{path.name} has more than {MAX_FILE_BYTES >> 30} GiB. Split it into smaller files."
            self._show("sheet", screens.sheet(self._name, problem))
            return
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("r+b" if at else "wb") as stream:
            stream.seek(at)
            stream.write(piece)
        self.widget.more(go=True)
        if at + len(piece) >= size:
            self._todo.put(lambda: self._uploaded(path))

    def _uploaded(self, path: Path) -> None:
        self._upload, self._choices = path, {}
        self._check()

    def _upload_failed(self, message: Message) -> None:
        problem = f"{message['name']} could not be uploaded. Is it open elsewhere, or gone? Choose it again."
        self._show("sheet", screens.sheet(self._name, problem))

    def _too_many(self, message: Message) -> None:
        problem = f"{message['count']} files at once. Choose one; several sheets can stand in one workbook."
        self._show("sheet", screens.sheet(self._name, problem))

    # 3. Check

    def _check(self) -> None:
        self._report = self._preview = None
        self._clear("plan", "results")
        self._show("sheet", screens.sheet(self._name))
        self._show("issues", screens.busy("3. Check", f"Reading {self._name} and checking every row"))
        self._told("sheet", self._unreadable, self._checked)

    def _unreadable(self, problem: str) -> str:
        self._clear("issues")
        name, self._upload = self._name, None
        return screens.sheet("", problem.replace(str(Path(self._files.name) / "uploads"), "").strip() or name)

    def _checked(self) -> None:
        if not (self._upload and self._network):
            return
        auto_ids = bool(self._choices.get("auto_ids"))
        report = pipeline.check(self._upload, api_version=self._network.api_version, auto_ids=auto_ids)
        self._report = report
        self._show("issues", screens.issues(report, self._choices), focus=True)

    def _annotated(self, _: Message) -> None:
        if report := self._report:
            path = Path(self._files.name) / "annotated.xlsx"
            save = lambda: self.widget.download(report.save(path), f"{_stem(self._name)}-annotated.xlsx")  # noqa: E731
            self._told("issues", lambda problem: screens.issues(report, self._choices, problem), save)

    # 4. Plan

    def _plan(self, message: Message) -> None:
        report = self._report
        if report and self._network:
            self._choices = dict(message["values"])
            self._show("plan", screens.busy("4. Plan", "Looking at the platform"), focus=True)
            self._told("issues", self._not_planned, self._planned)

    def _not_planned(self, problem: str) -> str:
        self._clear("plan")
        return screens.issues(self._report, self._choices, problem) if self._report else ""

    def _planned(self) -> None:
        if not (self._report and self._network):
            return
        chosen = {name: value for name in _PLANNED if (value := self._choices.get(name)) is not None}
        options = Options(**chosen, journal=self._folder(self._network))
        source = self._report if self._report.checked.auto_ids == options.auto_ids else self._upload
        assert source is not None  # noqa: S101  tells mypy that a report has its upload
        self._preview = pipeline.preview(source, self._network, options)
        self._show_plan(focus=True)

    def _show_plan(self, problem: str = "", *, focus: bool = False) -> None:
        if self._preview:
            self._show("plan", screens.plan(self._preview, self._where(self._preview.network), problem), focus=focus)

    def _where(self, network: Network | RunRecord) -> str:
        return _SANDBOX if self._is_sandbox(network) else f"network {network.network_id} at {network.base_url}"

    def _plan_workbook(self, _: Message) -> None:
        if preview := self._preview:
            path = Path(self._files.name) / "plan.xlsx"
            self._told(
                "plan",
                partial(screens.plan, preview, self._where(preview.network)),
                lambda: self.widget.download(preview.save(path), f"{_stem(preview.plan.source)}-plan.xlsx"),
            )

    # 5. Run

    def _run(self, message: Message) -> None:
        if preview := self._preview:
            where = self._where(preview.network)
            tell = partial(screens.plan, preview, where)
            self._told("plan", tell, lambda: self._confirmed(preview, message["values"]))

    def _confirmed(self, preview: Preview, values: Message) -> None:
        self._refuse_second()
        _refuse_unconfirmed(preview, values)
        self._preview = None  # a second press finds nothing to run
        network, folder = preview.network, self._folder(preview.network)
        own = jobs.new_folder(folder, preview.plan.source)
        plan = kept.write(preview.kept, own / jobs.PLAN)
        where = ("--network-id", network.network_id, "--base-url", network.base_url)
        flags = [*where, "--api-version", network.api_version, "--yes", *self._run_flags(preview)]
        self._begin(["run", str(plan), *flags], network, own)
        self._clear("plan")

    def _run_flags(self, preview: Preview) -> list[str]:
        """What the person has chosen, and the cap that was confirmed."""
        chosen = {
            "--skip-invalid": not preview.ok,
            "--again": preview.options.again,
            "--assign-ids": bool(self._choices.get("assign_ids")),
        }
        cap = ["--max-new-numbers", str(preview.plan.new_numbers)]
        return [*cap, *(flag for flag, is_wanted in chosen.items() if is_wanted)]

    def _refuse_second(self) -> None:
        """One run of this page at a time.

        Raises:
            NotConfirmed: one is under way.
        """
        if self._job:
            raise NotConfirmed("Nothing was sent: a run of this page is under way. Wait until it has ended.")

    def _begin(self, arguments: list[str], network: Network, own: Path) -> None:
        settle = ["--settle", str(REHEARSAL_SETTLE)] if self._is_sandbox(network) else []
        self._job = jobs.start([*arguments, *settle], network, folder=own, journals=self._folder(network))
        self._clear("results")
        self._show("run", screens.busy("5. Run", "Starting; the platform is looked at once more"), focus=True)

    def _stop(self, run: str) -> None:
        for folder in self._folders():
            with contextlib.suppress(SettingInvalid):
                asked = journal.stop(folder, run)
                self._show("stop", screens.stop(run, asked=asked))

    # What runs come to

    def _folders(self) -> list[Path]:
        known = rehearsal.known()
        return [self._journal, *([Path(known.journal)] if known else [])]

    def _watch(self) -> None:
        self._told("runs", _RUNS, self._welcome)
        while True:
            began = time.monotonic()
            self._told("runs", _RUNS, self._look)
            # A journal that is slow to read is read less often.
            time.sleep(max(_HEARTBEAT, 4 * (time.monotonic() - began)))

    def _welcome(self) -> None:
        """What was there before the page: its runs, and the one that somebody may be waiting for."""
        found = self._list()
        lately = [one for one in found if (one.record.ended_at or 0) > time.time() - _LATELY and not one.held]
        if lately and not any(one.state == RunState.RUNNING for one in found):
            self._show_results(lately[-1].record.run)

    def _list(self) -> list[Listed]:
        found = [one for folder in self._folders() for one in journal.listed(folder)]
        found.sort(key=lambda one: one.record.started_at)
        self._show("runs", screens.runs([(one, self._where(one.record)) for one in found]))
        return found

    def _look(self) -> None:
        running = {one.record.run: one for folder in self._folders() for one in journal.running(folder)}
        job = self._job
        mine = [one for one in running.values() if job and one.owner and one.owner.process == job.process.pid]
        if job and job.ended:
            self._job = None
            self._ended(str(job.told.get("run") or ""), job)
        elif job:  # before its run begins and after it, while the results are written, there is nothing to follow
            for one in mine:
                self._clear("issues")
                self._follow(one, focus=True)
        elif self._followed in running:
            self._follow(running[self._followed])
        elif self._followed:  # another process' run, that this page has watched
            self._ended(self._followed, None)
        elif running:
            self._follow(list(running.values())[-1])

    def _follow(self, one: Listed, *, focus: bool = False) -> None:
        if self._followed != one.record.run:
            self._followed, self._meter = one.record.run, Meter()
            self._show("run", screens.run(f"Run {one.record.run} of {one.record.source or 'a DataFrame'}"), focus=focus)
            self._show("stop", screens.stop(one.record.run, asked=False))
            self._list()
        self._show("progress", screens.progress(self._meter.read(one.totals)))

    def _ended(self, run: str, job: jobs.Job | None) -> None:
        self._followed = ""
        self._clear("stop", "progress")
        if run:
            self._clear("run")
            self._show_results(run, focus=job is not None)
        elif job:
            self._show("run", _RUN(job.problem or "The run ended before it began."), focus=True)
        self._list()

    # 6. Results

    def _show_run(self, message: Message) -> None:
        run = str(message["run"])
        self._told("results", _RESULTS, lambda: self._show_results(run, focus=True))

    def _show_results(self, run: str, *, focus: bool = False) -> None:
        folder, one = self._found(run)
        results = pipeline.results_of(run, folder)
        can_go_on = "" if self._can(one.record) else _CONNECT.format(one.record.network_id, one.record.base_url)
        where = self._where(one.record)
        html = screens.results(results, one.state, where, is_open=one.is_open, can_go_on=can_go_on)
        self._show("results", html, focus=focus)

    def _found(self, run: str) -> tuple[Path, Listed]:
        for folder in self._folders():
            for one in journal.listed(folder):
                if one.record.run == run:
                    return folder, one
        raise SettingInvalid(f"No journal here knows the run {run}.")

    def _can(self, record: RunRecord) -> bool:
        """Whether the page has the token of a run's network."""
        return self._is_sandbox(record) or self._network_of(record) is not None

    def _network_of(self, record: RunRecord) -> Network | None:
        known = rehearsal.known()
        if known and self._is_sandbox(record):
            return known.network(record.api_version)
        network = self._network
        same = network and (network.base_url, network.network_id) == (record.base_url, record.network_id)
        return replace(network, api_version=record.api_version) if network and same else None

    def _download(self, message: Message) -> None:
        run, ending = str(message["run"]), str(message["ending"])

        def write() -> None:
            folder, one = self._found(run)
            name = f"{_stem(one.record.source)}-results{ending if ending in {'.xlsx', '.csv'} else '.xlsx'}"
            saved = pipeline.results_of(run, folder).save(Path(self._files.name) / name)
            self.widget.download(saved, name)

        self._told("results", _RESULTS, write)

    def _resume(self, message: Message) -> None:
        run, again = str(message["run"]), bool(message["values"].get("resend_absent"))
        self._told("results", _RESULTS, lambda: self._resumed(run, resend_absent=again))

    def _resumed(self, run: str, *, resend_absent: bool) -> None:
        _, one = self._found(run)
        self._refuse_second()
        if network := self._network_of(one.record):
            own = jobs.new_folder(self._folder(network), one.record.source)
            self._begin(["resume", run, *(["--resend-absent"] if resend_absent else [])], network, own)

    def _undo(self, message: Message) -> None:
        run = str(message["run"])
        self._show("plan", screens.busy("4. Plan", f"Planning to undo run {run}"), focus=True)
        self._told("plan", _PLAN, lambda: self._undo_planned(run))

    def _undo_planned(self, run: str) -> None:
        folder, one = self._found(run)
        if network := self._network_of(one.record):
            self._preview = undoing.undo(run, network, Options(journal=folder))
            self._choices = {}
            self._show_plan(focus=True)

    _DO: ClassVar[Mapping[str, Callable[[Page, Message], None]]] = {
        "connect": _connect,
        "leave": _leave,
        "template": _template,
        "upload_failed": _upload_failed,
        "too_many": _too_many,
        "annotated": _annotated,
        "plan": _plan,
        "plan_workbook": _plan_workbook,
        "run": _run,
        "show": _show_run,
        "download": _download,
        "resume": _resume,
        "undo": _undo,
    }


_SANDBOX = "the sandbox (made-up numbers)"
_CONNECT = "To go on with this run or to undo it, connect with network {} at {} first (1. Connect)."


def _refuse_unconfirmed(preview: Preview, values: Message) -> None:
    """What the browser asks for is asked here as well.

    Raises:
        NotConfirmed: the number that was typed is another one.
    """
    new = preview.plan.new_numbers
    typed = str(values.get("confirmed", "")).replace(",", "").strip()
    if new and typed != str(new):
        msg = f"Nothing was sent: {typed or 'nothing'} was typed, and the plan buys {new}. Type {new} to confirm it."
        raise NotConfirmed(msg)


def _plain_name(name: str) -> str:
    """The last part of a name, whatever system it comes from; never a path."""
    last = PurePosixPath(name.replace("\\", "/")).name.replace("\0", "")
    return last[-120:] if last not in {"", ".", ".."} else "sheet"


def _stem(name: str) -> str:
    return Path(name).stem or "sheet"
