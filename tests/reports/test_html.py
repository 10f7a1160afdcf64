"""HTML displays are safe with any text, readable in light and dark themes, and limited in size."""

from __future__ import annotations

import html
import pickle
import re
from itertools import count
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from invoca_bulk.reports import html as displays
from invoca_bulk.reports.html import MAX_ROWS_SHOWN, STYLE_SHEET, ChartBar, FrameDict
from invoca_bulk.reports.html.markup import CSS_CLASSES, escape_text
from invoca_bulk.reports.xlsx import Cell, Style
from tests.html_page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = Cell(text="Online Display", style=Style.ERROR, note="Not a media type. Fix: Online: Display")


# Texts


@given(st.text())
def test_escaped_text_round_trip(text: str) -> None:
    """Escaping is reversible between tags and in attributes; only invalid characters are replaced, one by one."""
    escaped = escape_text(text)
    assert not re.search(r"[<>\"']", escaped)
    unescaped = html.unescape(escaped)
    assert [old for old, new in zip(text, unescaped, strict=True) if new not in {old, "\ufffd"}] == []
    escaped.encode()


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "a & b", "\"><img src=x onerror='x'>", "\ud800", "\x00\x1b[31m", "]]>", "&lt;"],
    ids=["script", "ampersand", "attribute", "surrogate", "control", "cdata", "entity"],
)
def test_texts_cannot_inject_html(text: str) -> None:
    """Headers, cells, notes, captions, sentences, counts and charts are all escaped."""
    cell = Cell(text=text, style=Style.ERROR, note=text)
    parts = (
        displays.table([text, cell], [[text, cell]], caption=text, overflow_note=text, total=900),
        displays.bullet_list(text, [text] * 300, Style.ERROR, overflow_note=text),
        displays.badges({text: 1}, {text: Style.OK}),
        displays.chart([ChartBar(label=text, count=1)]),
        displays.legend([(ChartBar(label=text, count=1), text)]),
        displays.heading(text, text),
    )
    page = displays.container(*parts)
    page.encode()
    parsed = Page(page)
    assert {name for name, _ in parsed.tags} & {"script", "img", "a", "link", "iframe"} == set()
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


# Tables


def test_notes_are_shown_in_a_column() -> None:
    """The notes of a row name their columns and need no mouse; the bad cell has a symbol in addition to its colour."""
    page = Page(displays.table(["row", "media_type"], [["3", BAD]], caption="Rows"))
    assert [attributes["scope"] for attributes in page.of("th")] == ["col", "col", "col", "row"]
    assert "✗ Error media_type : Not a media type. Fix: Online: Display" in page.text
    assert "✗ Online Display" in page.text
    assert {"class": "ib-error"} in page.of("td")
    assert not any("title" in attributes for _, attributes in page.tags)


def test_blank_cell_with_a_note_is_visible() -> None:
    """A missing value has no text of its own to colour."""
    missing = Cell(text="", style=Style.WARNING, note="It is required.")
    assert "▲ (blank)" in Page(displays.table(["row", "name"], [["3", missing]], caption="Rows")).text


def test_blank_columns_are_omitted() -> None:
    """Columns that are blank in every row are omitted; a row shorter than the header is filled up."""
    table = displays.table(["row", "a", "b", "c"], [["2", "", "x"], ["3", "", ""]], caption="Rows")
    assert Page(table).text == "Rows row b 2 x 3"


def test_empty_input_gives_empty_html() -> None:
    """No empty tables, lists or charts."""
    parts = [displays.table(["row"], [], caption="Rows"), displays.table(["row"], [[""]], caption="Rows")]
    parts += [displays.bullet_list("Title", []), displays.badges({}, {}), displays.chart([]), displays.legend([])]
    assert set(parts) == {""}


def test_table_shows_a_limited_number_of_rows() -> None:
    """The other rows are counted and their location is named; only the displayed rows are consumed."""
    consumed: list[int] = []

    def rows() -> Iterator[list[str]]:
        for number in count(2):
            consumed.append(number)
            yield [str(number)]

    table = displays.table(
        ["row"], rows(), caption="Rows", total=9214, overflow_note="all are in the workbook: `report.save()`"
    )
    page = Page(table)
    assert len(page.of("tr")) == MAX_ROWS_SHOWN + 1
    assert "200 of 9,214 rows shown; all are in the workbook: report.save() ." in page.text
    assert len(consumed) == MAX_ROWS_SHOWN


def test_table_without_total_counts_its_rows() -> None:
    """An iterator is counted to the end."""
    table = displays.table(["row"], ([str(number)] for number in range(201)), caption="Rows")
    assert "200 of 201 rows shown." in Page(table).text


def test_long_text_is_cut() -> None:
    """A cell may hold 32,767 characters, and a page hundreds of cells."""
    page = Page(displays.table(["row", "text"], [["2", "x" * 5000]], caption="Rows"))
    assert len(page.text) < 600
    assert page.text.endswith(" …")


def test_table_is_reachable_by_keyboard_and_has_a_name() -> None:
    """It scrolls in a box that takes the focus and has a name."""
    page = Page(displays.table(["row"], [["2"]], caption="Rows with errors"))
    assert page.of("div") == [
        {"class": "ib-box", "tabindex": "0", "role": "region", "aria-label": "Rows with errors"},
    ]
    assert page.of("caption") == [{}]


# Charts

