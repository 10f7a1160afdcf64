"""Words that several stages need: counts with their nouns, long lists cut short, and remedies that each door words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


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

#: Around a remedy in a text: characters of private use, which no cell and no platform has.
_START, _END = "\uf7e6", "\uf7e7"


@dataclass(frozen=True)
class Remedy:
    """What a person can do about a problem, as a value that stands in a text until a door words it.

    The core does not know whether a person types commands, calls functions or presses buttons. Formatted into a text, a
    remedy is a mark; `word` puts the words of a door in its place. Marks are what the journal stores.

    Attributes:
        action: what to do, such as `resume`; `option`: what is under way anyway, with other options.
        run: the run that it is about; empty: the row's own, or none.
        options: names of options, or `name=value`.
    """

    action: str
    run: str = ""
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return _START + " ".join([self.action, self.run or "-", *self.options]) + _END


def remedy(action: str, *options: str, run: str = "") -> Remedy:
    """A remedy that is an action of the product, such as `resume`."""
    return Remedy(action, run, options)


def option(*names: str) -> Remedy:
    """A remedy that is an option (`skip_invalid`) or its value (`sheet=…`) for what is under way anyway."""
    return Remedy("option", "", names)


_MARK = re.compile(f"{_START}([^ {_END}]+) ([^ {_END}]+)([^{_END}]*){_END}")


def _plain_words(remedy: Remedy) -> str:
    """For whoever reads a text outside of any door."""
    options = " and ".join(remedy.options)
    if remedy.action == "option":
        return options
    about = f" run {remedy.run}" if remedy.run else ""
    return f"{remedy.action}{about}" + (f" with {options}" if options else "")


#: How the door of this process words remedies; empty: no door has said so yet.
_wordings: list[Callable[[Remedy], str]] = []


def use_wording(wording: Callable[[Remedy], str], *, unless_set: bool = False) -> None:
    """Say how remedies are worded in this process; each door does so when it is entered.

    Args:
        wording: gives the words of a remedy.
        unless_set: leave it to another door that has said so already.
    """
    if not (unless_set and _wordings):
        _wordings[:] = [wording]


def has_remedy(text: str) -> bool:
    """Whether a text contains a remedy."""
    return _START in text


def word(text: str, run: str = "", wording: Callable[[Remedy], str] | None = None) -> str:
    """A text with its remedies in the words of the door.

    Args:
        text: a text that may hold marks.
        run: the run that a remedy without one is about.
        wording: the words of another door than the process's own.
    """
    if not has_remedy(text):
        return text
    to_words = wording or (_wordings[0] if _wordings else _plain_words)
    return _MARK.sub(lambda mark: to_words(_parse(mark, run)), text)


def _parse(mark: re.Match[str], run: str) -> Remedy:
    action, own_run, options = mark.groups()
    return Remedy(action, run if own_run == "-" else own_run, tuple(options.split()))
