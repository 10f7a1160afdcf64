"""Finding the header row, and the resource that it is about."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product

from invoca_bulk.errors import ConfigError, UnreadableSheetError
from invoca_bulk.schema import RESOURCES, Action, Resource
from invoca_bulk.schema.model import fold_header
from invoca_bulk.sheets import cell_text
from invoca_bulk.wording import count_of, join_limited, option

#: The header may have titles and notes above it, but must be among this many rows that are not blank.
HEADER_SEARCH_ROWS = 100
#: How many rows below a row with known titles are searched for one that has more of them.
_ROWS_AFTER_HEADER = 20
_EXAMPLE_TITLE_COUNT = 3
#: How many misspelt titles an error names.
_MAX_NEAR_MISSES_NAMED = 3
#: How many rows, and distinct texts of a row, are compared with the known titles.
_MAX_ROWS_COMPARED, _MAX_TEXTS_COMPARED = 20, 200


@dataclass(frozen=True, kw_only=True)
class HeaderRow:
    """A header row."""

    index: int  # its position among the rows, from 0
    titles: tuple[str, ...]
    known_count: int  # the most columns of it that a single resource knows
    row_count: int  # how many rows above it are not blank


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


def find_header_row(
    rows: Iterable[Sequence[object]], candidates: Sequence[Resource], *, min_known_count: int = 1
) -> HeaderRow | None:
    """The first row with the most known titles; None if no row has at least `min_known_count`."""
    best: HeaderRow | None = None
    best_count = min_known_count - 1
    for row_count, (index, titles) in enumerate(islice(_iter_nonblank_rows(rows), HEADER_SEARCH_ROWS)):
        if best and row_count > best.row_count + _ROWS_AFTER_HEADER:
            break
        if len(set(titles)) <= best_count:  # so few texts need not be looked up
            continue
        count = max(count_known_columns(titles, resource) for resource in candidates)
        if count > best_count:
            best, best_count = HeaderRow(index=index, titles=titles, known_count=count, row_count=row_count), count
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
        raise no_header_error({"": [titles]}, candidates)
    best = [resource for resource in candidates if counts[resource.name] == best_count]
    if len(best) > 1:
        best = [resource for resource in best if has_required_columns(titles, resource)] or best
    if len(best) > 1:
        raise _ambiguous_resource_error(titles, best)
    _require_no_better_resource(titles, best[0])
    return best[0]


def _ambiguous_resource_error(titles: Sequence[str], resources: Sequence[Resource]) -> UnreadableSheetError:
    """The error for titles that several resources know equally well."""
    choice = " or ".join(str(option(f"resource={resource.name}")) for resource in resources)
    if not any(_missing_columns(titles, resource) for resource in resources):
        names = " and ".join(_display_name(resource) for resource in resources)
        return UnreadableSheetError(f"The columns fit {names} equally well. Say which: {choice}.")
    lacks = ", ".join(
        f"{_display_name(resource)} lacks {' and '.join(_missing_columns(titles, resource))}" for resource in resources
    )
    return UnreadableSheetError(
        f"Neither resource's required columns are there: {lacks}. "
        "Add the missing columns of the one that the rows are about."
    )


def _require_no_better_resource(titles: Sequence[str], resource: Resource) -> None:
    """Reject titles that lack what a new object of the resource needs, and fit another resource better."""
    missing = _missing_columns(titles, resource, Action.CREATE)
    if not missing or resource.is_subresource:
        return
    for other in RESOURCES.values():
        if count_known_columns(titles, other) > count_known_columns(titles, resource) and has_required_columns(
            titles, other
        ):
            raise UnreadableSheetError(
                f"The sheet looks like {_display_name(other)}, not like {_display_name(resource)}, which lacks "
                f"{' and '.join(missing)}. Choose {option(f'resource={other.name}')}, or correct the titles."
            )


def _display_name(resource: Resource) -> str:
    return resource.name.replace("_", " ")


def _missing_columns(titles: Sequence[str], resource: Resource, *actions: Action) -> list[str]:
    """The columns that these actions, or else all of them, need and that are not among the titles."""
    needed_by = set(actions or Action)
    paths = {column.path for title in titles if (column := resource.column_for(title))}
    return [
        field.path
        for field in resource.fields
        if needed_by <= field.required_on and "#" not in field.path and field.path not in paths
    ]


def has_required_columns(titles: Sequence[str], resource: Resource) -> bool:
    """Whether the columns that every row of a resource needs are among the titles."""
    return not _missing_columns(titles, resource)


def has_text(rows: Iterable[Sequence[object]]) -> bool:
    """Whether any cell is not blank."""
    return any(True for _ in _iter_nonblank_rows(rows))


def no_header_error(
    tables: Mapping[str, Sequence[Sequence[object]]], candidates: Sequence[Resource]
) -> UnreadableSheetError:
    """The error for worksheets, name to rows, without known titles; it names misspelt ones, or some expected ones."""
    rows_by_name = {
        name: list(islice(_iter_nonblank_rows(rows), HEADER_SEARCH_ROWS + 1)) for name, rows in tables.items()
    }
    row_count = max(map(len, rows_by_name.values()))
    is_limited = row_count > HEADER_SEARCH_ROWS
    scope = f"the first {HEADER_SEARCH_ROWS} rows" if is_limited else count_of(row_count, "row")
    each = " of each sheet" if len(tables) > 1 else ""
    advices = (
        _other_resource_advice(tables, candidates),
        *(
            _near_miss_advice(name if each else "", rows[:_MAX_ROWS_COMPARED], candidates)
            for name, rows in rows_by_name.items()
        ),
        _title_advice(candidates),
    )
    advice = next(filter(None, advices))
    return UnreadableSheetError(f"No header row was found in {scope}{each}: no column has a known title. {advice}")


def _other_resource_advice(tables: Mapping[str, Sequence[Sequence[object]]], candidates: Sequence[Resource]) -> str:
    """Which resource, that is not among the candidates, has its required columns there; empty: none."""
    others = [resource for resource in RESOURCES.values() if resource not in candidates]
    headers = [header for rows in tables.values() if others and (header := find_header_row(rows, others))]
    for header, resource in product(headers, others):
        if has_required_columns(header.titles, resource):
            return f"The sheet looks like {_display_name(resource)}: choose {option(f'resource={resource.name}')}."
    return ""


def _near_miss_advice(name: str, rows: Iterable[tuple[int, Sequence[str]]], candidates: Sequence[Resource]) -> str:
    """What to correct in the row with the most misspelt titles; empty: no row has any."""
    best_index, best_matches = -1, dict[str, str]()
    for index, titles in rows:
        matches = _find_near_misses(titles, candidates)
        if len(matches) > len(best_matches):
            best_index, best_matches = index, matches
    if not best_matches:
        return ""
    texts = [f"{title!r} is close to {known!r}" for title, known in best_matches.items()]
    row = f"Row {best_index + 1}" + (f" of {name!r}" if name else "")
    return f"{row} looks like a misspelt header: {join_limited(texts, _MAX_NEAR_MISSES_NAMED)}. Correct its titles."


def _find_near_misses(titles: Iterable[str], candidates: Sequence[Resource]) -> dict[str, str]:
    """Title to the known one that it resembles, by the resource that explains the most of them."""
    texts = list(dict.fromkeys(title.strip() for title in titles))[:_MAX_TEXTS_COMPARED]
    matches_by_resource = [
        {text: known for text in texts if (known := resource.find_similar_header(text))} for resource in candidates
    ]
    return max(matches_by_resource, key=len)


def _title_advice(candidates: Sequence[Resource]) -> str:
    names: list[str] = []
    for resource in candidates:
        required = (field.path for field in resource.fields if Action.CREATE in field.required_on)
        names += islice((path for path in required if "#" not in path), _EXAMPLE_TITLE_COUNT)
    return f"Put titles such as {', '.join(dict.fromkeys(names))} above the rows, or start from the template."
