"""Cells, rows and sentences -> HTML. Every text is escaped on its way in; `Html` is what needs no more escaping."""

from __future__ import annotations

import html
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, NewType

from invoca_bulk.reports.html.style import STYLE_SHEET
from invoca_bulk.reports.xlsx import Cell, Style

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Html = NewType("Html", str)

#: So many rows of a table are shown; a browser gets slow with thousands, and the workbook has all of them.
MAX_ROWS_SHOWN = 200
#: So many characters of a cell are shown.
_MAX_CELL_CHARACTERS = 500
#: Stands where a cell is blank that something is said of.
BLANK = "(blank)"
#: What no page can hold: halves of surrogate pairs, control characters but for tabs and line ends, non-characters.
_INVALID_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

#: Style to its class; those that only make sense in a workbook look plain.
CSS_CLASSES: Mapping[Style, str] = {
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
_STYLE_MARKS: Mapping[Style, tuple[str, str]] = {
    Style.ERROR: ("✗", "Error"),
    Style.WARNING: ("▲", "Warning"),
    Style.OK: ("✓", "Done"),
}
_DEFAULT_MARK = ("•", "Note")


def escape_text(content: str) -> Html:
    """A text as it stands in HTML, between tags or in an attribute."""
    return Html(html.escape(_INVALID_CHARACTERS.sub("\ufffd", content)))


def element(tag: str, *parts: Html, **attributes: str) -> Html:
    """An element; an attribute that is empty is left out, and `class_` is `class`."""
    given = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape_text(value)}"' for name, value in attributes.items() if value
    )
    return Html(f"<{tag}{given}>{''.join(parts)}</{tag}>")


def render_backticks(sentence: str) -> Html:
    """A sentence of ours: what stands between backticks is something to type. Not for texts of a sheet."""
    return Html(re.sub(r"`([^`]*)`", r"<code>\1</code>", escape_text(sentence)))


def container(*parts: Html) -> Html:
    """A whole display, with its style; empty parts leave nothing behind."""
    return element("div", Html(f"<style>{STYLE_SHEET}</style>"), *parts, class_="invoca-bulk")


def heading(sentence: str, detail: str = "") -> Html:
    """What a display is about, in a sentence.

    Args:
        sentence: it.
        detail: what is said less loudly after it.
    """
    more = [Html(" "), element("span", escape_text(detail), class_="ib-muted")] if detail else []
    return element("p", element("strong", escape_text(sentence)), *more, class_="ib-heading")


def badges(count_by_label: Mapping[str, int], style_by_label: Mapping[str, Style]) -> Html:
    """Words with their numbers, in a row; nothing where there are none.

    Args:
        count_by_label: word to number.
        style_by_label: word to how it looks; plain where it is not in it.
    """
    items = (
        element(
            "li",
            element("b", Html(f"{count:,}")),
            escape_text(f" {word}"),
            class_=CSS_CLASSES[style_by_label.get(word, Style.PLAIN)],
        )
        for word, count in count_by_label.items()
    )
    return element("ul", *items, class_="ib-counts") if count_by_label else Html("")


def bullet_list(title: str, lines: Sequence[str], style: Style = Style.PLAIN, *, overflow_note: str = "") -> Html:
    """A list of sentences under a title; nothing where there are none, and at most `MAX_ROWS_SHOWN` of them.

    Args:
        title: what they are about; may be empty.
        lines: the sentences.
        style: how the title looks; one with a mark gets it.
        overflow_note: where the others are, as for `table`.
    """
    if not lines:
        return Html("")
    mark = f"{_STYLE_MARKS[style][0]} " if style in _STYLE_MARKS else ""
    shown = (element("li", escape_text(_truncate(line))) for line in lines[:MAX_ROWS_SHOWN])
    left = _render_overflow(min(len(lines), MAX_ROWS_SHOWN), len(lines), "lines", overflow_note)
    above = (
        [element("p", escape_text(f"{mark}{title}"), class_=f"ib-title {CSS_CLASSES[style]}".strip())] if title else []
    )
    return element("section", *above, element("ul", *shown, class_="ib-lines"), left)


def notices(notes: Sequence[str]) -> Html:
    """What has to be told besides; nothing where there is nothing."""
    return bullet_list("Look at this", notes, Style.WARNING)


