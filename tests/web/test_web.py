"""The upload page without a browser: its jobs, its view of runs, and what it keeps secret.

The other tests are in `tests/browser`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import journal
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import sqlite
from invoca_bulk.manual import Topic, read_topics
from invoca_bulk.reports import plan_file
from invoca_bulk.schema.outcomes import Outcome
from invoca_bulk.service.plan import plan_sheet
from invoca_bulk.web import jobs, screens
from invoca_bulk.web.help import TOPIC_BY_REGION, region_link, render_help
from invoca_bulk.web.run_progress import ProgressMeter
from invoca_bulk.web.upload_page import UploadPage
from tests.systems import linux_only, posix_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from invoca_bulk.config.network import Network
    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.web.jobs import Job

TOKEN = "the-secret-token"


def _wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def start_job(tmp_path: Path, box: Sandbox, network: Network, requests_frame: Any) -> Iterator[Callable[..., Job]]:
    """Starts a job that runs a plan with the given number of rows."""
    started_jobs: list[Job] = []

    def start(rows: int, *flags: str) -> Job:
        folder = jobs.create_job_folder(tmp_path / "journal", "a sheet.xlsx")
        plan = plan_sheet(requests_frame(rows), network, Options())
        path = plan_file.write_saved_plan(plan.saved_plan, folder / jobs.PLAN_FILE_NAME)
        options = ("--network-id", network.network_id, "--base-url", box.base_url, "--settle", "0.1", *flags)
        arguments = ["run", str(path), "--yes", *options]
        job = jobs.start_job(arguments, network, folder=folder, journal_location=tmp_path / "journal")
        started_jobs.append(job)
        return job

    yield start
    for job in started_jobs:
        job.process.kill()
        job.process.wait()


def test_a_job_is_the_command_lines_run(start_job: Callable[..., Job], box: Sandbox) -> None:
    """Its results and its final report are those of `invoca-bulk run`."""
    job = start_job(5)
    job.process.wait(timeout=60)
    assert job.json_report["totals"] == {"created": 5}
    results = pd.read_excel(job.folder / jobs.RESULTS_FILE_NAME, dtype=str, engine="calamine")
    assert sorted(results["promo_number"]) == sorted(entry.number for entry in box.store.ledger)


@linux_only
def test_other_users_cannot_read_the_token(start_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not in the job's command line, environment or files, even if it is in this process's environment."""
    monkeypatch.setenv("INVOCA_API_TOKEN", TOKEN)
    job = start_job(40, "--rate", "20")
    process_folder = Path(f"/proc/{job.process.pid}")
    _wait_until(lambda: b"invoca_bulk" in (process_folder / "cmdline").read_bytes())
    visible = (process_folder / "cmdline").read_bytes() + (process_folder / "environ").read_bytes()
    assert TOKEN.encode() not in visible
    job.process.wait(timeout=60)
    for file in job.folder.iterdir():
        assert TOKEN.encode() not in file.read_bytes()
    assert job.folder.stat().st_mode & 0o077 == 0


def test_a_run_that_does_not_start_says_why(start_job: Callable[..., Job], box: Sandbox) -> None:
    """The plan exceeds the cap: the job reports it, and nothing is sent."""
    job = start_job(3, "--max-new-numbers", "2")
    job.process.wait(timeout=60)
    assert "the cap is 2" in job.failure_reason
    assert "run" not in job.json_report
    assert len(box.store.ledger) == 0


def test_another_process_can_see_and_stop_a_run(start_job: Callable[..., Job], box: Sandbox, tmp_path: Path) -> None:
    """Any process sees the run with its owner and can ask it to stop; a run that has ended cannot be stopped."""
    job = start_job(200, "--rate", "40")
    folder = tmp_path / "journal"
    _wait_until(lambda: len(box.store.ledger) >= 3)
    (run_summary,) = journal.list_active_runs(folder)
    assert run_summary.owner
    assert run_summary.owner.process == job.process.pid or os.name == "nt"  # there, a launcher starts the venv's Python
    assert sum(run_summary.totals.values()) == 200
    assert journal.request_stop(folder, run_summary.record.run) == ""
    job.process.wait(timeout=60)
    assert (job.json_report["state"], job.json_report["exit_code"]) == ("interrupted", 4)
    assert job.json_report["totals"]["created"] == len(box.store.ledger) < 200
    assert journal.list_active_runs(folder) == []
    assert journal.request_stop(folder, run_summary.record.run) == "The run is no longer in progress."


