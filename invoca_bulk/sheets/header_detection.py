"""Finding the header row, the resource that it is about, and the worksheets that are read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from invoca_bulk.errors import ConfigError, UnreadableSheetError
from invoca_bulk.schema import RESOURCES, Action
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import cell_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from invoca_bulk.schema import Resource
    from invoca_bulk.sheets.model import Grid

#: Titles and notes above the header are tolerated; it has to be among so many rows that are not blank.
HEADER_SEARCH_ROWS = 20
_EXAMPLE_TITLE_COUNT = 3
#: A worksheet with fewer known titles is taken for notes, and not missed when it is left out.
_MIN_KNOWN_TITLES = 2


@dataclass(frozen=True, kw_only=True)
class HeaderRow:
    """A header row.

    Attributes:
        index: its position among the rows, from 0.
        titles: its cells as text.
        known_count: how many columns one resource knows in it.
    """

    index: int
    titles: tuple[str, ...]
    known_count: int


@dataclass(frozen=True, kw_only=True)
class WorksheetMatch:
    """A worksheet in which a header was found.

    Attributes:
        grid: the worksheet.
        header: its header row.
        candidates: the resources that it can be about.
    """

    grid: Grid
    header: HeaderRow
    candidates: Sequence[Resource]

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return len(self.grid.rows) > self.header.index + 1


def candidate_resources(name: str | None) -> tuple[Resource, ...]:
    """The resources that come into question.

    Raises:
        ConfigError: there is none of this name.
    """
    if name is None:
        return tuple(RESOURCES.values())
    if name not in RESOURCES:
        raise ConfigError(f"There is no resource {name!r}. Use one of: {', '.join(RESOURCES)}.")
    return (RESOURCES[name],)


def resources_by_name(candidates: Sequence[Resource]) -> dict[str, Resource]:
    """What a sheet can be about, by its name, in the order of the work: the resources, each followed by its parts."""
    return {one.name: one for resource in candidates for one in (resource, *resource.subresources)}


def find_resource_by_name(name: str, candidates: Sequence[Resource]) -> Resource | None:
    """What a sheet is about by its name, such as `Promo Numbers`; None when the name does not tell."""
    return {fold_header(one): table for one, table in resources_by_name(candidates).items()}.get(fold_header(name))


def count_known_columns(titles: Sequence[str], resource: Resource) -> int:
    """How many different columns a resource knows among titles."""
    return len({column.path for title in titles if (column := resource.column_for(title))})


def find_header_row(rows: Iterable[Sequence[object]], candidates: Sequence[Resource]) -> HeaderRow | None:
    """The first row with the most known titles, or None when no row has any."""
    best: HeaderRow | None = None
    for index, titles in islice(_iter_nonblank_rows(rows), HEADER_SEARCH_ROWS):
        count = max(count_known_columns(titles, one) for one in candidates)
        if count > (best.known_count if best else 0):
            best = HeaderRow(index=index, titles=titles, known_count=count)
    return best


def _iter_nonblank_rows(rows: Iterable[Sequence[object]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for index, row in enumerate(rows):
        titles = tuple(cell_text.convert_to_texts(row)[0])
        if "".join(titles).strip():
            yield index, titles


def detect_resource(titles: Sequence[str], candidates: Sequence[Resource]) -> Resource:
    """The resource that knows more of the titles.

    Raises:
        UnreadableSheetError: none knows one of them, or two know equally many and neither tells itself by its required
            ones.
    """
    counts = {one.name: count_known_columns(titles, one) for one in candidates}
    best = max(counts.values())
    if not best:
        raise no_header_error(candidates)
    fitting = [one for one in candidates if counts[one.name] == best]
    if len(fitting) > 1:
        fitting = [one for one in fitting if _has_required_columns(titles, one)] or fitting
    if len(fitting) > 1:
        names = [one.name for one in fitting]
        raise UnreadableSheetError(
            f"The columns fit {' and '.join(names)} equally well. "
            f"Say which with {' or '.join(f'--resource {name}' for name in names)} (resource=… in Python)."
        )
    return fitting[0]


def match_named_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[WorksheetMatch]:
    """The worksheets that have the name of what they hold, in the order of the work."""
    order = list(resources_by_name(candidates))
    found = [one for grid in grids if (one := _match_by_name(grid, candidates))]
    return sorted(found, key=lambda one: order.index(one.candidates[0].name))


def _match_by_name(grid: Grid, candidates: Sequence[Resource]) -> WorksheetMatch | None:
    resource = find_resource_by_name(grid.name, candidates)
    if resource is None:
        return None
    found = find_header_row(grid.rows, (resource,))
    others = [one for one in RESOURCES.values() if resource.name not in resources_by_name((one,))]
    if found is None or _fits_other_better(found.titles, others, resource):
        return None
    return WorksheetMatch(grid=grid, header=found, candidates=(resource,))


def _fits_other_better(titles: Sequence[str], others: Iterable[Resource], resource: Resource) -> bool:
    """Whether another resource knows more of the titles, and has all that none of its rows can do without.

    A sheet `sites` may have columns such as city and state, and be no promo numbers for that; one that names campaigns
    is, whatever its name.
    """
    least = count_known_columns(titles, resource)
    return any(count_known_columns(titles, one) > least and _has_required_columns(titles, one) for one in others)


def _has_required_columns(titles: Sequence[str], resource: Resource) -> bool:
    paths = {column.path for title in titles if (column := resource.column_for(title))}
    return all(one.path in paths for one in resource.fields if one.is_always_required)


def choose_worksheet(grids: Sequence[Grid], candidates: Sequence[Resource]) -> WorksheetMatch:
    """The worksheet whose headers fit best; one with rows below its header goes before one without.

    Raises:
        UnreadableSheetError: all are empty, none has a header row, or two fit equally well.
    """
    found = [one for grid in grids if (one := _match_worksheet(grid, candidates))]
    if not found:
        raise no_header_error(candidates) if any(has_text(grid) for grid in grids) else _empty_file_error()
    best = max(map(_match_quality, found))
    fitting = [one for one in found if _match_quality(one) == best]
    if len(fitting) > 1:
        names = " and ".join(repr(one.grid.name) for one in fitting)
        raise UnreadableSheetError(
            f"The headers of the sheets {names} fit equally well. Say which with --sheet (sheet=… in Python)."
        )
    return fitting[0]


def _match_worksheet(grid: Grid, candidates: Sequence[Resource]) -> WorksheetMatch | None:
    """A worksheet by itself: about the part that its name says, or about whatever resource fits better."""
    if (named := _match_by_name(grid, candidates)) and _is_subresource_match(named):
        return named
    found = find_header_row(grid.rows, candidates)
    return WorksheetMatch(grid=grid, header=found, candidates=candidates) if found else None


def _is_subresource_match(match: WorksheetMatch) -> bool:
    part = match.candidates[0]
    return part.is_subresource and not _fits_other_better(match.header.titles, RESOURCES.values(), part)


def _match_quality(match: WorksheetMatch) -> tuple[bool, bool, int]:
    """The more, the better: no other resource knows more of the titles, there are rows below them, known titles."""
    count = match.header.known_count
    asked_for = match.candidates[0].is_subresource or count == max(
        count_known_columns(match.header.titles, other) for other in RESOURCES.values()
    )
    return asked_for, match.has_rows, count


def find_readable_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[Grid]:
    """Those of the worksheets that could be read by their headers, and have rows."""
    return [grid for grid in grids if (one := _match_worksheet(grid, candidates)) and _has_table(one)]


def _has_table(match: WorksheetMatch) -> bool:
    return match.has_rows and match.header.known_count >= _MIN_KNOWN_TITLES


def find_ignored_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[str]:
    """The names of the worksheets that somebody may miss when they are left out: for their headers or their names."""
    known = {grid.name for grid in find_readable_worksheets(grids, candidates)}
    return [
        grid.name
        for grid in grids
        if grid.name in known or (find_resource_by_name(grid.name, candidates) and has_text(grid))
    ]


def has_text(grid: Grid) -> bool:
    """Whether any cell holds something."""
    return any(True for _ in _iter_nonblank_rows(grid.rows))


def _empty_file_error() -> UnreadableSheetError:
    return UnreadableSheetError("The file is empty. Fill in the template, one row for each request.")


def no_header_error(candidates: Sequence[Resource]) -> UnreadableSheetError:
    """The refusal of a sheet without known titles, which names some that are expected."""
    names = [name for one in candidates for name in _expected_titles(one)]
    return UnreadableSheetError(
        "No header row was found: no column has a title that is known. "
        f"Put titles such as {', '.join(dict.fromkeys(names))} above the rows, or start from the template."
    )


def _expected_titles(resource: Resource) -> list[str]:
    required = (one.path for one in resource.fields if Action.CREATE in one.required_on and "#" not in one.path)
    return list(islice(required, _EXAMPLE_TITLE_COUNT))
