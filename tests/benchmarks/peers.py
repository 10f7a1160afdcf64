"""The peers: what a skilled user would write with pandas and pydantic or pandera for the same rules.

Lists of values (media types, states, area codes) are taken from this project; each library checks them its own way.
"""

from __future__ import annotations

import re
import time
from typing import Annotated

import pandas as pd
import pandera.pandas as pa
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from rows import area_codes, digest

from invoca_bulk.schema import regions
from invoca_bulk.schema.payloads import SPREADSHEET_ERRORS
from invoca_bulk.schema.promo_numbers import MEDIA_TYPES

FIRST_ROW = 2  # below the header of a sheet
SCOPE = ["advertiser_id_from_network", "advertiser_campaign_id_from_network", "affiliate_id_from_network"]
OWN_ID, TN_PREFIX, ZIP_CODE = "id_from_network", "local_center.tn_prefix", "local_center.zipcode"
CITY, STATE = "local_center.city", "local_center.state"
CONTROLS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"
ID = r"(?!\.{1,2}\Z)[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,1000}"
ZIP = r"[0-9]{5}|[A-Z][0-9][A-Z][ -]?[0-9][A-Z][0-9]"
AREA_CODES, ACTIONS, MEDIA, STATES = (
    frozenset(values)
    for values in (area_codes(), ("create", "update", "move", "delete"), MEDIA_TYPES, tuple(regions.STATES))
)


# pydantic: one model per row


def _no_spreadsheet_error(text: str) -> str:
    if text in SPREADSHEET_ERRORS:
        raise PydanticCustomError("spreadsheet_error", "a spreadsheet error")
    return text


def _one_of(values: frozenset[str]) -> AfterValidator:
    def check(text: str) -> str:
        if text and text not in values:
            raise PydanticCustomError("not_a_choice", "not one of the values")
        return text

    return AfterValidator(check)


def _matching(pattern: str) -> AfterValidator:
    matches = re.compile(f"(?:{pattern})?").fullmatch

    def check(text: str) -> str:
        if not matches(text):
            raise PydanticCustomError("no_match", "not of the right form")
        return text

    return AfterValidator(check)


def _no_controls(text: str) -> str:
    if _CONTROLS.search(text):
        raise PydanticCustomError("control", "a control character")
    return text


_CONTROLS = re.compile(CONTROLS)
Text = Annotated[str, AfterValidator(_no_spreadsheet_error), AfterValidator(_no_controls)]
Id = Annotated[str, AfterValidator(_no_spreadsheet_error), _matching(ID)]


class Row(BaseModel):
    """One promo number request."""

    model_config = ConfigDict(str_strip_whitespace=True)

    action: Annotated[str, _one_of(ACTIONS)]
    advertiser: Annotated[Id, Field(alias=SCOPE[0], min_length=1)]
    campaign: Annotated[Id, Field(alias=SCOPE[1], min_length=1)]
    affiliate: Annotated[Id, Field(alias=SCOPE[2])]
    own_id: Annotated[Id, Field(alias=OWN_ID)]
    description: Annotated[Text, Field(min_length=1)]
    media_type: Annotated[str, Field(min_length=1), AfterValidator(_no_spreadsheet_error), _one_of(MEDIA)]
    tn_prefix: Annotated[str, Field(alias=TN_PREFIX), _one_of(AREA_CODES)]
    zipcode: Annotated[str, Field(alias=ZIP_CODE), _matching(ZIP)]
    city: Annotated[Text, Field(alias=CITY)]
    state: Annotated[str, Field(alias=STATE), _one_of(STATES)]
    channel: Annotated[Text, Field(alias="custom_data.channel")]

    @model_validator(mode="after")
    def _local_center_is_one(self) -> Row:
        is_given = [bool(self.tn_prefix), bool(self.zipcode), bool(self.city or self.state)]
        if sum(is_given) > 1:
            raise PydanticCustomError("conflict", "{at}", {"at": TN_PREFIX if is_given[0] else ZIP_CODE})
        if bool(self.city) != bool(self.state):
            raise PydanticCustomError("incomplete", "{at}", {"at": STATE if self.city else CITY})
        return self


def pydantic_errors(frame: pd.DataFrame) -> dict[int, list[tuple[str, str]]]:
    """Row number to pairs of column and message; pandas checks the rules that compare rows."""
    errors_by_row: dict[int, list[tuple[str, str]]] = {}
    for number, record in enumerate(frame.to_dict("records"), FIRST_ROW):
        try:
            Row.model_validate(record)
        except ValidationError as error:
            errors_by_row[number] = [
                (str(detail["loc"][0]) if detail["loc"] else detail["msg"], detail["msg"])
                for detail in error.errors(include_url=False, include_input=False)
            ]
    for position in frame.index[(frame[OWN_ID] != "") & frame.duplicated([*SCOPE, OWN_ID], keep=False)]:
        errors_by_row.setdefault(int(position) + FIRST_ROW, []).append((OWN_ID, "the id is on several rows"))
    return errors_by_row


