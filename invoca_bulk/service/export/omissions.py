"""What the sheets of an export do not tell, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoca_bulk.schema import SHEETS, paths
from invoca_bulk.schema.issue_catalog import shortened
from invoca_bulk.service.export.object_rows import NO_AREA_CODE, REPEATED, UNHELD, UNNAMED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from invoca_bulk.service.export.object_rows import Loss

_NAMED = 5
_SHOWN = 40
#: Why cells are blank.
_REASONS: Mapping[str, str] = {
    UNHELD: "No cell can hold what the platform has.",
    REPEATED: "The platform has the same text more than once, and a sheet tells its rows apart by it.",
    NO_AREA_CODE: "No local center can be asked for the area code of the number.",
}
#: What to do about blank cells: in the same network, and in another one.
_ADVICE = {
    False: "A run leaves blank cells as they are on the platform.",
    True: "Fill in what the other network needs.",
}


def refused(address: Mapping[str, str], reason: str) -> str:
    """A campaign that could not be read."""
    where = " / ".join(address.values())
    return f"The numbers of {where} are missing: {reason}. Check the ids of the advertiser, campaign and affiliate."


def sentences(losses: Iterable[Loss], *, for_migration: bool) -> list[str]:
    """One note for each column and reason, and one for the rows of each sheet that are missing."""
    groups: dict[tuple[str, str, str], list[Loss]] = {}
    for one in losses:
        groups.setdefault((one.sheet, paths.pattern(one.column), one.code), []).append(one)
    return [
        _missing(group) if code == UNNAMED else _blank(group, for_migration) for (*_, code), group in groups.items()
    ]


def _missing(group: Sequence[Loss]) -> str:
    resource = SHEETS[group[0].sheet]
    what = f"{len(group):,} {resource.one}{'s have' if len(group) > 1 else ' has'}"
    return (
        f"{what} no id that a sheet could use, or the same as another, and cannot be exported: {_listed(group)}. "
        "Give each an id_from_network of its own on the platform, if it shall be in the sheet."
    )


def _blank(group: Sequence[Loss], for_migration: bool) -> str:  # noqa: FBT001  a key of the table
    first = group[0]
    reason = _REASONS.get(first.code) or first.text
    where = f"{first.sheet}, {first.column}"
    return f"{where}: left blank for {_listed(group)}. {reason} {_ADVICE[for_migration]}"


def _listed(group: Sequence[Loss]) -> str:
    """The first few: `U-1 of A-1 ('n/a'), U-2 of A-1 ('none') and 3 more`."""
    shown = [
        f"{one.about} ({shortened(one.text, _SHOWN)!r})" if one.text and one.code == UNHELD else one.about
        for one in group
    ]
    more = f" and {len(group) - _NAMED:,} more" if len(group) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
