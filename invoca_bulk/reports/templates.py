"""The template of a resource: worksheets to fill in, with columns, dropdowns and notes from the table in `schema`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from invoca_bulk.reports import save
from invoca_bulk.reports.xlsx import Cell, Dropdown, IntegerRange, Style, WorksheetSpec
from invoca_bulk.schema import API_VERSIONS, DEFAULT_API_VERSION, REMOVE_ACTION, Action, Field, Resource, Role
from invoca_bulk.schema.field_types import FieldType
from invoca_bulk.wording import option, remedy, word

#: The example key of `custom_data`, whose keys each network defines.
_EXAMPLE_CUSTOM_FIELD = "channel"
_TEMPLATE_ROLES = frozenset({Role.LOCAL, Role.PATH, Role.BODY, Role.PARENT})
#: Maximum number of allowed values listed in a note; more are only in the dropdown.
_MAX_CHOICES_IN_NOTE = 6

INSTRUCTIONS_SHEET_NAME = "instructions"
_FIELD_TABLE_HEADER = ("column", "required", "takes", "API", "meaning")
_INSTRUCTIONS_WIDTHS: Mapping[int, float] = {0: 48, 1: 10, 2: 32, 3: 18, 4: 120}


@dataclass(frozen=True, kw_only=True)
class TemplateText:
    """Instructions for a resource; lines must fit the width of the instructions worksheet."""

    required_help: str  # what an orange header means
    rows_help: str  # what the rows request
    before_run_help: str = ""  # what to do between validation and the run; lines end with a line break


TEMPLATE_TEXTS: Mapping[str, TemplateText] = {
    "advertisers": TemplateText(
        required_help="Columns with an orange header are required for new objects; existing ones only need the ids.",
        rows_help=f"""\
The workbook has three sheets, which are read together:
    advertisers: one row per advertiser.
    sites: one row per site. A new advertiser needs at least one site; the first one is its default.
    users: one row per user.
Each row of sites and users names its advertiser in advertiser_id_from_network. The advertiser also needs a row on
    the sheet advertisers; if it already exists on the platform, its id_from_network is enough there.

When an advertiser is updated, its users and sites that the sheets do not mention stay as they are.
    This is {option("nested=merge")}, the default. To remove one, choose {REMOVE_ACTION} in its column action.
    With {option("nested=replace", "allow_removals")}, all users and sites that are not in the sheets are removed.

You can also use a single sheet, in one of two forms:
    numbered columns, one row per advertiser: sites.1.name, sites.2.name, users.1.email_settings.2.email_address;
    columns without numbers, one row per site or user, which repeats its advertiser: sites.name, users.first_name.""",
        before_run_help=f"""\
Then see what would change. This reads from the platform and changes nothing:
    {remedy("plan", subject="FILE")}
""",
    ),
    "promo_numbers": TemplateText(
        required_help="Columns with an orange header are required on every row. All others are optional.",
        rows_help="""\
Each row requests one new promo number; with a quantity of 7, it requests seven with the same settings.
Each number is bought and counts against your plan. Deleting it later does not give it back.
For a local number, fill in local_center.tn_prefix, or local_center.zipcode, or local_center.city and
local_center.state. Use only one of these three ways. Without any of them, you get a toll-free number.""",
    ),
}


_INSTRUCTIONS_TEXT = f"""
1. Replace the example rows with your own, and delete those you do not need: every row below the header counts.
2. {{required}}
    Hover over a header to see what it means. Do not rename the headers.
3. A blank cell means "not specified". When an object is updated, a blank cell leaves the value unchanged,
    and the text [] clears it.
4. Some columns have a list of values: click a cell, then the arrow next to it.
5. The cells are formatted as text, so that 02134 keeps its zero. Paste as "values only" to keep it that way.
6. Rename custom_data.{{custom}} to a custom data field of your network, and add a column for each further field.
    Columns that are not in the table below are kept in the results, but not sent.

{{rows}}

Save the file, then check it. This sends nothing:
    {remedy("validate", subject="FILE")}
{{before_run}}When it is correct, run it. The results contain all your rows with their outcomes:
    {remedy("run", "output=results.xlsx", subject="FILE")}

