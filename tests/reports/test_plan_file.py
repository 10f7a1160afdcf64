"""Plans as files, and what becomes of them when the platform has changed since."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
import stat
from typing import TYPE_CHECKING, Any

import httpx
import pandas as pd
import pytest

import invoca_bulk as ib
from invoca_bulk import planning
from invoca_bulk.errors import ConfirmationRequiredError, OutputError, PlanError
from invoca_bulk.planning import PlannedRow, Step, plan_diff
from invoca_bulk.reports import plan_file

if TYPE_CHECKING:
    from collections.abc import Iterator
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
SITES = [{"id_from_network": "901", "name": "Downtown"}, {"id_from_network": "902", "name": "Harbor"}]


def user(own_id: str, first: str, last: str) -> dict[str, Any]:
    return {
        "id_from_network": own_id,
        "email_settings": [{"email_address": f"{own_id}@example.com", "use_for_notifications": True}],
        "first_name": first,
        "last_name": last,
        "contact_phone_number": "8055550100",
    }


ANN, JIM, BO = user("U-1", "Ann", "Lee"), user("U-2", "Jim", "Williams"), user("U-3", "Bo", "Diaz")
ACME: dict[str, Any] = {"name": "Acme", "sites": SITES, "users": [ANN, JIM]}
EDIT = {"id_from_network": "A-1", "web_integration_phone_number": "8005550100"}


@pytest.fixture
def http(box: Sandbox) -> Iterator[httpx.Client]:
    """The sandbox as somebody else sees it, with the advertiser Acme (A-1)."""
    url = f"{box.base_url}/api/2022-08-01/{box.network_id}/"
    with httpx.Client(base_url=url, headers={"Authorization": box.token}, trust_env=False) as client:
        client.put("advertisers/A-1.json", json=ACME).raise_for_status()
        yield client


@pytest.fixture
def edit(http: httpx.Client, network: Network) -> Plan:
    """A plan that changes one field of Acme."""
    del http
    return ib.plan(pd.DataFrame([EDIT]), network)


def acme(http: httpx.Client) -> dict[str, Any]:
    answer: dict[str, Any] = http.get("advertisers/A-1.json").json()
    return answer


def again(path: Any, network: Network, **options: Any) -> Any:
    return ib.run(path, network, progress=False, **{"yes": True} | options)


# The file


def test_forms_are_total() -> None:
    """A step is kept with all that it has; an attribute that is added has to be given its form."""
    assert set(plan_file._to_attributes(plan_file._STEP_SCHEMA)) == {field.name for field in dataclasses.fields(Step)}  # noqa: SLF001  the table itself
    assert set(plan_file._to_attributes(plan_file._ROW_SCHEMA)) < {
        field.name for field in dataclasses.fields(PlannedRow)
    }  # noqa: SLF001


@pytest.mark.parametrize("text", ["x", "", "\ud800", "a\0b", "=1+1", "#ROW! x", "ü\u2028"])
def test_round_trip(network: Network, tmp_path: Path, text: str) -> None:
    """What is kept is read again as it was, whatever the cells hold, and is still the same sheet."""
    made = ib.plan(pd.DataFrame([NUMBER | {"notes": text}, NUMBER | {"id_from_network": "X", "notes": ""}]), network)
    back = plan_file.read_saved_plan(made.keep(tmp_path / "plan.json"))
    assert back.steps == made.data.steps
    assert planning.fingerprint_sheets(back.sheets) == made.data.fingerprint
    assert [one.frame.index.to_list() for one in back.sheets] == [[2, 3]]
    assert (back.choices, back.made_at) == (made.options.choices, made.made_at)
    assert plan_diff.diff_plans(back, made.data) == []


def test_several_sheets(network: Network, http: httpx.Client, tmp_path: Path) -> None:
    """A workbook of several sheets is kept with all of them."""
    del http
    frames = {"advertisers": pd.DataFrame([EDIT]), "promo_numbers": pd.DataFrame([NUMBER])}
    back = plan_file.read_saved_plan(ib.plan(frames, network).keep(tmp_path / "plan.json"))
    assert [(one.name, one.resource.name) for one in back.sheets] == [
        ("advertisers", "advertisers"),
        ("promo_numbers", "promo_numbers"),
    ]


def test_the_file_is_the_users_own(edit: Plan, tmp_path: Path, box: Sandbox) -> None:
    """Only the user can read it, nothing is ever written over, and the token is not in it."""
    paths = [edit.keep(tmp_path / "plan.json") for _ in range(3)]
    assert [one.name for one in paths] == ["plan.json", "plan-2.json", "plan-3.json"]
    assert {stat.S_IMODE(one.stat().st_mode) for one in paths} == {0o600}
    assert box.token not in paths[0].read_text(encoding="ascii")


@pytest.mark.parametrize("name", ["plan.xlsx", "plan", "nowhere/plan.json"])
def test_names_that_cannot_be_written(edit: Plan, tmp_path: Path, name: str) -> None:
    """The name has to say what it is, and the folder has to be there."""
    with pytest.raises(OutputError):
        edit.keep(tmp_path / name)


def test_a_sheet_is_no_plan(tmp_path: Path) -> None:
    """What does not begin as a kept plan is left to be read as a sheet, whatever its name; a pipe is not waited for."""
    pd.DataFrame([NUMBER]).to_csv(tmp_path / "plan.json", index=False)
    os.mkfifo(tmp_path / "pipe")
    for source in (tmp_path / "plan.json", tmp_path / "pipe", tmp_path, tmp_path / "missing", "\0", pd.DataFrame()):
        assert plan_file.read_if_saved_plan(source) is None


def test_a_plan_is_told_by_its_content(edit: Plan, tmp_path: Path) -> None:
    """A kept plan that was renamed, or written anew by an editor, is one all the same."""
    path = edit.keep(tmp_path / "plan.json")
    path.rename(tmp_path / "plan.csv")
    (tmp_path / "pretty").write_text(json.dumps(json.loads((tmp_path / "plan.csv").read_text()), indent=2), "utf-8-sig")
    for name in ("plan.csv", "pretty"):
        assert (found := plan_file.read_if_saved_plan(str(tmp_path / name)))
        assert found.steps == edit.data.steps


@pytest.mark.parametrize("part", [0.01, 0.5, 0.999])
def test_a_truncated_file(edit: Plan, tmp_path: Path, part: float) -> None:
    """A file that was cut off is refused as such."""
    path = edit.keep(tmp_path / "plan.json")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(PlanError, match=r"plan\.json is damaged"):
        plan_file.read_if_saved_plan(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("{}", "neither a sheet nor a kept plan", id="empty"),
        pytest.param('{"a": 1}', "neither a sheet nor a kept plan", id="other-json"),
        pytest.param("[1]", "neither a sheet nor a kept plan", id="list"),
        pytest.param('{"invoca_bulk_plan": 1}', "another version", id="other-version"),
        pytest.param('{"invoca_bulk_plan": "1"}', "another version", id="text-version"),
        pytest.param('{"invoca_bulk_plan": 2}', "has been changed", id="nothing-else"),
        pytest.param('{"a": ' + "[" * 100_000, "damaged", id="deep"),
        pytest.param('{"a": "\udcff"}', "damaged", id="no-utf-8"),
    ],
)
def test_other_files(tmp_path: Path, content: str, reason: str) -> None:
    """Whatever else it is, one sentence says so, and a second what to do."""
    path = tmp_path / "plan.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(PlanError, match=reason) as refused:
        plan_file.read_saved_plan(path)
    assert str(refused.value).count(". ") == 1


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place within a kept plan, but not within bodies and the like, which may hold anything."""
    yield at
    if at[-1:] and at[-1] in {"body", "before", "patch"}:
        return
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in pairs:
        yield from _places(one, (*at, key))


