"""Explains an issue code or an outcome in lines of text, with an example of wrong and right cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invoca_bulk.schema.issue_catalog import Problem
from invoca_bulk.schema.issue_examples import ISSUE_EXAMPLES, Cells, IssueExample, Sheets
from invoca_bulk.schema.outcomes import OUTCOME_HELP, Outcome
from invoca_bulk.wording import word

#: All codes that can be explained.
CODES = (*ISSUE_EXAMPLES, *OUTCOME_HELP)
#: The widest table of cells; a wider one is shown with a line for each column instead.
_MAX_WIDTH = 100


def explain(code: str) -> str:
    """What one of `CODES` means, why it is an error, wrong and right cells, and the fix."""
    lines = _explain_issue(code, ISSUE_EXAMPLES[code]) if code in ISSUE_EXAMPLES else _explain_outcome(Outcome(code))
    return "\n".join(lines)


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
