"""What the sheets of an export do not tell, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.schema import SHEET_RESOURCES, paths
from invoca_bulk.schema.issue_catalog import truncate
from invoca_bulk.service.export.object_rows import DUPLICATE, NO_AREA_CODE, UNIDENTIFIED, UNREPRESENTABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.service.export.object_rows import OmittedValue

_MAX_NAMED = 5
_MAX_TEXT_LENGTH = 40
#: Why cells are blank.
_REASONS: Mapping[str, str] = {
    UNREPRESENTABLE: "No cell can hold what the platform has.",
    DUPLICATE: "The platform has the same text more than once, and a sheet tells its rows apart by it.",
    NO_AREA_CODE: "No local center can be asked for the area code of the number.",
}
#: What to do about blank cells: in the same network, and in another one.
_ADVICE = {
    False: "A run leaves blank cells as they are on the platform.",
    True: "Fill in what the other network needs.",
}


def format_unreadable_campaign(address: Mapping[str, str], reason: str) -> str:
    """A campaign that could not be read."""
    where = " / ".join(address.values())
    return f"The numbers of {where} are missing: {reason}. Check the ids of the advertiser, campaign and affiliate."


def format_omissions(losses: Iterable[OmittedValue], *, for_migration: bool) -> list[str]:
    """One note for each column and reason, and one for the rows of each sheet that are missing."""
    groups: dict[tuple[str, str, str], list[OmittedValue]] = {}
    for one in losses:
        groups.setdefault((one.sheet, paths.to_pattern(one.column), one.code), []).append(one)
    return [
        _format_missing_rows(group) if code == UNIDENTIFIED else _format_blank_cells(group, for_migration)
        for (*_, code), group in groups.items()
    ]


def _format_missing_rows(group: Sequence[OmittedValue]) -> str:
    resource = SHEET_RESOURCES[group[0].sheet]
    what = f"{len(group):,} {resource.singular}{'s have' if len(group) > 1 else ' has'}"
    return (
        f"{what} no id that a sheet could use, or the same as another, and cannot be exported: {_list_objects(group)}. "
        "Give each an id_from_network of its own on the platform, if it shall be in the sheet."
    )


def _format_blank_cells(group: Sequence[OmittedValue], for_migration: bool) -> str:  # noqa: FBT001  a key of the table
    first = group[0]
    reason = _REASONS.get(first.code) or first.text
    where = f"{first.sheet}, {first.column}"
    return f"{where}: left blank for {_list_objects(group)}. {reason} {_ADVICE[for_migration]}"


def _list_objects(group: Sequence[OmittedValue]) -> str:
    """The first few: `U-1 of A-1 ('n/a'), U-2 of A-1 ('none') and 3 more`."""
    shown = [
        f"{one.object_label} ({truncate(one.text, _MAX_TEXT_LENGTH)!r})"
        if one.text and one.code == UNREPRESENTABLE
        else one.object_label
        for one in group
    ]
    more = f" and {len(group) - _MAX_NAMED:,} more" if len(group) > _MAX_NAMED else ""
    return ", ".join(shown[:_MAX_NAMED]) + more
