"""The networks of a worker: those whose tokens are in its environment."""

from __future__ import annotations

import os

from invoca_bulk.config.journal_location import Database
from invoca_bulk.config.network import Network
from invoca_bulk.config.secrets import TOKEN_ENV_VARIABLE
from invoca_bulk.config.settings import SETTINGS, setting_from_environment
from invoca_bulk.errors import ConfigError
from invoca_bulk.workers.tasks import Assignment

_TOKEN_PREFIX = f"{TOKEN_ENV_VARIABLE}_"
_BASE_URL_PREFIX = f"{SETTINGS['base_url'].env_variable}_"
_NO_TOKEN_MESSAGE = (
    f"There is no token. For network 1234, set {_TOKEN_PREFIX}1234, and one such variable for each other network; or "
    f"set INVOCA_NETWORK_ID and {TOKEN_ENV_VARIABLE} for a single network."
)


def assignments_from_env(database: Database) -> list[Assignment]:
    """Read a worker's assignments from its environment, sorted by network id.

    `INVOCA_API_TOKEN_1234` is the token of network 1234, and `INVOCA_BASE_URL_1234` its base URL (default:
    `INVOCA_BASE_URL`). `INVOCA_NETWORK_ID` with `INVOCA_API_TOKEN` adds a network. A token is sent only to the base URL
    configured here, whatever the journal says.
    """
    tokens = {
        name.removeprefix(_TOKEN_PREFIX): token for name, token in os.environ.items() if name.startswith(_TOKEN_PREFIX)
    }
    network_id = setting_from_environment("network_id")
    if network_id and os.environ.get(TOKEN_ENV_VARIABLE, "").strip():
        tokens.setdefault(str(network_id), os.environ[TOKEN_ENV_VARIABLE])
    if not tokens:
        raise ConfigError(_NO_TOKEN_MESSAGE)
    assignments = []
    for network_id, token in sorted(tokens.items()):
        own_base_url = os.environ.get(f"{_BASE_URL_PREFIX}{network_id}", "").strip()
        base_url = own_base_url or str(setting_from_environment("base_url"))
        network = Network(network_id=network_id, token=token, base_url=base_url)
        assignments.append(Assignment(database=database, network=network))
    return assignments
