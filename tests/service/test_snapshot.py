"""Lists of the platform: incomplete objects are read one by one, and unknown users or sites stop the plan."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.config.options import Options
from invoca_bulk.errors import PlatformUnavailableError
from invoca_bulk.schema import ADVERTISERS
from invoca_bulk.service import export, snapshot

COMPLETE: dict[str, Any] = {"id": 1, "id_from_network": "A-1", "name": "Acme", "sites": [], "users": []}
OTHER = {**COMPLETE, "id": 2, "id_from_network": "A-2"}
#: Advertisers in a list whose users or sites are missing or incomplete.
INCOMPLETE: dict[str, dict[str, Any]] = {
    "no users": {name: COMPLETE[name] for name in COMPLETE if name != "users"},
    "no sites": {name: COMPLETE[name] for name in COMPLETE if name != "sites"},
    "null users": {**COMPLETE, "users": None},
    "junk": {**COMPLETE, "users": ["U-1"]},
    "a count": {**COMPLETE, "sites": 3},
}


def _fetch_advertisers(odd: Any) -> list[Any]:
    return list(snapshot.fetch_state([()], odd.network(), Options(concurrency=2))[()].objects)


@pytest.mark.parametrize("name", INCOMPLETE)
def test_incomplete_object_is_read_individually(odd: Any, reply: Any, name: str) -> None:
    """Users or sites that a list leaves out are requested, not taken as empty."""
    full = {**COMPLETE, "users": [{"id_from_network": "U-1"}]}
    odd.reads.extend([reply(200, [OTHER, INCOMPLETE[name]]), reply(200, full)])
    assert _fetch_advertisers(odd) == [OTHER, full]
    assert [path for _, path, _ in odd.requests] == ["advertisers", "advertisers/A-1"]


def test_complete_list_is_one_request(odd: Any, reply: Any) -> None:
    """Nothing is read twice; an object without an id, which no sheet can name, is kept unchanged."""
    odd.reads.append(reply(200, [COMPLETE, OTHER, {"id": 3}]))
    assert _fetch_advertisers(odd) == [COMPLETE, OTHER, {"id": 3}]
    assert len(odd.requests) == 1


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, INCOMPLETE["no users"]),
        (200, OTHER),
        (200, [COMPLETE]),
        (200, {"status": "maintenance"}),
        (404, {}),
        (403, {}),
    ],
    ids=repr,
)
def test_unreadable_object_stays_incomplete(odd: Any, reply: Any, status: int, body: Any) -> None:
    """An advertiser whose users stay unknown is listed as it is: the plan refuses its rows, and no others."""
    odd.reads.extend([reply(200, [INCOMPLETE["no users"], OTHER]), reply(status, body)])
    assert _fetch_advertisers(odd) == [INCOMPLETE["no users"], OTHER]


def test_equal_objects_count_once(odd: Any, reply: Any) -> None:
    """A list that shows an object twice has it once; different objects with the same id stay."""
    renamed = {**COMPLETE, "name": "Other"}
    odd.reads.append(reply(200, [COMPLETE, OTHER, dict(reversed(COMPLETE.items())), renamed]))
    assert _fetch_advertisers(odd) == [COMPLETE, OTHER, renamed]


LIST_PATH = "/api/2022-08-01/1234/advertisers.json"


def test_link_to_the_next_page(odd: Any, reply: Any) -> None:
    """A list with `rel="next"` is read to its end."""
    odd.reads.extend(
        [
            reply(200, [COMPLETE], Link=f'<{odd.base_url}{LIST_PATH}?page=2>; rel="next"'),
            reply(200, [OTHER], Link='<?page=1>; rel="prev"'),
        ]
    )
    assert _fetch_advertisers(odd) == [COMPLETE, OTHER]
    assert odd.paths == [LIST_PATH, f"{LIST_PATH}?page=2"]


def test_next_in_an_envelope(odd: Any, reply: Any) -> None:
    """A list in an object with `next` is read to its end."""
    odd.reads.extend(
        [
            reply(200, {"advertisers": [COMPLETE], "next": f"{LIST_PATH}?after=x%2Fy"}),
            reply(200, {"advertisers": [OTHER], "next": None}),
        ]
    )
    assert _fetch_advertisers(odd) == [COMPLETE, OTHER]
    assert odd.paths[1] == f"{LIST_PATH}?after=x%2Fy"


@pytest.mark.parametrize(
    ("link", "second", "reason"),
    [
        pytest.param("https://evil.example/?page=2", None, "it is at another address", id="another-host"),
        pytest.param("/api/2022-08-01/9/advertisers.json?page=2", None, "at another address", id="another-list"),
        pytest.param("?page=2", (200, [], "?page=2"), "the same page again", id="circle"),
        pytest.param("?page=2", (404, {}, ""), "it answered 404", id="missing-page"),
        pytest.param("?page=2", (200, {"status": "down"}, ""), "it answered 200", id="no-list"),
    ],
)
def test_a_list_that_cannot_be_read_to_its_end(odd: Any, reply: Any, link: str, second: Any, reason: str) -> None:
    """Such a list is refused, never taken as whole; the token goes to no other address."""
    odd.reads.append(reply(200, [COMPLETE], Link=f'<{link}>; rel="next"'))
    if second:
        odd.reads.append(reply(*second[:2], Link=f'<{second[2]}>; rel="next"'))
    with pytest.raises(PlatformUnavailableError, match=reason):
        _fetch_advertisers(odd)
    assert len(odd.requests) == (2 if second else 1)


def test_export_with_unknown_users(odd: Any, reply: Any) -> None:
    """An export has the other advertisers, and says what is missing."""
    odd.reads.extend([reply(200, [INCOMPLETE["a count"], OTHER, OTHER]), reply(404, {})])
    exported = export.export(ADVERTISERS, odd.network(), Options())
    assert list(exported.frames["advertisers"]["id_from_network"]) == ["A-1", "A-2"]
    assert exported.notes[0] == "The sites of advertiser A-1 are missing: the platform does not show them."
    assert not exported.is_complete
