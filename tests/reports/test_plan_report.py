"""How a plan for the sandbox is displayed, saved and exported."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING, Any

import httpx
import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.config.options import NESTED_MODES
from invoca_bulk.errors import InvalidSheetError, OutputError
from invoca_bulk.planning import REFUSED, UNCHANGED
from invoca_bulk.reports import plan_report
from invoca_bulk.reports.plan_report import ACTION_STYLES
from invoca_bulk.reports.xlsx import BLANK, FORMATS, Style
from invoca_bulk.schema import REMOVE_ACTION, Action
from tests.examples import with_row_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from invoca_bulk.config.network import Network
    from invoca_bulk.reports.plan_report import Plan
    from invoca_bulk.sandbox_server import Sandbox

NUMBER = {
    "advertiser_id_from_network": "A-100",
    "advertiser_campaign_id_from_network": "C-100",
    "description": "Spring sale",
    "media_type": "Online: Display",
}


def user(user_id: str, first: str, last: str) -> dict[str, Any]:
    return {
        "id_from_network": user_id,
        "email_settings": [{"email_address": f"{user_id}@example.com", "use_for_notifications": True}],
        "first_name": first,
        "last_name": last,
        "contact_phone_number": "8055550100",
    }


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    """Another client of the sandbox."""
    url = f"{box.base_url}/api/2022-08-01/{box.network_id}/"
    with httpx.Client(base_url=url, headers={"Authorization": box.token}, trust_env=False) as client:
        yield client


@pytest.fixture
def put(http: httpx.Client) -> Callable[..., None]:
    """Creates an advertiser with two sites and three users, unless `values` has others."""

    def write(advertiser_id: str, name: str, **values: Any) -> None:
        sites = [{"id_from_network": "901", "name": "Downtown"}, {"id_from_network": "902"}]
        users = [user("U-1", "Ann", "Lee"), user("U-2", "Jim", "Williams"), user("U-3", "Bo", "Diaz")]
        http.put(
            f"advertisers/{advertiser_id}.json", json={"name": name, "sites": sites, "users": users} | values
        ).raise_for_status()

    return write


@pytest.fixture
def frames(put: Callable[..., None]) -> dict[str, pd.DataFrame]:
    """Sheets with every action."""
    put("A-1", "Acme")
    put("A-2", "Best", users=[])
    parent = {"advertiser_id_from_network": "A-1"}
    rows: dict[str, list[dict[str, str]]] = {
        "advertisers": [
            {"id_from_network": "A-1", "name": "Acme Inc", "web_integration_phone_number": "8005550100"},
            {"id_from_network": "A-2", "name": "Best"},
            {"id_from_network": "A-300", "action": "delete"},
            {"id_from_network": "A-9", "action": "update"},
        ],
        "users": [
            {**parent, "id_from_network": "U-1", "contact_phone_number": "8055550199"},
            {**parent, "id_from_network": "U-2", "action": "remove"},
        ],
        "promo_numbers": [{**NUMBER, "quantity": "3"}, {**NUMBER, "affiliate_id_from_network": "F-1"}],
    }
    return {name: with_row_numbers(pd.DataFrame(records).fillna("")) for name, records in rows.items()}


@pytest.fixture
def plan(frames: dict[str, pd.DataFrame], network: Network) -> Plan:
    return ib.plan(frames, network)


# In pandas


def test_actions_are_total() -> None:
    """Every action of a row has a place in the counts and a style."""
    assert set(ACTION_STYLES) == {*Action, REMOVE_ACTION, UNCHANGED, REFUSED}


def test_rows(plan: Plan) -> None:
    """Each row has its action and object; a quantity is expanded."""
    frame = plan.rows
    assert list(frame.columns) == ["sheet", "row", "action", "object", "error", "fix"]
    assert frame["row"].dtype == "int64"
    assert frame[["sheet", "row", "action", "object"]].to_numpy().tolist() == [
        ["advertisers", 2, "update", "Acme (A-1)"],
        ["advertisers", 3, "unchanged", "Best (A-2)"],
        ["advertisers", 4, "delete", "Northwind Autos (A-300)"],
        ["advertisers", 5, "refused", "(A-9)"],
        ["users", 2, "update", "Acme (A-1)"],
        ["users", 3, "remove", "Acme (A-1)"],
        *[["promo_numbers", 2, "create", "A-100 / C-100"]] * 3,
        ["promo_numbers", 3, "create", "A-100 / C-100 / F-1"],
    ]
    refused = frame[frame["action"] == "refused"].iloc[0]
    assert "no advertiser with the id_from_network 'A-9'" in refused["error"]
    assert refused["fix"]


def test_changes(plan: Plan) -> None:
    """Each field that changes has its old and new value; those of identical rows are listed once."""
    frame = plan.changes
    assert list(frame.columns) == ["sheet", "row", "action", "object", "part", "column", "old", "new"]
    assert frame[["row", "part", "column", "old", "new"]].to_numpy().tolist() == [
        [2, "", "name", "Acme", "Acme Inc"],
        [2, "", "web_integration_phone_number", "", "8005550100"],
        [2, "user Ann Lee (U-1)", "contact_phone_number", "8055550100", "8055550199"],
        [2, "", "description", "", "Spring sale"],
        [2, "", "media_type", "", "Online: Display"],
        [3, "", "description", "", "Spring sale"],
        [3, "", "media_type", "", "Online: Display"],
    ]


def test_removals(plan: Plan) -> None:
    """Each user to remove is named, with its advertiser."""
    assert plan.removals.to_dict("records") == [
        {"sheet": "users", "row": 3, "what": "user Jim Williams (U-2)", "of": "Acme (A-1)"}
    ]


def test_counts(plan: Plan) -> None:
    """The summary counts every row once, and the requests; an advertiser with its users is one request."""
    assert plan.counts == {"create": 4, "update": 2, "delete": 1, "remove": 1, "unchanged": 1, "refused": 1}
    assert plan.summary == "10 rows: 4 create, 2 update, 1 delete, 1 remove, 1 unchanged, 1 refused; 6 requests."
    assert plan.summary in repr(plan)
    assert plan.new_numbers_by_campaign == {"A-100 / C-100": 3, "A-100 / C-100 / F-1": 1}


@pytest.mark.parametrize(
    ("rows", "summary", "plain", "detailed"),
    [
        pytest.param([], "0 rows: nothing to do; 0 requests.", 2, 1, id="no-rows"),
        pytest.param([{}], "1 row: 1 create; 1 request.", 0, 2, id="changes"),
        pytest.param([{"result_status": "deleted"}], "1 row: 1 unchanged; 0 requests.", 0, 0, id="already-done"),
        pytest.param([{"quantity": "0"}], "1 row: 1 refused; 0 requests.", 2, 1, id="invalid"),
        pytest.param([{}, {"quantity": "0"}], "2 rows: 1 create, 1 refused; 1 request.", 2, 1, id="partly-invalid"),
        pytest.param([{"descripion": "x"}], "1 row: 1 refused; 0 requests.", 2, 1, id="bad-header"),
        pytest.param([{"promo_number": "8005550100"}], "1 row: 1 refused; 0 requests.", 2, 1, id="refused-by-planning"),
    ],
)
def test_exit_codes(network: Network, rows: list[dict[str, str]], summary: str, plain: int, detailed: int) -> None:
    """0 or 2 (errors); detailed: 0 nothing to do, 1 errors, 2 changes."""
    frame = pd.DataFrame([{**NUMBER, **row} for row in rows], columns=None if rows else list(NUMBER)).fillna("")
    plan = ib.plan(frame, network)
    assert (plan.summary, plan.exit_code(), plan.exit_code(detailed=True)) == (summary, plain, detailed)
    assert plan.ok is (plain == 0)


def test_sandbox_results_are_rejected(box: Sandbox) -> None:
    """Numbers from the sandbox do not count as real ones, neither in a plan nor in a run."""
    results = ib.run(pd.DataFrame([NUMBER]), box, progress=False)
    other_network = ib.Network(network_id="1", token="t", base_url="https://other.invalid")
    with pytest.raises(InvalidSheetError, match="rehearsal"):
        ib.plan(results, other_network)


# In a terminal


def test_lines(plan: Plan) -> None:
    """The lines have the counts, what cannot be undone, the changes with old and new values, and the refused rows."""
    assert plan.lines() == [
        plan.summary,
        "Cannot be undone: buys 4 promo numbers, deletes 1 advertiser, removes 1 user.",
        "  A-100 / C-100: 3 numbers to buy",
        "  A-100 / C-100 / F-1: 1 number to buy",
        "  deletes Northwind Autos (A-300)",
        "  Acme (A-1): removes user Jim Williams (U-2)",
        "Changes:",
        "  advertisers row 2, name (Acme (A-1)): Acme -> Acme Inc",
        f"  advertisers row 2, web_integration_phone_number (Acme (A-1)): {BLANK} -> 8005550100",
        "  users row 2, contact_phone_number (user Ann Lee (U-1)): 8055550100 -> 8055550199",
        "Refused:",
        f"  advertisers row 5, id_from_network: {plan.rows['error'][3]} {plan.rows['fix'][3]}",
    ]


def test_only_the_first_changes_are_shown(put: Callable[..., None], network: Network) -> None:
    """Of many changes, twenty are shown, and the others are counted."""
    for number in range(30):
        put(f"A-{number}", f"Name {number}")
    frame = with_row_numbers(pd.DataFrame({"id_from_network": [f"A-{number}" for number in range(30)]}))
    lines = ib.plan(frame.assign(web_integration_phone_number="8005550100"), network).lines()
    assert lines[0] == "30 rows: 30 update; 30 requests."
    assert lines[2].startswith("  row 2, web_integration_phone_number (Name 0 (A-0))")
    assert (len(lines), lines[-1]) == (23, "  … and 10 more")


def test_warnings_are_shown(network: Network) -> None:
    """Warnings are shown, those of planning first."""
    deletions = [{"id_from_network": f"A-{number}", "action": "delete"} for number in (8, 9)]
    row = {"id_from_network": "A-7", "action": "create", "name": "Seven", "sites.1.id_from_network": "7"}
    frame = pd.DataFrame([row | {"web_integration_phone_number": "(800) 555-0100"}, *deletions]).fillna("")
    plan = ib.plan(with_row_numbers(frame), network)
    lines = plan.lines()
    texts = [
        f"  row {row}, id_from_network: The platform has no advertiser 'A-{row + 5}', so there is nothing to delete. "
        "Check the id if the advertiser should exist."
        for row in (3, 4)
    ]
    start = lines.index("Warnings:") + 1
    assert lines[start : start + 2] == texts
    assert set(plan.issues["code"][plan.issues["level"] == "warning"]) == {"already_gone", "cell_cleaned"}
    assert plan.ok


def test_every_loss_is_named(put: Callable[..., None], network: Network) -> None:
    """With replace and without allowed removals, every user and site that would be removed is named."""
    for number in range(25):
        put(f"A-{number}", f"Name {number}", users=[user(f"U-{number}", "Jo", f"Doe{number}")])
    frame = pd.DataFrame({"id_from_network": [f"A-{number}" for number in range(25)], "sites.1.id_from_network": "901"})
    plan = ib.plan(frame, network, nested="replace")
    text = "\n".join(plan.lines())
    assert plan.counts == {"refused": 25}
    assert all(f"user Jo Doe{number} (U-{number})" in text for number in range(25))
    assert text.count("site 902") == 25


# In a file


COLOURS = {
    **{str(FORMATS[style]["bg_color"]).replace("#", "FF"): style for style in (Style.OK, Style.WARNING, Style.ERROR)},
    "00000000": Style.PLAIN,
}


def styled_texts(row: Any) -> list[tuple[str, Style]]:
    """Text and style of the cells with a text."""
    return [
        (cell.value, Style.MUTED if cell.font.italic else COLOURS[cell.fill.fgColor.rgb]) for cell in row if cell.value
    ]


def test_workbook(plan: Plan, tmp_path: Path) -> None:
    """One line per change with coloured old and new values; the header is frozen and has filters."""
    worksheet = openpyxl.load_workbook(plan.to_excel(tmp_path / "plan.xlsx"))["plan"]
    header = [cell.value for cell in worksheet[1]]
    assert header == ["sheet", "row", "action", "object", "part", "column", "old", "new", "reason", "fix"]
    assert (worksheet.freeze_panes, worksheet.auto_filter.ref) == ("A2", "A1:J14")
    plain, ok, warning, error, muted = Style.PLAIN, Style.OK, Style.WARNING, Style.ERROR, Style.MUTED
    lines = [styled_texts(row[2:]) for row in worksheet.iter_rows(min_row=2)]
    acme = ("Acme (A-1)", plain)
    assert lines[:4] == [
        [("update", warning), acme, ("name", plain), ("Acme", error), ("Acme Inc", ok)],
        [("update", warning), acme, ("web_integration_phone_number", plain), (BLANK, muted), ("8005550100", ok)],
        [("unchanged", muted), ("Best (A-2)", muted)],
        [("delete", error), ("Northwind Autos (A-300)", plain)],
    ]
    assert [style for _, style in lines[4]] == [error, plain, error, error]
    assert lines[6] == [("remove", error), acme, ("user Jim Williams (U-2)", error)]
    created = [("create", ok), ("A-100 / C-100", plain)]
    assert lines[7] == [*created, ("description", plain), ("Spring sale", ok)]
    assert lines[9:11] == [created, created]


def test_summary_worksheet(plan: Plan, tmp_path: Path) -> None:
    """The second worksheet has the network, the options, the counts, and what cannot be undone."""
    worksheet = openpyxl.load_workbook(plan.to_excel(tmp_path / "plan.xlsx"))["summary"]
    rows = [(first, second) for first, second in worksheet.iter_rows(values_only=True) if first]
    for line in (
        ("network", f"1234 at {plan.network.base_url}"),
        ("users and sites", "merge: keeps users and sites that the sheet does not mention"),
        ("create", "4"),
        ("requests", "6"),
        ("buys 4 promo numbers", None),
        ("A-100 / C-100", "3"),
        ("Northwind Autos (A-300)", "deleted"),
        ("user Jim Williams (U-2)", "removed from Acme (A-1)"),
    ):
        assert line in rows


def test_nested_modes_are_total() -> None:
    """The summary describes every mode for users and sites."""
    assert set(plan_report._NESTED_HELP) == set(NESTED_MODES)  # noqa: SLF001  the table itself


def test_csv(plan: Plan, tmp_path: Path) -> None:
    """CSV has the lines of the first worksheet, all with the same number of columns."""
    frame = pd.read_csv(plan.to_excel(tmp_path / "plan.csv"), dtype=str, keep_default_na=False)
    assert list(frame["action"]).count("create") == 6
    assert frame.iloc[0].to_list()[-4:] == ["Acme", "Acme Inc", "", ""]


def test_single_sheet_has_no_sheet_column(network: Network, tmp_path: Path) -> None:
    """With one sheet, there is no column `sheet`; the outcome of an earlier run is shown."""
    frame = pd.DataFrame([NUMBER | {"result_status": "deleted"}])
    worksheet = openpyxl.load_workbook(ib.plan(frame, network).to_excel(tmp_path / "plan.xlsx"))["plan"]
    assert [cell.value for cell in worksheet[1]][:2] == ["row", "action"]
    assert styled_texts(worksheet[2])[1:] == [("unchanged", Style.MUTED), ("an earlier run: deleted", Style.MUTED)]


def test_the_sheet_is_never_overwritten(network: Network, tmp_path: Path) -> None:
    """The plan cannot be written to the file of the sheet."""
    pd.DataFrame([NUMBER]).to_csv(tmp_path / "sheet.csv", index=False)
    plan = ib.plan(tmp_path / "sheet.csv", network)
    content = (tmp_path / "sheet.csv").read_bytes()
    with pytest.raises(OutputError, match="never overwritten"):
        plan.to_excel(tmp_path / "sheet.csv")
    assert (tmp_path / "sheet.csv").read_bytes() == content


def test_too_many_lines_for_a_worksheet(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error suggests CSV."""
    monkeypatch.setattr("invoca_bulk.reports.xlsx.MAX_ROWS", 5)
    with pytest.raises(OutputError, match=r"Write it as \.csv"):
        plan.to_excel(tmp_path / "plan.xlsx")
    assert plan.to_excel(tmp_path / "plan.csv").exists()


