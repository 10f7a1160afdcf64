"""The sandbox's faults over real HTTP: what a client sees, and what the ledger has."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server import Faults, Sandbox
from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES
from invoca_bulk.sandbox_server.faults import FAULT_NAMES, parse_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = "/api/2022-08-01/1234/advertisers/A-100/advertiser_campaigns/C-100/promo_numbers"
BY_ID = f"{NUMBERS}_by_id"
BODY = {"description": "d", "media_type": "Online: Display"}
DROPPED = httpx.RemoteProtocolError


@dataclass
class Client:
    """Raw HTTP to a sandbox, without retries."""

    box: Sandbox
    http: httpx.Client

    def post(self, **fields: Any) -> httpx.Response:
        return self.http.post(f"{BY_ID if fields else NUMBERS}.json", json={**BODY, **fields})

    def post_result(self) -> object:
        """Send a POST; returns its status or the class of its error."""
        try:
            return self.post().status_code
        except httpx.TransportError as error:
            return type(error)

    def list_numbers(self) -> list[str]:
        return [number["promo_number"] for number in self.http.get(f"{NUMBERS}.json").json()]

    @property
    def issued(self) -> list[str]:
        return [entry.number for entry in self.box.store.ledger]


@contextmanager
def serving(faults: Any = "", **options: Any) -> Iterator[Client]:
    with (
        Sandbox(faults=faults, **options) as box,
        httpx.Client(base_url=box.base_url, headers={"Authorization": box.token}, timeout=10) as http,
    ):
        yield Client(box, http)


def wait_until(condition: Callable[[], Any], timeout: float = 5.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with serving(Faults(stall=0.1, slow=0.1)) as client:
        yield client


#: Fault type to (result of a POST, how many numbers are issued).
RESULTS = {
    "drop_before": (DROPPED, 0),
    "drop_after": (DROPPED, 1),
    "500_before": (500, 0),
    "500_after": (500, 1),
    "502_html_before": (502, 0),
    "502_html_after": (502, 1),
    "503_before": (503, 0),
    "503_after": (503, 1),
    "429": (429, 0),
    "429_retry_after": (429, 0),
    "stall_before": (DROPPED, 0),
    "stall_after": (DROPPED, 1),
    "cut": (DROPPED, 1),
    "garbled": (201, 1),
    "slow": (201, 1),
}


def test_all_types_are_tested() -> None:
    """The table of this test has every fault type."""
    assert set(RESULTS) == set(FAULT_TYPES) == set(FAULT_NAMES)


@pytest.mark.parametrize(
    ("fault_type", "result", "issued"), [(fault_type, *row) for fault_type, row in RESULTS.items()], ids=RESULTS
)
@pytest.mark.parametrize("settle_delay", [0.0, 0.02], ids=["at once", "late"])
def test_each_type(shared: Client, fault_type: str, result: object, issued: int, settle_delay: float) -> None:
    """A fault does what the table says, and the ledger agrees, at the latest after the settle delay."""
    faults = shared.box.faults
    issued_before, count_before = len(shared.issued), faults.counts[fault_type]
    faults.change(settle_delay=settle_delay, script=[fault_type])
    assert shared.post_result() == result
    wait_until(lambda: not faults.pending)
    assert len(shared.issued) == issued_before + issued
    assert faults.counts[fault_type] == count_before + 1
    assert shared.post().status_code == 201, "the next request is served"


def test_bodies_and_headers(shared: Client) -> None:
    """A 500 has its handle, a 502 its page, a 429 its header, and a garbled body is not JSON."""
    faults = shared.box.faults
    faults.change(script=["500_before", "502_html_before", "503_before", "429", "429_retry_after", "garbled"])
    crash, gateway, unavailable, without_header, with_header, garbled = (shared.post() for _ in range(6))
    assert crash.json()["errors"]["invalid_data"].startswith("refer to error handle ")
    assert gateway.headers["content-type"] == unavailable.headers["content-type"] == "text/html"
    assert "<html>" in gateway.text
    assert ("retry-after" in without_header.headers, with_header.headers["retry-after"]) == (False, "1")
    assert garbled.headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match="Expecting value"):
        garbled.json()


def test_cut(shared: Client) -> None:
    """The status and the promised length arrive, then half of the body, then nothing."""
    shared.box.faults.change(script=["cut"])
    received = b""
    with shared.http.stream("POST", f"{NUMBERS}.json", json=BODY) as answer:
        assert answer.status_code == 201
        parts = answer.iter_raw()
        with suppress(DROPPED):
            while True:  # a `for` would hide whether the body has ended
                received += next(parts)
    assert len(received) == int(answer.headers["content-length"]) // 2
    assert shared.issued[-1].encode() in received


def test_client_timeout(shared: Client) -> None:
    """A client that times out during the silence has bought its number only with `stall_after`."""
    before = len(shared.issued)
    shared.box.faults.change(script=["stall_before", "stall_after"], stall=60, settle_delay=0.02)
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            shared.http.post(f"{NUMBERS}.json", json=BODY, timeout=0.1)
    shared.box.faults.stall = 0.1
    wait_until(lambda: len(shared.issued) == before + 1)


def test_slow_and_stall_do_not_block_others(shared: Client) -> None:
    """Eight concurrent silences take no longer than one."""
    shared.box.faults.change(script=["stall_before", "slow"] * 4, stall=0.2, slow=0.2)
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        results = Counter(pool.map(lambda _: shared.post_result(), range(8)))
    assert results == {DROPPED: 4, 201: 4}
    assert 0.2 <= time.monotonic() - start < 1.2
    shared.box.faults.change(stall=0.1, slow=0.1)


@pytest.mark.parametrize(
    "fault_type", [name for name in FAULT_TYPES if name.endswith("_after") and name != "429_retry_after"]
)
def test_before_the_settle_delay(fault_type: str) -> None:
    """The client has its response, but neither the ledger nor a GET by own id has the number yet."""
    with serving(Faults(script=[fault_type], settle_delay=60, stall=0.01)) as client:
        with suppress(DROPPED):
            assert client.post(id_from_network="mine").status_code >= 500
        assert client.http.get(f"{BY_ID}/mine.json").status_code == 404
        assert (client.issued, client.list_numbers(), client.box.faults.pending) == ([], [], 1)


def test_after_the_settle_delay() -> None:
    """The number is issued after the delay, with the own id that was sent."""
    with serving(Faults(script=["drop_after"], settle_delay=0.2)) as client:
        start = time.monotonic()
        with pytest.raises(DROPPED):
            client.post(id_from_network="mine")
        wait_until(lambda: client.http.get(f"{BY_ID}/mine.json").status_code == 200)
        assert time.monotonic() - start >= 0.2
        assert client.list_numbers() == client.issued
        assert client.box.faults.counts == {"drop_after": 1, "settle_delay": 1}


def test_list_lag() -> None:
    """GET finds a new number at once, lists have it after the lag, and lists always have older numbers."""
    with serving(Faults(list_lag=0.2)) as client:
        old = client.post().json()["promo_number"]
        wait_until(lambda: client.list_numbers() == [old])
        start = time.monotonic()
        new = client.post().json()["promo_number"]
        assert client.list_numbers() == [old] or time.monotonic() - start >= 0.2
        wait_until(lambda: client.list_numbers() == [old, new])
        assert time.monotonic() - start >= 0.2
        client.box.faults.list_lag = 60
        assert client.list_numbers() == []
        assert client.http.get(f"{NUMBERS}/{new}.json").status_code == 200
        assert len(client.http.get("/api/2022-08-01/1234/advertisers.json").json()) == 3
        assert client.box.faults.counts["list_lag"] >= 1


def test_numbers_from_before_the_lag() -> None:
    """The lag starts when a number is issued, even if `list_lag` was off at that time."""
    with serving() as client:
        number = client.post().json()["promo_number"]
        time.sleep(0.1)
        client.box.faults.list_lag = 0.1
        assert client.list_numbers() == [number]


def test_stop_during_the_settle_delay() -> None:
    """Stopping does not wait for the settle delay, and pending requests are never processed."""
    with serving(Faults(script=["drop_after"], settle_delay=60)) as client:
        assert client.post_result() == DROPPED
        start = time.monotonic()
    assert time.monotonic() - start < 5
    assert (client.issued, client.box.faults.pending) == ([], 0)


def test_other_verbs() -> None:
    """GETs meet faults only if listed in `verbs`; an update or delete without a response is still processed."""
    with serving("drop_after=100%") as client:
        assert client.post_result() == DROPPED
        (number,) = client.list_numbers()
        path = f"{NUMBERS}/{number}.json"
        with pytest.raises(DROPPED):
            client.http.put(path, json={"description": "changed"})
        assert client.http.get(path).json()["description"] == "changed"
        with pytest.raises(DROPPED):
            client.http.delete(path)
        assert client.list_numbers() == []
        client.box.faults.change(verbs=["GET"], kinds=["503_before"])
        assert client.post().status_code == 201
        assert client.http.get(f"{NUMBERS}.json").status_code == 503


@pytest.mark.parametrize("retry_after", [None, 2], ids=["no header", "header"])
def test_limit(retry_after: float | None) -> None:
    """A burst of more than one second's worth gets 429 unprocessed, for any verb; the bucket refills over time."""
    with serving(Faults(limit=2, limit_retry_after=retry_after)) as client:
        start = time.monotonic()
        answers = [client.post() for _ in range(20)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:2] == [201] * 2
        assert set(statuses) == {201, 429}
        assert statuses.count(201) <= 2 + 2 * (time.monotonic() - start)
        assert len(client.issued) == statuses.count(201)
        assert client.box.faults.counts == {"limit": statuses.count(429)}
        headers = {answer.headers.get("retry-after") for answer in answers if answer.status_code == 429}
        assert headers == {None if retry_after is None else "2"}
        wait_until(lambda: client.post_result() == 201)
        client.box.faults.limit = 0.001
        wait_until(lambda: client.http.get(f"{NUMBERS}.json").status_code == 429)


