"""What the verbs that talk to the platform share: its flags, and those that a plan depends on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.cli.common import Decorator
    from invoca_bulk.config.options import Options, PlanOptions
    from invoca_bulk.config.settings import Network
    from invoca_bulk.journal import RunRecord

#: Parameters that say where the platform is.
NETWORK_PARAMETERS = ("sandbox", "token_file", "network_id", "base_url", "api_version")
#: Parameters that `pipeline` takes as options, of those that `request_options` gives.
REQUEST_PARAMETERS = ("concurrency", "timeout")
#: Parameters that decide what a plan does.
PLAN_PARAMETERS = ("nested", "allow_removals", "auto_ids")
#: Parameters that decide what becomes of requests without an answer.
RECONCILE_PARAMETERS = ("settle", "resend_absent", "doubt_refusals", "assign_ids")
#: As `options.NESTED_MODES`.
_NESTED_MODES = ("merge", "replace")


def network_options(*, sandbox: bool = True) -> Decorator:
    """Where the platform is, and with which token; `open_network` takes them. `sandbox`: whether to offer --sandbox."""
    rehearse = click.option("--sandbox", is_flag=True, help="Rehearse on a sandbox of this machine; nothing is bought.")
    return common.compose(
        *([rehearse] if sandbox else []),
        click.option(
            "--token-file", type=click.Path(path_type=Path), help="A file that holds the token; - for standard input."
        ),
        common.setting_option("network_id"),
        common.setting_option("base_url"),
        common.api_version_option(),
    )


def request_options() -> Decorator:
    """How to talk to it."""
    return common.compose(common.setting_option("concurrency", int), common.setting_option("timeout", float))


def plan_options() -> Decorator:
    """What a plan depends on."""
    return common.compose(
        click.option(
            "--nested",
            type=click.Choice(_NESTED_MODES),
            default=_NESTED_MODES[0],
            show_default=True,
            help="merge: an advertiser keeps the users and sites that FILE does not mention; "
            "replace: it has those of FILE, and no others.",
        ),
        click.option("--allow-removals", is_flag=True, help="Let --nested replace take users and sites away."),
        common.auto_ids_option(),
    )


def cluster_options() -> Decorator:
    """Whether workers do it."""
    return common.compose(
        click.option(
            "--cluster", is_flag=True, help="Have `invoca-bulk worker`s do it, and follow them; needs PostgreSQL."
        ),
        click.option("--detach", is_flag=True, help="With --cluster: do not follow them."),
    )


def reconcile_options() -> Decorator:
    """What to do about requests without an answer."""
    return common.compose(
        common.setting_option("settle", float),
        click.option(
            "--resend-absent",
            is_flag=True,
            help="Send creates again whose request got no answer and which the platform does not show afterwards.",
        ),
        click.option(
            "--doubt-429",
            "doubt_refusals",
            is_flag=True,
            help="Take 429 (too many requests) for no proof that a number was not created.",
        ),
    )


def build_options(flags: dict[str, Any], *, as_json: bool) -> Options:
    """How the flags want a run."""
    from invoca_bulk.config.options import Options

    return Options(**flags, confirm=_confirm if common.can_ask() else None, say=_print_notice, progress=not as_json)


def _confirm(question: str) -> bool:
    return click.confirm(question, err=True)


def _print_notice(sentence: str) -> None:
    click.echo(sentence, err=True)


@contextlib.contextmanager
def open_network(flags: dict[str, Any], *, auto_ids: bool = False) -> Iterator[Network]:
    """The network that the flags name; with --sandbox, one that is gone afterwards.

    Args:
        flags: the command's parameters; those of `network_options` are taken out.
        auto_ids: whether the sandbox gives ids to advertisers that come without one.

    Raises:
        ConfigError: there is no network id, or no token.
    """
    from invoca_bulk.config.settings import Network
    from invoca_bulk.service.pipeline import resolve_network

    sandbox, token_file, network_id, base_url, version = (flags.pop(name, None) for name in NETWORK_PARAMETERS)
    if sandbox:
        from invoca_bulk.sandbox_server import Sandbox

        with Sandbox(open_campaigns=True, auto_ids=auto_ids) as box:
            yield resolve_network(box, api_version=version)
    elif not network_id:
        rehearse = "" if sandbox is None else "; or rehearse with --sandbox"
        msg = f"There is no network id. Set INVOCA_NETWORK_ID, or use --network-id{rehearse}."
        raise ConfigError(msg)
    else:
        token = common.read_token(token_file)
        yield Network(network_id=network_id, token=token, base_url=base_url, api_version=version)


def network_for_run(record: RunRecord, token_file: Path | None) -> Network:
    """The network of a run, as it was run."""
    from invoca_bulk.config.settings import Network

    where = {name: getattr(record, name) for name in ("network_id", "base_url", "api_version")}
    return Network(**where, token=common.read_token(token_file))


def network_flags(record: RunRecord) -> list[str]:
    """The flags that lead to a run's network, as far as the environment does not."""
    from invoca_bulk.config.settings import setting_from_environment

    names = ("network_id", "base_url", "api_version")
    given = {name: getattr(record, name) for name in names}
    return [
        text
        for name, value in given.items()
        if setting_from_environment(name) != value
        for text in (SETTINGS[name].flag, value)
    ]


def plan_flags(choices: PlanOptions) -> list[str]:
    """The flags that give these choices; none for the usual ones."""
    nested = ["--nested", choices.nested] if choices.nested != _NESTED_MODES[0] else []
    removals = ["--allow-removals"] if choices.allow_removals else []
    return [*nested, *removals, *(["--auto-ids"] if choices.auto_ids else [])]
