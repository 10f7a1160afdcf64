"""The sandbox's faults over real HTTP: what a client sees, and what was really done."""

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
from invoca_bulk.sandbox_server import FAULT_NAMES, FAULT_TYPES, Faults, Sandbox, parse_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBERS = "/api/2022-08-01/1234/advertisers/A-100/advertiser_campaigns/C-100/promo_numbers"
BY_ID = f"{NUMBERS}_by_id"
BODY = {"description": "d", "media_type": "Online: Display"}
DROPPED = httpx.RemoteProtocolError


@dataclass
class Client:
    """Raw HTTP to a sandbox: every request as it comes, nothing repeated."""

    box: Sandbox
    http: httpx.Client

    def post(self, **more: Any) -> httpx.Response:
        return self.http.post(f"{BY_ID if more else NUMBERS}.json", json={**BODY, **more})

    def seen(self) -> object:
        """What one POST comes to: a status, or the class of an error."""
        try:
            return self.post().status_code
        except httpx.TransportError as error:
            return type(error)

    def listed(self) -> list[str]:
        return [one["promo_number"] for one in self.http.get(f"{NUMBERS}.json").json()]

    @property
    def issued(self) -> list[str]:
        return [one.number for one in self.box.store.ledger]


@contextmanager
def serving(faults: Any = "", **options: Any) -> Iterator[Client]:
    with (
        Sandbox(faults=faults, **options) as box,
        httpx.Client(base_url=box.base_url, headers={"Authorization": box.token}, timeout=10) as http,
    ):
        yield Client(box, http)


def until(true: Callable[[], Any], within: float = 5.0) -> None:
    end = time.monotonic() + within
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    with serving(Faults(stall=0.1, slow=0.1)) as client:
        yield client


#: Kind to what the client sees of a POST, and how many numbers are issued.
SEEN = {
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


def test_every_kind_is_here() -> None:
    """No kind goes untested."""
    assert set(SEEN) == set(FAULT_TYPES) == set(FAULT_NAMES)


@pytest.mark.parametrize(("kind", "seen", "issued"), [(kind, *what) for kind, what in SEEN.items()], ids=SEEN)
@pytest.mark.parametrize("settle_delay", [0.0, 0.02], ids=["at once", "late"])
def test_each_kind(shared: Client, kind: str, seen: object, issued: int, settle_delay: float) -> None:
    """A kind does what the table says, and the ledger has the number or not, at the latest after the settle delay."""
    faults = shared.box.faults
    before, counted = len(shared.issued), faults.counts[kind]
    faults.change(settle_delay=settle_delay, script=[kind])
    assert shared.seen() == seen
    until(lambda: not faults.pending)
    assert len(shared.issued) == before + issued
    assert faults.counts[kind] == counted + 1
    assert shared.post().status_code == 201, "the next one is served, on whatever connection"


def test_bodies_and_headers(shared: Client) -> None:
    """An error has its handle, a gateway its page, a 429 its header, and what is garbled is not JSON."""
    faults = shared.box.faults
    faults.change(script=["500_before", "502_html_before", "503_before", "429", "429_retry_after", "garbled"])
    crash, gateway, unavailable, bare, waiting, garbled = (shared.post() for _ in range(6))
    assert crash.json()["errors"]["invalid_data"].startswith("refer to error handle ")
    assert gateway.headers["content-type"] == unavailable.headers["content-type"] == "text/html"
    assert "<html>" in gateway.text
    assert ("retry-after" in bare.headers, waiting.headers["retry-after"]) == (False, "1")
    assert garbled.headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match="Expecting value"):
        garbled.json()


def test_a_cut_body_has_the_right_status_and_its_first_half(shared: Client) -> None:
    """The status and the promised length arrive, then half of the body, then nothing."""
    shared.box.faults.change(script=["cut"])
    got = b""
    with shared.http.stream("POST", f"{NUMBERS}.json", json=BODY) as answer:
        assert answer.status_code == 201
        parts = answer.iter_raw()
        with suppress(DROPPED):
            while True:  # a `for` would say that the body has ended
                got += next(parts)
    promised = int(answer.headers["content-length"])
    assert len(got) == promised // 2
    assert shared.issued[-1].encode() in got


def test_an_impatient_client(shared: Client) -> None:
    """A client that gives up during the silence has bought its number or not, as the kind says."""
    before = len(shared.issued)
    shared.box.faults.change(script=["stall_before", "stall_after"], stall=60, settle_delay=0.02)
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            shared.http.post(f"{NUMBERS}.json", json=BODY, timeout=0.1)
    shared.box.faults.stall = 0.1
    until(lambda: len(shared.issued) == before + 1)


