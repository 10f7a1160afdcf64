"""The page: hears what the person wants, has the stages do it, and shows what came of it.

Three threads. The kernel's own hears; it only puts down what has to be done, so that the page never stands still. One
thread does it, one thing after the other. One looks at the journals for runs, whoever has started them.
"""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import time
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from invoca_bulk.config import settings
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import TOKEN_VARIABLE, Network
from invoca_bulk.errors import InvocaBulkError, NotConfirmed
from invoca_bulk.reports import html, plan_file, templates
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.service import pipeline, preconditions, snapshot, undo
from invoca_bulk.sheets import MAX_FILE_BYTES
from invoca_bulk.web import jobs, sandbox, screens
from invoca_bulk.web.journal_locations import Places
from invoca_bulk.web.runs import Runs
from invoca_bulk.web.widget import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.config.settings import Place
    from invoca_bulk.reports.plan_report import Preview
    from invoca_bulk.reports.validation_report import Report

    Message = Mapping[str, Any]

#: Seconds between two looks at the journals.
_HEARTBEAT = 0.5
#: What a region shows of a problem, when there is nothing else to show.
_PLAN, _RUN, _RESULTS, _RUNS = (
    partial(screens.failed, title) for title in ("4. Plan", "5. Run", "6. Results", "Runs so far")
)
#: Choices that a plan depends on, by their names in the form; the others are the run's.
_PLANNED = ("nested", "allow_removals", "auto_ids", "again")


