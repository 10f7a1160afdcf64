"""The upload page: a door for people who only want to upload a sheet. In a notebook's cell, and alone in a browser.

It has no logic of its own. What it shows comes from the stages that the other doors use, and a run is the command
line's, in a process of its own: closing the tab, or the notebook, does not end it, and any page finds it again in the
journal.

`flow` is the page itself, `screens` what it shows, `live` (and `live.js`) the widget that shows it, `jobs` the
processes that run, `watching` how far they are, `rehearsal` its sandbox, `serving` the page alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from invoca_bulk.web.upload_page import UploadPage

__all__ = ["page"]


def page(journal: str | Path | None = None) -> UploadPage:
    """The upload page in a notebook's cell: from a template to the results, without a line of code.

    Args:
        journal: the folder of the journals; None: the user's own.

    Returns:
        What shows itself when it is the last thing of a cell.

    Raises:
        ConfigError: what it needs is not installed.
    """
    try:
        from invoca_bulk.web.upload_page import UploadPage  # noqa: PLC0415  ipywidgets is needed here only
    except ModuleNotFoundError as error:
        msg = f"The page needs {error.name}. Install it: pip install 'invoca-bulk[notebook]'"
        raise ConfigError(msg) from None
    return UploadPage(journal)
