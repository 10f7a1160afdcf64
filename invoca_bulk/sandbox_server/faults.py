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

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES, NO_FAULT, OVER_LIMIT
from invoca_bulk.sandbox_server.validated_fields import (
    ValidatedField,
    parse_names,
    parse_number,
    parse_optional_number,
    parse_share,
    parse_whole_number,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoca_bulk.sandbox_server.fault_types import FaultType
    from invoca_bulk.schema.field_types import Json

FAULT_NAMES = tuple(FAULT_TYPES)
VERBS = ("GET", "POST", "PUT", "DELETE")
_LIMIT = "limit"
#: What a request comes to, by the name under which it is counted.
_FAULT_TYPE_BY_COUNT_NAME: dict[str | None, FaultType] = {_LIMIT: OVER_LIMIT, None: NO_FAULT}
_FAULT_TYPE_BY_COUNT_NAME.update(FAULT_TYPES)


def _parse_limit(value: Json) -> float | None:
    return None if value is None else parse_number(value, minimum=1e-6)


def _parse_weights(value: Json) -> Mapping[str, float]:
    """Kind to weight; kinds without a weight have equal ones."""
    given = value if isinstance(value, Mapping) else dict.fromkeys(parse_names(value), 1.0)
    weights = {_require_known_fault(name): parse_number(weight) for name, weight in given.items()}
    if not sum(weights.values()):
        raise ValueError
    return weights


def _parse_verbs(value: Json) -> frozenset[str]:
    verbs = frozenset(parse_names(value))
    if not verbs <= set(VERBS):
        raise ValueError
    return verbs


def _parse_script(value: Json) -> deque[str | None]:
    return deque(None if name is None else _require_known_fault(name) for name in parse_names(value))


def _require_known_fault(name: str) -> str:
    if name not in FAULT_TYPES:
        raise _unknown_name_error(name)
    return name


_SECONDS_HINT = "a number of seconds, 0 or more"
_FAULT_NAMES_HINT = "names of kinds, such as drop_after+429, in Python also a dict of kind to weight"


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
        ConfigError: a value cannot be used, or a name is not known.
    """

    rate: ValidatedField[float] = ValidatedField(
        0.0, parse_share, "a share of the requests from 0 to 1, or from 0% to 100%"
    )
    kinds: ValidatedField[Mapping[str, float]] = ValidatedField(FAULT_NAMES, _parse_weights, _FAULT_NAMES_HINT)
    verbs: ValidatedField[frozenset[str]] = ValidatedField(
        ("POST", "PUT", "DELETE"), _parse_verbs, f"some of {'+'.join(VERBS)}"
    )
    seed: ValidatedField[int] = ValidatedField(0, parse_whole_number, "a whole number")
    limit: ValidatedField[float | None] = ValidatedField(None, _parse_limit, "a number of requests a second above 0")
    limit_retry_after: ValidatedField[float | None] = ValidatedField(None, parse_optional_number, _SECONDS_HINT)
    settle_delay: ValidatedField[float] = ValidatedField(0.0, parse_number, _SECONDS_HINT)
    list_lag: ValidatedField[float] = ValidatedField(0.0, parse_number, _SECONDS_HINT)
    stall: ValidatedField[float] = ValidatedField(1.0, parse_number, _SECONDS_HINT)
    slow: ValidatedField[float] = ValidatedField(0.3, parse_number, _SECONDS_HINT)
    retry_after: ValidatedField[float] = ValidatedField(1.0, parse_number, _SECONDS_HINT)
    script: ValidatedField[deque[str | None]] = ValidatedField((), _parse_script, _FAULT_NAMES_HINT)
    counts: Counter[str] = field(default_factory=Counter, init=False)
    pending: int = field(default=0, init=False)
    _draw_count: int = field(default=0, init=False)
    _tokens: float = field(default=math.inf, init=False)
    _refilled_at: float = field(default=0.0, init=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False)

    def __repr__(self) -> str:
        return f"Faults(on={self.is_active}, counts={dict(self.counts)})"

    @property
    def is_active(self) -> bool:
        """Whether anything can go wrong at present."""
        return bool(self.rate or self.limit or self.list_lag or self.script)

    def change(self, **settings: Json) -> None:
        """Change some settings at once, or none when one of them is wrong.

        Raises:
            ConfigError: a value cannot be used, or a name is not known.
        """
        checked = {name: _setting_by_name(name).validate(value) for name, value in settings.items()}
        with self._lock:
            vars(self).update(checked)

    def settings(self) -> dict[str, Json]:
        """The settings as `change` takes them, as JSON values."""
        with self._lock:
            listed = {"verbs": sorted(self.verbs), "script": list(self.script), "kinds": dict(self.kinds)}
            return {name: listed.get(name, getattr(self, name)) for name in FAULT_SETTINGS}

    def next_fault(self, verb: str) -> FaultType:
        """What the next request comes to; counted at once."""
        with self._lock:
            name = self._choose_fault(verb)
            if name:
                self.counts[name] += 1
            return _FAULT_TYPE_BY_COUNT_NAME[name]

    def record_fault(self, name: str) -> None:
        """Count one more of what was done."""
        with self._lock:
            self.counts[name] += 1

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """While the work of a request waits."""
        with self._lock:
            self.counts["settle_delay"] += 1
            self.pending += 1
        try:
            yield
        finally:
            with self._lock:
                self.pending -= 1

    def _choose_fault(self, verb: str) -> str | None:
        if self.limit is not None and not self._take_limit_token(self.limit):
            return _LIMIT
        if verb not in self.verbs:
            return None
        if self.script:
            return self.script.popleft()
        return self._draw_fault() if self.rate else None

    def _draw_fault(self) -> str | None:
        self._draw_count += 1
        # A generator for each request, so that its fate depends on nothing but its place in the order.
        luck = random.Random(f"{self.seed}/{self._draw_count}")  # noqa: S311  repeatable, guards nothing
        if luck.random() >= self.rate:
            return None
        return luck.choices(list(self.kinds), list(self.kinds.values()))[0]

    def _take_limit_token(self, limit: float) -> bool:
        """A token bucket that holds one second's worth of requests, and room for one at least."""
        now = time.monotonic()
        self._tokens = min(max(1.0, limit), self._tokens + (now - self._refilled_at) * limit)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


FAULT_SETTINGS: Mapping[str, ValidatedField[Json]] = {
    name: one for name, one in vars(Faults).items() if isinstance(one, ValidatedField)
}


def _setting_by_name(name: str) -> ValidatedField[Json]:
    if name not in FAULT_SETTINGS:
        raise _unknown_name_error(name)
    return FAULT_SETTINGS[name]


def _unknown_name_error(name: str) -> ConfigError:
    known = f"Kinds of faults are {', '.join(FAULT_TYPES)}; settings are {', '.join(FAULT_SETTINGS)}."
    return ConfigError(f"The sandbox has no fault {name!r}. {known}")


def parse_faults(text: str, *, seed: int = 0) -> Faults:
    """Faults from text: `20%`, `drop_after=5%,429=10%`, `20%,kinds=cut+slow,limit=10,settle_delay=1`.

    Args:
        text: parts with commas between them: a share of the requests for all kinds together, or one for each kind that
            is named; and settings of `Faults`, in lists with `+` between the names. Empty: nothing goes wrong.
        seed: the seed, unless the text gives one.

    Raises:
        ConfigError: a value cannot be used, or a name is not known.
    """
    given = dict(_parse_part(part.strip()) for part in text.split(",") if part.strip())
    shares = {
        name: FAULT_SETTINGS["rate"].validate(value, f"the share of {name}")
        for name, value in given.items()
        if name in FAULT_TYPES
    }
    settings: dict[str, Json] = {name: value for name, value in given.items() if name not in FAULT_TYPES}
    if shares and not settings.keys().isdisjoint({"rate", "kinds"}):
        raise ConfigError(
            f"The faults {text!r} give a share for all kinds and one for some. Give one share alone, as in 20%, or one "
            "for each kind, as in drop_after=5%,429=10%."
        )
    if shares:
        settings |= {"rate": math.fsum(shares.values()), "kinds": shares}
    faults = Faults()
    faults.change(**{"seed": seed, **settings})
    return faults


def _parse_part(part: str) -> tuple[str, str]:
    """Name and value of one part; a share alone is the rate."""
    if "=" not in part and part.endswith("%"):
        return "rate", part
    name, _, value = part.partition("=")
    return name.strip(), value.strip()


def to_faults(given: Json) -> Faults:
    """Faults from what a `Sandbox` is given: these themselves, or text."""
    if isinstance(given, Faults):
        return given
    if isinstance(given, str):
        return parse_faults(given)
    raise TypeError
