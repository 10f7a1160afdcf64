"""A resource's template: empty sheets with their columns, dropdowns and notes, made from the table in `schema`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from invoca_bulk.reports import save
from invoca_bulk.reports.xlsx import Cell, Dropdown, IntegerRange, Style, WorksheetSpec
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION, REMOVE_ACTION, Action, Role

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from invoca_bulk.schema import Field, Resource
    from invoca_bulk.schema.field_types import FieldType

#: Stands in the template for the keys that a network chooses itself.
_EXAMPLE_CUSTOM_FIELD = "channel"
_TEMPLATE_ROLES = frozenset({Role.LOCAL, Role.PATH, Role.BODY, Role.PARENT})
#: So many choices are named in a note; a longer list is seen in the dropdown.
_MAX_CHOICES_IN_NOTE = 6

INSTRUCTIONS_SHEET_NAME = "instructions"
_FIELD_TABLE_HEADER = ("column", "required", "takes", "API", "meaning")
_INSTRUCTIONS_WIDTHS: Mapping[int, float] = {0: 48, 1: 10, 2: 32, 3: 18, 4: 120}


@dataclass(frozen=True, kw_only=True)
class TemplateText:
    """What to know about a resource besides its columns; no line is longer than the page is wide.

    Attributes:
        required_help: what an orange header means.
        rows_help: what the rows ask for.
        before_run_help: what to do between the check and the run; each line with its end.
    """

    required_help: str
    rows_help: str
    before_run_help: str = ""


TEMPLATE_TEXTS: Mapping[str, TemplateText] = {
    "advertisers": TemplateText(
        required_help="Columns with an orange header are required for what is new; for what exists, the ids are "
        "enough.",
        rows_help=f"""\
The workbook has three sheets, which are read together:
    advertisers: a row for each advertiser.
    sites: a row for each site. A new advertiser needs at least one; the first one is its default.
    users: a row for each user.
The rows of sites and users name their advertiser in advertiser_id_from_network. It needs a row on the sheet
    advertisers, too; when the platform has it already, its id_from_network is enough there.

When an advertiser is changed, its users and sites that the sheets do not mention stay as they are.
    That is --nested merge, the default. To take one away, choose {REMOVE_ACTION} in the column action of its row.
    With --nested replace and --allow-removals, the sheets hold all that shall be left: all others are removed.

One sheet alone is read as well, in two forms:
    with numbers, and a row for each advertiser: sites.1.name, sites.2.name, users.1.email_settings.2.email_address;
    without, and a row for each site or user, which repeats its advertiser: sites.name, users.first_name.""",
        before_run_help="""\
Then see what would happen, before it happens. This reads from the platform and changes nothing:
    invoca-bulk plan FILE
""",
    ),
    "promo_numbers": TemplateText(
        required_help="Columns with an orange header are required on every row. All others may stay blank.",
        rows_help="""\
Each row asks for one new promo number; with a quantity of 7, for seven with the same settings.
Each number is bought, and counts against your plan. Deleting it later does not give it back.
A local number: fill in local_center.tn_prefix, or local_center.zipcode, or local_center.city together with
local_center.state. Only one of these three ways. With none of them you get a toll-free number.""",
    ),
}


_INSTRUCTIONS_TEXT = """
1. Replace the example rows by your own, and delete those that you do not need: every row below the header counts.
2. {required}
    Put the mouse over a header to see what it means. Do not rename the headers.
3. A blank cell means: not given. When something that exists is changed, blank means: leave it as it is,
    and the text [] means: clear it.
4. Some columns have a list: click a cell, then the arrow beside it.
5. The cells are formatted as text, so that 02134 keeps its zero. Paste as "values only" to keep it that way.
6. Rename custom_data.{custom} to a custom data field of your network, and add a column for each further one.
    Columns that are not in the table below are kept in the results, and not sent.

{rows}

