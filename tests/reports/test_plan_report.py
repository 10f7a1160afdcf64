"""A plan as people look at it, made on the sandbox."""

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
from invoca_bulk.reports.plan_report import ACTION_STYLES, BLANK
from invoca_bulk.reports.xlsx import FORMATS, Style
from invoca_bulk.schema import REMOVE_ACTION, Action

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from invoca_bulk.config.settings import Network
    from invoca_bulk.reports.plan_report import Plan
    from invoca_bulk.sandbox_server import Sandbox

NUMBER = {
    "advertiser_id_from_network": "A-100",
    "advertiser_campaign_id_from_network": "C-100",
    "description": "Spring sale",
    "media_type": "Online: Display",
}


def user(own_id: str, first: str, last: str) -> dict[str, Any]:
    return {
        "id_from_network": own_id,
        "email_settings": [{"email_address": f"{own_id}@example.com", "use_for_notifications": True}],
        "first_name": first,
        "last_name": last,
        "contact_phone_number": "8055550100",
    }


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    """The sandbox as somebody else sees it."""
    url = f"{box.base_url}/api/2022-08-01/{box.network_id}/"
    with httpx.Client(base_url=url, headers={"Authorization": box.token}, trust_env=False) as client:
        yield client


@pytest.fixture
def put(http: httpx.Client) -> Callable[..., None]:
    """Writes an advertiser with two sites and three users, or those that are given."""

    def write(own_id: str, name: str, **more: Any) -> None:
        sites = [{"id_from_network": "901", "name": "Downtown"}, {"id_from_network": "902"}]
        users = [user("U-1", "Ann", "Lee"), user("U-2", "Jim", "Williams"), user("U-3", "Bo", "Diaz")]
        http.put(
            f"advertisers/{own_id}.json", json={"name": name, "sites": sites, "users": users} | more
        ).raise_for_status()

    return write


@pytest.fixture
def world(put: Callable[..., None]) -> dict[str, pd.DataFrame]:
    """A workbook that asks for something of each sort of the sandbox."""
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
    return {name: pd.DataFrame(one).fillna("") for name, one in rows.items()}


@pytest.fixture
def made(world: dict[str, pd.DataFrame], network: Network) -> Plan:
    return ib.plan(world, network)


# In pandas


def test_actions_are_total() -> None:
    """Each thing that a plan says of a row has its place in the counts, and its colour."""
    assert set(ACTION_STYLES) == {*Action, REMOVE_ACTION, UNCHANGED, REFUSED}


def test_rows(made: Plan) -> None:
    """Each row says what is done with it and to what; a quantity is written out."""
    frame = made.rows
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


def test_changes(made: Plan) -> None:
    """Each field that changes stands with what it was and what it will be; of equal rows once."""
    frame = made.changes
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


def test_removals(made: Plan) -> None:
    """Each user that goes is named, with the advertiser that loses it."""
    assert made.removals.to_dict("records") == [
        {"sheet": "users", "row": 3, "what": "user Jim Williams (U-2)", "of": "Acme (A-1)"}
    ]


def test_counts(made: Plan) -> None:
    """The sentence counts every row once, and the requests; an advertiser with its users is one."""
    assert made.counts == {"create": 4, "update": 2, "delete": 1, "remove": 1, "unchanged": 1, "refused": 1}
    assert made.summary == "10 rows: 4 create, 2 update, 1 delete, 1 remove, 1 unchanged, 1 refused; 6 requests."
    assert made.summary in repr(made)
    assert made.new_numbers_by_campaign == {"A-100 / C-100": 3, "A-100 / C-100 / F-1": 1}


