"""Saved plans, and what happens when the platform changes before they are run."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import stat
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import planning
from invoca_bulk.errors import ConfirmationRequiredError, OutputError, PlanError
from invoca_bulk.planning import PlannedRow, Step, plan_diff
from invoca_bulk.reports import plan_file
from tests.examples import with_row_numbers
from tests.systems import posix_only

if TYPE_CHECKING:
    from collections.abc import Iterator
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
SITES = [{"id_from_network": "901", "name": "Downtown"}, {"id_from_network": "902", "name": "Harbor"}]


def user(user_id: str, first: str, last: str) -> dict[str, Any]:
    return {
        "id_from_network": user_id,
        "email_settings": [{"email_address": f"{user_id}@example.com", "use_for_notifications": True}],
        "first_name": first,
        "last_name": last,
        "contact_phone_number": "8055550100",
    }


ANN, JIM, BO = user("U-1", "Ann", "Lee"), user("U-2", "Jim", "Williams"), user("U-3", "Bo", "Diaz")
ACME: dict[str, Any] = {"name": "Acme", "sites": SITES, "users": [ANN, JIM]}
EDIT = {"id_from_network": "A-1", "web_integration_phone_number": "8005550100"}


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    """Another client of the sandbox, which has the advertiser Acme (A-1)."""
    url = f"{box.base_url}/api/2022-08-01/{box.network_id}/"
    with httpx.Client(base_url=url, headers={"Authorization": box.token}, trust_env=False) as client:
        client.put("advertisers/A-1.json", json=ACME).raise_for_status()
        yield client


@pytest.fixture
def edit(http: httpx.Client, network: Network) -> Plan:
    """A plan that changes one field of Acme."""
    del http
    return ib.plan(with_row_numbers(pd.DataFrame([EDIT])), network)


def get_acme(http: httpx.Client) -> dict[str, Any]:
    response: dict[str, Any] = http.get("advertisers/A-1.json").json()
    return response


def run(source: Any, network: Network, **options: Any) -> Any:
    return ib.run(source, network, progress=False, **{"yes": True} | options)


# The file


def test_schemas_are_total() -> None:
    """Every attribute of a step is saved; a new attribute needs a schema."""
    step, row = (
        set(plan_file._to_attributes(schema))  # noqa: SLF001  the tables themselves
        for schema in (plan_file._STEP_SCHEMA, plan_file._ROW_SCHEMA)  # noqa: SLF001
    )
    assert step == {field.name for field in dataclasses.fields(Step)}
    assert row < {field.name for field in dataclasses.fields(PlannedRow)}


@pytest.mark.parametrize("text", ["x", "", "\ud800", "a\0b", "=1+1", "#ROW! x", "ü\u2028"])
def test_round_trip(network: Network, tmp_path: Path, text: str) -> None:
    """A saved plan is read back unchanged, whatever the cells hold, and with the same sheet fingerprint."""
    plan = ib.plan(pd.DataFrame([NUMBER | {"notes": text}, NUMBER | {"id_from_network": "X", "notes": ""}]), network)
    saved_plan = plan_file.read_saved_plan(plan.save(tmp_path / "plan.json"))
    assert saved_plan.steps == plan.data.steps
    assert planning.fingerprint_sheets(saved_plan.sheets) == plan.data.fingerprint
    assert [sheet.frame.index.to_list() for sheet in saved_plan.sheets] == [[2, 3]]
    assert (saved_plan.choices, saved_plan.made_at) == (plan.options.plan_options, plan.made_at)
    assert plan_diff.diff_plans(saved_plan, plan.data) == []


def test_several_sheets(network: Network, http: httpx.Client, tmp_path: Path) -> None:
    """A plan of several sheets is saved with all of them."""
    del http
    frames = {"advertisers": pd.DataFrame([EDIT]), "promo_numbers": pd.DataFrame([NUMBER])}
    saved_plan = plan_file.read_saved_plan(ib.plan(frames, network).save(tmp_path / "plan.json"))
    assert [(sheet.name, sheet.resource.name) for sheet in saved_plan.sheets] == [
        ("advertisers", "advertisers"),
        ("promo_numbers", "promo_numbers"),
    ]


@posix_only
def test_the_file_is_the_users_own(edit: Plan, tmp_path: Path, box: Sandbox) -> None:
    """Only the user can read the file, no file is overwritten, and the token is not in it."""
    paths = [edit.save(tmp_path / "plan.json") for _ in range(3)]
    assert [path.name for path in paths] == ["plan.json", "plan-2.json", "plan-3.json"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == {0o600}
    assert box.token not in paths[0].read_text(encoding="ascii")


@pytest.mark.parametrize("name", ["plan.xlsx", "plan", "nowhere/plan.json"])
def test_invalid_paths(edit: Plan, tmp_path: Path, name: str) -> None:
    """The name must end in .json, and the folder must exist."""
    with pytest.raises(OutputError):
        edit.save(tmp_path / name)


@posix_only
def test_sheet_is_not_a_saved_plan(tmp_path: Path) -> None:
    """A file that does not start like a saved plan is read as a sheet, whatever its name; a pipe does not block."""
    pd.DataFrame([NUMBER]).to_csv(tmp_path / "plan.json", index=False)
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "plan.json", tmp_path / "pipe", tmp_path, tmp_path / "missing", "\0", pd.DataFrame()):
        assert plan_file.read_if_saved_plan(source) is None


def test_saved_plan_is_recognized_by_its_content(edit: Plan, tmp_path: Path) -> None:
    """A saved plan is recognized even if it was renamed or reformatted."""
    path = edit.save(tmp_path / "plan.json")
    path.rename(tmp_path / "plan.csv")
    (tmp_path / "pretty").write_text(json.dumps(json.loads((tmp_path / "plan.csv").read_text()), indent=2), "utf-8-sig")
    for name in ("plan.csv", "pretty"):
        assert (saved_plan := plan_file.read_if_saved_plan(str(tmp_path / name)))
        assert saved_plan.steps == edit.data.steps


@pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
def test_truncated_file(edit: Plan, tmp_path: Path, share: float) -> None:
    """A truncated file is rejected as damaged."""
    path = edit.save(tmp_path / "plan.json")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(PlanError, match=r"plan\.json is damaged"):
        plan_file.read_if_saved_plan(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("{}", "neither a sheet nor a saved plan", id="empty"),
        pytest.param('{"a": 1}', "neither a sheet nor a saved plan", id="other-json"),
        pytest.param("[1]", "neither a sheet nor a saved plan", id="list"),
        pytest.param('{"invoca_bulk_plan": 1}', "another version", id="other-version"),
        pytest.param('{"invoca_bulk_plan": "1"}', "another version", id="text-version"),
        pytest.param('{"invoca_bulk_plan": 2}', "has been edited", id="nothing-else"),
        pytest.param('{"a": ' + "[" * 100_000, "damaged", id="deep"),
        pytest.param('{"a": "\udcff"}', "damaged", id="no-utf-8"),
    ],
)
def test_invalid_files(tmp_path: Path, content: str, reason: str) -> None:
    """For any other file, one sentence says what is wrong and a second one what to do."""
    path = tmp_path / "plan.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PlanError, match=reason) as error:
        plan_file.read_saved_plan(path)
    assert str(error.value).count(". ") == 1


def _key_paths(value: Any, key_path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a saved plan, except those inside bodies and the like, which may hold anything."""
    yield key_path
    if key_path[-1:] and key_path[-1] in {"body", "before", "patch"}:
        return
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _key_paths(item, (*key_path, key))


