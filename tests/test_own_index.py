"""Results, reports and plans of an analyst's own DataFrame have its index, so that their columns fit the frame."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import openpyxl
import pandas as pd
import pytest

import invoca_bulk as ib
from tests.examples import GOOD

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from invoca_bulk.config.network import Network
    from invoca_bulk.sandbox_server import Sandbox

DESCRIPTIONS = ["Radio", "TV", "Mail", "Web"]
PAIRS = [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def frame_with(index: Any = None) -> pd.DataFrame:
    """Four requests with another index than pandas' own."""
    frame = pd.DataFrame([GOOD | {"description": description} for description in DESCRIPTIONS])
    return frame if index is None else frame.set_axis(index, axis="index")


FRAMES: dict[str, Callable[[], pd.DataFrame]] = {
    "pandas' own": frame_with,
    "filtered": lambda: frame_with().query("description != 'TV'"),
    "shuffled": lambda: frame_with().iloc[[2, 0, 3, 1]],
    "texts": lambda: frame_with(pd.Index(["k1", "k2", "k3", "k4"], name="our_key")),
    "decimals": lambda: frame_with([0.5, 1.5, None, 3.5]),
    "dates": lambda: frame_with(pd.date_range("2026-01-01", periods=4, tz="UTC", name="asked on")),
    "periods": lambda: frame_with(pd.period_range("2026-01", periods=4, freq="M")),
    "categories": lambda: frame_with(pd.CategoricalIndex(list("abcd"))),
    "intervals": lambda: frame_with(pd.interval_range(0, 4)),
    "levels": lambda: frame_with(pd.MultiIndex.from_tuples(PAIRS, names=["shop", None])),
    "tuples": lambda: frame_with(pd.Index(PAIRS, tupleize_cols=False)),
    "one level": lambda: frame_with(pd.MultiIndex.from_arrays([list("abcd")], names=["shop"])),
    "a column that is sent": lambda: frame_with().set_index("advertiser_id_from_network"),
    "named as a column": lambda: frame_with(pd.Index(DESCRIPTIONS, name="description")),
    "repeated labels": lambda: frame_with([1, 1, 2, 3]),
    "repeated row numbers": lambda: frame_with(pd.Index([5, 5, 5, 9], name="row")),
    "row numbers": lambda: frame_with(pd.Index([9, 4, 7, 2], name="row")),
}


def issued(box: Sandbox) -> dict[str, str]:
    """Description to promo number, as the platform has them."""
    exported = ib.export("promo_numbers", box, campaigns=[GOOD])
    assert isinstance(exported, pd.DataFrame)
    return dict(zip(exported["description"], exported["promo_number"], strict=True))


def run(frame: Any, target: Any, **options: Any) -> pd.DataFrame:
    results = ib.run(frame, target, progress=False, **options)
    assert isinstance(results, pd.DataFrame)
    return results


@pytest.mark.parametrize("name", FRAMES)
def test_each_number_is_on_its_own_row(box: Sandbox, name: str) -> None:
    """A column of the results, the plan or the report can be assigned to the frame, whatever its index."""
    frame = FRAMES[name]()
    original = frame.copy()
    plan, report = ib.plan(frame, box), ib.validate(frame)
    results = run(frame, box)
    pd.testing.assert_index_equal(results.index, frame.index)
    assert isinstance(report.sheet, pd.DataFrame)
    pd.testing.assert_index_equal(report.sheet.index, frame.index)
    pd.testing.assert_index_equal(plan.rows.index, frame.index, check_names=False)
    pd.testing.assert_frame_equal(frame, original)
    frame["promo_number"] = results["promo_number"]
    frame["planned"] = plan.rows["action"]
    assert dict(zip(frame["description"], frame["promo_number"], strict=True)).items() <= issued(box).items()
    assert set(frame["planned"]) == {"create"}


@pytest.mark.parametrize("name", [name for name in FRAMES if FRAMES[name]().index.is_unique])
def test_results_join_and_concatenate(box: Sandbox, name: str) -> None:
    """Labels that do not repeat join row to row."""
    frame = FRAMES[name]()
    numbers = run(frame, box)[["promo_number"]]
    for joined in (frame.join(numbers), pd.concat([frame, numbers], axis="columns", sort=False)):
        pd.testing.assert_index_equal(joined.index, frame.index)
        assert list(joined["description"]) == list(frame["description"])
        assert (joined["promo_number"] != "").all()


