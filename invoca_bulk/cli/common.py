"""What several verbs share: flags made from the table of settings, the token, and JSON output."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from invoca_bulk.config.settings import SETTINGS, TOKEN_ENV_VARIABLE, Token, is_terminal, resolve_journal_location
from invoca_bulk.errors import ConfigError
from invoca_bulk.schema import API_VERSIONS, RESOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from invoca_bulk.reports.validation_report import Report

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


#: Settings whose default depends on the network; the options know it.
_NETWORK_DEPENDENT_DEFAULTS = frozenset({"settle"})


def setting_option(name: str, value_type: Any = str, **click_arguments: Any) -> Decorator:  # noqa: ANN401  any type, and any argument, that click knows
    """The flag of a setting, with its default, environment variable and help from the table."""
    one = SETTINGS[name]
    unit = f" [{one.unit}]" if one.unit else ""
    return click.option(
        one.flag,
        name,
        type=value_type,
        default=None if name in _NETWORK_DEPENDENT_DEFAULTS else one.default,
        envvar=one.env_variable or None,
        show_envvar=bool(one.env_variable),
        show_default=str(one.default) if one.default is not None else False,
        help=one.help + unit,
        **click_arguments,
    )


def journal_option() -> Decorator:
    """Where the journals are."""
    return setting_option("journal", callback=_reject_password)


def _reject_password(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    given = context.get_parameter_source("journal") is ParameterSource.COMMANDLINE
    if value and given and getattr(resolve_journal_location(value), "has_password", False):
        msg = "Others can see a password that is given as a flag. Set INVOCA_JOURNAL instead, or use ~/.pgpass."
        raise ConfigError(msg)
    return value


def file_argument() -> Decorator:
    """The sheet to read."""
    return click.argument("file", type=click.Path(path_type=Path))


def reading_options() -> Decorator:
    """How to read a sheet."""
    return compose(
        click.option("--sheet", help="The worksheet; without it, the one whose headers fit."),
        click.option("--resource", type=click.Choice(list(RESOURCES)), help="Without it, told from the headers."),
    )


def api_version_option() -> Decorator:
    """The API version, from its setting."""
    return setting_option("api_version", click.Choice(API_VERSIONS))


def auto_ids_option() -> Decorator:
    """Whether the network gives ids itself."""
    return click.option("--auto-ids", is_flag=True, help="The network gives ids to advertisers that come without one.")


def json_option() -> Decorator:
    """Whether to print JSON."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output, for programs.")


def compose(*decorators: Decorator) -> Decorator:
    """Several decorators as one; the first one's flag is the first in the help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def read_token(token_file: Path | None) -> Token:
    """The token: from a file, the environment, or a hidden prompt; never from a flag, which other users can see.

    Raises:
        ConfigError: there is none.
    """
    if str(token_file) == "-":
        return Token(sys.stdin.readline().removeprefix("\ufeff") if sys.stdin else "")
    if token_file is not None:
        try:
            return Token(token_file.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError):
            msg = f"The token file {token_file} cannot be read. Check its name and its permissions."
            raise ConfigError(msg) from None
    if text := os.environ.get(TOKEN_ENV_VARIABLE):
        return Token(text)
    if can_ask():
        return Token(click.prompt("Token of the platform's API", hide_input=True, err=True))
    msg = f"There is no token. Set {TOKEN_ENV_VARIABLE}, or name a file with --token-file."
    raise ConfigError(msg)


def can_ask() -> bool:
    """Whether somebody is at the keyboard."""
    return is_terminal(sys.stdin)


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(content, ensure_ascii=False, indent=2))


def issue_records(issues: pd.DataFrame) -> list[dict[str, Any]]:
    """The issues as JSON objects; `row` is null for the header and the sheet."""
    from invoca_bulk.reports.plan_report import json_records

    return json_records(issues)


def print_issues(report: Report, limit: int = 20) -> None:
    """Print errors, then warnings, the first of each."""
    for level, title in (("error", "Errors"), ("warning", "Warnings")):
        if lines := report.issue_lines(limit, level):
            click.echo("\n".join([f"{title}:", *lines]))


def sibling_path(path: Path, suffix: str) -> Path:
    """Another file beside one: `numbers.csv` and `-results` give `numbers-results.xlsx`."""
    return path.with_name(f"{path.stem}{suffix}.xlsx")


def format_command(arguments: Sequence[str | Path]) -> str:
    """A command that can be copied into a shell."""
    words = ["invoca-bulk", *map(str, arguments)]
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def passed_flags(*excluded: str, only: Sequence[str] | None = None) -> list[str]:
    """The flags of the command that is under way, as they were given on its line.

    Args:
        excluded: names of parameters that the next command has its own values for.
        only: names of the parameters that the next command has at all; None: all.
    """
    context = click.get_current_context()
    flags = []
    for one in context.command.params:
        name = one.name or ""
        if not was_passed(name) or name in excluded or not isinstance(one, click.Option):
            continue
        if only is not None and name not in only:
            continue
        value = context.params[one.name or ""]
        flags += [one.opts[-1]] if one.is_flag else [one.opts[-1], str(value)]
    return flags


def was_passed(name: str) -> bool:
    """Whether a parameter of the command that is under way stands on its line."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
