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
from invoca_bulk.config.settings import TOKEN_ENV_VARIABLE, Network
from invoca_bulk.errors import ConfirmationRequiredError, InvocaBulkError
from invoca_bulk.reports import html, plan_file, templates
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.service import pipeline, preconditions, snapshot, undo
from invoca_bulk.sheets import MAX_FILE_BYTES
from invoca_bulk.web import jobs, sandbox, screens
from invoca_bulk.web.journal_locations import JournalLocations
from invoca_bulk.web.runs import RunMonitor
from invoca_bulk.web.widget import PageWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.config.settings import JournalLocation
    from invoca_bulk.reports.plan_report import Plan
    from invoca_bulk.reports.validation_report import Report

    Message = Mapping[str, Any]

#: Seconds between two looks at the journals.
_POLL_SECONDS = 0.5
#: What a region shows of a problem, when there is nothing else to show.
_PLAN_ERROR_SCREEN, _RUN_ERROR_SCREEN, _RESULTS_ERROR_SCREEN, _RUN_LIST_ERROR_SCREEN = (
    partial(screens.render_failure, title) for title in ("4. Plan", "5. Run", "6. Results", "Runs so far")
)
#: Choices that a plan depends on, by their names in the form; the others are the run's.
_PLAN_OPTION_NAMES = ("nested", "allow_removals", "auto_ids", "again")


