"""How long the program takes to say anything: its help against `python -c pass`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import Figure, surroundings

from invoca_bulk.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness import Size

REPEATS = 21
NOTHING = [sys.executable, "-c", "pass"]
PROGRAM = [str(Path(sys.executable).with_name("invoca-bulk"))]
IMPORT = [sys.executable, "-c", "import invoca_bulk, sys; assert not {'pandas', 'numpy'} & set(sys.modules)"]


def _medians(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, float]:
    """Name to milliseconds; the commands take turns."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=surroundings())
            times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(some) for name, some in times.items()}


def start(size: Size) -> Iterator[Figure]:
    """Help, the help of the slowest verb, and the import, which must not bring pandas."""
    of_verbs = {verb: [*PROGRAM, verb, "--help"] for verb in COMMANDS}
    commands = {"pass": NOTHING, "help": [*PROGRAM, "--help"], "import": IMPORT, **of_verbs}
    took = _medians(commands, size.rows(REPEATS, 1))
    slowest = max(COMMANDS, key=took.__getitem__)
    for what, name, wanted in (
        ("`invoca-bulk --help`", "help", 1 / 3),
        (f"`invoca-bulk {slowest} --help`, the slowest verb's", slowest, None),
        ("`python -c 'import invoca_bulk'`, which loads no pandas", "import", None),
    ):
        yield Figure(
            what=what, ours=took[name], peer=took["pass"], unit="ms", peer_is="`python -c pass`", wanted=wanted
        )


BENCHMARKS = (start,)
