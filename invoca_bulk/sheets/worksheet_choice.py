"""Which worksheets of a workbook are read, and which are left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from invoca_bulk.errors import UnreadableSheetError
from invoca_bulk.schema import RESOURCES, Resource
from invoca_bulk.schema.issue_catalog import ISSUE_COLUMNS, Problem
from invoca_bulk.sheets import cell_text, header_detection
from invoca_bulk.sheets.header_detection import HeaderRow, count_known_columns, has_text
from invoca_bulk.sheets.model import Grid, ReadIssue
from invoca_bulk.wording import option

#: A worksheet with fewer known titles is taken for notes, and left out without a warning.
_MIN_KNOWN_TITLES = 2
#: A worksheet that knows less than this part of another's titles does not fit as well, even if it comes first.
_MIN_TITLE_RATIO = 0.5

#: Name of a worksheet that this package writes beside the rows to whether the texts of its first two rows are ours.
_GENERATED_SHEETS: Mapping[str, Callable[[Sequence[str], Sequence[str]], bool]] = {
    "issues": lambda first, _: tuple(first) in {ISSUE_COLUMNS, ISSUE_COLUMNS[1:]},
    "summary": lambda first, second: first[:1] == ["summary"] and second[:1] in (["run"], ["file"]),
    "lists": lambda first, _: first[:1] == ["choices 1"],
    "instructions": lambda first, _: bool(first) and first[0].startswith("How to fill in the sheet"),
}


@dataclass(frozen=True, kw_only=True)
class WorksheetMatch:
    """A worksheet with a header row."""

    grid: Grid
    header: HeaderRow
    candidates: Sequence[Resource]  # the resources that it can be about

    @property
    def has_rows(self) -> bool:
        """Whether there is anything below the header."""
        return has_text(islice(self.grid.rows, self.header.index + 1, None))


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The worksheets of a file, without those that this package wrote beside the rows."""

    visible: Sequence[Grid]  # to choose from
    hidden: Sequence[Grid]  # never read unless a person names one


def offer_worksheets(grids: Sequence[Grid], *, is_named: bool) -> Offer:
    """The worksheets to choose from; a worksheet that a person has named is the only one, and is read as it is."""
    if is_named:
        return Offer(visible=grids, hidden=())
    own = [grid for grid in grids if not is_generated(grid)]
    return Offer(
        visible=[grid for grid in own if grid.visibility == "visible"],
        hidden=[grid for grid in own if grid.visibility != "visible"],
    )


def is_generated(grid: Grid) -> bool:
    """Whether this package wrote the worksheet beside the rows, such as a summary; its name alone does not tell."""
    is_ours = _GENERATED_SHEETS.get(grid.name.casefold())
    if is_ours is None:
        return False
    rows: list[list[str]] = [*map(_filled_texts, islice(grid.rows, 2)), [], []]
    return is_ours(rows[0], rows[1])


def _filled_texts(row: Sequence[object]) -> list[str]:
    return [text for text in cell_text.convert_to_texts(row)[0] if text]


def match_named_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[WorksheetMatch]:
    """The worksheets that are named after their resource, in the order of processing."""
    order = list(header_detection.resources_by_name(candidates))
    matches = [match for grid in grids if (match := _match_by_name(grid, candidates))]
    return sorted(matches, key=lambda match: order.index(match.candidates[0].name))


def _match_by_name(grid: Grid, candidates: Sequence[Resource]) -> WorksheetMatch | None:
    resource = header_detection.find_resource_by_name(grid.name, candidates)
    if resource is None:
        return None
    header = header_detection.find_header_row(grid.rows, (resource,))
    others = [
        other for other in RESOURCES.values() if resource.name not in header_detection.resources_by_name((other,))
    ]
    if header is None or _fits_other_better(header.titles, others, resource):
        return None
    return WorksheetMatch(grid=grid, header=header, candidates=(resource,))


def _fits_other_better(titles: Sequence[str], others: Iterable[Resource], resource: Resource) -> bool:
    """Whether another resource knows more of the titles, and its required columns are there.

    A sheet `sites` with columns such as city and state is still not promo numbers; one with a campaign column is,
    whatever its name.
    """
    count = count_known_columns(titles, resource)
    return any(
        count_known_columns(titles, other) > count and header_detection.has_required_columns(titles, other)
        for other in others
    )