# For programs


def test_json(plan: Plan) -> None:
    """The JSON has the counts, what cannot be undone, and each row with its changes."""
    content = json.loads(json.dumps(plan.to_json()))
    assert content["counts"] == plan.counts
    assert (content["requests"], content["new_numbers"], content["exit_code"]) == (6, 4, 2)
    irreversible = ["buys 4 promo numbers", "deletes 1 advertiser", "removes 1 user"]
    assert content["irreversible"] == irreversible
    assert content["effects"] == [*irreversible, "changes 3 fields"]
    assert content["removals"][0]["what"] == "user Jim Williams (U-2)"
    assert content["rows"][0]["changes"][0] == {"part": "", "column": "name", "old": "Acme", "new": "Acme Inc"}
    assert [len(row["changes"]) for row in content["rows"]] == [2, 0, 0, 0, 1, 0, 2, 0, 0, 2]
    assert [issue["code"] for issue in content["issues"]] == ["advertiser_not_found"]
    assert plan.to_json(detailed=True)["exit_code"] == 1


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "=1+1", "ü\u2028", "<b>&"])
def test_hostile_texts(network: Network, tmp_path: Path, text: str) -> None:
    """Whatever a cell holds, the plan can be displayed, written and saved."""
    plan = ib.plan(pd.DataFrame([NUMBER | {"custom_data.x": text, "media_type": f"no{text}", text: "y"}]), network)
    plan.lines()
    json.dumps(plan.to_json())
    assert [plan.to_excel(tmp_path / f"plan.{extension}").exists() for extension in ("xlsx", "csv")] == [True, True]
    assert plan.save(tmp_path / "plan.json").exists()


