"""`invoca-bulk help`: show a topic of the manual, or list the topics."""

from __future__ import annotations

import os
from collections.abc import Mapping

import click

from invoca_bulk.cli import COMMANDS, common
from invoca_bulk.manual import Topic, read_topics

#: The option that shows a command's own help.
_HELP_FLAG = "--help"


@click.command()
@click.argument("topic", required=False)
def command(topic: str | None) -> None:
    """Show TOPIC of the manual, or list the topics. The name of a command shows its options.

    On a terminal, a topic is shown in the program that PAGER names, such as less.
    """
    topics = read_topics()
    if topic is None:
        _print_topics(topics)
        return
    texts = [topics[topic].text.rstrip()] if topic in topics else []
    if topic in COMMANDS:
        texts.append(_command_help(topic))
    if not texts:
        names = [*topics, *COMMANDS]
        raise common.unknown_name_error("topic", topic, names, lambda nearest: ["help", nearest], ["help"])
    os.environ.setdefault("LESS", "FRX")  # as git does: a text that fits on the screen needs no key to leave it
    click.echo_via_pager("\n\n".join(texts))


def _print_topics(topics: Mapping[str, Topic]) -> None:
    width = max(map(len, topics), default=0)
    click.echo("Topics:")
    for name, topic in topics.items():
        click.echo(f"  {name:<{width}}  {topic.summary}")
    click.echo(f"Show one: {common.format_command(['help', 'TOPIC'])}")
    click.echo(f"All commands: {common.format_command([_HELP_FLAG])}")


def _command_help(name: str) -> str:
    """What the command's `--help` shows."""
    parent = click.get_current_context().find_root()
    group = parent.command
    assert isinstance(group, click.Group)  # noqa: S101  the program's own
    target = group.get_command(parent, name)
    assert target is not None  # noqa: S101  it is in COMMANDS
    with click.Context(target, info_name=name, parent=parent) as context:
        return target.get_help(context)