def test_limit_change() -> None:
    """A lower limit applies at once."""
    with serving("limit=50") as client:
        assert [client.post_result() for _ in range(20)] == [201] * 20
        client.box.faults.change(limit=2)
        start = time.monotonic()
        results = [client.post_result() for _ in range(15)]
        assert results.count(201) <= 3 + 2 * (time.monotonic() - start)
        client.box.faults.limit = None
        assert [client.post_result() for _ in range(5)] == [201] * 5


def draw_faults(faults: Faults, count: int = 300) -> list[str]:
    return [faults.next_fault("POST").help for _ in range(count)]


def test_the_same_seed_repeats() -> None:
    """The n-th request meets the same fault with the same seed and different faults with another, at about the rate."""
    first = draw_faults(Faults(rate=0.2, seed=7))
    assert draw_faults(Faults(rate=0.2, seed=7)) == first
    assert draw_faults(Faults(rate=0.2, seed=8)) != first
    no_fault = Faults().next_fault("POST")
    assert 30 <= sum(text != no_fault.help for text in first) <= 90
    mixed = Faults(rate=0.2, seed=7)
    assert [mixed.next_fault("GET") for _ in range(9)] == [no_fault] * 9
    assert draw_faults(mixed) == first, "requests that do not match are not counted"


def test_the_same_seed_repeats_over_http() -> None:
    """Two sandboxes with one seed issue the same numbers and fail the same requests."""
    runs = []
    for _ in range(2):
        with serving(parse_faults("40%,kinds=drop_before+drop_after+429+cut", seed=3), seed=3) as client:
            runs.append(([client.post_result() for _ in range(40)], client.issued, client.box.faults.counts))
    assert runs[0] == runs[1]
    assert set(runs[0][2]) == {"drop_before", "drop_after", "429", "cut"}


