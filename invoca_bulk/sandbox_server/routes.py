"""The platform as an ASGI application: its paths, verbs and statuses, transcribed by hand from the documentation.

They are not derived from the table of fields, so that each checks the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import unquote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from invoca_bulk.sandbox_server import advertisers, promo_numbers
from invoca_bulk.sandbox_server.requests import ApiError, ApiRequest, bad_request, not_found, server_error, unauthorized
from invoca_bulk.sandbox_server.store import Store
from invoca_bulk.schema.field_types import Json

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

VERSIONS = ("2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01")
_SUFFIX = ".json"
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LOG = logging.getLogger(__name__)

#: HTTP method to (status of success, operation).
Handlers = Mapping[str, tuple[HTTPStatus, Callable[[ApiRequest], Json]]]


@dataclass(frozen=True, kw_only=True)
class Route:
    """One path below the network."""

    segments: tuple[str, ...]  # its parts; those that start with `:` are ids
    handlers: Handlers
    since: str = VERSIONS[0]  # the first API version that has it
    uses_own_ids: bool = False  # whether numbers are addressed by the client's own ids

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The ids in a path, or None if the path does not match."""
        if len(parts) != len(self.segments):
            return None
        ids = {}
        for segment, part in zip(self.segments, parts, strict=True):
            if segment.startswith(":") and part:
                ids[segment[1:]] = part
            elif segment != part:
                return None
        return ids


_ADVERTISER = "advertisers/:advertiser"
_CAMPAIGN = f"{_ADVERTISER}/advertiser_campaigns/:campaign"
_AFFILIATE = f"{_CAMPAIGN}/affiliates/:affiliate/affiliate_campaigns"

_ADVERTISER_COLLECTION: Handlers = {
    "GET": (HTTPStatus.OK, advertisers.read_all),
    "POST": (HTTPStatus.CREATED, advertisers.create),
}
_SINGLE_ADVERTISER: Handlers = {
    "GET": (HTTPStatus.OK, advertisers.read),
    "POST": (HTTPStatus.CREATED, advertisers.update),
    "PUT": (HTTPStatus.OK, advertisers.update),
    "DELETE": (HTTPStatus.OK, advertisers.delete),
}
_NUMBER_COLLECTION: Handlers = {
    "GET": (HTTPStatus.OK, promo_numbers.read_all),
    "POST": (HTTPStatus.CREATED, promo_numbers.create),
}
_SINGLE_NUMBER: Handlers = {
    "GET": (HTTPStatus.OK, promo_numbers.read),
    "PUT": (HTTPStatus.OK, promo_numbers.update),
    "DELETE": (HTTPStatus.OK, promo_numbers.delete),
}


def _route(path: str, handlers: Handlers, since: str = VERSIONS[0], *, uses_own_ids: bool = False) -> Route:
    return Route(segments=tuple(path.split("/")), handlers=handlers, since=since, uses_own_ids=uses_own_ids)


ROUTES = (
    _route("advertisers", _ADVERTISER_COLLECTION),
    _route(_ADVERTISER, _SINGLE_ADVERTISER),
    _route(f"{_ADVERTISER}/advertiser_campaigns", {"GET": (HTTPStatus.OK, promo_numbers.read_campaigns)}),
    _route(f"{_CAMPAIGN}/affiliate_campaigns", {"GET": (HTTPStatus.OK, promo_numbers.read_affiliate_campaigns)}),
    _route(f"{_CAMPAIGN}/promo_numbers", _NUMBER_COLLECTION),
    _route(f"{_CAMPAIGN}/promo_numbers/:promo_number", _SINGLE_NUMBER),
    _route(f"{_CAMPAIGN}/promo_numbers_by_id", _NUMBER_COLLECTION, "2018-05-01", uses_own_ids=True),
    _route(f"{_CAMPAIGN}/promo_numbers_by_id/:id_from_network", _SINGLE_NUMBER, "2018-05-01", uses_own_ids=True),
    _route(f"{_AFFILIATE}/promo_numbers", _NUMBER_COLLECTION),
    _route(f"{_AFFILIATE}/promo_numbers/:promo_number", _SINGLE_NUMBER),
    _route(f"{_AFFILIATE}/promo_numbers_by_id", _NUMBER_COLLECTION, "2018-05-01", uses_own_ids=True),
    _route(f"{_AFFILIATE}/promo_numbers_by_id/:id_from_network", _SINGLE_NUMBER, "2018-05-01", uses_own_ids=True),
)


