"""One table of settings, and the records that carry them.

A default is written here and nowhere else; the command line's flags, the environment variables and the README's table
are made from `SETTINGS`.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import sys
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote, urlsplit

from invoca_bulk.errors import ConfigError
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_ENV_VARIABLE = "INVOCA_API_TOKEN"  # noqa: S105  the variable's name


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: the argument's name; the flag is the same with dashes.
        default: None: there is none (required), or the feature is off.
        unit: of a number; empty when it has none.
        env_variable: the environment variable; empty when there is none.
        help: one sentence.
        minimum: the smallest number that makes sense; None for texts.
        has_flag: whether the command line has a flag for it.
    """

    name: str
    default: Any
    help: str
    unit: str = ""
    env_variable: str = ""
    minimum: float | None = None
    has_flag: bool = True

    @property
    def flag(self) -> str:
        """The command line's flag."""
        return "--" + self.name.replace("_", "-")


SETTINGS: Mapping[str, Setting] = {
    one.name: one
    for one in (
        Setting(
            name="base_url",
            default="https://invoca.net",
            env_variable="INVOCA_BASE_URL",
            help="Where the platform is; networks with a host of their own have https://NAME.invoca.net.",
        ),
        Setting(
            name="network_id",
            default=None,
            env_variable="INVOCA_NETWORK_ID",
            help="The id of your network.",
        ),
        Setting(
            name="api_version",
            default=DEFAULT_API_VERSION,
            env_variable="INVOCA_API_VERSION",
            help=f"The version of the API: {', '.join(API_VERSIONS)}.",
        ),
        Setting(
            name="concurrency",
            default=8,
            minimum=1,
            unit="requests in flight",
            help="How many requests may be under way at once.",
        ),
        Setting(
            name="rate",
            default=None,
            minimum=0.01,
            unit="requests a second",
            help="The most requests to start in a second; without it there is no cap of ours.",
        ),
        Setting(
            name="timeout",
            default=60.0,
            minimum=0.1,
            unit="seconds",
            help="How long to wait for an answer.",
        ),
        Setting(
            name="max_new_numbers",
            default=None,
            minimum=0,
            unit="numbers",
            env_variable="INVOCA_MAX_NEW_NUMBERS",
            help="Refuse a run that would buy more numbers than this.",
        ),
        Setting(
            name="settle",
            default=120.0,
            minimum=0.0,
            unit="seconds",
            env_variable="INVOCA_SETTLE",
            help="How long a request without an answer may still be applied; after that its row is looked up.",
        ),
        Setting(
            name="max_failures",
            default=None,
            unit="rows, or % of them",
            help="Stop once so many rows were not done: 20, or 5%.",
        ),
        Setting(
            name="journal",
            default=None,
            env_variable="INVOCA_JOURNAL",
            help="Where the journals are: a folder, or postgresql://… for several machines; the default is the user's "
            "state directory.",
        ),
        Setting(
            name="lease",
            default=30.0,
            minimum=1.0,
            unit="seconds",
            env_variable="INVOCA_LEASE",
            has_flag=False,
            help="With a journal on PostgreSQL: how long a process may be silent before others take it for dead.",
        ),
    )
}

#: Not for users to set: figures with a reason, in one place.
MAX_LIST_BYTES = 200 * 2**20  # a list of all advertisers of a large network is some tens of MB
MAX_RESPONSE_BYTES = 5 * 2**20  # one object; more is a mistake, or an attack on this machine's memory
LIST_TIMEOUT_FACTOR = 10  # so many times the timeout may a whole list take
CONNECT_TIMEOUT_SECONDS = 10.0  # seconds
IDLE_CONNECTION_SECONDS = 4.0  # seconds: a connection that the server closes just as it is reused costs an outcome
MAX_ATTEMPTS = 6  # of a call that surely did not reach the platform, or may be repeated
MAX_THROTTLED_ATTEMPTS = 15  # of a call that the platform only puts off (429): it is there, and well
INITIAL_BACKOFF_SECONDS = 0.5  # seconds
INITIAL_RATE = 10.0  # requests a second to begin with: gentle, since no limit is published; it grows e-fold a second
SANDBOX_SETTLE_SECONDS = 0.5  # seconds: a sandbox of this process applies a request at once, or never
SANDBOX_INITIAL_RATE = 1000.0  # requests a second to begin with: it has no limit that would have to be found
MAX_BACKOFF_SECONDS = 30.0  # seconds