The columns, for API version {{version}}:"""


def write_template(resource: Resource, path: Path, *, version: str = DEFAULT_API_VERSION) -> Path:
    """Write the template of a resource; a `.csv` has numbered columns for users and sites."""
    build = _build_flat_template if path.suffix.lower() == ".csv" else build_template
    return save.save_worksheets(path, partial(build, resource, version=version))


def build_template(resource: Resource, *, version: str = DEFAULT_API_VERSION) -> list[WorksheetSpec]:
    """The worksheets of a template: one for the resource and each subresource, and the instructions."""
    resources = (resource, *resource.subresources)
    specs = []
    for table in resources:
        columns = template_columns(table, version)
        rows = [[row.get(path, "") for path in columns] for row in table.examples]
        specs.append(build_worksheet(table, columns, rows))
    return [*specs, _build_instructions_worksheet(resources, version)]


def build_worksheet(resource: Resource, columns: Mapping[str, Field], rows: Iterable[Sequence[str]]) -> WorksheetSpec:
    """A worksheet with the header notes, dropdowns and limits of the template."""
    fields = list(enumerate(columns.values()))
    return WorksheetSpec(
        name=resource.name,
        header=[_header_cell(resource, path, field) for path, field in columns.items()],
        rows=rows,
        dropdowns={
            column: Dropdown(values=field.field_type.choices, strict=not field.clearable)
            for column, field in fields
            if field.field_type.choices
        },
        integer_ranges={
            column: IntegerRange(minimum=limits[0], maximum=limits[1], strict=not field.clearable)
            for column, field in fields
            if (limits := field.field_type.limits)
        },
    )


def template_columns(resource: Resource, version: str) -> dict[str, Field]:
    """Column title to field, in the order of the table, without the fields of subresources."""
    subresource_prefixes = tuple(f"{subresource.name}." for subresource in resource.subresources)
    return {
        path.replace("*", _EXAMPLE_CUSTOM_FIELD): field
        for field in resource.fields
        if field.role in _TEMPLATE_ROLES and field.is_known_in(version) and not (field.read_only or field.secret)
        if not field.path.startswith(subresource_prefixes)
        for path in _expand_numbers(field.path, field.template_columns)
    }


def _expand_numbers(pattern: str, count: int) -> list[str]:
    """`count` numbered titles if the pattern has a `#`, such as `email_settings.1.email_address`; else one, or none."""
    if "#" not in pattern:
        return [pattern] * min(count, 1)
    return [pattern.replace("#", str(number)) for number in range(1, count + 1)]


def _build_flat_template(resource: Resource, *, version: str) -> list[WorksheetSpec]:
    """A single worksheet with numbered columns for subresources, as many as the examples need: `users.2.first_name`."""
    columns = list(template_columns(resource, version))
    for subresource in resource.subresources:
        max_count = max(
            len(_examples_of_parent(subresource, example[resource.identifier_field])) for example in resource.examples
        )
        fields = template_columns(subresource, version)
        paths = [path for path, field in fields.items() if field.role is not Role.PARENT]
        columns += [f"{subresource.name}.{number}.{path}" for number in range(1, max_count + 1) for path in paths]
    examples = (_flatten_example(resource, example) for example in resource.examples)
    rows = [[example.get(path, "") for path in columns] for example in examples]
    return [WorksheetSpec(name=resource.name, header=columns, rows=rows)]


def _flatten_example(resource: Resource, example: Mapping[str, str]) -> dict[str, str]:
    """An example with those of its subresources in numbered columns."""
    row = dict(example)
    for subresource in resource.subresources:
        children = _examples_of_parent(subresource, example[resource.identifier_field])
        for number, child in enumerate(children, 1):
            row |= {f"{subresource.name}.{number}.{path}": text for path, text in child.items()}
    return row


def _examples_of_parent(subresource: Resource, parent_id: str) -> list[Mapping[str, str]]:
    column = next(field.path for field in subresource.fields if field.role is Role.PARENT)
    return [example for example in subresource.examples if example[column] == parent_id]


def _header_cell(resource: Resource, path: str, field: Field) -> Cell:
    example = field.example or next((row[path] for row in resource.examples if row.get(path)), "")
    lines = (
        "Required." if _is_required(field) else "Optional.",
        field.help,
        f"Takes: {_accepted_values_text(field.field_type)}.",
        f"Example: {example}" if example else "",
    )
    note = "\n".join(line for line in lines if line)
    return Cell(text=path, style=Style.REQUIRED if _is_required(field) else Style.HEADER, note=note)


def _is_required(field: Field) -> bool:
    return Action.CREATE in field.required_on


def _accepted_values_text(field_type: FieldType) -> str:
    if not field_type.choices:
        return field_type.name
    if len(field_type.choices) <= _MAX_CHOICES_IN_NOTE:
        return ", ".join(field_type.choices)
    return f"one of the {len(field_type.choices)} values in the list"


def _version_range_text(field: Field) -> str:
    """The API versions that know a field, unless all of them do."""
    since = f"since {field.since}" if field.since != API_VERSIONS[0] else ""
    until = f"until {field.until}" if field.until else ""
    return ", ".join(filter(None, (since, until)))


def _build_instructions_worksheet(resources: Sequence[Resource], version: str) -> WorksheetSpec:
    texts = TEMPLATE_TEXTS[resources[0].name]
    instructions = _INSTRUCTIONS_TEXT.format(
        required=texts.required_help,
        rows=texts.rows_help,
        before_run=texts.before_run_help,
        custom=_EXAMPLE_CUSTOM_FIELD,
        version=version,
    )
    rows: list[Sequence[str | Cell]] = [[line] for line in word(instructions).splitlines()]
    for resource in resources:
        if len(resources) > 1:
            rows += [[""], [Cell(text=f"The sheet {resource.name}", style=Style.BOLD)]]
        rows.append([Cell(text=title, style=Style.HEADER) for title in _FIELD_TABLE_HEADER])
        for path, field in template_columns(resource, version).items():
            required = "required" if _is_required(field) else ""
            values, versions = _accepted_values_text(field.field_type), _version_range_text(field)
            rows.append((path, required, values, versions, field.help))
    *names, last = (resource.name for resource in resources)
    sheets = f"sheets {', '.join(names)} and {last}" if names else f"sheet {last}"
    title = Cell(text=f"How to fill in the {sheets}", style=Style.TITLE)
    return WorksheetSpec(
        name=INSTRUCTIONS_SHEET_NAME, header=[title], rows=rows, widths=_INSTRUCTIONS_WIDTHS, is_table=False
    )
