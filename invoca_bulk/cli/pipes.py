"""Output whose reader has gone, such as that of `invoca-bulk runs | head -1`: it is dropped, and the work goes on."""

from __future__ import annotations

import contextlib
import os
import sys

TYPE_CHECKING = False  # importing `typing` takes half as long as Python's own start
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TextIO


class _PatientStream:
    """A stream that drops what nobody reads; an error in the middle of a run would stop the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or let it go to nowhere, so that Python does not try again when it ends."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


@contextlib.contextmanager
def tolerate_closed_pipes() -> Iterator[None]:
    """Let the block print although nobody may read it."""
    originals = sys.stdout, sys.stderr
    streams: list[Any] = [stream and _PatientStream(stream) for stream in originals]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        for stream in filter(None, streams):
            stream.flush()
        sys.stdout, sys.stderr = originals
