"""What the functions do with their arguments, and how a remedy is worded as a call."""

from __future__ import annotations

import difflib
import functools
import inspect
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from invoca_bulk.config.network import Network, SandboxLike, resolve_network
from invoca_bulk.config.options import Options
from invoca_bulk.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from invoca_bulk.wording import Remedy

_Parameters = ParamSpec("_Parameters")
_Return = TypeVar("_Return")


#: Action of a remedy to the positional arguments of its function; the other actions are commands only.
_CALL_ARGUMENTS = {
    "plan": "{}, network",
    "results": "{}",
    "resume": "network, {}",
    "run": "{}, network",
    "runs": "",
    "sandbox": "",
    "undo": "{}, network",
    "validate": "{}",
}


def python_words(remedy: Remedy) -> str:
    """A remedy as a call, or as its keyword arguments."""
    keywords = [name if "=" in name else f"{name}=True" for name in remedy.options if not name.startswith("output=")]
    if remedy.action == "option":
        return ", ".join(keywords)
    if remedy.action not in _CALL_ARGUMENTS:
        return f"invoca-bulk {remedy.action} {remedy.run}".rstrip() + " (in a terminal)"
    arguments = _CALL_ARGUMENTS[remedy.action].format(f'"{remedy.run}"' if remedy.run else "").strip(", ")
    return f"ib.{remedy.action}({', '.join(filter(None, [arguments, *keywords]))})"


def explain_unknown_arguments(function: Callable[_Parameters, _Return]) -> Callable[_Parameters, _Return]:
    """A misspelt keyword argument is a TypeError that names the nearest one; Python does so from 3.13 on."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Return:
        for name in kwargs:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f" Did you mean {near[0]!r}?" if near else ""
                msg = f"{function.__name__}() got an unexpected keyword argument {name!r}.{hint}"
                raise TypeError(msg)
        return function(*args, **kwargs)

    return checked


def checked_network(target: object) -> Network:
    """The network that a function was given, or a sentence that says what to pass."""
    if not isinstance(target, Network | SandboxLike):
        given = "None" if target is None else f"a {type(target).__name__}, not a network"
        raise ConfigError(f"The network is {given}. Pass ib.Network(network_id=…) or a sandbox.")
    if not target.base_url:
        raise ConfigError("The sandbox has not been started. Start it: with ib.sandbox() as network: …")
    return resolve_network(target)


def to_options(arguments: Mapping[str, Any], **more: Any) -> Options:  # noqa: ANN401  options of all types
    """The options among a function's arguments."""
    names = {field.name for field in fields(Options)}
    return Options(**{name: value for name, value in arguments.items() if name in names} | more)
