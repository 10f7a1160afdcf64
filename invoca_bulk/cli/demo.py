"""`invoca-bulk demo`: the whole way on a sandbox, so that a new user sees it in half a minute."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from invoca_bulk.cli import common
from invoca_bulk.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.reports.validation_report import Report
    from invoca_bulk.service.pipeline import RunResult

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
#: Where the numbers go: the sandbox starts with these.
_CAMPAIGNS = (
    ("A-100", "C-100", ""),
    ("A-100", "C-101", ""),
    ("A-100", "C-102", ""),
    ("A-200", "C-200", ""),
    ("A-200", "C-200", "F-1"),
    ("A-200", "C-201", ""),
    ("A-300", "C-300", ""),
)
#: What they are for: description, media type, area code, zip code, channel.
_REQUESTS = (
    ("Spring sale, newspaper", "Offline: Newspaper", "", "", "Offline newspaper"),
    ("Santa Barbara store", "Online: Display", "805", "", "Online lead"),
    ('"Call now" banner & landing page', "Online: Search", "212", "", "Online lead"),
    ("Boston store", "Offline: Radio", "", "02134", "Radio"),
    ("Driver's app", "Mobile: Apps", "416", "", ""),
)
#: Two rows as they are seen in the wild: a media type from memory, and a zip code that Excel has shortened.
_INVALID_ROWS = (
    ("A-100", "C-100", "", "", "Banner, spring", "Online Display", "", "", ""),
    ("A-200", "C-201", "", "", "Boston store, radio", "Offline: Radio", "", "2134", ""),
)
_ROW_COUNT = 60


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("invoca-bulk-demo"),
    show_default=True,
    help="The folder for the demo's workbooks.",
)
def command(output: Path) -> None:
    """Validate a workbook of promo number requests, create them on a sandbox, write the results. Nothing is bought."""
    from invoca_bulk.config.options import Options
    from invoca_bulk.sandbox_server import Sandbox
    from invoca_bulk.schema import DEFAULT_API_VERSION
    from invoca_bulk.service import pipeline

    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {output} cannot be made ({error.strerror}). Name another one with -o."
        raise OutputError(msg) from None
    requests = _write_requests(output / "requests.xlsx")
    report = pipeline.validate_sheet(requests, api_version=DEFAULT_API_VERSION)
    _print_report(report, requests, report.save(output / "annotated.xlsx"))
    # A small latency, as a real platform has it, so that there is a progress bar to see.
    with Sandbox(latency=0.1) as box:
        options = Options(skip_invalid=True)
        finished = pipeline.run_sheet(report, pipeline.resolve_network(box), options, output=output / "results.xlsx")
    _print_results(finished)


def _write_requests(path: Path) -> Path:
    from invoca_bulk.reports import save
    from invoca_bulk.reports.xlsx import WorksheetSpec

    return save.save_worksheets(
        path, lambda: [WorksheetSpec(name="promo_numbers", header=_HEADERS, rows=_request_rows())]
    )


def _request_rows() -> Iterator[tuple[str, ...]]:
    wishes = zip(cycle(_CAMPAIGNS), cycle(_REQUESTS), strict=False)
    for number, (place, wish) in enumerate(islice(wishes, _ROW_COUNT), 1):
        if number in {20, 40}:
            yield _INVALID_ROWS[number // 20 - 1]
        description, *more = wish
        yield (*place, "3" if number == 1 else "", f"{description} #{number}", *more)


def _print_report(report: Report, requests: Path, annotated: Path) -> None:
    rows, bad = report.rows, report.invalid_rows
    click.echo(
        f"{requests}: {rows} rows. {rows - bad} of them ask for {report.requested_numbers} numbers, {bad} have errors."
    )
    common.print_issues(report)
    click.echo(f"The bad cells are coloured in {annotated}. The other rows go to a sandbox; nothing is bought.")


def _print_results(run_result: RunResult) -> None:
    from invoca_bulk.reports.results import format_totals

    click.echo(format_totals(run_result.results.totals))
    for note in run_result.notes:
        click.echo(note, err=True)
    click.echo(f"Results, with the assigned numbers: {run_result.output_path}")
    click.echo(f"Next: {common.format_command(['template', 'promo_numbers', '-o', 'requests.xlsx'])}")
