"""`invoca-bulk plan`, and `run` of its saved plans, as separate processes against the sandbox."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any

import click
import httpx
import openpyxl
import pandas as pd
import pytest

from invoca_bulk.cli import plan as plan_command
from invoca_bulk.config.options import NESTED_MODES, PlanOptions
from invoca_bulk.web import screens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from invoca_bulk.sandbox_server import Sandbox

NUMBER = {
    "advertiser_id_from_network": "A-100",
    "advertiser_campaign_id_from_network": "C-100",
    "description": "Spring sale",
    "media_type": "Online: Display",
}


@pytest.fixture
def environment(box: Sandbox) -> dict[str, str]:
    return {"INVOCA_BASE_URL": box.base_url, "INVOCA_NETWORK_ID": box.network_id, "INVOCA_API_TOKEN": box.token}


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    """Another client of the sandbox."""
    url = f"{box.base_url}/api/2022-08-01/{box.network_id}/"
    with httpx.Client(base_url=url, headers={"Authorization": box.token}, trust_env=False) as client:
        yield client


@pytest.fixture
def fifty(http: httpx.Client) -> list[dict[str, Any]]:
    """50 advertisers with 3 users and 2 sites each, as the platform returns them."""
    for number in range(50):
        users = [
            {
                "id_from_network": f"U-{number}-{user_number}",
                "email_settings": [
                    {"email_address": f"u{number}.{user_number}@example.com", "use_for_notifications": True}
                ],
                "first_name": "Jo",
                "last_name": f"Doe{number}x{user_number}",
                "contact_phone_number": "8055550100",
            }
            for user_number in (1, 2, 3)
        ]
        sites = [{"id_from_network": f"{number}1"}, {"id_from_network": f"{number}2"}]
        body = {"name": f"Name {number}", "users": users, "sites": sites}
        http.put(f"advertisers/B-{number}.json", json=body).raise_for_status()
    advertisers: list[dict[str, Any]] = http.get("advertisers.json").json()
    return advertisers


@pytest.fixture
def edit(tmp_path: Path) -> Path:
    """A sheet that changes one field of one of the sandbox's advertisers and nothing of another."""
    path = tmp_path / "edit.csv"
    frame = pd.DataFrame([{"id_from_network": "A-100", "name": "Acme Inc"}, {"id_from_network": "A-200", "name": ""}])
    frame.to_csv(path, index=False)
    return path


@pytest.fixture
def requests(tmp_path: Path) -> Path:
    path = tmp_path / "requests.csv"
    pd.DataFrame([NUMBER, NUMBER | {"description": "2"}]).to_csv(path, index=False)
    return path


def next_command(out: str) -> list[str]:
    """The words of the next command without the program's name."""
    command = re.search(r"Next: .*?invoca-bulk (.+)", out)
    assert command, out
    return shlex.split(command[1])


def test_a_plan_is_shown_and_then_run(cli: Any, environment: dict[str, str], edit: Path, http: httpx.Client) -> None:
    """The plan sends nothing; the command that it prints carries it out."""
    ran = cli("plan", edit, **environment)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "2 rows: 1 update, 1 unchanged; 1 request.",
        "Changes:",
        "  row 2, name (Acme Tickets (A-100)): Acme Tickets -> Acme Inc",
        f"Next: invoca-bulk run {edit}",
    ]
    assert http.get("advertisers/A-100.json").json()["name"] == "Acme Tickets"
    assert cli(*next_command(ran.out), **environment).code == 0
    assert http.get("advertisers/A-100.json").json()["name"] == "Acme Inc"
    assert cli("plan", edit, **environment).out.splitlines()[-1] == "There is nothing to do."


def test_the_next_command_repeats_the_options(
    cli: Any, environment: dict[str, str], edit: Path, tmp_path: Path
) -> None:
    """The next command has the options of the plan that apply to it."""
    (tmp_path / "token").write_text(environment.pop("INVOCA_API_TOKEN"))
    network = ["--network-id", environment.pop("INVOCA_NETWORK_ID"), "--base-url", environment.pop("INVOCA_BASE_URL")]
    common = [*network, "--token-file", "token", "--timeout", "9.0", "--concurrency", "2"]
    options = ["--nested", "merge", "--allow-removals", "--resource", "advertisers"]
    ran = cli("plan", edit, "-o", "plan.xlsx", "--detailed-exitcode", *options, *common)
    assert set(next_command(ran.out)) == {"run", str(edit), *options, *common}
    ran = cli("plan", edit, "--save", "plan.json", *options, *common)
    assert set(next_command(ran.out)) == {"run", "plan.json", *common}