def _replaced(content: Any, key_path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a path."""
    changed = copy.deepcopy(content)
    parent = changed
    for key in key_path[:-1]:
        parent = parent[key]
    parent[key_path[-1]] = value
    return changed


def test_tampered_types(edit: Plan, tmp_path: Path) -> None:
    """A value of an unexpected type is rejected, wherever it is."""
    content = json.loads(edit.save(tmp_path / "plan.json").read_text())
    for key_path in filter(None, _key_paths(content)):
        (tmp_path / "bad.json").write_text(json.dumps(_replaced(content, key_path, 1.5)))
        with pytest.raises(PlanError):
            plan_file.read_saved_plan(tmp_path / "bad.json")


@pytest.mark.parametrize("value", [{"x": 1}, [[1]], [], "\0", None, True, -1, 10**30], ids=str)
def test_tampered_values(edit: Plan, tmp_path: Path, value: Any) -> None:
    """Any value anywhere, bodies included, either gets the file rejected or can be compared with the new plan."""
    content = json.loads(edit.save(tmp_path / "plan.json").read_text())
    body_paths = ((*("steps", 0, name), key) for name in ("body", "before") for key in ACME)
    key_paths = [*filter(None, _key_paths(content)), *body_paths]
    rejected_count = 0
    for key_path in key_paths:
        (tmp_path / "bad.json").write_text(json.dumps(_replaced(content, key_path, value)))
        try:
            plan_diff.diff_plans(plan_file.read_saved_plan(tmp_path / "bad.json"), edit.data)
        except PlanError:
            rejected_count += 1
    assert rejected_count > len(key_paths) / 2


INDEXES: dict[str, Any] = {
    "as saved": {},
    "a label missing": {"labels": [["a"]]},
    "a level missing": {"labels": [["a"], ["b"]], "names": ["x", "y"]},
    "no levels": {"labels": [[], []], "names": []},
    "an unknown column": {"columns": ["y"]},
    "nested labels": {"labels": [[[["a"]]], ["b"]]},
    "a key missing": {"labels": None},
}


@pytest.mark.parametrize("name", INDEXES)
def test_tampered_index(network: Network, tmp_path: Path, name: str) -> None:
    """The index of a DataFrame fits its rows, or the file is rejected."""
    frame = pd.DataFrame([NUMBER, NUMBER], index=pd.Index(["a", "b"], name="key"))
    content = json.loads(ib.plan(frame, network).save(tmp_path / "plan.json").read_text())
    content["sheets"][0]["index"] |= INDEXES[name]
    (tmp_path / "edited.json").write_text(json.dumps(content))
    if name == "as saved":
        (sheet,) = plan_file.read_saved_plan(tmp_path / "edited.json").sheets
        pd.testing.assert_index_equal(sheet.labels.index, frame.index)
        return
    with pytest.raises(PlanError, match="edited"):
        plan_file.read_saved_plan(tmp_path / "edited.json")


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"headers": ["id_from_network", "id_from_network"]}, id="duplicate-header"),
        pytest.param({"headers": ["id_from_network"]}, id="header-missing"),
        pytest.param({"rows": [2, 3]}, id="extra-row"),
        pytest.param({"cells": [["A-1"]]}, id="cell-missing"),
        pytest.param({"rows": [10**30]}, id="row-too-large"),
        pytest.param({"resource": "promo_number"}, id="unknown-resource"),
    ],
)
def test_inconsistent_sheets(edit: Plan, tmp_path: Path, edited: dict[str, Any]) -> None:
    """Rows, cells and headers must be consistent."""
    path = edit.save(tmp_path / "plan.json")
    content = json.loads(path.read_text())
    content["sheets"][0] |= edited
    path.write_text(json.dumps(content))
    with pytest.raises(PlanError, match="has been edited"):
        plan_file.read_saved_plan(path)


# Running it


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "plan"])
def test_run_of_a_plan(
    edit: Plan,
    network: Network,
    http: httpx.Client,
    tmp_path: Path,
    as_file: bool,  # noqa: FBT001  a column of the table
) -> None:
    """A plan is run as it is, from a file or directly; users that are not in it stay."""
    before = get_acme(http)
    source: Any = str(edit.save(tmp_path / "plan.json")) if as_file else edit
    results = ib.run(source, network, progress=False)
    assert list(results["result_status"]) == ["updated"]
    assert get_acme(http) == before | {"web_integration_phone_number": "8005550100"}


def test_options_of_the_plan_apply(http: httpx.Client, network: Network, tmp_path: Path) -> None:
    """A plan made with replace and allowed removals removes users, although the run has no such options."""
    frame = pd.DataFrame(
        [{"id_from_network": "A-1", "sites.1.id_from_network": "901", "users.1.id_from_network": "U-1"}]
    )
    plan = ib.plan(frame, network, nested="replace", allow_removals=True)
    path = plan.save(tmp_path / "plan.json")
    with pytest.raises(ConfirmationRequiredError, match=r"Acme \(A-1\): user Jim Williams \(U-2\)"):
        run(path, network, yes=False)
    run(path, network)
    assert [user["id_from_network"] for user in get_acme(http)["users"]] == ["U-1"]


@pytest.mark.parametrize("options", [{"nested": "merge"}, {"auto_ids": False}, {"sheet": "x"}], ids=str)
def test_options_that_the_plan_fixes_are_rejected(edit: Plan, network: Network, options: dict[str, Any]) -> None:
    """Such an option could only contradict the saved plan."""
    with pytest.raises(PlanError, match=f"cannot take .*{next(iter(options))}"):
        ib.run(edit, network, **options)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        pytest.param({"network_id": "999"}, "network 999", id="network"),
        pytest.param({"base_url": "https://other.invoca.net"}, "https://other.invoca.net", id="base-url"),
        pytest.param({"api_version": "2019-05-01"}, "2019-05-01", id="version"),
    ],
)
def test_another_network(edit: Plan, network: Network, tmp_path: Path, changes: dict[str, Any], shown: str) -> None:
    """A plan is for one network and one API version; both are named, and nothing is sent."""
    with pytest.raises(PlanError) as error:
        run(edit.save(tmp_path / "plan.json"), dataclasses.replace(network, **changes))
    assert shown in str(error.value)
    assert f"network 1234 at {network.base_url} (API version 2022-08-01)" in str(error.value)


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "renamed": ({"name": "Acme Inc"}, "advertiser Acme (A-1): name was 'Acme' and is 'Acme Inc' now"),
    "value": ({"approval_status": "Declined"}, "approval_status was 'Approved' and is 'Declined' now"),
    "user added": ({"users": [ANN, JIM, BO]}, "user Bo Diaz (U-3) was added"),
    "user removed": ({"users": [ANN]}, "advertiser Acme (A-1): user Jim Williams (U-2) was removed"),
    "user changed": ({"users": [ANN, JIM | {"role": "Member"}]}, "user Jim Williams (U-2), role was 'Super'"),
    "sites reordered": ({"sites": SITES[::-1]}, "its users or sites are in a different order now"),
    "already done": (
        {"web_integration_phone_number": "8005550100"},
        "row 2 (Acme (A-1)): update in the plan, unchanged now",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_since(edit: Plan, network: Network, http: httpx.Client, tmp_path: Path, name: str) -> None:
    """The error names the object with its old and new value; nothing is sent."""
    changes, sentence = CHANGED[name]
    path = edit.save(tmp_path / "plan.json")
    http.put("advertisers/A-1.json", json=ACME | changes).raise_for_status()
    before = get_acme(http)
    with pytest.raises(PlanError, match="the platform has changed since") as error:
        run(path, network)
    assert sentence in str(error.value)
    assert error.value.exit_code == 2
    assert get_acme(http) == before


@pytest.mark.parametrize("status", ["create", "refused"])
def test_deleted_since(edit: Plan, network: Network, http: httpx.Client, tmp_path: Path, status: str) -> None:
    """An advertiser deleted since is not created again by a plan that updates it."""
    row = {**EDIT, "name": "Acme", "sites.1.id_from_network": "901"} if status == "create" else EDIT
    plan = ib.plan(with_row_numbers(pd.DataFrame([row])), network)
    assert plan.counts == edit.counts
    path = plan.save(tmp_path / "plan.json")
    http.delete("advertisers/A-1.json").raise_for_status()
    with pytest.raises(PlanError, match=rf"row 2 \(Acme \(A-1\)\): update in the plan, {status} now"):
        run(path, network)
    assert http.get("advertisers/A-1.json").status_code == HTTPStatus.NOT_FOUND


NUMBERS = "advertisers/A-100/advertiser_campaigns/C-100/promo_numbers"


def buy(http: httpx.Client) -> str:
    body = {"description": "Spring sale", "media_type": "Online: Display"}
    return str(http.post(f"{NUMBERS}.json", json=body).raise_for_status().json()["promo_number"])


def test_number_changed_since(network: Network, http: httpx.Client, tmp_path: Path) -> None:
    """The same for promo numbers; numbers that are not in the plan may change."""
    number = buy(http)
    plan = ib.plan(pd.DataFrame([NUMBER | {"promo_number": number, "description": "Autumn sale"}]), network)
    path = plan.save(tmp_path / "plan.json")
    buy(http)
    assert (
        plan_diff.diff_plans(
            plan_file.read_saved_plan(path), ib.plan(plan.validated_book.sheets[0].sheet.frame, network).data
        )
        == []
    )
    http.put(f"{NUMBERS}/{number}.json", json={"description": "Sale", "media_type": "Online: Display"})
    with pytest.raises(PlanError, match=f"promo number {number}: description was 'Spring sale' and is 'Sale' now"):
        run(path, network)


def test_other_numbers_may_be_bought(network: Network, http: httpx.Client, tmp_path: Path, box: Sandbox) -> None:
    """A number that another client bought in the campaign does not count as a change."""
    path = ib.plan(pd.DataFrame([NUMBER]), network).save(tmp_path / "plan.json")
    buy(http)
    assert list(run(path, network)["result_status"]) == ["created"]
    assert len(box.store.ledger) == 2


def test_saved_plan_buys_once(network: Network, tmp_path: Path, box: Sandbox) -> None:
    """Run a second time, or its sheet run beside it, it is known for the same; --again buys once more."""
    frame = pd.DataFrame([NUMBER | {"quantity": "2"}])
    path = ib.plan(frame, network).save(tmp_path / "plan.json")
    run(path, network)
    for source in (path, frame):
        with pytest.raises(ConfirmationRequiredError, match="already sent by"):
            run(source, network)
    assert len(box.store.ledger) == 2
    run(path, network, again=True)
    assert len(box.store.ledger) == 4


def test_rows_with_errors_are_not_sent(network: Network, tmp_path: Path, box: Sandbox) -> None:
    """A plan with refused rows can be saved; it only runs with skip_invalid, as the sheet does."""
    path = ib.plan(pd.DataFrame([NUMBER, NUMBER | {"media_type": "x"}]), network).save(tmp_path / "plan.json")
    with pytest.raises(ib.UserError, match="1 row has errors"):
        run(path, network)
    assert list(run(path, network, skip_invalid=True)["result_status"]) == ["created", "invalid"]
    assert len(box.store.ledger) == 1


@pytest.mark.parametrize(
    ("key_path", "value"),
    [
        pytest.param(("steps", 0, "body", "name"), "Mine", id="body"),
        pytest.param(("steps", 0, "before", "users"), 5, id="before"),
        pytest.param(("steps", 0, "path", 1), "A-100", id="path"),
        pytest.param(("steps", 0, "verb"), "DELETE", id="verb"),
        pytest.param(("sheets", 0, "cells", 0, 1), "8005550111", id="cell"),
    ],
)
def test_tampered_steps_are_never_sent(
    edit: Plan, network: Network, tmp_path: Path, key_path: tuple[Any, ...], value: Any
) -> None:
    """The steps in the file are only compared, never sent: an edited file is rejected."""
    path = edit.save(tmp_path / "plan.json")
    path.write_text(json.dumps(_replaced(json.loads(path.read_text()), key_path, value)))
    with pytest.raises(PlanError):
        run(path, network)
    assert ib.plan(pd.DataFrame([EDIT]), network).data.steps == edit.data.steps
