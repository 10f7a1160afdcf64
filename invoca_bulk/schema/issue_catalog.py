"""The catalogue of what can be wrong in a cell, a row or a header.

One entry for each code. Messages name what is wrong, fixes say what to type instead; both are filled from the
details that the rule gives. A rule never words a message itself, so that the same problem reads the same everywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

Level = Literal["error", "warning"]

#: The columns of a frame of issues. `sheet` is empty where one sheet only was read; `row` is a nullable integer
#: (missing: the issue is about a column or the sheet); all others are text.
ISSUE_COLUMNS = ("sheet", "row", "column", "level", "code", "value", "message", "fix")

#: The longest text of a cell: csv's own limit, and four times what Excel can hold.
MAX_CELL_CHARACTERS = 131_072

#: What stands in front of the text of a cell that cannot be trusted, and the issue that it gives. It is part of the
#: text, so that the cell stays refused in every file, frame and copy until somebody types over it.
ISSUE_CODE_BY_MARKER: Mapping[str, str] = {
    "#DATE!": "cell_date",
    "#FORMULA!": "cell_formula",
    "#DIGITS!": "cell_digits_lost",
    "#TOO_LONG!": "cell_too_long",
    "#ROW!": "row_marked",
}
_MARKER_BY_ISSUE_CODE = {code: mark for mark, code in ISSUE_CODE_BY_MARKER.items()}
#: In any case: a column may have been lowered in pandas.
_MARKER_PATTERN = re.compile(rf"({'|'.join(ISSUE_CODE_BY_MARKER)})\s*(.*)", re.IGNORECASE | re.DOTALL)


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


ISSUE_TYPES: Mapping[str, IssueType] = {
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
    "secret_dropped": _warning(
        "{known!r} is a secret of the platform's; its cells are left blank in all that is written, and not sent.",
        "Remove the column from the sheet, so that nobody reads it there.",
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
        "{known!r} is set by the platform; its values are not sent.",
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
        "Set media_type to 'Google Call Extension', or clear adwords_account_id ([] clears what the platform has).",
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
        "{known!r} names one number, but quantity is {value}.",
        "Set quantity to 1, or clear {known!r}.",
    ),
    "names_existing": _error(
        "The row names an existing promo number ({value}), so it cannot ask for a new one.",
        "Clear {known!r} to buy a new number, or clear action to change this one.",
    ),
    "names_nothing": _error(
        "The row asks to {action} a number, and names none.",
        "Fill in promo_number, or the id_from_network of the number.",
    ),
    "move_without_destination": _error(
        "The row asks to move a number, and has no destination.",
        "Fill in destination_advertiser_id_from_network and destination_advertiser_campaign_id_from_network.",
    ),
    "not_on_update": _warning(
        "{known!r} chooses a new number; this one exists already, so it is not sent.",
    ),
    # The parts of an advertiser
    "email_repeated": _error(
        "The user has the email address {value!r} twice.",
        "Keep it once.",
    ),
    "nobody_notified": _error(
        "None of the user's email addresses is used for notifications; the platform needs one.",
        "Type TRUE into use_for_notifications of one of them.",
    ),
    "no_site": _error(
        "The advertiser has no site; the platform needs one at least, and takes the first as the default.",
        "Add a site: sites.1.id_from_network, or a row on the sheet sites.",
    ),
    "part_without_id": _error(
        "The row has values of a {part} but no {known!r}, so it cannot be told which one it is.",
        "Fill in {known!r}, or clear the other cells of the {part}.",
    ),
    "parent_missing": _error(
        "There is no advertiser {value!r} on the sheet advertisers.",
        "Add a row for it there (its id_from_network is enough when the platform has it), or correct the id.",
    ),
    "contradiction": _error(
        "{value!r} contradicts {other!r} at {place}; both are about the same {part}.",
        "Make the two cells equal, or clear one of them.",
    ),
    "duplicate_name": _error(
        "The name {value!r} stands at several advertisers ({rows}); names are unique in a network.",
        "Give each advertiser a name of its own.",
    ),
    # Rows against rows
    "duplicate_own_id": _error(
        "The id_from_network {value!r} stands on the rows {rows} of the same campaign.",
        "Give each promo number an id of its own.",
    ),
    "duplicate_number": _error(
        "The promo number {value!r} stands on the rows {rows}.",
        "Keep one row for each number.",
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
        "An earlier run ({run}) could not establish whether this row was done; it is looked up again, and not sent.",
        "If you are sure that the platform does not have it: invoca-bulk resume {run} --resend-absent. Where the "
        "journal of that run is gone, clear the row's result columns instead.",
    ),
    # The plan: rows against the platform's state
    "advertiser_exists": _error(
        "The platform already has an advertiser with the id_from_network {value!r}: {name}.",
        "Clear action to update it, or give the new one another id.",
    ),
    "advertiser_not_found": _error(
        "The platform has no advertiser with the id_from_network {value!r}.",
        "Correct the id, or clear action to create it.",
    ),
    "name_taken": _error(
        "The name {value!r} belongs to the advertiser {other!r} on the platform; names are unique in a network.",
        "Give the advertiser another name, or correct its id if it is that one.",
    ),
    "number_not_found": _error(
        "The campaign has no promo number {value}.",
        "Correct the number or the campaign's ids, or remove the row if the number was deleted already. "
        "To buy a new number instead, clear {known!r}.",
    ),
    "own_id_not_found": _error(
        "The campaign has no promo number with the id_from_network {value!r}.",
        "Correct the id or the campaign's ids, clear action to create it, or remove the row if it was deleted already.",
    ),
    "own_id_differs": _error(
        "The promo number has the id_from_network {other!r} on the platform; it cannot be changed to {value!r}.",
        "Clear id_from_network.",
    ),
    "already_gone": _warning(
        "The platform has no advertiser {value!r}, so there is nothing to delete.",
        "Check the id if it should be there.",
    ),
    "default_site_changes": _warning(
        "The default site is {other!r} instead of {value!r} from now on, since the first site is the default.",
        "Keep the site {value!r} in its place if it should stay the default.",
    ),
    "parent_deleted": _error(
        "The same workbook deletes the advertiser {value!r}.",
        "Remove one of the two rows.",
    ),
    "would_be_removed": _error(
        "Sent with --nested replace, the advertiser would lose {what}.",
        "Add them to the sheet, use --nested merge, or allow it with --allow-removals (allow_removals=True).",
    ),
    "row_beside_invalid": _error(
        "Another row of the same {part} has errors ({place}), so nothing of it is sent.",
        "Correct that row.",
    ),
    "own_id_exists": _error(
        "The campaign already has a promo number with the id_from_network {value!r}: {number}.",
        "Remove the row, or give the new number another id.",
    ),
    "campaign_not_found": _error(
        "The platform does not know where this row goes: {text}.",
        "Check the ids of the advertiser, the campaign and the affiliate, and that the network id is the right one.",
    ),
    # Undo: what of a run is not taken back
    "undo_deleted": _error(
        "The run deleted the {part}; what is deleted cannot be had again.",
        "Ask for a new {part} with a sheet of your own, if one is needed.",
    ),
    "undo_unknown": _error(
        "It is not certain whether the run has done this: {text}.",
        "Settle it first (invoca-bulk resume {run}), then undo the run again.",
    ),
    "undo_unseen": _error(
        "The journal does not hold the whole {part} as it was before and after the run.",
        "Look at the {part} on the platform, and change it with a sheet of your own.",
    ),
    "undo_gone": _error(
        "The {part} is not there any more; it was deleted or moved after the run.",
        "If it still exists, change it with a sheet of your own.",
    ),
    "undo_changed": _error(
        "The {part} has changed after the run: {what}.",
        "Look at the {part}; what shall go back has to be changed with a sheet of your own.",
    ),
    "undo_unheld": _error(
        "No sheet can put back what the {part} was: {what}.",
        "Change the {part} on the platform.",
    ),
    "undo_needed": _error(
        "A promo number that the run created for the advertiser is not taken back, so the advertiser has to stay.",
        "Take the number back first, then undo the run again.",
    ),
    # The whole sheet
    "blank_rows": _warning(
        "{count} blank row(s) were skipped.",
    ),
    "hidden_rows": _warning(
        "{count} row(s) are hidden in the spreadsheet; they are read like any other.",
    ),
    "sheet_ignored": _warning(
        "The sheet {value!r} is left out; of this workbook these are read: {read}.",
        "To have its rows read as well, move them to one of these; to read it alone, name it (--sheet, sheet=…).",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing wrong, not yet placed in a row.

    Attributes:
        code: a key of `ISSUE_TYPES`.
        column: the column's path, where the rule looks at several; None means the column that is being read.
        details: what fills the places of the message and the fix.
    """

    code: str
    column: str | None = None
    details: Mapping[str, object] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """`error` or `warning`."""
        return ISSUE_TYPES[self.code].level

    @cached_property
    def message(self) -> str:
        """What is wrong, in one sentence."""
        return ISSUE_TYPES[self.code].message.format_map(self._display_details)

    @cached_property
    def fix(self) -> str:
        """What to do about it; empty when nothing needs to be done."""
        return ISSUE_TYPES[self.code].fix.format_map(self._display_details)

    @property
    def _display_details(self) -> dict[str, object]:
        return {name: truncate(one) if _may_be_truncated(one) else one for name, one in self.details.items()}


class Unshortened(str):
    """A detail that is shown whole: what would be lost is named, however much it is."""

    __slots__ = ()


def _may_be_truncated(detail: object) -> TypeGuard[str]:
    return isinstance(detail, str) and not isinstance(detail, Unshortened)


def add_marker(code: str, text: str) -> str:
    """The text of a cell with the mark of an issue in front; one that has it already stays as it is."""
    mark = _MARKER_BY_ISSUE_CODE[code]
    shown = text if text.startswith(mark) else f"{mark} {text}" if text else mark
    return shown[:MAX_CELL_CHARACTERS]


def parse_marker(text: str) -> Problem | None:
    """The problem that a text's mark stands for, or None when it has none."""
    found = _MARKER_PATTERN.match(text)
    return Problem(code=ISSUE_CODE_BY_MARKER[found[1].upper()], details={"value": found[2]}) if found else None


def truncate(text: str, limit: int = 120) -> str:
    """A text that fits into a sentence."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class ParseError(ValueError):
    """A text that a kind cannot read; carries the problem. It never leaves the package."""

    def __init__(self, code: str, **details: object) -> None:
        self.problem = Problem(code=code, details=details)
        super().__init__(self.problem.message)