def test_plan_files_do_not_overwrite(cli: Any, environment: dict[str, str], edit: Path, tmp_path: Path) -> None:
    """-o and --save print the names of their files and do not overwrite existing ones."""
    for name in ("plan.xlsx", "plan.json"):
        (tmp_path / name).write_text("mine")
    ran = cli("plan", edit, "-o", "plan.xlsx", "--save", "plan.json", **environment)
    assert (ran.code, "plan-2.xlsx" in ran.out, "plan-2.json" in ran.out) == (0, True, True)
    assert {(tmp_path / name).read_text() for name in ("plan.xlsx", "plan.json")} == {"mine"}
    page = openpyxl.load_workbook(tmp_path / "plan-2.xlsx")["plan"]
    assert [page.cell(2, column).value for column in (2, 6, 7)] == ["update", "Acme Tickets", "Acme Inc"]
    assert next_command(ran.out) == ["run", "plan-2.json"]


def test_nested_offers_every_mode() -> None:
    """--nested offers every mode, on the command line and on the page, and its default is the one of `PlanOptions`."""
    (option,) = (parameter for parameter in plan_command.command.params if parameter.name == "nested")
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == NESTED_MODES == tuple(screens._NESTED_MODE_LABELS)  # noqa: SLF001  the table itself
    assert option.default == PlanOptions().nested


@pytest.mark.parametrize("flags", [("-o", "plan.txt"), ("--save", "plan.xlsx"), ("--sandbox", "--save", "plan.json")])
def test_output_names_are_checked_first(
    cli: Any, environment: dict[str, str], edit: Path, box: Any, flags: Any
) -> None:
    """Unwritable files are rejected before the first request."""
    ran = cli("plan", edit, *flags, **environment)
    assert (ran.code, box.store.request_count) == (2, 0)
    assert "Traceback" not in ran.err


def test_a_sheet_with_errors_is_planned(cli: Any, environment: dict[str, str], tmp_path: Path) -> None:
    """A sheet with errors is planned with its invalid rows refused: exit 2."""
    pd.DataFrame([NUMBER, NUMBER | {"media_type": "x"}]).to_csv(tmp_path / "bad.csv", index=False)
    ran = cli("plan", "bad.csv", **environment)
    assert (ran.code, ran.err) == (2, "")
    assert "2 rows: 1 create, 1 refused; 1 request." in ran.out
    assert (
        "  row 3, media_type: 'x' is not a valid value for 'media_type' (if your account has it: --allow-unlisted)."
        in ran.out
    )
    assert "Next: correct bad.csv, then invoca-bulk plan bad.csv" in ran.out


@pytest.mark.parametrize(
    ("rows", "flags", "code"),
    [
        pytest.param([NUMBER], (), 2, id="changes"),
        pytest.param([NUMBER | {"result_status": "deleted"}], (), 0, id="nothing-to-do"),
        pytest.param([NUMBER, NUMBER | {"media_type": "x"}], (), 1, id="row-error"),
        pytest.param([NUMBER], ("--concurrency", "x"), 1, id="usage"),
        pytest.param([NUMBER], ("--save", "plan.txt"), 1, id="flag"),
        pytest.param([NUMBER], ("--token-file", "missing"), 1, id="token"),
        pytest.param([NUMBER], ("--network-id", "999"), 1, id="platform"),
        pytest.param(None, (), 1, id="no-file"),
    ],
)
def test_detailed_exit_codes(
    cli: Any,
    environment: dict[str, str],
    *,
    requests: Path,
    rows: list[dict[str, str]] | None,
    flags: tuple[str, ...],
    code: int,
) -> None:
    """With --detailed-exitcode: 0 nothing to do, 1 any error, 2 changes."""
    if rows:
        pd.DataFrame(rows).to_csv(requests, index=False)
    ran = cli("plan", requests if rows else "missing.csv", "--detailed-exitcode", "--json", *flags, **environment)
    assert (ran.code, json.loads(ran.out)["exit_code"]) == (code, code)


def test_json_is_for_programs(cli: Any, environment: dict[str, str], requests: Path, tmp_path: Path) -> None:
    """--json prints one object with the files and the next command."""
    ran = cli("plan", requests, "--json", "--save", "plan.json", "-o", "plan.csv", **environment)
    report = json.loads(ran.out)
    assert (ran.code, ran.err, report["exit_code"], report["new_numbers"], report["requests"]) == (0, "", 0, 2, 2)
    assert (report["output"], report["saved"], report["next"]) == ("plan.csv", "plan.json", "invoca-bulk run plan.json")
    assert {change["column"] for row in report["rows"] for change in row["changes"]} == {"description", "media_type"}
    assert (tmp_path / "plan.csv").exists()


