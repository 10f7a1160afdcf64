"""The example of each issue code raises that issue, and its correction raises none."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk.sandbox_server import Sandbox
from invoca_bulk.sandbox_server.platform_model import Advertiser
from invoca_bulk.schema import SHEET_RESOURCES
from invoca_bulk.schema.issue_catalog import ISSUE_TYPES, Problem
from invoca_bulk.schema.issue_examples import ISSUE_EXAMPLES, IssueExample, Sheets
from invoca_bulk.wording import word
from tests.examples import GOOD, OF_CLAIMS, OF_THE_PLAN, frame_of, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The other required cells of a row, where an example shows only some.
BASES = {
    "promo_numbers": {**GOOD, "advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-100"},
    "advertisers": {"id_from_network": "A-1", "name": "Smith & Sons", "sites.1.id_from_network": "315"},
}
#: The number of the examples; the sandbox chooses another one.
NUMBER = "8055550100"
#: Code of an issue that an option or a setting raises to the arguments of the validation.
WITH_OPTION: dict[str, dict[str, Any]] = {
    "version_between": {"api_version": "2023-10-09"},
    "unlisted_value": {"allow_unlisted": True},
}
VALIDATED = [code for code, example in ISSUE_EXAMPLES.items() if not example.state]


def _frames(example: IssueExample, sheets: Sheets) -> dict[str, pd.DataFrame]:
    is_whole = example.is_complete or len(sheets) > 1
    return {name: frame_of(*rows, base={} if is_whole else BASES[name]) for name, rows in sheets.items()}


def _source(example: IssueExample, sheets: Sheets | str, folder: Path) -> Any:
    """What `validate` reads: a CSV file, a frame, or a workbook."""
    if isinstance(sheets, str):
        return io.BytesIO(sheets.encode())
    frames = _frames(example, sheets)
    return written(frames, folder) if len(frames) > 1 else next(iter(frames.values()))


def _resource(sheets: Sheets | str) -> str | None:
    return next(iter(sheets)) if not isinstance(sheets, str) and len(sheets) == 1 else None


def _issues(example: IssueExample, sheets: Sheets | str, folder: Path) -> pd.DataFrame:
    source = _source(example, sheets, folder)
    return ib.validate(source, api_version=example.api_version, resource=_resource(sheets)).issues


def test_every_code_has_an_example() -> None:
    """The examples are in the order of the catalogue; each group has a title."""
    assert list(ISSUE_EXAMPLES) == list(ISSUE_TYPES)
    stated = {code for code in ISSUE_TYPES if code.startswith("undo_")} | OF_THE_PLAN | OF_CLAIMS
    stated |= {"sheet_hidden", "encoding_assumed", *OF_THE_WORKBOOK, *WITH_OPTION}
    assert {code for code, example in ISSUE_EXAMPLES.items() if example.state} == stated


@pytest.mark.parametrize("code", ISSUE_EXAMPLES)
def test_sentences(code: str) -> None:
    """An example says why, fills all placeholders, and names the sheets as a workbook does."""
    example = ISSUE_EXAMPLES[code]
    for text in filter(None, (example.why, example.state)):
        assert re.fullmatch(r"[A-Z].*\.", text), text
    assert ISSUE_TYPES[code].level == "error" or "is a warning" in example.why or code == "secret_dropped"
    problem = Problem(code=code, details=example.details)
    assert problem.message
    assert problem.fix or ISSUE_TYPES[code].level == "warning"
    names = {name for sheets in (example.wrong, example.right) if not isinstance(sheets, str) for name in sheets}
    assert names <= {*SHEET_RESOURCES, "Old"}
    assert example.wrong != example.right


@pytest.mark.parametrize("code", VALIDATED)
def test_validation(code: str, tmp_path: Path) -> None:
    """The wrong cells raise the issue alone, with the message and fix that are explained; the right ones raise none."""
    example = ISSUE_EXAMPLES[code]
    issues = _issues(example, example.wrong, tmp_path)
    assert set(issues["code"]) == {code}
    problem = Problem(code=code, details=example.details)
    texts = (word(problem.message), word(problem.fix))
    assert texts in set(issues[["message", "fix"]].itertuples(index=False, name=None))
    assert list(_issues(example, example.right, tmp_path)["code"]) == []


@pytest.mark.parametrize("code", WITH_OPTION)
def test_with_option(code: str) -> None:
    """The wrong cells raise the warning alone with the option or setting, whose words are explained."""
    example = ISSUE_EXAMPLES[code]
    frame = _frames(example, example.wrong)["promo_numbers"]  # type: ignore[arg-type]  no CSV text
    issues = ib.validate(frame, **WITH_OPTION[code]).issues
    assert list(issues["message"]) == [Problem(code=code, details=example.details).message]


def _hide_row(sheet: Any) -> None:
    sheet.row_dimensions[3].hidden = True


def _hide_quantity(sheet: Any) -> None:
    sheet.column_dimensions[_cell_below(sheet, "quantity").column_letter].hidden = True


def _format_description(sheet: Any) -> None:
    cell = _cell_below(sheet, "description")
    cell.value, cell.number_format = 7, '"C-"0000'


def _cell_below(sheet: Any, title: str) -> Any:
    return next(sheet.cell(2, cell.column) for cell in sheet[1] if cell.value == title)


#: Code to what a spreadsheet program does to the workbook of the example, besides its cells.
OF_THE_WORKBOOK = {
    "hidden_rows": _hide_row,
    "hidden_columns": _hide_quantity,
    "cell_format": _format_description,
}


@pytest.mark.parametrize("code", OF_THE_WORKBOOK)
def test_workbook(code: str, tmp_path: Path) -> None:
    """What a workbook holds besides its cells raises the issue, and nothing else."""
    example = ISSUE_EXAMPLES[code]
    assert not isinstance(example.wrong, str)
    path = written(_frames(example, example.wrong)["promo_numbers"], tmp_path)
    workbook = openpyxl.load_workbook(path)
    OF_THE_WORKBOOK[code](workbook.worksheets[0])
    workbook.save(path)
    problem = Problem(code=code, details=example.details)
    assert problem.message in set(ib.validate(path).issues["message"])
    assert set(ib.validate(path).issues["code"]) - {"identical_rows"} == {code}


def test_encoding() -> None:
    """A CSV file in Windows-1252 raises the issue."""
    example = ISSUE_EXAMPLES["encoding_assumed"]
    assert isinstance(example.wrong, str)
    issues = ib.validate(io.BytesIO(example.wrong.encode("cp1252"))).issues
    problem = Problem(code="encoding_assumed", details=example.details)
    assert list(issues["message"]) == [problem.message]


def test_hidden_sheets(tmp_path: Path) -> None:
    """A hidden sheet of a workbook raises the issue."""
    example = ISSUE_EXAMPLES["sheet_hidden"]
    assert not isinstance(example.wrong, str)
    path = written(_frames(example, example.wrong), tmp_path)
    workbook = openpyxl.load_workbook(path)
    workbook["Old"].sheet_state = "hidden"
    workbook.save(path)
    problem = Problem(code="sheet_hidden", details=example.details)
    assert list(ib.validate(path).issues["message"]) == [problem.message]


@pytest.fixture(scope="module")
def started() -> Iterator[tuple[Sandbox, str]]:
    """A sandbox as the examples describe it: the campaign C-100 has the number P-1, whose digits are returned."""
    with Sandbox() as sandbox:
        results = ib.run(pd.DataFrame([BASES["promo_numbers"] | {"id_from_network": "P-1"}]), sandbox)
        assert isinstance(results, pd.DataFrame)
        _add_advertiser(sandbox, "A-400", "London Cabs", phone_number="2079460000", contact_country_code="44")
        _add_advertiser(sandbox, "A-401", "Two Numbers", phone_number="8055550100", contact_phone_number="8055550101")
        _add_advertiser(sandbox, "A-402", "No Users")
        without_users = sandbox.store.networks[sandbox.network_id].advertisers["A-402"]
        sandbox.store.networks[sandbox.network_id].advertisers["A-402"] = _WithoutUsers(**vars(without_users))
        yield sandbox, results["promo_number"].iloc[0]


class _WithoutUsers(Advertiser):
    """An advertiser whose users the platform does not show."""

    def to_json(self, version: str) -> dict[str, Any]:
        return {**super().to_json(version), "users": None}


def _add_advertiser(sandbox: Sandbox, own_id: str, name: str, **phone: str) -> None:
    """Add an advertiser with a user of whom the platform shows these numbers."""
    settings = [{"email_address": "ana@example.com", "use_for_notifications": True}]
    user = {"id_from_network": "U-1", "email_settings": settings, "first_name": "Ana", "last_name": "Dean", **phone}
    advertiser = sandbox.store.add_advertiser(own_id, name=name)
    sandbox.store.networks[sandbox.network_id].put_advertiser(own_id, replace(advertiser, users=(user,)))


@pytest.mark.parametrize("code", sorted(OF_THE_PLAN))
def test_plan(code: str, started: tuple[Sandbox, str], tmp_path: Path) -> None:
    """A plan on the sandbox raises the issue for the wrong cells, and none for the right ones."""
    sandbox, number = started
    example = ISSUE_EXAMPLES[code]
    mode = "replace" if code == "would_be_removed" else "merge"
    found = []
    for sheets in (example.wrong, example.right):
        assert not isinstance(sheets, str)
        frames = {name: frame.replace(NUMBER, number) for name, frame in _frames(example, sheets).items()}
        source = written(frames, tmp_path) if len(frames) > 1 else next(iter(frames.values()))
        found.append(ib.plan(source, sandbox, resource=_resource(sheets), nested=mode))
    wrong, right = found
    message = word(Problem(code=code, details=example.details).message).replace(NUMBER, number)
    if code == "row_beside_invalid":  # an error of the row, and no issue of its own
        assert message in {row.error for row in wrong.data.rows}
    else:
        assert (set(wrong.issues["code"]), set(wrong.issues["message"])) == ({code}, {message})
    assert list(right.issues["code"]) == []
