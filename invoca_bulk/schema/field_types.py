"""How the text of a cell is parsed: one `FieldType` for each type of value.

A field type converts the text of a cell to the JSON value that the platform expects, and back. `parse_cell` returns a
`ParsedValue` or raises `ParseError` with the reason. Blank cells are never passed; the value None is JSON null, never a
failure.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from invoca_bulk.schema import regions
from invoca_bulk.schema.damaged_text import MISSING_VALUE_WORDS, SCIENTIFIC_PATTERN, find_damage, is_scientific
from invoca_bulk.schema.invisible import name_invisible, remove_invisible, strip_invisible
from invoca_bulk.schema.issue_catalog import ParseError, Problem, Unshortened
from invoca_bulk.wording import option

#: Any JSON value. Not a recursive type, which would need a cast at every access to a response.
Json: TypeAlias = Any

#: The text of a cell that clears a field on the platform.
CLEAR = "[]"

#: NANP regions whose area codes a local center accepts; the Caribbean states need international campaigns.
_LOCAL_REGIONS = frozenset({"US", "CA", "PR", "GU", "VI", "AS", "MP"})
_TRUE_WORDS = frozenset({"true", "yes", "y", "1", "x", "on"})
_FALSE_WORDS = frozenset({"false", "no", "n", "0", "off"})
#: The most choices that a fix lists.
_MAX_LISTED_CHOICES = 12
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"), "-")


@dataclass(frozen=True, kw_only=True)
class ParsedValue:
    """The value of a cell."""

    value: Json
    warning: Problem | None = None  # what was cleaned, or what the platform will ignore; None: used unchanged


@dataclass(frozen=True, kw_only=True)
class FieldType:
    """One type of value."""

    name: str  # as the field tables show it
    parse: Callable[[str], ParsedValue]  # raises `ParseError`; called once for each distinct text
    to_text: Callable[[Json], str] = str  # `parse(to_text(value)).value == value`
    choices: tuple[str, ...] = ()  # the closed set of values; empty: no such set
    limits: tuple[int, int] | None = None  # the smallest and the largest whole number
    cleared_value: Json = None  # what `[]` means: null for a single value, an empty list for a list
    also_accepts: tuple[type, ...] = ()  # types that the platform accepts in addition to what `parse` returns
    #: Texts that `parse` returns unchanged and without a warning, so that it need not be called: a sheet may have a
    #: different own id in every row. None: every text has to be parsed.
    passthrough_pattern: re.Pattern[str] | None = None

    def parse_cell(self, text: str) -> ParsedValue:
        """Parse the text of a cell that is not blank; `[]` clears. Raises `ParseError`."""
        if text.strip() == CLEAR:
            return ParsedValue(value=self.cleared_value)
        return self.parse(text)

    def find_problem(self, value: Json) -> Problem | None:
        """What is wrong with a JSON value that is used without any cleaning, or None."""
        if type(value) in self.also_accepts:
            return None
        try:
            parsed = self.parse(self.to_text(value))
        except ParseError as error:
            return error.problem
        except (TypeError, ValueError, AttributeError):
            return self._not_a_choice(value, "")
        if type(parsed.value) is type(value) and parsed.value == value:
            return None
        return parsed.warning or self._not_a_choice(value, f"Use {parsed.value!r}.")

    def _not_a_choice(self, value: Json, suggestion: str) -> Problem:
        details = {"value": value, "known": self.name, "hint": "", "suggestion": suggestion}
        return Problem(code="not_a_choice", details=details)


def normalize_text(text: str) -> str:
    """Remove invisible characters and needless spaces, and replace typographic dashes."""
    if text.isascii() and text.isprintable() and "  " not in text:  # fast path for most texts
        return text.strip()
    visible = remove_invisible(unicodedata.normalize("NFC", text)).translate(_DASHES)
    return re.sub(r"\s+", " ", visible).strip()


def cleaning_warning(text: str, clean: str) -> Problem | None:
    """The warning that shows both forms, or None if nothing was changed."""
    return None if text == clean else Problem(code="cell_cleaned", details={"value": text, "clean": clean})


def _parsed_value(text: str, clean: str) -> ParsedValue:
    return ParsedValue(value=clean, warning=cleaning_warning(text, clean))


def _without_point_zero(text: str) -> str:
    """Spreadsheets and pandas turn 805 into `805.0`."""
    return text[:-2] if re.fullmatch(r"\d+\.0", text) else text


# Text


def find_control_character(text: str) -> str | None:
    """The name of the first control or surrogate character, such as `U+0000`, or None."""
    if text.isprintable():
        return None
    characters = (char for char in text if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\r\t")
    return next((f"U+{ord(char):04X}" for char in characters), None)


def _parse_text(text: str) -> ParsedValue:
    if name := find_control_character(text):
        raise ParseError("cell_control", name=name)
    clean = strip_invisible(text)
    _reject_scientific(clean)
    return ParsedValue(value=clean, warning=cleaning_warning(text, clean) or find_damage(clean))


def _reject_scientific(text: str) -> None:
    if is_scientific(text):
        raise ParseError("cell_scientific", value=text)


#: Four ids of this length fit into a URL, even with 12 characters for each character after percent-encoding.
_MAX_ID_CHARACTERS = 1_000


def id_problem(text: str) -> str | None:
    """Why an id cannot be part of a URL, or None.

    HTTP clients resolve `.` and `..` even if percent-encoded, so `/advertisers/..` would name another object.
    """
    if text in {".", ".."}:
        return "URLs treat it as a relative path"
    if len(text) > _MAX_ID_CHARACTERS:
        return f"it has more than {_MAX_ID_CHARACTERS:,} characters"
    if not text.isprintable() and any(unicodedata.category(char) in {"Cc", "Cs"} for char in text):
        return "it contains a control character"
    return None


#: What makes Excel show the zeros of an id in a CSV file, and other programs read it as it is.
_FORMULA_ID = re.compile(r'="([^"]*)"')


def _unwrap(text: str) -> str:
    """The text without invisible characters at its ends, and without the formula around it: `="00123"` is `00123`."""
    clean = strip_invisible(text)
    match = _FORMULA_ID.fullmatch(clean)
    return strip_invisible(match[1]) if match else clean


def _parse_id(text: str) -> ParsedValue:
    clean = _unwrap(text)
    if reason := id_problem(clean):
        raise ParseError("not_an_id", value=text, reason=reason)
    if names := name_invisible(clean):
        raise ParseError("cell_control", name=names)
    _reject_scientific(clean)
    return ParsedValue(value=clean, warning=cleaning_warning(text, clean) or find_damage(clean))


def _parse_digits(text: str) -> ParsedValue:
    clean = _without_point_zero(normalize_text(_unwrap(text)))
    _reject_scientific(clean)
    if not re.fullmatch(r"[0-9]+", clean):
        raise ParseError("not_digits", value=text)
    return _parsed_value(text, clean)


_DAMAGED_TEXTS = ("Err:[0-9]{3}", *MISSING_VALUE_WORDS, SCIENTIFIC_PATTERN)
#: No spaces at the ends, no invisible characters, no leading sign that may have a special meaning, nothing damaged, and
#: no error such as `Err:502`. Two characters tell most texts from the damaged ones, before each of these is tried.
_PASSTHROUGH_PATTERN = re.compile(
    rf"(?!(?=[EnNu1-9][aAnoruU.,eE])(?:{'|'.join(_DAMAGED_TEXTS)})(?![ -~]))"
    rf"[0-9A-Za-z][ -~]{{0,{_MAX_ID_CHARACTERS - 1}}}+(?<! )"
)

TEXT = FieldType(name="text", parse=_parse_text, passthrough_pattern=_PASSTHROUGH_PATTERN)
ID = FieldType(name="id", parse=_parse_id, passthrough_pattern=_PASSTHROUGH_PATTERN)
#: An integer in the documentation's text and a string in its examples; the platform accepts both.
NUMERIC_ID = FieldType(name="numeric id", parse=_parse_digits, also_accepts=(int,))


# Choices


def _fold(text: str) -> str:
    return re.sub(r"[\s_-]+", "", normalize_text(text)).casefold()


def suggest_choice(text: str, choices: tuple[str, ...]) -> str:
    """The closest choice itself, ready to paste; without one, a sentence that says what to do."""
    choice_by_words = {_joined_words(choice): choice for choice in reversed(choices)}
    closest = difflib.get_close_matches(_joined_words(text), choice_by_words, n=1, cutoff=0.75)
    if closest:
        return choice_by_words[closest[0]]
    words = set(_words(text))
    matches = [choice for choice in choices if words and words <= set(_words(choice))]
    if len(matches) == 1:
        return matches[0]
    for candidates in (matches, choices):
        if 0 < len(candidates) <= _MAX_LISTED_CHOICES:
            return f"Type one of: {', '.join(candidates)}."
    return "Choose a value from the dropdown of the template, or from the manual (topic columns)."


def _joined_words(text: str) -> str:
    return " ".join(_words(text))


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", normalize_text(text).casefold())


def choice(*choices: str, name: str = "choice", may_be_unlisted: bool = False) -> FieldType:
    """A set of texts. Differences in case, dashes, spaces and invisible characters are cleaned.

    `may_be_unlisted`: accounts may have others, which an option allows.
    """
    choices = tuple(map(str, choices))  # messages would show the members of an enum with their class
    choice_by_folded = {_fold(value): value for value in choices}

    def parse(text: str) -> ParsedValue:
        if text in choices:
            return ParsedValue(value=text)
        if match := choice_by_folded.get(_fold(text)):
            warning = Problem(code="choice_cleaned", details={"value": text, "clean": match})
            return ParsedValue(value=match, warning=warning)
        suggestion = suggest_choice(text, choices)
        is_misspelt = _words(text) == _words(suggestion)  # it differs in punctuation alone
        has_hint = may_be_unlisted and not is_misspelt
        hint = Unshortened(f" (if your account has it: {option('allow_unlisted')})" if has_hint else "")
        raise ParseError("not_a_choice", value=text, known=name, hint=hint, suggestion=suggestion)

    return FieldType(name=name, parse=parse, choices=choices)


_STATE_BY_FOLDED_NAME = {_fold(name): code for code, name in regions.STATES.items()}


def _parse_state(text: str) -> ParsedValue:
    """The two-letter code of a US state or territory or a Canadian province. For a full name, the fix is its code."""
    clean = normalize_text(text).upper()
    if clean in regions.STATES:
        return _parsed_value(text, clean)
    suggestion = _STATE_BY_FOLDED_NAME.get(_fold(text), "Type a code such as CA or ON.")
    raise ParseError("not_a_state", value=text, suggestion=suggestion)


# Numbers and booleans


def whole_number(*, minimum: int, maximum: int) -> FieldType:
    """A whole number within limits, both included."""

    def parse(text: str) -> ParsedValue:
        clean = normalize_text(text)
        if re.fullmatch(r"[0-9]{1,3}(,[0-9]{3})+", clean):  # not a decimal comma, as in `1,5`: 15 would be wrong
            clean = clean.replace(",", "")
        clean = _without_point_zero(clean)
        if not re.fullmatch(r"-?[0-9]{1,15}", clean):
            raise ParseError("not_a_number", value=text, minimum=minimum, maximum=f"{maximum:,}")
        value = int(clean)
        if not minimum <= value <= maximum:
            raise ParseError("out_of_range", value=value, minimum=minimum, maximum=f"{maximum:,}")
        return ParsedValue(value=value, warning=cleaning_warning(text, str(value)))

    return FieldType(name=f"whole number, {minimum} to {maximum:,}", parse=parse, limits=(minimum, maximum))


def _parse_boolean(text: str) -> ParsedValue:
    word = normalize_text(text).casefold()
    clean = _without_point_zero(word)
    if clean in _TRUE_WORDS | _FALSE_WORDS:
        value = clean in _TRUE_WORDS
        return ParsedValue(value=value, warning=cleaning_warning(text, str(value).upper()) if clean != word else None)
    raise ParseError("not_a_boolean", value=text)


BOOLEAN = FieldType(
    name="yes or no", parse=_parse_boolean, to_text=lambda value: str(value).upper(), choices=("TRUE", "FALSE")
)


# Regions and times


@functools.cache
def area_code_region(area_code: str) -> str | None:
    """The region of an area code, such as `US` or `CA`; `toll-free` for a toll-free code; None if not in use."""
    import phonenumbers  # noqa: PLC0415  heavy, and `--help` does not need it

    # The exchange 234 is in use in every area code, even in those that are only partly in use.
    number = phonenumbers.parse(f"+1{area_code}2345678")
    types = phonenumbers.PhoneNumberType
    number_type = phonenumbers.number_type(number)
    if number_type == types.TOLL_FREE:
        return "toll-free"
    # 900, 500 and 600 belong to no region. Some islands have no type, since 234 is not in use there.
    if number_type in {types.PREMIUM_RATE, types.PERSONAL_NUMBER, types.VOIP}:
        return None
    return phonenumbers.region_code_for_number(number)


def _normalize_area_code(text: str) -> str:
    clean = _without_point_zero(normalize_text(text)).strip("()")
    if not re.fullmatch(r"[2-9][0-9]{2}", clean):
        raise ParseError("not_an_area_code", value=text)
    region = area_code_region(clean)
    if region == "toll-free":
        raise ParseError("toll_free_area_code", value=clean)
    if region not in _LOCAL_REGIONS:
        raise ParseError("not_an_area_code", value=text)
    return clean


def _parse_area_code(text: str) -> ParsedValue:
    return _parsed_value(text, _normalize_area_code(text))


def _parse_area_codes(text: str) -> ParsedValue:
    parts = _split_list(text)
    if not parts:
        raise ParseError("not_area_codes", value=text)
    codes = [_normalize_area_code(part) for part in parts]
    is_clean = codes == parts and not _PYTHON_LIST.fullmatch(text)
    return ParsedValue(value=codes, warning=None if is_clean else cleaning_warning(text, ", ".join(codes)))


#: A list, tuple, set or array of texts as Python shows it; pandas writes it so to a CSV file.
_PYTHON_LIST = re.compile(r"\s*[\[({]\s*(?:'[^'\[\](){}]*'[\s,]*)+[\])}]\s*")


def _split_list(text: str) -> list[str]:
    """The items of a JSON list, a list of Python, or a comma-separated text; empty if it is none of these."""
    if _PYTHON_LIST.fullmatch(text):
        return re.findall(r"'([^']*)'", text)
    if not text.lstrip().startswith("["):
        return [part for part in re.split(r"[\s,;|]+", normalize_text(text)) if part]
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [str(part) for part in parts] if all(type(part) in {str, int} for part in parts) else []


def _parse_zip_code(text: str) -> ParsedValue:
    clean = _without_point_zero(normalize_text(text)).upper()
    if re.fullmatch(r"[0-9]{5}", clean):
        return _parsed_value(text, clean)
    if match := re.fullmatch(r"([A-Z][0-9][A-Z])[ -]?([0-9][A-Z][0-9])", clean):
        return _parsed_value(text, " ".join(match.groups()))
    if match := re.fullmatch(r"([0-9]{5})-?[0-9]{4}", clean):
        raise ParseError("zip_code_too_precise", value=text, fixed=match[1])
    if re.fullmatch(r"[0-9]{3,4}", clean):
        raise ParseError("zip_code_zero_lost", value=text, fixed=clean.zfill(5))
    raise ParseError("not_a_zip_code", value=text)


def _parse_time(text: str) -> ParsedValue:
    match = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})(?::00)?", normalize_text(text))
    if match and (int(match[1]), match[2]) == (24, "00"):
        return ParsedValue(value="24:00", warning=Problem(code="end_of_day", details={"value": "24:00"}))
    if not match or int(match[1]) > 23 or int(match[2]) % 15 or int(match[2]) > 45:  # noqa: PLR2004  a clock's limits
        raise ParseError("not_a_time", value=text)
    return _parsed_value(text, f"{int(match[1]):02}:{match[2]}")


def _parse_only_cleared(text: str) -> ParsedValue:
    raise ParseError("only_cleared", value=text)


AREA_CODE = FieldType(name="area code", parse=_parse_area_code)
AREA_CODES = FieldType(name="area codes", parse=_parse_area_codes, to_text=", ".join, cleared_value=[])
ZIP_CODE = FieldType(name="zip code", parse=_parse_zip_code)
STATE = FieldType(name="state", parse=_parse_state, choices=tuple(regions.STATES))
#: A hash whose parts have columns of their own: its own column takes `[]` alone.
ONLY_CLEARED = FieldType(name="[] alone", parse=_parse_only_cleared, to_text=json.dumps)
TIME = FieldType(name="time, HH:MM", parse=_parse_time)
TIME_ZONE = choice(*regions.TIME_ZONES, name="time zone")


# Phone numbers, email addresses and accounts


def _parse_phone(text: str) -> ParsedValue:
    """A number that is called; one that nobody can have is a warning."""
    import phonenumbers  # noqa: PLC0415  heavy, and `--help` does not need it

    parsed = _parse_assigned_number(text)
    number = phonenumbers.parse(parsed.value, "US")
    is_placeholder = len(set(str(number.national_number))) == 1 or not phonenumbers.is_valid_number(number)
    if parsed.warning or not is_placeholder:
        return parsed
    return ParsedValue(value=parsed.value, warning=Problem(code="phone_placeholder", details={"value": text}))


def _parse_assigned_number(text: str) -> ParsedValue:
    """E.164, or 10 digits for a number in the USA or Canada, as documented; other forms are cleaned to one of these."""
    import phonenumbers  # noqa: PLC0415  heavy, and `--help` does not need it

    plain = _without_point_zero(normalize_text(_unwrap(text)))
    _reject_scientific(plain)
    try:
        number = phonenumbers.parse(plain, "US")
    except phonenumbers.NumberParseException:
        raise ParseError("not_a_phone_number", value=text) from None
    # `is_possible_number` also accepts seven digits, which are valid only within an area code.
    is_possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if number.extension or not is_possible:
        raise ParseError("not_a_phone_number", value=text)
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    value = text if text == e164 else e164[2:] if number.country_code == 1 else e164
    return _parsed_value(text, value)


def _parse_country_code(text: str) -> ParsedValue:
    import phonenumbers  # noqa: PLC0415  heavy, and `--help` does not need it

    clean = _without_point_zero(normalize_text(text)).removeprefix("+")
    if not re.fullmatch(r"[1-9][0-9]{0,2}", clean) or int(clean) not in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        raise ParseError("not_a_country_code", value=text)
    return _parsed_value(text, clean)


def _parse_email(text: str) -> ParsedValue:
    import email_validator  # noqa: PLC0415  heavy, and `--help` does not need it

    clean = normalize_text(text)
    try:
        email_validator.validate_email(clean, check_deliverability=False, test_environment=True)
    except email_validator.EmailNotValidError as error:
        raise ParseError("not_an_email", value=text, reason=str(error)) from None
    return _parsed_value(text, clean)


def _parse_ads_account(text: str) -> ParsedValue:
    """`627-345-9815` and `7567575756755` are the documentation's examples; both are sent unchanged."""
    clean = _without_point_zero(normalize_text(_unwrap(text)))
    _reject_scientific(clean)
    if not re.fullmatch(r"[0-9]{3}-[0-9]{3}-[0-9]{4}|[0-9]{10,15}", clean):
        raise ParseError("not_an_ads_account", value=text)
    return _parsed_value(text, clean)


def _parse_looks_like(text: str) -> ParsedValue:
    """The platform uses the first five digits. Source: the documentation of promo numbers."""
    parsed = _parse_digits(text)
    if len(parsed.value) > 5:  # noqa: PLR2004  the documented limit
        return ParsedValue(value=parsed.value, warning=Problem(code="digits_ignored", details={"value": parsed.value}))
    return parsed


PHONE = FieldType(name="phone number", parse=_parse_phone)
ASSIGNED_NUMBER = FieldType(name="phone number", parse=_parse_assigned_number)  # the platform knows that it exists
COUNTRY_CODE = FieldType(name="country code", parse=_parse_country_code, also_accepts=(int,))
EMAIL = FieldType(name="email address", parse=_parse_email)
ADS_ACCOUNT = FieldType(name="Google Ads account id", parse=_parse_ads_account)
LOOKS_LIKE = FieldType(name="digits", parse=_parse_looks_like)
