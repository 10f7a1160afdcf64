"""The README's tables, made from the tables of the code.

`python -m tests.readme_tables README.md` renews them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.cli import VERBS
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.schema import ADVERTISERS, API_VERSIONS, PROMO_NUMBERS, Action, Role
from invoca_bulk.schema.issue_catalog import CATALOGUE
from invoca_bulk.schema.result_columns import OUTCOME_HELP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from invoca_bulk.schema import Field, Resource


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    titles = list(header)
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def columns(resource: Resource) -> str:
    """The columns of a resource that an analyst may fill in."""
    fields = [one for one in resource.fields if one.role is not Role.RESULT and not _is_set_by_platform(resource, one)]
    return _table(
        ("column", "required", "what it takes", "API versions", "meaning", "other headers"),
        (
            (f"`{one.path}`", _required(one), one.kind.name, _versions(one), one.help, ", ".join(one.aliases))
            for one in fields
        ),
    )


def _is_set_by_platform(resource: Resource, field: Field) -> bool:
    return field.secret or (field.read_only and field.path != resource.named_by)


def _required(field: Field) -> str:
    return "yes" if Action.CREATE in field.required_on and "#" not in field.path else ""


def _versions(field: Field) -> str:
    if field.since == API_VERSIONS[0] and field.until is None:
        return "all"
    return f"{field.since} on" if field.until is None else f"to {field.until}"


def assigned() -> str:
    """The columns that the results add."""
    fields = [one for one in PROMO_NUMBERS.fields if one.role is Role.RESULT or one.read_only]
    return _table(("column", "meaning"), ((f"`{one.path}`", one.help) for one in fields))


def settings() -> str:
    """The settings of a run."""
    return _table(
        ("flag", "environment", "default", "meaning"),
        (
            (
                f"`{one.flag}`" if one.has_flag else "",
                f"`{one.variable}`" if one.variable else "",
                "" if one.default is None else f"`{one.default}`",
                one.help + (f" In {one.unit}." if one.unit else ""),
            )
            for one in SETTINGS.values()
        ),
    )


def outcomes() -> str:
    """The outcomes of a row."""
    return _table(
        ("`result_status`", "what it means", "what to do"),
        ((f"`{outcome}`", meaning, advice) for outcome, (meaning, advice) in OUTCOME_HELP.items()),
    )


def choices() -> str:
    """The closed lists of values."""
    named = ((PROMO_NUMBERS, "media_type"), (PROMO_NUMBERS, "promo_type"), (ADVERTISERS, "approval_status"))
    fields = [resource.by_path[path] for resource, path in (*named, (ADVERTISERS, "users.#.role"))]
    return "\n".join(f"`{one.path}`: {' · '.join(one.kind.choices)}\n" for one in fields).rstrip()


def issues() -> str:
    """The codes of issues."""
    return _table(
        ("code", "level", "message", "fix"),
        ((f"`{code}`", one.level, one.message, one.fix) for code, one in CATALOGUE.items()),
    )


def verbs() -> str:
    """The verbs of the command line."""
    return _table(("verb", "what it does"), ((f"`{verb}`", text) for verb, text in VERBS.items()))


#: Name of a marked place in the README to what stands there.
PLACES: Mapping[str, Callable[[], str]] = {
    "columns of promo numbers": lambda: columns(PROMO_NUMBERS),
    "columns of advertisers": lambda: columns(ADVERTISERS),
    "choices": choices,
    "columns of results": assigned,
    "settings": settings,
    "outcomes": outcomes,
    "issues": issues,
    "verbs": verbs,
}


def renewed(text: str) -> str:
    """The README with its tables made anew."""
    for name, make in PLACES.items():
        begin, end = f"<!-- table: {name} -->\n", "\n<!-- end of table -->"
        text = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + make() + end, text, flags=re.DOTALL)  # noqa: B023  called at once
    return text


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(renewed(readme.read_text(encoding="utf-8")), encoding="utf-8")