def test_results_can_be_run_again(box: Sandbox, network: Network) -> None:
    """Results with an index of their own are recognized, and keep it."""
    del box
    frame = FRAMES["texts"]().assign(quantity=["1", "2", "1", "1"])
    first = run(frame, network, yes=True)
    second = run(first, network, yes=True)
    pd.testing.assert_frame_equal(second, first)


def test_rows_of_a_quantity_share_a_label(box: Sandbox) -> None:
    """They can be grouped by it; pandas itself refuses to assign them."""
    frame = frame_with().assign(quantity=[1, 3, 1, 1])
    results = run(frame, box)
    assert list(results.index) == [0, 1, 1, 1, 2, 3]
    assert results.groupby(level=0)["promo_number"].nunique().to_dict() == {0: 1, 1: 3, 2: 1, 3: 1}
    with pytest.raises(ValueError, match="duplicate labels"):
        frame["promo_number"] = results["promo_number"]


def test_rows_without_content_stay_without_a_number(box: Sandbox) -> None:
    """Blank rows are skipped; the others keep their labels."""
    frame = frame_with().mask(pd.Series([False, True, False, False]), "")
    frame["promo_number"] = run(frame, box)["promo_number"]
    assert list(frame["promo_number"].isna()) == [False, True, False, False]


def test_an_empty_frame_is_refused(box: Sandbox) -> None:
    """A frame without rows is a mistake, and its issue is about no row."""
    frame = FRAMES["dates"]()[:0]
    with pytest.raises(ib.RowsInvalid, match="no rows"):
        run(frame, box)
    assert ib.validate(frame).issues["row"].isna().all()


def test_several_frames_keep_their_own_indexes(box: Sandbox) -> None:
    """Each sheet of a dict has its own."""
    parent = "advertiser_id_from_network"
    users = pd.DataFrame({parent: ["A-1"], "id_from_network": ["U-1"], "first_name": ["Pat"]}, index=["u"])
    users = users.assign(last_name="Lee", **{"email_settings.1.email_address": "pat@example.com"})
    users = users.assign(contact_phone_number="8055550100", **{"email_settings.1.use_for_notifications": "TRUE"})
    frames = {
        "advertisers": pd.DataFrame({"id_from_network": ["A-1"], "name": ["Acme"]}, index=[7]),
        "sites": pd.DataFrame({parent: ["A-1"], "id_from_network": ["1"]}, index=pd.Index([4], name="row")),
        "users": users,
    }
    results = ib.run(frames, box, progress=False)
    assert isinstance(results, dict)
    assert {name: list(frame.index) for name, frame in results.items()} == {
        "advertisers": [7],
        "sites": [4],
        "users": ["u"],
    }
    plan = ib.plan({**frames, "users": users.assign(first_name="Kim")}, box)
    assert plan.changes[["sheet", "row", "old", "new"]].to_numpy().tolist() == [["users", "u", "Pat", "Kim"]]
    assert any(line.startswith("  users index 'u', first_name") for line in plan.lines())


# Issues


def test_issues_have_the_labels_of_the_frame() -> None:
    """The rows that they name are found with `loc`."""
    for name, make in FRAMES.items():
        frame = make()
        frame.loc[[*frame.index][-1:], "media_type"] = "nonsense"
        rows = ib.validate(frame).issues["row"].drop_duplicates()
        assert set(frame.loc[rows, "media_type"]) == {"nonsense"}, name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pandas' own", "index 1, media_type: "),
        ("texts", "index 'k2', media_type: "),
        ("levels", "index 'a' / 2, media_type: "),
        ("dates", "index 2026-01-02 00:00:00+00:00, media_type: "),
        ("repeated labels", "position 1, media_type: "),
        ("repeated row numbers", "position 1, media_type: "),
        ("row numbers", "row 4, media_type: "),
    ],
)
def test_messages_name_a_row_by_its_label(name: str, text: str) -> None:
    """By its position, from 0, where labels repeat."""
    frame = FRAMES[name]()
    frame.iloc[1, frame.columns.get_loc("media_type")] = "nonsense"
    report = ib.validate(frame)
    assert [line.strip().startswith(text) for line in report.issue_lines(9)] == [True]
    assert text.partition(",")[0].partition(" ")[2].replace("'", "&#x27;") in report._repr_html_()


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (None, "Rows 0, 1 of the index are identical"),
        (["k1", "k2", "k3", "k4"], "Rows 'k1', 'k2' of the index are identical"),
        ([1, 1, 1, 2], "Rows 0, 1 by position are identical"),
    ],
    ids=["numbers", "texts", "repeated"],
)
def test_messages_list_rows_by_their_labels(index: Any, text: str) -> None:
    """As they name one."""
    frame = frame_with(index).assign(description=["Radio", "Radio", "Mail", "Web"])
    assert text in ib.validate(frame).issues["message"].iloc[0]


