"""One table of settings.

A default is written here and nowhere else; the command line's flags, the environment variables and the manual's table
are made from `SETTINGS`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from invoca_bulk import wording
from invoca_bulk.errors import ConfigError
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting."""

    name: str  # the argument's name; the flag is the same with dashes
    default: Any  # None: required, or the feature is off
    help: str  # one sentence
    unit: str = ""  # of a number
    env_variable: str = ""  # empty: there is none
    minimum: float | None = None  # the smallest valid number; None for texts
    has_flag: bool = True  # whether the command line has a flag for it

    @property
    def flag(self) -> str:
        """The command line's flag."""
        return "--" + self.name.replace("_", "-")


SETTINGS: Mapping[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            name="base_url",
            default="https://invoca.net",
            env_variable="INVOCA_BASE_URL",
            help="The platform's address; some networks have their own: https://NAME.invoca.net.",
        ),
        Setting(name="network_id", default=None, env_variable="INVOCA_NETWORK_ID", help="The id of your network."),
        Setting(
            name="api_version",
            default=DEFAULT_API_VERSION,
            env_variable="INVOCA_API_VERSION",
            help=f"API version, a date; the API changed at {', '.join(API_VERSIONS)}.",
        ),
        Setting(
            name="concurrency",
            default=8,
            minimum=1,
            unit="requests",
            help="Maximum number of requests in flight.",
        ),
        Setting(
            name="rate",
            default=None,
            minimum=0.01,
            unit="requests a second",
            help="Maximum requests per second (default: no client-side limit).",
        ),
        Setting(name="timeout", default=60.0, minimum=0.1, unit="seconds", help="How long to wait for a response."),
        Setting(
            name="max_new_numbers",
            default=None,
            minimum=0,
            unit="numbers",
            env_variable="INVOCA_MAX_NEW_NUMBERS",
            help="Refuse to run a sheet that would buy more numbers than this.",
        ),
        Setting(
            name="settle",
            default=120.0,
            minimum=0.0,
            unit="seconds",
            env_variable="INVOCA_SETTLE",
            help="How long to wait before looking up a request that got no response.",
        ),
        Setting(
            name="max_failures",
            default=None,
            unit="requests, or % of them",
            help="Stop after this many failed requests, such as 20 or 5%.",
        ),
        Setting(
            name="journal",
            default=None,
            env_variable="INVOCA_JOURNAL",
            help="Where the journals are: a folder, or postgresql://… to share them between machines (default: your "
            "user state directory).",
        ),
        Setting(
            name="lease",
            default=30.0,
            minimum=1.0,
            unit="seconds",
            env_variable="INVOCA_LEASE",
            has_flag=False,
            help="With a journal on PostgreSQL: how long a process may show no sign of life before it counts as dead.",
        ),
    )
}

#: Constants that users cannot set, each with its reason.
MAX_LIST_BYTES = 200 * 2**20  # a list of all advertisers of a large network is some tens of MB
MAX_LIST_PAGES = 10_000  # more are a list without an end
MAX_RESPONSE_BYTES = 5 * 2**20  # one object; more is a mistake, or an attack on this machine's memory
LIST_TIMEOUT_FACTOR = 10  # a whole list may take this many times the timeout
CONNECT_TIMEOUT_SECONDS = 10.0
IDLE_CONNECTION_SECONDS = 4.0  # below what servers allow: one closed just as it is reused leaves a row in doubt
MAX_ATTEMPTS = 6  # of a request that did not reach the platform, or may be repeated
MAX_THROTTLED_ATTEMPTS = 15  # of a request that the platform defers (429): it is up, so more attempts make sense
INITIAL_BACKOFF_SECONDS = 0.5
SANDBOX_SETTLE_SECONDS = 0.5  # a sandbox applies a request at once, or never
MAX_BACKOFF_SECONDS = 30.0


def setting_from_environment(name: str) -> Any:  # noqa: ANN401  a setting's value has its own type
    """A setting's value from its environment variable, else its default."""
    setting = SETTINGS[name]
    text = os.environ.get(setting.env_variable, "") if setting.env_variable else ""
    return text.strip() or setting.default


def parse_number(name: str, text: str, number_type: type[int | float]) -> float:
    """The number in an environment variable; a ConfigError names the variable."""
    try:
        return number_type(text)
    except ValueError:
        variable = SETTINGS[name].env_variable
        expected = "a whole number" if number_type is int else "a number"
        raise ConfigError(f"{variable} is {text!r}, which is not {expected}. Correct it, or unset it.") from None


def validate_number(name: str, value: float | None) -> float | None:
    """The value, which may be None; a ConfigError if it is below its setting's minimum."""
    setting = SETTINGS[name]
    if value is not None and setting.minimum is not None and not value >= setting.minimum:
        label = wording.setting(name) if setting.has_flag else setting.env_variable
        msg = f"{label} is {value:g}, but the minimum is {setting.minimum:g}."
        raise ConfigError(msg)
    return value


def lease_seconds() -> float:
    """Seconds without a sign of life after which a process of a shared journal counts as dead."""
    value = setting_from_environment("lease")
    seconds = parse_number("lease", value, float) if isinstance(value, str) else value
    return float(validate_number("lease", seconds) or 0)
