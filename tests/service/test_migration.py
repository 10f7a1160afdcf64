"""Migration: export from one network, run into another; ids carry over, and promo numbers get new numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.config.network import Network
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.schema import PROMO_NUMBERS
from invoca_bulk.service.export import object_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, NEW = "7001", "7002"
CAMPAIGN = {"advertiser_id_from_network": "A/1", "advertiser_campaign_id_from_network": "C 1"}
AFFILIATE = {**CAMPAIGN, "affiliate_id_from_network": "F-1"}
USERS = [
    {
        "id_from_network": f"U-{number}",
        "email_settings": [
            {"email_address": f"u{number}@example.com", "use_for_notifications": True},
            {"email_address": f"u{number}b@example.com", "use_for_notifications": False},
        ],
        "first_name": "José",
        "last_name": f"O'Neil, {number}",
        "contact_phone_number": phone,
        "role": "Member",
        "notify_on_budgets": True,
    }
    for number, phone in enumerate(["8055550100", "+448081570192"])
]
ADVERTISERS = [
    {
        "id_from_network": "A/1",
        "name": "=1+1 & Sons",
        "approval_status": "Suspended",
        "web_integration_phone_number": "8005550100",
        "default_creative_id_from_network": "007",
        "sites": [{"id_from_network": "996", "name": "second"}, {"id_from_network": "0315", "name": "a, b"}],
        "users": USERS,
        "custom_data": {"channel": "Online lead", "a.b": "007"},
    },
    {"id_from_network": "A-2", "name": "Plain", "sites": [{"id_from_network": "1", "name": ""}], "users": []},
]
DISPLAY = {"media_type": "Online: Display"}
#: The campaign, whether it has an own id, and the body of each number.
NUMBERS: list[tuple[dict[str, str], bool, dict[str, Any]]] = [
    (CAMPAIGN, False, {**DISPLAY, "description": "toll-free"}),
    (CAMPAIGN, False, {**DISPLAY, "description": "local", "local_center": {"tn_prefix": "805"}}),
    (
        CAMPAIGN,
        True,
        {**DISPLAY, "description": "own", "id_from_network": "own/1", "local_center": {"tn_prefix": "212"}},
    ),
    (AFFILIATE, False, {**DISPLAY, "description": "affiliate", "custom_data": {"store": "00123"}}),
]


def path(campaign: dict[str, str], *, own: bool = False) -> str:
    return "/".join([*PROMO_NUMBERS.scope_for(campaign), "promo_numbers_by_id" if own else "promo_numbers"])


@pytest.fixture
def networks() -> Iterator[tuple[Sandbox, Network, Network]]:
    """Two networks: the old one is filled, the new one is empty."""
    with Sandbox(network_id=OLD) as box:
        box.store.networks[OLD].campaigns.clear()
        for record in ("A-100", "A-200", "A-300"):
            box.store.networks[OLD].remove_advertiser(record)
        box.store.add_network(NEW, empty=True)
        old, new = (Network(base_url=box.base_url, network_id=record, token=box.token) for record in (OLD, NEW))
        fill(box)
        yield box, old, new


def fill(box: Sandbox) -> None:
    with httpx.Client(base_url=f"{box.base_url}/api/2022-08-01/{OLD}/", headers={"Authorization": box.token}) as http:
        for advertiser in ADVERTISERS:
            assert http.post("advertisers.json", json=advertiser).status_code == 201
        box.store.add_affiliate("A/1", "C 1", "F-1", network_id=OLD)
        for campaign, own, body in NUMBERS:
            address = "/".join(
                part.replace("/", "%2F").replace(" ", "%20") for part in PROMO_NUMBERS.scope_for(campaign)
            )
            collection = "promo_numbers_by_id" if own else "promo_numbers"
            assert http.post(f"{address}/{collection}.json", json=body).status_code == 201


def objects(network: Network, campaigns: list[dict[str, str]] | None = None) -> Any:
    """The objects of a network, as sheets."""
    return ib.export("promo_numbers" if campaigns else "advertisers", network, campaigns=campaigns)


def same(one: Any, other: Any) -> bool:
    """Whether two networks have equal objects; the order of sites is significant, that of advertisers is not."""
    return one.keys() == other.keys() and all(
        _sorted(frame).equals(_sorted(other[name])) for name, frame in one.items()
    )


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    owner = "advertiser_id_from_network" if "advertiser_id_from_network" in frame else "id_from_network"
    return frame.sort_values(owner, kind="stable", ignore_index=True)


FORMS: dict[str, Callable[[Any, Path], Any]] = {
    "frames": lambda frames, _: frames,
    "xlsx": lambda _, folder: folder / "export.xlsx",
    "csv": lambda _, folder: folder / "export.csv",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_advertisers(networks: Any, tmp_path: Path, form: Callable[[Any, Path], Any]) -> None:
    """Advertisers are created with the same ids, users and order of sites."""
    _, old, new = networks
    for ending in ("xlsx", "csv"):
        frames = ib.export("advertisers", old, output=tmp_path / f"export.{ending}", for_migration=True)
    results = ib.run(form(frames, tmp_path), new, yes=True, progress=False)
    tables = results.values() if isinstance(results, dict) else [results]
    assert {status for frame in tables for status in frame["result_status"]} == {"created"}
    assert same(objects(old), objects(new))


@pytest.mark.parametrize("ending", ["xlsx", "csv"])
def test_promo_numbers(networks: Any, tmp_path: Path, ending: str) -> None:
    """Each number gets a new one next to it, local ones in the same area code; nothing else differs."""
    box, old, new = networks
    ib.run(ib.export("advertisers", old), new, yes=True, progress=False)
    box.store.add_affiliate("A/1", "C 1", "F-1", network_id=NEW)
    bought = len(box.store.ledger)
    exported = ib.export(
        "promo_numbers", old, output=tmp_path / f"numbers.{ending}", campaigns=[CAMPAIGN, AFFILIATE], for_migration=True
    )
    assert isinstance(exported, pd.DataFrame)
    assert "promo_number" not in exported
    assert list(exported["local_center.tn_prefix"]) == ["", "805", "212", ""]
    results = ib.run(tmp_path / f"numbers.{ending}", new, yes=True, progress=False)
    assert isinstance(results, pd.DataFrame)
    assert list(results["result_status"]) == ["created"] * 4
    assert len(box.store.ledger) == bought + 4
    before, after = (objects(record, [CAMPAIGN, AFFILIATE]) for record in (old, new))
    assert list(results["source_promo_number"]) == list(before["promo_number"])
    assert sorted(results["promo_number"]) == sorted(after["promo_number"])
    assert set(before["promo_number"]).isdisjoint(after["promo_number"])
    assert [number[:3] for number in results["promo_number"]][1:3] == ["805", "212"]
    kept = ["id_from_network", "description", "media_type", "affiliate_id_from_network", "custom_data.store"]
    assert sorted(map(tuple, before[kept].to_numpy())) == sorted(map(tuple, after[kept].to_numpy()))


def test_advertisers_and_numbers_in_one_workbook(networks: Any, tmp_path: Path) -> None:
    """In one workbook, advertisers are created before the promo numbers that need them."""
    box, old, new = networks
    box.store.open_campaigns = True
    frames = {
        **ib.export("advertisers", old),
        "promo_numbers": ib.export("promo_numbers", old, campaigns=[CAMPAIGN, AFFILIATE], for_migration=True),
    }
    results = ib.run(frames, new, yes=True, progress=False, output=tmp_path / "results.xlsx")
    assert {status for frame in results.values() for status in frame["result_status"]} == {"created"}
    assert same(objects(old), objects(new))
    numbers = results["promo_numbers"]
    assert set(numbers["source_promo_number"]).isdisjoint(numbers["promo_number"])
    assert numbers["promo_number"].str.fullmatch("[0-9]{10}").all()


@pytest.mark.parametrize(
    ("number", "area_code", "is_told"),
    [
        pytest.param("8055550100", "805", False, id="local"),
        pytest.param("+18055550100", "805", False, id="E.164"),
        pytest.param("4165550100", "416", False, id="Canada"),
        pytest.param("8005550100", "", False, id="toll-free"),
        pytest.param("8885550100", "", False, id="toll-free 888"),
        pytest.param("+442079460000", "", True, id="abroad"),
        pytest.param("2425550100", "", True, id="Bahamas"),
    ],
)
def test_area_codes(number: str, area_code: str, is_told: bool) -> None:  # noqa: FBT001  a table's column
    """A local number requests its own area code; toll-free and unsupported area codes request none."""
    answer = {"promo_number": number, "description": "d", "media_type": "Online: Display", "id_from_network": "12"}
    (row,), losses = object_rows.to_rows(
        PROMO_NUMBERS, [answer], "2022-08-01", address_cells=CAMPAIGN, for_migration=True
    )
    assert row.get("local_center.tn_prefix", "") == area_code
    assert row["source_promo_number"] == number
    assert "promo_number" not in row
    assert row["id_from_network"] == "12"
    assert [(omitted.code, omitted.object_label) for omitted in losses] == [("no_area_code", number)] * is_told


def test_a_number_of_another_network_is_never_created(networks: Any) -> None:
    """Without the flag, a number that is not found is refused, and nothing is bought."""
    box, old, new = networks
    ib.run(ib.export("advertisers", old), new, yes=True, progress=False)
    box.store.add_affiliate("A/1", "C 1", "F-1", network_id=NEW)
    bought = len(box.store.ledger)
    exported = ib.export("promo_numbers", old, campaigns=[CAMPAIGN, AFFILIATE])
    with pytest.raises(ib.UserError, match="has no promo number"):
        ib.run(exported, new, yes=True, progress=False)
    assert len(box.store.ledger) == bought


def test_on_the_command_line(networks: Any, cli: Any, tmp_path: Path) -> None:
    """The commands that the export prints perform the migration."""
    box, old, new = networks
    box.store.open_campaigns = True
    token = {"INVOCA_API_TOKEN": box.token, "INVOCA_BASE_URL": box.base_url}
    pd.DataFrame([CAMPAIGN, AFFILIATE]).to_csv(tmp_path / "campaigns.csv", index=False)
    for resource, more in (("advertisers", ()), ("promo_numbers", ("--campaigns", "campaigns.csv"))):
        file = f"{resource}.xlsx"
        ran = cli("export", resource, "-o", file, "--for-migration", *more, INVOCA_NETWORK_ID=OLD, **token)
        assert (ran.code, ran.err) == (0, "")
        last = ran.out.splitlines()[-1]
        assert last == f"Next, with the settings of the other network: invoca-bulk run {file} -o results.xlsx"
        ran = cli("run", file, "-o", f"{resource}-results.xlsx", "--yes", INVOCA_NETWORK_ID=NEW, **token)
        assert ran.code == 0, ran.err
    assert same(objects(old), objects(new))
    descriptions = [sorted(objects(record, [CAMPAIGN, AFFILIATE])["description"]) for record in (old, new)]
    assert descriptions == [["affiliate", "local", "own", "toll-free"]] * 2