def test_slow_and_stall_take_their_time_and_hold_up_nobody(shared: Client) -> None:
    """Eight silences at once take no longer than one."""
    shared.box.faults.change(script=["stall_before", "slow"] * 4, stall=0.2, slow=0.2)
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        seen = Counter(pool.map(lambda _: shared.seen(), range(8)))
    assert seen == {DROPPED: 4, 201: 4}
    assert 0.2 <= time.monotonic() - start < 1.2
    shared.box.faults.change(stall=0.1, slow=0.1)


@pytest.mark.parametrize(
    "kind", [kind for kind in FAULT_TYPES if kind.endswith("_after") and kind != "429_retry_after"]
)
def test_until_the_settle_delay_is_over_there_is_no_number(kind: str) -> None:
    """The client has its reply, and neither the ledger nor a read by the own id knows of a number yet."""
    with serving(Faults(script=[kind], settle_delay=60, stall=0.01)) as client:
        with suppress(DROPPED):
            assert client.post(id_from_network="mine").status_code >= 500
        assert client.http.get(f"{BY_ID}/mine.json").status_code == 404
        assert (client.issued, client.listed(), client.box.faults.pending) == ([], [], 1)


def test_after_the_settle_delay_there_is() -> None:
    """The number comes so much later, with the own id that was sent."""
    with serving(Faults(script=["drop_after"], settle_delay=0.2)) as client:
        start = time.monotonic()
        with pytest.raises(DROPPED):
            client.post(id_from_network="mine")
        until(lambda: client.http.get(f"{BY_ID}/mine.json").status_code == 200)
        assert time.monotonic() - start >= 0.2
        assert client.listed() == client.issued
        assert client.box.faults.counts == {"drop_after": 1, "settle_delay": 1}


def test_list_lag() -> None:
    """A new number is read by itself at once, and stands in lists only when the lag is over; older ones always do."""
    with serving(Faults(list_lag=0.2)) as client:
        old = client.post().json()["promo_number"]
        until(lambda: client.listed() == [old])
        start = time.monotonic()
        new = client.post().json()["promo_number"]
        assert client.listed() == [old] or time.monotonic() - start >= 0.2
        until(lambda: client.listed() == [old, new])
        assert time.monotonic() - start >= 0.2
        client.box.faults.list_lag = 60
        assert client.listed() == []
        assert client.http.get(f"{NUMBERS}/{new}.json").status_code == 200
        assert len(client.http.get("/api/2022-08-01/1234/advertisers.json").json()) == 3
        assert client.box.faults.counts["list_lag"] >= 1


def test_numbers_from_before_the_lag() -> None:
    """The lag counts from the issue of a number, also of one that was issued while it was off."""
    with serving() as client:
        number = client.post().json()["promo_number"]
        time.sleep(0.1)
        client.box.faults.list_lag = 0.1
        assert client.listed() == [number]


def test_what_is_late_when_it_stops_is_never_done() -> None:
    """Stopping does not wait for the settle delay."""
    with serving(Faults(script=["drop_after"], settle_delay=60)) as client:
        assert client.seen() == DROPPED
        start = time.monotonic()
    assert time.monotonic() - start < 5
    assert (client.issued, client.box.faults.pending) == ([], 0)


def test_other_verbs() -> None:
    """Reads are spared unless they are named; a lost update or delete is done all the same."""
    with serving("drop_after=100%") as client:
        assert client.seen() == DROPPED
        (number,) = client.listed()
        one = f"{NUMBERS}/{number}.json"
        with pytest.raises(DROPPED):
            client.http.put(one, json={"description": "changed"})
        assert client.http.get(one).json()["description"] == "changed"
        with pytest.raises(DROPPED):
            client.http.delete(one)
        assert client.listed() == []
        client.box.faults.change(verbs=["GET"], kinds=["503_before"])
        assert client.post().status_code == 201
        assert client.http.get(f"{NUMBERS}.json").status_code == 503


@pytest.mark.parametrize("wait", [None, 2], ids=["no header", "header"])
def test_limit(wait: float | None) -> None:
    """Over one second's worth at once is refused unprocessed, whatever the verb; it fills up again with time."""
    with serving(Faults(limit=2, limit_retry_after=wait)) as client:
        start = time.monotonic()
        answers = [client.post() for _ in range(20)]
        seen = [one.status_code for one in answers]
        assert seen[:2] == [201] * 2
        assert set(seen) == {201, 429}
        assert seen.count(201) <= 2 + 2 * (time.monotonic() - start)
        assert len(client.issued) == seen.count(201)
        assert client.box.faults.counts == {"limit": seen.count(429)}
        waits = {one.headers.get("retry-after") for one in answers if one.status_code == 429}
        assert waits == {None if wait is None else "2"}
        until(lambda: client.seen() == 201)
        client.box.faults.limit = 0.001
        until(lambda: client.http.get(f"{NUMBERS}.json").status_code == 429)