BARS = [
    ChartBar(label="created", count=9214, style=Style.OK),
    ChartBar(label="invalid", count=1, style=Style.ERROR),
    ChartBar(label="not_sent", count=785, style=Style.WARNING),
]


def test_chart_is_one_labelled_image() -> None:
    """Screen readers see one image with the counts as text; bar lengths are proportional to the counts."""
    svg = ET.fromstring(displays.chart(BARS))  # noqa: S314  created by this program
    namespaces = {"s": "http://www.w3.org/2000/svg"}
    assert svg.attrib["role"] == "img"
    assert svg.findtext("s:title", namespaces=namespaces) == "Rows by outcome"
    description = "created: 9,214 (92%); invalid: 1 (<1%); not_sent: 785 (8%)"
    assert svg.findtext("s:desc", namespaces=namespaces) == description
    assert svg.attrib["aria-label"] == f"Rows by outcome. {description}"
    longest, shortest, other = (int(bar.attrib["width"]) for bar in svg.iterfind("s:rect", namespaces))
    assert longest > 10 * other > 10 * shortest > 0
    assert [text.text for text in svg.iterfind("s:text", namespaces)][:2] == ["created", "9,214 (92%)"]


def test_text_chart_is_aligned() -> None:
    """Labels, bars and numbers are aligned, and one row in ten thousand is visible."""
    lines = displays.chart_text(BARS).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["invalid", "▏", "1", "<1%"]
    assert displays.chart_text([]) == ""


@pytest.mark.parametrize(
    ("counts", "shares"),
    [((1, 1), "50%50%"), ((9999, 1), ">99%<1%"), ((3,), "100%"), ((0,), "0%")],
    ids=["even", "nearly all", "all", "none"],
)
def test_shares(counts: tuple[int, ...], shares: str) -> None:
    """0% and 100% are only shown when exact."""
    text = displays.chart_text([ChartBar(label="x", count=count) for count in counts])
    assert "".join(line.split()[-1] for line in text.splitlines()) == shares


# The style

_VARIABLE = re.compile(r"--(ib-[a-z-]+): (#[0-9a-f]{6})")


def _themes() -> dict[str, dict[str, str]]:
    blocks = [dict(_VARIABLE.findall(block)) for block in re.findall(r"\{([^{}]*--ib[^{}]*)\}", STYLE_SHEET)]
    themes = [block for block in blocks if block]
    return dict(zip(["light", "dark", "dark of the system"], themes, strict=True))


def _luminance(colour: str) -> float:
    parts = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(*colours: str) -> float:
    dark, light = sorted(map(_luminance, colours))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "dark of the system"])
@pytest.mark.parametrize(
    ("text", "background", "minimum"),
    [
        *(pytest.param(text, background, 4.5) for text in ("text", "muted") for background in ("back", "head")),
        *(pytest.param(f"{style}-text", f"{style}-back", 4.5) for style in ("ok", "warning", "error")),
        *(pytest.param(f"{style}-bar", "back", 3.0) for style in ("ok", "warning", "error")),
    ],
)
def test_contrasts(theme: str, text: str, background: str, minimum: float) -> None:
    """WCAG 2: at least 4.5 to 1 for texts, 3 to 1 for the bars of a chart."""
    colours = _themes()[theme]
    assert _contrast(colours[f"ib-{text}"], colours[f"ib-{background}"]) >= minimum


def test_dark_themes_are_the_same() -> None:
    """JupyterLab's theme applies in JupyterLab, the system's elsewhere."""
    themes = _themes()
    assert themes["dark"] == themes["dark of the system"]
    assert themes["dark"].keys() == themes["light"].keys()
    assert 'body[data-jp-theme-light="false"] .invoca-bulk' in STYLE_SHEET
    assert "@media (prefers-color-scheme: dark) { body:not([data-jp-theme-light]) .invoca-bulk" in STYLE_SHEET


def test_style_sheet_is_scoped() -> None:
    """Every rule is below the class `invoca-bulk`, and nothing is loaded."""
    rules = re.sub(r"@media [^{]*\{|/\*.*?\*/", "", STYLE_SHEET)
    groups = [group.strip(" }\n") for group in re.findall(r"([^{}]+)\{", rules)]
    selectors = [selector for group in groups for selector in group.split(",")]
    assert [selector for selector in selectors if ".invoca-bulk.invoca-bulk" not in selector] == []
    assert not re.search(r"url\(|@import|@font-face|https?:|<", STYLE_SHEET)


def test_every_style_has_a_class() -> None:
    """The table is total, and its classes are in the style sheet."""
    assert set(CSS_CLASSES) == set(Style)
    assert [
        name
        for name in CSS_CLASSES.values()
        if name and f".{name} " not in STYLE_SHEET and f".{name} {{" not in STYLE_SHEET
    ] == []


# Several frames


def test_frames_are_a_dict() -> None:
    """A FrameDict equals a dict and can be pickled; a notebook shows each DataFrame under its name."""
    frames = FrameDict({"users": pd.DataFrame({"name": ["<b>Jim</b>"]}), "sites": pd.DataFrame({"id": ["1", "2"]})})
    copy: Any = pickle.loads(pickle.dumps(frames))  # noqa: S301  created by this program
    assert isinstance(copy, dict)
    assert list(copy) == ["users", "sites"]
    assert FrameDict({"a": 1}) == {"a": 1}  # type: ignore[dict-item]  # equality does not depend on the values
    page = frames._repr_html_()
    assert "<strong>users</strong>" in page
    assert "2 rows" in page
    assert "<b>Jim" not in page
