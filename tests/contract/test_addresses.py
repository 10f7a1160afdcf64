"""Every documented verb and path with its status, over real HTTP. Transcribed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

BODY = {"description": "Halloween Promo Number 1", "media_type": "Online: Display"}
ADVERTISER = {"id_from_network": "new", "name": "New", "sites": [{"id_from_network": "1"}]}
CAMPAIGN = "advertisers/A-100/advertiser_campaigns/C-100"
AFFILIATE = "advertisers/A-100/advertiser_campaigns/C-100/affiliates/F-1/affiliate_campaigns"


@pytest.mark.parametrize("campaign", [CAMPAIGN, AFFILIATE], ids=["advertiser campaign", "affiliate campaign"])
def test_promo_numbers_by_number(platform: Any, campaign: str) -> None:
    """The five operations of `promo_numbers` have these verbs, paths and statuses; a delete returns `{}`."""
    created = platform("POST", f"{campaign}/promo_numbers", BODY)
    assert created.status_code == 201
    path = f"{campaign}/promo_numbers/{created.json()['promo_number']}"
    assert (platform("GET", f"{campaign}/promo_numbers").status_code, platform("GET", path).status_code) == (200, 200)
    assert platform("GET", f"{campaign}/promo_numbers").json() == [platform("GET", path).json()]
    assert platform("PUT", path, {"description": "Halloween Promo Number 1 Updated"}).status_code == 200
    deleted = platform("DELETE", path)
    assert (deleted.status_code, deleted.json()) == (200, {})
    assert platform("GET", path).status_code == 404


@pytest.mark.parametrize("version", ["2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01"])
@pytest.mark.parametrize("campaign", [CAMPAIGN, AFFILIATE], ids=["advertiser campaign", "affiliate campaign"])
def test_promo_numbers_by_own_id(platform: Any, campaign: str, version: str) -> None:
    """From 2018-05-01 on, the same five operations exist by own id."""
    created = platform("POST", f"{campaign}/promo_numbers_by_id", {**BODY, "id_from_network": "mine"}, version)
    assert (created.status_code, created.json()["id_from_network"]) == (201, "mine")
    path = f"{campaign}/promo_numbers_by_id/mine"
    assert platform("GET", f"{campaign}/promo_numbers_by_id", version=version).json() == [created.json()]
    assert platform("GET", path, version=version).json() == created.json()
    assert platform("PUT", path, {"description": "Updated"}, version).status_code == 200
    deleted = platform("DELETE", path, version=version)
    assert (deleted.status_code, deleted.json()) == (200, {})


def test_advertisers(platform: Any) -> None:
    """The five operations of `advertisers` have these verbs, paths and statuses."""
    assert platform("POST", "advertisers", ADVERTISER).status_code == 201
    answer = platform("GET", "advertisers")
    assert (answer.status_code, type(answer.json())) == (200, list)
    assert platform("GET", "advertisers/new").status_code == 200
    changed = {"name": "New", "sites": [{"id_from_network": "1"}]}
    assert platform("PUT", "advertisers/new", changed).status_code == 200
    deleted = platform("DELETE", "advertisers/new")
    assert (deleted.status_code, deleted.json()) == (200, {})


@pytest.mark.parametrize(
    "version", ["2017-09-01", "2018-05-01", "2018-11-01", "2019-05-01", "2022-08-01", "2026-02-01"]
)
def test_versions(platform: Any, version: str) -> None:
    """The sandbox serves every version in which the API changed."""
    assert platform("GET", "advertisers", version=version).status_code == 200
    assert platform("POST", f"{CAMPAIGN}/promo_numbers", BODY, version).status_code == 201


ERRORS = {
    "own ids before 2018-05-01": ("GET", "2017-09-01", "1234", f"{CAMPAIGN}/promo_numbers_by_id", 404),
    "own id before 2018-05-01": ("PUT", "2017-09-01", "1234", f"{CAMPAIGN}/promo_numbers_by_id/x", 404),
    "date between versions": ("GET", "2023-10-09", "1234", "advertisers", 200),
    "own ids between versions": ("GET", "2018-04-30", "1234", f"{CAMPAIGN}/promo_numbers_by_id", 404),
    "before the first version": ("GET", "2017-08-31", "1234", "advertisers", 400),
    "no date": ("GET", "2018-5-1", "1234", "advertisers", 400),
    "unknown network": ("GET", "2022-08-01", "9999", "advertisers", 404),
    "unknown path": ("GET", "2022-08-01", "1234", "affiliates", 404),
    "unknown advertiser": ("GET", "2022-08-01", "1234", "advertisers/none", 404),
    "unknown campaign": ("GET", "2022-08-01", "1234", "advertisers/A-100/advertiser_campaigns/none/promo_numbers", 404),
    "another advertiser's": (
        "GET",
        "2022-08-01",
        "1234",
        "advertisers/A-100/advertiser_campaigns/C-200/promo_numbers",
        404,
    ),
    "unknown affiliate": (
        "GET",
        "2022-08-01",
        "1234",
        f"{CAMPAIGN}/affiliates/none/affiliate_campaigns/promo_numbers",
        404,
    ),
    "unknown number": ("GET", "2022-08-01", "1234", f"{CAMPAIGN}/promo_numbers/8005550100", 404),
    "delete of a missing number": ("DELETE", "2022-08-01", "1234", f"{CAMPAIGN}/promo_numbers/8005550100", 404),
    "delete of a missing advertiser": ("DELETE", "2022-08-01", "1234", "advertisers/none", 200),
    "delete of all": ("DELETE", "2022-08-01", "1234", "advertisers", 405),
    "put to the collection": ("PUT", "2022-08-01", "1234", f"{CAMPAIGN}/promo_numbers", 405),
    "post to one": ("POST", "2022-08-01", "1234", f"{CAMPAIGN}/promo_numbers/8005550100", 405),
}


@pytest.mark.parametrize("case", ERRORS.values(), ids=ERRORS)
def test_statuses(http: httpx.Client, case: tuple[str, str, str, str, int]) -> None:
    """Requests for something that does not exist get the documented status."""
    verb, version, network, path, status = case
    body = {} if verb in {"PUT", "POST"} else None
    assert http.request(verb, f"/api/{version}/{network}/{path}.json", json=body).status_code == status


def test_network_id_in_the_host(http: httpx.Client) -> None:
    """Where the host names the network, the path may leave out its id."""
    assert http.get("/api/2022-08-01/advertisers/A-100.json").json()["id_from_network"] == "A-100"
    assert http.get("/api/2022-08-01/advertisers.json").status_code == 200
