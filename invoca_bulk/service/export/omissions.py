"""Sentences on what the sheets of an export leave out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from invoca_bulk.planning import merge
from invoca_bulk.planning.display_values import id_text
from invoca_bulk.schema import SHEET_RESOURCES, Resource, paths
from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.issue_catalog import truncate
from invoca_bulk.service.export.object_rows import DUPLICATE, NO_AREA_CODE, UNIDENTIFIED, UNREPRESENTABLE, OmittedValue
from invoca_bulk.wording import count_of, join_limited, plural_of

_MAX_NAMED = 5
_MAX_REASONS_NAMED = 2
_MAX_TEXT_LENGTH = 40
#: Reason code to why cells are blank.
_REASONS: Mapping[str, str] = {
    UNREPRESENTABLE: "No cell can hold the platform's value.",
    DUPLICATE: "The platform has the same text more than once, but it must identify a row.",
    NO_AREA_CODE: "A local center cannot be requested for the number's area code.",
}
#: What to do about blank cells; key: whether the sheets are for another network.
_ADVICE = {
    False: "A run leaves blank cells as they are on the platform.",
    True: "Fill in what the other network needs.",
}


def format_unreadable_campaigns(campaigns: Sequence[tuple[Mapping[str, str], str]]) -> list[str]:
    """The note on the campaigns, cells and reason of each, that cannot be read; none if there are none."""
    if not campaigns:
        return []
    labels = join_limited([" / ".join(cells.values()) for cells, _ in campaigns], _MAX_NAMED)
    names = labels if len(campaigns) == 1 else f"{len(campaigns):,} campaigns ({labels})"
    reasons = join_limited(list(dict.fromkeys(reason for _, reason in campaigns)), _MAX_REASONS_NAMED)
    return [f"The numbers of {names} are missing: {reasons}. Check the ids of the advertiser, campaign and affiliate."]


def format_unknown_parts(resource: Resource, objects: Iterable[Mapping[str, Json]]) -> list[str]:
    """A note for each object whose users or sites the platform does not show."""
    missing_by_label = {
        id_text(resource, record) or "without an id": merge.missing_collections(resource, record) for record in objects
    }
    return [
        f"The {' and '.join(missing)} of {resource.singular} {label} are missing: the platform does not show them."
        for label, missing in missing_by_label.items()
        if missing
    ]


def format_omissions(omitted_values: Iterable[OmittedValue], *, for_migration: bool) -> list[str]:
    """One note for each column and reason, and one for the missing rows of each sheet."""
    groups: dict[tuple[str, str, str], list[OmittedValue]] = {}
    for omitted in omitted_values:
        groups.setdefault((omitted.sheet, paths.to_pattern(omitted.column), omitted.code), []).append(omitted)
    return [
        _format_missing_rows(group) if code == UNIDENTIFIED else _format_blank_cells(group, for_migration)
        for (*_, code), group in groups.items()
    ]


def _format_missing_rows(group: Sequence[OmittedValue]) -> str:
    count = len(group)
    have = f"{count_of(count, SHEET_RESOURCES[group[0].sheet].singular)} {plural_of(count, 'has', 'have')}"
    return (
        f"{have} no usable id, or the same id as another, and cannot be exported: {_list_objects(group)}. "
        "To export them, give each a unique id_from_network on the platform."
    )


def _format_blank_cells(group: Sequence[OmittedValue], for_migration: bool) -> str:  # noqa: FBT001  a key of the table
    first = group[0]
    reason = _REASONS.get(first.code) or first.text
    return f"{first.sheet}, {first.column}: left blank for {_list_objects(group)}. {reason} {_ADVICE[for_migration]}"


def _list_objects(group: Sequence[OmittedValue]) -> str:
    """The first few: `U-1 of A-1 ('n/a'), U-2 of A-1 ('none') and 3 more`."""
    labels = [
        f"{omitted.object_label} ({truncate(omitted.text, _MAX_TEXT_LENGTH)!r})"
        if omitted.text and omitted.code == UNREPRESENTABLE
        else omitted.object_label
        for omitted in group
    ]
    return join_limited(labels, _MAX_NAMED)
