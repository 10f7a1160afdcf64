"""The page: receives the user's actions, calls `service`, and shows the outcome.

It uses three threads. The kernel's own thread receives messages and only queues tasks, so that the page never blocks. A
second thread executes the tasks one by one. A third polls the journals for runs, whichever process executes them.
"""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar

from invoca_bulk.config.journal_location import JournalLocation, resolve_journal_location
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import PLAN_OPTION_NAMES, Options
from invoca_bulk.config.secrets import TOKEN_ENV_VARIABLE
from invoca_bulk.errors import ConfirmationRequiredError, InvocaBulkError
from invoca_bulk.manual import read_topics
from invoca_bulk.reports import html, plan_file, templates
from invoca_bulk.reports.plan_report import Plan
from invoca_bulk.reports.validation_report import Report
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.service import preconditions, snapshot, undo
from invoca_bulk.service.plan import plan_sheet, validate_sheet
from invoca_bulk.service.run_result import load_results
from invoca_bulk.sheets import MAX_FILE_BYTES
from invoca_bulk.web import jobs, sandbox, screens
from invoca_bulk.web.help import render_help
from invoca_bulk.web.journal_locations import JournalLocations
from invoca_bulk.web.runs import RunMonitor
from invoca_bulk.web.widget import PageWidget
from invoca_bulk.web.wording import page_words
from invoca_bulk.wording import word, wording_in_thread

if TYPE_CHECKING:
    Message = Mapping[str, Any]

#: The largest upload: what a file on disk may have, so that the page takes the same files as the command line.
MAX_UPLOAD_BYTES = MAX_FILE_BYTES
#: Seconds between two polls of the journals.
_POLL_SECONDS = 0.5
#: Renders a region that has only an error to show.
_RUN_ERROR_SCREEN, _RESULTS_ERROR_SCREEN, _RUN_LIST_ERROR_SCREEN = (
    partial(screens.render_failure, title) for title in ("5. Run", "6. Results", "Runs")
)
#: Fields of the plan form that the plan depends on; the others are options of the run.
_PLAN_FORM_FIELDS = (*PLAN_OPTION_NAMES, "again", "apply_edits")


