"""The area codes of a state, city or zip code.

States and cities come from the number plan in phonenumbers. The first three digits of a US zip code give its state, the
first letter of a Canadian postal code gives its province.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping

from invoca_bulk.schema.field_types import Json
from invoca_bulk.schema.regions import STATES

_COUNTRY_CODE = "1"
_AREA_CODE_DIGITS = 3
#: Descriptions in the number plan to states; some differ from the names in `STATES`.
_STATES_BY_DESCRIPTION = {
    "Washington State": ("WA",),
    "Washington D.C.": ("DC",),
    "British Colombia": ("BC",),
    "Nova Scotia/Prince Edward Island": ("NS", "PE"),
    "Northwest Territories/Nunavut/Yukon": ("NT", "NU", "YT"),
    **{name: (code,) for code, name in STATES.items()},
}
#: The number plan does not list these territories with the states.
_TERRITORY_AREA_CODES = {"AS": {"684"}, "GU": {"671"}, "MP": {"670"}, "PR": {"787", "939"}, "VI": {"340"}}

#: The first three digits of US zip codes at which another state begins; `-`: not in use, or military.
_ZIP_RANGES_TEXT = """\
000- 005NY 006PR 008VI 009PR 010MA 028RI 030NH 039ME 050VT 055MA 056VT 060CT 070NJ 090- 100NY 150PA 197DE 200DC
201VA 202DC 206MD 220VA 247WV 269- 270NC 290SC 300GA 320FL 340- 341FL 350AL 370TN 386MS 398GA 400KY 428- 430OH 460IN
480MI 500IA 529- 530WI 550MN 568- 569DC 570SD 578- 580ND 589- 590MT 600IL 630MO 659- 660KS 680NE 694- 700LA 715-
716AR 730OK 733TX 734OK 750TX 800CO 817- 820WY 832ID 839- 840UT 848- 850AZ 866- 870NM 885TX 886- 889NV 899- 900CA
962- 967HI 969GU 970OR 980WA 995AK"""
_ZIP_RANGES = _ZIP_RANGES_TEXT.split()
_ZIP_RANGE_STARTS = [start[:3] for start in _ZIP_RANGES]
_PROVINCE_BY_LETTER = {
    **dict(zip("ABCETVRSY", ("NL", "NS", "PE", "NB", "AB", "BC", "MB", "SK", "YT"), strict=True)),
    **dict.fromkeys("KLMNP", "ON"),
    **dict.fromkeys("GHJ", "QC"),
    "X": "NT",
}


def area_codes_for(center: Mapping[str, Json]) -> frozenset[str]:
    """The area codes of a local center: its tn_prefix, or those of its zip code's state, its city or else its state.

    Empty if none is known. The search radius and the restriction to the state are ignored.
    """
    if code := center.get("tn_prefix"):
        return frozenset({code})
    if zip_code := center.get("zipcode"):
        return _area_codes_by_state().get(state_of_zip_code(zip_code), frozenset())
    state = center["state"]
    in_state = _area_codes_by_state().get(state, frozenset())
    return (_area_codes_by_city().get((center["city"].casefold(), state), frozenset()) & in_state) or in_state


def state_of_zip_code(zip_code: str) -> str:
    """The code of the state or province of a zip code; empty if the zip code is not in use."""
    if zip_code[0].isalpha():
        return _PROVINCE_BY_LETTER.get(zip_code[0], "")
    return _ZIP_RANGES[bisect_right(_ZIP_RANGE_STARTS, zip_code[:3]) - 1][3:].strip("-")


def _area_descriptions() -> Iterator[tuple[str, str]]:
    """Yield (digits after the country code, name of the region)."""
    from phonenumbers.geodata import GEOCODE_DATA  # noqa: PLC0415  takes half a second, and few requests need it

    for digits, names in GEOCODE_DATA.items():
        if digits.startswith(_COUNTRY_CODE) and "en" in names:
            yield digits.removeprefix(_COUNTRY_CODE), names["en"]


@functools.cache
def _area_codes_by_state() -> dict[str, frozenset[str]]:
    codes_by_state = defaultdict(set, {state: set(codes) for state, codes in _TERRITORY_AREA_CODES.items()})
    for digits, description in _area_descriptions():
        if len(digits) == _AREA_CODE_DIGITS:
            state = description.rpartition(", ")[2]  # of `New Jersey` or `San Antonio, TX`
            for code in (state,) if state in STATES else _STATES_BY_DESCRIPTION.get(description, ()):
                codes_by_state[code].add(digits)
    return {state: frozenset(codes) for state, codes in codes_by_state.items()}


@functools.cache
def _area_codes_by_city() -> dict[tuple[str, str], frozenset[str]]:
    codes_by_city = defaultdict(set)
    for digits, description in _area_descriptions():
        city, comma, state = description.rpartition(", ")
        if comma:
            codes_by_city[city.casefold(), state].add(digits[:_AREA_CODE_DIGITS])
    return {city_and_state: frozenset(codes) for city_and_state, codes in codes_by_city.items()}
