"""Advertisers, the whole way on the sandbox: what the platform has before and after a run."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

import invoca_bulk as ib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.config.settings import Network
    from invoca_bulk.sandbox_server import Sandbox

COUNT, USERS, SITES = 50, 3, 2


def advertiser(number: int) -> dict[str, Any]:
    """An advertiser with three users and two sites, as the platform takes it."""
    users = [
        {
            "id_from_network": f"U-{number}-{at}",
            "first_name": f"First{at}",
            "last_name": f"Last{number}",
            "contact_phone_number": f"80555{number:03}{at:02}",
            "role": ("Super", "Manager", "Observer")[at % 3],
            "notify_on_budgets": at == 1,
            "email_settings": [
                {"email_address": f"u{number}.{at}@example.com", "use_for_notifications": True},
                {"email_address": f"u{number}.{at}b@example.com", "use_for_notifications": False},
            ],
        }
        for at in range(USERS)
    ]
    sites = [{"id_from_network": f"{number}{at}", "name": f"Site {at}"} for at in range(SITES)]
    return {
        "id_from_network": f"B-{number}",
        "name": f"Business {number}",
        "web_integration_phone_number": "8004377950",
        "default_creative_id_from_network": "222",
        "users": users,
        "sites": sites,
        "custom_data": {"channel": "Online lead", "region": "West"},
    }


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    base = f"{box.base_url}/api/2022-08-01/{box.network_id}/"
    with httpx.Client(base_url=base, headers={"Authorization": box.token}) as client:
        yield client


@pytest.fixture
def fifty(http: httpx.Client) -> list[dict[str, Any]]:
    """Fifty advertisers on the sandbox, as it reads them."""
    return [http.post("advertisers.json", json=advertiser(number)).raise_for_status().json() for number in range(COUNT)]


def states(http: httpx.Client) -> dict[str, Any]:
    return {one["id_from_network"]: one for one in http.get("advertisers.json").json()}


ONE_COLUMN = pd.DataFrame(
    {
        "id_from_network": [f"B-{number}" for number in range(COUNT)],
        "web_integration_phone_number": [f"80555501{number:02}" for number in range(COUNT)],
    }
)


def test_one_column_edit_leaves_users_and_sites(
    fifty: list[dict[str, Any]], http: httpx.Client, network: Network
) -> None:
    """A new phone number for 50 advertisers changes that and nothing else: users, sites, tokens, order."""
    results = ib.run(ONE_COLUMN, network, progress=False)
    assert isinstance(results, pd.DataFrame)
    assert set(results["result_status"]) == {"updated"}
    after = states(http)
    for number, before in enumerate(fifty):
        expected = before | {"web_integration_phone_number": f"80555501{number:02}"}
        assert after[before["id_from_network"]] == expected
    again = ib.run(ONE_COLUMN, network, progress=False)
    assert isinstance(again, pd.DataFrame)
    assert set(again["result_status"]) == {"unchanged"}


def test_replace_refuses_and_names_every_user(
    fifty: list[dict[str, Any]], http: httpx.Client, network: Network
) -> None:
    """The same sheet under `replace` would remove all: it refuses, and names the 150 users and the 100 sites."""
    with pytest.raises(ib.UserError) as refused:
        ib.run(ONE_COLUMN, network, progress=False, nested="replace")
    text = str(refused.value)
    for number, at in itertools.product(range(COUNT), range(USERS)):
        assert f"user First{at} Last{number} (U-{number}-{at})" in text
    for number, at in itertools.product(range(COUNT), range(SITES)):
        assert f"site Site {at} ({number}{at})" in text
    assert states(http) | {one["id_from_network"]: one for one in fifty} == states(http)


def test_a_naive_put_loses_them(fifty: list[dict[str, Any]], http: httpx.Client) -> None:
    """What the program guards against is real: a PUT of what an analyst would send takes the users away."""
    site = fifty[0]["sites"][:1]
    body = {"name": "Business 0", "web_integration_phone_number": "8055550100", "sites": site}
    assert http.put("advertisers/B-0.json", json=body).status_code == 200
    after = states(http)["B-0"]
    assert (after["users"], len(after["sites"])) == ([], 1)
