"""Uses of the public types, for the type checker only: what an analyst writes must type-check under `mypy --strict`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import invoca_bulk as ib

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def validate(path: Path) -> bool:
    """Frames or dicts of frames come back from `read`, and both can be validated."""
    sheet: pd.DataFrame | dict[str, pd.DataFrame] = ib.read(path, resource="promo_numbers")
    report: ib.Report = ib.validate(sheet, api_version="2022-08-01")
    issues: pd.DataFrame = report.issues
    return report.ok and issues.empty


def plan_and_run(frame: pd.DataFrame) -> list[str]:
    """A plan is reviewed, saved and run."""
    network = ib.Network(network_id="1234", token="a-token")
    plan: ib.Plan = ib.plan(frame, network, nested="merge", concurrency=4)
    saved: Path = plan.save("plan.json")
    plan.to_excel("plan.xlsx")
    try:
        results = ib.run(plan, network, yes=True, max_new_numbers=10, output="results.xlsx")
    except ib.ConfirmationRequiredError as error:
        return [str(error), str(saved)]
    return [] if isinstance(results, dict) else list(results["promo_number"])


def rehearse(path: str) -> pd.DataFrame | dict[str, pd.DataFrame]:
    """A sandbox takes the place of a network."""
    with ib.sandbox(open_campaigns=True, latency=0.1, faults="20%") as network:
        results = ib.run(path, network, rate=10.0, settle=1.0, yes=True)
        ib.view(results).to_excel("results.xlsx")
        undo: ib.Plan = ib.undo("the id of the run", network)
        return ib.run(undo, network) if undo.ok else ib.resume(network)


def look_up(run: str) -> tuple[pd.DataFrame, pd.DataFrame | dict[str, pd.DataFrame]]:
    """All runs, and the results of one of them."""
    return ib.runs(journal="journals"), ib.results(run, journal="journals", output="results.xlsx")