class UploadPage:
    """The upload page, to be displayed in a notebook's cell.

    Args:
        journal: where the journals are: a folder, or `postgresql://…`; None: the user's own.

    Attributes:
        widget: what is displayed.
    """

    def __init__(self, journal: str | JournalLocation | None = None) -> None:
        self._temp_folder = tempfile.TemporaryDirectory(prefix="invoca-bulk-page-")
        self._sheet_path: Path | None = None
        self._report: Report | None = None
        self._current_plan: Plan | None = None
        self._form_values: dict[str, Any] = {}
        self._task_queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_started = False
        self.widget = PageWidget(screens.render_layout(html.STYLE_SHEET), self._handle_message)
        self._show_region = self.widget.show
        self._locations = JournalLocations(settings.resolve_journal_location(journal))
        self._run_monitor = RunMonitor(self._show_region, self._locations)
        self._show_region("connect", screens.render_busy("1. Connect", "Looking for earlier runs"))

    def _repr_mimebundle_(self, **options: Any) -> Any:  # noqa: ANN401  IPython's protocol
        return self.widget._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return "<the upload page; display it in a notebook, or open it with: invoca-bulk app>"

    # Hearing, doing and looking

    def _handle_message(self, message: Message, buffers: list[Any]) -> None:
        """In the kernel's own thread: what cannot wait is done, the rest is put down."""
        if not self._is_started:
            self._is_started = True
            self._task_queue.put(self._restore_runs)
            for loop in (self._process_tasks, self._poll_runs):
                threading.Thread(target=loop, name="invoca-bulk page", daemon=True).start()
        what = str(message.get("do"))
        if what == "upload":
            self._receive_chunk(message, bytes(buffers[0]) if buffers else b"")
        elif what == "stop":
            self._try_or_show_error("run", _RUN_ERROR_SCREEN, lambda: self._run_monitor.stop(str(message["run"])))
        elif do := self._MESSAGE_HANDLERS.get(what):
            self._task_queue.put(lambda: do(self, message))

    def _process_tasks(self) -> None:
        while True:
            self._try_or_show_error("run", _RUN_ERROR_SCREEN, self._task_queue.get())

    def _restore_runs(self) -> None:
        """What was there before the page; whoever has reloaded it wants to go on there.

        The form comes only then: it must not change under the person's hands.
        """
        typed: dict[str, Any] = {}
        try:
            last = self._run_monitor.restore()
            if last and not self._locations.is_sandbox(last):
                typed = vars(last) | {"where": "network"}
        finally:
            self._show_region("connect", screens.render_connect_form(form_values=typed))

    def _poll_runs(self) -> None:
        todo: Callable[[], object] = self._run_monitor.poll
        while True:
            began = time.monotonic()
            went_well = self._try_or_show_error("runs", _RUN_LIST_ERROR_SCREEN, todo)
            todo = (
                self._run_monitor.poll if went_well else self._run_monitor.show_run_list
            )  # the list is where it was told; it comes back
            # A journal that is slow to read is read less often.
            time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - began)))

    def _try_or_show_error(
        self, region: str, render_error: Callable[[str], str], operation: Callable[[], object]
    ) -> bool:
        """Do something; what goes wrong is said in a region, and the page goes on.

        Args:
            region: where.
            render_error: makes what the region shows then, with the problem.
            operation: what to do.

        Returns:
            Whether it went well.
        """
        try:
            operation()
        except InvocaBulkError as error:
            self._show_region(region, render_error(str(error)), focus=True)
        except Exception as error:  # noqa: BLE001  a defect must not leave the person with a page that stands still
            self._show_region(
                region, render_error(f"This is a defect of invoca-bulk ({type(error).__name__}: {error}).")
            )
        else:
            return True
        return False

    def _clear_regions(self, *regions: str) -> None:
        for region in regions:
            self._show_region(region, "")

    def _temp_path(self, name: str) -> Path:
        """A file of the page's own, which goes with it."""
        return Path(self._temp_folder.name) / name

    # 1. Connect

    def _on_connect(self, message: Message) -> None:
        values = message["values"]
        self._try_or_show_error(
            "connect", partial(screens.render_connect_form, form_values=values), lambda: self._connect_network(values)
        )

    def _connect_network(self, values: Message) -> None:
        version = str(values["api_version"])
        if values.get("where") == "sandbox":
            network = sandbox.get_or_start_session().to_network(version)
        else:
            self._show_region(
                "connect", screens.render_busy("1. Connect", "Looking whether the platform takes the token")
            )
            network = Network(
                network_id=str(values["network_id"]),
                base_url=str(values["base_url"]),
                api_version=version,
                token=str(values["token"]) or os.environ.get(TOKEN_ENV_VARIABLE, ""),
            )
            snapshot.check_connection(network, Options())
        self._locations.network = network
        self._report = self._current_plan = None
        self._show_region("connect", screens.render_connected(self._locations.display_name(network), version))
        self._clear_regions("issues", "plan")
        self._show_region("sheet", screens.render_upload_form(self._sheet_name), focus=True)
        self._run_monitor.show_run_list()
        self._run_monitor.refresh_results()
        if self._sheet_path:
            self._start_check()

    def _on_disconnect(self, _: Message) -> None:
        self._locations.network = self._report = self._current_plan = None
        self._clear_regions("sheet", "issues", "plan")
        self._show_region("connect", screens.render_connect_form(), focus=True)
        self._run_monitor.refresh_results()

    # 2. Sheet

    def _on_download_template(self, message: Message) -> None:
        resource, network = RESOURCES[str(message["resource"])], self._locations.network

        def write() -> None:
            version = network.api_version if network else DEFAULT_API_VERSION
            path = templates.write_template(
                resource, self._temp_path(f"{resource.name}-template.xlsx"), version=version
            )
            self.widget.send_file(message["view"], path, f"{resource.name}.xlsx")

        self._try_or_show_error("sheet", partial(screens.render_upload_form, self._sheet_name), write)

    @property
    def _sheet_name(self) -> str:
        return self._sheet_path.name if self._sheet_path else ""

    def _receive_chunk(self, message: Message, chunk: bytes) -> None:
        """A piece of an upload; the last one has the file checked."""
        view, at, size = str(message["view"]), int(message["at"]), int(message["size"])
        path = self._temp_path(_safe_file_name(f"upload-{view}")) / _safe_file_name(str(message["name"]))
        problem = _write_chunk(path, chunk, offset=at, size=size)
        self.widget.acknowledge_chunk(view, wants_more=not problem)
        if problem:
            self._show_region("sheet", screens.render_upload_form(self._sheet_name, problem))
        elif at + len(chunk) >= size:
            self._task_queue.put(lambda: self._accept_upload(path))

    def _accept_upload(self, path: Path) -> None:
        """The upload takes the place of the last one."""
        folder = self._temp_path("sheet")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        self._sheet_path, self._form_values = path.rename(folder / path.name), {}
        self._clear_regions("results")
        self._start_check()

    def _on_upload_failed(self, message: Message) -> None:
        problem = f"{message['name']} could not be uploaded. Is it open elsewhere, or gone? Choose it again."
        self._show_region("sheet", screens.render_upload_form(self._sheet_name, problem))

    def _on_too_many_files(self, message: Message) -> None:
        problem = f"{message['count']} files at once. Choose one; several sheets can stand in one workbook."
        self._show_region("sheet", screens.render_upload_form(self._sheet_name, problem))

    # 3. Check

    def _start_check(self) -> None:
        self._report = self._current_plan = None
        self._clear_regions("plan")
        self._show_region("sheet", screens.render_upload_form(self._sheet_name))
        self._show_region(
            "issues", screens.render_busy("3. Check", f"Reading {self._sheet_name} and checking every row")
        )
        self._try_or_show_error("sheet", self._render_unreadable, self._validate_sheet)

    def _render_unreadable(self, problem: str) -> str:
        self._clear_regions("issues")
        folder, self._sheet_path = self._sheet_path.parent if self._sheet_path else Path(), None
        return screens.render_upload_form(
            "", problem.replace(f"{folder}{os.sep}", "")
        )  # the person's own file is elsewhere

    def _validate_sheet(self) -> None:
        if not (self._sheet_path and self._locations.network):
            return
        auto_ids = bool(self._form_values.get("auto_ids"))
        version = self._locations.network.api_version
        self._report = pipeline.validate_sheet(self._sheet_path, api_version=version, auto_ids=auto_ids)
        self._show_region("issues", screens.render_issues(self._report, self._form_values), focus=True)

    def _on_download_annotated(self, message: Message) -> None:
        if report := self._report:

            def save() -> None:
                path = report.save(self._temp_path("annotated.xlsx"))
                self.widget.send_file(message["view"], path, f"{_file_stem(self._sheet_name)}-annotated.xlsx")

            self._try_or_show_error("issues", partial(screens.render_issues, report, self._form_values), save)

    # 4. Plan

    def _on_plan(self, message: Message) -> None:
        if self._report and self._locations.network:
            self._form_values = dict(message["values"])
            self._show_region("plan", screens.render_busy("4. Plan", "Looking at the platform"), focus=True)
            self._try_or_show_error("issues", self._render_plan_failure, self._make_plan)

    def _render_plan_failure(self, problem: str) -> str:
        self._clear_regions("plan")
        return screens.render_issues(self._report, self._form_values, problem) if self._report else ""

    def _make_plan(self) -> None:
        if not (self._report and self._sheet_path and self._locations.network):
            return
        network = self._locations.network
        chosen = {name: value for name in _PLAN_OPTION_NAMES if (value := self._form_values.get(name)) is not None}
        options = Options(**chosen, journal=self._locations.location_for(network))
        source = self._report if self._report.validated_book.auto_ids == options.auto_ids else self._sheet_path
        self._show_plan(pipeline.plan_sheet(source, network, options))

    def _show_plan(self, plan: Plan, problem: str = "") -> None:
        self._current_plan = plan
        self._show_region("plan", self._render_plan(plan, problem), focus=True)

    def _render_plan(self, plan: Plan, problem: str = "") -> str:
        return screens.render_plan(plan, self._locations.display_name(plan.network), problem)

    def _on_download_plan(self, message: Message) -> None:
        if preview := self._current_plan:

            def save() -> None:
                path = preview.save(self._temp_path("plan.xlsx"))
                self.widget.send_file(message["view"], path, f"{_file_stem(preview.data.source)}-plan.xlsx")

            self._try_or_show_error("plan", partial(self._render_plan, preview), save)

    # 5. Run

    def _on_run(self, message: Message) -> None:
        if preview := self._current_plan:
            self._try_or_show_error(
                "plan", partial(self._render_plan, preview), lambda: self._start_run(preview, message["values"])
            )

    def _start_run(self, current_plan: Plan, values: Message) -> None:
        self._run_monitor.ensure_idle()
        _require_confirmation(current_plan, values)
        network = current_plan.network
        own = jobs.create_job_folder(self._locations.location_for(network), current_plan.data.source)
        plan = plan_file.write_saved_plan(current_plan.saved_plan, own / jobs.PLAN_FILE_NAME)
        where = ("--network-id", network.network_id, "--base-url", network.base_url)
        flags = [*where, "--api-version", network.api_version, "--yes", *self._run_flags(current_plan)]
        self._current_plan = None  # a second press finds nothing to run
        self._clear_regions("plan")
        self._run_monitor.start_job(
            ["run", str(plan), *flags], network, own, on_start_failed=partial(self._show_plan, current_plan)
        )

    def _run_flags(self, plan: Plan) -> list[str]:
        """What the person has chosen, and the cap that was confirmed."""
        chosen = {
            "--skip-invalid": not plan.ok,
            "--again": plan.options.again,
            "--assign-ids": bool(self._form_values.get("assign_ids")),
        }
        cap = ["--max-new-numbers", str(plan.data.new_number_count)]
        return [*cap, *(flag for flag, is_wanted in chosen.items() if is_wanted)]

    # 6. Results

    def _on_show_run(self, message: Message) -> None:
        self._try_or_show_error(
            "results", _RESULTS_ERROR_SCREEN, lambda: self._run_monitor.show_results(str(message["run"]), focus=True)
        )

    def _try_or_show_results_error(self, run_id: str, operation: Callable[[], object]) -> None:
        """Do something about the run whose results are shown, or say there why not."""
        try:
            operation()
        except InvocaBulkError as error:
            problem = str(error)
            self._try_or_show_error(
                "results", _RESULTS_ERROR_SCREEN, lambda: self._run_monitor.show_results(run_id, problem, focus=True)
            )

    def _on_download_results(self, message: Message) -> None:
        run, ending = str(message["run"]), str(message["ending"])

        def write() -> None:
            results, one = self._run_monitor.load_results(run)
            name = f"{_file_stem(one.record.source)}-results{ending if ending in {'.xlsx', '.csv'} else '.xlsx'}"
            self.widget.send_file(message["view"], results.save(self._temp_path(name)), name)

        self._try_or_show_results_error(run, write)

    def _on_resume(self, message: Message) -> None:
        run = str(message["run"])
        again = ["--resend-absent"] if message["values"].get("resend_absent") else []
        self._try_or_show_results_error(run, lambda: self._resume_run(run, again))

    def _resume_run(self, run_id: str, flags: list[str]) -> None:
        self._run_monitor.ensure_idle()
        network, one = self._run_monitor.network_for_run(run_id)
        own = jobs.create_job_folder(self._locations.location_for(network), one.record.source)
        failed = partial(self._run_monitor.show_results, run_id, focus=True)
        self._run_monitor.start_job(
            ["resume", run_id, *flags], network, own, on_start_failed=failed, resumed_run_id=run_id
        )

    def _on_undo(self, message: Message) -> None:
        run = str(message["run"])
        self._try_or_show_results_error(run, lambda: self._plan_undo(run))

    def _plan_undo(self, run_id: str) -> None:
        network, _ = self._run_monitor.network_for_run(run_id)
        self._current_plan, self._form_values = None, {}
        self._show_region("plan", screens.render_busy("4. Plan", f"Planning to undo run {run_id}"), focus=True)
        try:
            self._show_plan(undo.undo(run_id, network, Options(journal=self._locations.location_for(network))))
        except InvocaBulkError:
            self._clear_regions("plan")
            raise

    _MESSAGE_HANDLERS: ClassVar[Mapping[str, Callable[[UploadPage, Message], None]]] = {
        "connect": _on_connect,
        "leave": _on_disconnect,
        "template": _on_download_template,
        "upload_failed": _on_upload_failed,
        "too_many": _on_too_many_files,
        "annotated": _on_download_annotated,
        "plan": _on_plan,
        "plan_workbook": _on_download_plan,
        "run": _on_run,
        "show": _on_show_run,
        "download": _on_download_results,
        "resume": _on_resume,
        "undo": _on_undo,
    }


