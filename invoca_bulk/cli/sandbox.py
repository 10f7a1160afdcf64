"""`invoca-bulk sandbox`: serve a stand-in platform to rehearse on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES
from invoca_bulk.sandbox_server.faults import FAULT_SETTINGS, parse_faults

if TYPE_CHECKING:
    from invoca_bulk.sandbox_server import Sandbox


_FAULT_TYPES_HELP = "\n".join(f"  {name:16} {kind.help}" for name, kind in FAULT_TYPES.items())
_FAULTS_HELP = f"""\b
Kinds of faults:
{_FAULT_TYPES_HELP}

A share alone, as in 20%, is for all kinds together; or give one to each kind, as in drop_after=5%,429=10%.
Reads are spared, but for the limit. Further settings, with commas between them: {", ".join(FAULT_SETTINGS)}.
For example limit=10 answers 429 to what is over 10 requests a second.

What was really issued: GET /sandbox/ledger, with the same token. What is there: GET /sandbox/state.
Other faults from now on: PUT /sandbox/faults with a JSON object of these settings."""


@click.command(epilog=_FAULTS_HELP)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--network-id", default="1234", show_default=True, help="The id of its network.")
@click.option(
    "--open-campaigns", is_flag=True, help="Have any advertiser, campaign and affiliate that a request names."
)
@click.option(
    "--latency", type=click.FloatRange(0, 60), default=0.0, show_default=True, help="Seconds an answer takes."
)
@click.option("--auto-ids", is_flag=True, help="Give an id to advertisers that come without one.")
@click.option("--faults", default="", metavar="TEXT", help="What goes wrong: 20%, or drop_after=5%,429=10%,limit=10.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same numbers and the same faults.")
def command(  # noqa: PLR0913  one argument an option
    port: int, network_id: str, latency: float, faults: str, seed: int, *, open_campaigns: bool, auto_ids: bool
) -> None:
    """Serve a stand-in platform on this machine until Ctrl-C. Nothing is kept and nothing costs money."""
    from invoca_bulk.sandbox_server import Sandbox, serve

    box = Sandbox(
        port=port,
        network_id=network_id,
        latency=latency,
        open_campaigns=open_campaigns,
        auto_ids=auto_ids,
        seed=seed,
        faults=parse_faults(faults, seed=seed),
    )
    serve.serve_forever(box, on_ready=_print_connection)


def _print_connection(box: Sandbox) -> None:
    click.echo(f"The sandbox listens at {box.base_url} (network {box.network_id}). Ctrl-C stops it. Elsewhere:")
    click.echo(
        f"  export INVOCA_BASE_URL={box.base_url} INVOCA_NETWORK_ID={box.network_id} INVOCA_API_TOKEN={box.token}"
    )
    click.echo("  invoca-bulk run requests.xlsx -o results.xlsx")
    if box.faults.is_active:
        click.echo(
            f"It fails on purpose. What it really issued: GET {box.base_url}/sandbox/ledger, with the same token."
        )