class UploadPage:
    """The upload page, to be displayed in a notebook's cell."""

    def __init__(self, journal: str | JournalLocation | None = None) -> None:
        self._temp_folder = tempfile.TemporaryDirectory(prefix="invoca-bulk-page-", ignore_cleanup_errors=True)
        self._sheet_path: Path | None = None
        self._report: Report | None = None
        self._current_plan: Plan | None = None
        self._form_values: dict[str, Any] = {}
        self._task_queue: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_started = False
        self.widget = PageWidget(screens.render_layout(html.STYLE_SHEET), self._handle_message)
        self._show_region = self.widget.show
        self._locations = JournalLocations(resolve_journal_location(journal))
        self._run_monitor = RunMonitor(self._show_region, self._locations)
        self._show_region("connect", screens.render_busy("1. Connect", "Reading earlier runs"))
        self._show_region("help", render_help(read_topics()))

    def _repr_mimebundle_(self, **options: Any) -> Any:  # noqa: ANN401  IPython's protocol
        return self.widget._repr_mimebundle_(**options)

    def __repr__(self) -> str:
        return "<the upload page; display it in a notebook, or open it with: invoca-bulk app>"

    # Messages, tasks and polling

    def _handle_message(self, message: Message, buffers: list[Any]) -> None:
        """Handle a message in the kernel's own thread: uploads, stops and help at once, all others as tasks."""
        if not self._is_started:
            self._is_started = True
            self._task_queue.put(self._restore_runs)
            for loop in (self._process_tasks, self._poll_runs):
                threading.Thread(target=loop, name="invoca-bulk page", daemon=True).start()
        action = str(message.get("do"))
        if action == "upload":
            self._receive_chunk(message, bytes(buffers[0]) if buffers else b"")
        elif action == "stop":
            self._try_or_show_error("run", _RUN_ERROR_SCREEN, lambda: self._run_monitor.stop(str(message["run"])))
        elif action == "help":
            self._show_region("help", render_help(read_topics(), str(message.get("topic", ""))), focus=True)
        elif handler := self._MESSAGE_HANDLERS.get(action):
            self._task_queue.put(lambda: handler(self, message))

    def _process_tasks(self) -> None:
        with wording_in_thread(page_words):
            while True:
                self._try_or_show_error("run", _RUN_ERROR_SCREEN, self._task_queue.get())

    def _restore_runs(self) -> None:
        """Show earlier runs, then the connect form with the network of the latest run.

        The form is shown only now: it must not change while the user fills it in.
        """
        form_values: dict[str, Any] = {}
        try:
            latest_run = self._run_monitor.restore()
            if latest_run and not self._locations.is_sandbox(latest_run):
                form_values = vars(latest_run) | {"where": "network"}
        finally:
            self._show_region("connect", screens.render_connect_form(form_values=form_values))

    def _poll_runs(self) -> None:
        operation: Callable[[], object] = self._run_monitor.poll
        with wording_in_thread(page_words):
            while True:
                started_at = time.monotonic()
                is_ok = self._try_or_show_error("runs", _RUN_LIST_ERROR_SCREEN, operation)
                # An error replaces the list of runs, so the list is shown again first.
                operation = self._run_monitor.poll if is_ok else self._run_monitor.show_run_list
                # A journal that is slow to read is read less often.
                time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - started_at)))

    def _try_or_show_error(
        self, region: str, render_error: Callable[[str], str], operation: Callable[[], object]
    ) -> bool:
        """Call an operation, and return whether it succeeded; if not, show the error in a region and carry on."""
        try:
            operation()
        except InvocaBulkError as error:
            self._show_region(region, render_error(word(error.text, wording=page_words)), focus=True)
        except Exception as error:  # noqa: BLE001  a bug must not leave the user with a page that does not react
            self._show_region(region, render_error(f"This is a bug in invoca-bulk ({type(error).__name__}: {error})."))
        else:
            return True
        return False

    def _clear_regions(self, *regions: str) -> None:
        for region in regions:
            self._show_region(region, "")

    def _temp_path(self, name: str) -> Path:
        """A path in the page's temporary folder, which is deleted with the page."""
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
            self._show_region("connect", screens.render_busy("1. Connect", "Checking the token with the platform"))
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
        version = network.api_version if network else DEFAULT_API_VERSION
        write = partial(templates.write_template, resource, version=version)
        send = partial(self._send_file, message, write, f"{resource.name}-template.xlsx", f"{resource.name}.xlsx")
        self._try_or_show_error("sheet", partial(screens.render_upload_form, self._sheet_name), send)

    def _send_file(self, message: Message, write: Callable[[Path], Path], temp_name: str, name: str) -> None:
        """Write a file, and send it as a download to the view that a message came from."""
        self.widget.send_file(message["view"], write(self._temp_path(temp_name)), name)

    @property
    def _sheet_name(self) -> str:
        return self._sheet_path.name if self._sheet_path else ""

    def _receive_chunk(self, message: Message, chunk: bytes) -> None:
        """Store a chunk of an upload; after the last one the file is checked."""
        view, offset, size = str(message["view"]), int(message["at"]), int(message["size"])
        path = self._temp_path(_safe_file_name(f"upload-{view}")) / _safe_file_name(str(message["name"]))
        problem = _write_chunk(path, chunk, offset=offset, size=size)
        self.widget.acknowledge_chunk(view, wants_more=not problem)
        if problem:
            self._show_region("sheet", screens.render_upload_form(self._sheet_name, problem))
        elif offset + len(chunk) >= size:
            self._task_queue.put(lambda: self._accept_upload(path))

    def _accept_upload(self, path: Path) -> None:
        """Replace the current sheet with the uploaded one and check it."""
        folder = self._temp_path("sheet")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)  # Windows does not delete what a virus scanner has open
        self._sheet_path, self._form_values = path.replace(folder / path.name), {}
        self._clear_regions("results")
        self._start_check()

    def _on_upload_failed(self, message: Message) -> None:
        problem = (
            f"{message['name']} could not be uploaded. It may be open in another program or deleted. Choose it again."
        )
        self._show_region("sheet", screens.render_upload_form(self._sheet_name, problem))

    def _on_too_many_files(self, message: Message) -> None:
        problem = f"You chose {message['count']} files. Choose one; a workbook can contain several sheets."
        self._show_region("sheet", screens.render_upload_form(self._sheet_name, problem))

    # 3. Check

    def _start_check(self) -> None:
        self._report = self._current_plan = None
        self._clear_regions("plan")
        self._show_region("sheet", screens.render_upload_form(self._sheet_name))
        self._show_region("issues", screens.render_busy("3. Check", f"Checking every row of {self._sheet_name}"))
        self._try_or_show_error("sheet", self._render_unreadable, self._validate_sheet)

    def _render_unreadable(self, problem: str) -> str:
        self._clear_regions("issues")
        folder, self._sheet_path = self._sheet_path.parent if self._sheet_path else Path(), None
        # The user does not know the page's temporary folder.
        return screens.render_upload_form("", problem.replace(f"{folder}{os.sep}", ""))

    def _validate_sheet(self) -> None:
        if not (self._sheet_path and self._locations.network):
            return
        version = self._locations.network.api_version
        self._report = validate_sheet(
            self._sheet_path,
            api_version=version,
            auto_ids=bool(self._form_values.get("auto_ids")),
            allow_unlisted=bool(self._form_values.get("allow_unlisted")),
            allow_no_sites=bool(self._form_values.get("allow_no_sites")),
        )
        self._show_region("issues", screens.render_issues(self._report, self._form_values), focus=True)

    def _on_download_annotated(self, message: Message) -> None:
        if report := self._report:
            name = f"{_file_stem(self._sheet_name)}-annotated.xlsx"
            send = partial(self._send_file, message, report.to_excel, "annotated.xlsx", name)
            self._try_or_show_error("issues", partial(screens.render_issues, report, self._form_values), send)

    # 4. Plan

    def _on_plan(self, message: Message) -> None:
        if self._report and self._locations.network:
            self._form_values = dict(message["values"])
            self._show_region(
                "plan", screens.render_busy("4. Plan", "Comparing the sheet with the platform"), focus=True
            )
            self._try_or_show_error("issues", self._render_plan_failure, self._make_plan)

    def _render_plan_failure(self, problem: str) -> str:
        self._clear_regions("plan")
        return screens.render_issues(self._report, self._form_values, problem) if self._report else ""

    def _make_plan(self) -> None:
        if not (self._report and self._sheet_path and self._locations.network):
            return
        network = self._locations.network
        values = {name: value for name in _PLAN_FORM_FIELDS if (value := self._form_values.get(name)) is not None}
        if self._locations.is_sandbox(network):
            values["again"] = True  # a rehearsal may be repeated freely
        options = Options(**values, journal=self._locations.location_for(network))
        self._show_plan(plan_sheet(self._report, network, options))

    def _show_plan(self, plan: Plan, problem: str = "") -> None:
        self._current_plan = plan
        self._show_region("plan", self._render_plan(plan, problem), focus=True)

    def _render_plan(self, plan: Plan, problem: str = "") -> str:
        return screens.render_plan(plan, self._locations.display_name(plan.network), problem)

    def _on_download_plan(self, message: Message) -> None:
        if plan := self._current_plan:
            name = f"{_file_stem(plan.data.source)}-plan.xlsx"
            send = partial(self._send_file, message, plan.to_excel, "plan.xlsx", name)
            self._try_or_show_error("plan", partial(self._render_plan, plan), send)

    # 5. Run

    def _on_run(self, message: Message) -> None:
        if plan := self._current_plan:
            self._try_or_show_error(
                "plan", partial(self._render_plan, plan), lambda: self._start_run(plan, message["values"])
            )

    def _start_run(self, plan: Plan, values: Message) -> None:
        self._run_monitor.ensure_idle()
        _require_confirmation(plan, values)
        network = plan.network
        folder = jobs.create_job_folder(self._locations.location_for(network), plan.data.source)
        saved_plan_path = plan_file.write_saved_plan(plan.saved_plan, folder / jobs.PLAN_FILE_NAME)
        network_flags = ("--network-id", network.network_id, "--base-url", network.base_url)
        flags = [*network_flags, "--api-version", network.api_version, "--yes", *self._run_flags(plan)]
        self._current_plan = None  # a second click must not run the plan again
        self._clear_regions("plan")
        self._run_monitor.start_job(
            ["run", str(saved_plan_path), *flags], network, folder, on_start_failed=partial(self._show_plan, plan)
        )

    def _run_flags(self, plan: Plan) -> list[str]:
        """The options that the user has chosen, and the confirmed count as the cap."""
        is_passed_by_flag = {
            "--skip-invalid": not plan.ok,
            "--again": plan.options.again,
            "--assign-ids": bool(self._form_values.get("assign_ids")),
        }
        cap = ["--max-new-numbers", str(plan.data.new_number_count)]
        return [*cap, *(flag for flag, is_passed in is_passed_by_flag.items() if is_passed)]

    # 6. Results

    def _on_show_run(self, message: Message) -> None:
        self._try_or_show_error(
            "results", _RESULTS_ERROR_SCREEN, lambda: self._run_monitor.show_results(str(message["run"]), focus=True)
        )

    def _try_or_show_results_error(self, run_id: str, operation: Callable[[], object]) -> None:
        """Call an operation on a run; if it fails, show the error at the run's results."""
        try:
            operation()
        except InvocaBulkError as error:
            problem = word(error.text, wording=page_words)
            self._try_or_show_error(
                "results", _RESULTS_ERROR_SCREEN, lambda: self._run_monitor.show_results(run_id, problem, focus=True)
            )

    def _on_download_results(self, message: Message) -> None:
        run_id = str(message["run"])
        suffix = ".csv" if message["ending"] == ".csv" else ".xlsx"

        def send_results() -> None:
            location, run_summary = self._run_monitor.find_run(run_id)
            name = f"{_file_stem(run_summary.record.source)}-results{suffix}"
            self._send_file(message, load_results(run_id, location).save, name, name)

        self._try_or_show_results_error(run_id, send_results)

    def _on_resume(self, message: Message) -> None:
        run_id = str(message["run"])
        flags = ["--resend-absent"] if message["values"].get("resend_absent") else []
        self._try_or_show_results_error(run_id, lambda: self._resume_run(run_id, flags))

    def _resume_run(self, run_id: str, flags: list[str]) -> None:
        self._run_monitor.ensure_idle()
        _, run_summary = self._run_monitor.find_run(run_id)
        network = self._locations.network_for_run(run_summary.record)
        folder = jobs.create_job_folder(self._locations.location_for(network), run_summary.record.source)
        self._run_monitor.start_job(
            ["resume", run_id, *flags],
            network,
            folder,
            on_start_failed=partial(self._run_monitor.show_results, run_id, focus=True),
            resumed_run_id=run_id,
        )

    def _on_undo(self, message: Message) -> None:
        run_id = str(message["run"])
        self._try_or_show_results_error(run_id, lambda: self._plan_undo(run_id))

    def _plan_undo(self, run_id: str) -> None:
        network = self._locations.network_for_run(self._run_monitor.find_run(run_id)[1].record)
        self._current_plan, self._form_values = None, {}
        self._show_region("plan", screens.render_busy("4. Plan", f"Planning how to undo run {run_id}"), focus=True)
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
    """Check the confirmations of the form again: a message need not come from the form."""
    new_numbers = plan.data.new_number_count
    preconditions.enforce_cap(new_numbers, plan.options)
    typed = str(values.get("confirmed", "")).replace(",", "").strip()
    if new_numbers and typed != str(new_numbers):
        raise ConfirmationRequiredError(
            f"Nothing was sent: you typed {typed or 'nothing'}, but the plan buys {new_numbers}. "
            f"Type {new_numbers} to confirm."
        )
    if plan.data.needs_confirmation and not values.get("confirmed"):
        raise ConfirmationRequiredError("Nothing was sent: tick the box to confirm what would be done.")
    if plan.counts.get("refused") and not values.get("skip_invalid"):
        raise ConfirmationRequiredError(
            "Nothing was sent: tick the box to leave out the refused rows, or correct them."
        )


def _write_chunk(path: Path, chunk: bytes, *, offset: int, size: int) -> str:
    """Write a chunk into a file, and return why that is not possible; empty: it was written."""
    if max(size, offset + len(chunk)) > MAX_UPLOAD_BYTES:
        return f"{path.name} is larger than {MAX_UPLOAD_BYTES >> 30} GiB. Split it into smaller files."
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with path.open("r+b" if offset else "wb") as stream:
            stream.seek(offset)
            stream.write(chunk)
    except OSError as error:
        return f"{path.name} cannot be stored on this machine ({error.strerror}). Free some disk space and try again."
    return ""


def _safe_file_name(name: str) -> str:
    """The last part of a file name from any operating system; never a path."""
    last = PurePosixPath(name.replace("\\", "/")).name.replace("\0", "")
    return last[-120:] if last not in {"", ".", ".."} else "sheet"


def _file_stem(name: str) -> str:
    return Path(name).stem or "sheet"
