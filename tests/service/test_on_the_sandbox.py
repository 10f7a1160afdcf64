"""What the platform has is kept, and what nobody knows of it is a warning: as a user tries it on a sandbox."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.config.network import Network
from invoca_bulk.sandbox_server import Sandbox
from tests.examples import GOOD

if TYPE_CHECKING:
    from pathlib import Path

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


def test_validate_says_what_a_run_would_say() -> None:
    """Whether a row creates its advertiser, only the plan knows: the warning says so, and the plan has it once."""
    frame = pd.DataFrame({"id_from_network": ["A-9", "A-100"], "name": ["Ninth", "Santa Barbara Tickets"]})
    assert list(ib.validate(frame, resource="advertisers").issues["code"]) == ["maybe_without_site"] * 2
    keyed = frame.assign(name="")  # no row could create an advertiser
    assert ib.validate(keyed, resource="advertisers").issues.empty
    with Sandbox() as sandbox:
        issues = ib.plan(frame, sandbox, resource="advertisers").issues
        assert list(zip(issues["row"], issues["code"], strict=True)) == [(0, "created_without_site")]


def test_issues_of_a_plan_are_numbered_on() -> None:
    """Where the plan drops a warning of the validation, the index has no gap."""
    names = ["Santa Barbara Tickets", "Santa Barbara Tickets\xa0"]
    frame = pd.DataFrame({"id_from_network": ["A-100", "A-200"], "name": names})
    assert ib.validate(frame, resource="advertisers").issues["code"].iloc[0] == "maybe_without_site"
    with Sandbox() as sandbox:
        issues = ib.plan(frame, sandbox, resource="advertisers").issues
    assert list(issues.index) == list(range(len(issues)))
    assert "cell_cleaned" in set(issues["code"])


def test_advertisers_may_be_without_a_site() -> None:
    """With the option nothing is said, and the last site can be removed; the platform decides."""
    frame = pd.DataFrame([{"id_from_network": "A-9", "name": "Ninth"}])
    option = {"resource": "advertisers", "allow_no_sites": True}
    assert ib.validate(frame, **option).issues.empty  # type: ignore[arg-type]
    assert ib.validate(frame.assign(action="create"), **option).issues.empty  # type: ignore[arg-type]
    with Sandbox(sites_required=False) as sandbox:
        assert ib.plan(frame, sandbox, **option).issues.empty  # type: ignore[arg-type]
        assert list(_run(frame, sandbox, **option)["result_status"]) == ["created"]
        site = {"sites.1.id_from_network": "7"}
        assert list(_run(frame.assign(**site), sandbox, **option)["result_status"]) == ["updated"]
        removal = frame.assign(**site, **{"sites.1.action": "remove"})
        assert list(ib.plan(removal, sandbox, resource="advertisers").issues["code"]) == ["no_site"]
        assert list(_run(removal, sandbox, **option)["result_status"]) == ["updated"]
        assert sandbox.store.networks[sandbox.network_id].advertisers["A-9"].to_json("2022-08-01")["sites"] == []


def test_a_rehearsal_without_sites(tmp_path: Path, cli: Any) -> None:
    """A sandbox of the command takes what the option allows."""
    pd.DataFrame([{"id_from_network": "A-9", "name": "Ninth"}]).to_csv(tmp_path / "sheet.csv", index=False)
    assert "1  The platform rejected" in cli("run", "sheet.csv", "--sandbox", "--resource", "advertisers").out
    assert "created" in cli("run", "sheet.csv", "--sandbox", "--resource", "advertisers", "--allow-no-sites").out


def test_unlisted_media_type() -> None:
    """With the option, the platform decides."""
    frame = pd.DataFrame([{**GOOD, "media_type": "Pooling"}])
    with Sandbox(open_campaigns=True, unlisted_types=True) as sandbox:
        with pytest.raises(ib.InvalidSheetError):
            _run(frame, sandbox)
        assert list(_run(frame, sandbox, allow_unlisted=True)["result_status"]) == ["created"]
    with Sandbox(open_campaigns=True) as sandbox:
        refused = _run(frame, sandbox, allow_unlisted=True)
        assert list(refused["result_error"]) == ["media_type: 'Pooling' is not a valid value for 'media_type'."]


def test_network_without_its_id() -> None:
    """On a host of its own, a network needs no id, and takes a date between two versions."""
    with Sandbox(open_campaigns=True) as sandbox:
        network = Network(base_url=sandbox.base_url, network_id="", token=sandbox.token, api_version="2023-10-09")
        results = _run(pd.DataFrame([GOOD]), network)
        assert list(results["result_status"]) == ["created"]
        assert results["promo_number"].iloc[0] == sandbox.store.ledger[0].number


def test_a_misspelt_switch_is_refused() -> None:
    """It would quietly mean the other way."""
    with pytest.raises(ib.UserError, match="Use one of: new, kept"):
        ib.sandbox(moved_ids="keep")


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


FLAG = "notify_on_performance_notifications"
USER = {
    "users.1.id_from_network": "U-1",
    "users.1.email_settings.1.email_address": "ana@example.com",
    "users.1.email_settings.1.use_for_notifications": "TRUE",
    "users.1.first_name": "Ana",
    "users.1.last_name": "Dean",
    "users.1.contact_phone_number": "8055550100",
}


@pytest.mark.parametrize("first", ["create", "update"])
def test_a_flag_that_the_platform_keeps(first: str) -> None:
    """The run says that it was kept; the same sheet then rests with a warning, and sends it with another change."""
    frame = pd.DataFrame([{"id_from_network": "A-9", "name": "Ninth", "sites.1.id_from_network": "9", **USER}])
    with Sandbox(performance_flags=False) as sandbox:
        network = Network(base_url=sandbox.base_url, network_id=sandbox.network_id, token=sandbox.token)
        arguments: dict[str, Any] = {"resource": "advertisers"}
        if first == "update":
            assert list(_run(frame, network, **arguments)["result_status"]) == ["created"]
        flagged = frame.assign(**{f"users.1.{FLAG}": "TRUE"})
        kept = rf"A-9, user Ana Dean \(U-1\): {FLAG} was sent as TRUE, and the platform kept FALSE\."
        with pytest.warns(UserWarning, match=kept):
            assert list(_run(flagged, network, **arguments)["result_status"]) == [f"{first}d"]
        plan = ib.plan(flagged, network, **arguments)
        assert (plan.counts, list(plan.issues["code"])) == ({"unchanged": 1}, ["flag_kept"])
        assert list(plan.issues["column"]) == [f"users.1.{FLAG}"]
        assert list(_run(flagged, network, **arguments)["result_status"]) == ["unchanged"]
        renamed = flagged.assign(name="Ten")
        with pytest.warns(UserWarning, match=kept):
            assert list(_run(renamed, network, **arguments)["result_status"]) == ["updated"]
        assert ib.plan(renamed, network, **arguments).counts == {"unchanged": 1}
        off = renamed.assign(**{f"users.1.{FLAG}": "FALSE"})
        assert ib.plan(off, network, **arguments).issues.empty
        sandbox.store.performance_flags = True  # the platform has the flags again, and another program sets one
        users = sandbox.store.networks[sandbox.network_id].advertisers["A-9"].users
        users[0][FLAG] = True
        assert ib.plan(off, network, **arguments).counts == {"update": 1}


def test_a_flag_that_the_platform_takes() -> None:
    """Where the platform takes the flag, nothing is said, and a flag set back by somebody else is set again."""
    flagged = pd.DataFrame(
        [{"id_from_network": "A-9", "name": "Ninth", "sites.1.id_from_network": "9", **USER, f"users.1.{FLAG}": "TRUE"}]
    )
    with Sandbox() as sandbox:
        network = Network(base_url=sandbox.base_url, network_id=sandbox.network_id, token=sandbox.token)
        assert list(_run(flagged, network, resource="advertisers")["result_status"]) == ["created"]
        sandbox.store.networks[sandbox.network_id].advertisers["A-9"].users[0][FLAG] = False
        assert ib.plan(flagged, network, resource="advertisers").counts == {"update": 1}