@pytest.mark.parametrize(
    ("rows", "summary", "plain", "detailed"),
    [
        pytest.param([], "0 rows: nothing to do; 0 requests.", 0, 0, id="no-rows"),
        pytest.param([{}], "1 row: 1 create; 1 request.", 0, 2, id="changes"),
        pytest.param([{"result_status": "created"}], "1 row: 1 unchanged; 0 requests.", 0, 0, id="done-before"),
        pytest.param([{"quantity": "0"}], "1 row: 1 refused; 0 requests.", 2, 1, id="invalid"),
        pytest.param([{}, {"quantity": "0"}], "2 rows: 1 create, 1 refused; 1 request.", 2, 1, id="partly-invalid"),
        pytest.param([{"descripion": "x"}], "1 row: 1 refused; 0 requests.", 2, 1, id="bad-header"),
        pytest.param([{"promo_number": "8005550100"}], "1 row: 1 refused; 0 requests.", 2, 1, id="by-the-plan"),
    ],
)
def test_exit_codes(network: Network, rows: list[dict[str, str]], summary: str, plain: int, detailed: int) -> None:
    """0 or 2 (errors); detailed: 0 nothing to do, 1 errors, 2 changes."""
    frame = pd.DataFrame([{**NUMBER, **one} for one in rows], columns=None if rows else list(NUMBER)).fillna("")
    made = ib.plan(frame, network)
    assert (made.summary, made.exit_code(), made.exit_code(detailed=True)) == (summary, plain, detailed)
    assert made.ok is (plain == 0)


def test_results_of_a_rehearsal_are_refused(box: Sandbox) -> None:
    """Made-up numbers do not pass for done ones, in a plan as little as in a run."""
    results = ib.run(pd.DataFrame([NUMBER]), box, progress=False)
    elsewhere = ib.Network(network_id="1", token="t", base_url="https://other.invalid")
    with pytest.raises(InvalidSheetError, match="rehearsal"):
        ib.plan(results, elsewhere)


# In a terminal


def test_lines(made: Plan) -> None:
    """Counts, what cannot be undone by place and name, the changes with old and new, and what is refused."""
    assert made.lines() == [
        made.summary,
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
        f"  advertisers row 5, id_from_network: {made.rows['error'][3]} {made.rows['fix'][3]}",
    ]


def test_only_the_first_changes_are_shown(put: Callable[..., None], network: Network) -> None:
    """Of many changes twenty are shown, and how many more there are."""
    for number in range(30):
        put(f"A-{number}", f"Name {number}")
    frame = pd.DataFrame({"id_from_network": [f"A-{number}" for number in range(30)]})
    lines = ib.plan(frame.assign(web_integration_phone_number="8005550100"), network).lines()
    assert lines[0] == "30 rows: 30 update; 30 requests."
    assert lines[2].startswith("  row 2, web_integration_phone_number (Name 0 (A-0))")
    assert (len(lines), lines[-1]) == (23, "  … and 10 more")


def test_warnings_are_shown(network: Network) -> None:
    """What keeps nothing from being done but should be looked at is told, what the platform's state gives first."""
    gone = [{"id_from_network": f"A-{number}", "action": "delete"} for number in (8, 9)]
    row = {"id_from_network": "A-7", "action": "create", "name": "Seven", "sites.1.id_from_network": "7"}
    frame = pd.DataFrame([row | {"web_integration_phone_number": "(800) 555-0100"}, *gone]).fillna("")
    made = ib.plan(frame, network)
    lines = made.lines()
    texts = [
        f"  row {row}, id_from_network: The platform has no advertiser 'A-{row + 5}', so there is nothing to delete. "
        "Check the id if the advertiser should exist."
        for row in (3, 4)
    ]
    at = lines.index("Warnings:")
    assert lines[at + 1 : at + 3] == texts
    assert set(made.issues["code"][made.issues["level"] == "warning"]) == {"already_gone", "cell_cleaned"}
    assert made.ok


def test_whoever_would_be_lost_is_named(put: Callable[..., None], network: Network) -> None:
    """Under replace without leave to remove, each user and site of each advertiser is in the text, however many."""
    for number in range(25):
        put(f"A-{number}", f"Name {number}", users=[user(f"U-{number}", "Jo", f"Doe{number}")])
    frame = pd.DataFrame({"id_from_network": [f"A-{number}" for number in range(25)], "sites.1.id_from_network": "901"})
    made = ib.plan(frame, network, nested="replace")
    text = "\n".join(made.lines())
    assert made.counts == {"refused": 25}
    assert all(f"user Jo Doe{number} (U-{number})" in text for number in range(25))
    assert text.count("site 902") == 25