#: RFC 6750 has none of these in a token; the last two are written in another way in JSON, and would not be found there.
_FORBIDDEN_TOKEN_CHARACTERS = frozenset(' "\\')
_INVALID_TOKEN_MESSAGE = "The token is empty, or holds spaces or characters that no token has. Copy it again."  # noqa: S105  a message
#: Real tokens are much longer; those of a sandbox may be anything.
_MIN_REDACTED_CHARACTERS = 8


class Token:
    """The platform's access token; it shows itself to nobody.

    `repr`, `str`, `format`, comparison errors and pickles never hold it; only `reveal` does.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # A traceback may show every variable of its frames (IPython's %xmode Verbose): none may hold the text.
        self._text, text = text.strip(), ""
        if (
            not self._text.isascii()
            or not self._text.isprintable()
            or {*self._text} & _FORBIDDEN_TOKEN_CHARACTERS
            or not self._text
        ):
            raise ConfigError(_INVALID_TOKEN_MESSAGE)

    def reveal(self) -> str:
        """The token itself, for the header."""
        return self._text

    def redact(self, content: bytes) -> bytes:
        """An answer with the token blotted out, should the platform echo it, escaped as in JSON or addresses too."""
        if len(self._text) < _MIN_REDACTED_CHARACTERS:  # it could be part of any number
            return content
        hidden = content.replace(self._text.encode(), b"***")
        is_escaped = _ESCAPE.search(hidden)  # nearly never; the pattern below is slow
        return re.sub("".join(map(_spellings, self._text)).encode(), b"***", hidden) if is_escaped else hidden

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> str:
        msg = "A token is not pickled."
        raise TypeError(msg)


_ESCAPE = re.compile(rb"\\u00|\\/|%[2-7]")


def _spellings(char: str) -> str:
    r"""A pattern for the ways to write a character of the token: `/`, `\/`, `\u002f` and `%2f`."""
    code = f"{ord(char):02x}"
    return rf"(?:\\?{re.escape(char)}|(?i:\\u00{code}|%{code}))"


def _wrap_token(token: Token | str) -> Token | ConfigError:
    """A token, or why it is none: to be raised where no variable holds the text any more."""
    try:
        return token if isinstance(token, Token) else Token(token)
    except ConfigError as refused:
        return refused.with_traceback(None)


def _obtain_token() -> Token:
    """The token from the environment, or else from somebody who can be asked, who types it unseen.

    Raises:
        ConfigError: there is none, or it cannot be one.
    """
    if os.environ.get(TOKEN_ENV_VARIABLE, "").strip():
        return Token(os.environ[TOKEN_ENV_VARIABLE])
    if can_prompt():
        with contextlib.suppress(EOFError, NotImplementedError):  # a notebook that is run by a program has no input
            return Token(getpass.getpass("Token of the platform's API: "))
    raise ConfigError(
        f"There is no token. Set the environment variable {TOKEN_ENV_VARIABLE} before Python (or Jupyter) starts, or "
        "run this where it can be typed in."
    )


@dataclass(frozen=True, kw_only=True, init=False)
class Network:
    """The network that a run works on.

    Attributes:
        network_id: the network's id, a text.
        token: the access token; a str is wrapped. None: it is taken from `INVOCA_API_TOKEN`, or else asked for, unseen.
        base_url: `https://…`; `http://` on loopback only.
        api_version: one of `API_VERSIONS`.
        rehearsal: whether this is a sandbox, where nothing costs money and nothing needs to be confirmed.

    Raises:
        ConfigError: one of them cannot be used.
    """

    network_id: str = ""  # so that one that was refused can be shown in a traceback; `__init__` asks for it
    token: Token | str | None = field(default=None, repr=False)
    base_url: str = SETTINGS["base_url"].default
    api_version: str = DEFAULT_API_VERSION
    rehearsal: bool = False

    def __init__(
        self,
        *,
        network_id: str,
        token: Token | str | None = None,
        base_url: str = base_url,
        api_version: str = api_version,
        rehearsal: bool = rehearsal,
    ) -> None:
        # By hand, since one that is generated keeps the text in a variable, which a traceback may show.
        secret = None if token is None else _wrap_token(token)
        del token
        if isinstance(secret, ConfigError):
            raise secret
        values = {
            "network_id": _validate_network_id(str(network_id)),
            "base_url": _validate_base_url(base_url),
            "api_version": _validate_version(api_version),
            "rehearsal": rehearsal,
            "token": secret or _obtain_token(),  # the last one: nobody is asked in vain
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def is_test_network(self) -> bool:
        """Whether its numbers are not real ones: a platform on this machine."""
        return self.rehearsal or is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def secret(self) -> Token:
        """The token, in its wrapping."""
        assert isinstance(self.token, Token)  # noqa: S101  tells mypy what __init__ did
        return self.token


def _validate_version(text: str) -> str:
    if text not in API_VERSIONS:
        msg = f"The API version {text!r} is not known. Choose one of {', '.join(API_VERSIONS)}."
        raise ConfigError(msg)
    return text


def _validate_network_id(text: str) -> str:
    if not (text.isascii() and text.strip().isalnum()):
        msg = f"The network id {text!r} is not made of letters and digits. Find it in the platform's API settings."
        raise ConfigError(msg)
    return text.strip()


#: A name in ASCII or an address; no password, no backslash, no letter that only looks like another one.
_HOST_PATTERN = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)


def _validate_base_url(text: str) -> str:
    try:
        parts = urlsplit(text.strip().rstrip("/"))
        extras = parts.path or parts.query or parts.fragment
        plain = bool(_HOST_PATTERN.fullmatch(parts.netloc) and parts.hostname and not extras and parts.port != 0)
    except ValueError:
        plain = False
    if not plain:
        msg = "The base URL is not of the form https://host or https://host:port. Leave out everything else."
        raise ConfigError(msg)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        msg = f"The base URL must start with https:// (http:// would show the token on the way to {parts.hostname})."
        raise ConfigError(msg)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}[parts.scheme]
    # One spelling for one platform: journals and their locks are named after it.
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, usual} else "")


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether somebody sits at a stream; a closed one is None."""
    return stream is not None and not stream.closed and stream.isatty()


