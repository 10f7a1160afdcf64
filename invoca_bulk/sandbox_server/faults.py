"""Which requests go wrong, and how: settings that may be changed while the sandbox runs, and seeded decisions."""

# ruff: noqa: RUF009  the defaults of Faults are descriptors, which all its objects share on purpose

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from invoca_bulk.errors import SettingInvalid
from invoca_bulk.sandbox_server.fault_types import KINDS, OVER_LIMIT, SOUND
from invoca_bulk.sandbox_server.validated_fields import Setting, names, number, number_or_none, share, whole_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.sandbox_server.fault_types import Kind
    from invoca_bulk.schema.field_types import Json

ALL = tuple(KINDS)
VERBS = ("GET", "POST", "PUT", "DELETE")
_LIMIT = "limit"
#: What a request comes to, by the name under which it is counted.
_REACTIONS: dict[str | None, Kind] = {_LIMIT: OVER_LIMIT, None: SOUND}
_REACTIONS.update(KINDS)


def _limit(value: Json) -> float | None:
    return None if value is None else number(value, least=1e-6)


def _weights(value: Json) -> Mapping[str, float]:
    """Kind to weight; kinds without a weight have equal ones."""
    given = value if isinstance(value, Mapping) else dict.fromkeys(names(value), 1.0)
    weights = {_known_kind(name): number(weight) for name, weight in given.items()}
    if not sum(weights.values()):
        raise ValueError
    return weights


def _verbs(value: Json) -> frozenset[str]:
    verbs = frozenset(names(value))
    if not verbs <= set(VERBS):
        raise ValueError
    return verbs


def _script(value: Json) -> deque[str | None]:
    return deque(None if name is None else _known_kind(name) for name in names(value))


def _known_kind(name: str) -> str:
    if name not in KINDS:
        raise _unknown(name)
    return name


_SECONDS = "a number of seconds, 0 or more"
_FEW = "names of kinds, such as drop_after+429, in Python also a dict of kind to weight"


