"""The platform's addresses, verbs and statuses, transcribed by hand from its documentation, as an ASGI application.

Not derived from the table of fields: where both agree, two people have read the documentation.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from invoca_bulk.sandbox_server import advertisers, promo_numbers
from invoca_bulk.sandbox_server.requests import ApiError, ApiRequest, bad_request, not_found, server_error
from invoca_bulk.schema.field_types import Json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from invoca_bulk.sandbox_server.platform_model import SandboxNetwork
    from invoca_bulk.sandbox_server.store import Store

VERSIONS = ("2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01")
_SUFFIX = ".json"
_LOG = logging.getLogger(__name__)

Handlers = Mapping[str, tuple[int, Callable[[ApiRequest], Json]]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One address below the network.

    Attributes:
        segments: its parts; those that start with `:` are ids.
        handlers: method to the status of success and to what is done.
        since: first API version that has it.
        uses_own_ids: whether its numbers go by the client's own ids.
    """

    segments: tuple[str, ...]
    handlers: Handlers
    since: str = VERSIONS[0]
    uses_own_ids: bool = False

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The ids of an address, or None when it is another path's."""
        if len(parts) != len(self.segments):
            return None
        ids = {}
        for wanted, part in zip(self.segments, parts, strict=True):
            if wanted.startswith(":") and part:
                ids[wanted[1:]] = part
            elif wanted != part:
                return None
        return ids


_ADVERTISER = "advertisers/:advertiser"
_CAMPAIGN = f"{_ADVERTISER}/advertiser_campaigns/:campaign"
_AFFILIATE = f"{_CAMPAIGN}/affiliates/:affiliate/affiliate_campaigns"

_ALL_ADVERTISERS: Handlers = {"GET": (200, advertisers.read_all), "POST": (201, advertisers.create)}
_ONE_ADVERTISER: Handlers = {
    "GET": (200, advertisers.read),
    "PUT": (200, advertisers.update),
    "DELETE": (200, advertisers.delete),
}
_ALL_NUMBERS: Handlers = {"GET": (200, promo_numbers.read_all), "POST": (201, promo_numbers.create)}
_ONE_NUMBER: Handlers = {
    "GET": (200, promo_numbers.read),
    "PUT": (200, promo_numbers.update),
    "DELETE": (200, promo_numbers.delete),
}


def _route(address: str, handlers: Handlers, since: str = VERSIONS[0], *, uses_own_ids: bool = False) -> Route:
    return Route(segments=tuple(address.split("/")), handlers=handlers, since=since, uses_own_ids=uses_own_ids)


ROUTES = (
    _route("advertisers", _ALL_ADVERTISERS),
    _route(_ADVERTISER, _ONE_ADVERTISER),
    _route(f"{_CAMPAIGN}/promo_numbers", _ALL_NUMBERS),
    _route(f"{_CAMPAIGN}/promo_numbers/:promo_number", _ONE_NUMBER),
    _route(f"{_CAMPAIGN}/promo_numbers_by_id", _ALL_NUMBERS, "2018-05-01", uses_own_ids=True),
    _route(f"{_CAMPAIGN}/promo_numbers_by_id/:id_from_network", _ONE_NUMBER, "2018-05-01", uses_own_ids=True),
    _route(f"{_AFFILIATE}/promo_numbers", _ALL_NUMBERS),
    _route(f"{_AFFILIATE}/promo_numbers/:promo_number", _ONE_NUMBER),
    _route(f"{_AFFILIATE}/promo_numbers_by_id", _ALL_NUMBERS, "2018-05-01", uses_own_ids=True),
    _route(f"{_AFFILIATE}/promo_numbers_by_id/:id_from_network", _ONE_NUMBER, "2018-05-01", uses_own_ids=True),
)


