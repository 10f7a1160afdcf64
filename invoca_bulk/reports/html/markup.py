"""Cells, rows and sentences -> HTML. Every text is escaped on its way in; `Html` is what needs no more escaping."""

from __future__ import annotations

import html
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, NewType

from invoca_bulk.reports.html.style import STYLE
from invoca_bulk.reports.xlsx import Cell, Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Html = NewType("Html", str)

#: So many rows of a table are shown; a browser gets slow with thousands, and the workbook has all of them.
MAX_SHOWN = 200
#: So many characters of a cell are shown.
_MAX_TEXT = 500
#: Stands where a cell is blank that something is said of.
BLANK = "(blank)"
#: What no page can hold: halves of surrogate pairs, control characters but for tabs and line ends, non-characters.
_UNSOUND = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

#: Style to its class; those that only make sense in a workbook look plain.
CLASSES: Mapping[Style, str] = {
    Style.PLAIN: "",
    Style.BOLD: "ib-bold",
    Style.MUTED: "ib-muted",
    Style.WRAP: "ib-wrap",
    Style.TITLE: "ib-bold",
    Style.HEADER: "",
    Style.REQUIRED: "",
    Style.OK: "ib-ok",
    Style.WARNING: "ib-warning",
    Style.ERROR: "ib-error",
}
#: Style to a mark and a word, since a colour must never be the only sign.
_MARKS: Mapping[Style, tuple[str, str]] = {
    Style.ERROR: ("✗", "Error"),
    Style.WARNING: ("▲", "Warning"),
    Style.OK: ("✓", "Done"),
}
_NO_MARK = ("•", "Note")


def text(content: str) -> Html:
    """A text as it stands in HTML, between tags or in an attribute."""
    return Html(html.escape(_UNSOUND.sub("\ufffd", content)))


