"""What the platform has -> sheets in the template's shape: unedited, they plan as all unchanged.

`campaigns` says which campaigns are meant, `rows` turns objects into cells and says what no cell can tell, `notes` puts
that into sentences, `tables` makes frames and worksheets. Only `export` talks to the platform, through `fetching`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from invoca_bulk.errors import ConfigError
from invoca_bulk.reports import save
from invoca_bulk.service import snapshot
from invoca_bulk.service.export import campaigns as places
from invoca_bulk.service.export import export_tables, omissions
from invoca_bulk.service.export.object_rows import to_rows

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from invoca_bulk.config.options import Options
    from invoca_bulk.config.settings import Network
    from invoca_bulk.planning import PlatformState, Scope
    from invoca_bulk.schema import Resource
    from invoca_bulk.service.export.campaigns import CampaignSource
    from invoca_bulk.service.export.object_rows import OmittedValue, Row

__all__ = ["ExportResult", "export", "tables", "to_rows"]


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What an export came to.

    Attributes:
        frames: the sheets by the name of what they hold: `promo_numbers`, or `advertisers`, `sites` and `users`. Texts
            (blank: ""), the index `row` (int64) the row numbers of the file.
        notes: what the sheets do not tell, and why; one sentence or two each.
        is_complete: whether every campaign could be read.
        output_path: the file; None: none was asked for.
    """

    frames: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]
    is_complete: bool
    output_path: Path | None


def export(  # noqa: PLR0913  what is wanted, from where, and in which form
    resource: Resource,
    network: Network,
    options: Options,
    *,
    campaigns: CampaignSource | None = None,
    for_migration: bool = False,
    output: Path | None = None,
) -> ExportResult:
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
        AuthenticationError: the platform does not accept the token.
        PlatformUnavailableError: its state could not be read.
    """
    wanted = _requested_scopes(resource, campaigns)
    target = None if output is None else save.resolve_output(output, rows=0, columns=0)
    observed = snapshot.fetch_state(list(wanted), network, options)
    found, losses = _collect_rows(resource, wanted, observed, network.api_version, for_migration=for_migration)
    tell = export_tables.ExportTables(resource, found, network.api_version, for_migration=for_migration)
    refused = [
        omissions.format_unreadable_campaign(wanted[scope], one.refusal_reason)
        for scope, one in observed.items()
        if one.refusal_reason
    ]
    return ExportResult(
        frames=tell.to_frames(),
        notes=(*refused, *omissions.format_omissions(losses, for_migration=for_migration)),
        is_complete=not refused,
        output_path=None
        if target is None
        else save.save_worksheets(target, partial(tell.to_worksheets, flat=target.suffix.lower() == ".csv")),
    )


def _requested_scopes(resource: Resource, campaigns: CampaignSource | None) -> dict[Scope, dict[str, str]]:
    """The lists to read, each with the cells that its rows begin with."""
    if all(resource.path_templates):
        return places.read_scopes(campaigns)
    if campaigns is not None:
        raise ConfigError(
            f"Campaigns have promo numbers, and no {resource.name}. Leave them out: all {resource.name} are exported."
        )
    return {(): {}}


def _collect_rows(
    resource: Resource,
    wanted: Mapping[Scope, Mapping[str, str]],
    observed: Mapping[Scope, PlatformState],
    version: str,
    *,
    for_migration: bool,
) -> tuple[list[Row], list[OmittedValue]]:
    rows, losses = [], []
    for scope, one in observed.items():
        own, lost = to_rows(resource, one.objects, version, address_cells=wanted[scope], for_migration=for_migration)
        rows += own
        losses += lost
    return rows, losses
