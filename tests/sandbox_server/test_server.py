"""The sandbox as a server: paths with any characters, concurrent requests, start and stop."""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.sandbox_server.platform_model import CampaignKey
from invoca_bulk.sandbox_server.serve import serve_forever
from invoca_bulk.schema import RESOURCES
from invoca_bulk.schema.invisible import name_invisible

BODY = {"description": "d", "media_type": "Online: Display"}
NUMBERS = "advertisers/A-100/advertiser_campaigns/C-100/promo_numbers"
_NAMES = st.sampled_from(
    [field.path.split(".")[-1] for resource in RESOURCES.values() for field in resource.fields]
    + [field.path.split(".")[0] for resource in RESOURCES.values() for field in resource.fields]
    + ["colour", "1"]
)
#: Clients resolve `.` and `..`; control characters cannot be sent everywhere; the table refuses invisible ones in ids.
IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda text: text.strip() not in {".", ".."} and not name_invisible(text)
)


@settings(max_examples=60)
@given(advertiser=IDS, campaign=IDS, affiliate=IDS, own_id=IDS)
def test_ids_with_any_characters(sandbox: Sandbox, advertiser: str, campaign: str, affiliate: str, own_id: str) -> None:
    """An id with any characters survives the path; a percent-encoded slash stays inside its part."""
    sandbox.store.add_network("ids")
    sandbox.store.add_affiliate(advertiser, campaign, affiliate, network_id="ids")
    parts = ("advertisers", advertiser, "advertiser_campaigns", campaign, "affiliates", affiliate)
    path = "/".join(quote(part, safe="") for part in parts)
    url = f"{sandbox.base_url}/api/2022-08-01/ids/{path}/affiliate_campaigns/promo_numbers_by_id"
    number_url = f"{url}/{quote(own_id, safe='')}.json"
    headers = {"Authorization": sandbox.token}
    with httpx.Client(headers=headers) as http:
        http.delete(number_url)
        created = http.post(f"{url}.json", json={**BODY, "id_from_network": own_id})
        assert created.status_code == 201, created.text
        assert http.get(number_url).json() == created.json()
    key = CampaignKey(network_id="ids", advertiser_id=advertiser, campaign_id=campaign, affiliate_id=affiliate)
    assert (sandbox.store.ledger[-1].campaign, sandbox.store.ledger[-1].own_id) == (key, own_id)


#: Any JSON, with known and unknown names as keys.
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
    | st.just("805"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200)
@given(path=st.sampled_from([NUMBERS, f"{NUMBERS}_by_id", "advertisers"]), fields=st.dictionaries(_NAMES, _JSON))
def test_any_json(sandbox: Sandbox, http: httpx.Client, path: str, fields: Any) -> None:
    """No JSON object crashes the platform: it is accepted, or rejected by field."""
    sandbox.store.add_network("json")
    valid_body = {**BODY, "name": "n", "id_from_network": "json", "sites": [{"id_from_network": "1"}]}
    for body in (
        fields,
        {name: value for name, value in valid_body.items() if path == "advertisers" or name in BODY} | fields,
    ):
        answer = http.post(f"/api/2026-02-01/json/{path}.json", json=body)
        assert answer.status_code in {201, 403}, body
        assert answer.status_code == 201 or answer.json()["errors"]


ADDRESSES = {
    "no suffix": "/api/2022-08-01/1234/advertisers",
    "no api": "/2022-08-01/1234/advertisers.json",
    "root": "/",
    "network alone": "/api/2022-08-01/1234.json",
    "empty id": "/api/2022-08-01/1234/advertisers/.json",
    "empty part": "/api/2022-08-01/1234//advertisers.json",
    "slash at the end": "/api/2022-08-01/1234/advertisers/.json/",
}


@pytest.mark.parametrize("path", ADDRESSES.values(), ids=ADDRESSES)
def test_other_addresses(http: httpx.Client, path: str) -> None:
    """Unknown paths get 404, for reads and writes."""
    assert http.get(path).status_code == 404
    assert http.put(path, json={}).status_code == 404


