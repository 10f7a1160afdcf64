"""`invoca-bulk help`: show a topic of the manual, or list the topics."""

from __future__ import annotations

import os
import re
from importlib import resources
from importlib.resources.abc import Traversable

import click

from invoca_bulk.cli import COMMANDS, common

#: Comments of the manual's source, such as the marks around a generated table.
_COMMENT = re.compile(r"^<!--.*?-->\n?", flags=re.DOTALL | re.MULTILINE)
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
    texts = [topics[topic].rstrip()] if topic in topics else []
    if topic in COMMANDS:
        texts.append(_command_help(topic))
    if not texts:
        names = [*topics, *COMMANDS]
        raise common.unknown_name_error("topic", topic, names, lambda nearest: ["help", nearest], ["help"])
    os.environ.setdefault("LESS", "FRX")  # as git does: a text that fits on the screen needs no key to leave it
    click.echo_via_pager("\n\n".join(texts))


def _manual_folder() -> Traversable:
    return resources.files("invoca_bulk") / "manual"


def read_topics() -> dict[str, str]:
    """Name of each topic to its text as it is shown, in the order of the names."""
    folder = _manual_folder()
    files = [file for file in folder.iterdir() if file.name.endswith(".md")] if folder.is_dir() else []
    texts = {file.name.removesuffix(".md"): file.read_text(encoding="utf-8") for file in files}
    return {name: _COMMENT.sub("", texts[name]) for name in sorted(texts)}


def summarize(text: str) -> str:
    """The sentence below the title of a topic."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("#")), "")


def _print_topics(topics: dict[str, str]) -> None:
    width = max(map(len, topics), default=0)
    click.echo("Topics:")
    for name, text in topics.items():
        click.echo(f"  {name:<{width}}  {summarize(text)}")
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