def test_no_secret_gets_out(plan: Plan, box: Sandbox, tmp_path: Path) -> None:
    """Neither the API token nor a token of the platform is in anything that a plan displays or writes."""
    advertisers = box.store.networks[box.network_id].advertisers.values()
    secrets = {vars(advertiser)["values"]["oauth_refresh_token"] for advertiser in advertisers} | {box.token}
    secrets |= {user["oauth_refresh_token"] for advertiser in advertisers for user in advertiser.users}
    assert len(secrets) > 5
    texts = [repr(plan), repr(plan.network), "\n".join(plan.lines()), json.dumps(plan.to_json())]
    texts += [
        plan.to_excel(tmp_path / "plan.csv").read_text("utf-8"),
        plan.save(tmp_path / "plan.json").read_text("utf-8"),
    ]
    with zipfile.ZipFile(plan.to_excel(tmp_path / "plan.xlsx")) as book:
        texts += [book.read(name).decode("utf-8", "replace") for name in book.namelist()]
    assert not [secret for secret in secrets for text in texts if secret in text]


# Number of requests


def test_requests_to_plan_advertisers(box: Sandbox, network: Network) -> None:
    """1,000 advertisers plan with at most 2 requests."""
    for number in range(1000):
        box.store.add_advertiser(f"A-{number}")
    frame = pd.DataFrame({"id_from_network": [f"A-{number}" for number in range(1000)]})
    count_before = box.store.request_count
    plan = ib.plan(frame.assign(web_integration_phone_number="8005550100"), network)
    assert plan.counts == {"update": 1000}
    assert box.store.request_count - count_before <= 2


def test_requests_to_plan_numbers(box: Sandbox, network: Network, http: httpx.Client) -> None:
    """1,000 promo numbers over 20 campaigns plan with at most 21 requests."""
    body = {"description": "old", "media_type": "Online: Display"}
    rows = []
    for number in range(1000):
        campaign = f"C-{number % 20}"
        response = http.post(f"advertisers/A-100/advertiser_campaigns/{campaign}/promo_numbers.json", json=body)
        row = NUMBER | {"advertiser_campaign_id_from_network": campaign, "description": "new"}
        rows.append(row | {"promo_number": response.json()["promo_number"]})
    count_before = box.store.request_count
    plan = ib.plan(pd.DataFrame(rows), network)
    assert plan.counts == {"update": 1000}
    assert box.store.request_count - count_before <= 21