def test_a_run_is_stopped_as_on_windows(start_job: Callable[..., Job], box: Sandbox, tmp_path: Path) -> None:
    """Without a signal, by a file: the run ends as after Ctrl-C, and the file is gone when the next one starts."""
    job = start_job(200, "--rate", "40")
    _wait_until(lambda: len(box.store.ledger) >= 3)
    (run_summary,) = journal.list_active_runs(tmp_path / "journal")
    (path,) = (tmp_path / "journal").glob("*.sqlite")
    assert run_summary.owner
    sqlite.ask_to_stop(run_summary.owner, path, system="nt")
    job.process.wait(timeout=60)
    assert (job.json_report["state"], job.json_report["exit_code"]) == ("interrupted", 4)
    assert job.json_report["totals"]["created"] == len(box.store.ledger) < 200


def test_a_job_has_a_group_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the end of the kernel nor that of the terminal ends it; on Windows that takes two flags."""
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x8000000, raising=False)
    assert jobs.detached_process_options("nt") == {"creationflags": 0x8000200}
    assert jobs.detached_process_options("posix") == {"start_new_session": True}


def test_a_killed_run_is_not_active(start_job: Callable[..., Job], box: Sandbox, tmp_path: Path) -> None:
    """The note of its owner still exists, but no process holds the journal."""
    job = start_job(200, "--rate", "40")
    _wait_until(lambda: len(box.store.ledger) >= 3)
    job.process.kill()
    job.process.wait()
    assert journal.list_active_runs(tmp_path / "journal") == []
    run = journal.list_runs(tmp_path / "journal")[0].record.run
    assert journal.request_stop(tmp_path / "journal", run) == "The run is no longer in progress."


@pytest.mark.parametrize(
    ("note", "sentence"),
    [({"host": "elsewhere"}, "It runs on elsewhere"), ({"heeds": False}, "stop it in that program")],
    ids=["another machine", "a thread of another program"],
)
def test_a_run_that_cannot_be_stopped_says_why(
    start_job: Callable[..., Job], box: Sandbox, tmp_path: Path, note: dict[str, Any], sentence: str
) -> None:
    """No signal is sent to a process that would ignore it, or that is not the one in the note."""
    job = start_job(60, "--rate", "20")
    _wait_until(lambda: len(box.store.ledger) >= 2)
    (path,) = (tmp_path / "journal").glob("*.owner")
    path.write_text(json.dumps(json.loads(path.read_text()) | note))
    user = PageUser()
    user.does("hello")
    user.sees("stop", "Stop")
    user.does("stop", run=journal.list_active_runs(tmp_path / "journal")[0].record.run)
    user.sees("stop", sentence)
    assert not job.has_ended


def test_a_run_in_a_thread_cannot_be_stopped_by_a_signal(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """A signal would end the whole program instead of stopping the run."""
    network = ib.Network(base_url=box.base_url, network_id=box.network_id, token=TOKEN)
    options = {"yes": True, "progress": False, "rate": 20.0, "settle": 0.1}
    thread = threading.Thread(target=ib.run, args=(requests_frame(10), network), kwargs=options)
    thread.start()
    _wait_until(lambda: journal.list_active_runs(tmp_path / "journal"))
    assert "stop it in that program" in journal.request_stop(
        tmp_path / "journal", journal.list_active_runs(tmp_path / "journal")[0].record.run
    )
    thread.join(60)
    assert len(box.store.ledger) == 10


@posix_only
def test_a_job_outlives_the_process_that_started_it(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """The kernel's process group ends, as when a tab is closed, and the run still finishes."""
    requests_frame(60).to_csv(tmp_path / "sheet.csv", index=False)
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTER.format(url=box.base_url, id=box.network_id, token=TOKEN)],
        cwd=tmp_path,
        start_new_session=True,
    )
    _wait_until(lambda: len(box.store.ledger) >= 3)
    os.killpg(process.pid, 9)
    process.wait()
    assert len(box.store.ledger) < 60
    _wait_until(lambda: len(box.store.ledger) == 60 and not journal.list_active_runs(tmp_path / "journal"))
    assert journal.list_runs(tmp_path / "journal")[0].state == "finished"


