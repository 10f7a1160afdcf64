"""Finding the header row, the resource that it is about, and the worksheets that are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid, SheetUnreadable
from invoca_bulk.schema import RESOURCES, Action
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import cell_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.model import Grid

#: Titles and notes above the header are tolerated; it has to be among so many rows that are not blank.
SEARCHED_ROWS = 20
_NAMED_EXAMPLES = 3
#: A worksheet with fewer known titles is taken for notes, and not missed when it is left out.
_FEWEST_TITLES = 2


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


@dataclass(frozen=True, kw_only=True)
class Found:
    """A worksheet in which a header was found.

    Attributes:
        grid: the worksheet.
        heading: its header row.
        among: the resources that it can be about.
    """

    grid: Grid
    heading: Heading
    among: Sequence[Resource]

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return len(self.grid.rows) > self.heading.index + 1


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


def tables(among: Sequence[Resource]) -> dict[str, Resource]:
    """What a sheet can be about, by its name, in the order of the work: the resources, each followed by its parts."""
    return {one.name: one for resource in among for one in (resource, *resource.parts)}


def about(name: str, among: Sequence[Resource]) -> Resource | None:
    """What a sheet is about by its name, such as `Promo Numbers`; None when the name does not tell."""
    return {fold_header(one): table for one, table in tables(among).items()}.get(fold_header(name))


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
        titles = tuple(cell_text.texts(row)[0])
        if "".join(titles).strip():
            yield index, titles


def resource_of(titles: Sequence[str], among: Sequence[Resource]) -> Resource:
    """The resource that knows more of the titles.

    Raises:
        SheetUnreadable: none knows one of them, or two know equally many and neither tells itself by its required ones.
    """
    counts = {one.name: known(titles, one) for one in among}
    best = max(counts.values())
    if not best:
        raise no_header(among)
    fitting = [one for one in among if counts[one.name] == best]
    if len(fitting) > 1:
        fitting = [one for one in fitting if _has_required(titles, one)] or fitting
    if len(fitting) > 1:
        names = [one.name for one in fitting]
        raise SheetUnreadable(
            f"The columns fit {' and '.join(names)} equally well. "
            f"Say which with {' or '.join(f'--resource {name}' for name in names)} (resource=… in Python)."
        )
    return fitting[0]


def named(grids: Sequence[Grid], among: Sequence[Resource]) -> list[Found]:
    """The worksheets that have the name of what they hold, in the order of the work."""
    order = list(tables(among))
    found = [one for grid in grids if (one := _named(grid, among))]
    return sorted(found, key=lambda one: order.index(one.among[0].name))


def _named(grid: Grid, among: Sequence[Resource]) -> Found | None:
    resource = about(grid.name, among)
    if resource is None:
        return None
    found = heading(grid.rows, (resource,))
    others = [one for one in RESOURCES.values() if resource.name not in tables((one,))]
    if found is None or _is_rather(found.titles, others, resource):
        return None
    return Found(grid=grid, heading=found, among=(resource,))


def _is_rather(titles: Sequence[str], others: Iterable[Resource], resource: Resource) -> bool:
    """Whether another resource knows more of the titles, and has all that none of its rows can do without.

    A sheet `sites` may have columns such as city and state, and be no promo numbers for that; one that names campaigns
    is, whatever its name.
    """
    least = known(titles, resource)
    return any(known(titles, one) > least and _has_required(titles, one) for one in others)


def _has_required(titles: Sequence[str], resource: Resource) -> bool:
    paths = {column.path for title in titles if (column := resource.column(title))}
    return all(one.path in paths for one in resource.fields if one.always_required)


def choose(grids: Sequence[Grid], among: Sequence[Resource]) -> Found:
    """The worksheet whose headers fit best; one with rows below its header goes before one without.

    Raises:
        SheetUnreadable: all are empty, none has a header row, or two fit equally well.
    """
    found = [one for grid in grids if (one := _found(grid, among))]
    if not found:
        raise no_header(among) if any(has_text(grid) for grid in grids) else _empty()
    best = max(map(_fit, found))
    fitting = [one for one in found if _fit(one) == best]
    if len(fitting) > 1:
        names = " and ".join(repr(one.grid.name) for one in fitting)
        raise SheetUnreadable(
            f"The headers of the sheets {names} fit equally well. Say which with --sheet (sheet=… in Python)."
        )
    return fitting[0]


def _found(grid: Grid, among: Sequence[Resource]) -> Found | None:
    """A worksheet by itself: about the part that its name says, or about whatever resource fits better."""
    if (named := _named(grid, among)) and _is_of_part(named):
        return named
    found = heading(grid.rows, among)
    return Found(grid=grid, heading=found, among=among) if found else None


def _is_of_part(one: Found) -> bool:
    part = one.among[0]
    return part.is_part and not _is_rather(one.heading.titles, RESOURCES.values(), part)


def _fit(one: Found) -> tuple[bool, bool, int]:
    """The more, the better: no other resource knows more of the titles, there are rows below them, known titles."""
    count = one.heading.known
    asked_for = one.among[0].is_part or count == max(known(one.heading.titles, other) for other in RESOURCES.values())
    return asked_for, one.has_rows, count


def fitting(grids: Sequence[Grid], among: Sequence[Resource]) -> list[Grid]:
    """Those of the worksheets that could be read by their headers, and have rows."""
    return [grid for grid in grids if (one := _found(grid, among)) and _is_meant(one)]


def _is_meant(one: Found) -> bool:
    return one.has_rows and one.heading.known >= _FEWEST_TITLES


def missed(grids: Sequence[Grid], among: Sequence[Resource]) -> list[str]:
    """The names of the worksheets that somebody may miss when they are left out: for their headers or their names."""
    known = {grid.name for grid in fitting(grids, among)}
    return [grid.name for grid in grids if grid.name in known or (about(grid.name, among) and has_text(grid))]


def has_text(grid: Grid) -> bool:
    """Whether any cell holds something."""
    return any(True for _ in _rows_with_text(grid.rows))


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
