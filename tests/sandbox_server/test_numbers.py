"""Which numbers the sandbox issues."""

from __future__ import annotations

from typing import Any

import phonenumbers
import pytest
from phonenumbers import PhoneNumberType

from invoca_bulk.sandbox_server.local_centers import area_codes_for, state_of_zip_code
from invoca_bulk.sandbox_server.number_pool import TOLL_FREE_CODES, NumberPool
from invoca_bulk.schema.regions import STATES


def _take(count: int, **body: Any) -> list[str]:
    pool = NumberPool(0)
    numbers = [pool.allocate(body) for _ in range(count)]
    assert None not in numbers
    return [number for number in numbers if number]


def _valid(number: str) -> bool:
    return phonenumbers.is_valid_number(phonenumbers.parse(f"+1{number}"))


def test_toll_free() -> None:
    """Without a local center, numbers are toll-free, valid and unique."""
    numbers = _take(20_000)
    assert len(set(numbers)) == 20_000
    assert {number[:3] for number in numbers} == set(TOLL_FREE_CODES)
    assert all(_valid(number) for number in numbers[::97])
    number_types = {phonenumbers.number_type(phonenumbers.parse(f"+1{number}")) for number in numbers[::97]}
    assert number_types == {PhoneNumberType.TOLL_FREE}


def test_local_numbers_are_plausible() -> None:
    """The numbers of an area code are unique and valid, and none has an unused exchange."""
    numbers = _take(5_000, local_center={"tn_prefix": "805"})
    assert len(set(numbers)) == 5_000
    assert all(number.startswith("805") and number[3] not in "01" for number in numbers)
    assert not {"555", "911", "411"} & {number[3:6] for number in numbers}
    assert all(_valid(number) for number in numbers[::23])


def test_seeds() -> None:
    """The same seed gives the same numbers, another seed gives others."""
    pools = [NumberPool(seed) for seed in (1, 1, 2)]
    first, same_seed, other_seed = ([pool.allocate({}) for _ in range(20)] for pool in pools)
    assert first == same_seed != other_seed


CENTERS = {
    "city": ({"city": "Santa Barbara", "state": "CA"}, {"805"}),
    "city in another case": ({"city": "santa barbara", "state": "CA"}, {"805"}),
    "Canadian city": ({"city": "Toronto", "state": "ON"}, {"416", "647", "437", "905", "289"}),
    "zip": ({"zipcode": "93101"}, {"805", "213", "415", "916"}),
    "zip with a zero": ({"zipcode": "02134"}, {"617", "857", "413", "508", "339"}),
    "postal code": ({"zipcode": "K1A 0B1"}, {"613", "416", "807", "226"}),
    "territory": ({"zipcode": "00901"}, {"787", "939"}),
}


@pytest.mark.parametrize(("center", "area_codes"), CENTERS.values(), ids=CENTERS)
def test_local_centers(center: dict[str, str], area_codes: set[str]) -> None:
    """A local center gets area codes of its city or, if none is known, of its state."""
    assert area_codes_for(center) & area_codes
    assert _valid(_take(1, local_center=center)[0])


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_served(state: str) -> None:
    """A city that the number plan does not list gets valid numbers of its state."""
    (number,) = _take(1, local_center={"city": "No Such Town", "state": state})
    assert _valid(number)


ZIPS = {"00501": "NY", "02134": "MA", "20001": "DC", "20101": "VA", "60601": "IL", "73301": "TX", "93101": "CA"}
ZIPS |= {"99501": "AK", "09012": "", "00000": "", "96201": "", "H2X 1Y4": "QC", "V5K 0A1": "BC", "D1A 0B1": ""}


@pytest.mark.parametrize(("zip_code", "state"), ZIPS.items(), ids=ZIPS)
def test_zip_codes(zip_code: str, state: str) -> None:
    """A zip code gives its state; unused and military zip codes give none."""
    assert state_of_zip_code(zip_code) == state


LIMITS = {
    "within": ({"local_center": {"zipcode": "93101"}, "tn_prefix_whitelist": ["213"]}, "213"),
    "outside": ({"local_center": {"tn_prefix": "805"}, "tn_prefix_whitelist": ["212"]}, None),
    "no center": ({"tn_prefix_whitelist": ["212"]}, "8"),
    "unused zip": ({"local_center": {"zipcode": "00000"}}, None),
}


@pytest.mark.parametrize(("body", "starts"), LIMITS.values(), ids=LIMITS)
def test_whitelist(body: dict[str, Any], starts: str | None) -> None:
    """The whitelist limits the area codes of a local center; if none is left, there is no number."""
    number = NumberPool(0).allocate(body)
    assert number is None if starts is None else number and number.startswith(starts)


def test_nothing_available(platform: Any) -> None:
    """A local center without numbers is a field error, and nothing is issued."""
    body = {"description": "d", "media_type": "Online: Display", "local_center": {"zipcode": "00000"}}
    before = len(platform.store.ledger)
    answer = platform("POST", "advertisers/A-100/advertiser_campaigns/C-100/promo_numbers", body)
    assert (answer.status_code, set(answer.json()["errors"])) == (403, {"local_center"})
    assert len(platform.store.ledger) == before