_STARTER = """
import time
from pathlib import Path
from invoca_bulk.manual import Topic, read_topics
from invoca_bulk.reports import plan_file
from invoca_bulk.service.plan import plan_sheet
from invoca_bulk.web import jobs, screens
from invoca_bulk.web.help import TOPIC_BY_REGION, region_link, render_help
from invoca_bulk.config.options import Options
from invoca_bulk.config.network import Network
network = Network(base_url="{url}", network_id="{id}", token="{token}")
folder = jobs.create_job_folder(Path("journal"), "sheet.csv")
plan = plan_file.write_saved_plan(
    plan_sheet("sheet.csv", network, Options()).saved_plan, folder / jobs.PLAN_FILE_NAME
)
options = ["--network-id", "{id}", "--base-url", "{url}", "--rate", "30", "--settle", "0.1"]
jobs.start_job(["run", str(plan), "--yes", *options], network, folder=folder, journal_location=Path("journal"))
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([(0.0, 0, 100, 0)], (0, 100, None, None)),
        ([(0.0, 0, 100, 0), (2.0, 20, 80, 0)], (20, 100, 10.0, 8.0)),
        ([(0.0, 0, 100, 0), (2.0, 20, 76, 4)], (20, 100, 10.0, 8.0)),
        ([(0.0, 0, 100, 0), (10.0, 10, 90, 0), (30.0, 70, 30, 0)], (70, 100, None, None)),
    ],
    ids=[
        "the rate is unknown at first",
        "rate and time left",
        "in flight is not completed",
        "only recent samples count",
    ],
)
def test_progress(samples: list[tuple[float, int, int, int]], expected: tuple[Any, ...]) -> None:
    """Completed rows, all rows, rows per second, and seconds left."""
    meter = ProgressMeter()
    for now, created, not_sent, unknown in samples:
        totals = {Outcome.CREATED: created, Outcome.NOT_SENT: not_sent, Outcome.UNKNOWN: unknown}
        progress = meter.measure(Counter(totals), now)
    assert (progress.completed, progress.total, progress.rate, progress.eta_seconds) == expected


def test_widget_state_contains_no_user_data() -> None:
    """Widget state is saved in the notebook's file; it holds only the page's code."""
    state = UploadPage().widget.get_state()
    texts = {name for name, value in state.items() if isinstance(value, str) and len(value) > 100}
    assert texts == {"_esm", "_css"}


class PageUser:
    """A user of the page without a browser: sends messages and reads regions."""

    def __init__(self) -> None:
        self.widget = ib.page().widget

    def does(self, action: str, *buffers: bytes, **content: Any) -> None:
        self.widget._handle_custom_msg({"view": "test", **content, "do": action}, list(buffers))  # noqa: SLF001  ipywidgets calls it

    def connects(self, box: Sandbox) -> None:
        address = {"network_id": box.network_id, "base_url": box.base_url, "api_version": "2022-08-01"}
        self.does("hello")
        self.does("connect", values={"where": "network", **address, "token": TOKEN})
        self.sees("connect", "1. Connected")

    def uploads(self, path: Path) -> None:
        content = path.read_bytes()
        self.does("upload", content, name=path.name, size=len(content), at=0)

    def sees(self, region: str, text: str) -> None:
        _wait_until(lambda: text in self.widget.regions.get(region, ""))


def test_from_a_sheet_to_its_results(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """Connect, upload, check, plan, confirm, run: the results contain the numbers that were issued."""
    requests_frame(6, media_type=["Online: Display"] * 5 + ["Telegraph"]).to_csv(tmp_path / "mine.csv", index=False)
    user = PageUser()
    address = {"where": "network", "network_id": box.network_id, "base_url": box.base_url, "api_version": "2022-08-01"}
    user.does("hello")
    user.does("connect", values={**address, "token": "wrong-token-entirely"})
    user.sees("connect", "does not accept the token")
    user.does("connect", values={**address, "token": TOKEN})
    user.sees("sheet", "2. Sheet")
    user.uploads(tmp_path / "mine.csv")
    user.sees("issues", "&#x27;Telegraph&#x27; is not a valid value for")
    user.sees("issues", "<summary>not_a_choice</summary><pre>not_a_choice: error")
    user.does("plan", values={"again": False, "assign_ids": True})
    user.sees("plan", "5 requests")
    user.does("run", values={"skip_invalid": True, "confirmed": "4"})
    user.sees("plan", "you typed 4, but the plan buys 5")
    user.does("run", values={"skip_invalid": True, "confirmed": "5"})
    user.sees("results", "finished")
    numbers = [entry.number for entry in box.store.ledger]
    assert len(numbers) == 5
    for number in numbers:
        assert number in user.widget.regions["results"]
    assert len({entry.body["id_from_network"] for entry in box.store.ledger} - {""}) == 5
    user.does("run", values={"skip_invalid": True, "confirmed": "5"})  # a second click
    user.sees("runs", "mine.csv")
    assert len(box.store.ledger) == 5


def test_results_show_the_warnings_of_the_sheet(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """What was warned of the file as a whole is still there after the run."""
    user = PageUser()
    user.connects(box)
    requests_frame(1, notes="x").to_csv(tmp_path / "mine.csv", index=False)
    user.uploads(tmp_path / "mine.csv")
    user.sees("issues", "notes")
    user.does("plan", values={"again": False})
    user.sees("plan", "1 request")
    user.does("run", values={"skip_invalid": True, "confirmed": "1"})
    user.sees("results", "finished")
    assert "Needs attention" in user.widget.regions["results"]
    assert "Unknown column &#x27;notes&#x27;" in user.widget.regions["results"]


def test_the_page_shows_every_topic() -> None:
    """A click shows a topic as HTML, with tables and with links to the topics that it names; all of them exist."""
    topics = read_topics()
    user = PageUser()
    assert _linked_topics(user.widget.regions["help"]) == list(topics)
    for name in topics:
        user.does("help", topic=name)
        shown = user.widget.regions["help"]
        assert f"<h3>{topics[name].text.splitlines()[0].removeprefix('# ')}</h3>" in shown
        assert set(_linked_topics(shown)) == set(topics)
        assert ("\n| --- |" in topics[name].text) == ("<table>" in shown)
        assert not re.search(r"(src|href)=", shown), "nothing is loaded, and nothing leads out of the page"
    user.does("help", topic="no topic")
    assert "<article" not in user.widget.regions["help"]


def test_every_region_links_to_an_existing_topic() -> None:
    """What a region says more about is in the manual."""
    assert set(TOPIC_BY_REGION) <= set(screens.REGIONS)
    for region, topic in TOPIC_BY_REGION.items():
        assert _linked_topics(region_link(region)) == [topic]
        assert topic in read_topics()


def test_html_in_a_topic_is_text() -> None:
    """What looks like HTML is shown, and a link to a script leads nowhere."""
    text = "# <b>x</b>\n\n<script>alert(1)</script> `<i>` [link](javascript:alert(1))\n\n| <u> |\n| --- |\n| <s> |\n"
    shown = render_help({"<a>": Topic("<a>", text)}, "<a>")
    assert not re.search(r"<(script|b|i|u|s|a)\b", shown.replace('<a href="#harmful-link">', ""))
    assert 'href="javascript' not in shown
    assert "&lt;script&gt;" in shown


def _linked_topics(html: str) -> list[str]:
    return re.findall(r'data-do="help" data-topic="([^"]*)"', html)


def test_the_connect_form_is_shown_once(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """The form has the network of the latest run, and does not change while the user fills it in."""
    earlier_user = PageUser()
    earlier_user.connects(box)
    _plan_and_run(earlier_user, tmp_path, requests_frame(1))
    user = PageUser()
    shown: list[str] = []
    user.widget.send = lambda message, **_: shown.append(message["html"] if message.get("region") == "connect" else "")
    user.does("hello")
    user.sees("connect", "<form")
    forms = [html for html in shown if "<form" in html]
    assert len(forms) == 1
    assert f'value="{box.network_id}"' in forms[0]
    user.does("connect", values={"where": "sandbox", "api_version": "2022-08-01"})
    user.sees("sheet", "2. Sheet")


def test_actions_depend_on_the_connection(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """Without the token of the run's network the results say to connect first; with it they have buttons."""
    user = PageUser()
    user.connects(box)
    _plan_and_run(user, tmp_path, requests_frame(2))
    user.sees("results", "Plan to undo this run")
    user.does("leave")
    user.sees("results", "connect to network")
    user.does("undo", run=journal.list_runs(tmp_path / "journal")[0].record.run)  # from an outdated view
    user.sees("results", 'role="alert"')
    user.connects(box)
    user.sees("results", "Plan to undo this run")


