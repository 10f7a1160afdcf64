"""The library's door: DataFrames in, DataFrames out."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from invoca_bulk import pipeline, sheets, templates
from invoca_bulk.errors import SettingInvalid
from invoca_bulk.options import Options
from invoca_bulk.schema import DEFAULT_API_VERSION, RESOURCES
from invoca_bulk.settings import Network, is_terminal
from invoca_bulk.stand_in import Sandbox

if TYPE_CHECKING:
    import pandas as pd

    from invoca_bulk.annotation import Report

__all__ = ["Network", "read", "run", "sandbox", "template", "validate"]


def read(source: pipeline.Source, *, sheet: str | None = None, resource: str | None = None) -> pd.DataFrame:
    """Read a spreadsheet, CSV file or DataFrame into a frame of texts.

    Args:
        source: a path, an open file or a DataFrame. The content decides about the format, not the extension.
        sheet: the worksheet; None: the one whose headers fit.
        resource: `promo_numbers` or `advertisers`; None: told from the headers.

    Returns:
        A frame of text cells (blank: ""), its columns under the titles of the sheet, its index `row` (int64) the row
        numbers that the spreadsheet shows. What was noticed on the way is in `attrs` and comes up in `validate`.

    Raises:
        UserError: it cannot be read; the message says why and what to do.
    """
    return sheets.read(source, sheet=sheet, resource=resource)


def validate(
    source: pipeline.Source,
    *,
    api_version: str = DEFAULT_API_VERSION,
    sheet: str | None = None,
    resource: str | None = None,
) -> Report:
    """Check every row at once; nothing is sent.

    Args:
        source: what `read` gave, or anything that `read` takes.
        api_version: the version of the API that the rows are meant for.
        sheet: as for `read`.
        resource: as for `read`.

    Returns:
        The report: `.issues` and `.sheet` (frames), `.ok`, `.save("annotated.xlsx")`.

    Raises:
        UserError: it cannot be read.
    """
    return pipeline.check(source, api_version=api_version, sheet=sheet, resource=resource)


def run(
    source: pipeline.Source | Report,
    network: Network | pipeline.Target,
    *,
    output: str | Path | None = None,
    sheet: str | None = None,
    resource: str | None = None,
    **options: Any,  # noqa: ANN401  the fields of `options.Options`
) -> pd.DataFrame:
    """Validate, plan and run a sheet; every number is requested once.

    Args:
        source: what `read` or `validate` gave, or anything that `read` takes.
        network: a `Network`, or the sandbox of `with ib.sandbox() as network`.
        output: write the results to this `.xlsx` or `.csv` too.
        sheet: as for `read`.
        resource: as for `read`.
        options: `skip_invalid`, `yes`, `again`, `max_new_numbers`, `concurrency`, `rate`, `timeout`, `journal`,
            `progress`; `invoca_bulk.options.Options` explains them.

    Returns:
        The sheet, with what the platform assigned (`promo_number`, `id`, `id_from_network`, `object_url`) and the
        `result_` columns; all cells are texts, the index `row` is the spreadsheet's row number. `attrs["run"]` is the
        run's id, `attrs["output"]` the file that was written.

    Warns:
        UserWarning: the run was aborted, or the results had to go to another place; the frame holds what is known.

    Raises:
        UserError: the user can fix it; nothing was sent.
        RunAborted: the platform's state could not be read, or the journal is held by another process.
    """
    chosen = Options(**({"confirm": _ask if _can_ask() else None} | options))
    target = Path(output) if output is not None else None
    finished = pipeline.run(source, pipeline.network_of(network), chosen, output=target, sheet=sheet, resource=resource)
    for note in finished.notes:
        warnings.warn(note, stacklevel=2)  # the frame is returned all the same
    frame = finished.results.frame
    frame.attrs["run"] = finished.results.run.run
    frame.attrs["output"] = str(finished.saved or "")
    return frame


def _can_ask() -> bool:
    return is_terminal(sys.stdin) or "ipykernel" in sys.modules


def _ask(question: str) -> bool:
    return input(f"{question} [y/N] ").strip().casefold() in {"y", "yes"}


def template(resource: str, path: str | Path, *, api_version: str = DEFAULT_API_VERSION) -> Path:
    """Write a template to fill in: `.xlsx` with dropdowns and notes, or `.csv`.

    Raises:
        UserError: the resource is not known, or the file cannot be written.
    """
    if resource not in RESOURCES:
        msg = f"{resource!r} is no resource. Choose one of {', '.join(RESOURCES)}."
        raise SettingInvalid(msg)
    return templates.write_template(RESOURCES[resource], Path(path), version=api_version)


def sandbox(**options: Any) -> Sandbox:  # noqa: ANN401  the arguments of `Sandbox`
    """A stand-in platform on this machine: `with ib.sandbox() as network: ib.run(sheet, network)`.

    Args:
        options: `network_id`, `token`, `open_campaigns` and the others of `invoca_bulk.stand_in.Sandbox`.
    """
    return Sandbox(**options)
