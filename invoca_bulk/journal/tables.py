"""The tables of a journal's database, and the version of their shape."""

from __future__ import annotations

import sqlalchemy as sa

from invoca_bulk.errors import SettingInvalid

#: Of the tables below; a file of another one is left alone.
VERSION = 3

METADATA = sa.MetaData()
_VERSIONS = sa.Table("version", METADATA, sa.Column("version", sa.Integer, nullable=False))
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
    sa.Column("note", sa.String, nullable=False, default=""),
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
    sa.Column("taken_by", sa.String, nullable=False, default=""),  # a later run that does it instead
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("sent_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Column("http_status", sa.Integer),
    sa.Column("answer", sa.JSON),
    sa.Column("error", sa.String, nullable=False, default=""),
    sa.Column("fix", sa.String, nullable=False, default=""),
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
    sa.Column("step_run", sa.String),  # the run whose step it is: an earlier one, where that did the row already
    sa.Column("step", sa.Integer),
    sa.Column("outcome", sa.String),
    sa.Column("carried", sa.Boolean, nullable=False),
    sa.Column("found", sa.JSON(none_as_null=True)),
    sa.Column("error", sa.String, nullable=False),
    sa.Column("fix", sa.String, nullable=False),
)
#: What each scope already had when the run began: what a number found later is compared with.
BASELINES = sa.Table(
    "baselines",
    METADATA,
    sa.Column("run", sa.ForeignKey("runs.run"), primary_key=True),
    sa.Column("scope", sa.String, primary_key=True),
    sa.Column("numbers", sa.JSON, nullable=False),
)
#: The rate that the network was found to take, in requests a second; one row.
LEARNED = sa.Table(
    "learned",
    METADATA,
    sa.Column("rate", sa.Float, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)


class OtherVersion(SettingInvalid):
    """A journal's file was written by another version of this program; nothing in it is touched."""


def prepare(connection: sa.Connection) -> None:
    """Make the tables in a new file.

    The version goes first and in a commit of its own: a file is never seen with tables and without it.

    Raises:
        OtherVersion: the file is no journal of this version.
    """
    with connection.begin():
        if not sa.inspect(connection).get_table_names():
            _VERSIONS.create(connection)
        if _is_new(connection):
            connection.execute(sa.insert(_VERSIONS).values(version=VERSION))
    check(connection)
    with connection.begin():
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")  # else Python's driver commits each table, and an index may be missing
        METADATA.create_all(connection)


def _is_new(connection: sa.Connection) -> bool:
    """Whether the file holds nothing yet; a process that was killed may have left the table of the version, empty."""
    names = sa.inspect(connection).get_table_names()
    return names == [_VERSIONS.name] and not connection.execute(sa.select(_VERSIONS)).all()


def is_empty(connection: sa.Connection) -> bool:
    """Whether a process is just making the file."""
    with connection.begin():
        return not sa.inspect(connection).get_table_names() or _is_new(connection)


def check(connection: sa.Connection) -> None:
    """See that the file is a journal of this version.

    Raises:
        OtherVersion: it is not.
    """
    with connection.begin():
        known = sa.inspect(connection).has_table(_VERSIONS.name)
        found = connection.execute(sa.select(_VERSIONS.c.version)).scalars().all() if known else []
    if found != [VERSION]:
        msg = (
            f"The journal {connection.engine.url.database} was written by another version of this program; it was left "
            "as it is. Name another folder with --journal; a sheet that was run before is not known there, so run its "
            "results file, not the sheet."
        )
        raise OtherVersion(msg)
