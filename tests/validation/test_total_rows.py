"""Rows that look like totals, and rows that only contain the word."""

from __future__ import annotations

import io

import pytest

import invoca_bulk as ib
from invoca_bulk.errors import InvalidSheetError
from invoca_bulk.schema import RESOURCES

HEADER = "action,advertiser_id_from_network,advertiser_campaign_id_from_network,description,media_type,quantity"
GOOD = ",A-1,C-1,Spring,Online: Display,2"
TOTALS = [
    *(",Total,,,,5", ",TOTAL:,,,,5", ",,,Sum,,", ",,,,Grand total,5", ",Subtotal,,,,2", ",Summe,,,,5"),
    *(",A-1 Total,,,,2", ",Total (2),,,,", "Total,,,,,5", ",Total,,see notes,,5", ",Gesamtergebnis,,,,5"),
]
REQUESTS = [
    *(",Total Wellness Clinic,C-1,x,Online: Display,1", ",A-1,C-1,Sum Café,Online: Display,1"),
    *(",A-1,C-1,Total,Online: Display,1", ",Total,C-1,Summer,Online: Display,1"),
]


def codes(*rows: str) -> list[tuple[int, str]]:
    issues = ib.validate(io.BytesIO("\n".join([HEADER, GOOD, *rows]).encode())).issues
    return list(zip(issues["row"], issues["code"], strict=True))


@pytest.mark.parametrize("row", TOTALS)
def test_a_total_is_one_error(row: str) -> None:
    """A row that looks like a total has one sentence, and nothing is bought for it."""
    assert codes(row) == [(3, "row_total")]


@pytest.mark.parametrize("row", REQUESTS)
def test_a_complete_row_is_a_request(row: str) -> None:
    """A row with all that a request needs is one, whatever words it contains."""
    assert codes(row) == []


def test_many_spaces_after_a_label_are_passed_once() -> None:
    """A text that begins like a total and goes on after thousands of spaces takes no longer than others."""
    assert codes(",A-1,C-1,total" + " " * 50_000 + "x,Online: Display,1", ",Total,,,,5")[-1] == (4, "row_total")


def test_a_row_that_says_create_is_no_total() -> None:
    """The action `create` says that a row is a request; it then needs what every request needs."""
    assert {code for _, code in codes("create,Total,,,,5")} == {"required"}


ADVERTISERS = {
    "total": ("Total,,,", ["row_total"]),
    "a short name": ("SUM,Sum Café,,316", []),
    "named Total": ("7,Total,,317", []),
}


@pytest.mark.parametrize("case", ADVERTISERS)
def test_totals_of_advertisers(case: str) -> None:
    """An advertiser with id and name is one, even if it is called Total."""
    row, expected = ADVERTISERS[case]
    text = f"id_from_network,name,approval_status,sites.1.id_from_network\nA-1,One,Approved,315\n{row}\n"
    assert ib.validate(io.BytesIO(text.encode())).issues["code"].tolist() == expected


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_real_network_refuses_the_examples(resource: str, tmp_path: object) -> None:
    """The rows of an untouched template are refused before anything is read from the platform."""
    path = ib.template(resource, f"{tmp_path}/template.csv")
    network = ib.Network(network_id="1", token="x", base_url="https://nowhere.invalid")
    for call in (ib.run, ib.plan):
        with pytest.raises(InvalidSheetError, match="Replace them with your own rows"):
            call(path, network)


def test_skipped_rows_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A run that leaves out rows with errors prints the first ones."""
    text = "\n".join([HEADER.removeprefix("action,"), "A-100,C-100,x,Online: Display,1", "Total,,,,1"])
    with ib.sandbox() as box:
        ib.run(io.BytesIO(text.encode()), box, skip_invalid=True, progress=False)
    printed = capsys.readouterr()
    assert "1 row has errors and is not sent:" in printed.out + printed.err
    assert "row 3, advertiser_id_from_network: The row looks like a total" in printed.out + printed.err
