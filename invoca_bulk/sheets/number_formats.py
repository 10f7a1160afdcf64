"""Number formats of spreadsheets: which of them show another text than the cell holds, and what they show.

`00000` shows 42 as 00042, and `"C-"0000` as C-0042. Separators, currencies, decimals, dates and scientific notation are
no other text: nobody takes them for a part of the value.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache

from invoca_bulk.sheets import plain_xml

#: The built-in formats that show another text; all others are as `is_plain` accepts them.
_BUILT_IN_CODES: Mapping[str, str] = {"9": "0%", "10": "0.00%"}
#: A format may have 30 decimals and more, which are too many for the default context.
_CONTEXT = decimal.Context(prec=400, rounding=decimal.ROUND_HALF_UP)
#: From here on a spreadsheet may have lost digits, which is an error of its own.
_MAX_SHOWN_NUMBER = 10**15

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|_(?P<width>.)|\*(?P<fill>.)|\[\$(?P<currency>[^\]-]*)(?:-[^\]]*)?\]'
    r"|\[(?P<bracket>[^\]]*)\]|(?P<general>General)|(?P<date>AM/PM|A/P|[ymdhs])"
    r"|(?P<exponent>[eE][+-])|(?P<digit>[0#?])|(?P<point>\.)|(?P<comma>,)|(?P<percent>%)|(?P<fraction>/)"
    r"|(?P<text>@)|(?P<literal>.)",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[0-9]+(?:\.[0-9]+)?)")
_COMPARISONS: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "<": Decimal.__lt__,
    ">": Decimal.__gt__,
    "<=": Decimal.__le__,
    ">=": Decimal.__ge__,
    "=": Decimal.__eq__,
    "<>": Decimal.__ne__,
}
_LITERAL_KINDS = frozenset({"quoted", "escaped", "currency", "literal"})
_INVISIBLE_KINDS = frozenset({"width", "fill", "bracket"})
#: Kinds of tokens of sections that show a value in a way that nobody takes for the value itself.
_UNSHOWN_KINDS = frozenset({"date", "exponent", "fraction"})
_NEUTRAL_LITERAL = re.compile(r"[\s$€£¥()]*(?:USD|CAD|EUR|GBP|MXN|AUD)?\s*")
_SIGNS = re.compile(r"[-+]*")
_PLAIN_NUMBER = re.compile(r"(?:[#?,]*[0#?])?(?:\.[0#?]*)?")

# The positions of the sections of a format; the first one is for all other numbers.
_NEGATIVE, _ZERO, _TEXT = 1, 2, 3

#: A token's kind and text.
Token = tuple[str, str]
Section = tuple[Token, ...]


def read_number_formats(styles: bytes) -> dict[int, str]:
    """Style id, as cells name it, to its format, of those formats that show another text."""
    if not styles:
        return {}
    root = plain_xml.parse(styles)
    codes = dict(_BUILT_IN_CODES)
    for element in root.iterfind("{*}numFmts/{*}numFmt"):
        codes[element.get("numFmtId", "")] = element.get("formatCode", "")
    formats = (codes.get(style.get("numFmtId", ""), "") for style in root.iterfind("{*}cellXfs/{*}xf"))
    return {number: code for number, code in enumerate(formats) if code and not is_plain(code)}


@lru_cache(maxsize=1_000)
def is_plain(code: str) -> bool:
    """Whether each value is shown as it is, but for separators, currency, decimals, dates and scientific notation."""
    first, *others = _parse_sections(code)
    is_conditional = any(_find_condition(section) for section in (first, *others))
    return _is_plain_section(first, signs=False) and all(
        _is_plain_section(section, signs=index == _NEGATIVE)
        for index, section in enumerate(others, 1)
        if is_conditional or _shows_texts(index, section) or (index == _NEGATIVE and section)
    )


def _shows_texts(index: int, section: Section) -> bool:
    return index == _TEXT or any(kind == "text" for kind, _ in section)


def _is_plain_section(section: Section, *, signs: bool) -> bool:
    kinds = {kind for kind, _ in section}
    if kinds & _UNSHOWN_KINDS:
        return True
    for kind, text in section:
        is_neutral = _NEUTRAL_LITERAL.fullmatch(text) or (signs and _SIGNS.fullmatch(text)) or kind == "currency"
        if kind == "percent" or (kind in _LITERAL_KINDS and not is_neutral):
            return False
    if kinds & {"general", "text"}:
        return True
    number = "".join(text for kind, text in section if kind in {"digit", "comma", "point"})
    return bool(number) and bool(_PLAIN_NUMBER.fullmatch(number)) and not _is_interrupted(section)


def _is_interrupted(section: Section) -> bool:
    """Whether there are other characters between the digits."""
    shown = [kind in {"digit", "comma", "point"} for kind, _ in section if kind not in _INVISIBLE_KINDS]
    return "".join("01"[is_number] for is_number in shown).strip("0").count("0") > 0


@lru_cache(maxsize=100_000, typed=True)
def show(code: str, value: object) -> str | None:
    """What a format shows for a value; None: the value itself, or a form that nobody takes for it."""
    sections = _parse_sections(code)
    if isinstance(value, str):
        return _show_text(sections, value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _MAX_SHOWN_NUMBER:
        return None
    number = Decimal(repr(value))
    section, sign = _choose_section(sections, number)
    if {kind for kind, _ in section} & _UNSHOWN_KINDS:
        return None
    shown = _show_number(section, abs(number))
    return (sign + shown).strip()


def _show_text(sections: Sequence[Section], value: str) -> str | None:
    section = sections[min(_TEXT, len(sections) - 1)]
    if not value or not _shows_texts(len(sections) - 1, section):
        return None
    return "".join(value if kind == "text" else text for kind, text in section if kind not in _INVISIBLE_KINDS).strip()


def _choose_section(sections: Sequence[Section], number: Decimal) -> tuple[Section, str]:
    """The section for a number, and the sign that is shown before it."""
    minus = "-" if number < 0 else ""
    conditions = [_find_condition(section) for section in sections]
    if any(conditions):
        for section, condition in zip(sections, conditions, strict=True):
            if condition is None or _COMPARISONS[condition[0]](number, Decimal(condition[1])):
                return section, minus
    numeric = [section for index, section in enumerate(sections) if not index or not _shows_texts(index, section)]
    if len(numeric) > _NEGATIVE and number < 0:
        return numeric[_NEGATIVE], ""
    return (numeric[_ZERO], "") if len(numeric) > _ZERO and not number else (numeric[0], minus)


def _find_condition(section: Section) -> tuple[str, str] | None:
    matches = (_CONDITION.match(text) for kind, text in section if kind == "bracket")
    return next(((match[1], match[2]) for match in matches if match), None)


def _show_number(section: Section, number: Decimal) -> str:
    """The text of a number without its sign."""
    kinds = [kind for kind, _ in section]
    point = kinds.index("point") if "point" in kinds else len(kinds)
    last_digit = max((index for index, kind in enumerate(kinds[:point]) if kind == "digit"), default=0)
    scale = kinds[last_digit:point].count("comma") if "digit" in kinds else 0
    decimals = kinds[point:].count("digit")
    scaled = number * 100 ** kinds.count("percent") / 1000**scale
    rounded = scaled.quantize(Decimal(1).scaleb(-decimals), context=_CONTEXT)
    whole, _, fraction = format(rounded, "f").partition(".")
    digits = whole.lstrip("0")
    is_grouped = "comma" in kinds[:last_digit]
    left = _fill_whole(section[:point], digits, is_grouped=is_grouped, value=format(number.normalize(), "f"))
    return left + _fill_fraction(section[point:], fraction)


def _fill_whole(section: Section, digits: str, *, is_grouped: bool, value: str) -> str:
    """The part before the point: from the right a digit for each placeholder; the first one takes all that are left."""
    placeholders = sum(kind == "digit" for kind, _ in section)
    shown: list[str] = []
    digit_count = 0
    for kind, text in reversed(section):
        if kind == "digit":
            placeholders -= 1
            taken = digits if not placeholders else digits[-1:]
            digits = digits[: len(digits) - len(taken)]
            for digit in reversed(taken or {"0": "0", "?": " "}.get(text, "")):
                shown.append("," if is_grouped and digit_count and digit_count % 3 == 0 else "")
                shown.append(digit)
                digit_count += 1
        elif kind in {"general", "text"}:
            shown.append(value)
        elif kind in _LITERAL_KINDS | {"percent"}:
            shown.append(text)
    return "".join(reversed(shown))


def _fill_fraction(section: Section, fraction: str) -> str:
    """The point and what follows it: `#` shows no zeros at the end."""
    shown, position = "", 0
    for kind, text in section:
        if kind == "digit":
            is_shown = text == "0" or fraction[position:].strip("0")
            shown += fraction[position] if is_shown else ""
            position += 1
        elif kind in _LITERAL_KINDS | {"percent", "point"}:
            shown += text
    return shown


@lru_cache(maxsize=1_000)
def _parse_sections(code: str) -> tuple[Section, ...]:
    sections: list[list[Token]] = [[]]
    for match in _TOKEN.finditer(code):
        kind = match.lastgroup or "currency"  # an empty currency: `[$-409]`
        text = match[kind] or ""
        if kind == "literal" and text == ";":
            sections.append([])
        else:
            sections[-1].append((kind, text))
    return tuple(map(tuple, sections))
