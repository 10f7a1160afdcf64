"""A dict of DataFrames, one per sheet, that displays each under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.reports.html.markup import container, heading
from invoca_bulk.wording import count_of

if TYPE_CHECKING:
    import pandas as pd

    _Dict = dict[str, pd.DataFrame]
else:
    _Dict = dict


class FrameDict(_Dict):
    """Sheet name to DataFrame: a dict that differs only in how a notebook shows it."""

    def _repr_html_(self) -> str:
        """Each DataFrame as pandas shows it, under its name."""
        parts = (
            f"{container(heading(name, count_of(len(frame), 'row')))}{frame.to_html(max_rows=10, notebook=True)}"
            for name, frame in self.items()
        )
        return "".join(parts)
