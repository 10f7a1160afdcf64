"""The upload page, for people who only want to upload a sheet: in a notebook's cell, or on its own in a browser.

The page has no logic of its own: it shows what `service` returns. A run is an `invoca-bulk run` in a separate process,
so closing the tab or the notebook does not end it, and any page finds it again in the journal.

`upload_page` is the page itself, `screens` renders what it shows, `widget` and `page.js` display it, `jobs` starts the
processes that run, `runs` and `run_progress` follow them, `sandbox` is the page's sandbox, and `serving` serves the
page for `invoca-bulk app`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from invoca_bulk.web.upload_page import UploadPage

__all__ = ["page"]


def page(journal: str | Path | None = None) -> UploadPage:
    """The upload page in a notebook's cell: from a template to the results without writing code.

    Args:
        journal: the journals' location; None: the default.

    Returns:
        The page; it is displayed when it is the last expression of a cell.

    Raises:
        ConfigError: a package that the page needs is not installed.
    """
    try:
        from invoca_bulk.web.upload_page import UploadPage  # noqa: PLC0415  ipywidgets is needed here only
    except ModuleNotFoundError as error:
        raise ConfigError(f'The page needs {error.name}. Install it: pip install "invoca-bulk[notebook]"') from None
    return UploadPage(journal)