@dataclass(kw_only=True, eq=False, repr=False)
class Faults:
    """The faults of a sandbox. Thread-safe; each setting may be changed while the sandbox runs, also by assignment.

    Args:
        rate: the share of matching requests that meet a fault, from 0 to 1.
        kinds: the kinds of faults, or kind to weight.
        verbs: the HTTP verbs that match. Rate and script heed this; limit and list lag do not.
        seed: the n-th matching request that the rate decides meets the same fate whenever the seed is the same.
            Requests over the limit and those of the script do not count here, nor those while the rate is 0.
        limit: requests a second of all verbs that are let through, up to one second's worth at once; what is over it
            is answered 429, unprocessed, before any other fault. None: no limit.
        limit_retry_after: seconds that these 429s ask to wait in `Retry-After`; None: they have no such header.
        settle_delay: seconds between a fault's reply and the work, for the kinds that end in `_after`: the connection
            is closed or the error answered first, and what was asked for is done so much later. What has not been
            done when the sandbox stops is never done.
        list_lag: seconds from the issue of a number until lists have it; read by itself it is there at once.
        stall: seconds of silence of the kinds `stall_…`; less when the client gives up.
        slow: seconds that the kind `slow` adds to an answer.
        retry_after: seconds that the kind `429_retry_after` asks to wait.
        script: kinds for the next matching requests, before the rate is asked; None: nothing goes wrong.

    Attributes:
        counts: what was really done: kinds of faults; `limit`: requests over it; `settle_delay`: requests whose work
            was put off; `list_lag`: lists that a number was withheld from.
        pending: how many requests wait for their work to be done, after their settle delay.

    Raises:
        SettingInvalid: a value cannot be used, or a name is not known.
    """

    rate: Setting[float] = Setting(0.0, share, "a share of the requests from 0 to 1, or from 0% to 100%")
    kinds: Setting[Mapping[str, float]] = Setting(ALL, _weights, _FEW)
    verbs: Setting[frozenset[str]] = Setting(("POST", "PUT", "DELETE"), _verbs, f"some of {'+'.join(VERBS)}")
    seed: Setting[int] = Setting(0, whole_number, "a whole number")
    limit: Setting[float | None] = Setting(None, _limit, "a number of requests a second above 0")
    limit_retry_after: Setting[float | None] = Setting(None, number_or_none, _SECONDS)
    settle_delay: Setting[float] = Setting(0.0, number, _SECONDS)
    list_lag: Setting[float] = Setting(0.0, number, _SECONDS)
    stall: Setting[float] = Setting(1.0, number, _SECONDS)
    slow: Setting[float] = Setting(0.3, number, _SECONDS)
    retry_after: Setting[float] = Setting(1.0, number, _SECONDS)
    script: Setting[deque[str | None]] = Setting((), _script, _FEW)
    counts: Counter[str] = field(default_factory=Counter, init=False)
    pending: int = field(default=0, init=False)
    _decided: int = field(default=0, init=False)
    _tokens: float = field(default=math.inf, init=False)
    _filled_at: float = field(default=0.0, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __repr__(self) -> str:
        return f"Faults(on={self.on}, counts={dict(self.counts)})"

    @property
    def on(self) -> bool:
        """Whether anything can go wrong at present."""
        return bool(self.rate or self.limit or self.list_lag or self.script)

    def change(self, **settings: Json) -> None:
        """Change some settings at once, or none when one of them is wrong.

        Raises:
            SettingInvalid: a value cannot be used, or a name is not known.
        """
        checked = {name: _setting(name).checked(value) for name, value in settings.items()}
        with self._lock:
            vars(self).update(checked)

    def settings(self) -> dict[str, Json]:
        """The settings as `change` takes them, as JSON values."""
        with self._lock:
            listed = {"verbs": sorted(self.verbs), "script": list(self.script), "kinds": dict(self.kinds)}
            return {name: listed.get(name, getattr(self, name)) for name in SETTINGS}

    def next(self, verb: str) -> Kind:
        """What the next request comes to; counted at once."""
        with self._lock:
            name = self._choice(verb)
            if name:
                self.counts[name] += 1
            return _REACTIONS[name]

    def count(self, name: str) -> None:
        """Count one more of what was done."""
        with self._lock:
            self.counts[name] += 1

    @contextlib.contextmanager
    def putting_off(self) -> Iterator[None]:
        """While the work of a request waits."""
        with self._lock:
            self.counts["settle_delay"] += 1
            self.pending += 1
        try:
            yield
        finally:
            with self._lock:
                self.pending -= 1

    def _choice(self, verb: str) -> str | None:
        if self.limit is not None and not self._let_through(self.limit):
            return _LIMIT
        if verb not in self.verbs:
            return None
        if self.script:
            return self.script.popleft()
        return self._drawn() if self.rate else None

    def _drawn(self) -> str | None:
        self._decided += 1
        # A generator for each request, so that its fate depends on nothing but its place in the order.
        luck = random.Random(f"{self.seed}/{self._decided}")  # noqa: S311  repeatable, guards nothing
        if luck.random() >= self.rate:
            return None
        return luck.choices(list(self.kinds), list(self.kinds.values()))[0]

    def _let_through(self, limit: float) -> bool:
        """A token bucket that holds one second's worth of requests, and room for one at least."""
        now = time.monotonic()
        self._tokens = min(max(1.0, limit), self._tokens + (now - self._filled_at) * limit)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


SETTINGS: Mapping[str, Setting[Json]] = {name: one for name, one in vars(Faults).items() if isinstance(one, Setting)}


def _setting(name: str) -> Setting[Json]:
    if name not in SETTINGS:
        raise _unknown(name)
    return SETTINGS[name]


def _unknown(name: str) -> SettingInvalid:
    known = f"Kinds of faults are {', '.join(KINDS)}; settings are {', '.join(SETTINGS)}."
    return SettingInvalid(f"The sandbox has no fault {name!r}. {known}")


def parse(text: str, *, seed: int = 0) -> Faults:
    """Faults from text: `20%`, `drop_after=5%,429=10%`, `20%,kinds=cut+slow,limit=10,settle_delay=1`.

    Args:
        text: parts with commas between them: a share of the requests for all kinds together, or one for each kind that
            is named; and settings of `Faults`, in lists with `+` between the names. Empty: nothing goes wrong.
        seed: the seed, unless the text gives one.

    Raises:
        SettingInvalid: a value cannot be used, or a name is not known.
    """
    given = dict(_part(part.strip()) for part in text.split(",") if part.strip())
    shares = {
        name: SETTINGS["rate"].checked(value, f"the share of {name}") for name, value in given.items() if name in KINDS
    }
    settings: dict[str, Json] = {name: value for name, value in given.items() if name not in KINDS}
    if shares and not settings.keys().isdisjoint({"rate", "kinds"}):
        raise SettingInvalid(
            f"The faults {text!r} give a share for all kinds and one for some. Give one share alone, as in 20%, or one "
            "for each kind, as in drop_after=5%,429=10%."
        )
    if shares:
        settings |= {"rate": math.fsum(shares.values()), "kinds": shares}
    faults = Faults()
    faults.change(**{"seed": seed, **settings})
    return faults


def _part(part: str) -> tuple[str, str]:
    """Name and value of one part; a share alone is the rate."""
    if "=" not in part and part.endswith("%"):
        return "rate", part
    name, _, value = part.partition("=")
    return name.strip(), value.strip()


def faults_of(given: Json) -> Faults:
    """Faults from what a `Sandbox` is given: these themselves, or text."""
    if isinstance(given, Faults):
        return given
    if isinstance(given, str):
        return parse(given)
    raise TypeError
