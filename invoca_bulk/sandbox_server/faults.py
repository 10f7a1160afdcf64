"""Which requests meet which fault: settings that can be changed while the sandbox runs, and seeded decisions."""

# ruff: noqa: RUF009  the defaults of Faults are descriptors, which its instances share on purpose

from __future__ import annotations

import contextlib
import math
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from invoca_bulk.errors import ConfigError
from invoca_bulk.sandbox_server.fault_types import FAULT_TYPES, NO_FAULT, OVER_LIMIT, FaultType
from invoca_bulk.sandbox_server.validated_fields import (
    ValidatedField,
    parse_names,
    parse_number,
    parse_optional_number,
    parse_share,
    parse_whole_number,
)
from invoca_bulk.schema.field_types import Json

FAULT_NAMES = tuple(FAULT_TYPES)
VERBS = ("GET", "POST", "PUT", "DELETE")
_LIMIT = "limit"
#: Name in `Faults.counts` to the fault; None: no fault, not counted.
_FAULT_TYPE_BY_COUNT_NAME: dict[str | None, FaultType] = {_LIMIT: OVER_LIMIT, None: NO_FAULT}
_FAULT_TYPE_BY_COUNT_NAME.update(FAULT_TYPES)


def _parse_limit(value: Json) -> float | None:
    return None if value is None else parse_number(value, minimum=1e-6)


def _parse_weights(value: Json) -> Mapping[str, float]:
    """Fault type to weight; a list of names means equal weights."""
    raw_weights = value if isinstance(value, Mapping) else dict.fromkeys(parse_names(value), 1.0)
    weights = {_require_known_fault(name): parse_number(weight) for name, weight in raw_weights.items()}
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
_FAULT_NAMES_HINT = "names of fault types, such as drop_after+429; in Python also a dict of name to weight"


@dataclass(kw_only=True, eq=False, repr=False)
class Faults:
    """The faults of a sandbox. Thread-safe; each setting can be changed while the sandbox runs, also by assignment.

    Args:
        rate: the share of matching requests that meet a fault, from 0 to 1.
        kinds: the fault types to choose from, or a mapping of fault type to weight.
        verbs: the HTTP verbs that match. Applies to `rate` and `script`, not to `limit` and `list_lag`.
        seed: with the same seed, the n-th request that `rate` decides meets the same fault. Requests over the limit,
            requests of the script and requests while `rate` is 0 are not counted.
        limit: the requests per second of all verbs, with bursts of up to one second's worth; requests over the limit
            get a 429 without being processed, before any other fault. None: no limit.
        limit_retry_after: the seconds in `Retry-After` of these 429s; None: no such header.
        settle_delay: seconds between the reply and the processing, for the fault types that end in `_after`: the
            connection is closed or the error is sent first, and the request is processed later. Requests that are
            pending when the sandbox stops are never processed.
        list_lag: seconds until lists include a newly issued number; GET of the number itself finds it at once.
        stall: seconds of silence of the fault types `stall_…`; less if the client gives up.
        slow: seconds that the fault type `slow` adds to a response.
        retry_after: the seconds in `Retry-After` of the fault type `429_retry_after`.
        script: fault types for the next matching requests, used before `rate`; None: no fault.

    Attributes:
        counts: what happened: number of faults by type; `limit`: requests over the limit; `settle_delay`: requests
            processed late; `list_lag`: lists from which a number was withheld.
        pending: the number of requests that wait for their settle delay.

    Raises:
        ConfigError: a value is invalid, or a name is unknown.
    """

    rate: ValidatedField[float] = ValidatedField(
        0.0, parse_share, "a share of the requests from 0 to 1, or from 0% to 100%"
    )
    kinds: ValidatedField[Mapping[str, float]] = ValidatedField(FAULT_NAMES, _parse_weights, _FAULT_NAMES_HINT)
    verbs: ValidatedField[frozenset[str]] = ValidatedField(
        ("POST", "PUT", "DELETE"), _parse_verbs, f"one or more of {'+'.join(VERBS)}"
    )
    seed: ValidatedField[int] = ValidatedField(0, parse_whole_number, "a whole number")
    limit: ValidatedField[float | None] = ValidatedField(None, _parse_limit, "a number of requests per second, above 0")
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
        """Whether any fault can happen with the current settings."""
        return bool(self.rate or self.limit or self.list_lag or self.script)

    def change(self, **settings: Json) -> None:
        """Change the given settings, or none of them if one is invalid.

        Raises:
            ConfigError: a value is invalid, or a name is unknown.
        """
        validated = {name: _setting_by_name(name).validate(value) for name, value in settings.items()}
        with self._lock:
            vars(self).update(validated)

    def settings(self) -> dict[str, Json]:
        """The settings as JSON values that `change` accepts."""
        with self._lock:
            collections = {"verbs": sorted(self.verbs), "script": list(self.script), "kinds": dict(self.kinds)}
            return {name: collections.get(name, getattr(self, name)) for name in FAULT_SETTINGS}

    def next_fault(self, verb: str) -> FaultType:
        """Choose and count the fault of the next request."""
        with self._lock:
            name = self._choose_fault(verb)
            if name:
                self.counts[name] += 1
            return _FAULT_TYPE_BY_COUNT_NAME[name]

    def record_fault(self, name: str) -> None:
        """Add 1 to a count."""
        with self._lock:
            self.counts[name] += 1

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """Count a request as pending while it waits for its settle delay."""
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
        # A generator for each request, so that the outcome depends only on the seed and the request's position.
        rng = random.Random(f"{self.seed}/{self._draw_count}")  # noqa: S311  repeatable, protects nothing
        if rng.random() >= self.rate:
            return None
        return rng.choices(list(self.kinds), list(self.kinds.values()))[0]

    def _take_limit_token(self, limit: float) -> bool:
        """Take a token from a bucket that holds one second's worth of requests, at least one."""
        now = time.monotonic()
        self._tokens = min(max(1.0, limit), self._tokens + (now - self._refilled_at) * limit)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


