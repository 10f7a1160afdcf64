"""Several sheets: a dict of frames that shows each under its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.reports.html.markup import container, heading

if TYPE_CHECKING:
    import pandas as pd

    _Dict = dict[str, pd.DataFrame]
else:
    _Dict = dict


class FrameDict(_Dict):
    """Frames by the name of what they hold: a dict in every respect, but for how a notebook shows it."""

    def _repr_html_(self) -> str:
        """Each frame as pandas shows it, under its name."""
        parts = (
            f"{container(heading(name, _row_count_text(len(frame))))}{frame.to_html(max_rows=10, notebook=True)}"
            for name, frame in self.items()
        )
        return "".join(parts)


def _row_count_text(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"