def test_a_limit_that_changes() -> None:
    """A lower limit holds from its first second on."""
    with serving("limit=50") as client:
        assert [client.seen() for _ in range(20)] == [201] * 20
        client.box.faults.change(limit=2)
        start = time.monotonic()
        seen = [client.seen() for _ in range(15)]
        assert seen.count(201) <= 3 + 2 * (time.monotonic() - start)
        client.box.faults.limit = None
        assert [client.seen() for _ in range(5)] == [201] * 5


def fates(faults: Faults, count: int = 300) -> list[str]:
    return [faults.next_fault("POST").help for _ in range(count)]


def test_the_same_seed_repeats() -> None:
    """The n-th request meets the same fate under the same seed, another one under another, at about the rate."""
    first = fates(Faults(rate=0.2, seed=7))
    assert fates(Faults(rate=0.2, seed=7)) == first
    assert fates(Faults(rate=0.2, seed=8)) != first
    sound = FAULT_TYPES | {"none": Faults().next_fault("POST")}
    assert 30 <= sum(one != sound["none"].help for one in first) <= 90
    mixed = Faults(rate=0.2, seed=7)
    assert [mixed.next_fault("GET") for _ in range(9)] == [sound["none"]] * 9
    assert fates(mixed) == first, "what does not match does not count"


def test_the_same_seed_repeats_over_http() -> None:
    """Two sandboxes with one seed issue the same numbers and fail the same requests."""
    runs = []
    for _ in range(2):
        with serving(parse_faults("40%,kinds=drop_before+drop_after+429+cut", seed=3), seed=3) as client:
            runs.append(([client.seen() for _ in range(40)], client.issued, client.box.faults.counts))
    assert runs[0] == runs[1]
    assert set(runs[0][2]) == {"drop_before", "drop_after", "429", "cut"}


def test_weights() -> None:
    """A kind comes as often as its weight says, and one without weight never."""
    faults = Faults(rate=1, kinds={"429": 3, "cut": 1, "slow": 0})
    fates(faults, 400)
    assert set(faults.counts) == {"429", "cut"}
    assert 250 < faults.counts["429"] < 350


def test_the_script_goes_first() -> None:
    """Scripted kinds come in their order, None lets one pass, and the rate's own sequence is not disturbed."""
    with serving(Faults(script=["429", None, "503_after"])) as client:
        assert [client.seen() for _ in range(4)] == [429, 201, 503, 201]
        client.box.faults.script.extend(["drop_after"])
        assert client.seen() == DROPPED
    plain, scripted = Faults(rate=0.5), Faults(rate=0.5, script=["429"])
    scripted.next_fault("POST")
    assert fates(plain) == fates(scripted)


def test_many_at_once() -> None:
    """Under all kinds at once the counts, the ledger and what the clients saw add up."""
    with serving(Faults(rate=0.5, stall=0.05, slow=0.05, settle_delay=0.05)) as client:
        limits = httpx.Limits(max_connections=32)
        with (
            httpx.Client(base_url=client.box.base_url, headers=client.http.headers, limits=limits) as http,
            ThreadPoolExecutor(32) as pool,
        ):
            seen = Counter(pool.map(lambda _: Client(client.box, http).seen(), range(400)))
        until(lambda: not client.box.faults.pending)
        counts = client.box.faults.counts
        lost = sum(counts[kind] for kind, (_, issued) in SEEN.items() if not issued)
        assert len(set(client.issued)) == len(client.issued) == 400 - lost
        for what, kinds in ((429, ("429", "429_retry_after")), (503, ("503_before", "503_after"))):
            assert seen[what] == sum(counts[kind] for kind in kinds)
        late = ("drop_after", "stall_after", "500_after", "502_html_after", "503_after")
        assert counts["settle_delay"] == sum(counts[kind] for kind in late)


def test_changes_from_another_thread() -> None:
    """Settings may change while requests are decided: each decision sees all of a change or none of it."""
    faults, over = Faults(rate=1, kinds=["429"]), threading.Event()

    def flip() -> None:
        while not over.is_set():
            faults.change(rate=0, kinds=["cut"])
            faults.change(rate=1, kinds=["429"])

    flipping = threading.Thread(target=flip)
    flipping.start()
    try:
        assert set(fates(faults, 2000)) <= {FAULT_TYPES["429"].help, Faults().next_fault("POST").help}
    finally:
        over.set()
        flipping.join()


