"""The tables of a journal's database, their version and its migrations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from invoca_bulk.errors import ConfigError
from invoca_bulk.wording import option

#: Version of the tables below. Journals of a version that cannot be migrated are not touched.
SCHEMA_VERSION = 6

METADATA = sa.MetaData()


class _NulSafeText(sa.TypeDecorator[str]):
    """Text from the platform or the system. PostgreSQL accepts no NUL in a text, so NULs are replaced."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        del dialect
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if value else value


#: Attribute of a record to its stored name, where the two differ: existing journals must stay readable.
STORED_NAMES = {
    "worker_options": "workers",
    "is_stop_requested": "stopping",
    "non_idempotent": "once",
    "depends_on": "needs",
    "snapshot": "before",
    "superseded_by": "taken_by",
    "can_be_signalled": "heeds",
}
_ATTRIBUTES = {stored: attribute for attribute, stored in STORED_NAMES.items()}


def to_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """A record's values by stored name."""
    return {STORED_NAMES.get(name, name): value for name, value in values.items()}


def from_stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Stored values by attribute name."""
    return {_ATTRIBUTES.get(name, name): value for name, value in values.items()}


_VERSION_TABLE = sa.Table("version", METADATA, sa.Column("version", sa.Integer, nullable=False))
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("base_url", sa.String, nullable=False),
    sa.Column("network_id", sa.String, nullable=False),
    sa.Column("api_version", sa.String, nullable=False),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),
    sa.Column("source_path", sa.String, nullable=False),
    sa.Column("output", sa.String, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False, index=True),
    sa.Column("choices", sa.JSON, nullable=False),
    sa.Column("sheets", sa.JSON, nullable=False),
    sa.Column("titles", sa.JSON, nullable=False),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("ended_at", sa.Float),
    sa.Column("note", _NulSafeText, nullable=False, default=""),
    sa.Column("workers", sa.JSON(none_as_null=True)),  # worker options; null: a run without workers
    sa.Column("stopping", sa.Boolean, nullable=False, default=False, server_default=sa.false()),  # asked to stop
    sa.Column("warnings", sa.JSON(none_as_null=True)),  # about the sheets; null: unknown
)
STEPS = sa.Table(
    "steps",
    METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("resource", sa.String, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("verb", sa.String, nullable=False),
    sa.Column("path", sa.JSON, nullable=False),
    sa.Column("body", sa.JSON(none_as_null=True)),
    sa.Column("own_id", sa.String, nullable=False),
    sa.Column("once", sa.Boolean, nullable=False),
    sa.Column("phase", sa.Integer, nullable=False),
    sa.Column("needs", sa.Integer),
    sa.Column("patch", sa.JSON(none_as_null=True)),
    sa.Column("before", sa.JSON(none_as_null=True)),
    sa.Column("destination", sa.JSON, nullable=False),
    sa.Column("identity", sa.String, nullable=False, index=True),
    sa.Column("taken_by", sa.String, nullable=False, default=""),  # the later run that took the step over
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("http_status", sa.Integer),
    sa.Column("answer", sa.JSON),
    sa.Column("error", _NulSafeText, nullable=False, default=""),
    sa.Column("fix", _NulSafeText, nullable=False, default=""),
    sa.Column("owner", sa.String, nullable=False, default="", server_default=""),  # the process that sent it
)
ROWS = sa.Table(
    "rows",
    METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("sheet", sa.Integer, nullable=False),
    sa.Column("row", sa.Integer, nullable=False),
    sa.Column("cells", sa.JSON, nullable=False),
    sa.Column("action", sa.String, nullable=False),
    sa.Column("step_run", sa.String),  # the run of the step: an earlier one, if that did the row
    sa.Column("step", sa.Integer),
    sa.Column("outcome", sa.String),
    sa.Column("carried", sa.Boolean, nullable=False),
    sa.Column("found", sa.JSON(none_as_null=True)),
    sa.Column("error", _NulSafeText, nullable=False),
    sa.Column("fix", _NulSafeText, nullable=False),
    sa.Column("label", sa.JSON(none_as_null=True)),  # of the row of a DataFrame
)
#: The numbers of each scope when the run began: numbers found later are compared with them.
BASELINES = sa.Table(
    "baselines",
    METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("numbers", sa.JSON, nullable=False),
)
#: The processes that write to a shared journal.
OWNERS = sa.Table(
    "owners",
    METADATA,
    sa.Column("owner", sa.String, primary_key=True),
    sa.Column("host", sa.String, nullable=False),
    sa.Column("process", sa.Integer, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("until", sa.Float, nullable=False),  # when the lease expires, unless it is renewed
    sa.Column("mark", sa.String, nullable=False),  # id of its last commit: shows whether an unconfirmed one was made
    sa.Column("alone", sa.Boolean, nullable=False),  # whether the owner is exclusive
)
#: The rate limiter, as JSON, of each run that several processes share.
RATE_LIMITERS = sa.Table(
    "paces",
    METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("state", sa.String, nullable=False),
)
#: The highest rate that the network accepted, in requests per second; one row.
SAVED_RATES = sa.Table(
    "learned",
    METADATA,
    sa.Column("rate", sa.Float, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

#: An older version to the columns that the next version adds; missing tables are always created.
_ADDED_COLUMNS: Mapping[int, tuple[sa.Column[Any], ...]] = {
    3: (RUNS.c.workers, RUNS.c.stopping, STEPS.c.owner),
    4: (ROWS.c.label,),
    5: (RUNS.c.warnings,),
}

#: Speeds up finding the sent steps of an owner. Only PostgreSQL needs it: a SQLite journal has one writer.
_SENT_STEPS_INDEX = sa.DDL("CREATE INDEX steps_under_way ON steps (owner) WHERE state = 'sent'")  # type: ignore[no-untyped-call]
sa.event.listen(STEPS, "after_create", _SENT_STEPS_INDEX.execute_if(dialect="postgresql"))


class IncompatibleVersion(ConfigError):
    """The journal was written by another version of this program; it is left unchanged."""


def create_or_migrate(connection: sa.Connection) -> None:
    """Create the tables of a new journal, or migrate an older one; `IncompatibleVersion` if that is impossible.

    The version is committed first, so that no reader ever sees tables without a version.
    """
    with connection.begin():
        if not sa.inspect(connection).get_table_names():
            _VERSION_TABLE.create(connection)
        if _is_uninitialized(connection):
            connection.execute(sa.insert(_VERSION_TABLE).values(version=SCHEMA_VERSION))
    version = _read_version(connection)
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # else Python's driver commits each table, and an index may be missing
        if version is not None and version in _ADDED_COLUMNS:
            _migrate(connection, version)
            version = SCHEMA_VERSION
        _reject_other_version(connection, version)
        METADATA.create_all(connection)


def _migrate(connection: sa.Connection, version: int) -> None:
    """Migrate an older journal to the current version, within the caller's transaction."""
    for older_version in range(version, SCHEMA_VERSION):
        for column in _ADDED_COLUMNS[older_version]:
            definition = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
            connection.exec_driver_sql(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}")
    connection.execute(sa.update(_VERSION_TABLE).values(version=SCHEMA_VERSION))


