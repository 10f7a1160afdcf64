"""The text of a CSV file: in which encoding its bytes are, and what is said where that is not certain.

Only UTF-8 and UTF-16 prove themselves. All else is read as Windows-1252, with a warning that shows an example, unless a
person names the encoding. Bytes that do not fit become lone surrogates, so that their cells are found by parsing.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from invoca_bulk.errors import ConfigError, UnreadableSheetError
from invoca_bulk.schema.issue_catalog import Problem, Unshortened
from invoca_bulk.sheets.foreign_formats import not_a_spreadsheet_error
from invoca_bulk.wording import option

_DEFAULT_ENCODING, _DEFAULT_NAME = "cp1252", "Windows-1252"
#: What an example is also shown in: the encodings of Windows, of Excel for Mac, of DOS, and of Cyrillic Windows.
_OTHER_ENCODINGS = ("cp1252", "mac_roman", "cp437", "cp1251")
_BOM_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BEYOND_ASCII = re.compile("[^\0-\x7f\udc80-\udcff]")
_MISFIT = re.compile("[\udc80-\udcff]")
_EXAMPLE_CHARACTERS = 20  # around the character that is shown
_SAVE_AS = "save the file as 'CSV UTF-8' or as a workbook (.xlsx)"


@dataclass(frozen=True, kw_only=True)
class DecodedText:
    """The text of a file."""

    text: str  # bytes that do not fit are lone surrogates
    encoding: str  # Python's name of it
    name: str  # as messages show it
    is_certain: bool = True  # False: it is Windows-1252 because it is nothing else
    mixes_utf8: bool = False  # whether the file has both UTF-8 and bytes that are not


def check_encoding(name: str | None) -> None:
    """Raise a ConfigError if Python knows no text encoding of this name."""
    try:
        b"ab".decode(name or "utf-8")
    except UnicodeError:  # known, and these bytes are not in it
        return
    except (LookupError, ValueError):
        raise ConfigError(
            f"Unknown encoding {name!r}. Use a name such as utf-8, windows-1252, macroman, cp1251 or cp437."
        ) from None


def decode(data: bytes | str, encoding: str | None = None) -> DecodedText:
    """The text of a file: by its byte order mark, in the named encoding, or else in the first that fits."""
    if isinstance(data, str):
        return DecodedText(text=data.removeprefix("\ufeff"), encoding="utf-8", name="UTF-8")
    for bom, bom_encoding in _BOM_ENCODINGS:
        if data.startswith(bom):
            return _decode_leniently(data.removeprefix(bom), bom_encoding, bom_encoding.upper().removesuffix("-LE"))
    named = encoding or _detect_utf16(data)
    if named:
        return _decode_leniently(data, named, named)
    try:
        return DecodedText(text=data.decode(), encoding="utf-8", name="UTF-8")
    except UnicodeDecodeError:
        pass
    text = data.decode("utf-8", "surrogateescape")
    if _BEYOND_ASCII.search(text):
        return DecodedText(text=text, encoding="utf-8", name="UTF-8", mixes_utf8=True)
    text = data.decode(_DEFAULT_ENCODING, "surrogateescape")
    return DecodedText(text=text, encoding=_DEFAULT_ENCODING, name=_DEFAULT_NAME, is_certain=False)


def _detect_utf16(data: bytes) -> str | None:
    even, odd = data[:256:2].count(0), data[1:256:2].count(0)
    if even and odd:
        raise not_a_spreadsheet_error()
    return "utf-16-le" if odd else "utf-16-be" if even else None


def _decode_leniently(data: bytes, encoding: str, name: str) -> DecodedText:
    try:
        text = data.decode(encoding, "surrogateescape")
    except UnicodeError:
        raise UnreadableSheetError(
            f"The file has an unknown text encoding: it is damaged, or it is not {name}. "
            f"In Excel, {_SAVE_AS}, or use {option('encoding=…')}."
        ) from None
    return DecodedText(text=text.removeprefix("\ufeff"), encoding=encoding, name=name)


def check_decoded_rows(decoded: DecodedText, rows: Sequence[Sequence[object]]) -> list[Problem]:
    """The warning for a file whose encoding is not certain; an error if bytes do not fit the encoding."""
    if decoded.text.isascii():
        return []
    if _MISFIT.search(decoded.text):
        raise _misfit_error(decoded, rows)
    if decoded.is_certain:
        return []
    row, cell = next(_cells_beyond_ascii(rows))
    shown = _shorten(cell)
    details = {"value": shown, "row": row, "name": decoded.name, "others": _describe_others(shown, decoded.encoding)}
    return [Problem(code="encoding_assumed", details=details)]


def _misfit_error(decoded: DecodedText, rows: Sequence[Sequence[object]]) -> UnreadableSheetError:
    """Names the first cell that does not fit; where the file mixes encodings, also one that does."""
    row, cell = next((row, cell) for row, cell in _cells_beyond_ascii(rows) if _MISFIT.search(cell))
    shown = _shorten(cell)
    place = f"row {row}, {_show_bytes(shown, decoded.encoding)}"
    others = _describe_others(shown, decoded.encoding)
    fitting = (
        located for located in _cells_beyond_ascii(rows) if decoded.mixes_utf8 and not _MISFIT.search(located[1])
    )
    other_row, other_cell = next(fitting, (0, ""))
    if not other_row:
        subject = f"not {decoded.name}" if decoded.is_certain else "neither UTF-8 nor Windows-1252"
        return UnreadableSheetError(
            f"The file has an unknown text encoding: it is {subject} at {place}{others}. "
            f"In Excel, {_SAVE_AS}, or use {option('encoding=…')}."
        )
    return UnreadableSheetError(
        f"The file mixes two text encodings: it is not UTF-8 at {place}, but it is UTF-8 at row {other_row}, "
        f"'{_shorten(other_cell)}'. Correct the text, and {_SAVE_AS}. "
        f"If the whole file has another encoding, use {option('encoding=…')}."
    )


def _cells_beyond_ascii(rows: Sequence[Sequence[object]]) -> Iterator[tuple[int, str]]:
    """Row number and text of each cell that has other than ASCII characters."""
    return ((row, cell) for row, cells in enumerate(rows, 1) for cell in map(str, cells) if not cell.isascii())


def _shorten(cell: str) -> str:
    """The text around the first character that does not fit, or else that is not ASCII."""
    misfit = _MISFIT.search(cell) or _BEYOND_ASCII.search(cell)
    position = misfit.start() if misfit else 0
    return cell[max(0, position - _EXAMPLE_CHARACTERS) : position + _EXAMPLE_CHARACTERS]


def _show_bytes(text: str, encoding: str) -> str:
    data = text.encode(encoding, "surrogateescape")
    return "'" + data.decode(encoding, "backslashreplace") + "'"


def _describe_others(text: str, encoding: str) -> Unshortened:
    """The same bytes in other encodings, as an insertion into a sentence; empty: none fits."""
    data = text.encode(encoding, "surrogateescape")
    readings = {}
    for other in _OTHER_ENCODINGS:
        with contextlib.suppress(UnicodeError):
            readings[other] = data.decode(other)
    listed = ", ".join(f"{reading!r} if it were {other}" for other, reading in readings.items() if reading != text)
    return Unshortened(f" ({listed})" if listed else "")
