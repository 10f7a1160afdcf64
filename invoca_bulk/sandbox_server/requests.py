"""One request as the platform's operations see it, and the answers that refuse one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from invoca_bulk.schema import paths

if TYPE_CHECKING:
    from collections.abc import Mapping

    from invoca_bulk.sandbox_server.platform_model import SandboxNetwork
    from invoca_bulk.sandbox_server.store import Store
    from invoca_bulk.schema.field_types import Json

#: Dotted path of a field to what is wrong with it.
FieldErrors = dict[str, list[str]]

BLANK_MESSAGE = "can't be blank"
TAKEN_MESSAGE = "has already been taken"


class ApiError(Exception):
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


def bad_request(text: str) -> ApiError:
    """400: the version or the JSON is not understood."""
    return ApiError(400, {"message": text})


def invalid_arguments(errors: FieldErrors, extra_body: Mapping[str, Json] | None = None) -> ApiError:
    """403: the arguments are invalid; errors of nested fields are nested. Some answers have the whole object beside."""
    return ApiError(403, {**(extra_body or {}), "errors": _nest_errors(errors)})


def not_found(text: str) -> ApiError:
    """404."""
    return ApiError(404, {"errors": {"class": "RecordNotFound", "invalid_data": f"Could not find {text}"}})


def server_error(handle: int) -> ApiError:
    """500, with the handle that support asks for."""
    text = f"refer to error handle {handle}"
    return ApiError(500, {"errors": {"class": "InternalServiceError", "invalid_data": text}})


def _nest_errors(errors: FieldErrors) -> dict[str, Json]:
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
class ApiRequest:
    """One request, its token and address already accepted.

    Attributes:
        store: the platform's state, whose lock is held.
        network: the network that the address names.
        version: the API version that the address names.
        ids: the address's ids: `advertiser`, `campaign`, `affiliate`, `promo_number`, `id_from_network`.
        uses_own_ids: whether the collection goes by the client's own ids (`promo_numbers_by_id`).
        body: the JSON object that was sent, without a token; empty for GET and DELETE.
        request_number: the number of the request, counted over all requests from 1.
    """

    store: Store
    network: SandboxNetwork
    version: str
    ids: Mapping[str, str]
    uses_own_ids: bool
    body: Mapping[str, Json]
    request_number: int
