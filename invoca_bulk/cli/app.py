"""`invoca-bulk app`: serve the upload page."""

from __future__ import annotations

import os

import click

from invoca_bulk.cli import common
from invoca_bulk.config.journal_location import resolve_journal_location, to_env_value
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.errors import ConfigError


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="Port to serve on; 0: any free port."
)
@click.option("--no-browser", is_flag=True, help="Print the link without opening it.")
@common.journal_option
def command(port: int, journal: str | None, *, no_browser: bool) -> None:
    """Serve the upload page on this machine and open it in your browser.

    The link works once and lets in one browser; nobody else on this machine can use the page. Ctrl-C stops the page,
    but not the runs that were started from it.
    """
    try:
        from invoca_bulk.web import serving
    except ModuleNotFoundError as error:
        raise ConfigError(f'The page needs {error.name}. Install it: pip install "invoca-bulk[app]"') from None
    if journal:
        os.environ[SETTINGS["journal"].env_variable] = to_env_value(resolve_journal_location(journal))
    serving.serve(port=port, open_browser=not no_browser, on_ready=_print_address)


def _print_address(address: str) -> None:
    click.echo(f"The page is at {address} (the link works once). Ctrl-C stops it.")