def test_off_by_default() -> None:
    """Without faults every request is served, nothing is counted, and they can be switched on and off again."""
    with serving() as client:
        assert not client.box.faults.is_active
        assert [client.seen() for _ in range(5)] == [201] * 5
        client.box.faults.rate = 1.0
        client.box.faults.kinds = ["503_before"]
        assert client.seen() == 503
        client.box.faults.change(rate=0)
        assert client.seen() == 201
        client.box.faults = "429=100%"
        assert client.seen() == 429


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


@pytest.mark.parametrize(("text", "wanted"), TEXTS.values(), ids=TEXTS)
def test_text(text: str, wanted: dict[str, Any]) -> None:
    """The text form says what the settings say, and settings go through JSON and back."""
    settings = parse_faults(text, seed=9).settings()
    assert {name: settings[name] for name in wanted} == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in wanted.items()
    }
    again = Faults()
    again.change(**settings)
    assert again.settings() == settings


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
    """What cannot be understood is refused, with what is known."""
    with pytest.raises(ConfigError, match=message):
        Sandbox(faults=text)


def test_wrong_settings() -> None:
    """A wrong setting is refused wherever it is set, and nothing of the same change is taken over."""
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


def test_layers_stand_inside() -> None:
    """A layer of one's own sees what the platform really does, not what the faults keep from it."""
    verbs = []

    def listen(app: Any) -> Any:
        async def heard(scope: Any, receive: Any, send: Any) -> None:
            verbs.append(scope["method"])
            await app(scope, receive, send)

        return heard

    with serving(Faults(script=["429", "drop_after"]), layers=(listen,)) as client:
        assert [client.seen(), client.seen()] == [429, DROPPED]
    assert verbs == ["POST"]


# Control over HTTP


def test_ledger_over_http() -> None:
    """The ledger shows every number that was really issued, those that no client was told of too."""
    with serving() as client:
        client.post(id_from_network="mine")
        client.box.faults.change(script=["drop_after"])
        client.seen()
        first, second = client.http.get("/sandbox/ledger").json()
    place = {"network_id": "1234", "advertiser_id": "A-100", "campaign_id": "C-100", "affiliate_id": None}
    body = {**BODY, "id_from_network": "mine"}
    assert first == {**place, "number": client.issued[0], "own_id": "mine", "body": body, "sequence": 1}
    assert second == {**place, "number": client.issued[1], "own_id": None, "body": BODY, "sequence": 2}


def test_state_over_http() -> None:
    """The state shows what is there now: numbers by campaign, advertisers, requests and faults."""
    with serving(Faults(script=["429"])) as client:
        client.seen()
        kept, gone = (client.post().json()["promo_number"] for _ in range(2))
        client.http.delete(f"{NUMBERS}/{gone}.json")
        state = client.http.get("/sandbox/state").json()
    there = {one["campaign_id"]: one["numbers"] for one in state["campaigns"] if one["affiliate_id"] is None}
    assert [one["promo_number"] for one in there["C-100"]] == [kept]
    assert there["C-300"] == []
    names = {one["id_from_network"]: one["name"] for one in state["advertisers"]}
    assert names == {"A-100": "Acme Tickets", "A-200": "Harbor Dental", "A-300": "Northwind Autos"}
    assert state["requests"] == 3
    assert (state["faults"]["counts"], state["faults"]["pending"]) == ({"429": 1}, 0)


def test_switching_over_http() -> None:
    """PUT changes the settings that are named, all or none, and control meets no fault and is no request."""
    with serving("limit=1") as client:
        every = {"rate": 1, "kinds": {"503_before": 1}, "verbs": ["GET", "PUT", "POST"], "limit": None}
        for _ in range(5):
            answer = client.http.put("/sandbox/faults", json=every)
            assert answer.status_code == 200
        assert answer.json()["settings"]["kinds"] == {"503_before": 1}
        assert client.http.get("/sandbox/faults").json() == answer.json()
        assert client.seen() == 503
        refused = client.http.put("/sandbox/faults", json={"rate": 0, "kinds": ["slwo"]})
        assert (refused.status_code, client.seen()) == (400, 503)
        assert "no fault 'slwo'" in refused.json()["message"]
        for content in (b"[1]", b"{", b"1", b""):
            assert client.http.put("/sandbox/faults", content=content).status_code == 400
        client.http.put("/sandbox/faults", json={"rate": 0})
        assert client.seen() == 201
        assert client.http.get("/sandbox/state").json()["requests"] == 1


def test_control_needs_the_token() -> None:
    """Nothing is shown or switched without the token, and other addresses are not there."""
    with serving() as client:
        for verb, path in (("GET", "ledger"), ("GET", "state"), ("PUT", "faults"), ("GET", "nothing")):
            assert httpx.request(verb, f"{client.box.base_url}/sandbox/{path}").status_code == 401
        assert client.http.get("/sandbox/nothing").status_code == 404
        assert client.http.post("/sandbox/ledger").status_code == 404
