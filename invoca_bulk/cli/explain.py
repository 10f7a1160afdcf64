"""`invoca-bulk explain`: explain an issue code or an outcome, with an example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from invoca_bulk.cli import common
from invoca_bulk.schema.issue_catalog import ISSUE_TYPES, Problem
from invoca_bulk.schema.issue_examples import ISSUE_EXAMPLES, ISSUE_GROUPS, Cells, IssueExample, Sheets
from invoca_bulk.schema.outcomes import OUTCOME_HELP, Outcome
from invoca_bulk.wording import word

#: The widest table of cells; a wider one is shown with a line for each column instead.
_MAX_WIDTH = 100


@click.command()
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain CODE: what it means, why it is an error, an example of wrong and right cells, and the fix.

    CODE is the code of an issue, as in an annotated workbook and in the output of --json, or an outcome, as in the
    column result_status. Without CODE, all codes are listed.
    """
    click.echo("\n".join(_list_codes() if code is None else _explain(code)))


def _list_codes() -> Iterator[str]:
    width = max(map(len, ISSUE_TYPES))
    for title, examples in ISSUE_GROUPS.items():
        yield f"{title}:"
        yield from (f"  {code:<{width}}  {ISSUE_TYPES[code].level}" for code in examples)
    yield "Outcomes of rows:"
    yield from (f"  {outcome}" for outcome in Outcome)
    yield f"Explain one: {common.format_command(['explain', 'CODE'])}"


def _explain(code: str) -> Iterator[str]:
    name = code.casefold().replace("-", "_")
    if name in ISSUE_EXAMPLES:
        return _explain_issue(name, ISSUE_EXAMPLES[name])
    if name in OUTCOME_HELP:
        return _explain_outcome(Outcome(name))
    known = [*ISSUE_EXAMPLES, *OUTCOME_HELP]
    raise common.unknown_name_error("code", code, known, lambda nearest: ["explain", nearest], ["explain"])


def _explain_outcome(outcome: Outcome) -> Iterator[str]:
    meaning, advice = OUTCOME_HELP[outcome]
    yield f"{outcome}: an outcome of a row, in the column result_status"
    yield from ("", meaning, "", f"What to do: {word(advice)}")


def _explain_issue(code: str, example: IssueExample) -> Iterator[str]:
    problem = Problem(code=code, details=example.details)
    yield f"{code}: {problem.level}"
    yield from ("", word(problem.message), "", example.why)
    if example.state:
        yield from ("", word(example.state))
    for title, sheets in (("Wrong", example.wrong), ("Right", example.right)):
        yield from ("", f"{title}:", *_show_sheets(sheets))
    if problem.fix:
        yield from ("", f"Fix: {word(problem.fix)}")


def _show_sheets(sheets: Sheets | str) -> Iterator[str]:
    """The lines of a CSV file, or a table of cells for each sheet."""
    if isinstance(sheets, str):
        yield from (f"  {line}" for line in sheets.splitlines())
        return
    for name, rows in sheets.items():
        if len(sheets) > 1:
            yield f"  Sheet {name}:"
        yield from (f"  {line}" for line in _show_rows(rows))


def _show_rows(rows: Sequence[Cells]) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if not columns:
        return ["(without the column)"]
    table = [columns, *([_visible(row.get(column, "")) for column in columns] for row in rows)]
    lines = _align(table)
    return lines if len(lines[0]) <= _MAX_WIDTH else _align(list(map(list, zip(*table, strict=True))))


def _visible(text: str) -> str:
    """The text with invisible characters as Python escapes them."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def _align(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |" for line in table
    ]