def table(  # noqa: PLR0913  what it shows, and what is said about it
    header: Sequence[str | Cell],
    rows: Iterable[Sequence[str | Cell]],
    *,
    caption: str,
    total: int | None = None,
    notes_title: str = "What is wrong",
    overflow_note: str = "",
) -> Html:
    """A table of the cells that workbooks are made of; nothing where the rows say nothing.

    The first column that is not blank names the row. What pops up as a note in a workbook stands in a column of its own
    beside it. Columns that are blank in all rows that are shown are left out.

    Args:
        header: the titles.
        rows: as in `workbook.Page`; only the first `MAX_ROWS_SHOWN` are asked for when `total` is given.
        caption: what it shows.
        total: how many rows there are; None: those of `rows`.
        notes_title: the title of the column of the notes.
        overflow_note: where the rows are that are not shown, as the end of a sentence, as `render_backticks` takes it.
    """
    left = iter(rows)
    shown = [_pad_row(row, len(header)) for row in islice(left, MAX_ROWS_SHOWN)]
    if not any(map(_has_content, chain.from_iterable(shown))):
        return Html("")
    total = len(shown) + sum(1 for _ in left) if total is None else total
    kept = [at for at in range(len(header)) if any(_has_content(row[at]) for row in shown)]
    titles = [one.text if isinstance(one, Cell) else one for one in header]
    has_notes = any(one.note for row in shown for one in row if isinstance(one, Cell))
    first, *others = [element("th", escape_text(titles[at]), scope="col") for at in kept]
    beside = [element("th", escape_text(notes_title), scope="col")] if has_notes else []
    body = (_render_row(row, kept, titles, with_notes=has_notes) for row in shown)
    whole = element(
        "table",
        element("caption", escape_text(caption)),
        element("thead", element("tr", first, *beside, *others)),
        element("tbody", *body),
    )
    # A box that scrolls has to be reached by keyboard too.
    box = element("div", whole, class_="ib-box", tabindex="0", role="region", aria_label=caption)
    return element("section", box, _render_overflow(len(shown), total, "rows", overflow_note))


def _pad_row(row: Sequence[str | Cell], width: int) -> list[str | Cell]:
    """A row as wide as the header."""
    return [*islice(chain(row, [""] * width), width)]


def _has_content(cell: str | Cell) -> bool:
    return bool(cell.text or cell.note) if isinstance(cell, Cell) else bool(cell)


def _render_row(row: Sequence[str | Cell], columns: Sequence[int], titles: Sequence[str], *, with_notes: bool) -> Html:
    first, *others = columns
    beside = [element("td", *_render_notes(row, titles), class_="ib-notes")] if with_notes else []
    named = _render_cell(row[first], "th", "row")
    return element("tr", named, *beside, *(_render_cell(row[at], "td", "") for at in others))


def _render_cell(cell: str | Cell, tag: str, scope: str) -> Html:
    if isinstance(cell, str):
        return element(tag, escape_text(_truncate(cell)), scope=scope)
    mark = f"{_STYLE_MARKS.get(cell.style, _DEFAULT_MARK)[0]} " if cell.note else ""
    shown = cell.text or (BLANK if cell.note else "")
    return element(tag, escape_text(mark + _truncate(shown)), scope=scope, class_=CSS_CLASSES[cell.style])


def _render_notes(row: Sequence[str | Cell], titles: Sequence[str]) -> Iterable[Html]:
    """The notes of a row's cells, each with its level and the title of its column; the first cell's is the row's."""
    for at, cell in enumerate(row):
        if isinstance(cell, Cell) and cell.note:
            mark, word = _STYLE_MARKS.get(cell.style, _DEFAULT_MARK)
            level = element("b", escape_text(f"{mark} {word}"), class_=CSS_CLASSES[cell.style])
            where = [element("i", escape_text(titles[at])), Html(": ")] if at else []
            for line in cell.note.splitlines():
                yield element("div", level, Html(" "), *where, escape_text(_truncate(line)))


def _render_overflow(shown: int, total: int, unit: str, overflow_note: str) -> Html:
    """The line that says how many are not shown, and where they are."""
    if shown >= total:
        return Html("")
    where = f"; {overflow_note}" if overflow_note else ""
    return element("p", render_backticks(f"{shown:,} of {total:,} {unit} shown{where}."), class_="ib-muted")


def _truncate(content: str) -> str:
    return content if len(content) <= _MAX_CELL_CHARACTERS else f"{content[:_MAX_CELL_CHARACTERS]} …"
