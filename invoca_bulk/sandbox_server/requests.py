"""One request as the platform's operations see it, and the error responses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from invoca_bulk.sandbox_server.platform_model import SandboxNetwork
from invoca_bulk.sandbox_server.store import Store
from invoca_bulk.schema import paths
from invoca_bulk.schema.field_types import Json

#: Dotted path of a field to error texts.
FieldErrors = dict[str, list[str]]

BLANK_MESSAGE = "can't be blank"
TAKEN_MESSAGE = "has already been taken"


class ApiError(Exception):
    """A response other than success. It never leaves the sandbox."""

    def __init__(self, status: HTTPStatus, body: Mapping[str, Json], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def bad_request(text: str) -> ApiError:
    """400: the API version or the JSON is not valid."""
    return ApiError(HTTPStatus.BAD_REQUEST, {"message": text})


def unauthorized() -> ApiError:
    """401: the token is missing or wrong."""
    return ApiError(HTTPStatus.UNAUTHORIZED, {"message": "The token is missing or not accepted."})


def invalid_arguments(errors: FieldErrors, extra_body: Mapping[str, Json] | None = None) -> ApiError:
    """403: the arguments are invalid. Errors of nested fields are nested; some responses include the whole object."""
    return ApiError(HTTPStatus.FORBIDDEN, {**(extra_body or {}), "errors": _nest_errors(errors)})


def not_found(text: str) -> ApiError:
    """404: the address or the object does not exist."""
    invalid_data = f"Could not find {text}"
    return ApiError(HTTPStatus.NOT_FOUND, {"errors": {"class": "RecordNotFound", "invalid_data": invalid_data}})


def server_error(handle: int) -> ApiError:
    """500, with the error handle that support asks for."""
    errors = {"class": "InternalServiceError", "invalid_data": f"refer to error handle {handle}"}
    return ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, {"errors": errors})


def _nest_errors(errors: FieldErrors) -> dict[str, Json]:
    """`{"users.2.role": texts}` to `{"users": [{}, {"role": texts}]}`; errors of a whole record are at `base`."""
    return {name: _by_position(node) for name, node in _nest_by_number(errors).items()}


def _by_position(node: Json) -> Json:
    """Numbered records as an array, with an empty object for each that has no errors."""
    if not isinstance(node, dict):
        return node
    children = {name: _by_position(child) for name, child in node.items()}
    if not children or not all(name.isdecimal() for name in children):
        return children
    return [children.get(str(number), {}) for number in range(1, max(map(int, children)) + 1)]


def _nest_by_number(errors: FieldErrors) -> dict[str, Json]:
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
    """One request whose token and address are accepted."""

    store: Store  # its lock is held
    network: SandboxNetwork
    version: str
    ids: Mapping[str, str]  # in the address: `advertiser`, `campaign`, `affiliate`, `promo_number`, `id_from_network`
    uses_own_ids: bool  # whether the collection is addressed by the client's own ids (`promo_numbers_by_id`)
    body: Mapping[str, Json]  # the JSON object of the request, without a token; empty for GET and DELETE
    request_number: int  # from 1
    outcome: dict[str, bool] = field(default_factory=dict)  # `existed`: a POST has updated an existing object

    @property
    def existed(self) -> bool:
        """Whether a POST has updated an existing object."""
        return self.outcome.get("existed", False)
