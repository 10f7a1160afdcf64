"""The shapes of error responses, over real HTTP. Transcribed by hand from the documentation's table of errors."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

NUMBERS = "advertisers/A-100/advertiser_campaigns/C-100/promo_numbers"
BODY = {"description": "Halloween Promo Number 1", "media_type": "Online: Display"}


def test_field_errors(platform: Any) -> None:
    """Invalid arguments get a 403: field to a list of texts."""
    answer = platform("POST", NUMBERS, {"media_type": "Online"})
    assert answer.status_code == 403
    errors = answer.json()["errors"]
    assert set(errors) == {"description", "media_type"}
    assert all(isinstance(text, str) for texts in errors.values() for text in texts)


def test_nested_field_errors(platform: Any) -> None:
    """Errors of nested fields are nested."""
    answer = platform("POST", NUMBERS, {**BODY, "local_center": {"tn_prefix": "999"}})
    assert answer.status_code == 403
    assert isinstance(answer.json()["errors"]["local_center"]["tn_prefix"][0], str)


def test_object_with_errors(platform: Any) -> None:
    """Some responses have the whole object in addition to `errors`."""
    number = platform("POST", NUMBERS, BODY).json()
    answer = platform("PUT", f"{NUMBERS}/{number['promo_number']}", {"media_type": "Online"})
    assert answer.status_code == 403
    assert {**answer.json(), "errors": None} == {**number, "errors": None}


def test_not_found(platform: Any) -> None:
    """A 404 has the class RecordNotFound and names what was not found."""
    answer = platform("GET", f"{NUMBERS}/8005550100")
    assert answer.status_code == 404
    assert answer.json()["errors"]["class"] == "RecordNotFound"
    assert answer.json()["errors"]["invalid_data"].startswith("Could not find ")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000], ids=repr)
def test_invalid_json(platform: Any, content: bytes) -> None:
    """A body that is not a JSON object gets a 400."""
    url = f"/api/2022-08-01/{platform.network_id}/{NUMBERS}.json"
    answer = platform.http.post(url, content=content)
    assert (answer.status_code, list(answer.json())) == (400, ["message"])


def test_method_not_allowed(platform: Any) -> None:
    """A 405 names the allowed methods."""
    answer = platform("DELETE", NUMBERS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


TOKENS = {
    "header": ("GET", {"Authorization": "sandbox-token"}, {}, None, 200),
    "none": ("GET", {}, {}, None, 401),
    "wrong": ("GET", {"Authorization": "sandbox-tokem"}, {}, None, 401),
    "with a scheme": ("GET", {"Authorization": "Bearer sandbox-token"}, {}, None, 401),
    "query of a GET": ("GET", {}, {"oauth_token": "sandbox-token"}, None, 200),
    "wrong query": ("GET", {}, {"oauth_token": "x"}, None, 401),
    "query of a POST": ("POST", {}, {"oauth_token": "sandbox-token"}, BODY, 401),
    "body of a POST": ("POST", {}, {}, {**BODY, "oauth_token": "sandbox-token"}, 201),
    "wrong body": ("POST", {}, {}, {**BODY, "oauth_token": "x"}, 401),
    "POST without": ("POST", {}, {}, BODY, 401),
}


@pytest.mark.parametrize("case", TOKENS.values(), ids=TOKENS)
def test_token(platform: Any, case: tuple[str, dict[str, str], dict[str, str], Any, int]) -> None:
    """The token comes in the header, the query of a GET or the body of a POST, and is never returned; else 401."""
    verb, headers, query, body, status = case
    url = f"{platform.http.base_url}/api/2022-08-01/{platform.network_id}/{NUMBERS}.json"
    answer = httpx.request(verb, url, headers=headers, params=query, json=body)
    assert answer.status_code == status
    assert "sandbox-token" not in answer.text
    assert "sandbox-token" not in repr(platform.store.ledger[-1:])