class Platform:
    """The platform as an ASGI application; each response takes `latency` seconds."""

    def __init__(self, store: Store, *, token: str, latency: float = 0.0) -> None:
        self._store = store
        self._token = token
        self._latency = latency

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        response = self._respond(request, body)
        # After the operation: a client that gives up while waiting has bought its number, as on the real platform.
        await asyncio.sleep(self._latency)
        await response(scope, receive, send)

    def _respond(self, request: Request, content: bytes) -> Response:
        with self._store.lock:
            self._store.request_count += 1
            try:
                status, result = self._handle(request, content)
            except ApiError as error:
                return _json_response(error.status, error.body, error.headers)
            except Exception:  # noqa: BLE001  the platform answers 500 to any internal error
                handle = random.randrange(10**9, 10**10)  # noqa: S311  not a secret
                _LOG.exception("The sandbox failed; error handle %s.", handle)
                internal_error = server_error(handle)
                return _json_response(internal_error.status, internal_error.body)
            return _json_response(status, result)

    def _handle(self, request: Request, content: bytes) -> tuple[HTTPStatus, Json]:
        version, network_id, parts = _parse_address(request.scope["raw_path"])
        body = _parse_body(request.method, content, authorized="authorization" in request.headers)
        self._authorize(request, body.pop("oauth_token", None))
        network_id = network_id or next(iter(self._store.networks))
        if network_id not in self._store.networks:
            raise not_found(f"network {network_id}")
        route, ids = _match_route(parts, version)
        status, operation = _find_handler(route, request.method)
        api_request = ApiRequest(
            store=self._store,
            network=self._store.networks[network_id],
            version=version,
            ids=ids,
            uses_own_ids=route.uses_own_ids,
            body=body,
            request_number=self._store.request_count,
        )
        result = operation(api_request)
        return (HTTPStatus.OK if api_request.existed else status), result

    def _authorize(self, request: Request, body_token: Json) -> None:
        """Check the token: in the header, else in the query of a GET, else in the body of a POST."""
        token = request.headers.get("authorization")
        if token is None and request.method == "GET":
            token = request.query_params.get("oauth_token")
        if token is None and request.method == "POST":
            token = body_token
        if token != self._token:
            raise unauthorized()


def _parse_address(raw_path: bytes) -> tuple[str, str, list[str]]:
    """API version, network id and the parts of the path below; split before unquoting, so %2F stays in its part."""
    _, *parts = [unquote(part) for part in raw_path.decode("latin-1").split("/")]
    if parts[:1] != ["api"] or len(parts) < 3 or not parts[-1].endswith(_SUFFIX):  # noqa: PLR2004  api, version, path
        raise not_found("this address; it is /api/<version>/<network_id>/<path>.json")
    _, version, *path_parts = parts
    earlier_versions = [known for known in VERSIONS if known <= version]
    if not earlier_versions or not _DATE.fullmatch(version):
        raise bad_request(f"Unknown API version {version}; the versions are {', '.join(VERSIONS)}.")
    path_parts[-1] = path_parts[-1].removesuffix(_SUFFIX)
    # A host of the network's own may leave out the network id.
    network_id = "" if path_parts[0] == "advertisers" else path_parts.pop(0)
    return earlier_versions[-1], network_id, path_parts


def _parse_body(method: str, content: bytes, *, authorized: bool) -> dict[str, Json]:
    if method not in {"POST", "PUT"}:
        return {}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict):
        return body
    if authorized:
        raise bad_request("The body is not a JSON object.")
    return {}


def _match_route(parts: list[str], version: str) -> tuple[Route, dict[str, str]]:
    for route in ROUTES:
        ids = route.match(parts)
        if ids is not None and route.since <= version:
            return route, ids
    raise not_found(f"the path {'/'.join(parts)} in API version {version}")


def _find_handler(route: Route, method: str) -> tuple[HTTPStatus, Callable[[ApiRequest], Json]]:
    try:
        return route.handlers[method]
    except KeyError:
        message = f"{method} is not allowed here."
        headers = {"Allow": ", ".join(route.handlers)}
        raise ApiError(HTTPStatus.METHOD_NOT_ALLOWED, {"message": message}, headers) from None


def _json_response(status: HTTPStatus, body: Json, headers: Mapping[str, str] | None = None) -> Response:
    """JSON in ASCII, which can hold any text, broken characters included."""
    content = json.dumps(body, separators=(",", ":"))
    return Response(content, status_code=status, headers=dict(headers or {}), media_type="application/json")
