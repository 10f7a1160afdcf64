"""Our own small HTML: safe with any text, readable in light and dark, and never more than a browser likes."""

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
from invoca_bulk.reports.html.markup import CSS_CLASSES
from invoca_bulk.reports.xlsx import Cell, Style
from tests.html_page import Page

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = Cell(text="Online Display", style=Style.ERROR, note="It is no media type. Fix: Online: Display")


# Texts


@given(st.text())
def test_a_text_comes_back_as_it_was(text: str) -> None:
    """Between tags and in attributes; only what no page can hold is replaced, one sign by one."""
    made = displays.escape_text(text)
    assert not re.search(r"[<>\"']", made)
    back = html.unescape(made)
    assert [one for one, other in zip(text, back, strict=True) if other not in {one, "\ufffd"}] == []
    made.encode()


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "a & b", "\"><img src=x onerror='x'>", "\ud800", "\x00\x1b[31m", "]]>", "&lt;"],
    ids=["script", "ampersand", "attribute", "surrogate", "control", "cdata", "entity"],
)
def test_no_text_gets_out_of_its_cell(text: str) -> None:
    """In headers, cells, notes, captions, sentences, counts and charts alike."""
    cell = Cell(text=text, style=Style.ERROR, note=text)
    parts = (
        displays.table([text, cell], [[text, cell]], caption=text, notes_title=text, overflow_note=text, total=900),
        displays.bullet_list(text, [text] * 300, Style.ERROR, overflow_note=text),
        displays.badges({text: 1}, {text: Style.OK}),
        displays.chart([ChartBar(label=text, count=1)], title=text),
        displays.legend([(ChartBar(label=text, count=1), text)]),
        displays.heading(text, text),
    )
    page = displays.container(*parts)
    page.encode()
    parsed = Page(page)
    assert {name for name, _ in parsed.tags} & {"script", "img", "a", "link", "iframe"} == set()
    assert not any(name.startswith("on") for _, attributes in parsed.tags for name in attributes)


# Tables


def test_a_note_stands_beside_the_row_with_its_column() -> None:
    """What pops up in a workbook is read here without a mouse; the bad cell has a mark besides its colour."""
    page = Page(displays.table(["row", "media_type"], [["3", BAD]], caption="Rows"))
    assert [attributes["scope"] for attributes in page.of("th")] == ["col", "col", "col", "row"]
    assert "✗ Error media_type : It is no media type. Fix: Online: Display" in page.text
    assert "✗ Online Display" in page.text
    assert {"class": "ib-error"} in page.of("td")
    assert not any("title" in attributes for _, attributes in page.tags)


def test_a_blank_cell_that_something_is_said_of_is_seen() -> None:
    """A missing value has no text to colour."""
    missing = Cell(text="", style=Style.WARNING, note="It is required.")
    assert "▲ (blank)" in Page(displays.table(["row", "name"], [["3", missing]], caption="Rows")).text


def test_columns_that_say_nothing_are_left_out() -> None:
    """A sheet has forty columns, most of them blank; a row that is shorter than the header is filled up."""
    table = displays.table(["row", "a", "b", "c"], [["2", "", "x"], ["3", "", ""]], caption="Rows")
    assert Page(table).text == "Rows row b 2 x 3"


def test_nothing_is_made_of_nothing() -> None:
    """No empty tables, lists or charts."""
    made = [displays.table(["row"], [], caption="Rows"), displays.table(["row"], [[""]], caption="Rows")]
    made += [displays.bullet_list("Title", []), displays.badges({}, {}), displays.chart([]), displays.legend([])]
    assert set(made) == {""}


def test_so_many_rows_and_no_more() -> None:
    """The rest is counted, and where it is found is said; no row is asked for in vain."""
    asked: list[int] = []

    def rows() -> Iterator[list[str]]:
        for number in count(2):
            asked.append(number)
            yield [str(number)]

    table = displays.table(
        ["row"], rows(), caption="Rows", total=9214, overflow_note="all are in the workbook: `report.save()`"
    )
    page = Page(table)
    assert len(page.of("tr")) == MAX_ROWS_SHOWN + 1
    assert "200 of 9,214 rows shown; all are in the workbook: report.save() ." in page.text
    assert len(asked) == MAX_ROWS_SHOWN


def test_a_table_counts_its_rows_where_it_is_not_told() -> None:
    """An iterator is counted to its end."""
    table = displays.table(["row"], ([str(number)] for number in range(201)), caption="Rows")
    assert "200 of 201 rows shown." in Page(table).text


def test_a_long_text_is_cut() -> None:
    """A cell may hold 32,767 characters, and a page hundreds of cells."""
    page = Page(displays.table(["row", "text"], [["2", "x" * 5000]], caption="Rows"))
    assert len(page.text) < 600
    assert page.text.endswith(" …")


