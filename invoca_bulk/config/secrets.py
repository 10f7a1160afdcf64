"""The access token: where it comes from, and how it stays secret."""

from __future__ import annotations

import contextlib
import getpass
import os
import re

from invoca_bulk.config.environment import can_prompt
from invoca_bulk.errors import ConfigError

TOKEN_ENV_VARIABLE = "INVOCA_API_TOKEN"  # noqa: S105  the variable's name
#: RFC 6750 allows none of these in a token. JSON escapes the last two, so a token with them could not be redacted.
_FORBIDDEN_TOKEN_CHARACTERS = frozenset(' "\\')
_INVALID_TOKEN_MESSAGE = "The token is empty or contains characters that no token has, such as spaces. Copy it again."  # noqa: S105  a message
#: Shorter texts could be part of any number, so they are not redacted. Real tokens are much longer.
_MIN_REDACTED_CHARACTERS = 8


class Token:
    """The platform's access token, which never shows itself.

    `repr`, `str`, `format`, comparison errors and pickles never hold it; only `reveal` does.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        # A traceback may show every variable of its frames (IPython's %xmode Verbose): none may hold the text.
        self._text, text = text.strip(), ""
        is_plain = bool(self._text) and self._text.isascii() and self._text.isprintable()
        if not is_plain or {*self._text} & _FORBIDDEN_TOKEN_CHARACTERS:
            raise ConfigError(_INVALID_TOKEN_MESSAGE)

    def reveal(self) -> str:
        """The token itself, for the header."""
        return self._text

    def redact(self, content: bytes) -> bytes:
        """A response without the token, should the platform echo it, also escaped as in JSON or URLs."""
        if len(self._text) < _MIN_REDACTED_CHARACTERS:
            return content
        redacted = content.replace(self._text.encode(), b"***")
        is_escaped = _ESCAPE.search(redacted)  # rare; the pattern below is slow
        return re.sub("".join(map(_spellings, self._text)).encode(), b"***", redacted) if is_escaped else redacted

    def __repr__(self) -> str:
        return "Token(…)"

    def __reduce__(self) -> str:
        raise TypeError("A token is not pickled.")


_ESCAPE = re.compile(rb"\\u00|\\/|%[2-7]")


def _spellings(char: str) -> str:
    r"""A pattern for the ways to write a character: `/`, `\/`, `\u002f` and `%2f`."""
    code = f"{ord(char):02x}"
    return rf"(?:\\?{re.escape(char)}|(?i:\\u00{code}|%{code}))"


def wrap_token(token: Token | str) -> Token | ConfigError:
    """The token, or the error, for the caller to raise once no variable holds the text any more."""
    try:
        return token if isinstance(token, Token) else Token(token)
    except ConfigError as error:
        return error.with_traceback(None)


def obtain_token() -> Token:
    """The token from the environment, or else from a prompt that does not show what is typed."""
    if os.environ.get(TOKEN_ENV_VARIABLE, "").strip():
        return Token(os.environ[TOKEN_ENV_VARIABLE])
    if can_prompt():
        with contextlib.suppress(EOFError, NotImplementedError):  # a notebook run by a program has no input
            return Token(getpass.getpass("API token: "))
    raise ConfigError(
        f"The API token is missing. Set the environment variable {TOKEN_ENV_VARIABLE} before you start Python or "
        "Jupyter, or run this in a terminal or notebook where you can type it."
    )
