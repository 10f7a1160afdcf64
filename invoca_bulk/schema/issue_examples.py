"""An example for each issue code: why it is an issue, cells that raise it, and the same cells corrected.

The examples are data: a person reads them, and the tests validate them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from invoca_bulk.schema.model import API_VERSIONS, DEFAULT_API_VERSION
from invoca_bulk.wording import option, remedy

#: A row: column to the text of its cell.
Cells = Mapping[str, str]
#: Name of a sheet to its rows.
Sheets = Mapping[str, tuple[Cells, ...]]

NEWEST_API_VERSION = API_VERSIONS[-1]


@dataclass(frozen=True, kw_only=True)
class IssueExample:
    """An example of one issue.

    Attributes:
        why: why it is an issue, in one or two sentences.
        wrong: sheets that raise the issue, or the text of a CSV file that does.
        right: the same, corrected.
        details: placeholder to value, for the message and the fix in the catalogue.
        state: what the platform, the file or the run is like; empty: the cells alone raise the issue.
        api_version: the API version that the sheets are for.
        is_complete: whether the cells are the whole row; otherwise its other required cells are filled in.
    """

    why: str
    wrong: Sheets | str
    right: Sheets | str
    details: Mapping[str, object] = field(default_factory=dict)
    state: str = ""
    api_version: str = DEFAULT_API_VERSION
    is_complete: bool = False


def _cell(  # noqa: PLR0913  keyword-only
    column: str,
    wrong: str,
    right: str,
    why: str,
    *,
    beside: Cells | None = None,
    api_version: str = DEFAULT_API_VERSION,
    **details: object,
) -> IssueExample:
    """One cell of a promo number request, and cells beside it that are the same in both."""
    wrong_row, right_row = ({**(beside or {}), column: text} for text in (wrong, right))
    return IssueExample(
        why=why,
        wrong={"promo_numbers": (wrong_row,)},
        right={"promo_numbers": (right_row,)},
        api_version=api_version,
        details=details,
    )


def _rows(  # noqa: PLR0913  keyword-only
    wrong: list[Cells],
    right: list[Cells],
    why: str,
    *,
    resource: str = "promo_numbers",
    state: str = "",
    api_version: str = DEFAULT_API_VERSION,
    is_complete: bool = False,
    **details: object,
) -> IssueExample:
    """Rows of one sheet."""
    return IssueExample(
        why=why,
        wrong={resource: tuple(wrong)},
        right={resource: tuple(right)},
        state=state,
        api_version=api_version,
        is_complete=is_complete,
        details=details,
    )


def _sheets(wrong: Sheets, right: Sheets, why: str, *, state: str = "", **details: object) -> IssueExample:
    """Rows of several sheets."""
    return IssueExample(why=why, wrong=wrong, right=right, state=state, details=details)


def _csv(wrong: str, right: str, why: str, *, state: str = "", **details: object) -> IssueExample:
    """The text of a CSV file."""
    return IssueExample(why=why, wrong=wrong, right=right, state=state, details=details)


_AREA_CODE, _ZIP_CODE = "local_center.tn_prefix", "local_center.zipcode"
_CITY, _STATE = "local_center.city", "local_center.state"
_CAMPAIGN = {"advertiser_id_from_network": "A-100", "advertiser_campaign_id_from_network": "C-100"}
_REQUEST = {**_CAMPAIGN, "description": "Spring sale", "media_type": "Online: Display"}
_NUMBER = {**_CAMPAIGN, "promo_number": "8055550100"}
_RUN = "20260301-101500-ab12"
_DONE = {"promo_number": "8055550100", "result_status": "created", "result_run": _RUN}
_TO_ADVERTISER = "destination_advertiser_id_from_network"
_TO_CAMPAIGN = "destination_advertiser_campaign_id_from_network"
_TO_AFFILIATE = "destination_affiliate_id_from_network"
_DESTINATION = {_TO_ADVERTISER: "A-200", _TO_CAMPAIGN: "C-200"}
_EMAIL = "users.1.email_settings.1.email_address"
_NOTIFIED = "users.1.email_settings.1.use_for_notifications"
_USER = {
    "users.1.id_from_network": "U-1",
    _EMAIL: "chris@example.com",
    _NOTIFIED: "TRUE",
    "users.1.first_name": "Chris",
    "users.1.last_name": "Dean",
    "users.1.contact_phone_number": "8055550100",
}
_BRITISH_USER = {"id_from_network": "A-400", "name": "London Cabs", "users.1.id_from_network": "U-1"}
_CSV_HEADER = "advertiser_id_from_network,advertiser_campaign_id_from_network,description,media_type"


_OPEN = {"hours_of_operation.open_24_7": "TRUE", "hours_of_operation.time_zone": "Hawaii"}


def _schedule(number: int, opens: str, closes: str) -> Cells:
    names = ("day_of_week", "open_time", "close_time")
    path = f"hours_of_operation.schedules.{number}"
    texts = {f"{path}.{name}": text for name, text in zip(names, ("Monday", opens, closes), strict=True)}
    return {"hours_of_operation.time_zone": "Hawaii", **texts}


#: Group of codes to the examples of its codes, in the order of the catalogue.
ISSUE_GROUPS: Mapping[str, Mapping[str, IssueExample]] = {
    "Headers": {
        "column_misspelt": _rows(
            [{"local_center.tn_prefx": "805"}],
            [{_AREA_CODE: "805"}],
            "A misspelt column would be ignored, and the row would request something else than you meant.",
            value="local_center.tn_prefx",
            known="local_center.tn_prefix",
        ),
        "column_unknown": _rows(
            [{"notes": "ask Chris"}],
            [{"custom_data.notes": "ask Chris"}],
            "The platform has no such field. The column may be your own, so it is a warning; to send the values, name "
            "the column custom_data with a key of your network.",
            value="notes",
        ),
        "column_missing": _rows(
            [{name: text for name, text in _REQUEST.items() if name != "description"}],
            [_REQUEST],
            "The platform refuses a request without this field, so no row could be sent.",
            is_complete=True,
            known="description",
        ),
        "column_repeated": _rows(
            [{_AREA_CODE: "805", "Area Code": "212"}],
            [{_AREA_CODE: "805"}],
            "Two columns give the same field, and it is unclear which of them counts.",
            first="local_center.tn_prefix",
            value="Area Code",
            known="local_center.tn_prefix",
        ),
        "version_between": _rows(
            [{}],
            [{"description": "Summer sale"}],
            "It is a warning, so that you see a mistyped date. The platform seems to take any.",
            api_version="2023-10-09",
            state="The API version is 2023-10-09.",
            version="2023-10-09",
            which="2022-08-01",
        ),
        "column_unsupported": _rows(
            [_OPEN],
            [{}],
            "The platform would ignore or refuse a field that the chosen API version does not have.",
            known="hours_of_operation.open_24_7",
            version="2022-08-01",
            which="2026-02-01 and later do",
        ),
        "secret_dropped": _rows(
            [{"oauth_refresh_token": "1//0gExample"}],
            [{}],
            "A secret in a spreadsheet can be read by everybody who gets the file, so it is neither sent nor copied.",
            resource="advertisers",
            known="oauth_refresh_token",
        ),
    },
    "Cells as the spreadsheet program left them": {
        "cell_error": _cell(
            "description",
            "#N/A",
            "Spring sale",
            "The spreadsheet program could not compute the cell, so its value is unknown.",
            value="#N/A",
        ),
        "cell_formula": _cell(
            "description",
            "#FORMULA! =A2&B2",
            "Spring sale",
            "The file holds the formula but not its result, which only a spreadsheet program can compute. The marker "
            "#FORMULA! stays in every copy until you type over it.",
        ),
        "cell_date": _cell(
            _AREA_CODE,
            "#DATE! 2026-08-05",
            "805",
            "The spreadsheet program has replaced what you typed with a date, and the original text is lost. The "
            "marker #DATE! stays in every copy until you type over it.",
            value="2026-08-05",
        ),
        "cell_datetime": _cell(
            "custom_data.start",
            "#DATETIME! 2026-08-05",
            "2026-08-05",
            "A date in a DataFrame can be written in many ways, and only you know which one the platform is to get. "
            "The marker #DATETIME! stays in every copy until you change the cell.",
            value="2026-08-05",
        ),
        "cell_digits_lost": _cell(
            "custom_data.order",
            "#DIGITS! 12345678901234500",
            "12345678901234567",
            "A number in a spreadsheet has at most 15 digits, so the last digits of the id are lost. The marker "
            "#DIGITS! stays in every copy until you type over it.",
        ),
        "cell_scientific": _cell(
            "custom_data.order",
            "1.23457E+11",
            "123456789012",
            "A spreadsheet shows a long number like this, and saves it so as CSV; what you typed is lost.",
            value="1.23457E+11",
        ),
        "cell_merged": _cell(
            _AREA_CODE,
            "#MERGED! 805",
            "805",
            "Merged cells have one value, that of the first cell; the others are blank in the file, and a blank area "
            "code requests a toll-free number. The marker #MERGED! stays in every copy until you type over it.",
            value="805",
        ),
        "cell_covered": _cell(
            "quantity",
            "#COVERED! 50 (the spreadsheet shows 2)",
            "2",
            "Nobody sees a value under merged cells, so it is probably not meant. The marker #COVERED! stays in every "
            "copy until you type over it.",
            value="50 (the spreadsheet shows 2)",
        ),
        "id_format": _cell(
            "advertiser_campaign_id_from_network",
            "#FORMAT! 00042 (the file holds 42)",
            "00042",
            "The id 42 is another one than 00042, and only you know which of the two your network has. The marker "
            "#FORMAT! stays in every copy until you type over it.",
            value="00042 (the file holds 42)",
        ),
        "cell_format": _rows(
            [{"description": "7"}],
            [{"description": "C-0007"}],
            "What the file holds is sent, and not what you see. It is a warning, because you may mean either.",
            state="The cell holds the number 7, and its number format shows C-0007.",
            value="7",
            shown="C-0007",
        ),
        "cell_too_long": _cell(
            "description",
            "#TOO_LONG! Spring sale in the",
            "Spring sale",
            "So long a text is usually several rows in one cell, because a quote is not closed. The marker #TOO_LONG! "
            "stays in every copy until you type over it.",
        ),
        "cell_control": _cell(
            "description",
            "Spring\x07 sale",
            "Spring sale",
            "An invisible character, copied from another program, makes an id or a text differ from one that looks the "
            "same.",
            name="U+0007",
        ),
        "row_too_long": _csv(
            f"{_CSV_HEADER}\nA-100,C-100,Smith, Jones,Online: Display",
            f'{_CSV_HEADER}\nA-100,C-100,"Smith, Jones",Online: Display',
            "The cells after the extra delimiter are in the wrong columns, so the row would request something else.",
            count=5,
            expected=4,
        ),
        "quote_unclosed": _csv(
            f'{_CSV_HEADER}\nA-100,C-100,"Spring sale,Online: Display\nA-100,C-101,Summer,Online: Display',
            f"{_CSV_HEADER}\nA-100,C-100,Spring sale,Online: Display\nA-100,C-101,Summer,Online: Display",
            "Everything below an open quote is one cell, so rows would be missing without anybody noticing.",
        ),
        "row_total": _rows(
            [_REQUEST, {"advertiser_id_from_network": "Total", "quantity": "1"}],
            [_REQUEST],
            "A total under the rows is part of the sheet like any other row, but it must not buy numbers.",
            is_complete=True,
        ),
        "row_example": _rows(
            [
                {
                    "advertiser_id_from_network": "A-200",
                    "advertiser_campaign_id_from_network": "C-200",
                    "description": "Boston store",
                    "media_type": "Offline: Radio",
                    _ZIP_CODE: "02134",
                }
            ],
            [_REQUEST],
            "The template shows what rows look like. It is a warning, because a sandbox runs the examples.",
            is_complete=True,
        ),
        "row_marked": _rows(
            [{**_REQUEST, "advertiser_id_from_network": "#ROW! A-100", "media_type": "Jones"}],
            [_REQUEST],
            "This row was wrong as a whole when its original file was read, e.g. with cells in the wrong columns. "
            "The marker #ROW! stays in every copy until you type over it.",
            is_complete=True,
        ),
        "cell_cleaned": _cell(
            _AREA_CODE,
            "805.0",
            "805",
            "The cell is sent in the cleaned form. It is a warning, so that you can see what is sent.",
            value="805.0",
            clean="805",
        ),
        "cell_unwrapped": _csv(
            f"{_CSV_HEADER}\n'00123,C-100,Spring sale,Online: Display",
            f"{_CSV_HEADER}\n00123,C-100,Spring sale,Online: Display",
            'An apostrophe before a number, and ="…" around a text, only tell a spreadsheet to keep the zeros. It is a '
            "warning, so that you can see what is sent.",
            original="'00123",
            value="00123",
        ),
        "text_invisible": _cell(
            "description",
            "Spring\u200bsale",
            "Spring sale",
            "An invisible character, copied from a web page, makes a text differ from one that looks the same. It is a "
            "warning, because some languages need such characters.",
            names="U+200B ZERO WIDTH SPACE",
        ),
        "text_replaced": _cell(
            "description",
            "Caf\ufffd",
            "Café",
            "Another program did not know a letter and replaced it. It is a warning, because only you know the letter.",
            value="Caf\ufffd",
        ),
        "text_garbled": _cell(
            "description",
            "CafÃ©",
            "Café",
            "Another program read the text in the wrong encoding and saved it so. It is a warning, because the text "
            "may be right.",
            value="CafÃ©",
            garbled="Ã©",
            likely=" (probably 'é')",
        ),
        "text_missing_value": _cell(
            "description",
            "nan",
            "Spring sale",
            "Programs such as pandas write nan, None or NULL into texts where there is no value. It is a warning, "
            "because somebody may be called so.",
            value="nan",
        ),
    },
    "Values": {
        "required": _cell(
            "media_type",
            "",
            "Online: Display",
            "The platform refuses a request without this field.",
            known="media_type",
            action="create",
            example="",
        ),
        "not_a_choice": _cell(
            "media_type",
            "Online Display",
            "Online: Display",
            "The platform accepts only the values of a closed list, spelled exactly.",
            value="Online Display",
            known="media_type",
            hint="",
            suggestion="Online: Display",
        ),
        "unlisted_value": _rows(
            [{"media_type": "Pooling"}],
            [{"media_type": "Online: Display"}],
            "Some accounts have other media types than the published ones. It is a warning, so that you see each.",
            state=f"The sheet is checked with {option('allow_unlisted')}.",
            value="Pooling",
            known="media_type",
        ),
        "spelling_uncertain": _cell(
            "media_type",
            "Offline: In-Call Ad",
            "Offline: Radio",
            "The published list has lost a character there. It is a warning: nobody has published an answer with it.",
            value="Offline: In-Call Ad",
            other="Offline: InCall Ad",
        ),
        "choice_cleaned": _cell(
            "media_type",
            "online: display",
            "Online: Display",
            "The value is sent as the platform spells it. It is a warning, so that you can see what is sent.",
            value="online: display",
            clean="Online: Display",
        ),
        "not_a_number": _cell(
            "quantity", "three", "3", "The field is a count.", value="three", minimum=1, maximum="10,000"
        ),
        "out_of_range": _cell(
            "quantity",
            "0",
            "1",
            "The number is outside of what is accepted, which is usually a typing error.",
            value=0,
            minimum=1,
            maximum="10,000",
        ),
        "not_a_boolean": _cell(
            "local_number_preferences.restrict_search_to_state",
            "maybe",
            "TRUE",
            "The field is a switch: yes, no, TRUE, FALSE, 1 and 0 are read, anything else is ambiguous.",
            beside={_AREA_CODE: "805"},
            value="maybe",
        ),
        "not_an_area_code": _cell(
            _AREA_CODE,
            "999",
            "805",
            "No numbers exist in an area code that is not in use, so none could be bought.",
            value="999",
        ),
        "toll_free_area_code": _cell(
            _AREA_CODE, "800", "", "A local center is a region; a toll-free number belongs to none.", value="800"
        ),
        "not_area_codes": _cell(
            "tn_prefix_whitelist",
            "[805",
            "805, 212",
            "The field is a list of area codes, and this text cannot be read as one.",
            beside={_AREA_CODE: "805"},
            value="[805",
        ),
        "not_a_zip_code": _cell(
            _ZIP_CODE, "Boston", "02134", "The platform finds the region of the number by its zip code.", value="Boston"
        ),
        "zip_code_zero_lost": _cell(
            _ZIP_CODE,
            "2134",
            "02134",
            "Without its leading zero it is no zip code. Whether a zero is missing, or another digit, only you know.",
            value="2134",
            fixed="02134",
        ),
        "zip_code_too_precise": _cell(
            _ZIP_CODE,
            "93101-1234",
            "93101",
            "The platform accepts only the five digits of the zip code's region.",
            value="93101-1234",
            fixed="93101",
        ),
        "not_a_state": _cell(
            _STATE,
            "Ontario",
            "ON",
            "The platform accepts only the two-letter code.",
            beside={_CITY: "Toronto"},
            value="Ontario",
            suggestion="ON",
        ),
        "not_an_ads_account": _cell(
            "adwords_account_id",
            "627",
            "627-345-9815",
            "An incomplete account id would connect the number to no account, or to that of somebody else.",
            beside={"media_type": "Google Call Extension"},
            value="627",
        ),
        "not_digits": _cell(
            "promo_number_looks_like",
            "80-5",
            "805",
            "The platform compares the digits with those of its numbers.",
            value="80-5",
        ),
        "digits_ignored": _cell(
            "promo_number_looks_like",
            "805619",
            "80561",
            "The platform compares five digits at most. It is a warning, because the number may differ from what you "
            "expect.",
            value="805619",
        ),
        "not_a_time": _rows(
            [_schedule(1, "08:05", "17:00")],
            [_schedule(1, "08:00", "17:00")],
            "The platform accepts the opening hours only on a quarter of an hour.",
            api_version=NEWEST_API_VERSION,
            value="08:05",
        ),
        "end_of_day": _rows(
            [_schedule(1, "08:00", "24:00")],
            [_schedule(1, "08:00", "23:45")],
            "No documented schedule ends at midnight. It is a warning, since the platform may take it.",
            api_version=NEWEST_API_VERSION,
            value="24:00",
        ),
        "only_cleared": _rows(
            [{"hours_of_operation": "always"}],
            [{"hours_of_operation": ""}],
            "Opening hours have several parts, and each has a column of its own.",
            api_version=NEWEST_API_VERSION,
            value="always",
        ),
        "not_a_phone_number": _rows(
            [_USER | {"users.1.contact_phone_number": "5550100"}],
            [_USER],
            "Without its area code a phone number is incomplete.",
            resource="advertisers",
            value="5550100",
        ),
        "phone_placeholder": _rows(
            [_USER | {"users.1.contact_phone_number": "0000000000"}],
            [_USER],
            "People type such a number where they must type one. It is a warning, because lists of numbers in use age.",
            resource="advertisers",
            value="0000000000",
        ),
        "not_a_country_code": _rows(
            [_USER | {"users.1.contact_country_code": "999"}],
            [_USER | {"users.1.contact_country_code": "44"}],
            "It is dialled before the phone number, so it must be a code that telephone networks use.",
            resource="advertisers",
            value="999",
        ),
        "not_an_email": _rows(
            [_USER | {_EMAIL: "chris@"}],
            [_USER],
            "The platform sends the user's notifications and invitation to this address.",
            resource="advertisers",
            value="chris@",
            reason="There must be something after the @-sign.",
        ),
        "not_an_id": _cell(
            "advertiser_campaign_id_from_network",
            "..",
            "C-100",
            "The id is part of the request's address, where this text would lead to another object.",
            value="..",
            reason="URLs treat it as a relative path",
        ),
        "read_only": _cell(
            "id",
            "21",
            "",
            "The platform sets the field itself. It is a warning, because exported sheets have the column.",
            known="id",
        ),
        "cannot_clear": _cell(
            "description",
            "[]",
            "Spring sale",
            "The cell [] clears a field on the platform, and the platform does not let this one be empty.",
            known="description",
        ),
    },
    "Several columns of a row": {
        "local_center_conflict": _rows(
            [{_AREA_CODE: "805", _ZIP_CODE: "02134"}],
            [{_AREA_CODE: "805", _ZIP_CODE: ""}],
            "The columns can name different regions, and nobody can tell in which one the number would be bought.",
            given="local_center.tn_prefix and local_center.zipcode",
        ),
        "city_without_state": _rows(
            [{_CITY: "Boston", _STATE: ""}],
            [{_CITY: "Boston", _STATE: "MA"}],
            "Several states have a city of the same name.",
            missing="local_center.state",
            given="local_center.city",
        ),
        "no_local_center": _rows(
            [{_AREA_CODE: "", "tn_prefix_whitelist": "805"}],
            [{_AREA_CODE: "805", "tn_prefix_whitelist": "805"}],
            "The column refines the search for a local number. It is a warning, because without a local center the "
            "number is toll-free, which is probably not what you mean.",
            known="tn_prefix_whitelist",
        ),
        "ads_account_media_type": _rows(
            [{"media_type": "Online: Search", "adwords_account_id": "627-345-9815"}],
            [{"media_type": "Google Call Extension", "adwords_account_id": "627-345-9815"}],
            "The platform uses a Google Ads account only for numbers of Google call extensions.",
            value="Online: Search",
        ),
        "hours_on_affiliate": _rows(
            [{"affiliate_id_from_network": "F-1", **_OPEN}],
            [{"affiliate_id_from_network": "", **_OPEN}],
            "The platform has opening hours for advertiser campaigns only.",
            api_version=NEWEST_API_VERSION,
        ),
        "schedule_incomplete": _rows(
            [_schedule(1, "08:00", "")],
            [_schedule(1, "08:00", "17:00")],
            "A schedule without its day, beginning or end says nothing.",
            api_version=NEWEST_API_VERSION,
            missing="hours_of_operation.schedules.1.close_time",
        ),
        "hours_incomplete": _rows(
            [{**_OPEN, "hours_of_operation.time_zone": ""}],
            [_OPEN],
            "The platform requires the time zone of opening hours, and schedules unless they are around the clock.",
            api_version=NEWEST_API_VERSION,
            missing="time_zone",
        ),
        "schedule_backwards": _rows(
            [_schedule(1, "17:00", "08:00")],
            [_schedule(1, "08:00", "17:00")],
            "Whether a schedule may pass midnight is not documented. It is a warning, since the platform may take it.",
            api_version=NEWEST_API_VERSION,
            open="17:00",
            close="08:00",
        ),
        "schedules_overlap": _rows(
            [{**_schedule(1, "08:00", "12:00"), **_schedule(2, "11:00", "17:00")}],
            [{**_schedule(1, "08:00", "12:00"), **_schedule(2, "13:00", "17:00")}],
            "Two schedules for the same time of a day contradict each other or one of them is a typing error.",
            api_version=NEWEST_API_VERSION,
            day="Monday",
            first="08:00-12:00",
            second="11:00-17:00",
        ),
        "destination_incomplete": _rows(
            [{**_NUMBER, _TO_ADVERTISER: "A-200", _TO_CAMPAIGN: ""}],
            [{**_NUMBER, **_DESTINATION}],
            "Ids of campaigns are unique only within an advertiser, so a destination needs both.",
            missing="destination_advertiser_campaign_id_from_network",
        ),
        "destination_affiliate": _rows(
            [{**_NUMBER, "affiliate_id_from_network": "", **_DESTINATION, _TO_AFFILIATE: "F-1"}],
            [{**_NUMBER, "affiliate_id_from_network": "F-1", **_DESTINATION, _TO_AFFILIATE: "F-2"}],
            "The platform does not move a number of an advertiser's campaign to an affiliate.",
        ),
        "not_on_create": _rows(
            [_DESTINATION],
            [{_TO_ADVERTISER: "", _TO_CAMPAIGN: ""}],
            "The row buys a new number. To buy it in the other campaign, name that campaign in the row's own columns.",
            known="destination_advertiser_id_from_network",
        ),
        "own_id_quantity": _rows(
            [{"id_from_network": "P-1", "quantity": "3"}],
            [{"id_from_network": "P-1", "quantity": "1"}],
            "Two numbers cannot have the same id, so a row with an id is about one number.",
            value=3,
            known="id_from_network",
        ),
        "names_existing": _rows(
            [{**_NUMBER, "action": "create"}],
            [{**_NUMBER, "action": ""}],
            "You cannot choose the digits of a new number: the row either names an existing number or buys one.",
            known="promo_number",
            value="8055550100",
        ),
        "names_nothing": _rows(
            [{"action": "update", "promo_number": ""}],
            [{"action": "update", "promo_number": "8055550100"}],
            "A campaign can have many numbers, and the row does not say which one it is about.",
            action="update",
        ),
        "move_without_destination": _rows(
            [{**_NUMBER, "action": "move"}],
            [{**_NUMBER, "action": "move", **_DESTINATION}],
            "The row does not say where the number goes.",
        ),
        "not_on_update": _rows(
            [{**_NUMBER, _AREA_CODE: "212"}],
            [{**_NUMBER, _AREA_CODE: ""}],
            "A number keeps its digits. It is a warning, because results that you run again have these columns.",
            known="local_center.tn_prefix",
        ),
    },
    "An advertiser's users and sites": {
        "email_repeated": _rows(
            [
                _USER
                | {
                    "users.1.email_settings.2.email_address": "chris@example.com",
                    "users.1.email_settings.2.use_for_notifications": "FALSE",
                }
            ],
            [_USER],
            "The same address twice can have two different settings, and it is unclear which of them counts.",
            resource="advertisers",
            value="chris@example.com",
        ),
        "nobody_notified": _rows(
            [{"action": "create", "sites.1.id_from_network": "315", **_USER, _NOTIFIED: "FALSE"}],
            [{"action": "create", "sites.1.id_from_network": "315", **_USER}],
            "The platform refuses a user whom it cannot notify.",
            resource="advertisers",
        ),
        "created_without_site": _rows(
            [{"action": "create", "sites.1.id_from_network": ""}],
            [{"action": "create", "sites.1.id_from_network": "315"}],
            "The documentation requires a site, and the platform has been seen to do without. So it is a warning.",
            resource="advertisers",
        ),
        "maybe_without_site": _rows(
            [{"sites.1.id_from_network": ""}],
            [{"sites.1.id_from_network": "315"}],
            "Without a plan, nobody knows whether the row creates the advertiser or changes it. It is a warning, which "
            "a plan repeats only for advertisers that are new.",
            resource="advertisers",
        ),
        "no_site": _rows(
            [{"id_from_network": "A-100", "sites.1.id_from_network": "1001", "sites.1.action": "remove"}],
            [{"id_from_network": "A-100", "sites.1.id_from_network": "1001", "sites.1.action": ""}],
            "The first site of an advertiser is its default, so the last one cannot be removed.",
            resource="advertisers",
            is_complete=True,
            state="The advertiser A-100 has the site 1001 alone.",
        ),
        "part_without_id": _rows(
            [_USER | {"users.1.id_from_network": ""}],
            [_USER],
            "Users and sites are told apart by their ids alone. Without one, a change could be made to the wrong user.",
            resource="advertisers",
            part="user",
            known="users.1.id_from_network",
        ),
        "parent_missing": _sheets(
            {
                "advertisers": ({"id_from_network": "A-1", "name": "Smith & Sons"},),
                "sites": (
                    {"advertiser_id_from_network": "A-1", "id_from_network": "315"},
                    {"advertiser_id_from_network": "A-7", "id_from_network": "316"},
                ),
            },
            {
                "advertisers": ({"id_from_network": "A-1", "name": "Smith & Sons"},),
                "sites": (
                    {"advertiser_id_from_network": "A-1", "id_from_network": "315"},
                    {"advertiser_id_from_network": "A-1", "id_from_network": "316"},
                ),
            },
            "A user or site belongs to an advertiser of the same workbook; an id that is missing is usually misspelt.",
            value="A-7",
        ),
        "contradiction": _rows(
            [{"name": "Smith & Sons"}, {"name": "Smith and Sons"}],
            [{"name": "Smith & Sons"}, {"name": ""}],
            "Several rows describe the same object with different values, and it is unclear which of them counts.",
            resource="advertisers",
            value="Smith and Sons",
            other="Smith & Sons",
            place="row 2, name",
            part="advertiser",
        ),
        "duplicate_name": _rows(
            [{"id_from_network": "A-1", "name": "Smith & Sons"}, {"id_from_network": "A-2", "name": "Smith & Sons"}],
            [{"id_from_network": "A-1", "name": "Smith & Sons"}, {"id_from_network": "A-2", "name": "Smith, Boston"}],
            "The platform refuses a second advertiser of the same name.",
            resource="advertisers",
            value="Smith & Sons",
            rows="row 2, row 3",
        ),
    },
    "Rows compared with each other": {
        "duplicate_own_id": _rows(
            [{"id_from_network": "P-1"}, {"id_from_network": "P-1"}],
            [{"id_from_network": "P-1"}, {"id_from_network": "P-2"}],
            "An id names one number of a campaign; the platform refuses the second one.",
            value="P-1",
            rows="2, 3",
        ),
        "duplicate_number": _rows(
            [{**_NUMBER, "description": "Spring"}, {**_NUMBER, "description": "Summer"}],
            [{**_NUMBER, "description": "Summer"}],
            "Two rows change the same number, and the result depends on which of them is sent last.",
            value="8055550100",
            rows="2, 3",
        ),
        "own_id_case": _rows(
            [{"id_from_network": "Spring-1"}, {"id_from_network": "SPRING-1", "description": "Summer"}],
            [{"id_from_network": "Spring-1"}, {"id_from_network": "Summer-1", "description": "Summer"}],
            "The platform takes them for two ids, so there would be two objects. It is a warning, because you may mean "
            "two.",
            value="SPRING-1",
            other="Spring-1",
            place="in row 2",
        ),
        "identical_rows": _rows(
            [{"description": "Spring sale"}, {"description": "Spring sale"}],
            [{"description": "Spring sale", "quantity": "2"}],
            "Each row buys a number. It is a warning, because the rows may have been copied by mistake; if you want "
            "several numbers, quantity says so.",
            rows="2, 3",
        ),
    },
    "Rows compared with earlier runs": {
        "status_unknown": _cell(
            "result_status",
            "done",
            "created",
            "The column says whether an earlier run has processed the row. If the answer is unclear, the row could be "
            "bought twice.",
            value="done",
        ),
        "unsettled_row": _rows(
            [{"result_status": "unknown", "result_run": "20260301-101500-ab12"}],
            [{"result_status": "created", "result_run": "20260301-101500-ab12"}],
            "The number may have been bought, so the row is not sent again. It is a warning: the row is looked up on "
            "the platform first.",
            run="20260301-101500-ab12",
            resume=str(remedy("resume", "resend_absent", subject="20260301-101500-ab12")),
        ),
        "claim_restored": _rows(
            [{"result_status": "created", "result_run": _RUN}],
            [_DONE],
            "What the row lacks is in the journal of the run. It is a warning: the results have it again.",
            state="The run bought the number 8055550100 for the row, and its cell was cleared.",
            run=_RUN,
            what="promo_number 8055550100",
        ),
        "claim_dropped": _rows(
            [_DONE, {"description": "Autumn", "result_status": "created", "result_run": _RUN}],
            [_DONE, {"description": "Autumn"}],
            "A row that was filled down has the result columns of the row above. It is a warning: the row is sent.",
            state="The run has the first row only.",
            run=_RUN,
        ),
        "row_edited": _rows(
            [{**_DONE, "description": "Summer"}],
            [{**_DONE, "description": "Spring"}],
            "The results must not say that a text is there which the platform does not have. It is a warning: the "
            "results show what the run sent, unless you ask for the update.",
            state="The run created the number with the description Spring.",
            run=_RUN,
            what="description 'Spring' -> 'Summer'",
        ),
        "unsettled_row_edited": _rows(
            [{"description": "Summer", "result_status": "unknown", "result_run": _RUN}],
            [{"description": "Spring", "result_status": "unknown", "result_run": _RUN}],
            "The request may have been carried out, with the text that it had then. It is a warning: the row is looked "
            "up, and not sent.",
            state="The run sent the description Spring, and got no reliable response.",
            run=_RUN,
            what="description 'Spring' -> 'Summer'",
        ),
        "claim_contradicted": _rows(
            [{"result_status": "created", "result_run": _RUN}],
            [{"result_status": "rejected", "result_run": _RUN}],
            "A status that was filled down or sorted alone would hide that the row is not done.",
            state="The platform rejected the row in the run.",
            value="created",
            run=_RUN,
            outcome="rejected",
        ),
        "claim_moved": _rows(
            [{**_DONE, "description": "Summer"}, {**_DONE, "promo_number": "8055550101", "description": "Spring"}],
            [{**_DONE, "description": "Spring"}, {**_DONE, "promo_number": "8055550101", "description": "Summer"}],
            "The number would stand beside a text that is another number's.",
            state="The run bought 8055550100 for Spring and 8055550101 for Summer.",
            run=_RUN,
            number="8055550100",
            what="description 'Spring' -> 'Summer'",
            resume=str(remedy("results", "output=results.xlsx", subject=_RUN)),
        ),
        "claim_repeated": _rows(
            [_DONE, _DONE],
            [_DONE],
            "One number cannot be two; a copied row asks for nothing that is not there.",
            state="The run bought the number for one row.",
            what=f"row of run {_RUN}",
            rows="2, 3",
        ),
        "claim_other_number": _rows(
            [{**_DONE, "promo_number": "8055550199"}],
            [_DONE],
            "The number in the row is not the one that was bought for it.",
            state="The run bought 8055550100 for the row.",
            run=_RUN,
            shown="8055550199",
            number="8055550100",
        ),
        "claim_elsewhere": _rows(
            [{**_DONE, "advertiser_campaign_id_from_network": "C-101"}],
            [{**_DONE, "advertiser_campaign_id_from_network": "C-100"}],
            "The number is in the campaign in which it was bought; another id in the row does not move it.",
            state="The run bought the number in the campaign C-100.",
            run=_RUN,
            what="advertiser_campaign_id_from_network 'C-100' -> 'C-101'",
        ),
        "claim_unfounded": _rows(
            [{"description": "Autumn", "result_status": "created", "result_run": _RUN}],
            [{"description": "Autumn"}],
            "Nothing that the run did belongs to the row, so nothing shows that it is done.",
            state="The run has no row with this description.",
            value="created",
            run=_RUN,
            resume=str(remedy("results", "output=results.xlsx", subject=_RUN)),
        ),
        "claim_undone": _rows(
            [_DONE],
            [{"description": "Spring sale"}],
            "The number was deleted, so the row is not done any more.",
            state="A later run has undone the run. The corrected row buys another number.",
            run=_RUN,
            other="20260302-090000-cd34",
            suggestion="Remove the row. To send it again, clear its result columns and what the platform assigned "
            "(promo_number).",
        ),
        "claim_of_other_network": _rows(
            [_DONE],
            [{"description": "Spring sale"}],
            "What was bought on one network does not exist on another.",
            state="The run bought the number on another network.",
            run=_RUN,
            other="network 1234 at https://invoca.net",
            network="network 5678 at https://invoca.net",
        ),
        "claim_not_on_platform": _rows(
            [_DONE],
            [{"description": "Spring sale"}],
            "Neither a journal nor the platform shows that the row is done. Results of a rehearsal are such rows.",
            state="No journal on this machine has the run, and the campaign does not have the number.",
            value="created",
            run=_RUN,
            reason="the platform does not have 8055550100 where the row says",
        ),
        "replaces_unsettled_row": _rows(
            [{"description": "Summer"}],
            [{"description": "Summer", "result_status": "unknown", "result_run": _RUN}],
            "The first request may have been carried out; then this one would buy a second number for one wish.",
            state="The run sent the row with the description Spring and got no reliable response; its result columns "
            "were cleared, and other rows of the sheet still have theirs.",
            row=2,
            run=_RUN,
            resume=str(remedy("resume", subject=_RUN)),
        ),
    },
    "Rows compared with the platform": {
        "advertiser_exists": _rows(
            [
                {
                    "id_from_network": "A-100",
                    "name": "Acme Tickets",
                    "action": "create",
                    "sites.1.id_from_network": "315",
                }
            ],
            [{"id_from_network": "A-101", "name": "Acme Travel", "action": "create", "sites.1.id_from_network": "315"}],
            "The row asks for a new advertiser, and the id is in use.",
            resource="advertisers",
            state="The platform has the advertiser A-100.",
            value="A-100",
            name="Acme Tickets",
        ),
        "advertiser_not_found": _rows(
            [{"id_from_network": "A-1000", "name": "Acme Tickets", "action": "update"}],
            [{"id_from_network": "A-100", "name": "Acme Tickets", "action": "update"}],
            "The row changes an advertiser that is not there; the id is probably misspelt.",
            resource="advertisers",
            state="The platform has the advertiser A-100, and no advertiser A-1000.",
            value="A-1000",
        ),
        "name_taken": _rows(
            [{"id_from_network": "A-101", "name": "Acme Tickets", "sites.1.id_from_network": "315"}],
            [{"id_from_network": "A-101", "name": "Acme Travel", "sites.1.id_from_network": "315"}],
            "The platform refuses a second advertiser of the same name.",
            resource="advertisers",
            state="The platform has the advertiser A-100, whose name is Acme Tickets.",
            value="Acme Tickets",
            other="A-100",
        ),
        "number_not_found": _rows(
            [{**_CAMPAIGN, "promo_number": "8055550199", "description": "Summer"}],
            [{**_NUMBER, "description": "Summer"}],
            "The number is misspelt, is deleted, or belongs to another campaign.",
            state="The campaign C-100 has the promo number 8055550100 only.",
            value="8055550199",
            known="promo_number",
        ),
        "own_id_not_found": _rows(
            [{"id_from_network": "P-9", "action": "update", "description": "Summer"}],
            [{"id_from_network": "P-1", "action": "update", "description": "Summer"}],
            "The row changes a number that is not there; the id is probably misspelt.",
            state="The campaign has a promo number with the id_from_network P-1, and none with P-9.",
            value="P-9",
        ),
        "own_id_differs": _rows(
            [{**_NUMBER, "id_from_network": "P-2"}],
            [{**_NUMBER, "id_from_network": ""}],
            "The platform does not change the id of a number, so the row and the platform mean different numbers.",
            state="The promo number 8055550100 has the id_from_network P-1.",
            value="P-2",
            other="P-1",
        ),
        "flag_kept": _rows(
            [_USER | {"users.1.notify_on_performance_notifications": "TRUE"}],
            [_USER | {"users.1.notify_on_performance_notifications": ""}],
            "Some versions no longer have the flag: the same sheet would send it again each time. It is a warning, and "
            "nothing is sent.",
            resource="advertisers",
            state="A run has sent the flag, and the platform has answered FALSE.",
            run=_RUN,
            value="TRUE",
            other="FALSE",
        ),
        "already_gone": _rows(
            [{"id_from_network": "A-1000", "action": "delete"}],
            [{"id_from_network": "A-300", "action": "delete"}],
            "Nothing has to be done. It is a warning, because the id may be misspelt.",
            resource="advertisers",
            state="The platform has the advertiser A-300, and no advertiser A-1000.",
            value="A-1000",
        ),
        "default_site_changes": _sheets(
            {
                "advertisers": ({"id_from_network": "A-100", "name": "Acme Tickets"},),
                "sites": (
                    {"advertiser_id_from_network": "A-100", "id_from_network": "1001", "action": "remove"},
                    {"advertiser_id_from_network": "A-100", "id_from_network": "315", "action": ""},
                ),
            },
            {
                "advertisers": ({"id_from_network": "A-100", "name": "Acme Tickets"},),
                "sites": ({"advertiser_id_from_network": "A-100", "id_from_network": "315", "action": ""},),
            },
            "The first site of an advertiser is its default. It is a warning, because another default may be a side "
            "effect that you do not want.",
            state="The first site of the advertiser A-100 is 1001.",
            value="1001",
            other="315",
        ),
        "parent_deleted": _sheets(
            {
                "advertisers": ({"id_from_network": "A-100", "action": "delete"},),
                "promo_numbers": (_REQUEST,),
            },
            {
                "advertisers": ({"id_from_network": "A-100", "action": ""},),
                "promo_numbers": (_REQUEST,),
            },
            "A number cannot be bought for, or moved to, an advertiser that is being deleted.",
            state="The platform has the advertiser A-100.",
            value="A-100",
        ),
        "would_be_removed": _sheets(
            {
                "advertisers": ({"id_from_network": "A-100", "name": "Acme Tickets"},),
                "sites": ({"advertiser_id_from_network": "A-100", "id_from_network": "315"},),
            },
            {
                "advertisers": ({"id_from_network": "A-100", "name": "Acme Tickets"},),
                "sites": (
                    {"advertiser_id_from_network": "A-100", "id_from_network": "1001"},
                    {"advertiser_id_from_network": "A-100", "id_from_network": "315"},
                ),
            },
            "A user or site that is missing in the sheet may have been forgotten, and it cannot be restored.",
            state=f"The advertiser A-100 has the site 1001, and the plan is made with {option('nested=replace')}.",
            what="site 1001",
        ),
        "parts_unknown": _rows(
            [{"id_from_network": "A-402", "name": "New name"}],
            [{"id_from_network": "A-402", "action": "delete"}],
            "An update sends the whole advertiser, users included, and the platform removes those that are left out.",
            resource="advertisers",
            is_complete=True,
            state="The platform shows A-402 without its users, in its list and alone.",
            what="users",
        ),
        "cannot_keep": _rows(
            [{"id_from_network": "A-401", "name": "New name"}],
            [{"id_from_network": "A-401", "name": "Two Numbers"}],
            "An update sends the whole advertiser, users included. Which of the two numbers would stay, nobody knows.",
            resource="advertisers",
            is_complete=True,
            state="The platform shows the user U-1 of A-401 with two different phone numbers.",
            what="contact_phone_number and phone_number of user Ana Dean (U-1), which differ",
        ),
        "country_code_kept": _rows(
            [{**_BRITISH_USER, "users.1.contact_phone_number": "2135550100"}],
            [{**_BRITISH_USER, "users.1.contact_phone_number": "2135550100", "users.1.contact_country_code": "1"}],
            "A number that is written without its country code would be dialled in the old country.",
            resource="advertisers",
            is_complete=True,
            state="The user U-1 of A-400 has the phone number 2079460000 with the country code 44.",
            value="2135550100",
            other="44",
        ),
        "row_beside_invalid": _sheets(
            {
                "advertisers": ({"id_from_network": "A-100", "name": "Harbor Dental"},),
                "sites": ({"advertiser_id_from_network": "A-100", "id_from_network": "315"},),
            },
            {
                "advertisers": ({"id_from_network": "A-100", "name": "Acme Tickets"},),
                "sites": ({"advertiser_id_from_network": "A-100", "id_from_network": "315"},),
            },
            "All rows of an advertiser are one request, so one row with an error stops the others.",
            state="Another advertiser on the platform already has the name Harbor Dental.",
            part="advertiser",
            place="advertisers row 2",
        ),
        "own_id_exists": _rows(
            [{"id_from_network": "P-1", "action": "create"}],
            [{"id_from_network": "P-2", "action": "create"}],
            "The row buys a new number, and its id is in use.",
            state="The campaign has a promo number with the id_from_network P-1.",
            value="P-1",
            number="8055550100",
        ),
        "campaign_not_found": _rows(
            [{**_REQUEST, "advertiser_campaign_id_from_network": "C-9"}],
            [_REQUEST],
            "A number is bought in a campaign, and this one does not exist in the network.",
            state="The advertiser A-100 has the campaign C-100, and no campaign C-9.",
            text="Could not find campaign 1234 / A-100 / C-9 (RecordNotFound, 404)",
        ),
    },
    "Undoing a run": {
        "undo_deleted": _rows(
            [{**_NUMBER, "action": "delete"}],
            [_REQUEST],
            "Neither the platform nor this program can bring a deleted object back; a new number has other digits.",
            state="The run deleted the promo number. The corrected row buys another one.",
            part="promo number",
        ),
        "undo_unknown": _rows(
            [{"result_status": "unknown"}],
            [{"result_status": "created"}],
            "It is uncertain whether there is anything to undo. Resuming the run looks it up.",
            state="A request of the run got no reliable response. The corrected row is that of the resumed run.",
            text="no reliable response was received",
            run="20260301-101500-ab12",
        ),
        "undo_unseen": _rows(
            [{**_NUMBER, "description": "Summer"}],
            [{**_NUMBER, "description": "Spring"}],
            "An object is restored completely or not at all, and for that its earlier values have to be known.",
            state="The run changed the description, and the earlier one is not in the journal. The corrected row "
            "restores it.",
            part="promo number",
        ),
        "undo_gone": _rows(
            [{**_NUMBER, "description": "Summer"}],
            [{**_NUMBER, "advertiser_campaign_id_from_network": "C-101", "description": "Spring"}],
            "The object is no longer where the run left it, so there is nothing to restore there.",
            state="The run changed the number, and then somebody moved it to the campaign C-101. The corrected row "
            "restores the description there.",
            part="promo number",
        ),
        "undo_changed": _rows(
            [{**_NUMBER, "description": "Summer"}],
            [{**_NUMBER, "description": "Spring"}],
            "Undoing the run would overwrite a change that somebody made after it.",
            state="The run changed the description from Spring to Summer, and then somebody changed it to Autumn. The "
            "corrected row restores it nevertheless.",
            part="promo number",
            what="description",
        ),
        "undo_unheld": _rows(
            [{**_NUMBER, "custom_data.channel": "Online lead"}],
            [{**_NUMBER, "custom_data.channel": "Radio"}],
            "The earlier value has a form that no cell of a sheet can have.",
            state="The run changed a value that no sheet can hold. The corrected row sets another one.",
            part="promo number",
            what="custom_data",
        ),
        "undo_needed": _sheets(
            {"advertisers": ({"id_from_network": "A-1", "action": "delete"},)},
            {"promo_numbers": ({**_NUMBER, "advertiser_id_from_network": "A-1", "action": "delete"},)},
            "Deleting an advertiser would take the number with it.",
            state="The run created the advertiser A-1 and a promo number of it. Delete the number first.",
        ),
    },
    "The whole sheet": {
        "encoding_assumed": _csv(
            f"{_CSV_HEADER}\nA-100,C-100,Café,Online: Display",
            f"{_CSV_HEADER}\nA-100,C-100,Cafe,Online: Display",
            "Nothing in such a file says how its bytes are to be read. It is a warning, because only you can see "
            "whether the example is right.",
            state="The file is saved as 'CSV', which is Windows-1252 in most Excels. As 'CSV UTF-8' it is certain.",
            value="Café",
            row=2,
            name="Windows-1252",
            others=" ('CafÈ' if it were mac_roman, 'CafΘ' if it were cp437, 'Cafй' if it were cp1251)",
        ),
        "quotes_after_space": _csv(
            f'{_CSV_HEADER}\nA-100, C-100, "Smith, Jones", Online: Display',
            f'{_CSV_HEADER}\nA-100,C-100,"Smith, Jones",Online: Display',
            "By the rules of CSV, a quote after a space is part of the text, and the text ends at the next comma. It "
            "is a warning, so that you can see what is left out.",
            row=2,
        ),
        "quotes_single": _csv(
            f"{_CSV_HEADER}\n'A-100','C-100','Smith, Jones','Online: Display'",
            f'{_CSV_HEADER}\nA-100,C-100,"Smith, Jones",Online: Display',
            "Databases write texts so; the quotes would be part of each id. It is a warning, so that you can see what "
            "is left out.",
            row=2,
        ),
        "blank_rows": _csv(
            f"{_CSV_HEADER}\nA-100,C-100,Spring,Online: Display\n\nA-100,C-100,Summer,Online: Display",
            f"{_CSV_HEADER}\nA-100,C-100,Spring,Online: Display\nA-100,C-100,Summer,Online: Display",
            "Blank rows are harmless. It is a warning, because cells may have been deleted by mistake.",
            count=1,
        ),
        "hidden_rows": _rows(
            [{"description": "Spring"}, {"description": "Summer"}],
            [{"description": "Spring"}],
            "Hidden and filtered rows are sent too. It is a warning, because you may not see what you buy.",
            state="The second row is hidden in the spreadsheet. If it must not be sent, delete it.",
            count=1,
        ),
        "hidden_columns": _rows(
            [{"quantity": "50"}],
            [{"quantity": "1"}],
            "Hidden columns are sent too. It is a warning, because you may not see what you buy.",
            state="The column quantity is hidden in the spreadsheet. If its values must not be sent, clear them.",
            columns="'quantity'",
        ),
        "sheet_ignored": _sheets(
            {
                "advertisers": ({"id_from_network": "A-1", "name": "Smith & Sons"},),
                "sites": ({"advertiser_id_from_network": "A-1", "id_from_network": "315"},),
                "Old": ({"id_from_network": "A-2", "name": "Jones"},),
            },
            {
                "advertisers": (
                    {"id_from_network": "A-1", "name": "Smith & Sons"},
                    {"id_from_network": "A-2", "name": "Jones"},
                ),
                "sites": (
                    {"advertiser_id_from_network": "A-1", "id_from_network": "315"},
                    {"advertiser_id_from_network": "A-2", "id_from_network": "316"},
                ),
            },
            "A workbook can have notes and old copies. It is a warning, because the sheet has the headers of one that "
            "is read.",
            value="Old",
            read="'advertisers', 'sites'",
        ),
        "sheet_hidden": _sheets(
            {
                "advertisers": ({"id_from_network": "A-1", "name": "Smith & Sons", "sites.1.id_from_network": "315"},),
                "Old": ({"id_from_network": "A-2", "name": "Jones"},),
            },
            {"advertisers": ({"id_from_network": "A-1", "name": "Smith & Sons", "sites.1.id_from_network": "315"},)},
            "Nobody sees what a hidden sheet asks for. It is a warning, because it has the headers of a sheet to read.",
            state="The sheet Old is hidden in the spreadsheet.",
            value="Old",
            read="'advertisers'",
        ),
        "no_rows": _csv(
            f"{_CSV_HEADER}\n",
            f"{_CSV_HEADER}\nA-100,C-100,Spring,Online: Display",
            "A run of a sheet without rows would do nothing, and look like one that did all.",
        ),
    },
}
#: Code to its example.
ISSUE_EXAMPLES: Mapping[str, IssueExample] = {
    code: example for examples in ISSUE_GROUPS.values() for code, example in examples.items()
}