def _require_confirmation(plan: Plan, values: Message) -> None:
    """What the browser asks for is asked here as well.

    Raises:
        ConfirmationRequiredError: something was not confirmed, or is over the person's own cap.
    """
    preconditions.enforce_cap(plan.data.new_number_count, plan.options)
    new = plan.data.new_number_count
    typed = str(values.get("confirmed", "")).replace(",", "").strip()
    if new and typed != str(new):
        msg = f"Nothing was sent: {typed or 'nothing'} was typed, and the plan buys {new}. Type {new} to confirm it."
        raise ConfirmationRequiredError(msg)
    if plan.data.irreversible and not values.get("confirmed"):
        raise ConfirmationRequiredError("Nothing was sent: tick that it shall be done, since it cannot be undone.")
    if plan.counts.get("refused") and not values.get("skip_invalid"):
        raise ConfirmationRequiredError(
            "Nothing was sent: tick that the refused rows shall be left out, or correct them."
        )


def _write_chunk(path: Path, chunk: bytes, *, offset: int, size: int) -> str:
    """Keep a piece of a file, at its place; why that cannot be, or nothing."""
    if max(size, offset + len(chunk)) > MAX_FILE_BYTES:
        return f"{path.name} has more than {MAX_FILE_BYTES >> 30} GiB. Split it into smaller files."
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("r+b" if offset else "wb") as stream:
            stream.seek(offset)
            stream.write(chunk)
    except OSError as error:
        return (
            f"{path.name} cannot be kept on this machine while it is read ({error.strerror}). Make room, and try again."
        )
    return ""


def _safe_file_name(name: str) -> str:
    """The last part of a name, whatever system it comes from; never a path."""
    last = PurePosixPath(name.replace("\\", "/")).name.replace("\0", "")
    return last[-120:] if last not in {"", ".", ".."} else "sheet"


def _file_stem(name: str) -> str:
    return Path(name).stem or "sheet"
