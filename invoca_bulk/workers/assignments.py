"""Which networks a worker works for: those whose tokens it has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import SETTINGS, TOKEN_ENV_VARIABLE, Network, setting_from_environment
from invoca_bulk.errors import ConfigError
from invoca_bulk.workers.tasks import Assignment

if TYPE_CHECKING:
    from invoca_bulk.config.settings import Database

_TOKEN_PREFIX = f"{TOKEN_ENV_VARIABLE}_"
_BASE_URL_PREFIX = f"{SETTINGS['base_url'].env_variable}_"
_NO_TOKEN_MESSAGE = (
    f"There is no token. Set {_TOKEN_PREFIX}1234 for the network 1234, one such variable for each network; or "
    f"INVOCA_NETWORK_ID and {TOKEN_ENV_VARIABLE} for one network."
)


def assignments_from_env(database: Database) -> list[Assignment]:
    """Where a worker works, from its environment.

    `INVOCA_API_TOKEN_1234` is the token of network 1234, and `INVOCA_BASE_URL_1234` says where that is, if it is not
    where the others are (`INVOCA_BASE_URL`). `INVOCA_NETWORK_ID` with `INVOCA_API_TOKEN` is one more. A token goes
    nowhere but to the address that stands here, whatever the journal says.

    Raises:
        ConfigError: there is no token, or one that cannot be used.
    """
    tokens = {
        name.removeprefix(_TOKEN_PREFIX): text for name, text in os.environ.items() if name.startswith(_TOKEN_PREFIX)
    }
    one = setting_from_environment("network_id")
    if one and os.environ.get(TOKEN_ENV_VARIABLE, "").strip():
        tokens.setdefault(str(one), os.environ[TOKEN_ENV_VARIABLE])
    if not tokens:
        raise ConfigError(_NO_TOKEN_MESSAGE)
    return [
        Assignment(
            database=database, network=Network(network_id=network_id, token=token, base_url=_base_url(network_id))
        )
        for network_id, token in sorted(tokens.items())
    ]


def _base_url(network_id: str) -> str:
    return os.environ.get(f"{_BASE_URL_PREFIX}{network_id}", "").strip() or str(setting_from_environment("base_url"))