def test_open_campaigns(platform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `open_campaigns`, any campaign or affiliate is created on first use, also as the target of a move."""
    monkeypatch.setattr(platform.store, "open_campaigns", True)
    path = "advertisers/B/advertiser_campaigns/1/affiliates/2/affiliate_campaigns/promo_numbers"
    assert platform("GET", path).json() == []
    number = platform("POST", path, BODY).json()
    destination = {"advertiser_id": "B", "advertiser_campaign_id": "9", "affiliate_id": "8"}
    move = {f"destination_{name}_from_network": value for name, value in destination.items()}
    assert platform("PUT", f"{path}/{number['promo_number']}", move).status_code == 200
    assert platform("GET", "advertisers/B").status_code == 200


def test_many_at_once(platform: Any) -> None:
    """Concurrent requests issue unique numbers, and the list has them all."""
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda _: platform("POST", NUMBERS, BODY), range(256)))
    numbers = {answer.json()["promo_number"] for answer in answers}
    assert len(numbers) == 256
    assert {number["promo_number"] for number in platform("GET", NUMBERS).json()} == numbers
    entries = [entry for entry in platform.store.ledger if entry.campaign.network_id == platform.network_id]
    assert {entry.number for entry in entries} == numbers
    assert len({entry.request_number for entry in entries}) == 256


def test_surrogates(platform: Any) -> None:
    """A lone surrogate in a key or a value is rejected and does not crash the platform."""
    url = f"/api/2022-08-01/{platform.network_id}/{NUMBERS}.json"
    content = b'{"description": "\\ud800", "media_type": "\\udfff", "\\ud800": 1}'
    answer = platform.http.post(url, content=content)
    assert answer.status_code == 403
    assert set(answer.json()["errors"]) == {"description", "media_type", "\ud800"}


def test_a_crash_has_a_handle(platform: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An internal error gives a 500 with an error handle that is in the log."""
    monkeypatch.setattr(platform.store, "number_pool", None)
    with caplog.at_level(logging.ERROR):
        answer = platform("POST", NUMBERS, BODY)
    assert answer.status_code == 500
    errors = answer.json()["errors"]
    assert errors["class"] == "InternalServiceError"
    assert errors["invalid_data"].startswith("refer to error handle ")
    assert errors["invalid_data"].split()[-1] in caplog.text


def test_requests_are_counted(platform: Any) -> None:
    """`store.request_count` counts every request, including rejected ones."""
    before = platform.store.request_count
    for path in ("advertisers", "nothing"):
        platform("GET", path)
    assert platform.store.request_count == before + 2


def test_start_and_stop() -> None:
    """Each running sandbox has its own port, keeps its store after it stops, and can be started again."""
    sandbox, other = Sandbox(network_id="77", token="t", seed=1), Sandbox()
    with sandbox, other:
        assert sandbox.base_url != other.base_url
        first_url = sandbox.base_url
        url = f"{first_url}/api/2022-08-01/77/{NUMBERS}.json"
        assert httpx.post(url, json=BODY, headers={"Authorization": "t"}).status_code == 201
        assert not other.store.ledger
    assert (sandbox.base_url, len(sandbox.store.ledger)) == ("", 1)
    with pytest.raises(httpx.ConnectError):
        httpx.get(first_url)
    with sandbox:
        path = url.removeprefix(first_url)
        assert len(httpx.get(f"{sandbox.base_url}{path}", headers={"Authorization": "t"}).json()) == 1


def test_stop_does_not_wait() -> None:
    """Stopping takes less than a second, even with a request in flight and an open connection."""
    sandbox = Sandbox(latency=60)
    with contextlib.ExitStack() as stack:
        sandbox.start()
        slow = threading.Thread(target=_ignore_answer, args=(f"{sandbox.base_url}/api", sandbox.store))
        slow.start()
        stack.callback(slow.join)
        stack.enter_context(socket.create_connection(("127.0.0.1", int(sandbox.base_url.rsplit(":", 1)[1]))))
        while not sandbox.store.request_count:
            time.sleep(0.01)
        start = time.monotonic()
        sandbox.stop()
        assert time.monotonic() - start < 1


def _ignore_answer(url: str, _store: Any) -> None:
    with contextlib.suppress(httpx.TransportError):
        httpx.get(url, timeout=60)


def test_latency() -> None:
    """A response takes `latency` seconds and does not block others."""
    with Sandbox(latency=0.3) as sandbox, httpx.Client(base_url=sandbox.base_url) as http:
        start = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: http.get("/"), range(8)))
        assert 0.3 <= time.monotonic() - start < 1.5


def test_port_in_use() -> None:
    """The error for a port in use asks you to choose another."""
    with Sandbox() as sandbox, pytest.raises(ConfigError, match="Choose another port"):
        Sandbox(port=int(sandbox.base_url.rsplit(":", 1)[1])).start()


def test_layers() -> None:
    """Layers wrap the platform."""

    def refuse(_app: Any) -> Any:
        async def answer(_scope: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"<html>"})

        return answer

    with Sandbox(layers=(refuse,)) as sandbox:
        assert httpx.get(sandbox.base_url).status_code == 503
    assert sandbox.store.request_count == 0


def test_run_until_interrupted() -> None:
    """In the foreground it calls `on_ready`, and Ctrl-C ends it without an error."""
    urls = []

    def interrupt(sandbox: Sandbox) -> None:
        urls.append(httpx.get(sandbox.base_url).status_code)
        raise KeyboardInterrupt

    serve_forever(Sandbox(), on_ready=interrupt)
    assert urls == [404]


def test_import_is_light() -> None:
    """Importing the sandbox loads neither the server nor the number plan."""
    code = "import sys, invoca_bulk.sandbox_server\n"
    code += "print({'uvicorn', 'starlette', 'phonenumbers', 'pandas'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_token_is_not_in_repr() -> None:
    """The repr does not contain the token."""
    assert "sandbox-token" not in repr(Sandbox())