class Page:
    """The upload page, to be displayed in a notebook's cell.

    Args:
        journal: where the journals are: a folder, or `postgresql://…`; None: the user's own.

    Attributes:
        widget: what is displayed.
    """

    def __init__(self, journal: str | Place | None = None) -> None:
        self._files = tempfile.TemporaryDirectory(prefix="invoca-bulk-page-")
        self._upload: Path | None = None
        self._report: Report | None = None
        self._preview: Preview | None = None
        self._choices: dict[str, Any] = {}
        self._todo: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_begun = False
        self.widget = Live(screens.layout(html.STYLE), self._hear)
        self._show = self.widget.show
        self._places = Places(settings.journal_place(journal))
        self._runs = Runs(self._show, self._places)
        self._show("connect", screens.busy("1. Connect", "Looking for earlier runs"))

    def _repr_mimebundle_(self, **options: Any) -> Any:  # noqa: ANN401  IPython's protocol
        return self.widget._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return "<the upload page; display it in a notebook, or open it with: invoca-bulk app>"

    # Hearing, doing and looking

    def _hear(self, message: Message, buffers: list[Any]) -> None:
        """In the kernel's own thread: what cannot wait is done, the rest is put down."""
        if not self._is_begun:
            self._is_begun = True
            self._todo.put(self._welcome)
            for loop in (self._work, self._watch):
                threading.Thread(target=loop, name="invoca-bulk page", daemon=True).start()
        what = str(message.get("do"))
        if what == "upload":
            self._take(message, bytes(buffers[0]) if buffers else b"")
        elif what == "stop":
            self._told("run", _RUN, lambda: self._runs.stop(str(message["run"])))
        elif do := self._DO.get(what):
            self._todo.put(lambda: do(self, message))

    def _work(self) -> None:
        while True:
            self._told("run", _RUN, self._todo.get())

    def _welcome(self) -> None:
        """What was there before the page; whoever has reloaded it wants to go on there.

        The form comes only then: it must not change under the person's hands.
        """
        typed: dict[str, Any] = {}
        try:
            last = self._runs.welcome()
            if last and not self._places.is_sandbox(last):
                typed = vars(last) | {"where": "network"}
        finally:
            self._show("connect", screens.connect(typed=typed))

    def _watch(self) -> None:
        todo: Callable[[], object] = self._runs.look
        while True:
            began = time.monotonic()
            went_well = self._told("runs", _RUNS, todo)
            todo = self._runs.look if went_well else self._runs.show_all  # the list is where it was told; it comes back
            # A journal that is slow to read is read less often.
            time.sleep(max(_HEARTBEAT, 4 * (time.monotonic() - began)))

    def _told(self, region: str, tell: Callable[[str], str], do: Callable[[], object]) -> bool:
        """Do something; what goes wrong is said in a region, and the page goes on.

        Args:
            region: where.
            tell: makes what the region shows then, with the problem.
            do: what to do.

        Returns:
            Whether it went well.
        """
        try:
            do()
        except InvocaBulkError as error:
            self._show(region, tell(str(error)), focus=True)
        except Exception as error:  # noqa: BLE001  a defect must not leave the person with a page that stands still
            self._show(region, tell(f"This is a defect of invoca-bulk ({type(error).__name__}: {error})."))
        else:
            return True
        return False

    def _clear(self, *regions: str) -> None:
        for region in regions:
            self._show(region, "")

    def _file(self, name: str) -> Path:
        """A file of the page's own, which goes with it."""
        return Path(self._files.name) / name

    # 1. Connect

    def _connect(self, message: Message) -> None:
        values = message["values"]
        self._told("connect", partial(screens.connect, typed=values), lambda: self._connected(values))

    def _connected(self, values: Message) -> None:
        version = str(values["api_version"])
        if values.get("where") == "sandbox":
            network = sandbox.current().network(version)
        else:
            self._show("connect", screens.busy("1. Connect", "Looking whether the platform takes the token"))
            network = Network(
                network_id=str(values["network_id"]),
                base_url=str(values["base_url"]),
                api_version=version,
                token=str(values["token"]) or os.environ.get(TOKEN_VARIABLE, ""),
            )
            snapshot.check(network, Options())
        self._places.network = network
        self._report = self._preview = None
        self._show("connect", screens.connected(self._places.name(network), version))
        self._clear("issues", "plan")
        self._show("sheet", screens.sheet(self._name), focus=True)
        self._runs.show_all()
        self._runs.show_again()
        if self._upload:
            self._check()

    def _leave(self, _: Message) -> None:
        self._places.network = self._report = self._preview = None
        self._clear("sheet", "issues", "plan")
        self._show("connect", screens.connect(), focus=True)
        self._runs.show_again()

    # 2. Sheet

    def _template(self, message: Message) -> None:
        resource, network = RESOURCES[str(message["resource"])], self._places.network

        def write() -> None:
            version = network.api_version if network else DEFAULT_API_VERSION
            path = templates.write_template(resource, self._file(f"{resource.name}-template.xlsx"), version=version)
            self.widget.download(message["view"], path, f"{resource.name}.xlsx")

        self._told("sheet", partial(screens.sheet, self._name), write)

    @property
    def _name(self) -> str:
        return self._upload.name if self._upload else ""

    def _take(self, message: Message, piece: bytes) -> None:
        """A piece of an upload; the last one has the file checked."""
        view, at, size = str(message["view"]), int(message["at"]), int(message["size"])
        path = self._file(_plain_name(f"upload-{view}")) / _plain_name(str(message["name"]))
        problem = _kept_piece(path, piece, at=at, size=size)
        self.widget.more(view, go=not problem)
        if problem:
            self._show("sheet", screens.sheet(self._name, problem))
        elif at + len(piece) >= size:
            self._todo.put(lambda: self._uploaded(path))

    def _uploaded(self, path: Path) -> None:
        """The upload takes the place of the last one."""
        folder = self._file("sheet")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        self._upload, self._choices = path.rename(folder / path.name), {}
        self._clear("results")
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
        self._clear("plan")
        self._show("sheet", screens.sheet(self._name))
        self._show("issues", screens.busy("3. Check", f"Reading {self._name} and checking every row"))
        self._told("sheet", self._unreadable, self._checked)

    def _unreadable(self, problem: str) -> str:
        self._clear("issues")
        folder, self._upload = self._upload.parent if self._upload else Path(), None
        return screens.sheet("", problem.replace(f"{folder}{os.sep}", ""))  # the person's own file is elsewhere

    def _checked(self) -> None:
        if not (self._upload and self._places.network):
            return
        auto_ids = bool(self._choices.get("auto_ids"))
        version = self._places.network.api_version
        self._report = pipeline.check(self._upload, api_version=version, auto_ids=auto_ids)
        self._show("issues", screens.issues(self._report, self._choices), focus=True)

    def _annotated(self, message: Message) -> None:
        if report := self._report:

            def save() -> None:
                path = report.save(self._file("annotated.xlsx"))
                self.widget.download(message["view"], path, f"{_stem(self._name)}-annotated.xlsx")

            self._told("issues", partial(screens.issues, report, self._choices), save)

    # 4. Plan

    def _plan(self, message: Message) -> None:
        if self._report and self._places.network:
            self._choices = dict(message["values"])
            self._show("plan", screens.busy("4. Plan", "Looking at the platform"), focus=True)
            self._told("issues", self._not_planned, self._planned)

    def _not_planned(self, problem: str) -> str:
        self._clear("plan")
        return screens.issues(self._report, self._choices, problem) if self._report else ""

    def _planned(self) -> None:
        if not (self._report and self._upload and self._places.network):
            return
        network = self._places.network
        chosen = {name: value for name in _PLANNED if (value := self._choices.get(name)) is not None}
        options = Options(**chosen, journal=self._places.place(network))
        source = self._report if self._report.checked.auto_ids == options.auto_ids else self._upload
        self._show_plan(pipeline.preview(source, network, options))

    def _show_plan(self, preview: Preview, problem: str = "") -> None:
        self._preview = preview
        self._show("plan", self._plan_screen(preview, problem), focus=True)

    def _plan_screen(self, preview: Preview, problem: str = "") -> str:
        return screens.plan(preview, self._places.name(preview.network), problem)

    def _plan_workbook(self, message: Message) -> None:
        if preview := self._preview:

            def save() -> None:
                path = preview.save(self._file("plan.xlsx"))
                self.widget.download(message["view"], path, f"{_stem(preview.plan.source)}-plan.xlsx")

            self._told("plan", partial(self._plan_screen, preview), save)

    # 5. Run

    def _run(self, message: Message) -> None:
        if preview := self._preview:
            self._told("plan", partial(self._plan_screen, preview), lambda: self._confirmed(preview, message["values"]))

    def _confirmed(self, preview: Preview, values: Message) -> None:
        self._runs.refuse_second()
        _refuse_unconfirmed(preview, values)
        network = preview.network
        own = jobs.new_folder(self._places.place(network), preview.plan.source)
        plan = plan_file.write(preview.kept, own / jobs.PLAN)
        where = ("--network-id", network.network_id, "--base-url", network.base_url)
        flags = [*where, "--api-version", network.api_version, "--yes", *self._run_flags(preview)]
        self._preview = None  # a second press finds nothing to run
        self._clear("plan")
        self._runs.begin(["run", str(plan), *flags], network, own, failed=partial(self._show_plan, preview))

    def _run_flags(self, preview: Preview) -> list[str]:
        """What the person has chosen, and the cap that was confirmed."""
        chosen = {
            "--skip-invalid": not preview.ok,
            "--again": preview.options.again,
            "--assign-ids": bool(self._choices.get("assign_ids")),
        }
        cap = ["--max-new-numbers", str(preview.plan.new_numbers)]
        return [*cap, *(flag for flag, is_wanted in chosen.items() if is_wanted)]

    # 6. Results

    def _show_run(self, message: Message) -> None:
        self._told("results", _RESULTS, lambda: self._runs.show_results(str(message["run"]), focus=True))

    def _of_run(self, run: str, do: Callable[[], object]) -> None:
        """Do something about the run whose results are shown, or say there why not."""
        try:
            do()
        except InvocaBulkError as error:
            problem = str(error)
            self._told("results", _RESULTS, lambda: self._runs.show_results(run, problem, focus=True))

    def _download(self, message: Message) -> None:
        run, ending = str(message["run"]), str(message["ending"])

        def write() -> None:
            results, one = self._runs.results_of(run)
            name = f"{_stem(one.record.source)}-results{ending if ending in {'.xlsx', '.csv'} else '.xlsx'}"
            self.widget.download(message["view"], results.save(self._file(name)), name)

        self._of_run(run, write)

    def _resume(self, message: Message) -> None:
        run = str(message["run"])
        again = ["--resend-absent"] if message["values"].get("resend_absent") else []
        self._of_run(run, lambda: self._resumed(run, again))

    def _resumed(self, run: str, flags: list[str]) -> None:
        self._runs.refuse_second()
        network, one = self._runs.network_of(run)
        own = jobs.new_folder(self._places.place(network), one.record.source)
        failed = partial(self._runs.show_results, run, focus=True)
        self._runs.begin(["resume", run, *flags], network, own, failed=failed, run=run)

    def _undo(self, message: Message) -> None:
        run = str(message["run"])
        self._of_run(run, lambda: self._undo_planned(run))

    def _undo_planned(self, run: str) -> None:
        network, _ = self._runs.network_of(run)
        self._preview, self._choices = None, {}
        self._show("plan", screens.busy("4. Plan", f"Planning to undo run {run}"), focus=True)
        try:
            self._show_plan(undo.undo(run, network, Options(journal=self._places.place(network))))
        except InvocaBulkError:
            self._clear("plan")
            raise

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


