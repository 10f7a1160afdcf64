"""`invoca-bulk app`: the upload page."""

from __future__ import annotations

import os

import click

from invoca_bulk.cli import common
from invoca_bulk.config.settings import SETTINGS, journal_place, setting_of
from invoca_bulk.errors import SettingInvalid


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0: any free port.")
@click.option("--no-browser", is_flag=True, help="Print the link only.")
@common.journal_option()
def command(port: int, journal: str | None, *, no_browser: bool) -> None:
    """Serve the upload page on this machine, and open it in the browser. Ctrl-C ends it; runs under way go on.

    The link works once: it lets one browser in. Nobody else on this machine can use the page.
    """
    try:
        from invoca_bulk.web import serving
    except ModuleNotFoundError as error:
        raise SettingInvalid(f"The page needs {error.name}. Install it: pip install 'invoca-bulk[app]'") from None
    if journal:
        os.environ[SETTINGS["journal"].variable] = setting_of(journal_place(journal))
    serving.serve(port=port, open_browser=not no_browser, ready=_tell)


def _tell(address: str) -> None:
    click.echo(f"The page is at {address} (the link works once). Ctrl-C ends it.")
