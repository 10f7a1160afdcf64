"""Lists of the platform: incomplete objects are read one by one, and unknown users or sites stop the plan."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.config.options import Options
from invoca_bulk.errors import PlatformUnavailableError
from invoca_bulk.service import snapshot

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
def test_unreadable_object_is_not_planned(odd: Any, reply: Any, status: int, body: Any) -> None:
    """Without knowing its users, a plan cannot tell which of them an update would remove."""
    odd.reads.extend([reply(200, [INCOMPLETE["no users"]]), reply(status, body)])
    with pytest.raises(
        PlatformUnavailableError,
        match="does not show the users of advertiser A-1, so what an update would remove is unknown",
    ):
        _fetch_advertisers(odd)
