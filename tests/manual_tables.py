"""The tables of the README and the manual, generated from the tables in the code.

`python -m tests.manual_tables` updates them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.cli import COMMANDS
from invoca_bulk.cli.wording import command_words
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, PROMO_NUMBERS, Action, Role
from invoca_bulk.schema.issue_catalog import ISSUE_TYPES
from invoca_bulk.schema.outcomes import OUTCOME_HELP
from invoca_bulk.wording import word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from invoca_bulk.schema import Field, Resource


def _markdown_table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def resource_columns_table(resource: Resource) -> str:
    """The columns of a resource that a user can fill in."""
    fields = [
        field for field in resource.fields if field.role is not Role.RESULT and not _is_set_by_platform(resource, field)
    ]
    return _markdown_table(
        ("column", "required", "what it takes", "API versions", "meaning", "other headers"),
        (
            (
                f"`{field.path}`",
                _required_text(field),
                field.field_type.name,
                _version_range_text(field),
                field.help,
                ", ".join(field.aliases),
            )
            for field in fields
        ),
    )


def _is_set_by_platform(resource: Resource, field: Field) -> bool:
    return field.secret or (field.read_only and field.path != resource.identifier_field)


def _required_text(field: Field) -> str:
    return "yes" if Action.CREATE in field.required_on and "#" not in field.path else ""


def _version_range_text(field: Field) -> str:
    if field.since == API_VERSIONS[0] and field.until is None:
        return "all"
    return f"{field.since} on" if field.until is None else f"to {field.until}"


def result_columns_table() -> str:
    """The columns that results add."""
    fields = [field for field in PROMO_NUMBERS.fields if field.role is Role.RESULT or field.read_only]
    return _markdown_table(("column", "meaning"), ((f"`{field.path}`", field.help) for field in fields))


def settings_table() -> str:
    """The settings of a run."""
    return _markdown_table(
        ("flag", "environment", "default", "meaning"),
        (
            (
                f"`{setting.flag}`" if setting.has_flag else "",
                f"`{setting.env_variable}`" if setting.env_variable else "",
                "" if setting.default is None else f"`{setting.default}`",
                setting.help + (f" In {setting.unit}." if setting.unit else ""),
            )
            for setting in SETTINGS.values()
        ),
    )


def _in_commands(text: str) -> str:
    return word(text, wording=command_words)


def outcomes_table() -> str:
    """The outcomes of a row."""
    return _markdown_table(
        ("`result_status`", "what it means", "what to do"),
        ((f"`{outcome}`", meaning, _in_commands(advice)) for outcome, (meaning, advice) in OUTCOME_HELP.items()),
    )


def choice_lists() -> str:
    """The closed lists of values."""
    named = ((PROMO_NUMBERS, "media_type"), (PROMO_NUMBERS, "promo_type"), (ADVERTISERS, "approval_status"))
    fields = [resource.by_path[path] for resource, path in (*named, (ADVERTISERS, "users.#.role"))]
    return "\n".join(f"`{field.path}`: {' · '.join(field.field_type.choices)}\n" for field in fields).rstrip()


def issues_table() -> str:
    """The issue codes."""
    return _markdown_table(
        ("code", "level", "message", "fix"),
        (
            (
                f"`{code}`",
                issue_type.level,
                *(word(text, wording=command_words) for text in (issue_type.message, issue_type.fix)),
            )
            for code, issue_type in ISSUE_TYPES.items()
        ),
    )


def verbs_table() -> str:
    """The commands."""
    return _markdown_table(("command", "what it does"), ((f"`{verb}`", text) for verb, text in COMMANDS.items()))


#: Name of a marker to the function that builds its table.
TABLE_BUILDERS: Mapping[str, Callable[[], str]] = {
    "columns of promo numbers": lambda: resource_columns_table(PROMO_NUMBERS),
    "columns of advertisers": lambda: resource_columns_table(ADVERTISERS),
    "choices": choice_lists,
    "columns of results": result_columns_table,
    "settings": settings_table,
    "outcomes": outcomes_table,
    "issues": issues_table,
    "verbs": verbs_table,
}


ROOT = Path(__file__).parent.parent
#: The files that have tables.
FILES = [ROOT / "README.md", *sorted((ROOT / "invoca_bulk" / "manual").glob("*.md"))]


def render(text: str) -> str:
    """A text with its tables rebuilt."""
    for name, build in TABLE_BUILDERS.items():
        begin, end = f"<!-- table: {name} -->\n", "\n<!-- end of table -->"
        text = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + build() + end, text, flags=re.DOTALL)  # noqa: B023  called immediately
    return text


if __name__ == "__main__":
    for path in FILES:
        path.write_text(render(path.read_text(encoding="utf-8")), encoding="utf-8")
