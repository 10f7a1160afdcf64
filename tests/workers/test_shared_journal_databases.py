"""Databases for journals: unsuitable ones are refused, tables are created once, no password is shown, texts survive."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from machines import NETWORK_ID, TOKEN
from postgres import Postgres, execute

import invoca_bulk as ib
from invoca_bulk import journal
from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from invoca_bulk.errors import ConfigError
from invoca_bulk.journal import RunState, State, db_retry
from invoca_bulk.journal.db_schema import SCHEMA_VERSION
from invoca_bulk.journal.postgres import schema_name
from invoca_bulk.planning import PlannedRow
from invoca_bulk.schema.outcomes import Outcome
from tests.journal.sample_plans import NETWORK, PATH, make_plan, make_step, transitions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from machines import Machine

    from invoca_bulk.sandbox_server import Sandbox

SCHEMA = schema_name(base_url=NETWORK.base_url, network_id=NETWORK.network_id)

pytestmark = pytest.mark.usefixtures("short_lease")


# Refused databases


def _schemas(url: str) -> list[str]:
    return [row.nspname for row in execute(url, "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'invoca%'")]


def test_database_that_may_lose_commits_is_refused(location: Database, database: str) -> None:
    """`synchronous_commit = off` could lose the record of a purchase, so no schema is created."""
    execute(database, f"ALTER DATABASE {database.rpartition('/')[2]} SET synchronous_commit = off", commit=True)
    message = r"^PostgreSQL has synchronous_commit = off, .* Set synchronous_commit = on .*then try again\.$"
    with pytest.raises(ConfigError, match=message), journal.open_for_writing(location, NETWORK):
        pytest.fail("opened")
    assert _schemas(database) == []


def test_server_without_fsync_is_refused() -> None:
    """`fsync = off` could lose commits if the machine crashes, so no schema is created."""
    with Postgres.started() as server:
        url = server.new_database()
        execute(url, "ALTER SYSTEM SET fsync = off", commit=True)
        server.restart()
        message = "^PostgreSQL has fsync = off, .* Set fsync = on"
        with pytest.raises(ConfigError, match=message), journal.open_for_writing(Database(url), NETWORK):
            pytest.fail("opened")
        assert _schemas(url) == []


def _dump(url: str) -> dict[str, list[Any]]:
    """All columns and rows of the journals' tables."""
    query = "SELECT table_schema, table_name, column_name FROM information_schema.columns WHERE table_schema LIKE"
    columns = execute(url, f"{query} 'invoca%' ORDER BY 1, 2, ordinal_position")
    names = sorted({f"{column.table_schema}.{column.table_name}" for column in columns})
    rows = {name: execute(url, f"SELECT t::text FROM {name} t ORDER BY 1") for name in names}  # noqa: S608  our own names
    return {"columns": columns, **rows}


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE version SET version = version + 1",
        "UPDATE version SET version = 1",
        "DROP TABLE version",
        "INSERT INTO version VALUES (3)",
    ],
)
def test_journal_of_another_version_is_left_unchanged(location: Database, database: str, change: str) -> None:
    """Opening it for writing or reading fails with one message, and does not change it."""
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(), NETWORK, now=0.0)
    execute(database, f"SET search_path = {SCHEMA}; {change}", commit=True)
    content = _dump(database)
    for exclusive in (True, False):
        with (
            pytest.raises(ConfigError, match="another version of this program and is left unchanged"),
            journal.open_for_writing(location, NETWORK, exclusive=exclusive),
        ):
            pytest.fail("opened")
    with pytest.raises(ConfigError, match="another version"), journal.open_readonly(location, NETWORK):
        pytest.fail("read")
    with pytest.raises(ConfigError, match="another version"):
        journal.find_results(location, run)
    assert journal.list_runs(location) == []
    assert len(journal.list_incompatible_journals(location)) == 1
    assert _dump(database) == content


# New journals


def test_concurrent_processes_create_one_journal(location: Database, database: str) -> None:
    """The first of ten processes creates the journal, and all can write; a reader sees no partly created one."""
    start, created = threading.Barrier(10), threading.Event()

    def read() -> None:
        while not created.is_set():
            with journal.open_readonly(location, NETWORK) as open_journal:
                assert open_journal is None or len(open_journal.runs()) <= 10

    def write(number: int) -> str:
        start.wait()
        with journal.open_for_writing(location, NETWORK, exclusive=False) as open_journal:
            return open_journal.start_run(make_plan(), NETWORK, now=float(number))

    with ThreadPoolExecutor(11) as threads:
        reader = threads.submit(read)
        try:
            runs = list(threads.map(write, range(10)))
        finally:
            created.set()
        reader.result()
    assert sorted(summary.record.run for summary in journal.list_runs(location)) == sorted(runs)
    assert len(_schemas(database)) == 1
    assert execute(database, f"SELECT version FROM {SCHEMA}.version") == [(SCHEMA_VERSION,)]  # noqa: S608