def test_weights() -> None:
    """A fault type is drawn according to its weight, and never with weight 0."""
    faults = Faults(rate=1, kinds={"429": 3, "cut": 1, "slow": 0})
    draw_faults(faults, 400)
    assert set(faults.counts) == {"429", "cut"}
    assert 250 < faults.counts["429"] < 350


def test_script() -> None:
    """The script is used in order before the rate, None means no fault, and the sequence of the rate is unchanged."""
    with serving(Faults(script=["429", None, "503_after"])) as client:
        assert [client.post_result() for _ in range(4)] == [429, 201, 503, 201]
        client.box.faults.script.extend(["drop_after"])
        assert client.post_result() == DROPPED
    unscripted, scripted = Faults(rate=0.5), Faults(rate=0.5, script=["429"])
    scripted.next_fault("POST")
    assert draw_faults(unscripted) == draw_faults(scripted)


def test_many_at_once() -> None:
    """With all fault types at once, the counts, the ledger and the clients' results agree."""
    with serving(Faults(rate=0.5, stall=0.05, slow=0.05, settle_delay=0.05)) as client:
        limits = httpx.Limits(max_connections=32)
        with (
            httpx.Client(base_url=client.box.base_url, headers=client.http.headers, limits=limits) as http,
            ThreadPoolExecutor(32) as pool,
        ):
            results = Counter(pool.map(lambda _: Client(client.box, http).post_result(), range(400)))
        wait_until(lambda: not client.box.faults.pending)
        counts = client.box.faults.counts
        unprocessed = sum(counts[name] for name, (_, issued) in RESULTS.items() if not issued)
        assert len(set(client.issued)) == len(client.issued) == 400 - unprocessed
        for status, names in ((429, ("429", "429_retry_after")), (503, ("503_before", "503_after"))):
            assert results[status] == sum(counts[name] for name in names)
        deferred_types = ("drop_after", "stall_after", "500_after", "502_html_after", "503_after")
        assert counts["settle_delay"] == sum(counts[name] for name in deferred_types)