def is_in_kernel() -> bool:
    """Whether this runs in a notebook: its output is no terminal, and somebody looks all the same."""
    return _jupyter_kernel() is not None


def can_prompt() -> bool:
    """Whether somebody can type an answer: at a terminal, or in a notebook that is not run by a program."""
    kernel = _jupyter_kernel()
    return is_terminal(sys.stdin) if kernel is None else bool(getattr(kernel, "_allow_stdin", True))


def _jupyter_kernel() -> object:
    """Jupyter's kernel, if this process is one; where IPython is not loaded it is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def setting_from_environment(name: str) -> Any:  # noqa: ANN401  a setting's value is of its own type
    """A setting's value from its environment variable, else its default."""
    setting = SETTINGS[name]
    text = os.environ.get(setting.env_variable, "") if setting.env_variable else ""
    return text.strip() or setting.default


def parse_number(name: str, text: str, number_type: type[int | float]) -> float:
    """A number from an environment variable.

    Raises:
        ConfigError: it is none.
    """
    try:
        return number_type(text)
    except ValueError:
        what = "a whole number" if number_type is int else "a number"
        msg = f"{SETTINGS[name].env_variable} is {text!r}, which is not {what}. Correct it, or unset it."
        raise ConfigError(msg) from None


def validate_number(name: str, value: float | None) -> float | None:
    """A number that is not below its setting's minimum; None passes.

    Raises:
        ConfigError: it is.
    """
    setting = SETTINGS[name]
    if value is not None and setting.minimum is not None and not value >= setting.minimum:
        name = setting.flag if setting.has_flag else setting.env_variable
        msg = f"{name} is {value:g}, but it must be at least {setting.minimum:g} {setting.unit}."
        raise ConfigError(msg)
    return value


