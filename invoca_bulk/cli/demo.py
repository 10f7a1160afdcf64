"""`invoca-bulk demo`: a complete run on a sandbox in half a minute, for new users."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common
from invoca_bulk.errors import OutputError

if TYPE_CHECKING:
    from invoca_bulk.reports.validation_report import Report
    from invoca_bulk.service.run_result import RunResult

_HEADERS = (
    "advertiser_id_from_network",
    "advertiser_campaign_id_from_network",
    "affiliate_id_from_network",
    "quantity",
    "description",
    "media_type",
    "local_center.tn_prefix",
    "local_center.zipcode",
    "custom_data.channel",
)
#: Advertiser, campaign and affiliate of the requests: campaigns that every sandbox starts with.
_CAMPAIGNS = (
    ("A-100", "C-100", ""),
    ("A-100", "C-101", ""),
    ("A-100", "C-102", ""),
    ("A-200", "C-200", ""),
    ("A-200", "C-200", "F-1"),
    ("A-200", "C-201", ""),
    ("A-300", "C-300", ""),
)
#: Description, media type, area code, zip code and channel of the requests.
_REQUESTS = (
    ("Spring sale, newspaper", "Offline: Newspaper", "", "", "Offline newspaper"),
    ("Santa Barbara store", "Online: Display", "805", "", "Online lead"),
    ('"Call now" banner & landing page', "Online: Search", "212", "", "Online lead"),
    ("Boston store", "Offline: Radio", "", "02134", "Radio"),
    ("Driver's app", "Mobile: Apps", "416", "", ""),
)
#: Typical mistakes: a media type typed from memory, and a zip code whose leading zero Excel has dropped.
_INVALID_ROWS = (
    ("A-100", "C-100", "", "", "Banner, spring", "Online Display", "", "", ""),
    ("A-200", "C-201", "", "", "Boston store, radio", "Offline: Radio", "", "2134", ""),
)
_ROW_COUNT = 60
#: How many numbers the first row requests.
_QUANTITY = 3


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("invoca-bulk-demo"),
    show_default=True,
    help="Folder for the demo's workbooks.",
)
def command(output: Path) -> None:
    """Check a workbook of promo number requests, run it on a sandbox and write the results. Nothing is bought."""
    from invoca_bulk.config.network import resolve_network
    from invoca_bulk.config.options import Options
    from invoca_bulk.reports import save
    from invoca_bulk.reports.xlsx import WorksheetSpec
    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.schema import DEFAULT_API_VERSION
    from invoca_bulk.service.plan import validate_sheet
    from invoca_bulk.service.run import run_sheet

    try:
        _make_folder(output)
    except OSError as error:
        raise OutputError(
            f"The folder {output} cannot be created ({error.strerror}). Choose another one with -o."
        ) from None
    requests = save.save_worksheets(
        output / "requests.xlsx", lambda: [WorksheetSpec(name="promo_numbers", header=_HEADERS, rows=_request_rows())]
    )
    report = validate_sheet(requests, api_version=DEFAULT_API_VERSION)
    _print_report(report, requests, report.to_excel(output / "annotated.xlsx"))
    # Without latency the run would end before its progress bar can be seen.
    with Sandbox(latency=0.1) as sandbox:
        options = Options(skip_invalid=True)
        run_result = run_sheet(report, resolve_network(sandbox), options, output=output / "results.xlsx")
    _print_results(run_result)


def _make_folder(folder: Path) -> None:
    """Create the folder of the demo, which git ignores; a folder that exists already is left as it is."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _request_rows() -> Iterator[tuple[str, ...]]:
    requests = zip(cycle(_CAMPAIGNS), cycle(_REQUESTS), strict=False)
    for number, (campaign, request) in enumerate(islice(requests, _ROW_COUNT), 1):
        if number in {20, 40}:
            yield _INVALID_ROWS[number // 20 - 1]
        description, *other_cells = request
        yield (*campaign, str(_QUANTITY) if number == 1 else "", f"{description} #{number}", *other_cells)


def _print_report(report: Report, requests: Path, annotated: Path) -> None:
    valid, invalid = report.rows - report.invalid_rows, report.invalid_rows
    click.echo(
        f"{requests}: {report.rows} rows; {valid} request {report.requested_numbers} numbers, {invalid} have errors."
    )
    common.print_issues(report)
    click.echo(f"The cells with errors are coloured in {annotated}. The other rows run on a sandbox.")


def _print_results(run_result: RunResult) -> None:
    from invoca_bulk.reports.results import format_totals

    click.echo(format_totals(run_result.results.totals))
    click.echo(f"A row with quantity {_QUANTITY} became {_QUANTITY} rows, one for each number.")
    for note in run_result.notes:
        click.echo(note, err=True)
    click.echo(f"Results, with the assigned numbers: {run_result.output_path}")
    # The person may not have activated the virtual environment, so the shell may not find the program by its name.
    command = common.format_command(["template", "promo_numbers", "-o", "requests.xlsx"], common.current_program())
    click.echo(f"Next: {command}")
