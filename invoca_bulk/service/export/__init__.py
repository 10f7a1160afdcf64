"""What the platform has -> sheets in the template's shape: unedited, they plan as all unchanged.

`campaigns` says which campaigns are meant, `rows` turns objects into cells and says what no cell can tell, `notes` puts
that into sentences, `tables` makes frames and worksheets. Only `export` talks to the platform, through `fetching`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.reports import save
from invoca_bulk.service import snapshot
from invoca_bulk.service.export import campaigns as places
from invoca_bulk.service.export import export_tables, omissions
from invoca_bulk.service.export.object_rows import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import Observed, Scope
    from invoca_bulk.schema import Resource
    from invoca_bulk.service.export.campaigns import Campaigns
    from invoca_bulk.service.export.object_rows import Loss, Row

__all__ = ["Exported", "export", "rows_of", "tables"]


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export came to.

    Attributes:
        frames: the sheets by the name of what they hold: `promo_numbers`, or `advertisers`, `sites` and `users`. Texts
            (blank: ""), the index `row` (int64) the row numbers of the file.
        notes: what the sheets do not tell, and why; one sentence or two each.
        complete: whether every campaign could be read.
        saved: the file; None: none was asked for.
    """

    frames: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]
    complete: bool
    saved: Path | None


def export(  # noqa: PLR0913  what is wanted, from where, and in which form
    resource: Resource,
    network: Network,
    options: Options,
    *,
    campaigns: Campaigns | None = None,
    for_migration: bool = False,
    output: Path | None = None,
) -> Exported:
    """Read all advertisers, or the promo numbers of some campaigns, into sheets; one request for each list.

    Args:
        resource: what to read.
        network: where, and with which API version.
        options: how many requests at once, and how long to wait for an answer.
        campaigns: of promo numbers, the campaigns that are meant.
        for_migration: whether the sheets are to create the same in another network.
        output: the file to write; one that is there already is left alone.

    Raises:
        UserError: the campaigns or the file cannot be used; nothing was read.
        NotAuthorized: the platform does not accept the token.
        PlatformUnavailable: its state could not be read.
    """
    wanted = _wanted(resource, campaigns)
    target = None if output is None else save.prepared(output, rows=0, columns=0)
    observed = snapshot.observe(list(wanted), network, options)
    found, losses = _read(resource, wanted, observed, network.api_version, for_migration=for_migration)
    tell = export_tables.Tables(resource, found, network.api_version, for_migration=for_migration)
    refused = [omissions.refused(wanted[scope], one.refusal) for scope, one in observed.items() if one.refusal]
    return Exported(
        frames=tell.frames(),
        notes=(*refused, *omissions.sentences(losses, for_migration=for_migration)),
        complete=not refused,
        saved=None if target is None else save.save(target, partial(tell.pages, flat=target.suffix.lower() == ".csv")),
    )


def _wanted(resource: Resource, campaigns: Campaigns | None) -> dict[Scope, dict[str, str]]:
    """The lists to read, each with the cells that its rows begin with."""
    if all(resource.scopes):
        return places.read(campaigns)
    if campaigns is not None:
        raise SettingInvalid(
            f"Campaigns have promo numbers, and no {resource.name}. Leave them out: all {resource.name} are exported."
        )
    return {(): {}}


def _read(
    resource: Resource,
    wanted: Mapping[Scope, Mapping[str, str]],
    observed: Mapping[Scope, Observed],
    version: str,
    *,
    for_migration: bool,
) -> tuple[list[Row], list[Loss]]:
    rows, losses = [], []
    for scope, one in observed.items():
        own, lost = rows_of(resource, one.objects, version, given=wanted[scope], for_migration=for_migration)
        rows += own
        losses += lost
    return rows, losses