def test_the_cap_in_the_environment_applies(
    tmp_path: Path, box: Sandbox, requests_frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page cannot confirm more than INVOCA_MAX_NEW_NUMBERS allows."""
    monkeypatch.setenv("INVOCA_MAX_NEW_NUMBERS", "1")
    user = PageUser()
    user.connects(box)
    _upload_and_plan(user, tmp_path, requests_frame(2))
    user.does("run", values={"confirmed": "2"})
    user.sees("plan", "the cap is 1")
    assert len(box.store.ledger) == 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"confirmed": "1"}, "leave out the refused rows"), ({"skip_invalid": True}, "you typed nothing")],
)
def test_confirmations_are_checked_again(
    tmp_path: Path, box: Sandbox, requests_frame: Any, values: dict[str, Any], sentence: str
) -> None:
    """A message that does not come from the form is checked like the form."""
    user = PageUser()
    user.connects(box)
    _upload_and_plan(user, tmp_path, requests_frame(2, media_type=["Online: Display", "Telegraph"]))
    user.does("run", values=values)
    user.sees("plan", sentence)
    assert len(box.store.ledger) == 0


def test_the_reason_why_a_run_did_not_start_remains_visible(
    tmp_path: Path, box: Sandbox, requests_frame: Any, start_job: Any
) -> None:
    """While another run is followed, the reason is shown at the plan, which can be run again."""
    job = start_job(80, "--rate", "8")
    _wait_until(lambda: len(box.store.ledger) >= 2)
    user = PageUser()
    user.connects(box)
    _upload_and_plan(user, tmp_path, requests_frame(1, description="mine"))
    user.does("run", values={"confirmed": "1"})
    user.sees("plan", "Another run is using this network")
    user.sees("run", "a DataFrame")  # the other run is followed, and the reason is still shown
    assert "Another run is using this network" in user.widget.regions["plan"]
    assert "Next" not in user.widget.regions["plan"]
    assert "then run" not in user.widget.regions["plan"]
    job.process.wait(timeout=60)
    user.sees("results", "finished")
    user.does("run", values={"confirmed": "1"})
    _wait_until(lambda: len(box.store.ledger) == 81)


def test_an_invalid_message_does_not_break_the_page(box: Sandbox) -> None:
    """The page keeps working, whatever a browser sends."""
    user = PageUser()
    user.does("connect")
    user.does("run", values=None)
    user.does("no such thing")
    user.connects(box)
    user.sees("sheet", "2. Sheet")


def _upload_and_plan(user: PageUser, folder: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(folder / "mine.csv", index=False)
    user.uploads(folder / "mine.csv")
    user.sees("issues", "Plan")
    user.does("plan", values={"again": False, "assign_ids": False})
    user.sees("plan", 'data-do="run"')


def _plan_and_run(user: PageUser, folder: Path, frame: pd.DataFrame) -> None:
    _upload_and_plan(user, folder, frame)
    user.does("run", values={"confirmed": str(len(frame))})
    user.sees("results", "finished")


@pytest.mark.parametrize(("size", "at"), [(2 << 30, 0), (10, 2 << 30)], ids=["stated", "not stated"])
def test_an_upload_has_a_size_cap(size: int, at: int) -> None:
    """Nothing of the file is stored, and a message says what to do."""
    user = PageUser()
    user.does("upload", b"0123456789", name="huge.csv", size=size, at=at)
    user.sees("sheet", "huge.csv is larger than 1 GiB. Split it into smaller files.")


@pytest.mark.parametrize("name", ["../../evil.csv", "..\\evil.csv", "/etc/evil.csv", "evil.csv\0.csv"])
def test_a_file_name_is_not_used_as_a_path(
    name: str, tmp_path: Path, requests_frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever names a browser sends, the file is stored in the page's own folder."""
    temp_folder = tmp_path / "some" / "where" / "deep"
    temp_folder.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(temp_folder))
    requests_frame(1).to_csv(tmp_path / "sheet.csv", index=False)
    user = PageUser()
    user.does("hello")
    user.does("connect", values={"where": "sandbox", "api_version": "2022-08-01"})
    user.sees("sheet", "2. Sheet")
    content = (tmp_path / "sheet.csv").read_bytes()
    user.does("upload", content, name=name, size=len(content), at=0, view=f"../{name}")
    user.sees("issues", "1 row checked")
    stored_files = [path for path in tmp_path.rglob("*evil*") if path.is_file()]
    assert [path.parent.name for path in stored_files] == ["sheet"]
    assert stored_files[0].parent.parent.name.startswith("invoca-bulk-page-")


