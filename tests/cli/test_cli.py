"""The command line, as a process of its own against a sandbox in another one."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openpyxl
import pandas as pd
import pytest

from invoca_bulk.cli import COMMANDS, HELP
from invoca_bulk.cli.group import command_group
from invoca_bulk.errors import RunAborted, UserError
from invoca_bulk.exit_codes import ABORTED, NOTHING_SENT
from invoca_bulk.sheets.csv_safety import escape_formula
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TOKEN = "the-secret-token"
#: How an analyst reads a workbook whose cells are all texts.
EXCEL: dict[str, Any] = {"dtype": str, "keep_default_na": False, "engine": "calamine"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[dict[str, str]]:
    """`invoca-bulk sandbox` in its own process; returns the settings that it prints."""
    command = [sys.executable, "-m", "invoca_bulk", "sandbox", "--port", "0", "--open-campaigns"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        line = process.stdout.readline()
        yield dict(re.findall(r"(INVOCA_\w+) ?= ?\"?([^\s\";]+)", line))
    finally:
        if os.name == "nt":  # Ctrl-C would stop the tests too
            process.kill()
        else:
            process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0 or os.name == "nt"
        process.stdout.close()


#: Row errors: column, wrong value, and a word of the reason.
ROW_ERRORS = [
    ("media_type", "Online Display", "not a valid value for"),
    ("media_type", "", "required"),
    ("description", "", "required"),
    ("advertiser_id_from_network", "", "required"),
    ("advertiser_campaign_id_from_network", "..", "cannot be used as an id"),
    ("local_center.tn_prefix", "999", "area code"),
    ("local_center.zipcode", "2134", "zip code"),
    ("local_center.city", "Santa Barbara", "state"),
    ("quantity", "0", "not between"),
    ("adwords_account_id", "627-345-9815", "Google Call Extension"),
]
TEXTS = ["Plain", "Smith, Jones & Co", 'The "best" offer', "Driver's choice; 50% off", "=SUM(A1)", "Größe ñandú"]


def _sheet() -> pd.DataFrame:
    """204 rows in 30 campaigns; 1 in 20 has an error, each a different one."""
    rows = []
    for number in range(204):
        campaign = number % 30
        row = dict.fromkeys(dict.fromkeys(column for column, *_ in ROW_ERRORS), "") | {
            "advertiser_id_from_network": f"A/{campaign % 7}",
            "advertiser_campaign_id_from_network": f"C {campaign} & co",
            "description": f"{TEXTS[number % len(TEXTS)]} {number}",
            "media_type": "Online: Display",
            "notes": f"n{number}",
        }
        if number % 20 == 7:
            column, value, _ = ROW_ERRORS[number // 20 % len(ROW_ERRORS)]
            row[column] = value
        rows.append(row)
    return pd.DataFrame(rows)


def _has_error(number: int) -> bool:
    return number % 20 == 7


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    path = tmp_path / "requests.csv"
    _sheet().map(escape_formula).to_csv(path, index=False)  # as this program writes CSV
    return path


def test_a_sheet_with_errors_is_refused_with_an_annotated_workbook(
    cli: Callable[..., Any], served: dict[str, str], sheet: Path, tmp_path: Path
) -> None:
    """204 rows, 1 in 20 with an error: exit 2, nothing sent, the cells with errors coloured with notes."""
    ran = cli("run", sheet, "-o", "results.xlsx", "--yes", **served)
    assert ran.code == 2, ran.err
    assert "Nothing was sent: 10 rows have errors" in ran.err
    assert not (tmp_path / "results.xlsx").exists()
    book = openpyxl.load_workbook(tmp_path / "results-annotated.xlsx")
    page = book["promo_numbers"]
    annotated_cells = {
        (cell.row, page.cell(1, cell.column).value) for row in page.iter_rows(min_row=2) for cell in row if cell.comment
    }
    expected = {(number + 2, ROW_ERRORS[number // 20][0]) for number in range(204) if _has_error(number)}
    assert annotated_cells == expected
    assert book["issues"].max_row == 1 + 10 + 1  # the header, the errors, and a warning about the unknown column
    assert _numbers(served) == []


def test_valid_rows_get_numbers_and_invalid_ones_reasons(
    cli: Callable[..., Any], served: dict[str, str], sheet: Path, tmp_path: Path
) -> None:
    """With --skip-invalid: exit 1, the input's rows in its order, a number or a reason on each."""
    ran = cli("run", sheet, "-o", "results.xlsx", "--yes", "--skip-invalid", **served)
    assert ran.code == 1, ran.err
    results = pd.read_excel(tmp_path / "results.xlsx", sheet_name="results", **EXCEL)
    sheet_frame = _sheet()
    assert list(results["notes"]) == list(sheet_frame["notes"])
    for column in sheet_frame.columns:
        assert list(results[column]) == list(sheet_frame[column]), column
    for number, row in results.iterrows():
        assert isinstance(number, int)
        if _has_error(number):
            assert (row["result_status"], row["promo_number"]) == ("invalid", "")
            assert ROW_ERRORS[number // 20][2] in row["result_error"]
            assert row["result_fix"]
        else:
            assert row["result_status"] == "created"
            assert row["result_error"] == ""
    created = results[results["result_status"] == "created"]
    assert len(created) == 194
    assert sorted(created["promo_number"]) == sorted(_numbers(served))
    assert created["promo_number"].str.fullmatch(r"8\d{9}").all()
    assert "result" in ran.out


def test_running_the_results_sends_only_the_remaining_rows(
    cli: Callable[..., Any], served: dict[str, str], sheet: Path, tmp_path: Path
) -> None:
    """The corrected results file buys the remaining numbers; completed rows keep theirs and are not bought twice."""
    cli("run", sheet, "-o", "results.xlsx", "--yes", "--skip-invalid", **served)
    first = pd.read_excel(tmp_path / "results.xlsx", **EXCEL)
    corrected = first.copy()
    for number in range(204):
        if _has_error(number):
            for column in _sheet().columns:
                corrected.loc[number, column] = _good(column, number)
    corrected.to_excel(tmp_path / "corrected.xlsx", index=False)
    ran = cli("run", "corrected.xlsx", "-o", "results-2.csv", "--yes", **served)
    assert ran.code == 0, ran.err
    second = pd.read_csv(tmp_path / "results-2.csv", dtype=str, keep_default_na=False)
    assert set(second["result_status"]) == {"created"}
    done = first["result_status"] == "created"
    assert list(second.loc[done, "promo_number"]) == list(first.loc[done, "promo_number"])
    assert list(second.loc[done, "result_run"]) == list(first.loc[done, "result_run"])
    assert len(_numbers(served)) == 204


def _good(column: str, number: int) -> str:
    values = {
        "advertiser_id_from_network": "A/0",
        "advertiser_campaign_id_from_network": "C 0 & co",
        "description": f"corrected {number}",
        "media_type": "Online: Display",
        "notes": f"n{number}",
    }
    return values.get(column, "")


def _numbers(served: dict[str, str]) -> list[str]:
    """All numbers that the sandbox has, read over HTTP."""
    numbers = []
    with httpx.Client(headers={"Authorization": served["INVOCA_API_TOKEN"]}, trust_env=False) as client:
        for campaign in range(30):
            path = f"advertisers/A%2F{campaign % 7}/advertiser_campaigns/C%20{campaign}%20%26%20co/promo_numbers.json"
            url = f"{served['INVOCA_BASE_URL']}/api/2022-08-01/{served['INVOCA_NETWORK_ID']}/{path}"
            response = client.get(url)
            if response.status_code == HTTPStatus.OK:
                numbers += [record["promo_number"] for record in response.json()]
    return numbers


# Small sheets


@pytest.fixture
def small(tmp_path: Path, requests_frame: Callable[..., pd.DataFrame]) -> Path:
    path = tmp_path / "small.csv"
    requests_frame(3).to_csv(path, index=False)
    return path


@pytest.fixture
def environment(box: Any) -> dict[str, str]:
    return {"INVOCA_BASE_URL": box.base_url, "INVOCA_NETWORK_ID": box.network_id, "INVOCA_API_TOKEN": box.token}


def test_nothing_is_bought_without_confirmation(cli: Any, environment: dict[str, str], small: Path, box: Any) -> None:
    """Without a terminal and without --yes: exit 2, nothing sent; the message names the count and the network."""
    ran = cli("run", small, **environment)
    assert ran.code == 2
    assert "the sheet buys 3 promo numbers on network 1234" in ran.err
    assert "--yes" in ran.err
    assert box.store.ledger == []


def test_over_the_cap_nothing_is_bought(cli: Any, environment: dict[str, str], small: Path, box: Any) -> None:
    """More numbers than --max-new-numbers: exit 2; the message names both counts."""
    ran = cli("run", small, "--yes", "--max-new-numbers", 2, **environment)
    assert (ran.code, box.store.ledger) == (2, [])
    assert "buys 3 numbers, and the cap is 2" in ran.err


def test_a_wrong_token_is_exit_3(cli: Any, environment: dict[str, str], small: Path) -> None:
    """The message says what to check and never contains the token."""
    ran = cli("run", small, "--yes", **environment | {"INVOCA_API_TOKEN": "wrong-token"})
    assert ran.code == 3
    assert "does not accept the token" in ran.err
    assert "wrong-token" not in ran.err + ran.out


def test_the_token_may_come_from_a_file(cli: Any, environment: dict[str, str], small: Path, tmp_path: Path) -> None:
    """A token file may end with a newline."""
    (tmp_path / "token").write_text(environment.pop("INVOCA_API_TOKEN") + "\n")
    ran = cli("run", small, "--yes", "--token-file", "token", **environment)
    assert ran.code == 0, ran.err


@pytest.mark.parametrize(
    ("missing", "sentence"),
    [("INVOCA_API_TOKEN", "There is no token"), ("INVOCA_NETWORK_ID", "There is no network id")],
)
def test_missing_settings_are_named(
    cli: Any, environment: dict[str, str], small: Path, missing: str, sentence: str
) -> None:
    """The message names the missing setting and how to give it; a host that serves all networks needs the id."""
    del environment[missing]
    environment["INVOCA_BASE_URL"] = "https://invoca.net"
    ran = cli("run", small, "--yes", **environment)
    assert (ran.code, sentence in ran.err) == (2, True)


def test_json_is_for_programs(cli: Any, environment: dict[str, str], small: Path, tmp_path: Path) -> None:
    """--json prints one object on standard output, and nothing else."""
    report = json.loads(cli("run", small, "--yes", "--json", "-o", "r.csv", **environment).out)
    assert (report["totals"], report["state"], report["error"]) == ({"created": 3}, "finished", None)
    assert report["output"].endswith("r.csv")
    (tmp_path / "bad.csv").write_text("description,media_type\nx,y\n")
    report = json.loads(cli("validate", "bad.csv", "--json").out)
    assert not report["ok"]
    assert {issue["code"] for issue in report["issues"]} >= {"column_missing", "not_a_choice"}
    refused = cli("run", "bad.csv", "--yes", "--json", **environment)
    assert refused.code == 2
    assert json.loads(refused.out)["issues"]


def test_the_default_output_is_next_to_the_sheet(
    cli: Any, environment: dict[str, str], small: Path, tmp_path: Path
) -> None:
    """Results are always written and never overwrite a file."""
    for name in ("small-results.xlsx", "small-results-2.xlsx"):
        assert cli("run", small, "--yes", "--again", **environment).code == 0
        assert (tmp_path / name).exists()


def test_the_input_is_never_overwritten(cli: Any, environment: dict[str, str], small: Path) -> None:
    """With -o naming the input, the results go to another file, whose name is printed."""
    before = small.read_bytes()
    ran = cli("run", small, "--yes", "-o", small, **environment)
    assert small.read_bytes() == before
    assert "small-2.csv" in ran.out


@pytest.mark.parametrize("name", ["results.txt", "results", "results.xls", "nowhere/results.csv", "folder.csv"])
def test_an_unwritable_output_is_rejected_first(
    cli: Any, environment: dict[str, str], small: Path, box: Any, name: str
) -> None:
    """It is rejected before anything is bought."""
    (small.parent / "folder.csv").mkdir()
    (small.parent / "folder-2.csv").mkdir()
    ran = cli("run", small, "--yes", "-o", name, **environment)
    assert (ran.code, box.store.ledger) == ((0, box.store.ledger) if name == "folder.csv" else (2, []))


def test_a_rehearsal_needs_no_settings(cli: Any, small: Path, tmp_path: Path) -> None:
    """--sandbox needs no token, network or confirmation, accepts every campaign and leaves no journal."""
    ran = cli("run", small, "--sandbox", "-o", "r.xlsx")
    assert ran.code == 0, ran.err
    assert not (tmp_path / "journal").exists()


def test_a_rehearsal_follows_the_api_version(cli: Any, tmp_path: Path, small: Path) -> None:
    """--api-version applies to the sandbox too."""
    frame = pd.read_csv(small, dtype=str)
    frame["id_from_network"] = ["x1", "x2", "x3"]
    frame.to_csv(tmp_path / "own.csv", index=False)
    assert cli("run", "own.csv", "--sandbox").code == 0
    ran = cli("run", "own.csv", "--sandbox", "--api-version", "2017-09-01")
    assert ran.code == 2
    assert "2018-05-01 and later do" in ran.err


@pytest.mark.parametrize(
    "arguments",
    [["run"], ["run", "x.csv", "--rate", "0"], ["run", "missing.csv", "--sandbox"], ["validate", "."], ["nonsense"]],
    ids=" ".join,
)
def test_usage_and_unreadable_files_are_exit_2(cli: Any, arguments: list[str], environment: dict[str, str]) -> None:
    """One message, no traceback."""
    ran = cli(*arguments, **environment)
    assert ran.code == 2
    assert ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)], ids=str)
