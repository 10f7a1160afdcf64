"""Render cells, rows and sentences as HTML. Every text is escaped on the way in; `Html` is already escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import NewType

from invoca_bulk.reports.html.style import STYLE_SHEET
from invoca_bulk.reports.xlsx import BLANK, Cell, Style, cell_text

Html = NewType("Html", str)

#: Rows shown in a table; thousands make a browser slow, and the workbook has all of them.
MAX_ROWS_SHOWN = 200
#: Characters shown of a cell.
_MAX_CELL_CHARACTERS = 500
#: Not allowed in HTML: lone surrogates, control characters except tabs and line ends, non-characters.
_INVALID_CHARACTERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")

#: Style to CSS class; styles that only make sense in a workbook look plain.
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
#: Style to a symbol and a word, since colour must never be the only indication.
_STYLE_MARKS: Mapping[Style, tuple[str, str]] = {
    Style.ERROR: ("✗", "Error"),
    Style.WARNING: ("▲", "Warning"),
    Style.OK: ("✓", "Done"),
}
_DEFAULT_MARK = ("•", "Note")


def escape_text(content: str) -> Html:
    """A text escaped for HTML, between tags or in an attribute."""
    return Html(html.escape(_INVALID_CHARACTERS.sub("\ufffd", content)))


def element(tag: str, *parts: Html, **attributes: str) -> Html:
    """An element; empty attributes are omitted, and `class_` becomes `class`."""
    attribute_text = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape_text(value)}"' for name, value in attributes.items() if value
    )
    return Html(f"<{tag}{attribute_text}>{''.join(parts)}</{tag}>")


def render_backticks(sentence: str) -> Html:
    """A sentence whose parts in backticks are code. Only for texts of this program, never for those of a sheet."""
    return Html(re.sub(r"`([^`]*)`", r"<code>\1</code>", escape_text(sentence)))


def container(*parts: Html) -> Html:
    """A complete display with its style sheet; empty parts are allowed."""
    return element("div", Html(f"<style>{STYLE_SHEET}</style>"), *parts, class_="invoca-bulk")


def heading(sentence: str, detail: str = "") -> Html:
    """The heading of a display: a sentence in bold, and a detail in a muted colour."""
    details = [Html(" "), element("span", escape_text(detail), class_="ib-muted")] if detail else []
    return element("p", element("strong", escape_text(sentence)), *details, class_="ib-heading")


def badges(count_by_label: Mapping[str, int], style_by_label: Mapping[str, Style]) -> Html:
    """Counts with their labels, in a row; empty without any. The default style is plain."""
    items = (
        element(
            "li",
            element("b", Html(f"{count:,}")),
            escape_text(f" {label}"),
            class_=CSS_CLASSES[style_by_label.get(label, Style.PLAIN)],
        )
        for label, count in count_by_label.items()
    )
    return element("ul", *items, class_="ib-counts") if count_by_label else Html("")


def bullet_list(title: str, lines: Sequence[str], style: Style = Style.PLAIN, *, overflow_note: str = "") -> Html:
    """A list of at most `MAX_ROWS_SHOWN` sentences under a title with the symbol of its style; empty without any."""
    if not lines:
        return Html("")
    mark = f"{_STYLE_MARKS[style][0]} " if style in _STYLE_MARKS else ""
    items = (element("li", escape_text(_truncate(line))) for line in lines[:MAX_ROWS_SHOWN])
    overflow = _render_overflow(min(len(lines), MAX_ROWS_SHOWN), len(lines), "lines", overflow_note)
    css_class = f"ib-title {CSS_CLASSES[style]}".strip()
    title_parts = [element("p", escape_text(f"{mark}{title}"), class_=css_class)] if title else []
    return element("section", *title_parts, element("ul", *items, class_="ib-lines"), overflow)


def notices(notes: Sequence[str]) -> Html:
    """A list of sentences that need attention; empty without any."""
    return bullet_list("Needs attention", notes, Style.WARNING)


def table(
    header: Sequence[str | Cell],
    rows: Iterable[Sequence[str | Cell]],
    *,
    caption: str,
    total: int | None = None,
    overflow_note: str = "",
) -> Html:
    """A table of workbook cells; empty if no cell has a text or a note.

    The first column that is not blank is the header of each row. The notes of the cells are shown in a column after it.
    Columns that are blank in all displayed rows are omitted. If `total` is given, only the first `MAX_ROWS_SHOWN` rows
    are consumed. `overflow_note` says where to find the others: the end of a sentence, as in `render_backticks`.
    """
    remaining = iter(rows)
    blank = [""] * len(header)
    shown = [[*islice(chain(row, blank), len(header))] for row in islice(remaining, MAX_ROWS_SHOWN)]
    if not any(map(_has_content, chain.from_iterable(shown))):
        return Html("")
    total = len(shown) + sum(1 for _ in remaining) if total is None else total
    columns = [column for column in range(len(header)) if any(_has_content(row[column]) for row in shown)]
    titles = list(map(cell_text, header))
    has_notes = any(cell.note for row in shown for cell in row if isinstance(cell, Cell))
    first, *others = [element("th", escape_text(titles[column]), scope="col") for column in columns]
    notes_header = [element("th", escape_text("What is wrong"), scope="col")] if has_notes else []
    body = (_render_row(row, columns, titles, with_notes=has_notes) for row in shown)
    content = element(
        "table",
        element("caption", escape_text(caption)),
        element("thead", element("tr", first, *notes_header, *others)),
        element("tbody", *body),
    )
    # A scrolling box must be reachable by keyboard.
    box = element("div", content, class_="ib-box", tabindex="0", role="region", aria_label=caption)
    return element("section", box, _render_overflow(len(shown), total, "rows", overflow_note))


def _has_content(cell: str | Cell) -> bool:
    return bool(cell.text or cell.note) if isinstance(cell, Cell) else bool(cell)


def _render_row(row: Sequence[str | Cell], columns: Sequence[int], titles: Sequence[str], *, with_notes: bool) -> Html:
    first, *others = columns
    row_header = _render_cell(row[first], "th", "row")
    notes = [element("td", *_render_notes(row, titles), class_="ib-notes")] if with_notes else []
    return element("tr", row_header, *notes, *(_render_cell(row[column], "td", "") for column in others))


def _render_cell(cell: str | Cell, tag: str, scope: str) -> Html:
    if isinstance(cell, str):
        return element(tag, escape_text(_truncate(cell)), scope=scope)
    mark = f"{_STYLE_MARKS.get(cell.style, _DEFAULT_MARK)[0]} " if cell.note else ""
    text = cell.text or (BLANK if cell.note else "")
    return element(tag, escape_text(mark + _truncate(text)), scope=scope, class_=CSS_CLASSES[cell.style])


def _render_notes(row: Sequence[str | Cell], titles: Sequence[str]) -> Iterable[Html]:
    """The notes of a row's cells, each with its level and column title; a note of the first cell is about the row."""
    for column, cell in enumerate(row):
        if isinstance(cell, Cell) and cell.note:
            mark, word = _STYLE_MARKS.get(cell.style, _DEFAULT_MARK)
            level = element("b", escape_text(f"{mark} {word}"), class_=CSS_CLASSES[cell.style])
            title = [element("i", escape_text(titles[column])), Html(": ")] if column else []
            for line in cell.note.splitlines():
                yield element("div", level, Html(" "), *title, escape_text(_truncate(line)))


def _render_overflow(shown: int, total: int, unit: str, overflow_note: str) -> Html:
    """A line that says how many are shown, and where to find the others; empty if all are shown."""
    if shown >= total:
        return Html("")
    note = f"; {overflow_note}" if overflow_note else ""
    return element("p", render_backticks(f"{shown:,} of {total:,} {unit} shown{note}."), class_="ib-muted")


def _truncate(content: str) -> str:
    return content if len(content) <= _MAX_CELL_CHARACTERS else f"{content[:_MAX_CELL_CHARACTERS]} …"
