"""What several commands share: options built from the settings table, the token, JSON output and next commands."""

from __future__ import annotations

import codecs
import contextlib
import difflib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from invoca_bulk.config.environment import can_prompt
from invoca_bulk.config.journal_location import resolve_journal_location
from invoca_bulk.config.secrets import TOKEN_ENV_VARIABLE, Token
from invoca_bulk.config.settings import SETTINGS
from invoca_bulk.errors import ConfigError, RunAborted
from invoca_bulk.schema import RESOURCES

if TYPE_CHECKING:
    from invoca_bulk.reports.validation_report import Report

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


#: Settings whose default depends on the network; `Options` knows it.
_NETWORK_DEPENDENT_DEFAULTS = frozenset({"settle"})
#: Parameters of `reading_options`.
READING_PARAMETERS = ("sheet", "resource", "encoding")


def setting_option(name: str, value_type: Any = str, **click_arguments: Any) -> Decorator:  # noqa: ANN401  any type, and any argument, that click knows
    """The option of a setting, with its default, environment variable and help from the settings table."""
    setting = SETTINGS[name]
    is_dynamic = name in _NETWORK_DEPENDENT_DEFAULTS
    unit = f" [{setting.unit}]" if setting.unit else ""
    return click.option(
        setting.flag,
        name,
        type=value_type,
        default=None if is_dynamic else setting.default,
        envvar=setting.env_variable or None,
        show_envvar=bool(setting.env_variable),
        show_default=str(setting.default) if is_dynamic else setting.default is not None,
        help=setting.help + unit,
        **click_arguments,
    )


#: The journal as the command in progress was given it, for the commands that messages name; empty: it was not.
JOURNAL_FLAGS: list[str] = []