def test_changes_from_another_thread() -> None:
    """Settings may change while faults are chosen: each choice sees the whole change or nothing of it."""
    faults, is_over = Faults(rate=1, kinds=["429"]), threading.Event()

    def flip() -> None:
        while not is_over.is_set():
            faults.change(rate=0, kinds=["cut"])
            faults.change(rate=1, kinds=["429"])

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        assert set(draw_faults(faults, 2000)) <= {FAULT_TYPES["429"].help, Faults().next_fault("POST").help}
    finally:
        is_over.set()
        flipping.join()


def test_off_by_default() -> None:
    """By default every request is served and nothing is counted; faults can be switched on and off."""
    with serving() as client:
        assert not client.box.faults.is_active
        assert [client.post_result() for _ in range(5)] == [201] * 5
        client.box.faults.rate = 1.0
        client.box.faults.kinds = ["503_before"]
        assert client.post_result() == 503
        client.box.faults.change(rate=0)
        assert client.post_result() == 201
        client.box.faults = "429=100%"
        assert client.post_result() == 429


TEXTS = {
    "one share": ("20%", {"rate": 0.2}),
    "shares": ("drop_after=5%, 429=0.1", {"rate": 0.15, "kinds": {"drop_after": 0.05, "429": 0.1}}),
    "all of it": ("cut=60%,slow=40%", {"rate": 1.0}),
    "some kinds": ("20%,kinds=cut+slow", {"rate": 0.2, "kinds": {"cut": 1, "slow": 1}}),
    "settings": ("limit=10,settle_delay=1,list_lag=.5", {"rate": 0, "limit": 10, "settle_delay": 1, "list_lag": 0.5}),
    "verbs": ("5%,verbs=GET+POST,seed=4", {"verbs": ["GET", "POST"], "seed": 4}),
    "script": ("script=cut+429", {"script": ["cut", "429"]}),
    "nothing": ("", {"rate": 0, "seed": 9, "limit": None}),
}


@pytest.mark.parametrize(("text", "settings"), TEXTS.values(), ids=TEXTS)
def test_text(text: str, settings: dict[str, Any]) -> None:
    """The text form gives the settings, and settings survive a round trip through JSON values."""
    parsed = parse_faults(text, seed=9).settings()
    assert {name: parsed[name] for name in settings} == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in settings.items()
    }
    copy = Faults()
    copy.change(**parsed)
    assert copy.settings() == parsed


