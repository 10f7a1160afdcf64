"""`invoca-bulk sandbox`: serve a local stand-in for the platform."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common
from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES
from invoca_bulk.sandbox_server.faults import FAULT_SETTINGS, parse_faults

if TYPE_CHECKING:
    from invoca_bulk.sandbox_server import Sandbox

_FAULT_TYPES_HELP = "\n".join(f"  {name:16} {fault_type.help}" for name, fault_type in FAULT_TYPES.items())
_FAULTS_HELP = f"""\b
Fault types:
{_FAULT_TYPES_HELP}

A percentage alone, such as 20%, is divided among all types; or give each type its own, such as
drop_after=5%,429=10%. Reads never fail, except by limit. Other settings, also separated by commas:
{", ".join(FAULT_SETTINGS)}. For example, limit=10 answers 429 to everything over 10 requests per second.

To see which numbers were really issued: GET /sandbox/ledger, with the same token. To see all objects: GET
/sandbox/state. To change the faults while it runs: PUT /sandbox/faults with a JSON object of these settings."""


@click.command(epilog=_FAULTS_HELP)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to serve on; 0: any free port."
)
@click.option("--network-id", default="1234", show_default=True, help="Network id of the sandbox.")
@click.option(
    "--open-campaigns",
    is_flag=True,
    help="Accept any advertiser, campaign and affiliate id; unknown ones are created on first use.",
)
@click.option(
    "--like",
    type=click.Path(path_type=Path),
    help="Know just the advertisers and campaigns of this export, so that a wrong id shows.",
)
@click.option(
    "--latency", type=click.FloatRange(0, 60), default=0.0, show_default=True, help="Seconds to wait before responding."
)
@click.option("--auto-ids", is_flag=True, help="Assign ids to advertisers that are created without one.")
@click.option("--unlisted-types", is_flag=True, help="Accept media types outside of the published list.")
@click.option("--no-sites", is_flag=True, help="Accept advertisers without a site.")
@click.option(
    "--moved-ids",
    type=click.Choice(["new", "kept"]),
    default="new",
    show_default=True,
    help="Whether a moved number keeps its id_from_network.",
)
@click.option("--false-flags", is_flag=True, help="Answer false to every performance flag.")
@click.option("--allowance", type=click.IntRange(0), help="How many numbers a campaign may ever get.")
@click.option(
    "--faults", default="", metavar="TEXT", help="Faults to inject, such as 20% or drop_after=5%,429=10%,limit=10."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Seed for the phone numbers and the faults; the same seed repeats them.",
)
def command(  # noqa: PLR0913  one argument per option
    faults: str,
    seed: int,
    *,
    like: Path | None,
    no_sites: bool,
    false_flags: bool,
    allowance: int | None,
    **switches: Any,  # noqa: ANN401  click gives each its type
) -> None:
    """Serve a stand-in for the platform on this machine until Ctrl-C. It costs nothing and stores nothing on disk."""
    from invoca_bulk.sandbox_server import Sandbox, serve
    from invoca_bulk.service.sandbox_like import read_campaigns

    sandbox_server = Sandbox(
        **switches,
        like=read_campaigns(like) if like else None,
        sites_required=not no_sites,
        performance_flags=not false_flags,
        campaign_allowance=allowance,
        seed=seed,
        faults=parse_faults(faults, seed=seed),
    )
    serve.serve_forever(sandbox_server, on_ready=_print_connection)


def _print_connection(sandbox_server: Sandbox) -> None:
    url, network_id, token = sandbox_server.base_url, sandbox_server.network_id, sandbox_server.token
    click.echo(f"The sandbox serves network {network_id} at {url} until Ctrl-C. To use it, in another terminal:")
    variables = {"INVOCA_BASE_URL": url, "INVOCA_NETWORK_ID": network_id, "INVOCA_API_TOKEN": token}
    click.echo(f"  {common.format_variables(variables)}")
    click.echo(f"  {common.format_command(['run', 'requests.xlsx', '-o', 'results.xlsx'])}")
    if sandbox_server.faults.is_active:
        click.echo(f"It injects faults. The numbers really issued: GET {url}/sandbox/ledger, with the same token.")
