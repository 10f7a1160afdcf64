"""Options of the commands that talk to the platform, and those that decide what a plan does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common
from invoca_bulk.config.environment import can_prompt
from invoca_bulk.config.network import Network
from invoca_bulk.config.options import NESTED_MODES, PLAN_OPTION_NAMES, Options, PlanOptions
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from invoca_bulk.journal import RunRecord

#: What identifies the platform's API: parameters, settings and fields of a run's record have these names.
_ADDRESS_FIELDS = ("network_id", "base_url", "api_version")
#: Parameters of `request_options` that are fields of `Options`.
REQUEST_PARAMETERS = ("concurrency", "timeout")
#: Parameters that decide what happens to requests without a response.
RECONCILE_PARAMETERS = ("settle", "resend_absent", "doubt_refusals", "assign_ids")


#: Where the platform is and which token to use; `open_network` takes these parameters.
platform_options = common.compose(
    common.token_file_option,
    common.setting_option("network_id"),
    common.setting_option("base_url"),
    common.api_version_option,
)
#: The same, or a sandbox.
network_options = common.compose(
    click.option("--sandbox", is_flag=True, help="Rehearse on a sandbox on this machine; nothing is bought."),
    platform_options,
)
#: How many requests to send at once, and how long to wait for each.
request_options = common.compose(common.setting_option("concurrency", int), common.setting_option("timeout", float))
#: What decides what a plan does.
plan_options = common.compose(
    click.option(
        "--nested",
        type=click.Choice(NESTED_MODES),
        default=NESTED_MODES[0],
        show_default=True,
        help="What happens to an advertiser's users and sites that FILE does not mention. merge: keep them; "
        "replace: remove them.",
    ),
    click.option("--allow-removals", is_flag=True, help="Let --nested replace remove users and sites."),
    common.auto_ids_option,
    common.unlisted_option,
    common.no_sites_option,
)
#: Whether workers execute the run.
cluster_options = common.compose(
    click.option(
        "--cluster",
        is_flag=True,
        help="Leave the run to `invoca-bulk worker` processes and follow their progress. Needs a journal on "
        "PostgreSQL.",
    ),
    click.option("--detach", is_flag=True, help="With --cluster: exit at once instead of following the progress."),
)
#: What to do about requests without a response.
reconcile_options = common.compose(
    common.setting_option("settle", float),
    click.option(
        "--resend-absent",
        is_flag=True,
        help="Send a create again if it got no response and the platform does not show the new object.",
    ),
    click.option(
        "--doubt-429",
        "doubt_refusals",
        is_flag=True,
        help="After a 429 (too many requests), check whether the number was created before sending it again.",
    ),
)


def build_options(flags: dict[str, Any], *, as_json: bool) -> Options:
    """The run's options from the command's parameters; questions are asked only at a terminal."""
    from invoca_bulk.config.options import Options

    confirm = partial(click.confirm, err=True) if can_prompt() else None
    ask_text = partial(click.prompt, err=True, default="", show_default=False) if can_prompt() else None
    return Options(**flags, confirm=confirm, ask_text=ask_text, say=partial(click.echo, err=True), progress=not as_json)


@contextlib.contextmanager
def open_network(flags: dict[str, Any]) -> Iterator[Network]:
    """The network that the options name; with --sandbox, a sandbox that stops at the end of the block.

    The parameters of `network_options` are removed from `flags`. Such a sandbox accepts what `plan_options` allow.
    """
    from invoca_bulk.config.network import Network, has_own_host, resolve_network

    sandbox, token_file = flags.pop("sandbox", None), flags.pop("token_file")
    network_id, base_url, version = (flags.pop(name) for name in _ADDRESS_FIELDS)
    if sandbox:
        from invoca_bulk.sandbox_server import Sandbox

        with Sandbox(
            open_campaigns=True,
            auto_ids=flags.get("auto_ids", False),
            unlisted_types=flags.get("allow_unlisted", False),
            sites_required=not flags.get("allow_no_sites", False),
        ) as sandbox_server:
            yield resolve_network(sandbox_server, api_version=version)
    elif not network_id and not has_own_host(base_url):
        alternative = "" if sandbox is None else "; or rehearse with --sandbox"
        raise ConfigError(f"There is no network id. Set INVOCA_NETWORK_ID, or use --network-id{alternative}.")
    else:
        token = common.read_token(token_file)
        yield Network(network_id=network_id, token=token, base_url=base_url, api_version=version)


def network_for_run(record: RunRecord, token_file: Path | None) -> Network:
    """The network that a run was made for."""
    from invoca_bulk.config.network import Network

    return Network(**_address_of(record), token=common.read_token(token_file))


def _address_of(record: RunRecord) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _ADDRESS_FIELDS}


def network_flags(record: RunRecord) -> list[str]:
    """The options that select a run's network, except those that the environment already gives."""
    from invoca_bulk.config.settings import setting_from_environment

    return [
        word
        for name, value in _address_of(record).items()
        if setting_from_environment(name) != value
        for word in (SETTINGS[name].flag, value)
    ]


def plan_flags(choices: PlanOptions) -> list[str]:
    """The options that make these choices, except the defaults."""
    nested = ["--nested", choices.nested] if choices.nested != NESTED_MODES[0] else []
    flags = {name: f"--{name.replace('_', '-')}" for name in PLAN_OPTION_NAMES if getattr(choices, name) is True}
    return [*nested, *flags.values()]