def choose_worksheet(offer: Offer, candidates: Sequence[Resource]) -> WorksheetMatch:
    """The worksheet to read: of those that fit, the first one, unless another one fits clearly better."""
    matches = [match for grid in offer.visible if (match := _match_worksheet(grid, candidates))]
    if not matches:
        raise _no_worksheet_error(offer, candidates)
    best_quality = max(map(_match_quality, matches))
    best = [match for match in matches if _match_quality(match) == best_quality]
    most_titles = max(match.header.known_count for match in best)
    return next(match for match in best if match.header.known_count >= most_titles * _MIN_TITLE_RATIO)


def _no_worksheet_error(offer: Offer, candidates: Sequence[Resource]) -> UnreadableSheetError:
    if hidden := find_readable_worksheets(offer.hidden, candidates):
        names = ", ".join(repr(grid.name) for grid in hidden)
        return UnreadableSheetError(
            f"Only hidden sheets have known titles: {names}. Unhide the one with your rows in your spreadsheet "
            f"program, or name it with {option('sheet=…')}."
        )
    tables = {grid.name: grid.rows for grid in offer.visible if has_text(grid.rows)}
    if tables:
        return header_detection.no_header_error(tables, candidates)
    return UnreadableSheetError("The file is empty. Fill in the template, one row for each request.")


def _match_worksheet(grid: Grid, candidates: Sequence[Resource]) -> WorksheetMatch | None:
    """A worksheet that is read alone: the subresource that it is named after, or all candidates."""
    if (match := _match_by_name(grid, candidates)) and _is_subresource_match(match):
        return match
    header = header_detection.find_header_row(grid.rows, candidates)
    return WorksheetMatch(grid=grid, header=header, candidates=candidates) if header else None


def _is_subresource_match(match: WorksheetMatch) -> bool:
    resource = match.candidates[0]
    return resource.is_subresource and not _fits_other_better(match.header.titles, RESOURCES.values(), resource)


def _match_quality(match: WorksheetMatch) -> tuple[bool, bool, bool, bool]:
    """Sort key, best last: how much speaks for reading a worksheet, the weightiest first."""
    titles, resources = match.header.titles, match.candidates
    is_best_resource = resources[0].is_subresource or match.header.known_count == max(
        count_known_columns(titles, other) for other in RESOURCES.values()
    )
    has_required_columns = any(header_detection.has_required_columns(titles, resource) for resource in resources)
    return is_best_resource, match.has_rows, has_required_columns, not _has_reserved_name(match.grid)


def _has_reserved_name(grid: Grid) -> bool:
    """Whether the worksheet is called as one that this package writes beside the rows."""
    return grid.name.casefold() in _GENERATED_SHEETS


def find_readable_worksheets(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[Grid]:
    """The worksheets that have a header and rows."""
    matches = [match for grid in grids if (match := _match_worksheet(grid, candidates))]
    return [match.grid for match in matches if match.has_rows and match.header.known_count >= _MIN_KNOWN_TITLES]


def report_ignored_worksheets(offer: Offer, read: Sequence[Grid], candidates: Sequence[Resource]) -> list[ReadIssue]:
    """A warning for each worksheet that is left out although it has a table or the name of a resource.

    Where a worksheet is read that is called as one of ours, for each other one with any text.
    """
    names_read = {grid.name for grid in read}
    others = [grid for grid in offer.visible if grid.name not in names_read]
    if any(map(_has_reserved_name, read)):
        ignored = [grid for grid in others if has_text(grid.rows)]
    else:
        ignored = _find_tables(others, candidates)
    read_text = ", ".join(repr(grid.name) for grid in read)
    codes_and_grids = [
        *(("sheet_ignored", grid) for grid in ignored),
        *(("sheet_hidden", grid) for grid in _find_tables(offer.hidden, candidates)),
    ]
    return [
        ReadIssue(row=None, problem=Problem(code=code, details={"value": grid.name, "read": read_text}))
        for code, grid in codes_and_grids
    ]


def _is_named_after_other(grid: Grid, candidates: Sequence[Resource]) -> bool:
    """Whether the worksheet is named after a resource that is not wanted."""
    resource = header_detection.find_resource_by_name(grid.name, tuple(RESOURCES.values()))
    return resource is not None and resource.name not in header_detection.resources_by_name(candidates)


def _find_tables(grids: Sequence[Grid], candidates: Sequence[Resource]) -> list[Grid]:
    """The worksheets with a table of the candidates, or with the name of one of them."""
    grids = [grid for grid in grids if not _is_named_after_other(grid, candidates)]
    readable = {grid.name for grid in find_readable_worksheets(grids, candidates)}
    return [
        grid
        for grid in grids
        if grid.name in readable
        or (header_detection.find_resource_by_name(grid.name, candidates) and has_text(grid.rows))
    ]
