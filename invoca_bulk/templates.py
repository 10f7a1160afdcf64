"""A resource's template: an empty sheet with its columns, dropdowns and notes, made from the table in `schema`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from invoca_bulk import saving
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION, Action, Role
from invoca_bulk.workbook import Cell, Choices, Limits, Page, Style

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.kinds import Kind

#: Stands in the template for the keys that a network chooses itself.
_EXAMPLE_KEY = "channel"
_ROLES = frozenset({Role.OWN, Role.PATH, Role.BODY})
#: So many choices are named in a note; a longer list is seen in the dropdown.
_FEW = 6

INSTRUCTIONS = "instructions"

#: What to know about a resource besides its columns, by its name; a line must not be longer than the page is wide.
ABOUT: Mapping[str, tuple[str, ...]] = {
    "advertisers": (
        "Each row is one advertiser, with all of its sites and users: the columns of a second one are numbered 2,",
        "such as users.2.first_name. A user or site that is left out of an existing advertiser is removed from it.",
    ),
    "promo_numbers": (
        "Each row asks for one new promo number; with a quantity of 7, for seven with the same settings.",
        "Each number is bought, and counts against your plan. Deleting it later does not give it back.",
        "A local number: fill in local_center.tn_prefix, or local_center.zipcode, or local_center.city together with",
        "local_center.state. Only one of these three ways. With none of them you get a toll-free number.",
    ),
}


_INSTRUCTIONS = """
1. Replace the example rows by your own, and delete those that you do not need: every row below the header counts.
2. Columns with an orange header are required on every row. All others may stay blank.
    Put the mouse over a header to see what it means. Do not rename the headers.
3. A blank cell means: not given. When something that exists is changed, blank means: leave it as it is,
    and the text [] means: clear it.
4. Some columns have a list: click a cell, then the arrow beside it.
5. The cells are formatted as text, so that 02134 keeps its zero. Paste as "values only" to keep it that way.
6. Rename custom_data.{custom} to a custom data field of your network, and add a column for each further one.
    Columns that are not in the table below are kept in the results, and not sent.

{about}

Save the file, then check it. This sends nothing:
    invoca-bulk validate FILE
When it is right, run it. The results have all your rows, with what became of each:
    invoca-bulk run FILE -o results.xlsx

The columns, for API version {version}:"""


def write_template(
    resource: Resource, path: Path, *, version: str = DEFAULT_API_VERSION, examples: bool = True
) -> Path:
    """Write the template of a resource; the end of the file's name decides the format.

    Args:
        resource: what the rows are about.
        path: where to, `.xlsx` or `.csv`; a CSV file has the header and the examples only.
        version: the API version whose fields it has.
        examples: whether it has rows that show how to fill it in.

    Returns:
        The path.

    Raises:
        OutputUnwritable: the name has another ending, or the file cannot be written there.
    """
    return saving.save(path, partial(template, resource, version=version, examples=examples))


def template(resource: Resource, *, version: str = DEFAULT_API_VERSION, examples: bool = True) -> list[Page]:
    """The pages of a template: the sheet to fill in, named like the resource, and the instructions."""
    columns = dict(_columns(resource, version))
    fields = list(columns.values())
    rows = [[row.get(path, "") for path in columns] for row in resource.examples] if examples else []
    sheet = Page(
        name=resource.name,
        header=[_header(path, one, _example(resource, path, one)) for path, one in columns.items()],
        rows=rows,
        choices={
            number: Choices(values=one.kind.choices, strict=not one.clearable)
            for number, one in enumerate(fields)
            if one.kind.choices
        },
        limits={
            number: Limits(minimum=one.kind.limits[0], maximum=one.kind.limits[1], strict=not one.clearable)
            for number, one in enumerate(fields)
            if one.kind.limits
        },
    )
    return [sheet, _instructions(resource, columns, version)]


def _columns(resource: Resource, version: str) -> Iterator[tuple[str, Field]]:
    """Column title to field, in the table's order."""
    for one in resource.fields:
        if one.role in _ROLES and one.known_in(version) and not (one.read_only or one.secret):
            for path in _numbered(one.path, one.in_template):
                yield path.replace("*", _EXAMPLE_KEY), one


def _numbered(pattern: str, times: int) -> list[str]:
    """`sites.#.name` so many times: `sites.1.name`, `sites.2.name`; a list within a record has one entry."""
    if "#" not in pattern:
        return [pattern] * min(times, 1)
    return [pattern.replace("#", str(number), 1).replace("#", "1") for number in range(1, times + 1)]


# What the header and the instructions say of a field


def _header(path: str, one: Field, example: str) -> Cell:
    lines = (
        "Required." if _required(one) else "Optional.",
        one.help,
        _takes(one.kind),
        f"Example: {example}" if example else "",
    )
    note = "\n".join(line for line in lines if line)
    return Cell(text=path, style=Style.REQUIRED if _required(one) else Style.HEADER, note=note)


def _required(one: Field) -> bool:
    return Action.CREATE in one.required_on


def _example(resource: Resource, path: str, one: Field) -> str:
    """The field's own example, or the first one in the resource's rows."""
    return one.example or next((row[path] for row in resource.examples if row.get(path)), "")


def _takes(kind: Kind) -> str:
    """The allowed values in short."""
    if not kind.choices:
        return f"Takes: {kind.name}."
    if len(kind.choices) <= _FEW:
        return f"Takes: {', '.join(kind.choices)}."
    return f"Takes: one of the {len(kind.choices)} values in the list."


def _versions(one: Field) -> str:
    """Which API versions know a field, where not all of them do."""
    since = f"since {one.since}" if one.since != API_VERSIONS[0] else ""
    until = f"until {one.until}" if one.until else ""
    return ", ".join(filter(None, (since, until)))


def _instructions(resource: Resource, columns: Mapping[str, Field], version: str) -> Page:
    title = Cell(text=f"How to fill in the sheet {resource.name}", style=Style.TITLE)
    text = _INSTRUCTIONS.format(about="\n".join(ABOUT[resource.name]), custom=_EXAMPLE_KEY, version=version)
    rows: list[Sequence[str | Cell]] = [[line] for line in text.splitlines()]
    rows.append([Cell(text=text, style=Style.HEADER) for text in ("column", "required", "takes", "API", "meaning")])
    rows += [_line(path, one) for path, one in columns.items()]
    widths = {0: 48, 1: 10, 2: 32, 3: 18, 4: 120}
    return Page(name=INSTRUCTIONS, header=[title], rows=rows, widths=widths, table=False)


def _line(path: str, one: Field) -> tuple[str, ...]:
    takes = _takes(one.kind).removeprefix("Takes: ").rstrip(".")
    return path, "required" if _required(one) else "", takes, _versions(one), one.help