FAULT_SETTINGS: Mapping[str, ValidatedField[Json]] = {
    name: setting for name, setting in vars(Faults).items() if isinstance(setting, ValidatedField)
}


def _setting_by_name(name: str) -> ValidatedField[Json]:
    if name not in FAULT_SETTINGS:
        raise _unknown_name_error(name)
    return FAULT_SETTINGS[name]


def _unknown_name_error(name: str) -> ConfigError:
    names = f"Fault types: {', '.join(FAULT_TYPES)}. Settings: {', '.join(FAULT_SETTINGS)}."
    return ConfigError(f"The sandbox has no fault {name!r}. {names}")


def parse_faults(text: str, *, seed: int = 0) -> Faults:
    """Parse faults from text: `20%`, `drop_after=5%,429=10%`, `20%,kinds=cut+slow,limit=10,settle_delay=1`.

    Args:
        text: comma-separated parts: one share of the requests for all fault types together, or one for each named
            type; and settings of `Faults`, with `+` between the names of a list. Empty: no faults.
        seed: the seed, unless the text has one.

    Raises:
        ConfigError: a value is invalid, or a name is unknown.
    """
    values = dict(_parse_part(part.strip()) for part in text.split(",") if part.strip())
    shares = {
        name: FAULT_SETTINGS["rate"].validate(value, f"the share of {name}")
        for name, value in values.items()
        if name in FAULT_TYPES
    }
    settings: dict[str, Json] = {name: value for name, value in values.items() if name not in FAULT_TYPES}
    if shares and not settings.keys().isdisjoint({"rate", "kinds"}):
        raise ConfigError(
            f"The faults {text!r} have a share for all types and shares for some types. Use one share, such as 20%, or "
            "a share for each type, such as drop_after=5%,429=10%."
        )
    if shares:
        settings |= {"rate": math.fsum(shares.values()), "kinds": shares}
    faults = Faults()
    faults.change(**{"seed": seed, **settings})
    return faults


def _parse_part(part: str) -> tuple[str, str]:
    """Name and value of one part; a share without a name is the rate."""
    if "=" not in part and part.endswith("%"):
        return "rate", part
    name, _, value = part.partition("=")
    return name.strip(), value.strip()


def to_faults(value: Json) -> Faults:
    """Return `Faults` unchanged, and parse text."""
    if isinstance(value, Faults):
        return value
    if isinstance(value, str):
        return parse_faults(value)
    raise TypeError
