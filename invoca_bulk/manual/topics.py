"""Reads the topics of the manual."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

#: Comments of the source, such as the marks around a generated table.
_COMMENT = re.compile(r"^<!--.*?-->\n?", flags=re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, repr=False)
class Topic:
    """A topic of the manual: printed it is text, as the last line of a notebook's cell it is formatted.

    Attributes:
        name: what it is called by, such as `columns`.
        text: Markdown, without comments.
    """

    name: str
    text: str

    @property
    def summary(self) -> str:
        """The sentence below the title."""
        lines = [line.strip() for line in self.text.splitlines() if line.strip()]
        return next((line for line in lines if not line.startswith("#")), "")

    def __repr__(self) -> str:
        return self.text

    def _repr_markdown_(self) -> str:
        return self.text


def _folder() -> Traversable:
    return resources.files("invoca_bulk") / "manual"


def read_topics() -> dict[str, Topic]:
    """Each topic by its name, in the order of the names."""
    folder = _folder()
    files = [file for file in folder.iterdir() if file.name.endswith(".md")] if folder.is_dir() else []
    texts = {file.name.removesuffix(".md"): file.read_text(encoding="utf-8") for file in files}
    return {name: Topic(name, _COMMENT.sub("", texts[name])) for name in sorted(texts)}
