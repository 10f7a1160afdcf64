"""Remedies as commands and flags: how the command line tells a person what to do."""

from __future__ import annotations

from invoca_bulk.cli import common
from invoca_bulk.wording import Remedy

#: Options whose flag is not their name.
_FLAGS = {"output": "-o", "doubt_refusals": "--doubt-429"}
#: The commands that read a journal.
_JOURNAL_ACTIONS = frozenset({"results", "resume", "run", "runs", "stop"})


def command_words(remedy: Remedy) -> str:
    """A remedy as a command to type, or as flags to add to the command that was typed."""
    flags = [_to_flag(option) for option in remedy.options]
    if remedy.action in {"option", "setting"}:
        return " ".join(flags)
    journal = common.JOURNAL_FLAGS if remedy.action in _JOURNAL_ACTIONS else []
    return " ".join([common.format_command([remedy.action, *filter(None, [remedy.subject]), *journal]), *flags])


def _to_flag(option: str) -> str:
    """`skip_invalid` -> `--skip-invalid`; `nested=merge` -> `--nested merge`; `sheet=…` -> `--sheet`."""
    name, _, value = option.partition("=")
    flag = _FLAGS.get(name) or f"--{name.replace('_', '-')}"
    return flag if value in {"", "…"} else f"{flag} {common.quote_word(value)}"
