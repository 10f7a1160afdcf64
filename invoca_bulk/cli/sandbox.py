"""`invoca-bulk sandbox`: serve a stand-in platform to rehearse on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from invoca_bulk.stand_in import Sandbox


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any free port.")
@click.option("--network-id", default="1234", show_default=True, help="The id of its network.")
@click.option(
    "--open-campaigns", is_flag=True, help="Have any advertiser, campaign and affiliate that a request names."
)
@click.option(
    "--latency", type=click.FloatRange(0, 60), default=0.0, show_default=True, help="Seconds an answer takes."
)
@click.option("--auto-ids", is_flag=True, help="Give an id to advertisers that come without one.")
def command(port: int, network_id: str, latency: float, *, open_campaigns: bool, auto_ids: bool) -> None:
    """Serve a stand-in platform on this machine until Ctrl-C. Nothing is kept and nothing costs money."""
    from invoca_bulk.stand_in import Sandbox, serve  # noqa: PLC0415  `--help` needs no server

    box = Sandbox(port=port, network_id=network_id, latency=latency, open_campaigns=open_campaigns, auto_ids=auto_ids)
    serve.run(box, ready=_tell)


def _tell(box: Sandbox) -> None:
    click.echo(f"The sandbox listens at {box.base_url} (network {box.network_id}). Ctrl-C stops it. Elsewhere:")
    click.echo(
        f"  export INVOCA_BASE_URL={box.base_url} INVOCA_NETWORK_ID={box.network_id} INVOCA_API_TOKEN={box.token}"
    )
    click.echo("  invoca-bulk run requests.xlsx -o results.xlsx")
