"""Finding the header row, its resource, and the worksheets to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from invoca_bulk.errors import ConfigError, UnreadableSheetError
from invoca_bulk.schema import RESOURCES, Action, Resource
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import cell_text
from invoca_bulk.sheets.model import Grid
from invoca_bulk.wording import option

#: The header may have titles and notes above it, but must be among this many rows that are not blank.
HEADER_SEARCH_ROWS = 20
_EXAMPLE_TITLE_COUNT = 3
#: A worksheet with fewer known titles is taken for notes, and ignored without a warning.
_MIN_KNOWN_TITLES = 2


@dataclass(frozen=True, kw_only=True)
class HeaderRow:
    """A header row."""

    index: int  # its position among the rows, from 0
    titles: tuple[str, ...]
    known_count: int  # the most columns of it that a single resource knows


@dataclass(frozen=True, kw_only=True)
class WorksheetMatch:
    """A worksheet with a header row."""

    grid: Grid
    header: HeaderRow
    candidates: Sequence[Resource]  # the resources that it can be about

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return len(self.grid.rows) > self.header.index + 1


def candidate_resources(name: str | None) -> tuple[Resource, ...]:
    """The resource with this name; all resources if it is None."""
    if name is None:
        return tuple(RESOURCES.values())
    if name not in RESOURCES:
        raise ConfigError(f"Unknown resource {name!r}. Use one of: {', '.join(RESOURCES)}.")
    return (RESOURCES[name],)


def resources_by_name(candidates: Sequence[Resource]) -> dict[str, Resource]:
    """Name to resource, in the order of processing: each resource, followed by its subresources."""
    return {table.name: table for resource in candidates for table in (resource, *resource.subresources)}


def find_resource_by_name(name: str, candidates: Sequence[Resource]) -> Resource | None:
    """The resource that a worksheet is named after, such as `Promo Numbers`; None if it is not."""
    resources = {fold_header(key): resource for key, resource in resources_by_name(candidates).items()}
    return resources.get(fold_header(name))


def count_known_columns(titles: Sequence[str], resource: Resource) -> int:
    """How many different columns of a resource are among the titles."""
    return len({column.path for title in titles if (column := resource.column_for(title))})


def find_header_row(rows: Iterable[Sequence[object]], candidates: Sequence[Resource]) -> HeaderRow | None:
    """The first row with the most known titles; None if no row has any."""
    best: HeaderRow | None = None
    for index, titles in islice(_iter_nonblank_rows(rows), HEADER_SEARCH_ROWS):
        count = max(count_known_columns(titles, resource) for resource in candidates)
        if count > (best.known_count if best else 0):
            best = HeaderRow(index=index, titles=titles, known_count=count)
    return best


def _iter_nonblank_rows(rows: Iterable[Sequence[object]]) -> Iterator[tuple[int, tuple[str, ...]]]:
    for index, row in enumerate(rows):
        titles = tuple(cell_text.convert_to_texts(row)[0])
        if "".join(titles).strip():
            yield index, titles


def detect_resource(titles: Sequence[str], candidates: Sequence[Resource]) -> Resource:
    """The resource that knows the most titles; of several, the one whose required columns are there."""
    counts = {resource.name: count_known_columns(titles, resource) for resource in candidates}
    best_count = max(counts.values())
    if not best_count:
        raise no_header_error(candidates)
    best = [resource for resource in candidates if counts[resource.name] == best_count]
    if len(best) > 1:
        best = [resource for resource in best if _has_required_columns(titles, resource)] or best
    if len(best) > 1:
        names = [resource.name for resource in best]
        raise UnreadableSheetError(
            f"The columns fit {' and '.join(names)} equally well. "
            f"Say which: {' or '.join(str(option(f'resource={name}')) for name in names)}."
        )
    return best[0]


def match_named_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[WorksheetMatch]:
    """The worksheets that are named after their resource, in the order of processing."""
    order = list(resources_by_name(candidates))
    matches = [match for grid in grids if (match := _match_by_name(grid, candidates))]
    return sorted(matches, key=lambda match: order.index(match.candidates[0].name))


def _match_by_name(grid: Grid, candidates: Sequence[Resource]) -> WorksheetMatch | None:
    resource = find_resource_by_name(grid.name, candidates)
    if resource is None:
        return None
    header = find_header_row(grid.rows, (resource,))
    others = [other for other in RESOURCES.values() if resource.name not in resources_by_name((other,))]
    if header is None or _fits_other_better(header.titles, others, resource):
        return None
    return WorksheetMatch(grid=grid, header=header, candidates=(resource,))


def _fits_other_better(titles: Sequence[str], others: Iterable[Resource], resource: Resource) -> bool:
    """Whether another resource knows more of the titles, and its required columns are there.

    A sheet `sites` with columns such as city and state is still not promo numbers; one with a campaign column is,
    whatever its name.
    """
    count = count_known_columns(titles, resource)
    return any(count_known_columns(titles, other) > count and _has_required_columns(titles, other) for other in others)


def _has_required_columns(titles: Sequence[str], resource: Resource) -> bool:
    paths = {column.path for title in titles if (column := resource.column_for(title))}
    return all(field.path in paths for field in resource.fields if field.is_always_required)


def choose_worksheet(grids: Sequence[Grid], candidates: Sequence[Resource]) -> WorksheetMatch:
    """The worksheet whose headers fit best; worksheets with rows below the header are preferred."""
    matches = [match for grid in grids if (match := _match_worksheet(grid, candidates))]
    if not matches:
        if any(has_text(grid) for grid in grids):
            raise no_header_error(candidates)
        raise UnreadableSheetError("The file is empty. Fill in the template, one row for each request.")
    best_quality = max(map(_match_quality, matches))
    best = [match for match in matches if _match_quality(match) == best_quality]
    if len(best) > 1:
        names = " and ".join(repr(match.grid.name) for match in best)
        raise UnreadableSheetError(
            f"The headers of the sheets {names} fit equally well. Say which with {option('sheet=…')}."
        )
    return best[0]


def _match_worksheet(grid: Grid, candidates: Sequence[Resource]) -> WorksheetMatch | None:
    """A worksheet that is read alone: the subresource that it is named after, or all candidates."""
    if (match := _match_by_name(grid, candidates)) and _is_subresource_match(match):
        return match
    header = find_header_row(grid.rows, candidates)
    return WorksheetMatch(grid=grid, header=header, candidates=candidates) if header else None


def _is_subresource_match(match: WorksheetMatch) -> bool:
    resource = match.candidates[0]
    return resource.is_subresource and not _fits_other_better(match.header.titles, RESOURCES.values(), resource)


def _match_quality(match: WorksheetMatch) -> tuple[bool, bool, int]:
    """Sort key, best last: whether no other resource knows more titles, whether there are rows, known titles."""
    count = match.header.known_count
    is_best_resource = match.candidates[0].is_subresource or count == max(
        count_known_columns(match.header.titles, other) for other in RESOURCES.values()
    )
    return is_best_resource, match.has_rows, count


def find_readable_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[Grid]:
    """The worksheets that have a header and rows."""
    matches = [match for grid in grids if (match := _match_worksheet(grid, candidates))]
    return [match.grid for match in matches if match.has_rows and match.header.known_count >= _MIN_KNOWN_TITLES]


def find_ignored_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[str]:
    """Of worksheets that are left out, the names to warn about: those with a table or with the name of a resource."""
    readable = {grid.name for grid in find_readable_worksheets(grids, candidates)}
    return [
        grid.name
        for grid in grids
        if grid.name in readable or (find_resource_by_name(grid.name, candidates) and has_text(grid))
    ]


def has_text(grid: Grid) -> bool:
    """Whether any cell is not blank."""
    return any(True for _ in _iter_nonblank_rows(grid.rows))


def no_header_error(candidates: Sequence[Resource]) -> UnreadableSheetError:
    """The error for a sheet without known titles; it names some expected ones."""
    names: list[str] = []
    for resource in candidates:
        required = (field.path for field in resource.fields if Action.CREATE in field.required_on)
        names += islice((path for path in required if "#" not in path), _EXAMPLE_TITLE_COUNT)
    return UnreadableSheetError(
        "No header row was found: no column has a known title. "
        f"Put titles such as {', '.join(dict.fromkeys(names))} above the rows, or start from the template."
    )
