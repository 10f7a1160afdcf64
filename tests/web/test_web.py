"""The upload page without a browser: its processes, its view of runs, what it keeps to itself.

`tests/browser` has the rest.
"""

from __future__ import annotations

import json
import os
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
from invoca_bulk.reports import plan_file
from invoca_bulk.schema.result_columns import Outcome
from invoca_bulk.service.plan import plan_sheet
from invoca_bulk.web import jobs
from invoca_bulk.web.run_progress import ProgressMeter
from invoca_bulk.web.upload_page import UploadPage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from invoca_bulk.config.network import Network
    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.web.jobs import Job

TOKEN = "the-secret-token"


def _until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def begun(tmp_path: Path, box: Sandbox, network: Network, requests_frame: Any) -> Iterator[Callable[..., Job]]:
    """Starts the job of a plan of so many rows."""
    started: list[Job] = []

    def begin(rows: int, *flags: str) -> Job:
        folder = jobs.create_job_folder(tmp_path / "journal", "a sheet.xlsx")
        plan = plan_sheet(requests_frame(rows), network, Options())
        file = plan_file.write_saved_plan(plan.saved_plan, folder / jobs.PLAN_FILE_NAME)
        where = ("--network-id", network.network_id, "--base-url", box.base_url, "--settle", "0.1", *flags)
        arguments = ["run", str(file), "--yes", *where]
        started.append(jobs.start_job(arguments, network, folder=folder, journal_location=tmp_path / "journal"))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()


def test_a_job_is_the_command_lines_run(begun: Callable[..., Job], box: Sandbox) -> None:
    """Its results, and what it says at its end, are those of `invoca-bulk run`."""
    job = begun(5)
    job.process.wait(timeout=60)
    assert job.json_report["totals"] == {"created": 5}
    written = pd.read_excel(job.folder / jobs.RESULTS_FILE_NAME, dtype=str, engine="calamine")
    assert sorted(written["promo_number"]) == sorted(one.number for one in box.store.ledger)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs the process files of Linux")