def _refuse_unconfirmed(preview: Preview, values: Message) -> None:
    """What the browser asks for is asked here as well.

    Raises:
        NotConfirmed: something was not confirmed, or is over the person's own cap.
    """
    preconditions.refuse_over_cap(preview.plan.new_numbers, preview.options)
    new = preview.plan.new_numbers
    typed = str(values.get("confirmed", "")).replace(",", "").strip()
    if new and typed != str(new):
        msg = f"Nothing was sent: {typed or 'nothing'} was typed, and the plan buys {new}. Type {new} to confirm it."
        raise NotConfirmed(msg)
    if preview.plan.irreversible and not values.get("confirmed"):
        raise NotConfirmed("Nothing was sent: tick that it shall be done, since it cannot be undone.")
    if preview.counts.get("refused") and not values.get("skip_invalid"):
        raise NotConfirmed("Nothing was sent: tick that the refused rows shall be left out, or correct them.")


def _kept_piece(path: Path, piece: bytes, *, at: int, size: int) -> str:
    """Keep a piece of a file, at its place; why that cannot be, or nothing."""
    if max(size, at + len(piece)) > MAX_FILE_BYTES:
        return f"{path.name} has more than {MAX_FILE_BYTES >> 30} GiB. Split it into smaller files."
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("r+b" if at else "wb") as stream:
            stream.seek(at)
            stream.write(piece)
    except OSError as error:
        return (
            f"{path.name} cannot be kept on this machine while it is read ({error.strerror}). Make room, and try again."
        )
    return ""


def _plain_name(name: str) -> str:
    """The last part of a name, whatever system it comes from; never a path."""
    last = PurePosixPath(name.replace("\\", "/")).name.replace("\0", "")
    return last[-120:] if last not in {"", ".", ".."} else "sheet"


def _stem(name: str) -> str:
    return Path(name).stem or "sheet"