WRONG = {
    "unknown kind": ("dorp_after=5%", "no fault 'dorp_after'. Fault types: drop_before, .*Settings: rate, "),
    "unknown word": ("often", "no fault 'often'"),
    "unknown among kinds": ("5%,kinds=cut+slwo", "no fault 'slwo'"),
    "kind without a share": ("429", "the share of 429. Use a share"),
    "share over all": ("120%", "'120%' as rate"),
    "shares over all": ("cut=60%,slow=60%", "1.2 as rate"),
    "both ways": ("20%,cut=5%", "Use one share"),
    "no number": ("stall=long", "'long' as stall. Use a number of seconds"),
    "no limit": ("limit=0", "'0' as limit. Use a number of requests"),
    "endless": ("stall=inf", "as stall"),
    "negative": ("list_lag=-1", "as list_lag"),
    "verb": ("5%,verbs=PATCH", "as verbs. Use one or more of GET"),
    "no kinds": ("5%,kinds=", "as kinds"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG)
def test_wrong_text(text: str, message: str) -> None:
    """Invalid text is rejected with the valid names or values."""
    with pytest.raises(ConfigError, match=message):
        Sandbox(faults=text)


def test_wrong_settings() -> None:
    """An invalid setting is rejected wherever it is set, and the rest of its change is not applied."""
    faults = Faults()
    with pytest.raises(ConfigError, match="no fault 'rates'"):
        faults.change(stall=5, rates=1)
    with pytest.raises(ConfigError, match="as rate"):
        faults.change(stall=5, rate=True)
    with pytest.raises(ConfigError, match="as rate"):
        faults.rate = 2
    with pytest.raises(ConfigError, match="as faults"):
        Sandbox(faults=0.2)
    assert faults.stall == 1.0


def test_layers_are_inside_the_faults() -> None:
    """A custom layer sees only the requests that the platform processes."""
    verbs = []

    def recorder(app: Any) -> Any:
        async def record(scope: Any, receive: Any, send: Any) -> None:
            verbs.append(scope["method"])
            await app(scope, receive, send)

        return record

    with serving(Faults(script=["429", "drop_after"]), layers=(recorder,)) as client:
        assert [client.post_result(), client.post_result()] == [429, DROPPED]
    assert verbs == ["POST"]


# Admin endpoints


def test_ledger_over_http() -> None:
    """The ledger shows every issued number, even if the client got no response."""
    with serving() as client:
        client.post(id_from_network="mine")
        client.box.faults.change(script=["drop_after"])
        client.post_result()
        first, second = client.http.get("/sandbox/ledger").json()
    campaign = {"network_id": "1234", "advertiser_id": "A-100", "campaign_id": "C-100", "affiliate_id": None}
    body = {**BODY, "id_from_network": "mine"}
    assert first == {**campaign, "number": client.issued[0], "own_id": "mine", "body": body, "sequence": 1}
    assert second == {**campaign, "number": client.issued[1], "own_id": None, "body": BODY, "sequence": 2}


def test_state_over_http() -> None:
    """The state shows the current numbers by campaign, advertisers, requests and faults."""
    with serving(Faults(script=["429"])) as client:
        client.post_result()
        number, deleted_number = (client.post().json()["promo_number"] for _ in range(2))
        client.http.delete(f"{NUMBERS}/{deleted_number}.json")
        state = client.http.get("/sandbox/state").json()
    campaigns = [campaign for campaign in state["campaigns"] if campaign["affiliate_id"] is None]
    numbers = {campaign["campaign_id"]: campaign["numbers"] for campaign in campaigns}
    assert [entry["promo_number"] for entry in numbers["C-100"]] == [number]
    assert numbers["C-300"] == []
    names = {advertiser["id_from_network"]: advertiser["name"] for advertiser in state["advertisers"]}
    assert names == {"A-100": "Acme Tickets", "A-200": "Harbor Dental", "A-300": "Northwind Autos"}
    assert state["requests"] == 3
    assert (state["faults"]["counts"], state["faults"]["pending"]) == ({"429": 1}, 0)


def test_faults_over_http() -> None:
    """PUT changes the given settings, all or none; admin requests meet no faults and are not counted."""
    with serving("limit=1") as client:
        settings = {"rate": 1, "kinds": {"503_before": 1}, "verbs": ["GET", "PUT", "POST"], "limit": None}
        for _ in range(5):
            answer = client.http.put("/sandbox/faults", json=settings)
            assert answer.status_code == 200
        assert answer.json()["settings"]["kinds"] == {"503_before": 1}
        assert client.http.get("/sandbox/faults").json() == answer.json()
        assert client.post_result() == 503
        answer = client.http.put("/sandbox/faults", json={"rate": 0, "kinds": ["slwo"]})
        assert (answer.status_code, client.post_result()) == (400, 503)
        assert "no fault 'slwo'" in answer.json()["message"]
        for content in (b"[1]", b"{", b"1", b""):
            assert client.http.put("/sandbox/faults", content=content).status_code == 400
        client.http.put("/sandbox/faults", json={"rate": 0})
        assert client.post_result() == 201
        assert client.http.get("/sandbox/state").json()["requests"] == 1


def test_admin_requests_need_the_token() -> None:
    """Admin requests without the token get 401, and unknown addresses get 404."""
    with serving() as client:
        for verb, path in (("GET", "ledger"), ("GET", "state"), ("PUT", "faults"), ("GET", "nothing")):
            assert httpx.request(verb, f"{client.box.base_url}/sandbox/{path}").status_code == 401
        assert client.http.get("/sandbox/nothing").status_code == 404
        assert client.http.post("/sandbox/ledger").status_code == 404
