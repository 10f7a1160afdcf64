"""Start-up time: the help of the command line against `python -c pass`."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import Figure, clean_environment

from invoca_bulk.cli import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness import Size

REPEATS = 21
PASS = [sys.executable, "-c", "pass"]
PROGRAM = [str(Path(sys.executable).with_name("invoca-bulk"))]
IMPORT = [sys.executable, "-c", "import invoca_bulk, sys; assert not {'pandas', 'numpy'} & set(sys.modules)"]


def _medians(commands: Mapping[str, Sequence[str]], repeats: int) -> dict[str, float]:
    """Name to median milliseconds; the commands are run in turns."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, env=clean_environment())
            times[name].append(1000 * (time.perf_counter() - began))
    return {name: statistics.median(durations) for name, durations in times.items()}


def start(size: Size) -> Iterator[Figure]:
    """The help, the help of the slowest command, and the import, which must not load pandas."""
    help_of_verbs = {verb: [*PROGRAM, verb, "--help"] for verb in COMMANDS}
    commands = {"pass": PASS, "help": [*PROGRAM, "--help"], "import": IMPORT, **help_of_verbs}
    medians = _medians(commands, size.rows(REPEATS, 1))
    slowest = max(COMMANDS, key=medians.__getitem__)
    for label, name, target in (
        ("`invoca-bulk --help`", "help", 1 / 3),
        (f"`invoca-bulk {slowest} --help`, the slowest verb's", slowest, None),
        ("`python -c 'import invoca_bulk'`, which loads no pandas", "import", None),
    ):
        yield Figure(
            label=label,
            ours=medians[name],
            peer=medians["pass"],
            unit="ms",
            peer_name="`python -c pass`",
            target=target,
        )


BENCHMARKS = (start,)
