"""Which networks a worker works for: those whose tokens it has."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from invoca_bulk.config.settings import SETTINGS, TOKEN_VARIABLE, Network, from_environment
from invoca_bulk.errors import SettingInvalid
from invoca_bulk.workers.tasks import Post

if TYPE_CHECKING:
    from invoca_bulk.config.settings import Database

_OF_ONE = f"{TOKEN_VARIABLE}_"
_BASE_URL = f"{SETTINGS['base_url'].variable}_"
_NONE = (
    f"There is no token. Set {_OF_ONE}1234 for the network 1234, one such variable for each network; or "
    f"INVOCA_NETWORK_ID and {TOKEN_VARIABLE} for one network."
)


def posts(database: Database) -> list[Post]:
    """Where a worker works, from its environment.

    `INVOCA_API_TOKEN_1234` is the token of network 1234, and `INVOCA_BASE_URL_1234` says where that is, if it is not
    where the others are (`INVOCA_BASE_URL`). `INVOCA_NETWORK_ID` with `INVOCA_API_TOKEN` is one more. A token goes
    nowhere but to the address that stands here, whatever the journal says.

    Raises:
        SettingInvalid: there is no token, or one that cannot be used.
    """
    tokens = {name.removeprefix(_OF_ONE): text for name, text in os.environ.items() if name.startswith(_OF_ONE)}
    one = from_environment("network_id")
    if one and os.environ.get(TOKEN_VARIABLE, "").strip():
        tokens.setdefault(str(one), os.environ[TOKEN_VARIABLE])
    if not tokens:
        raise SettingInvalid(_NONE)
    return [
        Post(database=database, network=Network(network_id=network_id, token=token, base_url=_base_url(network_id)))
        for network_id, token in sorted(tokens.items())
    ]


def _base_url(network_id: str) -> str:
    return os.environ.get(f"{_BASE_URL}{network_id}", "").strip() or str(from_environment("base_url"))