class Platform:
    """The platform as an ASGI application.

    Args:
        store: its state.
        token: the token that it accepts.
        latency: how long each answer takes, in seconds.
    """

    def __init__(self, store: Store, *, token: str, latency: float = 0.0) -> None:
        self._store = store
        self._token = token
        self._latency = latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            sent = await request.body()
        except ClientDisconnect:
            return
        response = self._respond(request, sent)
        # After the work, not before it: a client that gives up meanwhile has bought its number, as in reality.
        await asyncio.sleep(self._latency)
        await response(scope, receive, send)

    def _respond(self, request: Request, sent: bytes) -> Response:
        with self._store.lock:
            self._store.request_count += 1
            try:
                status, answer = self._handle(request, sent)
            except ApiError as refusal:
                return _json_response(refusal.status, refusal.body, refusal.headers)
            except Exception:  # noqa: BLE001  the platform answers 500 to whatever goes wrong inside it
                return _server_error_response()
            return _json_response(status, answer)

    def _handle(self, request: Request, sent: bytes) -> tuple[int, Json]:
        version, network_id, parts = _parse_address(request.scope["raw_path"])
        body = _parse_body(request.method, sent, authorized="authorization" in request.headers)
        self._authorize(request, body.pop("oauth_token", None))
        network = self._network(network_id)
        path, ids = _match_route(parts, version)
        status, operation = _find_handler(path, request.method)
        call = ApiRequest(
            store=self._store,
            network=network,
            version=version,
            ids=ids,
            uses_own_ids=path.uses_own_ids,
            body=body,
            request_number=self._store.request_count,
        )
        return status, operation(call)

    def _authorize(self, request: Request, from_body: Json) -> None:
        """The token: in the header, else in the query of a GET, else in the body of a POST."""
        token = request.headers.get("authorization")
        if token is None and request.method == "GET":
            token = request.query_params.get("oauth_token")
        if token is None and request.method == "POST":
            token = from_body
        if token != self._token:
            raise ApiError(401, {"message": "The token is missing or not accepted."})

    def _network(self, network_id: str) -> SandboxNetwork:
        try:
            return self._store.networks[network_id]
        except KeyError:
            raise not_found(f"network {network_id}") from None


def _parse_address(raw_path: bytes) -> tuple[str, str, list[str]]:
    """Version, network and the parts below it: split first and unquoted then, so that %2F stays inside its part."""
    _, *parts = [unquote(part) for part in raw_path.decode("latin-1").split("/")]
    if parts[:1] != ["api"] or len(parts) < 4 or not parts[-1].endswith(_SUFFIX):  # noqa: PLR2004  api, version, network, path
        raise not_found("this address; it is /api/<version>/<network_id>/<path>.json")
    _, version, network_id, *below = parts
    if version not in VERSIONS:
        raise bad_request(f"API version {version} is not known.")
    return version, network_id, [*below[:-1], below[-1].removesuffix(_SUFFIX)]


def _parse_body(method: str, sent: bytes, *, authorized: bool) -> dict[str, Json]:
    if method not in {"POST", "PUT"}:
        return {}
    try:
        body = json.loads(sent)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    if authorized:
        raise bad_request("The body is not a JSON object.")
    return {}


def _match_route(parts: list[str], version: str) -> tuple[Route, dict[str, str]]:
    for path in ROUTES:
        ids = path.match(parts)
        if ids is not None and path.since <= version:
            return path, ids
    raise not_found(f"the path {'/'.join(parts)} in API version {version}")


def _find_handler(path: Route, method: str) -> tuple[int, Callable[[ApiRequest], Json]]:
    try:
        return path.handlers[method]
    except KeyError:
        allowed = ", ".join(path.handlers)
        raise ApiError(405, {"message": f"{method} is not allowed here."}, {"Allow": allowed}) from None


def _server_error_response() -> Response:
    handle = random.randrange(10**9, 10**10)  # noqa: S311  a handle, no secret
    _LOG.exception("The sandbox failed; error handle %s.", handle)
    refusal = server_error(handle)
    return _json_response(refusal.status, refusal.body)


def _json_response(status: int, body: Json, headers: Mapping[str, str] | None = None) -> Response:
    """ASCII only, so that any text that was sent can be answered."""
    content = json.dumps(body, separators=(",", ":"))
    return Response(content, status_code=status, headers=dict(headers or {}), media_type="application/json")
