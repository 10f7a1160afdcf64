"""The network that a run works on, and where its platform is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from ipaddress import ip_address
from typing import Protocol, runtime_checkable
from urllib.parse import urlsplit

from invoca_bulk.config.secrets import Token, obtain_token, wrap_token
from invoca_bulk.config.settings import SETTINGS, setting_from_environment
from invoca_bulk.errors import ConfigError
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION
from invoca_bulk.wording import option


@dataclass(frozen=True, kw_only=True, init=False)
class Network:
    """The network that a run works on.

    Args:
        network_id: the id of your network. None: taken from `INVOCA_NETWORK_ID`. May be left out where the network has
            a host of its own.
        token: the access token. None: taken from `INVOCA_API_TOKEN`, or asked for without showing what you type.
        base_url: `https://…`; `http://` on this machine only. None: taken from `INVOCA_BASE_URL`, or
            `https://invoca.net`.
        api_version: a date; the rules of the newest version in `API_VERSIONS` that is not later apply. None: taken
            from `INVOCA_API_VERSION`, or 2022-08-01.
        rehearsal: whether this is a sandbox, where nothing costs money and nothing needs to be confirmed.

    Raises:
        ConfigError: one of them is missing or cannot be used.

    Example:
        >>> network = Network(network_id="1234", token="a-token")
        >>> network.base_url
        'https://invoca.net'
    """

    network_id: str = ""  # has a default so that a traceback can show an object that `__init__` refused
    token: Token | str | None = field(default=None, repr=False)
    base_url: str = SETTINGS["base_url"].default
    api_version: str = DEFAULT_API_VERSION
    rehearsal: bool = False

    def __init__(
        self,
        *,
        network_id: str | None = None,
        token: Token | str | None = None,
        base_url: str | None = None,
        api_version: str | None = None,
        rehearsal: bool = False,
    ) -> None:
        # Written by hand: a generated __init__ keeps the token in a variable, which a traceback may show.
        secret = None if token is None else wrap_token(token)
        del token
        if isinstance(secret, ConfigError):
            raise secret
        address = _validate_base_url(_given_or_set("base_url", base_url))
        values = {
            "network_id": _resolve_network_id(network_id, address),
            "base_url": address,
            "api_version": validate_version(_given_or_set("api_version", api_version)),
            "rehearsal": rehearsal,
            "token": secret or obtain_token(),  # last, so that nobody types a token in vain
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def label(self) -> str:
        """The network in a sentence: `network 1234 at https://invoca.net`."""
        return describe_network(self.network_id, self.base_url)

    @property
    def is_test_network(self) -> bool:
        """Whether its numbers are made up: a sandbox, or a platform on this machine."""
        return self.rehearsal or is_loopback(urlsplit(self.base_url).hostname or "")

    @property
    def secret(self) -> Token:
        """The token in its wrapper."""
        assert isinstance(self.token, Token)  # noqa: S101  tells mypy what __init__ did
        return self.token


def describe_network(network_id: str, base_url: str) -> str:
    """A network in a sentence: `network 1234 at https://invoca.net`; without an id `the network at https://…`."""
    return f"network {network_address(network_id, base_url)}" if network_id else f"the network at {base_url}"


def network_address(network_id: str, base_url: str) -> str:
    """A network in a table: `1234 at https://invoca.net`; without an id `https://…`."""
    return f"{network_id} at {base_url}" if network_id else base_url


@runtime_checkable
class SandboxLike(Protocol):
    """What a run can be aimed at instead of a `Network`: a sandbox that is serving."""

    base_url: str
    network_id: str
    token: str


def resolve_network(target: Network | SandboxLike, *, api_version: str = DEFAULT_API_VERSION) -> Network:
    """The network that a run is aimed at. A sandbox speaks every API version, and runs on it are rehearsals."""
    if isinstance(target, Network):
        return target
    return Network(
        base_url=target.base_url,
        network_id=target.network_id,
        token=target.token,
        api_version=api_version,
        rehearsal=True,
    )


def _given_or_set(name: str, value: str | None) -> str:
    """An argument, or else the setting's environment variable or default."""
    if value is None and (value := setting_from_environment(name)) is None:
        variable = SETTINGS[name].env_variable
        raise ConfigError(f"The {name.replace('_', ' ')} is missing. Pass {option(f'{name}=…')} or set {variable}.")
    return str(value)


def validate_version(text: str) -> str:
    """An API version: a date from the first version on; a `ConfigError` for any other text."""
    try:
        is_date = date.fromisoformat(text).isoformat() == text
    except ValueError:
        is_date = False
    if not is_date or text < API_VERSIONS[0]:
        raise ConfigError(
            f"Unknown API version {text!r}. Use a date from {API_VERSIONS[0]} on; "
            f"the API changed at {', '.join(API_VERSIONS)}."
        )
    return text


#: The hosts that serve all networks; the others below them belong to one network each.
_SHARED_HOSTS = frozenset({"invoca.net", "www.invoca.net"})


def has_own_host(base_url: str) -> bool:
    """Whether a base URL names one network, so that paths may leave out its id: `https://NAME.invoca.net`."""
    host = urlsplit(base_url).hostname or ""
    return host not in _SHARED_HOSTS and (host.endswith(".invoca.net") or is_loopback(host))


def _resolve_network_id(network_id: str | None, base_url: str) -> str:
    given = setting_from_environment("network_id") if network_id is None else network_id
    if not given and has_own_host(base_url):
        return ""
    return _validate_network_id(_given_or_set("network_id", network_id))


def _validate_network_id(text: str) -> str:
    if not (text.isascii() and text.strip().isalnum()):
        raise ConfigError(
            f"The network id {text!r} must consist of letters and digits. "
            "Invoca's support or your administrator knows it."
        )
    return text.strip()


#: A host name in ASCII or an address; no password, no backslash, no letter that only looks like another one.
_HOST_PATTERN = re.compile(r"(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]*)?", re.IGNORECASE)


def _validate_base_url(text: str) -> str:
    try:
        parts = urlsplit(text.strip().rstrip("/"))
        extras = parts.path or parts.query or parts.fragment
        is_plain = bool(_HOST_PATTERN.fullmatch(parts.netloc) and parts.hostname and not extras and parts.port != 0)
    except ValueError:
        is_plain = False
    if not is_plain:
        raise ConfigError("The base URL must have the form https://host or https://host:port, with nothing after it.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise ConfigError(
            f"The base URL must start with https:// (http:// would show the token on the way to {parts.hostname})."
        )
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    default_port = {"https": 443, "http": 80}[parts.scheme]
    # One spelling for each platform: journals and their locks are named after it.
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in {None, default_port} else "")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
