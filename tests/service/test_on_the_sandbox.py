"""What the platform has is kept, and what nobody knows of it is a warning: as a user tries it on a sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.config.network import Network
from invoca_bulk.sandbox_server import Sandbox
from tests.examples import GOOD

HOURS = "hours_of_operation"


def _run(frame: pd.DataFrame, network: Any, **arguments: Any) -> pd.DataFrame:
    results = ib.run(frame, network, progress=False, yes=True, **arguments)
    assert isinstance(results, pd.DataFrame)
    return results


def test_unknown_keys_survive_an_update() -> None:
    """A new name leaves unknown keys, a country code and the platform's own spellings as they are."""
    with Sandbox() as sandbox:
        advertisers = sandbox.store.networks[sandbox.network_id].advertisers
        user = {"id_from_network": "U-1", "email_settings": [], "first_name": "Ana", "last_name": "Dean"}
        user["email_settings"] = [{"email_address": "ana@example.com", "use_for_notifications": True}]
        user |= {"phone_number": "2079460000", "contact_country_code": "44", "locale": "en", "role": "Manager"}
        values = {**advertisers["A-100"].values, "tier": "gold", "web_integration_phone_number": "8004685865"}  # noqa: PD011  no frame
        advertisers["A-100"] = replace(advertisers["A-100"], values=values, users=(user,))
        results = _run(pd.DataFrame([{"id_from_network": "A-100", "name": "New"}]), sandbox, resource="advertisers")
        assert list(results["result_status"]) == ["updated"]
        shown = advertisers["A-100"].to_json("2022-08-01")
    assert (shown["name"], shown["tier"]) == ("New", "gold")
    assert (shown["users"][0]["locale"], shown["users"][0]["contact_country_code"]) == ("en", "44")


def test_hours_are_removed() -> None:
    """`[]` in the column hours_of_operation removes the hours, and planning again changes nothing."""
    with Sandbox() as sandbox:
        network = Network(
            base_url=sandbox.base_url,
            network_id=sandbox.network_id,
            token=sandbox.token,
            api_version="2026-02-01",
            rehearsal=True,
        )
        campaign = {"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-100"}
        hours = {f"{HOURS}.open_24_7": "TRUE", f"{HOURS}.time_zone": "UTC"}
        bought = _run(pd.DataFrame([{**GOOD, **campaign, **hours}]), network)
        row = {**campaign, "promo_number": bought["promo_number"].iloc[0], HOURS: "[]"}
        assert list(_run(pd.DataFrame([row]), network)["result_status"]) == ["updated"]
        campaigns = sandbox.store.networks[sandbox.network_id].campaigns.values()
        (number,) = next(iter(campaigns)).numbers.values()
        assert HOURS not in number.values  # noqa: PD011  no frame
        assert list(_run(pd.DataFrame([row]), network)["result_status"]) == ["unchanged"]
        anew = {**row, f"{HOURS}.open_24_7": "TRUE", f"{HOURS}.time_zone": "Hawaii"}
        assert list(_run(pd.DataFrame([anew]), network)["result_status"]) == ["updated"]
        assert number.values[HOURS] == {"open_24_7": True, "time_zone": "Hawaii"}  # noqa: PD011  no frame


@pytest.mark.parametrize(("sites_required", "status"), [(True, "rejected"), (False, "created")])
def test_advertiser_without_a_site(sites_required: bool, status: str) -> None:  # noqa: FBT001  a column of the table
    """It is a warning of the plan; whether it is refused, the platform decides."""
    frame = pd.DataFrame([{"id_from_network": "A-9", "name": "Ninth"}])
    with Sandbox(sites_required=sites_required) as sandbox:
        plan = ib.plan(frame, sandbox, resource="advertisers")
        assert list(plan.issues["code"]) == ["created_without_site"]
        assert plan.ok
        assert list(_run(frame, sandbox, resource="advertisers")["result_status"]) == [status]
    named = frame.assign(action="create")
    assert list(ib.validate(named, resource="advertisers").issues["code"]) == ["created_without_site"]


def test_unlisted_media_type() -> None:
    """With the option, the platform decides."""
    frame = pd.DataFrame([{**GOOD, "media_type": "Pooling"}])
    with Sandbox(open_campaigns=True, unlisted_types=True) as sandbox:
        with pytest.raises(ib.InvalidSheetError):
            _run(frame, sandbox)
        assert list(_run(frame, sandbox, allow_unlisted=True)["result_status"]) == ["created"]


def test_network_without_its_id() -> None:
    """On a host of its own, a network needs no id, and takes a date between two versions."""
    with Sandbox(open_campaigns=True) as sandbox:
        network = Network(base_url=sandbox.base_url, network_id="", token=sandbox.token, api_version="2023-10-09")
        results = _run(pd.DataFrame([GOOD]), network)
        assert list(results["result_status"]) == ["created"]
        assert results["promo_number"].iloc[0] == sandbox.store.ledger[0].number


@pytest.mark.parametrize("moved_ids", ["new", "kept"])
def test_moved_number(moved_ids: str) -> None:
    """A number that has moved, with a new id or its old one, is found by its number: the sheet moves it once."""
    with Sandbox(moved_ids=moved_ids) as sandbox:
        campaign = {"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-100"}
        bought = _run(pd.DataFrame([{**GOOD, **campaign}]), sandbox)
        row = {**campaign, "promo_number": bought["promo_number"].iloc[0]}
        row |= {"destination_advertiser_id_from_network": "A-200"}
        row |= {"destination_advertiser_campaign_id_from_network": "C-200"}
        assert list(_run(pd.DataFrame([row]), sandbox)["result_status"]) == ["moved"]
        assert list(_run(pd.DataFrame([row]), sandbox)["result_status"]) == ["unchanged"]