def _with(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    changed = copy.deepcopy(content)
    parent = changed
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = value
    return changed


def test_tampered_types(edit: Plan, tmp_path: Path) -> None:
    """A value of a type that has no business there is refused, wherever it stands."""
    good = json.loads(edit.keep(tmp_path / "plan.json").read_text())
    for place in filter(None, _places(good)):
        (tmp_path / "bad.json").write_text(json.dumps(_with(good, place, 1.5)))
        with pytest.raises(PlanError):
            plan_file.read_saved_plan(tmp_path / "bad.json")


@pytest.mark.parametrize("bad", [{"x": 1}, [[1]], [], "\0", None, True, -1, 10**30], ids=str)
def test_tampered_values(edit: Plan, tmp_path: Path, bad: Any) -> None:
    """Whatever stands anywhere, bodies included: the file is refused, or its differences are told."""
    good = json.loads(edit.keep(tmp_path / "plan.json").read_text())
    every = [*filter(None, _places(good)), *((*("steps", 0, name), key) for name in ("body", "before") for key in ACME)]
    told = 0
    for place in every:
        (tmp_path / "bad.json").write_text(json.dumps(_with(good, place, bad)))
        try:
            plan_diff.diff_plans(plan_file.read_saved_plan(tmp_path / "bad.json"), edit.data)
        except PlanError:
            told += 1
    assert told > len(every) / 2


@pytest.mark.parametrize(
    "edited",
    [
        pytest.param({"headers": ["id_from_network", "id_from_network"]}, id="header-twice"),
        pytest.param({"headers": ["id_from_network"]}, id="header-lost"),
        pytest.param({"rows": [2, 3]}, id="row-more"),
        pytest.param({"cells": [["A-1"]]}, id="cell-lost"),
        pytest.param({"rows": [10**30]}, id="row-out-of-sight"),
        pytest.param({"resource": "promo_number"}, id="no-such-resource"),
    ],
)
def test_sheets_that_do_not_fit_together(edit: Plan, tmp_path: Path, edited: dict[str, Any]) -> None:
    """Rows, cells and headers have to agree."""
    path = edit.keep(tmp_path / "plan.json")
    content = json.loads(path.read_text())
    content["sheets"][0] |= edited
    path.write_text(json.dumps(content))
    with pytest.raises(PlanError, match="has been changed"):
        plan_file.read_saved_plan(path)


# Running it


@pytest.mark.parametrize("as_file", [True, False], ids=["file", "preview"])
def test_it_does_what_it_says(
    edit: Plan,
    network: Network,
    http: httpx.Client,
    tmp_path: Path,
    as_file: bool,  # noqa: FBT001  a column of the table
) -> None:
    """A plan is run as it is, from its file or at once; who is not in it stays."""
    before = acme(http)
    source: Any = str(edit.keep(tmp_path / "plan.json")) if as_file else edit
    results = ib.run(source, network, progress=False)
    assert list(results["result_status"]) == ["updated"]
    assert acme(http) == before | {"web_integration_phone_number": "8005550100"}


def test_its_choices_hold(http: httpx.Client, network: Network, tmp_path: Path) -> None:
    """A plan made with replace and leave to remove does that, though the run says nothing of it."""
    frame = pd.DataFrame(
        [{"id_from_network": "A-1", "sites.1.id_from_network": "901", "users.1.id_from_network": "U-1"}]
    )
    made = ib.plan(frame, network, nested="replace", allow_removals=True)
    path = made.keep(tmp_path / "plan.json")
    with pytest.raises(ConfirmationRequiredError, match=r"Acme \(A-1\): user Jim Williams \(U-2\)"):
        again(path, network, yes=False)
    again(path, network)
    assert [one["id_from_network"] for one in acme(http)["users"]] == ["U-1"]


@pytest.mark.parametrize("given", [{"nested": "merge"}, {"auto_ids": False}, {"sheet": "x"}], ids=str)
def test_what_it_has_settled_is_not_given_again(edit: Plan, network: Network, given: dict[str, Any]) -> None:
    """A choice beside a kept plan could only contradict it."""
    with pytest.raises(PlanError, match=f"--{next(iter(given)).replace('_', '-')}"):
        ib.run(edit, network, **given)


@pytest.mark.parametrize(
    ("other", "shown"),
    [
        pytest.param({"network_id": "999"}, "network 999", id="network"),
        pytest.param({"base_url": "https://other.invoca.net"}, "https://other.invoca.net", id="base-url"),
        pytest.param({"api_version": "2019-05-01"}, "2019-05-01", id="version"),
    ],
)
def test_another_network(edit: Plan, network: Network, tmp_path: Path, other: dict[str, Any], shown: str) -> None:
    """A plan is for one network and one version; both are named, and nobody is asked for anything."""
    with pytest.raises(PlanError) as refused:
        again(edit.keep(tmp_path / "plan.json"), dataclasses.replace(network, **other))
    assert shown in str(refused.value)
    assert f"network 1234 at {network.base_url} (API version 2022-08-01)" in str(refused.value)


CHANGED: dict[str, tuple[dict[str, Any], str]] = {
    "renamed": ({"name": "Acme Inc"}, "advertiser Acme (A-1): name was 'Acme' and is 'Acme Inc' now"),
    "value": ({"approval_status": "Declined"}, "approval_status was 'Approved' and is 'Declined' now"),
    "user added": ({"users": [ANN, JIM, BO]}, "user Bo Diaz (U-3) was added"),
    "user removed": ({"users": [ANN]}, "advertiser Acme (A-1): user Jim Williams (U-2) was removed"),
    "user changed": ({"users": [ANN, JIM | {"role": "Member"}]}, "user Jim Williams (U-2), role was 'Super'"),
    "sites turned": ({"sites": SITES[::-1]}, "its users or sites are in a different order now"),
    "done": ({"web_integration_phone_number": "8005550100"}, "row 2 (Acme (A-1)): update in the plan, unchanged now"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_changed_since(edit: Plan, network: Network, http: httpx.Client, tmp_path: Path, name: str) -> None:
    """What has changed is told with the object's name, old and new; nothing is sent."""
    more, sentence = CHANGED[name]
    path = edit.keep(tmp_path / "plan.json")
    http.put("advertisers/A-1.json", json=ACME | more).raise_for_status()
    before = acme(http)
    with pytest.raises(PlanError, match="the platform has changed since") as refused:
        again(path, network)
    assert sentence in str(refused.value)
    assert refused.value.exit_code == 2
    assert acme(http) == before


@pytest.mark.parametrize("status", ["create", "refused"])
def test_gone_since(edit: Plan, network: Network, http: httpx.Client, tmp_path: Path, status: str) -> None:
    """An advertiser that was deleted since is not created anew by the plan that was to change it."""
    whole = {**EDIT, "name": "Acme", "sites.1.id_from_network": "901"} if status == "create" else EDIT
    made = ib.plan(pd.DataFrame([whole]), network)
    assert made.counts == edit.counts
    path = made.keep(tmp_path / "plan.json")
    http.delete("advertisers/A-1.json").raise_for_status()
    with pytest.raises(PlanError, match=rf"row 2 \(Acme \(A-1\)\): update in the plan, {status} now"):
        again(path, network)
    assert http.get("advertisers/A-1.json").status_code == 404


NUMBERS = "advertisers/A-100/advertiser_campaigns/C-100/promo_numbers"


def buy(http: httpx.Client) -> str:
    body = {"description": "Spring sale", "media_type": "Online: Display"}
    return str(http.post(f"{NUMBERS}.json", json=body).raise_for_status().json()["promo_number"])


def test_a_number_changed_since(network: Network, http: httpx.Client, tmp_path: Path) -> None:
    """The same for promo numbers; a number that the plan is not about may come and go."""
    number = buy(http)
    made = ib.plan(pd.DataFrame([NUMBER | {"promo_number": number, "description": "Autumn sale"}]), network)
    path = made.keep(tmp_path / "plan.json")
    buy(http)
    assert (
        plan_diff.diff_plans(
            plan_file.read_saved_plan(path), ib.plan(made.validated_book.sheets[0].sheet.frame, network).data
        )
        == []
    )
    http.put(f"{NUMBERS}/{number}.json", json={"description": "Sale", "media_type": "Online: Display"})
    with pytest.raises(PlanError, match=f"promo number {number}: description was 'Spring sale' and is 'Sale' now"):
        again(path, network)


def test_other_numbers_do_not_count(network: Network, http: httpx.Client, tmp_path: Path, box: Sandbox) -> None:
    """A number that somebody else has bought in the campaign is no change."""
    path = ib.plan(pd.DataFrame([NUMBER]), network).keep(tmp_path / "plan.json")
    buy(http)
    assert list(again(path, network)["result_status"]) == ["created"]
    assert len(box.store.ledger) == 2


def test_a_kept_plan_buys_once(network: Network, tmp_path: Path, box: Sandbox) -> None:
    """Run a second time, or its sheet run beside it, it is known for the same; --again buys once more."""
    frame = pd.DataFrame([NUMBER | {"quantity": "2"}])
    path = ib.plan(frame, network).keep(tmp_path / "plan.json")
    again(path, network)
    for source in (path, frame):
        with pytest.raises(ConfirmationRequiredError, match="done already"):
            again(source, network)
    assert len(box.store.ledger) == 2
    again(path, network, again=True)
    assert len(box.store.ledger) == 4


def test_rows_with_errors_are_not_sent(network: Network, tmp_path: Path, box: Sandbox) -> None:
    """A plan with refused rows can be kept; it runs with skip_invalid only, as the sheet does."""
    path = ib.plan(pd.DataFrame([NUMBER, NUMBER | {"media_type": "x"}]), network).keep(tmp_path / "plan.json")
    with pytest.raises(ib.UserError, match="1 row has errors"):
        again(path, network)
    assert list(again(path, network, skip_invalid=True)["result_status"]) == ["created", "invalid"]
    assert len(box.store.ledger) == 1


@pytest.mark.parametrize(
    ("place", "value"),
    [
        pytest.param(("steps", 0, "body", "name"), "Mine", id="body"),
        pytest.param(("steps", 0, "before", "users"), 5, id="before"),
        pytest.param(("steps", 0, "path", 1), "A-100", id="path"),
        pytest.param(("steps", 0, "verb"), "DELETE", id="verb"),
        pytest.param(("sheets", 0, "cells", 0, 1), "8005550111", id="cell"),
    ],
)
def test_what_was_written_into_it_is_never_sent(
    edit: Plan, network: Network, tmp_path: Path, place: tuple[Any, ...], value: Any
) -> None:
    """The file's own steps are compared, not sent: one that was changed by hand is refused."""
    path = edit.keep(tmp_path / "plan.json")
    path.write_text(json.dumps(_with(json.loads(path.read_text()), place, value)))
    with pytest.raises(PlanError):
        again(path, network)
    assert ib.plan(pd.DataFrame([EDIT]), network).data.steps == edit.data.steps
