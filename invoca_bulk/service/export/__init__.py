"""The platform's objects -> sheets with the template's columns: unedited, they plan as all unchanged.

`campaigns` reads the requested campaigns, `object_rows` turns objects into cells and collects what no cell can hold,
`omissions` puts that into sentences, `export_tables` makes frames and worksheets. Only `export` talks to the platform,
through `service.snapshot`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from invoca_bulk.config.network import Network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError
from invoca_bulk.planning import Scope, merge
from invoca_bulk.reports import save
from invoca_bulk.schema import Resource
from invoca_bulk.schema.field_types import Json
from invoca_bulk.service import snapshot
from invoca_bulk.service.export import export_tables, omissions
from invoca_bulk.service.export.campaigns import CampaignSource, read_scopes
from invoca_bulk.service.export.object_rows import OmittedValue, Row, to_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ExportResult", "export"]


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """The result of an export."""

    #: The sheets by resource name: text columns (blank: ""); the index `row` (int64) is the row number in the file.
    frames: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]  # what the sheets leave out, and why; one or two sentences each
    is_complete: bool  # whether every campaign could be read
    output_path: Path | None  # None: no file was requested


def export(  # noqa: PLR0913  what to read, from where, and in which form
    resource: Resource,
    network: Network,
    options: Options,
    *,
    campaigns: CampaignSource | None = None,
    for_migration: bool = False,
    output: Path | None = None,
) -> ExportResult:
    """Read all advertisers, or the promo numbers of campaigns, into sheets; one request for each list.

    `for_migration`: the sheets are for creating the same objects in another network.
    """
    version = network.api_version
    address_cells = _requested_scopes(resource, campaigns)
    path = None if output is None else save.resolve_output(output, rows=0, columns=0)
    rows: list[Row] = []
    omitted_values: list[OmittedValue] = []
    unreadable: list[tuple[Mapping[str, str], str]] = []
    unknown_parts: list[str] = []
    for scope, state in snapshot.fetch_state(list(address_cells), network, options).items():
        cells = address_cells[scope]
        if state.refusal_reason:
            unreadable.append((cells, state.refusal_reason))
        unknown_parts += omissions.format_unknown_parts(resource, state.objects)
        objects = [_without_unknown_parts(resource, record) for record in state.objects]
        scope_rows, scope_omissions = to_rows(
            resource, objects, version, address_cells=cells, for_migration=for_migration
        )
        rows += scope_rows
        omitted_values += scope_omissions
    tables = export_tables.ExportTables(resource, rows, version, for_migration=for_migration)
    if path is not None:
        build = partial(tables.to_worksheets, flat=path.suffix.lower() == ".csv")
        path = save.save_worksheets(path, build, plain_csv=options.plain_csv)
    return ExportResult(
        frames=tables.to_frames(),
        notes=(
            *omissions.format_unreadable_campaigns(unreadable),
            *unknown_parts,
            *omissions.format_omissions(omitted_values, for_migration=for_migration),
        ),
        is_complete=not (unreadable or unknown_parts),
        output_path=path,
    )


def _without_unknown_parts(resource: Resource, record: Mapping[str, Json]) -> Mapping[str, Json]:
    return {**record, **dict.fromkeys(merge.missing_collections(resource, record), ())}


def _requested_scopes(resource: Resource, campaigns: CampaignSource | None) -> dict[Scope, dict[str, str]]:
    """The scopes to read, each with the campaign's cells of its rows."""
    if all(resource.path_templates):
        return read_scopes(campaigns)
    if campaigns is not None:
        raise ConfigError(
            f"Campaigns select promo numbers, not {resource.name}. Leave them out: all {resource.name} are exported."
        )
    return {(): {}}