def test_rows_that_were_bought_are_named_by_their_labels(box: Sandbox, network: Network) -> None:
    """Numbers as ranges."""
    del box
    run(frame_with(), network, yes=True)
    with pytest.raises(ib.UserError, match="rows 0-3 of the index were already sent"):
        run(frame_with().assign(note="x"), network, yes=True)
    with pytest.raises(ib.UserError, match=r"rows 'k1', 'k2', 'k3', 'k4' of the index were already sent"):
        run(frame_with(["k1", "k2", "k3", "k4"]).assign(note="x"), network, yes=True)


def test_a_question_names_rows_by_their_labels(box: Sandbox, network: Network) -> None:
    """What is deleted and what is changed, before it is."""
    del box
    frame = frame_with(["k1", "k2", "k3", "k4"])
    numbers = run(frame, network, yes=True)[[*list(GOOD)[:2], "promo_number"]]
    with pytest.raises(ib.UserError) as caught:
        run(numbers.assign(action=["delete", "", "", ""], description="Changed"), network)
    assert "(Radio, A-1 / C-1, index 'k1')" in str(caught.value)
    assert "\n  index 'k2', " in str(caught.value)


def test_claims_and_ids_name_rows_by_their_labels(box: Sandbox, network: Network) -> None:
    """Rows that stand for the same number, and ids that differ only in case."""
    del box
    frame = frame_with(["k1", "k2", "k3", "k4"])
    results = run(frame, network, yes=True)
    twice = pd.concat([results, results[:1].set_axis(["copy"], axis="index")])
    with pytest.raises(ib.UserError, match="Rows 'k1', 'copy' of the index stand for the same row of run"):
        run(twice, network, yes=True)
    issues = ib.validate(frame.assign(id_from_network=["x", "X", "y", "z"])).issues
    assert "index 'k2'" in issues["message"].iloc[0]


# In files


def test_a_results_file_has_the_named_index_as_a_column(box: Sandbox, tmp_path: Path) -> None:
    """Of an index without a name, nothing is written; the DataFrame has no such column."""
    results = run(FRAMES["texts"](), box, output=tmp_path / "results.csv")
    assert "our_key" not in results.columns
    with (tmp_path / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["our_key"] for row in written] == ["k1", "k2", "k3", "k4"]
    assert [row["promo_number"] for row in written] == list(results["promo_number"])
    annotated = ib.validate(FRAMES["texts"]()).to_excel(tmp_path / "annotated.xlsx")
    for path in (ib.view(results).to_excel(tmp_path / "view.xlsx"), annotated):
        assert openpyxl.load_workbook(path).worksheets[0]["A2"].value == "k1"
    run(FRAMES["pandas' own"](), box, output=tmp_path / "plain.csv")
    assert (tmp_path / "plain.csv").read_text(encoding="utf-8-sig").startswith(next(iter(GOOD)))


def test_the_annotated_workbook_has_its_own_rows_and_the_labels(tmp_path: Path) -> None:
    """The issues name the row of the workbook, and the label beside it."""
    frame = FRAMES["texts"]().assign(media_type="nonsense")
    sheet = openpyxl.load_workbook(ib.validate(frame).to_excel(tmp_path / "a.xlsx"))["issues"]
    rows = [dict(zip(next(sheet.values), values, strict=True)) for values in list(sheet.values)[1:]]
    assert [(row["row"], row["index"]) for row in rows if row["level"] == "error"] == [
        ("2", "'k1'"),
        ("3", "'k2'"),
        ("4", "'k3'"),
        ("5", "'k4'"),
    ]


def test_a_plan_names_rows_by_their_labels(box: Sandbox, tmp_path: Path) -> None:
    """In its frames, its JSON and its workbook."""
    frame = FRAMES["levels"]().assign(media_type=["Online: Display", "nonsense"] * 2)
    plan = ib.plan(frame, box)
    assert list(plan.rows["row"]) == PAIRS
    assert set(plan.issues["row"]) == {PAIRS[1], PAIRS[3]}
    assert [row["row"] for row in plan.to_json()["rows"]] == [list(pair) for pair in PAIRS]  # type: ignore[index, union-attr]  # JSON
    sheet = openpyxl.load_workbook(plan.to_excel(tmp_path / "plan.xlsx"))["plan"]
    assert {row[0] for row in list(sheet.values)[1:]} == {"'a' / 1", "'a' / 2", "'b' / 1", "'b' / 2"}
    assert "&#x27;b&#x27; / 2" in plan._repr_html_()


