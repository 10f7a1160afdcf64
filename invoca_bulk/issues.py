"""The catalogue of what can be wrong in a cell, a row or a header.

One entry for each code. Messages name what is wrong, fixes say what to type instead; both are filled from the
details that the rule gives. A rule never words a message itself, so that the same problem reads the same everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["error", "warning"]

#: The columns of a frame of issues. `row` is a nullable integer (missing: the issue is about a column or the sheet),
#: all others are text.
ISSUE_COLUMNS = ("row", "column", "level", "code", "value", "message", "fix")

#: The longest text of a cell: csv's own limit, and four times what Excel can hold.
MAX_CELL_CHARACTERS = 131_072

#: What stands in front of the text of a cell that cannot be trusted, and the issue that it gives. It is part of the
#: text, so that the cell stays refused in every file, frame and copy until somebody types over it.
MARKS: Mapping[str, str] = {
    "#DATE!": "cell_date",
    "#FORMULA!": "cell_formula",
    "#DIGITS!": "cell_digits_lost",
    "#TOO_LONG!": "cell_too_long",
    "#ROW!": "row_marked",
}
_MARK_OF = {code: mark for mark, code in MARKS.items()}
#: In any case: a column may have been lowered in pandas.
_MARKED = re.compile(rf"({'|'.join(MARKS)})\s*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class IssueType:
    """One kind of issue.

    Attributes:
        level: `error` rows are never sent, `warning` rows are.
        message: a sentence; `{…}` places are filled from the details of a `Problem`.
        fix: what to do; empty when nothing needs to be done.
    """

    level: Level
    message: str
    fix: str


def _error(message: str, fix: str) -> IssueType:
    return IssueType(level="error", message=message, fix=fix)


def _warning(message: str, fix: str = "") -> IssueType:
    return IssueType(level="warning", message=message, fix=fix)


CATALOGUE: Mapping[str, IssueType] = {
    # Headers
    "column_misspelt": _error(
        "The column {value!r} is not known, but it looks like {known!r}.",
        "Rename the column to {known!r}, or give it a quite different name to have it carried through.",
    ),
    "column_unknown": _warning(
        "The column {value!r} is not known; it is carried through to the results and not sent.",
    ),
    "column_missing": _error(
        "The required column {known!r} is missing.",
        "Add the column {known!r} and fill it in on every row.",
    ),
    "column_repeated": _error(
        "The columns {first!r} and {value!r} both stand for {known!r}.",
        "Keep one of the two columns.",
    ),
    "column_unsupported": _error(
        "API version {version} does not know {known!r}; {which}.",
        "Choose one with --api-version, or remove the column.",
    ),
    # What the spreadsheet program did to a cell
    "cell_error": _error(
        "The cell holds the spreadsheet error {value}.",
        "Correct the formula in the spreadsheet, or type the value.",
    ),
    "cell_formula": _error(
        "The cell holds a formula whose result is not stored in the file.",
        "Open the original file in the spreadsheet program, save it and try again, or type the value.",
    ),
    "cell_date": _error(
        "The cell is a date ({value}): Excel turns text such as 3-4 or MAY1 into dates.",
        "Format the column as Text and type the value again.",
    ),
    "cell_digits_lost": _error(
        "The cell is a number of more than 15 digits; Excel has replaced the last ones by zeros.",
        "Format the column as Text and type the value again.",
    ),
    "cell_too_long": _error(
        f"The cell held more than {MAX_CELL_CHARACTERS:,} characters, and its text was cut.",
        "Type a shorter text; an unclosed quote in a CSV file also causes this.",
    ),
    "cell_control": _error(
        "The text holds an invisible control character ({name}).",
        "Type the text again without it.",
    ),
    "row_too_long": _error(
        "The row has {count} cells, but the header has {expected}.",
        'Put quotes around a text that holds the delimiter, e.g. "Smith, Jones".',
    ),
    "quote_unclosed": _error(
        "A quote is opened in this row and never closed, so the rows below it became part of its last cell.",
        "Close the quote, or remove it, and read the file again.",
    ),
    "row_marked": _error(
        "The row was refused when the file was first read (it had too many cells, or a quote that was never closed).",
        "Type the row again.",
    ),
    "cell_cleaned": _warning(
        "{value!r} is read as {clean!r}.",
    ),
    # Values
    "required": _error(
        "{known!r} is required to {action}.",
        "Fill in the cell{example}.",
    ),
    "not_a_choice": _error(
        "{value!r} is not one of the values of {known!r}.",
        "{suggestion}",
    ),
    "choice_cleaned": _warning(
        "{value!r} is read as {clean!r}.",
    ),
    "not_a_number": _error(
        "{value!r} is not a whole number.",
        "Type a whole number from {minimum} to {maximum}.",
    ),
    "out_of_range": _error(
        "{value} is not between {minimum} and {maximum}.",
        "Type a whole number from {minimum} to {maximum}.",
    ),
    "not_a_boolean": _error(
        "{value!r} is neither yes nor no.",
        "Type TRUE or FALSE.",
    ),
    "not_an_area_code": _error(
        "{value!r} is not an area code that exists in the USA or Canada.",
        "Type the three digits of an area code in use, such as 805.",
    ),
    "toll_free_area_code": _error(
        "{value} is a toll-free prefix, not an area code.",
        "For a toll-free number leave all local_center columns blank.",
    ),
    "not_area_codes": _error(
        "{value!r} is not a list of area codes.",
        'Type area codes with commas between them, such as 805, 212, or a JSON list such as ["805", "212"].',
    ),
    "not_a_zip_code": _error(
        "{value!r} is not a zip code.",
        "Type the five digits of a US zip code, such as 93101, or a Canadian postal code, such as K1A 0B1.",
    ),
    "zip_code_zero_lost": _error(
        "{value!r} is not a zip code; Excel drops the zero at the start.",
        "{fixed}",
    ),
    "zip_code_too_precise": _error(
        "{value!r} is a zip code with four digits more than the five that are expected.",
        "{fixed}",
    ),
    "not_a_state": _error(
        "{value!r} is not the two-letter code of a US state or a Canadian province.",
        "{suggestion}",
    ),
    "not_an_ads_account": _error(
        "{value!r} is not a Google Ads account id.",
        "Type it as 627-345-9815, or the digits alone.",
    ),
    "not_digits": _error(
        "{value!r} is not made of digits.",
        "Type digits only, such as 80561.",
    ),
    "digits_ignored": _warning(
        "The platform looks at the first five digits of {value!r} only.",
    ),
    "not_a_time": _error(
        "{value!r} is not a time of day in steps of 15 minutes.",
        "Type the time as HH:MM, such as 08:00 or 17:45.",
    ),
    "not_a_phone_number": _error(
        "{value!r} is not a phone number that can exist.",
        "Type 10 digits, such as 8055550100, or the international form, such as +448081570192.",
    ),
    "not_an_email": _error(
        "{value!r} is not an email address: {reason}",
        "Type an address such as name@example.com.",
    ),
    "not_an_id": _error(
        "{value!r} cannot be used as an id: {reason}.",
        "Give the object an id that is not '.' or '..' and has no control characters.",
    ),
    "read_only": _warning(
        "{known!r} is set by the platform; the value is not sent.",
    ),
    "cannot_clear": _error(
        "[] clears a field, and {known!r} cannot be cleared.",
        "Type a value, or leave the cell blank.",
    ),
    # Several columns of a row
    "local_center_conflict": _error(
        "The local center is given in more than one way ({given}); which one would win is documented nowhere.",
        "Keep one: tn_prefix, or zipcode, or city with state.",
    ),
    "city_without_state": _error(
        "A local center needs city and state together; {missing} is blank.",
        "Fill in {missing}, or clear {given}.",
    ),
    "no_local_center": _warning(
        "{known!r} has no effect without a local center: the row asks for a toll-free number.",
        "Fill in local_center.tn_prefix, .zipcode, or .city and .state, if a local number is wanted.",
    ),
    "ads_account_media_type": _error(
        "adwords_account_id needs the media type 'Google Call Extension', not {value!r}.",
        "Set media_type to 'Google Call Extension', or clear adwords_account_id.",
    ),
    "hours_on_affiliate": _error(
        "hours_of_operation exists for advertiser campaigns only, and the row names an affiliate.",
        "Clear the hours_of_operation columns, or affiliate_id_from_network.",
    ),
    "schedule_incomplete": _error(
        "A schedule needs day_of_week, open_time and close_time together; {missing} is blank.",
        "Fill in {missing}.",
    ),
    "schedule_backwards": _error(
        "The schedule closes at {close}, which is not after {open}, when it opens.",
        "Type a close_time after the open_time.",
    ),
    "schedules_overlap": _error(
        "Two schedules of {day} overlap: {first} and {second}.",
        "Change the times so that they do not overlap.",
    ),
    "destination_incomplete": _error(
        "A move needs the destination's advertiser and campaign together; {missing} is blank.",
        "Fill in {missing}, or clear the destination columns.",
    ),
    "destination_affiliate": _error(
        "A number moves between affiliate campaigns only when the row names an affiliate of its own.",
        "Fill in affiliate_id_from_network, or clear destination_affiliate_id_from_network.",
    ),
    "not_on_create": _error(
        "{known!r} has no meaning when a number is created.",
        "Clear the cell.",
    ),
    "own_id_quantity": _error(
        "An id_from_network names one number, but quantity is {value}.",
        "Set quantity to 1, or clear id_from_network.",
    ),
    "action_unsupported": _error(
        "This version creates promo numbers; it cannot {value} them yet.",
        "Remove the row, or set action to create.",
    ),
    "names_existing": _error(
        "The row names an existing promo number ({value}), so it cannot ask for a new one.",
        "Clear {known!r} to buy a new number, or remove the row.",
    ),
    # Rows against rows
    "duplicate_own_id": _error(
        "The id_from_network {value!r} stands on the rows {rows} of the same campaign.",
        "Give each promo number an id of its own.",
    ),
    "identical_rows": _warning(
        "The rows {rows} are identical; each of them buys a number.",
    ),
    # Rows against what earlier runs did
    "status_unknown": _error(
        "{value!r} is no outcome of a row, so it cannot be told whether the row was done.",
        "Clear the cell to have the row sent, or type created to have it left alone.",
    ),
    "unsettled_row": _warning(
        "An earlier run ({run}) could not establish whether this row was done; it is not sent again.",
        "Look it up on the platform; if it is not there, clear the row's result columns and run the sheet again.",
    ),
    # The plan: rows against the platform's state
    "own_id_exists": _error(
        "The campaign already has a promo number with the id_from_network {value!r}: {number}.",
        "Remove the row, or give the new number another id.",
    ),
    "campaign_not_found": _error(
        "The platform does not know where this row goes: {text}.",
        "Check the ids of the advertiser, the campaign and the affiliate, and that the network id is the right one.",
    ),
    # The whole sheet
    "blank_rows": _warning(
        "{count} blank row(s) were skipped.",
    ),
    "hidden_rows": _warning(
        "{count} row(s) are hidden in the spreadsheet; they are read like any other.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong, not yet placed in a row.

    Attributes:
        code: a key of `CATALOGUE`.
        column: the column's path, where the rule looks at several; None means the column that is being read.
        details: what fills the places of the message and the fix.
    """

    code: str
    column: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """`error` or `warning`."""
        return CATALOGUE[self.code].level

    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""
        return CATALOGUE[self.code].message.format_map(self._shown)

    @property
    def fix(self) -> str:
        """What to do about it; empty when nothing needs to be done."""
        return CATALOGUE[self.code].fix.format_map(self._shown)

    @property
    def _shown(self) -> dict[str, object]:
        return {name: shortened(one) if isinstance(one, str) else one for name, one in self.details.items()}


def marked(code: str, text: str) -> str:
    """The text of a cell with the mark of an issue in front; one that has it already stays as it is."""
    mark = _MARK_OF[code]
    shown = text if text.startswith(mark) else f"{mark} {text}" if text else mark
    return shown[:MAX_CELL_CHARACTERS]


def problem_of_mark(text: str) -> Problem | None:
    """The problem that a text's mark stands for, or None when it has none."""
    found = _MARKED.match(text)
    return Problem(code=MARKS[found[1].upper()], details={"value": found[2]}) if found else None


def shortened(text: str, limit: int = 120) -> str:
    """A text that fits into a sentence."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class Refused(ValueError):
    """A text that a kind cannot read; carries the problem. It never leaves the package."""

    def __init__(self, code: str, **details: object) -> None:
        self.problem = Problem(code=code, details=details)
        super().__init__(self.problem.message)