Save the file, then check it. This sends nothing:
    invoca-bulk validate FILE
{before_run}When it is right, run it. The results have all your rows, with what became of each:
    invoca-bulk run FILE -o results.xlsx

The columns, for API version {version}:"""


def write_template(
    resource: Resource, path: Path, *, version: str = DEFAULT_API_VERSION, examples: bool = True
) -> Path:
    """Write the template of a resource; the end of the file's name decides the format.

    Args:
        resource: what the rows are about.
        path: where to, `.xlsx` or `.csv`; a CSV file has one header, with numbered columns for parts, and examples.
        version: the API version whose fields it has.
        examples: whether it has rows that show how to fill it in.

    Returns:
        The path.

    Raises:
        OutputError: the name has another ending, or the file cannot be written there.
    """
    pages = _build_flat_template if path.suffix.lower() == ".csv" else build_template
    return save.save_worksheets(path, partial(pages, resource, version=version, examples=examples))


def build_template(
    resource: Resource, *, version: str = DEFAULT_API_VERSION, examples: bool = True
) -> list[WorksheetSpec]:
    """The pages of a template: the sheets to fill in, named like the resource and its parts, and the instructions."""
    tables = (resource, *resource.subresources)
    return [
        *(_build_template_worksheet(one, version, examples=examples) for one in tables),
        _build_instructions_worksheet(tables, version),
    ]


def _build_template_worksheet(resource: Resource, version: str, *, examples: bool) -> WorksheetSpec:
    columns = template_columns(resource, version)
    rows = [[row.get(path, "") for path in columns] for row in resource.examples] if examples else []
    return build_worksheet(resource, columns, rows)


def build_worksheet(resource: Resource, columns: Mapping[str, Field], rows: Iterable[Sequence[str]]) -> WorksheetSpec:
    """A sheet as the template has it: notes on its headers, dropdowns and limits.

    Args:
        resource: what the rows are about.
        columns: title to field.
        rows: the texts of each row, in the order of the columns.
    """
    fields = list(columns.values())
    return WorksheetSpec(
        name=resource.name,
        header=[_header_cell(path, one, _find_example(resource, path, one)) for path, one in columns.items()],
        rows=rows,
        dropdowns={
            number: Dropdown(values=one.field_type.choices, strict=not one.clearable)
            for number, one in enumerate(fields)
            if one.field_type.choices
        },
        integer_ranges={
            number: IntegerRange(
                minimum=one.field_type.limits[0], maximum=one.field_type.limits[1], strict=not one.clearable
            )
            for number, one in enumerate(fields)
            if one.field_type.limits
        },
    )


def template_columns(resource: Resource, version: str) -> dict[str, Field]:
    """Column title to field, in the table's order, without those of the parts."""
    elsewhere = tuple(f"{part.name}." for part in resource.subresources)
    return {
        path.replace("*", _EXAMPLE_CUSTOM_FIELD): one
        for one in resource.fields
        if one.role in _TEMPLATE_ROLES and one.is_known_in(version) and not (one.read_only or one.secret)
        if not one.path.startswith(elsewhere)
        for path in _expand_numbers(one.path, one.template_columns)
    }


def _expand_numbers(pattern: str, count: int) -> list[str]:
    """A title so many times, if it has a number: `email_settings.1.email_address`."""
    if "#" not in pattern:
        return [pattern] * min(count, 1)
    return [pattern.replace("#", str(number)) for number in range(1, count + 1)]


# All in one sheet, for formats that have no others


def _build_flat_template(resource: Resource, *, version: str, examples: bool) -> list[WorksheetSpec]:
    """The resource's rows with their parts in numbered columns, as many as the examples need: `users.2.first_name`."""
    columns = list(template_columns(resource, version))
    for part in resource.subresources:
        most = max(len(_examples_of_parent(part, row[resource.identifier_field])) for row in resource.examples)
        own = [path for path, one in template_columns(part, version).items() if one.role is not Role.PARENT]
        columns += [f"{part.name}.{number}.{path}" for number in range(1, most + 1) for path in own]
    joined = [_join_examples(resource, row) for row in resource.examples] if examples else []
    return [
        WorksheetSpec(
            name=resource.name, header=columns, rows=[[row.get(path, "") for path in columns] for row in joined]
        )
    ]