@pytest.mark.parametrize("name", FRAMES)
def test_a_saved_plan_keeps_the_labels(box: Sandbox, tmp_path: Path, name: str) -> None:
    """Numbers and texts as they were, others as text; rows in their order."""
    frame = FRAMES[name]()
    results = run(ib.plan(frame, box).save(tmp_path / "plan.json"), box)
    assert list(results["description"]) == list(frame["description"])
    assert list(results.index.names) == list(frame.index.names)
    if name not in {"dates", "periods", "intervals", "one level"}:
        pd.testing.assert_index_equal(results.index, frame.index, exact=False, check_categorical=False)
    frame["promo_number"] = results["promo_number"].to_numpy()
    pd.testing.assert_index_equal(run(ib.plan(frame, box), box).index, frame.index)


# In another session


@pytest.mark.parametrize("name", FRAMES)
def test_the_journal_keeps_the_labels(box: Sandbox, network: Network, name: str) -> None:
    """Numbers and texts as they were, others as text."""
    del box
    frame = FRAMES[name]()
    results = run(frame, network, yes=True)
    later = ib.results(results.attrs["run"])
    assert isinstance(later, pd.DataFrame)
    assert list(later.index.names) == list(frame.index.names)
    assert later.index.is_unique is frame.index.is_unique
    if name in {"dates", "periods", "intervals"}:
        assert list(later.index) == list(map(str, frame.index))
    elif name in {"tuples", "one level"}:
        assert list(later.index) == list(frame.index)
    else:
        pd.testing.assert_index_equal(later.index, frame.index, exact=False, check_categorical=False)
    pd.testing.assert_frame_equal(later.set_axis(results.index, axis="index"), results)


def _press_stop_after_the_first_number(box: Sandbox) -> threading.Thread:
    def wait_and_stop() -> None:
        while not box.store.ledger:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=wait_and_stop)
    thread.start()
    return thread


def _interrupt(frame: pd.DataFrame, box: Sandbox, network: Network) -> pd.DataFrame:
    stopper = _press_stop_after_the_first_number(box)
    with pytest.warns(UserWarning, match="was interrupted"):
        results = run(frame, network, yes=True, rate=2.0, concurrency=1)
    stopper.join()
    assert "not_sent" in set(results["result_status"])
    return results


def test_an_interrupted_run_has_the_labels(box: Sandbox, network: Network) -> None:
    """Now, and when it is resumed in another session."""
    frame = FRAMES["texts"]()
    pd.testing.assert_index_equal(_interrupt(frame, box, network).index, frame.index)
    resumed = ib.resume(network, progress=False)
    assert isinstance(resumed, pd.DataFrame)
    pd.testing.assert_index_equal(resumed.index, frame.index)
    assert dict(zip(resumed["description"], resumed["promo_number"], strict=True)) == issued(box)


def test_a_frame_that_resumes_a_run_gives_its_own_labels(box: Sandbox, network: Network) -> None:
    """The same rows under other labels, and with a blank row between them, are the same run."""
    partial = _interrupt(frame_with(), box, network)
    blank = pd.DataFrame("", index=["blank"], columns=list(GOOD))
    frame = pd.concat([frame_with(["x1", "x2", "x3", "x4"])[:1], blank, frame_with(["x1", "x2", "x3", "x4"])[1:]])
    resumed = run(frame, network, yes=True)
    assert resumed.attrs["run"] == partial.attrs["run"]
    assert list(resumed.index) == ["x1", "x2", "x3", "x4"]
    assert list(resumed["description"]) == DESCRIPTIONS


def test_an_undo_names_the_rows_of_the_run_by_their_labels(box: Sandbox, network: Network) -> None:
    """What it cannot restore is found in the frame that was run."""
    del box
    frame = FRAMES["texts"]()
    bought = run(frame, network, yes=True)
    deletion = run(bought[["promo_number", *list(GOOD)[:2]]].iloc[[2]].assign(action="delete"), network, yes=True)
    undo = ib.undo(deletion.attrs["run"], network)
    assert list(undo.not_undone["row"]) == ["k3"]
    assert any(line.startswith("  index 'k3', delete") for line in undo.lines())