def needs_migration(connection: sa.Connection) -> bool:
    """Whether it is an older journal that opening it for writing would migrate."""
    return _read_version(connection) in _ADDED_COLUMNS


def _is_uninitialized(connection: sa.Connection) -> bool:
    """Whether it has only an empty version table, as a process killed while creating the journal leaves it."""
    names = sa.inspect(connection).get_table_names()
    return names == [_VERSION_TABLE.name] and not connection.execute(sa.select(_VERSION_TABLE)).all()


def is_being_created(connection: sa.Connection) -> bool:
    """Whether a process is still creating the journal."""
    with connection.begin():
        return not sa.inspect(connection).get_table_names() or _is_uninitialized(connection)


def require_current_version(connection: sa.Connection) -> None:
    """Check that it is a journal of the current version; otherwise raise `IncompatibleVersion`."""
    _reject_other_version(connection, _read_version(connection))


def _read_version(connection: sa.Connection) -> int | None:
    """The version of a journal; None: it has none, or more than one."""
    with connection.begin():
        has_version = sa.inspect(connection).has_table(_VERSION_TABLE.name)
        versions = connection.execute(sa.select(_VERSION_TABLE.c.version)).scalars().all() if has_version else []
    return versions[0] if len(versions) == 1 else None


def _reject_other_version(connection: sa.Connection, version: int | None) -> None:
    if version != SCHEMA_VERSION:
        others = "folder" if connection.dialect.name == "sqlite" else "database"
        raise IncompatibleVersion(
            f"The journal {connection.engine.url.database} was written by another version of this program and is left "
            f"unchanged. Use another {others} ({option('journal=…')}). It does not know sheets that were run before: "
            "run their results files, not the sheets."
        )
