"""Words that several stages need: counts with their nouns, long lists cut short, and remedies that each door words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


def count_of(count: int, noun: str, plural: str = "") -> str:
    """A number with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {plural_of(count, noun, plural)}"


def plural_of(count: int, noun: str, plural: str = "") -> str:
    """A noun, or its plural where there is not exactly one."""
    return noun if count == 1 else plural or f"{noun}s"


def limit_lines(lines: Sequence[str], limit: int, more: str = "  … and {:,} more") -> list[str]:
    """The first lines, and a last one that says how many there are besides."""
    rest = len(lines) - limit
    return [*lines[:limit], more.format(rest)] if rest > 0 else list(lines)


def join_limited(texts: Sequence[str], limit: int) -> str:
    """The first texts with commas, and how many there are besides: `a, b and 3 more`."""
    rest = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {rest:,} more" if rest > 0 else "")


# Remedies

#: Around and between the parts of a remedy in a text: characters of private use, which people do not type.
_START, _END, _SEPARATOR = "\uf7e6", "\uf7e7", "\uf7e8"
#: The actions of remedies; any other text between the marks is left as it is.
_ACTIONS = frozenset(
    {"option", "plan", "results", "resume", "run", "runs", "sandbox", "setting", "stop", "validate", "worker"}
)
#: Stands for a run that a text does not know; without it, a person would resume the latest run.
UNKNOWN_RUN = "RUN"
_RUN_ACTIONS = frozenset({"results", "resume", "stop"})


@dataclass(frozen=True)
class Remedy:
    """What a person can do about a problem, as a value that is part of a text until a door words it.

    The core does not know whether a person types commands, calls functions or presses buttons. Formatted into a text, a
    remedy is a mark, and `word` replaces the mark with the words of a door. The journal stores texts with marks.

    Attributes:
        action: what to do, such as `resume`; `option`: the same again with other options; `setting`: none, a text only
            names the options.
        subject: the run, or the file, that it is about; empty: none is known.
        options: names of options, or `name=value`; `name=…` if the person chooses the value.
    """

    action: str
    subject: str = ""
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _START + _SEPARATOR.join([self.action, self.subject, *self.options]) + _END


def remedy(action: str, *options: str, subject: str = "") -> Remedy:
    """A remedy that is an action of the product, such as `resume`."""
    return Remedy(action, subject, options)


def option(*names: str) -> Remedy:
    """A remedy that is an option (`skip_invalid`, `nested=merge`, `sheet=…`) of what the person is doing."""
    return Remedy("option", "", names)


def setting(name: str) -> Remedy:
    """The name of an option in a sentence about its value."""
    return Remedy("setting", "", (name,))


_MARK = re.compile(f"{_START}([^{_END}]*){_END}")


def _plain_words(remedy: Remedy) -> str:
    """For texts that are read outside of any door."""
    options = " and ".join(remedy.options)
    if remedy.action in {"option", "setting"}:
        return options
    return " ".join(filter(None, [remedy.action, remedy.subject, options and f"with {options}"]))


#: How the door of this process words remedies; empty: no door has said so yet.
_process_wordings: list[Callable[[Remedy], str]] = []
#: How a thread of another door in this process words them, such as the page's in a notebook; None: as the process does.
_thread_wording: ContextVar[Callable[[Remedy], str] | None] = ContextVar("wording", default=None)


def use_wording(wording: Callable[[Remedy], str], *, unless_set: bool = False) -> None:
    """Set how this process words remedies; each door does so when it is entered.

    Args:
        wording: returns the words of a remedy.
        unless_set: keep the wording of a door that was entered before.
    """
    if not (unless_set and _process_wordings):
        _process_wordings[:] = [wording]


@contextmanager
def wording_in_thread(wording: Callable[[Remedy], str]) -> Iterator[None]:
    """Set how this thread words remedies meanwhile, whatever the process does."""
    token = _thread_wording.set(wording)
    try:
        yield
    finally:
        _thread_wording.reset(token)


def has_remedy(text: str) -> bool:
    """Whether a text contains a remedy."""
    return _START in text


def word(text: str, run: str = "", wording: Callable[[Remedy], str] | None = None) -> str:
    """A text with its remedies in the words of the door.

    Args:
        text: a text that may contain remedies.
        run: the run that a remedy without a subject is about.
        wording: the words of another door than the thread's and the process's.
    """
    if not has_remedy(text):
        return text
    to_words = wording or _thread_wording.get() or (_process_wordings[0] if _process_wordings else _plain_words)

    def replace(mark: re.Match[str]) -> str:
        action, *rest = mark[1].split(_SEPARATOR)
        if action not in _ACTIONS or not rest:
            return mark[0]
        subject = rest[0] or run or (UNKNOWN_RUN if action in _RUN_ACTIONS else "")
        return to_words(Remedy(action, subject, tuple(rest[1:])))

    return _MARK.sub(replace, text)
