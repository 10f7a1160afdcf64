"""What the functions do with their arguments, and how a remedy is worded as a call."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import fields
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from invoca_bulk.config.network import Network, SandboxLike, resolve_network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError, InvocaBulkError
from invoca_bulk.wording import Remedy, word, wording_in_thread

_Parameters = ParamSpec("_Parameters")
_Return = TypeVar("_Return")


#: Action of a remedy to the positional arguments of its function; the other actions are commands only.
_CALL_ARGUMENTS = {
    "plan": "{}, network",
    "results": "{}",
    "resume": "network, {}",
    "run": "{}, network",
    "runs": "",
    "validate": "{}",
}
#: The functions that read a journal.
_JOURNAL_ACTIONS = frozenset({"results", "resume", "run", "runs"})


def python_words(remedy: Remedy, journal: object = None) -> str:
    """A remedy as a call, or as its keyword arguments.

    Args:
        remedy: the remedy.
        journal: the `journal` argument of the call that the remedy belongs to; a database URL is not repeated.
    """
    if remedy.action == "setting":
        return ", ".join(remedy.options)
    keywords = [_to_keyword(name) for name in remedy.options]
    if remedy.action == "option":
        return ", ".join(keywords)
    if remedy.action not in _CALL_ARGUMENTS:
        return f"invoca-bulk {remedy.action} {remedy.subject}".rstrip() + " (in a terminal)"
    subject = f'"{remedy.subject}"' if remedy.subject else ""
    arguments = _CALL_ARGUMENTS[remedy.action].format(subject).strip(", ")
    if remedy.action in _JOURNAL_ACTIONS and isinstance(journal, str | Path) and "://" not in str(journal):
        keywords.append(f"journal={str(journal)!r}")
    return f"ib.{remedy.action}({', '.join(filter(None, [arguments, *keywords]))})"


def _to_keyword(option: str) -> str:
    """`skip_invalid` -> `skip_invalid=True`; `nested=merge` -> `nested="merge"`; `sheet=…` stays."""
    name, has_value, value = option.partition("=")
    if not has_value:
        return f"{name}=True"
    return option if value == "…" else f'{name}="{value}"'


#: The names of the keyword arguments that the function in progress was called with.
_passed_names: ContextVar[frozenset[str]] = ContextVar("passed_names", default=frozenset())


def passed_names() -> frozenset[str]:
    """The names of the keyword arguments that the function in progress was called with."""
    return _passed_names.get()


def public_function(function: Callable[_Parameters, _Return]) -> Callable[_Parameters, _Return]:
    """What all functions of the library have in common.

    A misspelt keyword argument is a TypeError that names the nearest one (Python does so from 3.13 on), and errors word
    their remedies as calls, whichever other door this process has.
    """
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Return:
        for name in kwargs:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                msg = f"{function.__name__}() got an unexpected keyword argument {name!r}.{hint}"
                raise TypeError(msg)
        _passed_names.set(frozenset(kwargs))
        words = functools.partial(python_words, journal=kwargs.get("journal"))
        with wording_in_thread(words):
            try:
                return function(*args, **kwargs)
            except InvocaBulkError as error:
                error.args = (word(error.text), *error.args[1:])
                raise

    return checked


def checked_network(target: object) -> Network:
    """The network that a function was given, or a sentence that says what to pass."""
    if not isinstance(target, Network | SandboxLike):
        given = "None" if target is None else f"a {type(target).__name__}, not a network"
        raise ConfigError(f"The network is {given}. Pass ib.Network(network_id=…) or a sandbox.")
    if not target.base_url:
        raise ConfigError("The sandbox is not running. Start it: with ib.sandbox() as network: …")
    return resolve_network(target)


def to_options(arguments: Mapping[str, Any], **more: Any) -> Options:  # noqa: ANN401  options of all types
    """The options among a function's arguments."""
    names = {field.name for field in fields(Options)}
    return Options(**{name: value for name, value in arguments.items() if name in names} | more)