def test_help(cli: Any, command: list[str]) -> None:
    """Every command has a help text."""
    ran = cli(*command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "Usage:" in ran.out


def test_existing_files_are_not_overwritten(cli: Any, environment: dict[str, str], small: Path, tmp_path: Path) -> None:
    """Neither earlier results nor a filled-in template is overwritten."""
    for name in ("results.xlsx", "template.xlsx"):
        (tmp_path / name).write_text("mine")
    ran = cli("run", small, "--yes", "-o", "results.xlsx", **environment)
    assert "results-2.xlsx" in ran.out
    ran = cli("template", "promo_numbers", "-o", "template.xlsx")
    assert (ran.code, "--force" in ran.err) == (2, True)
    assert [(tmp_path / name).read_text() for name in ("results.xlsx", "template.xlsx")] == ["mine", "mine"]
    assert cli("template", "promo_numbers", "-o", "template.xlsx", "--force").code == 0


def test_a_sheet_that_was_run_before_is_not_bought_twice(
    cli: Any, environment: dict[str, str], small: Path, box: Any, tmp_path: Path
) -> None:
    """The message names the earlier run and the command that writes its results again; --again buys again."""
    cli("run", small, "--yes", **environment)
    ran = cli("run", small, "--yes", **environment)
    assert (ran.code, len(box.store.ledger)) == (2, 3)
    command = re.search(r"invoca-bulk (results \S+ -o) results.xlsx", ran.err)
    assert command, ran.err
    assert cli(*command[1].split(), "again.csv").code == 0
    written = pd.read_csv(tmp_path / "again.csv", dtype=str)["promo_number"]
    assert sorted(written) == sorted(entry.number for entry in box.store.ledger)
    assert cli("run", small, "--yes", "--again", **environment).code == 0
    assert len(box.store.ledger) == 6


def test_the_results_of_an_unknown_run(cli: Any) -> None:
    """The message says where to find a run's id."""
    ran = cli("results", "20260101-000000-abc", "-o", "x.csv")
    assert (ran.code, "result_run" in ran.err) == (2, True)


def test_the_next_command_is_the_exact_one(cli: Any, environment: dict[str, str], tmp_path: Path, small: Path) -> None:
    """The printed command repeats the options that were passed, and finishes the remaining rows."""
    frame = pd.read_csv(small, dtype=str)
    frame.loc[3, "media_type"] = "nonsense"
    frame.to_csv(small, index=False)
    token = environment.pop("INVOCA_API_TOKEN")
    (tmp_path / "token").write_text(token)
    network = ["--network-id", environment.pop("INVOCA_NETWORK_ID"), "--base-url", environment.pop("INVOCA_BASE_URL")]
    ran = cli("run", small, "-o", "r.csv", "--yes", "--skip-invalid", "--token-file", "token", *network)
    assert ran.code == 1, ran.err
    command = re.search(r"Next: .*invoca-bulk (.+)", ran.out)
    assert command
    ran = cli(*shlex.split(command[1]))
    assert (ran.code, "created" in ran.out) == (1, True), ran.err


@posix_only
@pytest.mark.parametrize("stream", ["stdin", "stderr"])
def test_a_closed_stream_stops_nothing(environment: dict[str, str], small: Path, stream: str, box: Any) -> None:
    """A run that a service starts without streams completes and writes its results."""
    close = {"stdin": "<&-", "stderr": "2>&-"}[stream]
    command = f"{shlex.quote(sys.executable)} -m invoca_bulk run small.csv --yes {close}"
    subprocess.run(command, shell=True, cwd=small.parent, env=os.environ | environment, check=True, timeout=60)  # noqa: S602
    assert len(box.store.ledger) == 3
    assert (small.parent / "small-results.xlsx").exists()


def test_an_unusable_journal_is_one_message(cli: Any, environment: dict[str, str], small: Path, box: Any) -> None:
    """A journal that is not a database: nothing is sent, and the message names the file and the option."""
    cli("run", small, "--yes", **environment)
    (file,) = (small.parent / "journal").glob("*.sqlite")
    for path in (small.parent / "journal").iterdir():
        path.unlink()
    file.write_bytes(b"no database" * 1000)
    ran = cli("run", small, "--yes", "--again", **environment)
    assert (ran.code, len(box.store.ledger)) == (2, 3)
    assert "--journal" in ran.err
    assert "Traceback" not in ran.err


def test_an_abort_before_the_first_request_shows_the_same_command(
    cli: Any, environment: dict[str, str], small: Path
) -> None:
    """With a wrong token nothing is sent, and the message shows the same command to run again; with --json too."""
    wrong = environment | {"INVOCA_API_TOKEN": "a-wrong-token"}
    ran = cli("run", small, "--yes", "--rate", "50", "--json", **wrong)
    report = json.loads(ran.out)
    assert (ran.code, report["exit_code"]) == (3, 3)
    assert "Nothing was sent." in report["error"]
    assert "run small.csv --yes --rate 50.0 --json" in report["error"].replace(f"{small.parent}/", "")


def test_usage_errors_are_json_too(cli: Any) -> None:
    """With --json, a program always gets one object."""
    ran = cli("run", "x.csv", "--json", "--concurrency", "many")
    assert (ran.code, json.loads(ran.out)["exit_code"]) == (2, 2)


def test_unknown_rows_have_no_next_command(cli: Any, environment: dict[str, str], small: Path) -> None:
    """Another run would not change them, so the user is asked to look them up."""
    frame = pd.read_csv(small, dtype=str).head(1)
    frame["result_status"] = "unknown"
    frame.to_csv(small, index=False)
    ran = cli("run", small, "--yes", **environment)
    assert ran.code == 1
    assert "Next: look the unknown rows up" in ran.out


def test_the_fast_help_is_complete() -> None:
    """The help that is shown without importing click names every command and every option of the program."""
    assert {
        flag for option in command_group.params for flag in (*option.opts, "-h, --help") if flag not in HELP
    } == set()
    assert [line.split()[0] for line in HELP.split("Commands:\n")[1].splitlines()] == list(COMMANDS)
    assert all(len(line) <= 80 for line in HELP.splitlines())


def test_exit_codes_are_those_of_the_errors() -> None:
    """Errors carry the exit codes of the help."""
    assert [UserError.exit_code, RunAborted.exit_code] == [NOTHING_SENT, ABORTED]


@pytest.mark.parametrize("flags", [["--help"], ["-h"], ["--help", "--version"]])
def test_help_is_the_same_either_way(flags: list[str], cli: Callable[..., Any]) -> None:
    """The fast path and click show the same help."""
    ran = cli(*flags)
    assert (ran.code, ran.out.strip(), ran.err) == (0, HELP, "")