def test_a_rehearsal_can_be_planned(cli: Any, requests: Path) -> None:
    """--sandbox needs neither a network nor a token, and the next command has --sandbox too."""
    ran = cli("plan", requests, "--sandbox")
    assert "Cannot be undone: buys 2 promo numbers." in ran.out
    assert cli(*next_command(ran.out)).code == 0


def test_ids_assigned_by_the_network(cli: Any, tmp_path: Path) -> None:
    """An advertiser without an id can be planned and run with --auto-ids, and is refused without it."""
    pd.DataFrame([{"name": "New", "sites.1.id_from_network": "1"}]).to_csv(tmp_path / "new.csv", index=False)
    assert cli("plan", "new.csv", "--resource", "advertisers", "--sandbox").code == 2
    ran = cli("plan", "new.csv", "--resource", "advertisers", "--auto-ids", "--sandbox")
    assert (ran.code, "1 row: 1 create; 1 request." in ran.out) == (0, True)
    assert cli(*next_command(ran.out)).code == 0


def test_a_wrong_token(cli: Any, environment: dict[str, str], edit: Path) -> None:
    """The message shows the same command to run again, and not the token."""
    ran = cli("plan", edit, "--timeout", "9", **environment | {"INVOCA_API_TOKEN": "a-wrong-token"})
    assert ran.code == 3
    assert f"invoca-bulk plan {edit} --timeout 9.0" in ran.err
    assert "a-wrong-token" not in ran.err


# Saved plans


def test_a_saved_plan_is_run(cli: Any, environment: dict[str, str], requests: Path, box: Sandbox) -> None:
    """`run plan.json` carries it out, with the same confirmation before buying; a second time it is rejected."""
    cli("plan", requests, "--save", "plan.json", **environment)
    ran = cli("run", "plan.json", **environment)
    assert (ran.code, "buys 2 promo numbers" in ran.err) == (2, True)
    ran = cli("run", "plan.json", "--yes", **environment)
    assert (ran.code, "Results: plan-results.xlsx" in ran.out) == (0, True), ran.err
    ran = cli("run", "plan.json", "--yes", **environment)
    assert (ran.code, "were already sent by" in ran.err, len(box.store.ledger)) == (2, True, 2)


def test_a_plan_knows_what_was_bought(cli: Any, environment: dict[str, str], requests: Path, tmp_path: Path) -> None:
    """`plan` looks into the journal that `run` has used; `--again` plans to buy the rows once more."""
    own_journal = ("--journal", tmp_path / "own journal")
    assert cli("run", requests, "--yes", *own_journal, **environment).code == 0
    shown, again = (cli("plan", requests, *own_journal, *flags, **environment) for flags in ((), ("--again",)))
    assert (shown.code, "2 created" in shown.out, "Next:" in shown.out) == (0, False, False), shown.out
    assert (again.code, "2 create" in again.out) == (0, True)
    assert again.out.splitlines()[-1] == f"Next: invoca-bulk run {requests} --again --journal '{own_journal[1]}'"


def test_an_outdated_plan_is_rejected(
    cli: Any, environment: dict[str, str], edit: Path, http: httpx.Client, tmp_path: Path
) -> None:
    """Exit 2, with what has changed and a command that plans again, which works from any folder."""
    (tmp_path / "folder").mkdir()
    sheet = edit.rename(tmp_path / "folder" / "edit.csv")
    cli("plan", "folder/edit.csv", "--save", "plan.json", "--allow-removals", **environment)
    body = {"name": "Acme Corp", "sites": [{"id_from_network": "1"}], "users": []}
    http.put("advertisers/A-100.json", json=body).raise_for_status()
    ran = cli("run", "plan.json", "--timeout", "9", "--json", **environment)
    assert ran.code == 2
    assert "(A-100): name was 'Acme Tickets' and is 'Acme Corp' now" in ran.err
    assert json.loads(ran.out)["exit_code"] == 2
    command = next_command(ran.err)
    assert command[:4] == ["plan", str(sheet), "--save", "plan.json"]
    assert command[4:] == ["--allow-removals", "--timeout", "9.0"]
    ran = cli(*command, **environment)
    assert next_command(ran.out) == ["run", "plan-2.json", "--timeout", "9.0"]
    http.put("advertisers/A-300.json", json=body | {"name": "Somebody else"}).raise_for_status()
    assert cli("run", "plan-2.json", "--yes", **environment).code == 0
    assert http.get("advertisers/A-100.json").json()["name"] == "Acme Inc"