def test_partly_created_journal_is_completed(location: Database, database: str) -> None:
    """If only the schema, or only the version's table exists, the next process creates the other tables."""
    execute(database, f"CREATE SCHEMA {SCHEMA}", commit=True)
    assert journal.list_runs(location) == []
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is None
    with journal.open_for_writing(location, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=0.0)
    execute(database, f"DROP SCHEMA {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}", commit=True)
    execute(database, f"CREATE TABLE {SCHEMA}.version (version INTEGER NOT NULL)", commit=True)
    execute(database, f"INSERT INTO {SCHEMA}.version VALUES ({SCHEMA_VERSION})", commit=True)  # noqa: S608
    assert journal.list_runs(location) == []
    with journal.open_for_writing(location, NETWORK) as open_journal:
        open_journal.start_run(make_plan(), NETWORK, now=0.0)


def test_networks_have_separate_schemas() -> None:
    """Different base URLs and networks never share a journal, however similar their names; all names are valid."""
    pairs = [("https://a.b", "1"), ("https://a.b", "11"), ("https://a-b", "1"), ("http://a.b", "1")]
    pairs += [("https://a.b:1", "1"), ("https://" + "long." * 40 + "b", "1"), ("https://" + "long." * 40 + "b", "2")]
    names = {schema_name(base_url=url, network_id=network_id) for url, network_id in pairs}
    assert len(names) == len(pairs)
    assert all(len(name) <= 63 and name.isidentifier() for name in names)  # PostgreSQL truncates longer names


# Passwords

#: Possible passwords, some of them percent-encoded.
SECRETS = ["half%2Fsecret", "half@secret", "123/half-secret", "12?half-secret", "half%40secret", "ha[lf-secret"]


def _shows(text: str, secret: str) -> bool:
    return "secret" in text or secret in text


@pytest.mark.parametrize("secret", ["the-secret", *SECRETS])
def test_password_is_never_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an unreachable server, messages show the address but not the password, whatever characters it has."""
    monkeypatch.setattr(db_retry, "RETRY_SECONDS", 0.1)
    try:
        location = Database(f"postgresql://user:{secret}@127.0.0.1:1/journals")
    except ConfigError as error:  # an ambiguous address may be refused
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert not _shows(refusal, secret)
        return
    texts = [str(location), repr(location), f"{location}"]
    for connect in (
        lambda: journal.list_runs(location),
        lambda: journal.open_for_writing(location, NETWORK).__enter__(),
    ):
        with pytest.raises(ConfigError) as refused:
            connect()
        error: BaseException | None = refused.value
        assert "127.0.0.1" in str(error)
        while error:
            texts += [str(error), repr(error)]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert [text for text in texts if _shows(text, secret)] == []
    assert location.has_password


def test_password_in_the_query_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password may also be a query parameter of the address."""
    monkeypatch.setattr(db_retry, "RETRY_SECONDS", 0.1)
    location = Database("postgresql://127.0.0.1:1/journals?user=someone&password=the-secret")
    assert location.has_password
    with pytest.raises(ConfigError) as refused:
        journal.list_runs(location)
    assert not _shows(f"{location} {location!r} {refused.value}", "the-secret")


def test_command_line_hides_the_password(machine: Callable[..., Machine]) -> None:
    """`runs` and `results` hide it if the server is unreachable; as a flag it is refused, since others can see it."""
    address = "postgresql://user:the-secret@127.0.0.1:1/journals"
    client = machine("one", INVOCA_JOURNAL=address)
    for command in (["runs"], ["results", "20200101-000000-aaaaaa", "-o", "there.csv"]):
        process = client.call(*command)
        assert (process.returncode, process.stdout) == (2, "")
        assert "postgresql://user@127.0.0.1:1/journals" in process.stderr
        assert "the-secret" not in process.stderr
        assert "Traceback" not in process.stderr
    process = client.call("runs", "--journal", address)
    assert (process.returncode, process.stdout) == (2, "")
    assert "INVOCA_JOURNAL" in process.stderr
    assert "the-secret" not in process.stderr


# Unusual texts

UNUSUAL_TEXTS = {
    "NUL": "a\0b",
    "emoji": "\U0001f600 \u4e2d\u6587 e\u0301",
    "quotes": "'\"\\ %s %(x)s :x {x} $1",
    "long": "x" * 100_000,
    "controls": "".join(map(chr, range(1, 32))),
    "lone surrogate": "\ud800",
}