def _join_examples(resource: Resource, example: Mapping[str, str]) -> dict[str, str]:
    """One example with those of its parts."""
    row = dict(example)
    for part in resource.subresources:
        for number, one in enumerate(_examples_of_parent(part, example[resource.identifier_field]), 1):
            row |= {f"{part.name}.{number}.{path}": text for path, text in one.items()}
    return row


def _examples_of_parent(part: Resource, parent: str) -> list[Mapping[str, str]]:
    """The examples of a part that belong to one object."""
    column = next(one.path for one in part.fields if one.role is Role.PARENT)
    return [row for row in part.examples if row[column] == parent]


# What the header and the instructions say of a field


def _header_cell(path: str, one: Field, example: str) -> Cell:
    lines = (
        "Required." if _is_required(one) else "Optional.",
        one.help,
        _accepted_values_text(one.field_type),
        f"Example: {example}" if example else "",
    )
    note = "\n".join(line for line in lines if line)
    return Cell(text=path, style=Style.REQUIRED if _is_required(one) else Style.HEADER, note=note)


def _is_required(one: Field) -> bool:
    return Action.CREATE in one.required_on


def _find_example(resource: Resource, path: str, one: Field) -> str:
    """The field's own example, or the first one in the resource's rows."""
    return one.example or next((row[path] for row in resource.examples if row.get(path)), "")


def _accepted_values_text(kind: FieldType) -> str:
    """The allowed values in short."""
    if not kind.choices:
        return f"Takes: {kind.name}."
    if len(kind.choices) <= _MAX_CHOICES_IN_NOTE:
        return f"Takes: {', '.join(kind.choices)}."
    return f"Takes: one of the {len(kind.choices)} values in the list."


def _version_range_text(one: Field) -> str:
    """Which API versions know a field, where not all of them do."""
    since = f"since {one.since}" if one.since != API_VERSIONS[0] else ""
    until = f"until {one.until}" if one.until else ""
    return ", ".join(filter(None, (since, until)))


def _build_instructions_worksheet(tables: Sequence[Resource], version: str) -> WorksheetSpec:
    about, several = TEMPLATE_TEXTS[tables[0].name], len(tables) > 1
    text = _INSTRUCTIONS_TEXT.format(
        required=about.required_help,
        rows=about.rows_help,
        before_run=about.before_run_help,
        custom=_EXAMPLE_CUSTOM_FIELD,
        version=version,
    )
    rows: list[Sequence[str | Cell]] = [[line] for line in text.splitlines()]
    for one in tables:
        rows += [[""], [Cell(text=f"The sheet {one.name}", style=Style.BOLD)]] if several else []
        rows.append([Cell(text=text, style=Style.HEADER) for text in _FIELD_TABLE_HEADER])
        rows += [_field_row(path, field) for path, field in template_columns(one, version).items()]
    title = Cell(text=f"How to fill in the sheet{'s' if several else ''} {_join_names(tables)}", style=Style.TITLE)
    return WorksheetSpec(
        name=INSTRUCTIONS_SHEET_NAME, header=[title], rows=rows, widths=_INSTRUCTIONS_WIDTHS, is_table=False
    )


def _join_names(tables: Sequence[Resource]) -> str:
    """`advertisers, sites and users`."""
    *names, last = (one.name for one in tables)
    return f"{', '.join(names)} and {last}" if names else last


def _field_row(path: str, one: Field) -> tuple[str, ...]:
    takes = _accepted_values_text(one.field_type).removeprefix("Takes: ").rstrip(".")
    return path, "required" if _is_required(one) else "", takes, _version_range_text(one), one.help
