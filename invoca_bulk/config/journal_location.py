"""Where the journals are: a folder of this machine, or a database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

from invoca_bulk.config.settings import setting_from_environment
from invoca_bulk.errors import ConfigError


class Database:
    """A PostgreSQL database that holds the journals of several machines. It never shows its password."""

    def __init__(self, url: str) -> None:
        # No variable of this frame keeps the URL: a traceback may show it.
        self._url, url = url, ""
        try:
            parts = urlsplit(self._url)
            port = "" if parts.port is None else f":{parts.port}"
            is_plain = not ("@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1)
        except ValueError:
            is_plain = False
        if not is_plain:
            raise ConfigError(
                "The journal's URL must have the form postgresql://user:password@host:port/database. "
                "In the password, write each of @ / ? # : [ ] % as %40 %2F %3F %23 %3A %5B %5D %25."
            )
        passwords = [parts.password or "", *re.findall(r"password=([^&]*)", parts.query)]
        self._passwords = {spelling for text in passwords for spelling in (text, unquote(text)) if spelling}
        user = f"{parts.username}@" if parts.username else ""
        self._display_url = f"postgresql://{user}{parts.hostname or ''}{port}{parts.path}"

    def reveal(self) -> str:
        """The whole URL, for the driver."""
        return self._url

    @property
    def has_password(self) -> bool:
        """Whether the URL contains a password."""
        return bool(self._passwords)

    def redact(self, text: str) -> str:
        """A text without the password."""
        for password in sorted(self._passwords, key=len, reverse=True):
            text = text.replace(password, "***")
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Database) and self._url == other.reveal()

    def __hash__(self) -> int:
        return hash(self._url)

    def __str__(self) -> str:
        return self._display_url

    def __repr__(self) -> str:
        return f"Database({self._display_url!r})"

    def __reduce__(self) -> str:
        raise TypeError("The URL of a database is not pickled.")


#: Where journals are: a folder of this machine, or a database.
JournalLocation: TypeAlias = Path | Database


def resolve_journal_location(given: str | JournalLocation | None) -> JournalLocation:
    """Where the journals are: as given, from the environment, or in the user's state directory."""
    import platformdirs  # noqa: PLC0415  not needed for `--help`

    location = given or setting_from_environment("journal")
    if isinstance(location, Database):
        return location
    if re.match(r"postgres(ql)?:/", str(location), re.IGNORECASE):
        return Database(str(location))
    if "://" in str(location or ""):
        raise ConfigError("The journal must be a folder, or a URL that begins with postgresql://.")
    return Path(location) if location else platformdirs.user_state_path("invoca-bulk", appauthor=False) / "journal"


def to_env_value(location: JournalLocation) -> str:
    """The value of `INVOCA_JOURNAL` for a location, whatever the current folder is."""
    return location.reveal() if isinstance(location, Database) else str(location.absolute())


def state_dir(location: JournalLocation) -> Path:
    """A folder on this machine for files that belong to the journals."""
    import platformdirs  # noqa: PLC0415  not needed for `--help`

    return location if isinstance(location, Path) else platformdirs.user_state_path("invoca-bulk", appauthor=False)