@pytest.mark.parametrize("name", UNUSUAL_TEXTS)
def test_unusual_texts_in_json_columns(location: Database, name: str) -> None:
    """Cells, bodies, answers and baselines are JSON: any text from a sheet or the platform is read back unchanged."""
    text = UNUSUAL_TEXTS[name]
    step = make_step(0, body={"description": text}, patch={"values": {text: [text]}}, snapshot={"promo_number": text})
    rows = (
        PlannedRow(row=2, cells=("A-1", text), step=0),
        PlannedRow(row=3, cells=(text,), assigned_values={"name": text}, outcome=Outcome.UNCHANGED),
    )
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(step, rows=rows), NETWORK, now=0.0)
        open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT))
        open_journal.apply_transitions(
            transitions(run, 0, State.SENT, State.DONE, answer={"promo_number": "8055550100", "description": text})
        )
    _, (first, second) = journal.find_results(location, run)
    assert (first.cells, first.answer["description"], second.cells) == (("A-1", text), text, (text,))
    assert second.answer == {"name": text}
    with journal.open_readonly(location, NETWORK) as open_journal:
        assert open_journal is not None
        (record,) = open_journal.steps(run)
        assert (record.step.body, record.step.patch, record.step.snapshot) == (step.body, step.patch, step.snapshot)
        assert open_journal.known_numbers(0.0, [run]) == {"8055550100"}
        assert len(open_journal.purchases([PATH])) == 1


@pytest.mark.parametrize("name", [name for name in UNUSUAL_TEXTS if name != "lone surrogate"])
def test_unusual_texts_in_text_columns(location: Database, name: str) -> None:
    """Errors, fixes and notes are read back unchanged; NUL, which PostgreSQL cannot store, may be replaced."""
    text = UNUSUAL_TEXTS[name]
    rows = (PlannedRow(row=2, cells=("",), step=0), PlannedRow(row=3, cells=("",), outcome=Outcome.INVALID, error=text))
    with journal.open_for_writing(location, NETWORK) as open_journal:
        run = open_journal.start_run(make_plan(make_step(0), rows=rows), NETWORK, now=0.0)
        open_journal.apply_transitions(transitions(run, 0, State.PENDING, State.SENT))
        open_journal.apply_transitions(transitions(run, 0, State.SENT, State.FAILED, error=text, fix=text))
        open_journal.end_run(run, RunState.ABORTED, now=1.0, note=text)
    record, (first, second) = journal.find_results(location, run)
    for stored in (first.error, first.fix, second.error, record.note):
        assert stored == text or (name == "NUL" and stored.startswith("a") and stored.endswith("b"))


def test_unusual_cells_give_the_same_results_as_in_a_file(box: Sandbox, location: Database, tmp_path: Path) -> None:
    """Outcomes, errors and cells are the same with PostgreSQL and SQLite, whatever the cells contain."""
    texts = [*UNUSUAL_TEXTS.values(), "plain"]
    base = {"advertiser_id_from_network": "A-1", "media_type": "Online: Display"}
    rows = [base | {"advertiser_campaign_id_from_network": "C-1", "description": text} for text in texts]
    rows += [base | {"advertiser_campaign_id_from_network": text[:300], "description": "x"} for text in texts]
    rows += [
        base | {"advertiser_campaign_id_from_network": "C-2", "description": "y", "media_type": text} for text in texts
    ]
    network = Network(base_url=box.base_url, network_id=NETWORK_ID, token=TOKEN)
    all_results = []
    for number, journal_location in enumerate((tmp_path / "journal", location)):
        frame = pd.DataFrame(rows)
        options = {"yes": True, "skip_invalid": True, "progress": False, "settle": 0.05}
        frame["description"] = frame["description"] + f" {number}"  # so that no purchase of the first run is reused
        results = ib.run(frame, network, journal=journal_location, **options)
        assert isinstance(results, pd.DataFrame)
        all_results.append(results)
    file_results, database_results = all_results
    for column in ("result_status", "result_error", "result_fix", "media_type"):
        assert file_results[column].tolist() == database_results[column].tolist()
    counts = Counter(database_results["result_status"])
    assert counts["created"] >= len(texts)
    assert len(box.store.ledger) == 2 * counts["created"]
    _, rows_read = journal.find_results(location, database_results.attrs["run"])
    assert [row.outcome for row in rows_read] == database_results["result_status"].tolist()
    assert json.dumps([row.cells for row in rows_read])
