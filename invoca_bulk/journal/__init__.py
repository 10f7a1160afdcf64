"""Durable record of every step: intent before the first byte, outcome after. No token and no header is ever in it.

One journal for each base URL and network. By default a SQLite file in the user's state directory: WAL with
`synchronous=FULL`, so that a commit that returned survives a power cut, because a lost `sent` is a number bought twice.
One process writes at a time, and holds an operating-system lock that dies with it. For several machines a schema on
PostgreSQL, whose writers have leases. Others may read at any time.
"""

from __future__ import annotations

from invoca_bulk.journal.catalog import Listed, find, foreign, listed, results_of, run_of, running, stop
from invoca_bulk.journal.db_schema import VERSION, OtherVersion
from invoca_bulk.journal.locations import opened, place_of, reading, shelved_of
from invoca_bulk.journal.records import Change, RowRecord, RunRecord, Start, StepRecord
from invoca_bulk.journal.sqlite import durable_engine, journal_file
from invoca_bulk.journal.states import DONE_OUTCOME, DOUBTED, ENDS_AS, NEXT, RunState, State, outcome
from invoca_bulk.journal.store import REHEARSAL, Journal, new_run_id

__all__ = [
    "DONE_OUTCOME",
    "DOUBTED",
    "ENDS_AS",
    "NEXT",
    "REHEARSAL",
    "VERSION",
    "Change",
    "Journal",
    "Listed",
    "OtherVersion",
    "RowRecord",
    "RunRecord",
    "RunState",
    "Start",
    "State",
    "StepRecord",
    "durable_engine",
    "find",
    "foreign",
    "journal_file",
    "listed",
    "new_run_id",
    "opened",
    "outcome",
    "place_of",
    "reading",
    "results_of",
    "run_of",
    "running",
    "shelved_of",
    "stop",
]
