"""What a run has to say about flags that it sent and that the platform kept as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from invoca_bulk.journal import RunRecord, StepRecord
from invoca_bulk.planning import merge
from invoca_bulk.planning.kept_flags import find_kept_flags, flag_text
from invoca_bulk.schema import ADVERTISERS, paths

_FLAG_PATTERNS = {field.path for field in ADVERTISERS.fields if field.may_be_kept}


def describe_kept_flags(record: RunRecord, load_writes: Callable[[], Iterable[StepRecord]]) -> tuple[str, ...]:
    """A sentence for each flag that a run set and the platform kept; none if the sheet has no such flag.

    `load_writes` returns the run's done creates and updates of advertisers.
    """
    titles = record.titles.get(ADVERTISERS.name, {})
    if not _FLAG_PATTERNS.intersection(map(paths.to_pattern, titles)):
        return ()
    return tuple(line for step in load_writes() for line in _describe_step(step))


def _describe_step(step: StepRecord) -> Iterator[str]:
    body = step.step.body or {}
    names = merge.parts_by_id(ADVERTISERS, body)
    for (part_id, path), values in find_kept_flags(body, step.answer).items():
        user = merge.describe_part(*part_id, merge.display_name(names[part_id]))
        yield (
            f"{step.step.own_id}, {user}: {path} was sent as {flag_text(values.sent)}, and the platform kept "
            f"{flag_text(values.kept)}."
        )