def annotate_workbook(source: str, target: str) -> tuple[float, list[object]]:
    """Read with openpyxl, validate one model per row, write the annotated sheet and the issues with openpyxl."""
    began = time.perf_counter()
    frame = pd.read_excel(source, engine="openpyxl", dtype=str, keep_default_na=False)
    errors_by_row = pydantic_errors(frame)
    error_rows = [(row, column, message) for row, errors in errors_by_row.items() for column, message in errors]
    numbers = range(FIRST_ROW, FIRST_ROW + len(frame))
    frame["validation_errors"] = [
        " | ".join(f"{column}: {text}" for column, text in errors_by_row.get(row, ())) for row in numbers
    ]
    with pd.ExcelWriter(target, engine="openpyxl") as writer:
        frame.to_excel(writer, sheet_name="promo_numbers", index=False)
        pd.DataFrame(error_rows, columns=["row", "column", "message"]).to_excel(
            writer, sheet_name="issues", index=False
        )
    seconds = time.perf_counter() - began
    return seconds, digest({(row, column) for row, column, _ in error_rows})


# pandera: a schema for the whole frame, lazy


def _blank_or_matches(pattern: str) -> pa.Check:
    return pa.Check.str_matches(rf"^(?:{pattern})?\Z")


_REQUIRED = pa.Check.ne("")
_NO_SPREADSHEET_ERROR = pa.Check.notin(SPREADSHEET_ERRORS)
_TEXT = [_NO_SPREADSHEET_ERROR, pa.Check(lambda texts: ~texts.str.contains(CONTROLS, regex=True), name="no_controls")]
_ID = [_NO_SPREADSHEET_ERROR, _blank_or_matches(ID)]


def _given_locations(frame: pd.DataFrame) -> pd.DataFrame:
    has_city_or_state = (frame[CITY] != "") | (frame[STATE] != "")
    return pd.DataFrame({TN_PREFIX: frame[TN_PREFIX] != "", ZIP_CODE: frame[ZIP_CODE] != "", CITY: has_city_or_state})


#: Checks over several columns; the key is the column that the error is shown at.
_FRAME_CHECKS = {
    TN_PREFIX: lambda frame: ~(_given_locations(frame)[TN_PREFIX] & (_given_locations(frame).sum(axis=1) > 1)),
    ZIP_CODE: lambda frame: _given_locations(frame)[TN_PREFIX] | (_given_locations(frame).sum(axis=1) < 2),
    STATE: lambda frame: (frame[CITY] == "") | (frame[STATE] != "") | (_given_locations(frame).sum(axis=1) > 1),
    CITY: lambda frame: (frame[STATE] == "") | (frame[CITY] != "") | (_given_locations(frame).sum(axis=1) > 1),
    OWN_ID: lambda frame: (frame[OWN_ID] == "") | ~frame.duplicated([*SCOPE, OWN_ID], keep=False),
}

SCHEMA = pa.DataFrameSchema(
    {
        "action": pa.Column(checks=pa.Check.isin({"", *ACTIONS})),
        SCOPE[0]: pa.Column(checks=[_REQUIRED, *_ID]),
        SCOPE[1]: pa.Column(checks=[_REQUIRED, *_ID]),
        SCOPE[2]: pa.Column(checks=_ID),
        OWN_ID: pa.Column(checks=_ID),
        "description": pa.Column(checks=[_REQUIRED, *_TEXT]),
        "media_type": pa.Column(checks=[_NO_SPREADSHEET_ERROR, pa.Check.isin(MEDIA)]),
        TN_PREFIX: pa.Column(checks=pa.Check.isin({"", *AREA_CODES})),
        ZIP_CODE: pa.Column(checks=_blank_or_matches(ZIP)),
        CITY: pa.Column(checks=_TEXT),
        STATE: pa.Column(checks=pa.Check.isin({"", *STATES})),
        "custom_data.channel": pa.Column(checks=_TEXT),
    },
    checks=[pa.Check(check, name=name) for name, check in _FRAME_CHECKS.items()],
)


def check_frame(path: str) -> tuple[float, list[object]]:
    """Validate a frame with pandera; this project reads it from a CSV file (not timed)."""
    import invoca_bulk  # noqa: PLC0415  only this function needs it

    frame = invoca_bulk.read(path)
    began = time.perf_counter()
    cases = pandera_errors(frame)
    seconds = time.perf_counter() - began
    return seconds, digest(set(zip(cases["index"].astype(int), cases["column"], strict=True)))


def pandera_errors(frame: pd.DataFrame) -> pd.DataFrame:
    """The distinct index and column of each error; a check over several columns has the column as its name."""
    try:
        SCHEMA.validate(frame, lazy=True)
    except pa.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        is_frame_check = cases["schema_context"] == "DataFrameSchema"
        cases["column"] = cases["column"].where(~is_frame_check, cases["check"])
        return cases[["index", "column"]].drop_duplicates()
    return pd.DataFrame(columns=["index", "column"])