def _reject_password(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    is_flag = context.get_parameter_source("journal") is ParameterSource.COMMANDLINE
    if value and is_flag and getattr(resolve_journal_location(value), "has_password", False):
        raise ConfigError(
            "Other users of this machine can see a password in --journal. "
            "Set INVOCA_JOURNAL instead, or use PostgreSQL's password file."
        )
    if value and is_flag:
        JOURNAL_FLAGS[:] = ["--journal", value]
    return value


def compose(*decorators: Decorator) -> Decorator:
    """Several decorators as one; the first one's option comes first in the help."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


journal_option = setting_option("journal", callback=_reject_password)
again_option = click.option(
    "--again", is_flag=True, help="Start over instead of resuming, and buy again what earlier runs have bought."
)
apply_edits_option = click.option(
    "--apply-edits",
    is_flag=True,
    help="Send rows of a results file that were done before and edited since as updates. Without it they are left as "
    "they are, and at a terminal `run` asks.",
)
file_argument = click.argument("file", type=click.Path(path_type=Path))
encoding_option = click.option(
    "--encoding", help="Encoding of a CSV file, such as macroman. Default: UTF-8, UTF-16 or Windows-1252."
)
#: How to read FILE.
reading_options = compose(
    click.option("--sheet", help="Worksheet to read. Default: the one whose headers match."),
    click.option(
        "--resource", type=click.Choice(list(RESOURCES)), help="What FILE contains. Default: detected from the headers."
    ),
    encoding_option,
)


def _convert_version(text: str) -> str:
    from invoca_bulk.config.network import validate_version

    try:
        return validate_version(text)
    except ConfigError as error:
        raise click.BadParameter(str(error)) from None


api_version_option = setting_option("api_version", callback=lambda *arguments: _convert_version(arguments[2]))
no_sites_option = click.option(
    "--allow-no-sites", is_flag=True, help="Create advertisers without a site, and let rows remove the last one."
)
unlisted_option = click.option(
    "--allow-unlisted", is_flag=True, help="Send media types and promo types that are not in the published lists."
)
auto_ids_option = click.option(
    "--auto-ids", is_flag=True, help="Allow new advertisers without an id; the network assigns it."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
token_file_option = click.option(
    "--token-file", type=click.Path(path_type=Path), help="File to read the API token from; - reads standard input."
)


def output_option(help_text: str, *, required: bool = False) -> Decorator:
    """`-o`, `--output`: the file to write."""
    return click.option("-o", "--output", type=click.Path(path_type=Path), required=required, help=help_text)


plain_csv_option = click.option(
    "--plain-csv",
    is_flag=True,
    help="Write a .csv for programs: cells as they are, also those that a spreadsheet would run as a formula.",
)


def read_token(token_file: Path | None) -> Token | None:
    """The token from a file or standard input, never from an option's value, which other users can see.

    None: no file was named, and `Network` takes the token from the environment or prompts for it.
    """
    if str(token_file) == "-":
        return Token(_decode_token(sys.stdin.buffer.readline()) if sys.stdin else "")
    if token_file is not None:
        try:
            return Token(_decode_token(token_file.read_bytes()))
        except (OSError, UnicodeDecodeError):
            raise ConfigError(
                f"The token file {token_file} cannot be read. Check its name and its permissions."
            ) from None
    if not (os.environ.get(TOKEN_ENV_VARIABLE, "").strip() or can_prompt()):
        raise ConfigError(f"There is no token. Set {TOKEN_ENV_VARIABLE}, or name a file with --token-file.")
    return None


def _decode_token(content: bytes) -> str:
    """The text, also of files that PowerShell writes, which are UTF-16 or begin with a byte order mark."""
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return content.decode("utf-16" if is_utf16 else "utf-8-sig")


def print_json(content: dict[str, Any]) -> None:
    """Print one JSON object on standard output."""
    click.echo(format_json(content, getattr(sys.stdout, "encoding", None) or "ascii"))


def format_json(content: dict[str, Any], encoding: str) -> str:
    """JSON that loses nothing in an encoding; that of a file or pipe on Windows has few characters."""
    is_complete = codecs.lookup(encoding).name == "utf-8"
    return json.dumps(content, ensure_ascii=not is_complete, indent=2)


def print_issues(report: Report, limit: int = 20) -> None:
    """Print the errors, then the warnings, at most `limit` lines of each."""
    for level, title in (("error", "Errors"), ("warning", "Warnings")):
        if lines := report.issue_lines(limit, level):
            click.echo("\n".join([f"{title}:", *lines]))


def sibling_path(path: Path, suffix: str) -> Path:
    """A workbook in the same folder: `numbers.csv` and `-results` give `numbers-results.xlsx`."""
    return path.with_name(f"{path.stem}{suffix}.xlsx")


def format_command(
    arguments: Sequence[str | Path], program: Sequence[str] = ("invoca-bulk",), system: str = os.name
) -> str:
    """A command that can be copied into a shell.

    Args:
        arguments: the command and its arguments.
        program: the words that start the program.
        system: as in `os.name`.
    """
    words = [quote_word(str(word), system) for word in (*program, *arguments)]
    is_text = system == "nt" and words[0] != program[0]  # PowerShell takes a first word in quotes for a mere text
    return " ".join(["&", *words] if is_text else words)


#: A word that neither PowerShell nor cmd changes.
_PLAIN_WINDOWS_WORD = re.compile(r"[\w.:/\\+=-]+")


def quote_word(word: str, system: str = os.name) -> str:
    """A word as the shell of this system reads it: a POSIX shell; or PowerShell and, where its quotes allow, cmd."""
    if system != "nt":
        return shlex.quote(word)
    if _PLAIN_WINDOWS_WORD.fullmatch(word):
        return word
    if set(word) & set('$`"'):  # PowerShell replaces these within double quotes
        return "'" + word.replace("'", "''") + "'"
    return f'"{word}\\"' if word.endswith("\\") else f'"{word}"'  # a single backslash would escape the quote


def format_variables(variables: Mapping[str, str], system: str = os.name) -> str:
    """The command that sets environment variables for the commands after it."""
    if system == "nt":
        return "; ".join(f'$env:{name} = "{value}"' for name, value in variables.items())
    return shlex.join(["export", *(f"{name}={value}" for name, value in variables.items())])


def current_program() -> list[str]:
    """The words that start this program again: its name if the shell finds this very program by it, or its path."""
    path = _shorten(sys.argv[0])
    if Path(path).name == "__main__.py":
        return [sys.executable, "-m", "invoca_bulk"]
    shell_path = shutil.which("invoca-bulk")
    is_same = shell_path and Path(shell_path).with_suffix("").resolve() == Path(path).with_suffix("").resolve()
    return ["invoca-bulk"] if is_same else [path]


def _shorten(path: str) -> str:
    """A path below the current folder as a relative one: Windows starts programs by their whole path."""
    with contextlib.suppress(ValueError):
        shorter = Path(path).relative_to(Path.cwd())
        return str(shorter) if len(shorter.parts) > 1 else path  # shells do not look for programs in the current folder
    return path


def unknown_name_error(
    noun: str,
    name: str,
    known: Iterable[str],
    to_arguments: Callable[[str], Sequence[str]],
    list_arguments: Sequence[str],
) -> ConfigError:
    """An error about a misspelt name; its message proposes the command with the nearest name.

    Args:
        noun: what the name is of, such as `command`.
        name: the name that was typed.
        known: the names to choose from.
        to_arguments: a name to the command with that name.
        list_arguments: the command that lists the names.
    """
    nearest = difflib.get_close_matches(name, known, n=1)
    proposal = f" Did you mean: {format_command(to_arguments(nearest[0]))}" if nearest else ""
    return ConfigError(f"There is no {noun} {name!r}.{proposal}\nSee all of them: {format_command(list_arguments)}")


@contextlib.contextmanager
def show_retry_command(*arguments: str | Path, note: str = "") -> Iterator[None]:
    """Append the current command, after a note, to the message of a `RunAborted`, so that it can be run again."""
    try:
        yield
    except RunAborted as error:
        command = format_command([*arguments, *passed_flags()])
        # The upload page cuts messages here: `web.jobs.Job.failure_reason`.
        raise type(error)(f"{error}\n{note}Fix the problem, then run: {command}") from None


def passed_flags(*excluded: str, only: Sequence[str] | None = None) -> list[str]:
    """The options of the current command with their values, as far as they were typed."""
    context = click.get_current_context()
    flags = []
    for parameter in context.command.params:
        name = parameter.name or ""
        is_wanted = name not in excluded and (only is None or name in only)
        if is_wanted and was_passed(name) and isinstance(parameter, click.Option):
            flags += [parameter.opts[-1]] if parameter.is_flag else [parameter.opts[-1], str(context.params[name])]
    return flags


def was_passed(name: str) -> bool:
    """Whether a parameter of the current command was typed, rather than taken from a default or the environment."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE
