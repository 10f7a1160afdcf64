"""Advertisers end to end on the sandbox: the platform's state before and after a run."""

from __future__ import annotations

import itertools
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

import invoca_bulk as ib

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.config.network import Network
    from invoca_bulk.sandbox_server import Sandbox

COUNT, USERS, SITES = 50, 3, 2


def advertiser(number: int) -> dict[str, Any]:
    """The JSON body of an advertiser with three users and two sites."""
    users = [
        {
            "id_from_network": f"U-{number}-{position}",
            "first_name": f"First{position}",
            "last_name": f"Last{number}",
            "contact_phone_number": f"80555{number:03}{position:02}",
            "role": ("Super", "Manager", "Observer")[position % 3],
            "notify_on_budgets": position == 1,
            "email_settings": [
                {"email_address": f"u{number}.{position}@example.com", "use_for_notifications": True},
                {"email_address": f"u{number}.{position}b@example.com", "use_for_notifications": False},
            ],
        }
        for position in range(USERS)
    ]
    sites = [{"id_from_network": f"{number}{position}", "name": f"Site {position}"} for position in range(SITES)]
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
    """Fifty advertisers on the sandbox, as it returns them."""
    return [http.post("advertisers.json", json=advertiser(number)).raise_for_status().json() for number in range(COUNT)]


def states(http: httpx.Client) -> dict[str, Any]:
    return {advertiser["id_from_network"]: advertiser for advertiser in http.get("advertisers.json").json()}


PHONE_NUMBERS = pd.DataFrame(
    {
        "id_from_network": [f"B-{number}" for number in range(COUNT)],
        "web_integration_phone_number": [f"80555501{number:02}" for number in range(COUNT)],
    }
)


def test_one_column_edit_leaves_users_and_sites(
    fifty: list[dict[str, Any]], http: httpx.Client, network: Network
) -> None:
    """A new phone number for 50 advertisers changes nothing else: users, sites, tokens and order stay."""
    results = ib.run(PHONE_NUMBERS, network, progress=False)
    assert isinstance(results, pd.DataFrame)
    assert set(results["result_status"]) == {"updated"}
    after = states(http)
    for number, before in enumerate(fifty):
        expected = before | {"web_integration_phone_number": f"80555501{number:02}"}
        assert after[before["id_from_network"]] == expected
    second = ib.run(PHONE_NUMBERS, network, progress=False)
    assert isinstance(second, pd.DataFrame)
    assert set(second["result_status"]) == {"unchanged"}


def test_replace_refuses_and_names_every_user(
    fifty: list[dict[str, Any]], http: httpx.Client, network: Network
) -> None:
    """With `replace` the same sheet would remove all 150 users and 100 sites: it is refused, and each is named."""
    with pytest.raises(ib.UserError) as error_info:
        ib.run(PHONE_NUMBERS, network, progress=False, nested="replace")
    text = str(error_info.value)
    for number, position in itertools.product(range(COUNT), range(USERS)):
        assert f"user First{position} Last{number} (U-{number}-{position})" in text
    for number, position in itertools.product(range(COUNT), range(SITES)):
        assert f"site Site {position} ({number}{position})" in text
    assert states(http) | {advertiser["id_from_network"]: advertiser for advertiser in fifty} == states(http)


def test_naive_put_removes_users_and_sites(fifty: list[dict[str, Any]], http: httpx.Client) -> None:
    """Control: a plain PUT of the edited fields does remove the users, so the protection is needed."""
    site = fifty[0]["sites"][:1]
    body = {"name": "Business 0", "web_integration_phone_number": "8055550100", "sites": site}
    assert http.put("advertisers/B-0.json", json=body).status_code == HTTPStatus.OK
    after = states(http)["B-0"]
    assert (after["users"], len(after["sites"])) == ([], 1)