# Named levels


def test_a_named_level_is_a_column_unless_there_is_one() -> None:
    """Also one of a MultiIndex; the sheet has its texts."""
    frame = frame_with().set_index(["advertiser_id_from_network", "description"])
    assert ib.validate(frame).ok
    read = ib.read(frame)
    assert isinstance(read, pd.DataFrame)
    assert list(read.columns[:2]) == ["advertiser_id_from_network", "description"]
    assert (read.index.name, list(read.index)) == ("row", [2, 3, 4, 5])
    named = ib.read(frame_with(pd.Index(["w", "x", "y", "z"], name="Description")))
    assert isinstance(named, pd.DataFrame)
    assert list(named["description"]) == DESCRIPTIONS


def test_what_the_platform_assigns_stays_a_column(box: Sandbox) -> None:
    """An index of own ids is in the results as the index and as the column that all results have."""
    frame = frame_with(pd.Index(["P-1", "P-2", "P-3", "P-4"], name="id_from_network"))
    results = run(frame, box)
    assert list(results.index) == list(results["id_from_network"]) == ["P-1", "P-2", "P-3", "P-4"]


def test_a_secret_in_the_index_is_refused() -> None:
    """Labels are in the journal and in messages."""
    frame = frame_with(pd.Index(["s1", "s2", "s3", "s4"], name="oauth_refresh_token"))
    with pytest.raises(ib.UnreadableSheetError, match=r"frame\.index = range\(len\(frame\)\)") as caught:
        ib.validate(frame)
    assert "s1" not in str(caught.value)


def test_labels_in_messages_are_safe() -> None:
    """Neither a control character nor a long label spoils the line."""
    frame = frame_with(["\x1b[31m", "x" * 1000, "a\nb", "z"]).assign(media_type="nonsense")
    lines = ib.validate(frame).issue_lines(9)
    assert len(lines) == 4
    assert all(len(line) < 400 and line.isprintable() for line in lines)


# Plain CSV

OWN_IDS = ["-A1", "=B2", "+C3", "@D4"]


def test_a_plain_csv_has_the_cells_as_they_are(box: Sandbox, network: Network, tmp_path: Path) -> None:
    """Other programs read the ids that were sent; without the option, an apostrophe is before them."""
    del box
    frame = frame_with().assign(id_from_network=OWN_IDS)
    results = run(frame, network, yes=True, output=tmp_path / "plain.csv", plain_csv=True)
    for name, options, expected in (
        ("plain.csv", None, OWN_IDS),
        ("later.csv", {"plain_csv": True}, OWN_IDS),
        ("escaped.csv", {}, [f"'{own_id}" for own_id in OWN_IDS]),
    ):
        if options is not None:
            ib.results(results.attrs["run"], output=tmp_path / name, **options)
        assert list(pd.read_csv(tmp_path / name)["id_from_network"]) == expected
        sheet = ib.read(tmp_path / name)
        assert isinstance(sheet, pd.DataFrame)
        is_plain = name != "escaped.csv"  # read by this program, a cell that begins with = is a formula
        read_ids = [f"#FORMULA! {own_id}" if is_plain and own_id[0] == "=" else own_id for own_id in OWN_IDS]
        assert list(sheet["id_from_network"]) == read_ids
    exported = ib.export("promo_numbers", network, campaigns=[GOOD], output=tmp_path / "export.csv", plain_csv=True)
    assert isinstance(exported, pd.DataFrame)
    assert sorted(pd.read_csv(tmp_path / "export.csv")["id_from_network"]) == sorted(OWN_IDS)


def test_plain_csv_on_the_command_line(box: Sandbox, cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next command has the flag, too."""
    del box
    monkeypatch.chdir(tmp_path)
    own_ids = ["-A1", "+B2", "@C3", "-D4"]
    rows = frame_with().assign(id_from_network=own_ids)
    rows.loc[3, "media_type"] = "nonsense"
    rows.to_csv("requests.csv", index=False)
    ran = cli("run", "requests.csv", "--sandbox", "--skip-invalid", "-o", "out.csv", "--plain-csv")
    assert ran.code == 1, ran.err
    assert list(pd.read_csv("out.csv")["id_from_network"]) == own_ids
    assert "--plain-csv" in ran.out.partition("Next: ")[2]
