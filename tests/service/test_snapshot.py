"""The platform's lists: what is not shown whole is read by itself, and what cannot be seen is never planned."""

from __future__ import annotations

from typing import Any

import pytest

from invoca_bulk.config.options import Options
from invoca_bulk.errors import PlatformUnavailableError
from invoca_bulk.service import snapshot

WHOLE: dict[str, Any] = {"id": 1, "id_from_network": "A-1", "name": "Acme", "sites": [], "users": []}
OTHER = {**WHOLE, "id": 2, "id_from_network": "A-2"}
#: An advertiser as a list may show it, without the whole of its users and sites.
HALVES: dict[str, dict[str, Any]] = {
    "no users": {name: WHOLE[name] for name in WHOLE if name != "users"},
    "no sites": {name: WHOLE[name] for name in WHOLE if name != "sites"},
    "null users": {**WHOLE, "users": None},
    "junk": {**WHOLE, "users": ["U-1"]},
    "a count": {**WHOLE, "sites": 3},
}


def _observed(odd: Any) -> list[Any]:
    return list(snapshot.fetch_state([()], odd.network(), Options(concurrency=2))[()].objects)


@pytest.mark.parametrize("name", HALVES)
def test_a_half_is_read_by_itself(odd: Any, reply: Any, name: str) -> None:
    """A list that leaves out users or sites is no reason to take them for none."""
    full = {**WHOLE, "users": [{"id_from_network": "U-1"}]}
    odd.reads.extend([reply(200, [OTHER, HALVES[name]]), reply(200, full)])
    assert _observed(odd) == [OTHER, full]
    assert [path for _, path, _ in odd.requests] == ["advertisers", "advertisers/A-1"]


def test_a_whole_list_is_one_request(odd: Any, reply: Any) -> None:
    """Nothing is read twice; one without an id, which no sheet can name, is left as it is."""
    odd.reads.append(reply(200, [WHOLE, OTHER, {"id": 3}]))
    assert _observed(odd) == [WHOLE, OTHER, {"id": 3}]
    assert len(odd.requests) == 1


@pytest.mark.parametrize(
    ("status", "answer"),
    [(200, HALVES["no users"]), (200, OTHER), (200, [WHOLE]), (200, {"status": "maintenance"}), (404, {}), (403, {})],
    ids=repr,
)
def test_what_cannot_be_seen_is_not_planned(odd: Any, reply: Any, status: int, answer: Any) -> None:
    """Without its users nobody can tell what an update would take away."""
    odd.reads.extend([reply(200, [HALVES["no users"]]), reply(status, answer)])
    with pytest.raises(
        PlatformUnavailableError, match="does not show the users of advertiser A-1, so it cannot be told"
    ):
        _observed(odd)