def test_a_table_is_reached_by_keyboard_and_named() -> None:
    """It scrolls in a box of its own, which takes the focus and has a name."""
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


def test_a_chart_is_a_picture_with_words() -> None:
    """One picture for a program that reads pages out, with the numbers in words; bars as long as their numbers."""
    svg = ET.fromstring(displays.chart(BARS))  # noqa: S314  it was made here
    name = {"s": "http://www.w3.org/2000/svg"}
    assert svg.attrib["role"] == "img"
    assert svg.findtext("s:title", namespaces=name) == "Rows by outcome"
    told = "created: 9,214 (92%); invalid: 1 (<1%); not_sent: 785 (8%)"
    assert svg.findtext("s:desc", namespaces=name) == told
    assert svg.attrib["aria-label"] == f"Rows by outcome. {told}"
    longest, shortest, other = (int(one.attrib["width"]) for one in svg.iterfind("s:rect", name))
    assert longest > 10 * other > 10 * shortest > 0
    assert [one.text for one in svg.iterfind("s:text", name)][:2] == ["created", "9,214 (92%)"]


def test_a_chart_in_characters_is_aligned() -> None:
    """Words, bars and numbers stand below each other, and one row of ten thousand is seen."""
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
    """Never 0% of something, nor 100% of what is not all."""
    text = displays.chart_text([ChartBar(label="x", count=one) for one in counts])
    assert "".join(line.split()[-1] for line in text.splitlines()) == shares


# The style

_VARIABLE = re.compile(r"--(ib-[a-z-]+): (#[0-9a-f]{6})")


def _themes() -> dict[str, dict[str, str]]:
    blocks = [dict(_VARIABLE.findall(one)) for one in re.findall(r"\{([^{}]*--ib[^{}]*)\}", STYLE_SHEET)]
    named = [one for one in blocks if one]
    return dict(zip(["light", "dark", "dark of the system"], named, strict=True))


def _luminance(colour: str) -> float:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    dark, light = sorted(map(_luminance, (one, other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark", "dark of the system"])
@pytest.mark.parametrize(
    ("text", "behind", "least"),
    [
        *(pytest.param(text, behind, 4.5) for text in ("text", "muted") for behind in ("back", "head")),
        *(pytest.param(f"{one}-text", f"{one}-back", 4.5) for one in ("ok", "warning", "error")),
        *(pytest.param(f"{one}-bar", "back", 3.0) for one in ("ok", "warning", "error")),
    ],
)
def test_contrasts(theme: str, text: str, behind: str, least: float) -> None:
    """WCAG 2: at least 4.5 to 1 for texts, 3 to 1 for the bars of a chart."""
    colours = _themes()[theme]
    assert _contrast(colours[f"ib-{text}"], colours[f"ib-{behind}"]) >= least


def test_both_ways_to_be_dark_are_the_same() -> None:
    """JupyterLab's theme decides where there is one, the system elsewhere."""
    themes = _themes()
    assert themes["dark"] == themes["dark of the system"]
    assert themes["dark"].keys() == themes["light"].keys()
    assert 'body[data-jp-theme-light="false"] .invoca-bulk' in STYLE_SHEET
    assert "@media (prefers-color-scheme: dark) { body:not([data-jp-theme-light]) .invoca-bulk" in STYLE_SHEET


def test_the_style_stays_in_its_place() -> None:
    """Every rule is below our own class, and nothing is loaded from anywhere."""
    rules = re.sub(r"@media [^{]*\{|/\*.*?\*/", "", STYLE_SHEET)
    selectors = [one.strip(" }\n") for one in re.findall(r"([^{}]+)\{", rules)]
    assert [one for group in selectors for one in group.split(",") if ".invoca-bulk.invoca-bulk" not in one] == []
    assert not re.search(r"url\(|@import|@font-face|https?:|<", STYLE_SHEET)


def test_every_style_has_its_class() -> None:
    """The table is total, and a class that it names is in the style sheet."""
    assert set(CSS_CLASSES) == set(Style)
    assert [
        one for one in CSS_CLASSES.values() if one and f".{one} " not in STYLE_SHEET and f".{one} {{" not in STYLE_SHEET
    ] == []


# Several frames


def test_frames_are_a_dict() -> None:
    """Equal to one, picklable, and copied like one; a notebook shows each under its name."""
    frames = FrameDict({"users": pd.DataFrame({"name": ["<b>Jim</b>"]}), "sites": pd.DataFrame({"id": ["1", "2"]})})
    again: Any = pickle.loads(pickle.dumps(frames))  # noqa: S301  it was made here
    assert isinstance(again, dict)
    assert list(again) == ["users", "sites"]
    assert FrameDict({"a": 1}) == {"a": 1}  # type: ignore[dict-item]  # equality does not depend on the values
    page = frames._repr_html_()
    assert "<strong>users</strong>" in page
    assert "2 rows" in page
    assert "<b>Jim" not in page
