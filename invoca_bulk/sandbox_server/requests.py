"""One request as the platform's operations see it, and the answers that refuse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.schema import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.sandbox_server.platform_model import Network
    from invoca_bulk.sandbox_server.store import Store
    from invoca_bulk.schema.field_types import Json

#: Dotted path of a field to what is wrong with it.
Errors = dict[str, list[str]]

BLANK = "can't be blank"
TAKEN = "has already been taken"


class Refusal(Exception):
    """An answer other than success. It never leaves the sandbox.

    Attributes:
        status: the HTTP status.
        body: the JSON object of the answer.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, body: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def not_understood(text: str) -> Refusal:
    """400: the version or the JSON is not understood."""
    return Refusal(400, {"message": text})


def invalid(errors: Errors, beside: Mapping[str, Json] | None = None) -> Refusal:
    """403: the arguments are invalid; errors of nested fields are nested. Some answers have the whole object beside."""
    return Refusal(403, {**(beside or {}), "errors": _nested(errors)})


def not_found(text: str) -> Refusal:
    """404."""
    return Refusal(404, {"errors": {"class": "RecordNotFound", "invalid_data": f"Could not find {text}"}})


def crashed(handle: int) -> Refusal:
    """500, with the handle that support asks for."""
    text = f"refer to error handle {handle}"
    return Refusal(500, {"errors": {"class": "InternalServiceError", "invalid_data": text}})


def _nested(errors: Errors) -> dict[str, Json]:
    """`{"users.2.role": texts}` to `{"users": {"2": {"role": texts}}}`; an error of a whole record stands at `base`."""
    tree: dict[str, Json] = {}
    for path, texts in sorted(errors.items(), key=lambda item: -item[0].count(".")):
        *parents, leaf = paths.split(path)
        node = tree
        for part in parents:
            node = node.setdefault(part, {})
        if isinstance(node.get(leaf), dict):
            node, leaf = node[leaf], "base"
        node[leaf] = texts
    return tree


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, its token and address already accepted.

    Attributes:
        store: the platform's state, whose lock is held.
        network: the network that the address names.
        version: the API version that the address names.
        ids: the address's ids: `advertiser`, `campaign`, `affiliate`, `promo_number`, `id_from_network`.
        own_ids: whether the collection goes by the client's own ids (`promo_numbers_by_id`).
        body: the JSON object that was sent, without a token; empty for GET and DELETE.
        sequence: the number of the request, counted over all requests from 1.
    """

    store: Store
    network: Network
    version: str
    ids: Mapping[str, str]
    own_ids: bool
    body: Mapping[str, Json]
    sequence: int
