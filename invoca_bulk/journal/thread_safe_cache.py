"""A cache for values that must exist once, such as open connections."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


def thread_safe_cache(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Like `functools.cache`, which calls the function twice if two threads ask for the same value at once."""
    lock, cached = threading.Lock(), functools.cache(function)

    @functools.wraps(function)
    def call(*arguments: _P.args, **options: _P.kwargs) -> _T:
        with lock:
            return cached(*arguments, **options)  # type: ignore[arg-type]  # hashable, as those of any cache

    return call