# In a file


COLOURS = {
    **{str(FORMATS[style]["bg_color"]).replace("#", "FF"): style for style in (Style.OK, Style.WARNING, Style.ERROR)},
    "00000000": Style.PLAIN,
}


def looks(row: Any) -> list[tuple[str, Style]]:
    """Text and colour of the cells that have any text."""
    return [
        (cell.value, Style.MUTED if cell.font.italic else COLOURS[cell.fill.fgColor.rgb]) for cell in row if cell.value
    ]


def test_workbook(made: Plan, tmp_path: Path) -> None:
    """A line a change, old beside new, coloured as people read them; the header stays in sight and has filters."""
    page = openpyxl.load_workbook(made.save(tmp_path / "plan.xlsx"))["plan"]
    header = [cell.value for cell in page[1]]
    assert header == ["sheet", "row", "action", "object", "part", "column", "old", "new", "reason", "fix"]
    assert (page.freeze_panes, page.auto_filter.ref) == ("A2", "A1:J14")
    plain, ok, warning, error, muted = Style.PLAIN, Style.OK, Style.WARNING, Style.ERROR, Style.MUTED
    lines = [looks(row[2:]) for row in page.iter_rows(min_row=2)]
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


def test_summary_page(made: Plan, tmp_path: Path) -> None:
    """The second page says where, how, how much, and what cannot be undone."""
    page = openpyxl.load_workbook(made.save(tmp_path / "plan.xlsx"))["summary"]
    told = [(first, second) for first, second in page.iter_rows(values_only=True) if first]
    for line in (
        ("network", f"1234 at {made.network.base_url}"),
        ("users and sites", "merge: users and sites that the sheet does not mention stay"),
        ("create", "4"),
        ("requests", "6"),
        ("buys 4 promo numbers", None),
        ("A-100 / C-100", "3"),
        ("Northwind Autos (A-300)", "deleted"),
        ("user Jim Williams (U-2)", "removed from Acme (A-1)"),
    ):
        assert line in told


def test_ways_are_total() -> None:
    """The summary can tell each way to treat users and sites."""
    assert set(plan_report._NESTED_HELP) == set(NESTED_MODES)  # noqa: SLF001  the table itself


def test_csv(made: Plan, tmp_path: Path) -> None:
    """CSV has the lines of the first page, all equally long."""
    frame = pd.read_csv(made.save(tmp_path / "plan.csv"), dtype=str, keep_default_na=False)
    assert list(frame["action"]).count("create") == 6
    assert frame.iloc[0].to_list()[-4:] == ["Acme", "Acme Inc", "", ""]


def test_one_sheet_has_no_column_for_it(network: Network, tmp_path: Path) -> None:
    """Where one sheet was read, nothing has to be told apart; what an earlier run made of a row is said."""
    frame = pd.DataFrame([NUMBER | {"result_status": "created"}])
    page = openpyxl.load_workbook(ib.plan(frame, network).save(tmp_path / "plan.xlsx"))["plan"]
    assert [cell.value for cell in page[1]][:2] == ["row", "action"]
    assert looks(page[2])[1:] == [("unchanged", Style.MUTED), ("an earlier run: created", Style.MUTED)]


def test_the_sheet_is_never_overwritten(network: Network, tmp_path: Path) -> None:
    """The plan cannot be written where the sheet is."""
    pd.DataFrame([NUMBER]).to_csv(tmp_path / "sheet.csv", index=False)
    made = ib.plan(tmp_path / "sheet.csv", network)
    before = (tmp_path / "sheet.csv").read_bytes()
    with pytest.raises(OutputError, match="never overwritten"):
        made.save(tmp_path / "sheet.csv")
    assert (tmp_path / "sheet.csv").read_bytes() == before


