"""The catalogue of issues in cells, rows and headers, one entry for each code.

A message says what is wrong, a fix what to do; both are filled with the details of a `Problem`. No other module words
an issue, so the same problem reads the same everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from invoca_bulk.schema.invisible import show_invisible
from invoca_bulk.wording import option, remedy

Level = Literal["error", "warning"]

#: The columns of a DataFrame of issues. `sheet` is empty if only one sheet was read; `row` is a nullable integer
#: (missing: the issue concerns a column or the whole sheet); the others are text.
ISSUE_COLUMNS = ("sheet", "row", "column", "level", "code", "value", "message", "fix")

#: Issues about the choice of the worksheets to read.
WORKSHEET_CHOICE_CODES = frozenset({"sheet_ignored", "sheet_hidden"})
#: Issues about the file as a whole, rather than about one of its sheets.
FILE_ISSUE_CODES = WORKSHEET_CHOICE_CODES | {"no_rows"}

#: The longest text of a cell: the limit of Python's csv module, and four times that of Excel.
MAX_CELL_CHARACTERS = 131_072

#: Prefix of the text of a cell that cannot be trusted -> code of its issue. The prefix is part of the text, so the cell
#: stays invalid in every file, DataFrame and copy until somebody types over it.
ISSUE_CODE_BY_MARKER: Mapping[str, str] = {
    "#DATE!": "cell_date",
    "#DATETIME!": "cell_datetime",
    "#FORMULA!": "cell_formula",
    "#DIGITS!": "cell_digits_lost",
    "#MERGED!": "cell_merged",
    "#COVERED!": "cell_covered",
    "#FORMAT!": "id_format",
    "#ERROR!": "cell_error",
    "#TOO_LONG!": "cell_too_long",
    "#ROW!": "row_marked",
}
_MARKER_BY_ISSUE_CODE = {code: marker for marker, code in ISSUE_CODE_BY_MARKER.items()}
#: Case-insensitive, because a column may have been lower-cased in pandas.
_MARKER_PATTERN = re.compile(rf"({'|'.join(ISSUE_CODE_BY_MARKER)})\s*(.*)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class IssueType:
    """One type of issue."""

    level: Level  # rows with an `error` are never sent, rows with a `warning` are
    message: str  # its `{…}` placeholders are filled with the details of a `Problem`
    fix: str  # empty if nothing needs to be done


def _error(message: str, fix: str) -> IssueType:
    return IssueType(level="error", message=message, fix=fix)


def _warning(message: str, fix: str = "") -> IssueType:
    return IssueType(level="warning", message=message, fix=fix)


ISSUE_TYPES: Mapping[str, IssueType] = {
    # Headers
    "column_misspelt": _error(
        "Unknown column {value!r}; it looks like a misspelling of {known!r}.",
        "Rename the column to {known!r}. To keep it as a column of your own, give it a clearly different name.",
    ),
    "column_unknown": _warning("Unknown column {value!r}; it is copied to the results and not sent."),
    "column_missing": _error(
        "The required column {known!r} is missing.", "Add the column {known!r} and fill it in for every row."
    ),
    "column_repeated": _error(
        "The columns {first!r} and {value!r} both mean {known!r}.", "Remove one of the two columns."
    ),
    "version_between": _warning(
        "The API did not change at {version}; the rules of version {which} apply.",
    ),
    "column_unsupported": _error(
        "API version {version} does not support {known!r}; {which}.",
        f"Choose a version that does ({option('api_version=…')}), or remove the column.",
    ),
    "secret_dropped": _warning(
        "{known!r} is a secret of the platform; its values are not sent, and every output leaves its cells blank.",
        "Remove the column from the sheet, so that nobody can read the secret there.",
    ),
    # What the spreadsheet program did to a cell
    "cell_error": _error(
        "The cell contains the spreadsheet error {value}.", "Correct the formula in the spreadsheet, or type the value."
    ),
    "cell_formula": _error(
        "The cell contains a formula without its result.",
        "Type the value; or open the original file in your spreadsheet program, save it and try again.",
    ),
    "cell_date": _error(
        "The cell is a date ({value}): Excel turns text such as 3-4 or MAY1 into dates.",
        "Format the column as Text and type the value again.",
    ),
    "cell_datetime": _error(
        "The cell is a date ({value}), not the text that is to be sent.",
        'Turn the column into text, e.g. frame[column] = pd.to_datetime(frame[column]).dt.strftime("%Y-%m-%d").',
    ),
    "cell_digits_lost": _error(
        "The cell is a number with more than 15 digits; Excel has replaced the digits after the 15th with zeros.",
        "Format the column as Text and type the value again.",
    ),
    "cell_scientific": _error(
        "{value!r} is a long number in the short form of a spreadsheet; most of its digits are lost.",
        "Format the column as Text, type the value again, and save the file anew.",
    ),
    "cell_merged": _error(
        "The cell is merged with others, and the spreadsheet shows {value!r} for all of them; the file holds it in the "
        "first one only.",
        "Unmerge the cells, and fill in each of them.",
    ),
    "cell_covered": _error(
        "Merged cells cover the cell; it holds {value}.",
        "Unmerge the cells, and type into each of them the value that you mean.",
    ),
    "id_format": _error(
        "The cell's number format changes the id: the spreadsheet shows {value}.",
        "Format the column as Text, and type the id again as it is in your network.",
    ),
    "cell_format": _warning(
        "The cell holds {value!r}, but its number format shows {shown!r}.",
        "If you mean {shown!r}, format the column as Text and type it again.",
    ),
    "cell_too_long": _error(
        f"The cell has more than {MAX_CELL_CHARACTERS:,} characters; its text was cut.",
        "Type a shorter text. In a CSV file, also look for a quote that is never closed.",
    ),
    "cell_control": _error("The text contains an invisible character ({name}).", "Type the text again without it."),
    "row_too_long": _error(
        "The row has {count} cells, but the header has {expected}.",
        'Put quotes around each text that contains the delimiter, e.g. "Smith, Jones".',
    ),
    "quote_unclosed": _error(
        "A quote opens in this row and is never closed, so the rows below it were read as part of its last cell.",
        "Close or remove the quote, and read the file again.",
    ),
    "row_total": _error(
        "The row looks like a total, not like a request.",
        "Delete the row. If it is one to send, write create into its action column.",
    ),
    "row_example": _warning(
        "The row is one of the template's examples; a run on a real network refuses it.",
        "Replace it with a row of your own, or delete it.",
    ),
    "row_marked": _error(
        "The row was an error in its original file (too many cells, a quote that is never closed, or a total).",
        "Type the row again, or delete it.",
    ),
    "cell_cleaned": _warning("{value!r} is read as {clean!r}."),
    "cell_unwrapped": _warning("{original!r} is read as {value!r}."),
    "text_invisible": _warning(
        "The text contains invisible characters ({names}); they are sent.",
        "Type the text again without them, unless they belong there.",
    ),
    "text_replaced": _warning(
        "The text {value!r} was damaged before it came here: a letter in it was replaced by U+FFFD.",
        "Type the text again.",
    ),
    "text_garbled": _warning(
        "The text {value!r} has {garbled!r}{likely}, as if it had been read in the wrong encoding before it came here.",
        "Compare it with the original, and type it again.",
    ),
    "text_missing_value": _warning(
        "{value!r} is sent as a text, but programs also write it for a missing value.",
        "If no value is meant, clear the cell.",
    ),
    # Values
    "required": _error("{known!r} is required to {action}.", "Fill in the cell{example}."),
    "not_a_choice": _error("{value!r} is not a valid value for {known!r}{hint}.", "{suggestion}"),
    "unlisted_value": _warning(
        "{value!r} is not in the published list of {known!r}; it is sent as it is.", "Check the spelling."
    ),
    "spelling_uncertain": _warning(
        "{value!r} is sent as typed, but the published spelling is uncertain: it may be {other!r}.",
        "If the platform refuses it, type {other!r}.",
    ),
    "choice_cleaned": _warning("{value!r} is read as {clean!r}."),
    "not_a_number": _error("{value!r} is not a whole number.", "Type a whole number from {minimum} to {maximum}."),
    "out_of_range": _error(
        "{value} is not between {minimum} and {maximum}.", "Type a whole number from {minimum} to {maximum}."
    ),
    "not_a_boolean": _error("{value!r} is neither yes nor no.", "Type TRUE or FALSE."),
    "not_an_area_code": _error(
        "{value!r} is not an area code in use in the USA or Canada.",
        "Type the three digits of an area code in use, such as 805.",
    ),
    "toll_free_area_code": _error(
        "{value} is a toll-free prefix, not an area code.",
        "For a toll-free number, leave all local_center columns blank.",
    ),
    "not_area_codes": _error(
        "{value!r} is not a list of area codes.",
        'Type area codes separated by commas, such as 805, 212, or a JSON list such as ["805", "212"].',
    ),
    "not_a_zip_code": _error(
        "{value!r} is not a zip code.",
        "Type the five digits of a US zip code, such as 93101, or a Canadian postal code, such as K1A 0B1.",
    ),
    "zip_code_zero_lost": _error("{value!r} has too few digits for a zip code; Excel drops leading zeros.", "{fixed}"),
    "zip_code_too_precise": _error("{value!r} is a nine-digit zip code; only five digits are accepted.", "{fixed}"),
    "not_a_state": _error("{value!r} is not the two-letter code of a US state or a Canadian province.", "{suggestion}"),
    "not_an_ads_account": _error(
        "{value!r} is not a Google Ads account id.", "Type it as 627-345-9815, or type only the digits."
    ),
    "not_digits": _error("{value!r} contains characters other than digits.", "Type digits only, such as 80561."),
    "digits_ignored": _warning("The platform uses only the first five digits of {value!r}."),
    "not_a_time": _error(
        "{value!r} is not a time of day on a quarter of an hour.",
        "Type the time as HH:MM, on a quarter of an hour, such as 08:00 or 17:45.",
    ),
    "end_of_day": _warning(
        "Whether a schedule may end at {value} is not documented; it is sent as typed.",
        "If the platform refuses it, type 23:45.",
    ),
    "only_cleared": _error(
        "{value!r} cannot be set as a whole.", "Type [] to remove it, or use the columns of its parts."
    ),
    "not_a_phone_number": _error(
        "{value!r} is not a valid phone number.",
        "Type 10 digits, such as 8055550100, or the international form, such as +448081570192.",
    ),
    "phone_placeholder": _warning(
        "{value!r} looks like a placeholder: no phone has this number.", "Type a number that is in use."
    ),
    "not_a_country_code": _error(
        "{value!r} is not the country code of phone numbers.", "Type its digits, such as 44 for the United Kingdom."
    ),
    "not_an_email": _error(
        "{value!r} is not a valid email address: {reason}", "Type an address such as name@example.com."
    ),
    "not_an_id": _error(
        "{value!r} cannot be used as an id: {reason}.",
        "Use an id that is not '.' or '..', has no control characters and is not too long.",
    ),
    "read_only": _warning("{known!r} is set by the platform; its values are not sent."),
    "cannot_clear": _error("{known!r} cannot be cleared with [].", "Type a value, or leave the cell blank."),
    # Several columns of a row
    "local_center_conflict": _error(
        "The local center is given in more than one way ({given}); the platform does not document which one it uses.",
        "Keep one: tn_prefix, or zipcode, or city with state.",
    ),
    "city_without_state": _error(
        "A local center needs city and state together; {missing} is blank.", "Fill in {missing}, or clear {given}."
    ),
    "no_local_center": _warning(
        "{known!r} has no effect without a local center: this row requests a toll-free number.",
        "For a local number, fill in local_center.tn_prefix, .zipcode, or .city and .state.",
    ),
    "ads_account_media_type": _error(
        "adwords_account_id needs the media type 'Google Call Extension', not {value!r}.",
        "Set media_type to 'Google Call Extension', or clear adwords_account_id ([] clears the value on the platform).",
    ),
    "hours_on_affiliate": _error(
        "hours_of_operation applies to advertiser campaigns only, but the row names an affiliate.",
        "Clear the hours_of_operation columns, or affiliate_id_from_network.",
    ),
    "schedule_incomplete": _error(
        "A schedule needs day_of_week, open_time and close_time together; {missing} is blank.", "Fill in {missing}."
    ),
    "hours_incomplete": _error("hours_of_operation needs {missing}.", "Fill in the cell."),
    "schedule_backwards": _warning(
        "The schedule opens at {open} and closes at {close}; whether it may pass midnight is not documented.",
        "If the platform refuses it, split the schedule at midnight, or correct the times.",
    ),
    "schedules_overlap": _error(
        "Two schedules of {day} overlap: {first} and {second}.", "Change the times so that they do not overlap."
    ),
    "destination_incomplete": _error(
        "A move needs the destination's advertiser and campaign; {missing} is blank.",
        "Fill in {missing}, or clear the destination columns.",
    ),
    "destination_affiliate": _error(
        "A number can move to an affiliate campaign only from another affiliate campaign.",
        "Fill in affiliate_id_from_network, or clear destination_affiliate_id_from_network.",
    ),
    "not_on_create": _error("{known!r} applies only when an existing number is changed or moved.", "Clear the cell."),
    "own_id_quantity": _error(
        "{known!r} identifies one number, but quantity is {value}.", "Set quantity to 1, or clear {known!r}."
    ),
    "names_existing": _error(
        "The row names an existing promo number ({value}), so it cannot create a new one.",
        "Clear {known!r} to buy a new number, or clear action to change the existing one.",
    ),
    "names_nothing": _error(
        "The action is {action}, but the row does not say which number to {action}.",
        "Fill in promo_number, or the number's id_from_network.",
    ),
    "move_without_destination": _error(
        "The action is move, but the row has no destination.",
        "Fill in destination_advertiser_id_from_network and destination_advertiser_campaign_id_from_network.",
    ),
    "not_on_update": _warning(
        "{known!r} affects only the choice of a new number; this number already exists, so it is not sent."
    ),
    # An advertiser's users and sites
    "email_repeated": _error(
        "The user has the email address {value!r} more than once.", "Remove the repeated address."
    ),
    "nobody_notified": _error(
        "None of the user's email addresses is used for notifications; at least one must be.",
        "Set use_for_notifications to TRUE for one of them.",
    ),
    "created_without_site": _warning(
        "The new advertiser has no site; the documentation requires one, but the platform has been seen to do without.",
        "To be safe, add a site: fill in sites.1.id_from_network, or add a row to the sheet sites. To go without: "
        f"{option('allow_no_sites')}.",
    ),
    "maybe_without_site": _warning(
        "If the advertiser is new, it gets no site; the documentation requires one, but the platform has been seen to "
        "do without.",
        "If it is new, add a site: fill in sites.1.id_from_network, or add a row to the sheet sites. To go without: "
        f"{option('allow_no_sites')}.",
    ),
    "no_site": _error(
        "The row removes the advertiser's last site; it needs at least one, and the first one is the default.",
        "Keep a site, or add another: fill in sites.1.id_from_network, or add a row to the sheet sites. "
        f"To try without: {option('allow_no_sites')}.",
    ),
    "part_without_id": _error(
        "The row has values for a {part} but no {known!r}, so it is unclear which {part} they belong to.",
        "Fill in {known!r}, or clear the other cells of the {part}.",
    ),
    "parent_missing": _error(
        "The sheet advertisers has no row for the advertiser {value!r}.",
        "Add one (its id_from_network is enough if the advertiser exists on the platform), or correct the id.",
    ),
    "contradiction": _error(
        "{value!r} contradicts {other!r} at {place}; both describe the same {part}.",
        "Make the two cells equal, or clear one of them.",
    ),
    "duplicate_name": _error(
        "Several advertisers have the name {value!r} ({rows}); names must be unique in a network.",
        "Give each advertiser a different name.",
    ),
    # Rows compared with each other
    "duplicate_own_id": _error(
        "The id_from_network {value!r} is used more than once in the same campaign: rows {rows}.",
        "Give each promo number a different id.",
    ),
    "duplicate_number": _error(
        "The promo number {value!r} has more than one row: {rows}.", "Keep one row for each number."
    ),
    "own_id_case": _warning(
        "The id {value!r} differs only in case from {other!r}, {place}; they are two different ids.",
        "If they mean the same, write them alike.",
    ),
    "identical_rows": _warning("Rows {rows} are identical; each of them buys a number."),
    # Rows compared with earlier runs
    "status_unknown": _error(
        "{value!r} is not a valid result_status, so it is unclear whether the row was processed.",
        "Clear the cell to send the row, or remove the row to skip it.",
    ),
    "unsettled_row": _warning(
        "An earlier run ({run}) could not determine whether this row was done; it is looked up again and not sent.",
        "If you are sure that the platform does not have it: {resume}. If the "
        "journal of that run is gone, clear the row's result columns instead.",
    ),
    "claim_restored": _warning("The results of run {run} have for this row: {what}."),
    "claim_dropped": _warning(
        "Run {run} has no such row, and all its rows are in the sheet, so this row counts as a new request.",
        "To leave it out, delete the row.",
    ),
    "row_edited": _warning(
        "Run {run} did this row, and it was edited since: {what}. The edits are not sent.",
        f"To send them as an update: {option('apply_edits')}.",
    ),
    "unsettled_row_edited": _warning(
        "Run {run} could not determine whether this row was done, and it was edited since: {what}. The row is looked "
        "up with what was sent.",
        "Edit the row once its outcome is known.",
    ),
    "claim_contradicted": _error(
        "The row says {value!r}, but the outcome in run {run} is {outcome!r}.", "Type {outcome} into the cell."
    ),
    "claim_moved": _error(
        "In run {run}, {number} belongs to another request; the cells of this row differ from it: {what}. A column was "
        "probably sorted alone.",
        "Take the results of the run again ({resume}), and sort whole rows.",
    ),
    "claim_repeated": _error(
        "Rows {rows} stand for the same {what}.",
        "Keep one of them. To ask for one more number, clear the result columns and promo_number of the other.",
    ),
    "claim_other_number": _error(
        "The row shows the number {shown!r}, but in run {run} its number is {number}.",
        "Type {number} into promo_number, or sort the sheet as whole rows.",
    ),
    "claim_elsewhere": _error(
        "Run {run} did this row elsewhere; its ids were edited since: {what}.",
        "Type the earlier ids. To move a number, fill in the destination columns and clear the result columns.",
    ),
    "claim_unfounded": _error(
        "The row says {value!r}, but run {run} has no such row.",
        "Take the results of the run again ({resume}), or clear the row's result columns to send it as a new one.",
    ),
    "claim_undone": _error(
        "Run {other} has taken back what run {run} did for this row.",
        "{suggestion}",
    ),
    "claim_of_other_network": _error(
        "Run {run} did this row on {other}; this is {network}.",
        "To send it here, clear its result columns and what the platform assigned (promo_number, id).",
    ),
    "claim_not_on_platform": _error(
        "The row says {value!r}, but no journal here knows its run ({run}), and {reason}.",
        "Correct the row's ids and promo_number. Of the results of a rehearsal, correct the original sheet and run "
        "that. To send the row as a new one, clear promo_number and the result columns.",
    ),
    "replaces_unsettled_row": _error(
        "Row {row} of run {run} may have been done, and no row of the sheet stands for it any more; this row resembles "
        "it, and could ask for the same once more.",
        f"Look it up first: {{resume}}. If this row is another request: {option('again')}.",
    ),
    # Planning: rows compared with the platform's state
    "advertiser_exists": _error(
        "The platform already has an advertiser with the id_from_network {value!r}: {name}.",
        "Clear action to update it, or give the new advertiser another id.",
    ),
    "advertiser_not_found": _error(
        "The platform has no advertiser with the id_from_network {value!r}.",
        "Correct the id, or clear action to create it.",
    ),
    "name_taken": _error(
        "The advertiser {other!r} on the platform already has the name {value!r}; names must be unique in a network.",
        "Choose another name. If the row is about that advertiser, correct its id.",
    ),
    "number_not_found": _error(
        "The campaign has no promo number {value}.",
        "Correct the number or the campaign's ids, or remove the row if the number is already deleted. "
        "To buy a new number instead, clear {known!r}.",
    ),
    "own_id_not_found": _error(
        "The campaign has no promo number with the id_from_network {value!r}.",
        "Correct the id or the campaign's ids, clear action to create it, or remove the row if it is already deleted.",
    ),
    "own_id_differs": _error(
        "The promo number has the id_from_network {other!r} on the platform; it cannot be changed to {value!r}.",
        "Clear id_from_network.",
    ),
    "flag_kept": _warning(
        "Run {run} sent {value}, and the platform answered {other} and still shows it; it is sent again only with "
        "another change.",
        "Clear the cell, or set it to {other}.",
    ),
    "already_gone": _warning(
        "The platform has no advertiser {value!r}, so there is nothing to delete.",
        "Check the id if the advertiser should exist.",
    ),
    "default_site_changes": _warning(
        "The default site changes from {value!r} to {other!r}, because the first site is the default.",
        "To keep {value!r} as the default, list it first.",
    ),
    "parent_deleted": _error("The same workbook deletes the advertiser {value!r}.", "Remove one of the two rows."),
    "would_be_removed": _error(
        f"With {option('nested=replace')}, the advertiser would lose {{what}}.",
        f"Add them to the sheet, use {option('nested=merge')}, or allow it with {option('allow_removals')}.",
    ),
    "parts_unknown": _error(
        "The platform does not show the {what} of the advertiser, and an update would delete what it does not name.",
        "Plan again later, or ask Invoca's support about this advertiser.",
    ),
    "cannot_keep": _error(
        "The platform shows {what}; no update can send that back unchanged.",
        "Change the advertiser on the platform, or ask Invoca's support.",
    ),
    "country_code_kept": _error(
        "The user has the country code {other} on the platform, which would also apply to the new number {value!r}.",
        "Fill in contact_country_code too.",
    ),
    "row_beside_invalid": _error(
        "Another row of the same {part} has errors ({place}), so none of its rows is sent.", "Correct that row."
    ),
    "own_id_exists": _error(
        "The campaign already has a promo number with the id_from_network {value!r}: {number}.",
        "Remove the row, or give the new number another id.",
    ),
    "campaign_not_found": _error(
        "The platform does not find the campaign: {text}.",
        "Check the ids of the advertiser, the campaign and the affiliate, and the network id.",
    ),
    # Undo: steps of a run that are not undone
    "undo_deleted": _error(
        "The run deleted the {part}; deleted objects cannot be restored.",
        "If you still need the {part}, create a new one with a sheet.",
    ),
    "undo_unknown": _error(
        "It is uncertain whether the run did this: {text}.",
        f"Resume the run first ({remedy('resume', subject='{run}')}), then undo it again.",
    ),
    "undo_unseen": _error(
        "The journal does not contain the whole {part} as it was before and after the run.",
        "Check the {part} on the platform, and change it with a sheet.",
    ),
    "undo_gone": _error(
        "The {part} was not found; it was deleted or moved after the run.",
        "If it still exists elsewhere, change it with a sheet.",
    ),
    "undo_changed": _error(
        "The {part} has changed since the run: {what}.",
        "Check the {part}, and restore the values that you want with a sheet.",
    ),
    "undo_unheld": _error(
        "These values of the {part} cannot be restored with a sheet: {what}.", "Change the {part} on the platform."
    ),
    "undo_needed": _error(
        "The advertiser still has a promo number that the run created, so it cannot be deleted.",
        "Delete the number first, then undo the run again.",
    ),
    # The whole sheet
    "encoding_assumed": _warning(
        "The file is not UTF-8; it is read as {name}, for example {value!r} in row {row}{others}.",
        f"If that is not what the file says, use {option('encoding=…')}.",
    ),
    "quotes_after_space": _warning(
        "Spaces stand between the delimiters and the texts, in row {row} before a quote; these spaces and the quotes "
        "around the texts are left out."
    ),
    "quotes_single": _warning("The texts have single quotes around them, first in row {row}; these are left out."),
    "blank_rows": _warning("Skipped blank rows: {count}."),
    "hidden_rows": _warning("Hidden rows in the spreadsheet: {count}; they are read like any other."),
    "hidden_columns": _warning("Hidden columns in the spreadsheet: {columns}; they are read like any other."),
    "sheet_ignored": _warning(
        "The sheet {value!r} is not read. Read from this workbook: {read}.",
        f"To have its rows read as well, move them to the sheet that is read; to read it alone: {option('sheet=…')}.",
    ),
    "sheet_hidden": _warning(
        "The hidden sheet {value!r} is not read. Read from this workbook: {read}.",
        f"If you want its rows, unhide it and move them to the sheet that is read; to read it alone: "
        f"{option('sheet=…')}.",
    ),
    "no_rows": _error("There are no rows below the header.", "Type or paste your rows below the header."),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong, not yet assigned to a row."""

    code: str  # a key of `ISSUE_TYPES`
    column: str | None = None  # its path; None: the column that is being read
    details: Mapping[str, object] = field(default_factory=dict)  # placeholder name to value

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
        """What to do about it; empty if nothing needs to be done."""
        return ISSUE_TYPES[self.code].fix.format_map(self._display_details)

    @property
    def _display_details(self) -> dict[str, object]:
        return {
            name: show_invisible(truncate(detail))
            if isinstance(detail, str) and not isinstance(detail, Unshortened)
            else detail
            for name, detail in self.details.items()
        }


class Unshortened(str):
    """A detail that is never truncated, such as a list of everything that would be lost."""

    __slots__ = ()


def add_marker(code: str, text: str) -> str:
    """Prefix the text of a cell with the marker of an issue, unless it already has it."""
    marker = _MARKER_BY_ISSUE_CODE[code]
    marked_text = text if text.startswith(marker) else f"{marker} {text}" if text else marker
    return marked_text[:MAX_CELL_CHARACTERS]


def parse_marker(text: str) -> Problem | None:
    """The problem that the marker of a cell's text stands for, or None without a marker."""
    match = _MARKER_PATTERN.match(text)
    return Problem(code=ISSUE_CODE_BY_MARKER[match[1].upper()], details={"value": match[2]}) if match else None


def truncate(text: str, limit: int = 120) -> str:
    """The text, cut to `limit` characters so that it fits into a sentence."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


class ParseError(ValueError):
    """A text that a field type cannot parse. It carries the problem and never leaves the package."""

    def __init__(self, code: str, **details: object) -> None:
        self.problem = Problem(code=code, details=details)
        super().__init__(self.problem.message)