def test_a_saved_plan_with_refused_rows(cli: Any, environment: dict[str, str], tmp_path: Path) -> None:
    """It is not run; the next command plans the corrected sheet again."""
    pd.DataFrame([NUMBER, NUMBER | {"media_type": "x"}]).to_csv(tmp_path / "bad.csv", index=False)
    cli("plan", "bad.csv", "--save", "plan.json", **environment)
    ran = cli("run", "plan.json", "--yes", **environment)
    assert (ran.code, "1 row has errors" in ran.err) == (2, True)
    assert next_command(ran.err) == ["plan", str(tmp_path / "bad.csv"), "--save", "plan.json"]


@pytest.mark.parametrize(
    "flags", [("--nested", "merge"), ("--allow-removals",), ("--auto-ids",), ("--sheet", "x"), ("--encoding", "cp437")]
)
def test_plan_options_of_a_saved_plan_are_rejected(
    cli: Any, environment: dict[str, str], edit: Path, flags: tuple[str, ...]
) -> None:
    """An option that the saved plan has fixed is rejected, not ignored."""
    cli("plan", edit, "--save", "plan.json", **environment)
    ran = cli("run", "plan.json", *flags, **environment)
    assert (ran.code, flags[0] in ran.err) == (2, True)


def test_a_damaged_plan(cli: Any, environment: dict[str, str], edit: Path, tmp_path: Path) -> None:
    """One message, no traceback."""
    cli("plan", edit, "--save", "plan.json", **environment)
    content = (tmp_path / "plan.json").read_bytes()
    (tmp_path / "plan.json").write_bytes(content[:-1])
    ran = cli("run", "plan.json", **environment)
    assert (ran.code, "plan.json is damaged" in ran.err, "Traceback" in ran.err) == (2, True, False)


def test_the_next_command_after_a_saved_plan(cli: Any, environment: dict[str, str], tmp_path: Path, box: Any) -> None:
    """The remaining rows are run from the results, with the plan's options."""
    frame = pd.DataFrame(
        [{"id_from_network": "A-300", "action": "delete"}]
    )  # it has a campaign, so the platform keeps it
    frame.to_csv(tmp_path / "gone.csv", index=False)
    cli("plan", "gone.csv", "--save", "plan.json", "--nested", "replace", "--allow-removals", **environment)
    ran = cli("run", "plan.json", "--yes", **environment)
    assert ran.code == 1, ran.err
    command = next_command(ran.out)
    assert command[:2] == ["run", "plan-results.xlsx"]
    assert command[4:] == ["--nested", "replace", "--allow-removals", "--yes"]
    assert "A-300" in box.store.networks[box.network_id].advertisers


# Users and sites are not lost


def test_replace_names_every_user_and_site_it_would_remove(
    cli: Any, environment: dict[str, str], fifty: list[dict[str, Any]], http: httpx.Client, tmp_path: Path
) -> None:
    """With --nested replace, plan and run refuse a flat sheet with one user each, and name every user and site."""
    rows = [
        {
            "id_from_network": f"B-{number}",
            "users.id_from_network": f"U-{number}-1",
            "sites.id_from_network": f"{number}1",
        }
        for number in range(50)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "flat.csv", index=False)
    for command in ("plan", "run"):
        flag = "--yes" if command == "run" else "--json"
        ran = cli(command, "flat.csv", "--nested", "replace", flag, **environment)
        assert ran.code == 2
        text = ran.out + ran.err
        for number in range(50):
            for user_number in (2, 3):
                assert f"user Jo Doe{number}x{user_number} (U-{number}-{user_number})" in text
            assert f"site {number}2" in text
            assert f"(U-{number}-1)" not in text
    assert http.get("advertisers.json").json() == fifty


def test_merge_removes_nobody(
    cli: Any, environment: dict[str, str], fifty: list[dict[str, Any]], http: httpx.Client, tmp_path: Path
) -> None:
    """The same sheet with --nested merge changes nothing and says so."""
    rows = [{"id_from_network": f"B-{number}", "users.id_from_network": f"U-{number}-1"} for number in range(50)]
    pd.DataFrame(rows).to_csv(tmp_path / "flat.csv", index=False)
    ran = cli("plan", "flat.csv", "--detailed-exitcode", **environment)
    assert (ran.code, ran.out.splitlines()[0]) == (0, "50 rows: 50 unchanged; 0 requests.")
    assert http.get("advertisers.json").json() == fifty