def test_more_lines_than_a_worksheet_holds(made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, with the way out: CSV."""
    monkeypatch.setattr("invoca_bulk.reports.xlsx.MAX_ROWS", 5)
    with pytest.raises(OutputError, match=r"Write it as \.csv"):
        made.save(tmp_path / "plan.xlsx")
    assert made.save(tmp_path / "plan.csv").exists()


# For programs


def test_json(made: Plan) -> None:
    """Everything is in it: counts, what cannot be undone, and each row with its changes."""
    told = json.loads(json.dumps(made.to_json()))
    assert told["counts"] == made.counts
    assert (told["requests"], told["new_numbers"], told["exit_code"]) == (6, 4, 2)
    assert told["irreversible"] == ["buys 4 promo numbers", "deletes 1 advertiser", "removes 1 user"]
    assert told["removals"][0]["what"] == "user Jim Williams (U-2)"
    assert told["rows"][0]["changes"][0] == {"part": "", "column": "name", "old": "Acme", "new": "Acme Inc"}
    assert [len(one["changes"]) for one in told["rows"]] == [2, 0, 0, 0, 1, 0, 2, 0, 0, 2]
    assert [one["code"] for one in told["issues"]] == ["advertiser_not_found"]
    assert made.to_json(detailed=True)["exit_code"] == 1


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "=1+1", "ü\u2028", "<b>&"])
def test_hostile_texts(network: Network, tmp_path: Path, text: str) -> None:
    """Whatever a cell holds, the plan can be shown, written and kept."""
    made = ib.plan(pd.DataFrame([NUMBER | {"custom_data.x": text, "media_type": f"no{text}", text: "y"}]), network)
    made.lines()
    json.dumps(made.to_json())
    assert [made.save(tmp_path / f"plan.{ending}").exists() for ending in ("xlsx", "csv")] == [True, True]
    assert made.keep(tmp_path / "plan.json").exists()


def test_no_secret_gets_out(made: Plan, box: Sandbox, tmp_path: Path) -> None:
    """Neither our token nor one of the platform's is in anything that a plan shows or writes."""
    advertisers = box.store.networks[box.network_id].advertisers.values()
    secrets = {vars(one)["values"]["oauth_refresh_token"] for one in advertisers} | {box.token}
    secrets |= {user["oauth_refresh_token"] for one in advertisers for user in one.users}
    assert len(secrets) > 5
    texts = [repr(made), repr(made.network), "\n".join(made.lines()), json.dumps(made.to_json())]
    texts += [made.save(tmp_path / "plan.csv").read_text("utf-8"), made.keep(tmp_path / "plan.json").read_text("utf-8")]
    with zipfile.ZipFile(made.save(tmp_path / "plan.xlsx")) as book:
        texts += [book.read(name).decode("utf-8", "replace") for name in book.namelist()]
    assert not [secret for secret in secrets for text in texts if secret in text]


# As few requests as it can


def test_a_thousand_advertisers_are_one_list(box: Sandbox, network: Network) -> None:
    """1,000 advertisers plan with at most 2 requests."""
    for number in range(1000):
        box.store.add_advertiser(f"A-{number}")
    frame = pd.DataFrame({"id_from_network": [f"A-{number}" for number in range(1000)]})
    before = box.store.request_count
    made = ib.plan(frame.assign(web_integration_phone_number="8005550100"), network)
    assert made.counts == {"update": 1000}
    assert box.store.request_count - before <= 2


def test_a_thousand_numbers_are_a_list_a_campaign(box: Sandbox, network: Network, http: httpx.Client) -> None:
    """1,000 promo numbers over 20 campaigns plan with at most 21 requests."""
    body = {"description": "old", "media_type": "Online: Display"}
    rows = []
    for number in range(1000):
        campaign = f"C-{number % 20}"
        answer = http.post(f"advertisers/A-100/advertiser_campaigns/{campaign}/promo_numbers.json", json=body)
        row = NUMBER | {"advertiser_campaign_id_from_network": campaign, "description": "new"}
        rows.append(row | {"promo_number": answer.json()["promo_number"]})
    before = box.store.request_count
    made = ib.plan(pd.DataFrame(rows), network)
    assert made.counts == {"update": 1000}
    assert box.store.request_count - before <= 21
