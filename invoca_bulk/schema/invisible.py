"""Characters that nobody sees: which there are, where they belong, and how a message shows them."""

from __future__ import annotations

import re
import unicodedata

#: Zero-width and joining characters, direction marks, fillers and blanks, variation selectors, tags.
_INVISIBLE_CLASS = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
#: Spaces that look like a space and are another character.
_ODD_SPACE_CLASS = "\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_INVISIBLE = re.compile(f"[{_INVISIBLE_CLASS}]")
_INVISIBLE_OR_ODD_SPACE = re.compile(f"[{_INVISIBLE_CLASS}{_ODD_SPACE_CLASS}]")
#: What `repr` shows as it is, so that a message would show nothing.
_UNSEEN_IN_REPR = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\uffa0]")
_START = re.compile(rf"[\s{_INVISIBLE_CLASS}]+")

_SYMBOL = (
    "[\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u27ff\u2900-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff]"
)
_SELECTED_SYMBOL = f"(?:{_SYMBOL}[\ufe0e\ufe0f]?[\U0001f3fb-\U0001f3ff]?)"
#: A symbol with a variation selector, symbols joined to one picture, a flag of tags, a digit on a key.
_EMOJI = re.compile(
    f"{_SELECTED_SYMBOL}(?:\u200d{_SELECTED_SYMBOL})*(?:[\U000e0020-\U000e007e]+\U000e007f)?|[0-9#*]\ufe0f\u20e3"
)


def is_blank(text: str) -> bool:
    """Whether a text is empty, or has only spaces and invisible characters."""
    return not text or text.isspace() or (not text.isascii() and _START.fullmatch(text) is not None)


def strip_invisible(text: str) -> str:
    """Without spaces and invisible characters at its ends; those of an emoji stay."""
    if text.isascii():
        return text.strip()
    if start := _START.match(text):
        text = text[start.end() :]
    end = len(text)
    while end and (text[end - 1].isspace() or _INVISIBLE.match(text[end - 1])):
        end -= 1
    emoji = _EMOJI.match(text, end - 1) if end else None
    return text[: emoji.end() if emoji else end]


def remove_invisible(text: str) -> str:
    """Without invisible characters, wherever they are."""
    return _INVISIBLE.sub("", text)


def name_invisible(text: str) -> str:
    """The names of the invisible characters and odd spaces in a text, but for those of emoji; empty: there is none."""
    if text.isascii():
        return ""
    characters = dict.fromkeys(_INVISIBLE_OR_ODD_SPACE.findall(_EMOJI.sub("", text)))
    return ", ".join(f"U+{ord(char):04X} {unicodedata.name(char, '')}".rstrip() for char in characters)


def show_invisible(text: str) -> str:
    """The text, with the code of each character that a message would show as nothing."""
    return text if text.isascii() else _UNSEEN_IN_REPR.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)