def lease_seconds() -> float:
    """How long a process of a shared journal may be silent.

    Raises:
        ConfigError: the environment variable is no such number.
    """
    given = setting_from_environment("lease")
    seconds = parse_number("lease", given, float) if isinstance(given, str) else given
    return float(validate_number("lease", seconds) or 0)


class Database:
    """A PostgreSQL database that holds the journals of several machines; it shows its password to nobody.

    Args:
        url: `postgresql://…`, as libpq takes it.

    Raises:
        ConfigError: it cannot be one.
    """

    def __init__(self, url: str) -> None:
        # Not in a variable of the caller's frame, which a traceback may show.
        self._url, url = url, ""
        try:
            parts = urlsplit(self._url)
            where = "" if parts.port is None else f":{parts.port}"
            plain = not ("@" in parts.path + parts.query + parts.fragment or parts.netloc.count("@") > 1)
        except ValueError:
            plain = False
        if not plain:
            msg = (
                "The journal's address is not of the form postgresql://user:password@host:port/database. Correct it; "
                "in a password write each of @ / ? # : [ ] % as %40 %2F %3F %23 %3A %5B %5D %25."
            )
            raise ConfigError(msg)
        given = [parts.password or "", *re.findall(r"password=([^&]*)", parts.query)]
        self._passwords = {one for text in given for one in (text, unquote(text)) if one}
        user = f"{parts.username}@" if parts.username else ""
        self._display_url = f"postgresql://{user}{parts.hostname or ''}{where}{parts.path}"

    def reveal(self) -> str:
        """The whole address, for the driver."""
        return self._url

    @property
    def has_password(self) -> bool:
        """Whether the address holds a password."""
        return bool(self._passwords)

    def redact(self, text: str) -> str:
        """A text that may hold the password, without it."""
        for one in sorted(self._passwords, key=len, reverse=True):
            text = text.replace(one, "***")
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
        msg = "A database's address is not pickled."
        raise TypeError(msg)


#: Where journals are: a folder of this machine, or a database.
JournalLocation: TypeAlias = Path | Database


def resolve_journal_location(given: str | JournalLocation | None) -> JournalLocation:
    """Where the journals are: as given, from the environment, or in the user's state directory."""
    import platformdirs  # noqa: PLC0415  not needed for `--help`

    where = given or setting_from_environment("journal")
    if isinstance(where, Database):
        return where
    if re.match(r"postgres(ql)?:/", str(where), re.IGNORECASE):
        return Database(str(where))
    if "://" in str(where or ""):
        msg = "The journal is neither a folder nor at an address that begins with postgresql://. Correct it."
        raise ConfigError(msg)
    return Path(where) if where else platformdirs.user_state_path("invoca-bulk", appauthor=False) / "journal"


def to_env_value(place: JournalLocation) -> str:
    """What the environment variable of the journal has to be for a place, in whatever folder it is read."""
    return place.reveal() if isinstance(place, Database) else str(place.absolute())


def state_dir(place: JournalLocation) -> Path:
    """A folder of this machine for what belongs to journals: theirs, or the user's own."""
    import platformdirs  # noqa: PLC0415  as above

    return place if isinstance(place, Path) else platformdirs.user_state_path("invoca-bulk", appauthor=False)
