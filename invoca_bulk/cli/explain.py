"""`invoca-bulk explain`: explain an issue code or an outcome, with an example."""

from __future__ import annotations

from collections.abc import Iterator

import click

from invoca_bulk.cli import common
from invoca_bulk.schema.issue_catalog import ISSUE_TYPES
from invoca_bulk.schema.issue_examples import ISSUE_GROUPS
from invoca_bulk.schema.outcomes import Outcome


@click.command()
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Explain CODE: what it means, why it is an error, an example of wrong and right cells, and the fix.

    CODE is the code of an issue, as in an annotated workbook and in the output of --json, or an outcome, as in the
    column result_status. Without CODE, all codes are listed.
    """
    click.echo("\n".join(_list_codes()) if code is None else _explain(code))


def _list_codes() -> Iterator[str]:
    width = max(map(len, ISSUE_TYPES))
    for title, examples in ISSUE_GROUPS.items():
        yield f"{title}:"
        yield from (f"  {code:<{width}}  {ISSUE_TYPES[code].level}" for code in examples)
    yield "Outcomes of rows:"
    yield from (f"  {outcome}" for outcome in Outcome)
    yield f"Explain one: {common.format_command(['explain', 'CODE'])}"


def _explain(code: str) -> str:
    from invoca_bulk.reports.explanation import CODES, explain

    name = code.casefold().replace("-", "_")
    if name not in CODES:
        raise common.unknown_name_error("code", code, CODES, lambda nearest: ["explain", nearest], ["explain"])
    return explain(name)