def test_without_its_packages_the_message_names_the_extra() -> None:
    """The message says what to install, in a cell and on the command line."""
    code = (
        "import sys; sys.modules['anywidget'] = sys.modules['voila'] = None\n"
        "import invoca_bulk as ib\n"
        "try: ib.page()\n"
        "except ib.UserError as error: print(error)\n"
        "from invoca_bulk.cli import main; main(['app'])"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "invoca-bulk[notebook]"' in process.stdout
    assert (process.returncode, 'pip install "invoca-bulk[app]"' in process.stderr) == (2, True)


def test_a_port_in_use_is_one_message(cli: Callable[..., Any], box: Sandbox) -> None:
    """Nothing is served, and the message says what to do."""
    ran = cli("app", "--no-browser", "--port", box.base_url.rpartition(":")[2])
    assert ran.code == 2
    assert "Choose another one with --port" in ran.err


def test_an_unknown_run_cannot_be_stopped(tmp_path: Path) -> None:
    """It is one message."""
    with pytest.raises(ConfigError, match="No journal"):
        journal.request_stop(tmp_path, "nobody")


def test_the_repr_says_how_to_open_the_page() -> None:
    """A terminal cannot show the widget."""
    assert "invoca-bulk app" in repr(ib.page())


def test_edited_results_on_the_page(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """A copied row is refused on the page too, and edits are sent as updates if the box is ticked."""
    user = PageUser()
    user.connects(box)
    user.sees("sheet", "2. Sheet")
    _plan_and_run(user, tmp_path, requests_frame(2))
    results = ib.results(ib.runs()["run"].iloc[-1])
    assert isinstance(results, pd.DataFrame)
    pd.concat([results, results.tail(1)]).to_csv(tmp_path / "copied.csv", index=False)
    user.uploads(tmp_path / "copied.csv")
    user.sees("sheet", "copied.csv")
    user.does("plan", values={})
    user.sees("plan", "stand for the same row")
    results.assign(description=["Changed", "Number 2"]).to_csv(tmp_path / "edited.csv", index=False)
    user.uploads(tmp_path / "edited.csv")
    user.sees("sheet", "edited.csv")
    user.does("plan", values={"apply_edits": True})
    user.sees("plan", "Changed")
    user.does("run", values={})
    user.sees("results", "now: 1 updated; before: 1 created")
    assert len(box.store.ledger) == 2
