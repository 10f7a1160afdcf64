"""What the verbs that talk to the platform share: its flags, and those that a plan depends on."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from invoca_bulk.cli import common
from invoca_bulk.errors import SettingInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.cli.common import Decorator
    from invoca_bulk.planning import Choices
    from invoca_bulk.settings import Network

#: Parameters that say where the platform is.
WHERE = ("sandbox", "token_file", "network_id", "base_url", "api_version")
#: Parameters that `pipeline` takes as options, of those that `calling_options` gives.
CALLING = ("concurrency", "timeout")
#: Parameters that decide what a plan does.
CHOICES = ("nested", "allow_removals", "auto_ids")
#: As `planning.NESTED`, which would load pandas.
_NESTED = ("merge", "replace")


def network_options(*, sandbox: bool = True) -> Decorator:
    """Where the platform is, and with which token; `opened` takes them. Without `sandbox`, a sandbox makes no sense."""
    rehearse = click.option("--sandbox", is_flag=True, help="Rehearse on a sandbox of this machine; nothing is bought.")
    return common.all_of(
        *([rehearse] if sandbox else []),
        click.option("--token-file", type=click.Path(path_type=Path), help="A file that holds the token."),
        common.setting("network_id"),
        common.setting("base_url"),
        common.api_version_option(),
    )


def calling_options() -> Decorator:
    """How to talk to it."""
    return common.all_of(common.setting("concurrency", int), common.setting("timeout", float))


def choice_options() -> Decorator:
    """What a plan depends on."""
    return common.all_of(
        click.option(
            "--nested",
            type=click.Choice(_NESTED),
            default=_NESTED[0],
            show_default=True,
            help="merge: an advertiser keeps the users and sites that FILE does not mention; "
            "replace: it has those of FILE, and no others.",
        ),
        click.option("--allow-removals", is_flag=True, help="Let --nested replace take users and sites away."),
        common.auto_ids_option(),
    )


@contextlib.contextmanager
def opened(flags: dict[str, Any], *, auto_ids: bool = False) -> Iterator[Network]:
    """The network that the flags name; with --sandbox, one that is gone afterwards.

    Args:
        flags: the command's parameters; those of `network_options` are taken out.
        auto_ids: whether the sandbox gives ids to advertisers that come without one.

    Raises:
        SettingInvalid: there is no network id, or no token.
    """
    from invoca_bulk.pipeline import network_of  # noqa: PLC0415  `--help` needs no pandas
    from invoca_bulk.settings import Network  # noqa: PLC0415

    sandbox, token_file, network_id, base_url, version = (flags.pop(name, None) for name in WHERE)
    if sandbox:
        from invoca_bulk.stand_in import Sandbox  # noqa: PLC0415  a server is needed here only

        with Sandbox(open_campaigns=True, auto_ids=auto_ids) as box:
            yield network_of(box, api_version=version)
    elif not network_id:
        rehearse = "" if sandbox is None else "; or rehearse with --sandbox"
        msg = f"There is no network id. Set INVOCA_NETWORK_ID, or use --network-id{rehearse}."
        raise SettingInvalid(msg)
    else:
        token = common.read_token(token_file)
        yield Network(network_id=network_id, token=token, base_url=base_url, api_version=version)


def choice_flags(choices: Choices) -> list[str]:
    """The flags that give these choices; none for the usual ones."""
    nested = ["--nested", choices.nested] if choices.nested != _NESTED[0] else []
    removals = ["--allow-removals"] if choices.allow_removals else []
    return [*nested, *removals, *(["--auto-ids"] if choices.auto_ids else [])]
