"""HTTP endpoints that inspect a running sandbox and change its faults; not part of Invoca's API."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server.requests import ApiError, bad_request, not_found, unauthorized
from invoca_bulk.sandbox_server.routes import VERSIONS
from invoca_bulk.sandbox_server.serve import Sandbox
from invoca_bulk.schema.field_types import Json

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PATH_PREFIX = "/sandbox/"


def _get_ledger(sandbox: Sandbox, _body: bytes) -> Json:
    """All issued numbers, in order."""
    return [
        {
            **vars(entry.campaign),
            "number": entry.number,
            "own_id": entry.own_id,
            "body": dict(entry.body),
            "sequence": entry.request_number,
        }
        for entry in sandbox.store.ledger
    ]


def _get_state(sandbox: Sandbox, _body: bytes) -> Json:
    """The current state, as the newest version of the API shows it."""
    version, networks = VERSIONS[-1], sandbox.store.networks.values()
    return {
        "campaigns": [
            {**vars(campaign.key), "numbers": [number.to_json(version) for number in campaign.numbers.values()]}
            for network in networks
            for campaign in network.campaigns.values()
        ],
        "advertisers": [
            {"network_id": network.id, **advertiser.to_json(version)}
            for network in networks
            for advertiser in network.advertisers.values()
        ],
        "requests": sandbox.store.request_count,
        "faults": _get_faults(sandbox, b""),
    }


def _get_faults(sandbox: Sandbox, _body: bytes) -> Json:
    faults = sandbox.faults
    return {"settings": faults.settings(), "counts": dict(faults.counts), "pending": faults.pending}


def _change_faults(sandbox: Sandbox, body: bytes) -> Json:
    """Change the given settings, all or none."""
    try:
        sandbox.faults.change(**json.loads(body))
    except ConfigError as error:
        raise bad_request(str(error)) from None
    except (TypeError, ValueError):
        raise bad_request("The body is not a JSON object. Send an object of setting names and values.") from None
    return _get_faults(sandbox, b"")


_ROUTES: Mapping[tuple[str, str], Callable[[Sandbox, bytes], Json]] = {
    ("GET", "ledger"): _get_ledger,
    ("GET", "state"): _get_state,
    ("GET", "faults"): _get_faults,
    ("PUT", "faults"): _change_faults,
}


class AdminApi:
    """ASGI middleware for the admin endpoints. Their requests meet no faults and are not counted."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an admin request; pass any other request on."""
        if not scope["path"].startswith(_PATH_PREFIX):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        response = self._respond(request, await request.body())
        await response(scope, receive, send)

    def _respond(self, request: Request, body: bytes) -> Response:
        try:
            status, content = HTTPStatus.OK, self._handle(request, body)
        except ApiError as error:
            status, content = error.status, error.body
        return Response(json.dumps(content), status_code=status, media_type="application/json")

    def _handle(self, request: Request, body: bytes) -> Json:
        if request.headers.get("authorization") != self._sandbox.token:
            raise unauthorized()
        name = request.url.path.removeprefix(_PATH_PREFIX)
        if (request.method, name) not in _ROUTES:
            endpoints = ", ".join(f"{verb} {_PATH_PREFIX}{name}" for verb, name in _ROUTES)
            raise not_found(f"this address; the addresses are {endpoints}")
        with self._sandbox.store.lock:
            return _ROUTES[request.method, name](self._sandbox, body)
