"""Finding the header row, the resource that it is about, and the worksheet that has it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid, SheetUnreadable
from invoca_bulk.schema import RESOURCES, Action
from invoca_bulk.sheets import cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.model import Grid

#: Titles and notes above the header are tolerated; it has to be among so many rows that are not blank.
SEARCHED_ROWS = 20
_NAMED_EXAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A header row.

    Attributes:
        index: its position among the rows, from 0.
        titles: its cells as text.
        known: how many columns one resource knows in it.
    """

    index: int
    titles: tuple[str, ...]
    known: int


def resources(name: str | None) -> tuple[Resource, ...]:
    """The resources that come into question.

    Raises:
        SettingInvalid: there is none of this name.
    """
    if name is None:
        return tuple(RESOURCES.values())
    if name not in RESOURCES:
        raise SettingInvalid(f"There is no resource {name!r}. Use one of: {', '.join(RESOURCES)}.")
    return (RESOURCES[name],)


def known(titles: Sequence[str], resource: Resource) -> int:
    """How many different columns a resource knows among titles."""
    return len({column.path for title in titles if (column := resource.column(title))})


def heading(rows: Iterable[Sequence[object]], among: Sequence[Resource]) -> Heading | None:
    """The first row with the most known titles, or None when no row has any."""
    best: Heading | None = None
    for index, titles in islice(_rows_with_text(rows), SEARCHED_ROWS):
        count = max(known(titles, one) for one in among)
        if count > (best.known if best else 0):
            best = Heading(index=index, titles=titles, known=count)
    return best


def _rows_with_text(rows: Iterable[Sequence[object]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for index, row in enumerate(rows):
        titles = tuple(cells.texts(row)[0])
        if "".join(titles).strip():
            yield index, titles


def resource_of(titles: Sequence[str], among: Sequence[Resource]) -> Resource:
    """The resource that knows more of the titles.

    Raises:
        SheetUnreadable: none knows one of them, or two know equally many.
    """
    counts = {one.name: known(titles, one) for one in among}
    best = max(counts.values())
    if not best:
        raise no_header(among)
    fitting = [one for one in among if counts[one.name] == best]
    if len(fitting) > 1:
        names = [one.name for one in fitting]
        raise SheetUnreadable(
            f"The columns fit {' and '.join(names)} equally well. "
            f"Say which with {' or '.join(f'--resource {name}' for name in names)} (resource=… in Python)."
        )
    return fitting[0]


def choose(grids: Sequence[Grid], among: Sequence[Resource]) -> tuple[Grid, Heading]:
    """The worksheet whose headers fit best, and its header row; one with rows below it goes before one without.

    Raises:
        SheetUnreadable: all are empty, none has a header row, or two fit equally well.
    """
    found = [(grid, one) for grid in grids if (one := heading(grid.rows, among))]
    if not found:
        raise no_header(among) if any(True for grid in grids for _ in _rows_with_text(grid.rows)) else _empty()
    best = max(_fit(*one) for one in found)
    fitting = [one for one in found if _fit(*one) == best]
    if len(fitting) > 1:
        names = " and ".join(repr(grid.name) for grid, _ in fitting)
        raise SheetUnreadable(
            f"The headers of the sheets {names} fit equally well. Say which with --sheet (sheet=… in Python)."
        )
    return fitting[0]


def _fit(grid: Grid, found: Heading) -> tuple[bool, bool, int]:
    """The more, the better: no other resource knows more of the titles, there are rows below them, known titles."""
    asked_for = found.known == max(known(found.titles, one) for one in RESOURCES.values())
    return asked_for, len(grid.rows) > found.index + 1, found.known


def _empty() -> SheetUnreadable:
    return SheetUnreadable("The file is empty. Fill in the template, one row for each request.")


def no_header(among: Sequence[Resource]) -> SheetUnreadable:
    """The refusal of a sheet without known titles, which names some that are expected."""
    names = [name for one in among for name in _expected(one)]
    return SheetUnreadable(
        "No header row was found: no column has a title that is known. "
        f"Put titles such as {', '.join(dict.fromkeys(names))} above the rows, or start from the template."
    )


def _expected(resource: Resource) -> list[str]:
    required = (one.path for one in resource.fields if Action.CREATE in one.required_on and "#" not in one.path)
    return list(islice(required, _NAMED_EXAMPLES))
