"""One table of settings, and the records that carry them.

A default is written here and nowhere else; the command line's flags, the environment variables and the README's table
are made from `SETTINGS`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN_VARIABLE = "INVOCA_API_TOKEN"  # noqa: S105  the variable's name


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting.

    Attributes:
        name: the argument's name; the flag is the same with dashes.
        default: None: there is none (required), or the feature is off.
        unit: of a number; empty when it has none.
        variable: the environment variable; empty when there is none.
        help: one sentence.
        minimum: the smallest number that makes sense; None for texts.
    """

    name: str
    default: Any
    help: str
    unit: str = ""
    variable: str = ""
    minimum: float | None = None

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
            variable="INVOCA_BASE_URL",
            help="Where the platform is; networks with a host of their own have https://NAME.invoca.net.",
        ),
        Setting(
            name="network_id",
            default=None,
            variable="INVOCA_NETWORK_ID",
            help="The id of your network.",
        ),
        Setting(
            name="api_version",
            default=DEFAULT_API_VERSION,
            variable="INVOCA_API_VERSION",
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
            variable="INVOCA_MAX_NEW_NUMBERS",
            help="Refuse a run that would buy more numbers than this.",
        ),
        Setting(
            name="settle",
            default=120.0,
            minimum=0.0,
            unit="seconds",
            variable="INVOCA_SETTLE",
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
            variable="INVOCA_JOURNAL",
            help="The folder of the journals; the default is the user's state directory.",
        ),
    )
}

#: Not for users to set: figures with a reason, in one place.
MAX_LIST_BYTES = 200 * 2**20  # a list of all advertisers of a large network is some tens of MB
MAX_ANSWER_BYTES = 5 * 2**20  # one object; more is a mistake, or an attack on this machine's memory
LIST_TIME = 10  # so many times the timeout may a whole list take
CONNECT_TIMEOUT = 10.0  # seconds
IDLE_CONNECTION = 4.0  # seconds: a connection that the server closes just as it is reused costs an outcome
MAX_ATTEMPTS = 6  # of a call that surely did not reach the platform, or may be repeated
MAX_REFUSALS = 15  # of a call that the platform only puts off (429): it is there, and well
FIRST_BACKOFF = 0.5  # seconds
FIRST_RATE = 10.0  # requests a second to begin with: gentle, since no limit is published; it grows e-fold a second
REHEARSAL_SETTLE = 0.5  # seconds: a sandbox of this process applies a request at once, or never
REHEARSAL_RATE = 1000.0  # requests a second to begin with: it has no limit that would have to be found
MAX_BACKOFF = 30.0  # seconds


#: RFC 6750 has none of these in a token; the last two are written in another way in JSON, and would not be found there.
_IN_NO_TOKEN = frozenset(' "\\')
#: Real tokens are much longer; those of a sandbox may be anything.
_HIDDEN = 8


class Token:
    """The platform's access token; it shows itself to nobody.

    `repr`, `str`, `format`, comparison errors and pickles never hold it; only `reveal` does.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        text = text.strip()
        if not text or not text.isascii() or not text.isprintable() or set(text) & _IN_NO_TOKEN:
            msg = "The token is empty, or holds spaces or characters that no token has. Copy it again."
            raise SettingInvalid(msg)
        self._text = text

    def reveal(self) -> str:
        """The token itself, for the header."""
        return self._text

    def hide(self, content: bytes) -> bytes:
        """An answer with the token blotted out, should the platform echo it, escaped as in JSON or addresses too."""
        if len(self._text) < _HIDDEN:  # it could be part of any number
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


@dataclass(frozen=True, kw_only=True)
class Network:
    """The network that a run works on.

    Attributes:
        network_id: the network's id, a text.
        token: the access token; a str is wrapped.
        base_url: `https://…`; `http://` on loopback only.
        api_version: one of `API_VERSIONS`.
        rehearsal: whether this is a sandbox, where nothing costs money and nothing needs to be confirmed.

    Raises:
        SettingInvalid: one of them cannot be used.
    """

    network_id: str
    token: Token | str = field(repr=False)
    base_url: str = SETTINGS["base_url"].default
    api_version: str = DEFAULT_API_VERSION
    rehearsal: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.token, str):
            object.__setattr__(self, "token", Token(self.token))
        object.__setattr__(self, "network_id", _checked_network_id(str(self.network_id)))
        object.__setattr__(self, "base_url", _checked_base_url(self.base_url))
        if self.api_version not in API_VERSIONS:
            msg = f"The API version {self.api_version!r} is not known. Choose one of {', '.join(API_VERSIONS)}."
            raise SettingInvalid(msg)

    @property
    def made_up(self) -> bool:
        """Whether its numbers are not real ones: a platform on this machine."""
        return self.rehearsal or is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def secret(self) -> Token:
        """The token, in its wrapping."""
        assert isinstance(self.token, Token)  # noqa: S101  tells mypy what __post_init__ did
        return self.token


def _checked_network_id(text: str) -> str:
    if not (text.isascii() and text.strip().isalnum()):
        msg = f"The network id {text!r} is not made of letters and digits. Find it in the platform's API settings."
        raise SettingInvalid(msg)
    return text.strip()


#: A name in ASCII or an address; no password, no backslash, no letter that only looks like another one.
_PLACE = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)


def _checked_base_url(text: str) -> str:
    try:
        parts = urlsplit(text.strip().rstrip("/"))
        extras = parts.path or parts.query or parts.fragment
        plain = bool(_PLACE.fullmatch(parts.netloc) and parts.hostname and not extras and parts.port != 0)
    except ValueError:
        plain = False
    if not plain:
        msg = "The base URL is not of the form https://host or https://host:port. Leave out everything else."
        raise SettingInvalid(msg)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        msg = f"The base URL must start with https:// (http:// would show the token on the way to {parts.hostname})."
        raise SettingInvalid(msg)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}[parts.scheme]
    # One spelling for one platform: journals and their locks are named after it.
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, usual} else "")


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether somebody sits at a stream; a closed one is None."""
    return stream is not None and not stream.closed and stream.isatty()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def from_environment(name: str) -> Any:  # noqa: ANN401  a setting's value is of its own type
    """A setting's value from its environment variable, else its default."""
    setting = SETTINGS[name]
    text = os.environ.get(setting.variable, "") if setting.variable else ""
    return text.strip() or setting.default


def number_of(name: str, text: str, kind: type[int | float]) -> float:
    """A number from an environment variable.

    Raises:
        SettingInvalid: it is none.
    """
    try:
        return kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        msg = f"{SETTINGS[name].variable} is {text!r}, which is not {what}. Correct it, or unset it."
        raise SettingInvalid(msg) from None


def checked_number(name: str, value: float | None) -> float | None:
    """A number that is not below its setting's minimum; None passes.

    Raises:
        SettingInvalid: it is.
    """
    setting = SETTINGS[name]
    if value is not None and setting.minimum is not None and not value >= setting.minimum:
        msg = f"{setting.flag} is {value:g}, but it must be at least {setting.minimum:g} {setting.unit}."
        raise SettingInvalid(msg)
    return value


def journal_folder(given: str | Path | None) -> Path:
    """The folder of the journals: as given, from the environment, or in the user's state directory."""
    import platformdirs  # noqa: PLC0415  not needed for `--help`

    text = given or from_environment("journal")
    return Path(text) if text else platformdirs.user_state_path("invoca-bulk", appauthor=False) / "journal"