def element(tag: str, *parts: Html, **attributes: str) -> Html:
    """An element; an attribute that is empty is left out, and `class_` is `class`."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"' for name, value in attributes.items() if value
    )
    return Html(f"<{tag}{given}>{''.join(parts)}</{tag}>")


def prose(sentence: str) -> Html:
    """A sentence of ours: what stands between backticks is something to type. Not for texts of a sheet."""
    return Html(re.sub(r"`([^`]*)`", r"<code>\1</code>", text(sentence)))


def block(*parts: Html) -> Html:
    """A whole display, with its style; empty parts leave nothing behind."""
    return element("div", Html(f"<style>{STYLE}</style>"), *parts, class_="invoca-bulk")


def heading(sentence: str, beside: str = "") -> Html:
    """What a display is about, in a sentence.

    Args:
        sentence: it.
        beside: what is said less loudly after it.
    """
    more = [Html(" "), element("span", text(beside), class_="ib-muted")] if beside else []
    return element("p", element("strong", text(sentence)), *more, class_="ib-heading")


def counts(found: Mapping[str, int], styles: Mapping[str, Style]) -> Html:
    """Words with their numbers, in a row; nothing where there are none.

    Args:
        found: word to number.
        styles: word to how it looks; plain where it is not in it.
    """
    items = (
        element(
            "li",
            element("b", Html(f"{count:,}")),
            text(f" {word}"),
            class_=CLASSES[styles.get(word, Style.PLAIN)],
        )
        for word, count in found.items()
    )
    return element("ul", *items, class_="ib-counts") if found else Html("")


def sentences(title: str, lines: Sequence[str], style: Style = Style.PLAIN, *, rest: str = "") -> Html:
    """A list of sentences under a title; nothing where there are none, and at most `MAX_SHOWN` of them.

    Args:
        title: what they are about; may be empty.
        lines: the sentences.
        style: how the title looks; one with a mark gets it.
        rest: where the others are, as for `table`.
    """
    if not lines:
        return Html("")
    mark = f"{_MARKS[style][0]} " if style in _MARKS else ""
    shown = (element("li", text(_cut(line))) for line in lines[:MAX_SHOWN])
    left = _left_out(min(len(lines), MAX_SHOWN), len(lines), "lines", rest)
    above = [element("p", text(f"{mark}{title}"), class_=f"ib-title {CLASSES[style]}".strip())] if title else []
    return element("section", *above, element("ul", *shown, class_="ib-lines"), left)


def attention(notes: Sequence[str]) -> Html:
    """What has to be told besides; nothing where there is nothing."""
    return sentences("Look at this", notes, Style.WARNING)


def table(  # noqa: PLR0913  what it shows, and what is said about it
    header: Sequence[str | Cell],
    rows: Iterable[Sequence[str | Cell]],
    *,
    caption: str,
    total: int | None = None,
    notes: str = "What is wrong",
    rest: str = "",
) -> Html:
    """A table of the cells that workbooks are made of; nothing where the rows say nothing.

    The first column that is not blank names the row. What pops up as a note in a workbook stands in a column of its own
    beside it. Columns that are blank in all rows that are shown are left out.

    Args:
        header: the titles.
        rows: as in `workbook.Page`; only the first `MAX_SHOWN` are asked for when `total` is given.
        caption: what it shows.
        total: how many rows there are; None: those of `rows`.
        notes: the title of the column of the notes.
        rest: where the rows are that are not shown, as the end of a sentence, as `prose` takes it.
    """
    left = iter(rows)
    shown = [_filled(row, len(header)) for row in islice(left, MAX_SHOWN)]
    if not any(map(_says, chain.from_iterable(shown))):
        return Html("")
    total = len(shown) + sum(1 for _ in left) if total is None else total
    kept = [at for at in range(len(header)) if any(_says(row[at]) for row in shown)]
    titles = [one.text if isinstance(one, Cell) else one for one in header]
    has_notes = any(one.note for row in shown for one in row if isinstance(one, Cell))
    first, *others = [element("th", text(titles[at]), scope="col") for at in kept]
    beside = [element("th", text(notes), scope="col")] if has_notes else []
    body = (_row(row, kept, titles, with_notes=has_notes) for row in shown)
    whole = element(
        "table",
        element("caption", text(caption)),
        element("thead", element("tr", first, *beside, *others)),
        element("tbody", *body),
    )
    # A box that scrolls has to be reached by keyboard too.
    box = element("div", whole, class_="ib-box", tabindex="0", role="region", aria_label=caption)
    return element("section", box, _left_out(len(shown), total, "rows", rest))


def _filled(row: Sequence[str | Cell], width: int) -> list[str | Cell]:
    """A row as wide as the header."""
    return [*islice(chain(row, [""] * width), width)]


def _says(cell: str | Cell) -> bool:
    return bool(cell.text or cell.note) if isinstance(cell, Cell) else bool(cell)


def _row(row: Sequence[str | Cell], kept: Sequence[int], titles: Sequence[str], *, with_notes: bool) -> Html:
    first, *others = kept
    beside = [element("td", *_notes(row, titles), class_="ib-notes")] if with_notes else []
    named = _cell(row[first], "th", "row")
    return element("tr", named, *beside, *(_cell(row[at], "td", "") for at in others))


def _cell(cell: str | Cell, tag: str, scope: str) -> Html:
    if isinstance(cell, str):
        return element(tag, text(_cut(cell)), scope=scope)
    mark = f"{_MARKS.get(cell.style, _NO_MARK)[0]} " if cell.note else ""
    shown = cell.text or (BLANK if cell.note else "")
    return element(tag, text(mark + _cut(shown)), scope=scope, class_=CLASSES[cell.style])


def _notes(row: Sequence[str | Cell], titles: Sequence[str]) -> Iterable[Html]:
    """The notes of a row's cells, each with its level and the title of its column; the first cell's is the row's."""
    for at, cell in enumerate(row):
        if isinstance(cell, Cell) and cell.note:
            mark, word = _MARKS.get(cell.style, _NO_MARK)
            level = element("b", text(f"{mark} {word}"), class_=CLASSES[cell.style])
            where = [element("i", text(titles[at])), Html(": ")] if at else []
            for line in cell.note.splitlines():
                yield element("div", level, Html(" "), *where, text(_cut(line)))


def _left_out(shown: int, total: int, what: str, rest: str) -> Html:
    """The line that says how many are not shown, and where they are."""
    if shown >= total:
        return Html("")
    where = f"; {rest}" if rest else ""
    return element("p", prose(f"{shown:,} of {total:,} {what} shown{where}."), class_="ib-muted")


def _cut(content: str) -> str:
    return content if len(content) <= _MAX_TEXT else f"{content[:_MAX_TEXT]} …"