def test_the_token_is_in_no_place_that_others_read(begun: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """Not on the job's command line, not in its environment, not in its files; also when this process' own has one."""
    monkeypatch.setenv("INVOCA_API_TOKEN", TOKEN)
    job = begun(40, "--rate", "20")
    where = Path(f"/proc/{job.process.pid}")
    _until(lambda: b"invoca_bulk" in (where / "cmdline").read_bytes())
    seen = (where / "cmdline").read_bytes() + (where / "environ").read_bytes()
    assert TOKEN.encode() not in seen
    job.process.wait(timeout=60)
    for file in job.folder.iterdir():
        assert TOKEN.encode() not in file.read_bytes()
    assert job.folder.stat().st_mode & 0o077 == 0


def test_a_run_that_does_not_begin_says_why(begun: Callable[..., Job], box: Sandbox) -> None:
    """What was planned is not what would be done now: the sentence is there, and nothing was sent."""
    job = begun(3, "--max-new-numbers", "2")
    job.process.wait(timeout=60)
    assert "the cap is 2" in job.failure_reason
    assert "run" not in job.json_report
    assert len(box.store.ledger) == 0


def test_it_is_seen_and_stopped_from_outside(begun: Callable[..., Job], box: Sandbox, tmp_path: Path) -> None:
    """Any process sees the run with its owner, and asks it to stop softly; a run that is over is not there to stop."""
    job = begun(200, "--rate", "40")
    folder = tmp_path / "journal"
    _until(lambda: len(box.store.ledger) >= 3)
    (one,) = journal.list_active_runs(folder)
    assert one.owner
    assert one.owner.process == job.process.pid
    assert sum(one.totals.values()) == 200
    assert journal.request_stop(folder, one.record.run) == ""
    job.process.wait(timeout=60)
    assert (job.json_report["state"], job.json_report["exit_code"]) == ("interrupted", 4)
    assert job.json_report["totals"]["created"] == len(box.store.ledger) < 200
    assert journal.list_active_runs(folder) == []
    assert journal.request_stop(folder, one.record.run) == "The run is no longer in progress."


def test_a_killed_run_is_not_running(begun: Callable[..., Job], box: Sandbox, tmp_path: Path) -> None:
    """The note of its owner is still there, but nobody holds the journal."""
    job = begun(200, "--rate", "40")
    _until(lambda: len(box.store.ledger) >= 3)
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
def test_what_cannot_be_stopped_is_said(
    begun: Callable[..., Job], box: Sandbox, tmp_path: Path, note: dict[str, Any], sentence: str
) -> None:
    """No signal goes to a process that would not heed it, or that is not the one of the note."""
    job = begun(60, "--rate", "20")
    _until(lambda: len(box.store.ledger) >= 2)
    (path,) = (tmp_path / "journal").glob("*.owner")
    path.write_text(json.dumps(json.loads(path.read_text()) | note))
    person = Person()
    person.does("hello")
    person.sees("stop", "Stop")
    person.does("stop", run=journal.list_active_runs(tmp_path / "journal")[0].record.run)
    person.sees("stop", sentence)
    assert not job.has_ended


def test_a_run_in_a_thread_says_that_no_signal_stops_it(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """A signal would end the whole program, and the run not softly."""
    network = ib.Network(base_url=box.base_url, network_id=box.network_id, token=TOKEN)
    options = {"yes": True, "progress": False, "rate": 20.0, "settle": 0.1}
    thread = threading.Thread(target=ib.run, args=(requests_frame(10), network), kwargs=options)
    thread.start()
    _until(lambda: journal.list_active_runs(tmp_path / "journal"))
    assert "stop it in that program" in journal.request_stop(
        tmp_path / "journal", journal.list_active_runs(tmp_path / "journal")[0].record.run
    )
    thread.join(60)
    assert len(box.store.ledger) == 10


def test_a_job_outlives_who_has_started_it(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """The kernel's group of processes is ended, as when a tab is closed: the run goes on to its end."""
    requests_frame(60).to_csv(tmp_path / "sheet.csv", index=False)
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTER.format(url=box.base_url, id=box.network_id, token=TOKEN)],
        cwd=tmp_path,
        start_new_session=True,
    )
    _until(lambda: len(box.store.ledger) >= 3)
    os.killpg(process.pid, 9)
    process.wait()
    assert len(box.store.ledger) < 60
    _until(lambda: len(box.store.ledger) == 60 and not journal.list_active_runs(tmp_path / "journal"))
    assert journal.list_runs(tmp_path / "journal")[0].state == "finished"


_STARTER = """
import time
from pathlib import Path
from invoca_bulk.reports import plan_file
from invoca_bulk.service.plan import plan_sheet
from invoca_bulk.web import jobs
from invoca_bulk.config.options import Options
from invoca_bulk.config.settings import Network
network = Network(base_url="{url}", network_id="{id}", token="{token}")
folder = jobs.create_job_folder(Path("journal"), "sheet.csv")
plan = plan_file.write_saved_plan(
    plan_sheet("sheet.csv", network, Options()).saved_plan, folder / jobs.PLAN_FILE_NAME
)
where = ["--network-id", "{id}", "--base-url", "{url}", "--rate", "30", "--settle", "0.1"]
jobs.start_job(["run", str(plan), "--yes", *where], network, folder=folder, journal_location=Path("journal"))
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([(0.0, 0, 100, 0)], (0, 100, None, None)),
        ([(0.0, 0, 100, 0), (2.0, 20, 80, 0)], (20, 100, 10.0, 8.0)),
        ([(0.0, 0, 100, 0), (2.0, 20, 76, 4)], (20, 100, 10.0, 8.0)),
        ([(0.0, 0, 100, 0), (10.0, 10, 90, 0), (30.0, 70, 30, 0)], (70, 100, None, None)),
    ],
    ids=["at first nothing is known", "rate and time left", "under way is not ended", "only what was lately counts"],
)
def test_progress(seen: list[tuple[float, int, int, int]], expected: tuple[Any, ...]) -> None:
    """Rows with an outcome, of all, at what rate, and how many seconds are left."""
    meter = ProgressMeter()
    for now, created, not_sent, unknown in seen:
        totals = {Outcome.CREATED: created, Outcome.NOT_SENT: not_sent, Outcome.UNKNOWN: unknown}
        last = meter.measure(Counter(totals), now)
    assert (last.completed, last.total, last.rate, last.eta_seconds) == expected


def test_the_widget_keeps_nothing() -> None:
    """Widget state goes into the notebook's file; it holds the page's code, and nothing of the person."""
    state = UploadPage().widget.get_state()
    texts = {name for name, value in state.items() if isinstance(value, str) and len(value) > 100}
    assert texts == {"_esm", "_css"}


class Person:
    """Somebody at the page, as the browser would let them: messages in, regions out."""

    def __init__(self) -> None:
        self.widget = ib.page().widget

    def does(self, what: str, *buffers: bytes, **content: Any) -> None:
        self.widget._handle_custom_msg({"view": "test", **content, "do": what}, list(buffers))  # noqa: SLF001  ipywidgets' own door

    def connects(self, box: Sandbox) -> None:
        where = {"network_id": box.network_id, "base_url": box.base_url, "api_version": "2022-08-01"}
        self.does("hello")
        self.does("connect", values={"where": "network", **where, "token": TOKEN})
        self.sees("connect", "1. Connected")

    def uploads(self, path: Path) -> None:
        content = path.read_bytes()
        self.does("upload", content, name=path.name, size=len(content), at=0)

    def sees(self, region: str, text: str) -> None:
        _until(lambda: text in self.widget.regions.get(region, ""))


def test_the_whole_way_without_a_browser(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """Connect, upload, check, plan, confirm, run: the numbers of the results are those that were issued."""
    requests_frame(6, media_type=["Online: Display"] * 5 + ["Telegraph"]).to_csv(tmp_path / "mine.csv", index=False)
    person = Person()
    where = {"where": "network", "network_id": box.network_id, "base_url": box.base_url, "api_version": "2022-08-01"}
    person.does("hello")
    person.does("connect", values={**where, "token": "wrong-token-entirely"})
    person.sees("connect", "does not accept the token")
    person.does("connect", values={**where, "token": TOKEN})
    person.sees("sheet", "2. Sheet")
    person.uploads(tmp_path / "mine.csv")
    person.sees("issues", "&#x27;Telegraph&#x27; is not a valid value for")
    person.does("plan", values={"again": False, "assign_ids": True})
    person.sees("plan", "5 requests")
    person.does("run", values={"skip_invalid": True, "confirmed": "4"})
    person.sees("plan", "you typed 4, but the plan buys 5")
    person.does("run", values={"skip_invalid": True, "confirmed": "5"})
    person.sees("results", "finished")
    numbers = [one.number for one in box.store.ledger]
    assert len(numbers) == 5
    for number in numbers:
        assert number in person.widget.regions["results"]
    assert len({one.body["id_from_network"] for one in box.store.ledger} - {""}) == 5
    person.does("run", values={"skip_invalid": True, "confirmed": "5"})  # pressed once more
    person.sees("runs", "mine.csv")
    assert len(box.store.ledger) == 5


def test_the_form_comes_once(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """Whoever comes back finds the network of the last run filled in: nothing changes under the hands."""
    before = Person()
    before.connects(box)
    _run_of(before, tmp_path, requests_frame(1))
    person = Person()
    shown: list[str] = []
    person.widget.send = lambda message, **_: shown.append(
        message["html"] if message.get("region") == "connect" else ""
    )
    person.does("hello")
    person.sees("connect", "<form")
    forms = [one for one in shown if "<form" in one]
    assert len(forms) == 1
    assert f'value="{box.network_id}"' in forms[0]
    person.does("connect", values={"where": "sandbox", "api_version": "2022-08-01"})
    person.sees("sheet", "2. Sheet")


def test_what_can_be_done_follows_the_connection(tmp_path: Path, box: Sandbox, requests_frame: Any) -> None:
    """Without the token of the run's network the results say what to do first; with it the buttons are there."""
    person = Person()
    person.connects(box)
    _run_of(person, tmp_path, requests_frame(2))
    person.sees("results", "Plan to undo this run")
    person.does("leave")
    person.sees("results", "connect to network")
    person.does("undo", run=journal.list_runs(tmp_path / "journal")[0].record.run)  # from a view that is behind
    person.sees("results", 'role="alert"')
    person.connects(box)
    person.sees("results", "Plan to undo this run")


def test_a_cap_of_the_environment_holds(
    tmp_path: Path, box: Sandbox, requests_frame: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is confirmed on the page cannot be more than the person has allowed at all."""
    monkeypatch.setenv("INVOCA_MAX_NEW_NUMBERS", "1")
    person = Person()
    person.connects(box)
    _planned(person, tmp_path, requests_frame(2))
    person.does("run", values={"confirmed": "2"})
    person.sees("plan", "the cap is 1")
    assert len(box.store.ledger) == 0


@pytest.mark.parametrize(
    ("values", "sentence"),
    [({"confirmed": "1"}, "leave out the refused rows"), ({"skip_invalid": True}, "you typed nothing")],
)
def test_what_the_browser_asks_is_asked_again(
    tmp_path: Path, box: Sandbox, requests_frame: Any, values: dict[str, Any], sentence: str
) -> None:
    """A message that no form has checked does no more than the form."""
    person = Person()
    person.connects(box)
    _planned(person, tmp_path, requests_frame(2, media_type=["Online: Display", "Telegraph"]))
    person.does("run", values=values)
    person.sees("plan", sentence)
    assert len(box.store.ledger) == 0


def test_why_a_run_did_not_begin_stays(tmp_path: Path, box: Sandbox, requests_frame: Any, begun: Any) -> None:
    """While another run is followed, the reason stands at the plan, which can be run again."""
    job = begun(80, "--rate", "15")
    _until(lambda: len(box.store.ledger) >= 2)
    person = Person()
    person.connects(box)
    _planned(person, tmp_path, requests_frame(1, description="mine"))
    person.does("run", values={"confirmed": "1"})
    person.sees("plan", "Another run is using this network")
    person.sees("run", "a DataFrame")  # the other one is followed, and the reason is still there
    assert "Another run is using this network" in person.widget.regions["plan"]
    assert "Next" not in person.widget.regions["plan"]
    assert "then run" not in person.widget.regions["plan"]
    job.process.wait(timeout=60)
    person.sees("results", "finished")
    person.does("run", values={"confirmed": "1"})
    _until(lambda: len(box.store.ledger) == 81)


def test_a_message_that_makes_no_sense_ends_nothing(box: Sandbox) -> None:
    """The page goes on after whatever a browser sends."""
    person = Person()
    person.does("connect")
    person.does("run", values=None)
    person.does("no such thing")
    person.connects(box)
    person.sees("sheet", "2. Sheet")


def _planned(person: Person, folder: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(folder / "mine.csv", index=False)
    person.uploads(folder / "mine.csv")
    person.sees("issues", "Plan")
    person.does("plan", values={"again": False, "assign_ids": False})
    person.sees("plan", 'data-do="run"')


def _run_of(person: Person, folder: Path, frame: pd.DataFrame) -> None:
    _planned(person, folder, frame)
    person.does("run", values={"confirmed": str(len(frame))})
    person.sees("results", "finished")


@pytest.mark.parametrize(
    ("size", "at"), [(2 << 30, 0), (10, 2 << 30)], ids=["told so", "a browser that does not tell the truth"]
)
def test_an_upload_has_a_size_cap(size: int, at: int) -> None:
    """Nothing of it is kept, and a sentence says what to do."""
    person = Person()
    person.does("upload", b"0123456789", name="huge.csv", size=size, at=at)
    person.sees("sheet", "huge.csv is larger than 1 GiB. Split it into smaller files.")


@pytest.mark.parametrize("name", ["../../evil.csv", "..\\evil.csv", "/etc/evil.csv", "evil.csv\0.csv"])
def test_a_name_is_no_path(name: str, tmp_path: Path, requests_frame: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a browser calls a file, or itself, it is kept in the page's own folder."""
    place = tmp_path / "some" / "where" / "deep"
    place.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    requests_frame(1).to_csv(tmp_path / "sheet.csv", index=False)
    person = Person()
    person.does("hello")
    person.does("connect", values={"where": "sandbox", "api_version": "2022-08-01"})
    person.sees("sheet", "2. Sheet")
    content = (tmp_path / "sheet.csv").read_bytes()
    person.does("upload", content, name=name, size=len(content), at=0, view=f"../{name}")
    person.sees("issues", "1 row checked")
    kept = [path for path in tmp_path.rglob("*evil*") if path.is_file()]
    assert [path.parent.name for path in kept] == ["sheet"]
    assert kept[0].parent.parent.name.startswith("invoca-bulk-page-")


def test_without_its_libraries_the_extra_is_named() -> None:
    """One sentence says what to install, in a cell and on the command line."""
    code = (
        "import sys; sys.modules['anywidget'] = sys.modules['voila'] = None\n"
        "import invoca_bulk as ib\n"
        "try: ib.page()\n"
        "except ib.UserError as error: print(error)\n"
        "from invoca_bulk.cli import main; main(['app'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'invoca-bulk[notebook]'" in done.stdout
    assert (done.returncode, "pip install 'invoca-bulk[app]'" in done.stderr) == (2, True)


def test_a_port_that_is_taken_is_a_sentence(cli: Callable[..., Any], box: Sandbox) -> None:
    """Nothing is served, and the way out is named."""
    ran = cli("app", "--no-browser", "--port", box.base_url.rpartition(":")[2])
    assert ran.code == 2
    assert "Choose another one with --port" in ran.err


def test_an_unknown_run_cannot_be_stopped(tmp_path: Path) -> None:
    """A sentence, no process."""
    with pytest.raises(ConfigError, match="No journal"):
        journal.request_stop(tmp_path, "nobody")


def test_the_page_has_a_word_for_terminals() -> None:
    """Where no widget can be shown, it says how to see it."""
    assert "invoca-bulk app" in repr(ib.page())
