"""Looking into a running sandbox and switching its faults, over HTTP, outside of the API's addresses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server.requests import ApiError, bad_request, not_found
from invoca_bulk.sandbox_server.routes import VERSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp, Receive, Scope, Send

    from invoca_bulk.sandbox_server.serve import Sandbox
    from invoca_bulk.schema.field_types import Json

_PATH_PREFIX = "/sandbox/"


def _get_ledger(sandbox: Sandbox, _sent: bytes) -> Json:
    """All numbers that were really issued, in order."""
    return [
        {
            **vars(one.campaign),
            "number": one.number,
            "own_id": one.own_id,
            "body": dict(one.body),
            "sequence": one.request_number,
        }
        for one in sandbox.store.ledger
    ]


def _get_state(sandbox: Sandbox, _sent: bytes) -> Json:
    """What is there now, as the newest version of the API shows it."""
    version, networks = VERSIONS[-1], sandbox.store.networks.values()
    return {
        "campaigns": [
            {**vars(one.key), "numbers": [number.to_json(version) for number in one.numbers.values()]}
            for network in networks
            for one in network.campaigns.values()
        ],
        "advertisers": [
            {"network_id": network.id, **one.to_json(version)}
            for network in networks
            for one in network.advertisers.values()
        ],
        "requests": sandbox.store.request_count,
        "faults": _get_faults(sandbox, b""),
    }


def _get_faults(sandbox: Sandbox, _sent: bytes) -> Json:
    faults = sandbox.faults
    return {"settings": faults.settings(), "counts": dict(faults.counts), "pending": faults.pending}


def _change_faults(sandbox: Sandbox, sent: bytes) -> Json:
    """Change the settings that are named, all or none."""
    try:
        sandbox.faults.change(**json.loads(sent))
    except ConfigError as error:
        raise bad_request(str(error)) from None
    except (TypeError, ValueError):
        raise bad_request("The body is not a JSON object. Send one with the names of the settings.") from None
    return _get_faults(sandbox, b"")


_ROUTES: Mapping[tuple[str, str], Callable[[Sandbox, bytes], Json]] = {
    ("GET", "ledger"): _get_ledger,
    ("GET", "state"): _get_state,
    ("GET", "faults"): _get_faults,
    ("PUT", "faults"): _change_faults,
}


class AdminApi:
    """An ASGI layer: what is asked of it meets no fault and is no request of the platform's.

    Args:
        app: answers everything else.
        sandbox: the sandbox to show; its token is required here too.
    """

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or hand it on."""
        if not scope["path"].startswith(_PATH_PREFIX):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        response = self._respond(request, await request.body())
        await response(scope, receive, send)

    def _respond(self, request: Request, sent: bytes) -> Response:
        try:
            status, body = 200, self._handle(request, sent)
        except ApiError as refusal:
            status, body = refusal.status, refusal.body
        return Response(json.dumps(body), status_code=status, media_type="application/json")

    def _handle(self, request: Request, sent: bytes) -> Json:
        if request.headers.get("authorization") != self._sandbox.token:
            raise ApiError(401, {"message": "The token is missing or not accepted."})
        name = request.url.path.removeprefix(_PATH_PREFIX)
        if (request.method, name) not in _ROUTES:
            known = ", ".join(f"{verb} {_PATH_PREFIX}{name}" for verb, name in _ROUTES)
            raise not_found(f"this address; there are {known}")
        with self._sandbox.store.lock:
            return _ROUTES[request.method, name](self._sandbox, sent)
